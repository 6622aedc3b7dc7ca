// SPDX-License-Identifier: Apache-2.0
package android.system.wakeupstats;

import android.system.wakeupstats.PassedOverBackend;
import android.system.wakeupstats.SnapshotBackend;

/** How the service does its work. */
parcelable ServiceStatus {
    /** The backend in use. */
    SnapshotBackend backend = SnapshotBackend.NONE;

    /**
     * CLOCK_MONOTONIC in nanoseconds when it was taken: at the start of the service, or later, when
     * another one failed, or a better one came.
     */
    long backendSinceNs;

    /** The backends that come before it, in the order in which they were tried. */
    PassedOverBackend[] passedOver;

    /** The kernel's release, as uname -r has it. */
    @utf8InCpp String kernelRelease;

    /** This life of the service: another number after each start, and never 0. */
    long instance;

    /** The number of the last snapshot, 0 before the first: that many were read. */
    long sequence;

    /** How often the kernel's list was walked for them. */
    long walks;

    /** CLOCK_MONOTONIC in nanoseconds when the last snapshot was read, 0 before the first. */
    long lastSnapshotNs;

    /** How many sources the kernel had then. */
    int totalSources;

    /** Kernel memory that the BPF program copies sources to, in bytes. 0 for SYSFS. */
    long roomBytes;

    /** The last error of a read, empty if there was none. */
    @utf8InCpp String lastError;

    /** CLOCK_MONOTONIC in nanoseconds when that was, 0 if there was none. */
    long lastErrorNs;
}
