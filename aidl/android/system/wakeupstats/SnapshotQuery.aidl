// SPDX-License-Identifier: Apache-2.0
package android.system.wakeupstats;

import android.system.wakeupstats.SnapshotOrder;

/** What a snapshot shall hold. One as it is created asks for everything, read now. */
parcelable SnapshotQuery {
    /**
     * The instance and the sequence of the last snapshot that the client saw, for one that holds
     * only what changed since. It holds everything, and says so, where they are 0, of another
     * instance, of the future or older than the service remembers, and where mergeByName or limit
     * is set. The query of that snapshot must have had the same names, globs and activeOnly.
     */
    long instance = 0;

    /** See instance. */
    long sinceSequence = 0;

    /**
     * The client has the names of all sources with a handle up to this one, from earlier snapshots
     * of the same instance that had the same names and globs, and were not limited to some of them
     * by another field: they are left out. 0 leaves out none. Ignored if instance is another's.
     */
    long knownHandle = 0;

    /** Only sources with one of these names (at most 1,000). With globs, either is enough. */
    @utf8InCpp String[] names = {};

    /** Only sources that match one of these (at most 32). "*" is any text, "?" a character. */
    @utf8InCpp String[] globs = {};

    /** Only sources that are active. */
    boolean activeOnly = false;

    /**
     * One row for all sources of a name: sums of counts and times, but the longest maxTime and the
     * latest lastChange; active if any is. A row of several sources has handle 0 and the lowest id.
     */
    boolean mergeByName = false;

    /** The order of the rows. */
    SnapshotOrder order = SnapshotOrder.KERNEL;

    /** Only the first so many rows of that order. 0 is all. */
    int limit = 0;

    /**
     * How old the snapshot may be, in milliseconds: one that was read for another client within
     * this time is good enough. With 0 it is read after the call began.
     */
    int maxAgeMs = 0;
}
