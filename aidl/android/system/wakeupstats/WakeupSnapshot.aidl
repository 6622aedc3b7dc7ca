// SPDX-License-Identifier: Apache-2.0
package android.system.wakeupstats;

import android.system.wakeupstats.SnapshotBackend;
import android.system.wakeupstats.WakeupSource;

/** The kernel's wakeup sources at one moment. */
parcelable WakeupSnapshot {
    /** How the kernel's list was read. */
    SnapshotBackend backend = SnapshotBackend.LOAD;

    /**
     * How often the list was walked. More than 1 only where the service's room in the kernel is too
     * small for all sources and may not grow: the sources are then of several moments, each of them
     * once.
     */
    int walks;

    /** CLOCK_MONOTONIC in nanoseconds when the walk began: the "now" of all times in the rows. */
    long monotonicNs;

    /** CLOCK_BOOTTIME in nanoseconds at the same moment. */
    long boottimeNs;

    /** How long the walk took, in nanoseconds. The kernel's list was locked for reading so long. */
    long walkDurationNs;

    /** How many sources the kernel had. */
    int totalSources;

    /** Whether the walk saw the whole list and found room for each source that was asked for. */
    boolean complete;

    /** The sources in the kernel's order: the one registered last comes first. */
    WakeupSource[] sources;
}
