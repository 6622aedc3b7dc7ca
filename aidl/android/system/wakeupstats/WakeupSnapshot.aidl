// SPDX-License-Identifier: Apache-2.0
package android.system.wakeupstats;

import android.system.wakeupstats.SnapshotBackend;
import android.system.wakeupstats.WakeupSources;

/** The kernel's wakeup sources at one moment. */
parcelable WakeupSnapshot {
    /** This life of the service: another number after each start, and never 0. */
    long instance;

    /** The number of this snapshot in this life of the service, from 1 on. */
    long sequence;

    /**
     * Whether it holds only what changed since the snapshot that the query named: rows that are new
     * or have changed (among them all that are active, as their times run), and goneHandles.
     */
    boolean incremental;

    /** How the kernel's list was read. */
    SnapshotBackend backend = SnapshotBackend.NONE;

    /**
     * How often the list was walked. More than 1 only where the service's room in the kernel is too
     * small for all sources and may not grow: the sources are then of several moments, each of them
     * once.
     */
    int walks;

    /**
     * CLOCK_MONOTONIC in nanoseconds when the walk began: the "now" of all times in the rows, but for
     * SYSFS, where each is as of its own reading.
     */
    long monotonicNs;

    /** CLOCK_BOOTTIME in nanoseconds at the same moment. */
    long boottimeNs;

    /**
     * How long the walk took, in nanoseconds. The kernel's list was locked for reading so long, but
     * not for SYSFS.
     */
    long walkDurationNs;

    /**
     * How many sources the kernel had, whatever the query asked for. Where walks is more than 1, as
     * of the last walk.
     */
    int totalSources;

    /**
     * Whether the walk saw the whole list and found room for each source. If not, sources that it
     * did not see are as they were last seen; but for SYSFS they are left out, as it sees all that
     * there are, and those are closed to it.
     */
    boolean complete;

    /**
     * Of an incremental snapshot: the handles that no longer belong to the answer, because their
     * source is gone, or has changed and no longer matches the query. Some of them the client may
     * never have seen.
     */
    long[] goneHandles;

    /** The sources. Empty if largeSources is not null. */
    WakeupSources sources;

    /**
     * The sources, if they are too many for a binder transaction: a file that holds a WakeupSources
     * as a nullable value in a parcel, from offset 0 to its end (Java: Parcel.unmarshall and then
     * Parcel.readTypedObject; NDK: AParcel_unmarshal and then a nullable parcelable). Like any
     * parcel it is not for storage. It is sealed, and goes when the last descriptor is closed.
     */
    @nullable ParcelFileDescriptor largeSources;
}
