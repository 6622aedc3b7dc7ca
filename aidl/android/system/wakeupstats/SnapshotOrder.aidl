// SPDX-License-Identifier: Apache-2.0
package android.system.wakeupstats;

/** The order of a snapshot's rows. Numbers come highest first. */
@Backing(type="int")
enum SnapshotOrder {
    /** The kernel's, of each walk: the source that was registered last comes first. */
    KERNEL = 0,
    /** By the bytes of the name. */
    NAME = 1,
    /** By the time it has been active without a break until now. */
    ACTIVE_TIME = 2,
    /** By the time it has been active in all. */
    TOTAL_TIME = 3,
    /** By the longest time it was active without a break. */
    MAX_TIME = 4,
    /** By the time of its last change. */
    LAST_CHANGE = 5,
    /** By the time it kept autosleep from suspending. */
    PREVENT_SUSPEND_TIME = 6,
    /** By the number of activations. */
    ACTIVE_COUNT = 7,
    /** By the number of events. */
    EVENT_COUNT = 8,
    /** By the number of wakeups. */
    WAKEUP_COUNT = 9,
    /** By the number of expiries. */
    EXPIRE_COUNT = 10,
}
