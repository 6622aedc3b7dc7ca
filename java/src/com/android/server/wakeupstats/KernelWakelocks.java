// SPDX-License-Identifier: Apache-2.0
package com.android.server.wakeupstats;

import java.util.Collections;
import java.util.HashMap;
import java.util.Map;

/**
 * Wakelocks by name, each name once: those that share one are added up, and none is lost.
 *
 * <p>Where two of a name are held at the same time, that time counts twice, as it does in Perfetto:
 * what the kernel counts for each does not say how long either was held.
 */
public final class KernelWakelocks {
    private final Map<String, KernelWakelock> mByName = new HashMap<>();

    /** Adds one. */
    public void add(String name, KernelWakelock wakelock) {
        mByName.merge(name, wakelock, KernelWakelock::plus);
    }

    /** Adds one where others have its name. */
    void addTo(String name, KernelWakelock wakelock) {
        mByName.computeIfPresent(name, (same, others) -> others.plus(wakelock));
    }

    /** Adds one as SystemSuspend has it, whose times are in milliseconds. */
    public void addMillis(String name, long count, long totalTimeMs, long activeTimeMs) {
        int countOnce = KernelWakelock.toInt(count);
        add(name, new KernelWakelock(countOnce, totalTimeMs * 1_000, activeTimeMs * 1_000));
    }

    /** All of them. */
    public Map<String, KernelWakelock> byName() {
        return Collections.unmodifiableMap(mByName);
    }
}
