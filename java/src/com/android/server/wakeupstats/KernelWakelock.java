// SPDX-License-Identifier: Apache-2.0
package com.android.server.wakeupstats;

/**
 * What BatteryStats wants to know of a wakelock, or of all that have one name.
 *
 * @param count how many times it was activated; no more than an int has, as in BatteryStats.
 * @param totalTimeUs how long it has been active in all, until now. Microseconds.
 * @param activeTimeUs how long of that in stretches that are not over yet, 0 if it is not active.
 *     BatteryStats takes it off the total when it begins to watch. Microseconds.
 */
public record KernelWakelock(int count, long totalTimeUs, long activeTimeUs) {
    /** The two as one: BatteryStats knows no more of a wakelock than its name. */
    KernelWakelock plus(KernelWakelock other) {
        return new KernelWakelock(
                toInt((long) count + other.count),
                totalTimeUs + other.totalTimeUs,
                activeTimeUs + other.activeTimeUs);
    }

    /** What is left of it when the source is gone. */
    KernelWakelock ended() {
        return new KernelWakelock(count, totalTimeUs, 0);
    }

    /**
     * The same, but with no less time than before, unless the count says that it began anew.
     *
     * <p>Whole milliseconds, as sysfs has them, fall short of what a BPF program reads.
     * BatteryStats would take that for a new beginning, and lose what comes until it has looked
     * twice.
     */
    KernelWakelock noLessThan(KernelWakelock before) {
        if (count < before.count || totalTimeUs >= before.totalTimeUs) {
            return this;
        }
        return new KernelWakelock(count, before.totalTimeUs, activeTimeUs);
    }

    /** A count as BatteryStats has it. */
    static int toInt(long count) {
        return (int) Math.min(count, Integer.MAX_VALUE);
    }
}
