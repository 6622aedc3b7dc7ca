// SPDX-License-Identifier: Apache-2.0
package com.android.server.wakeupstats;

/**
 * One of the kernel's wakeup sources: of a row of {@link android.system.wakeupstats.WakeupSources},
 * what BatteryStats needs.
 *
 * @param handle the life of the source, never another's in one life of the service.
 * @param id N of the kernel's wakeupN, which another source may have after this one is gone.
 * @param name null where the reply leaves it out, as the client has it.
 */
record WakeupSource(
        long handle, int id, String name, long activeCount, long totalTimeNs, long activeTimeNs) {
    WakeupSource named(String other) {
        return new WakeupSource(handle, id, other, activeCount, totalTimeNs, activeTimeNs);
    }

    /** Whether it may be the one that was seen before, whatever their handles. */
    boolean continues(WakeupSource before) {
        return id == before.id && name.equals(before.name) && activeCount >= before.activeCount;
    }

    KernelWakelock wakelock() {
        return new KernelWakelock(
                KernelWakelock.toInt(activeCount), totalTimeNs / 1_000, activeTimeNs / 1_000);
    }
}
