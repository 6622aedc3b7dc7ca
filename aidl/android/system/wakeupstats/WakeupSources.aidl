// SPDX-License-Identifier: Apache-2.0
package android.system.wakeupstats;

/**
 * Wakeup sources, as columns: source i has element i of each array. That is several times faster than
 * one parcelable for each source.
 *
 * handles always has an element for each source. Every other array but names has as many, or none:
 * an empty array stands for zeros. So look at its length before its elements (in Java:
 * "sources.flags.length == 0 ? 0 : sources.flags[i]"). Which arrays are empty is another matter from
 * snapshot to snapshot. An array that a later version adds is empty in what an earlier service sends.
 *
 * Values are those of the kernel's struct wakeup_source (include/linux/pm_wakeup.h) and of
 * /sys/class/wakeup/wakeupN, but in nanoseconds and all of one moment. None but activeTimesNs ever
 * decreases for one handle other than 0.
 */
parcelable WakeupSources {
    /** In flags: the source is active, which keeps the device awake. */
    const int FLAG_ACTIVE = 1;

    /**
     * In flags: the source changed during each read of it, so that its values are not all of one
     * moment. Its times leave out the stretch in which it is active.
     */
    const int FLAG_INCONSISTENT = 2;

    /** In flags: the name has more than 255 bytes, and the rest is missing. */
    const int FLAG_NAME_TRUNCATED = 4;

    /**
     * The life of the source: the service gives each a handle that is never used again in this life
     * of the service. Handles of sources that were first seen later are higher, and of those first
     * seen in one walk the ones that were registered later. A source that is unregistered while it
     * is the youngest, and registered anew by its name and id before the next walk, can't be told
     * from the former one unless a count is lower. 0 for a row of several sources.
     */
    long[] handles;

    /** N of the kernel's wakeupN. The kernel gives it to another source after this one is gone. */
    int[] ids;

    /** A sum of FLAG constants. */
    byte[] flags;

    /** How many times it was activated. Kernel: active_count. */
    long[] activeCounts;

    /** How many wakeup events it signalled. Kernel: event_count. */
    long[] eventCounts;

    /** How many times it might have aborted a suspend. Kernel: wakeup_count. */
    long[] wakeupCounts;

    /** How many times its timeout expired. Kernel: expire_count. */
    long[] expireCounts;

    /** How many times it was deactivated. Kernel: relax_count. */
    long[] relaxCounts;

    /** How long it has been active without a break until now, 0 if it is not. Nanoseconds. */
    long[] activeTimesNs;

    /** How long it has been active in all, until now. Nanoseconds. Kernel: total_time. */
    long[] totalTimesNs;

    /** The longest time it has been active without a break. Nanoseconds. Kernel: max_time. */
    long[] maxTimesNs;

    /**
     * CLOCK_MONOTONIC in nanoseconds when it was last activated or deactivated, 0 if it never was.
     * Kernel: last_time.
     */
    long[] lastChangesNs;

    /**
     * How long it has kept autosleep from suspending, until now. Nanoseconds. 0 on kernels without
     * CONFIG_PM_AUTOSLEEP. Kernel: prevent_sleep_time.
     */
    long[] preventSuspendTimesNs;

    /**
     * The names in UTF-8, one after the other: for each source that has them here its own name, and
     * then that of the device that owns it. Names are not unique. What is no UTF-8 in the kernel is
     * replaced by U+FFFD.
     */
    byte[] names;

    /** How many bytes of names are the name. -1 if the client has it already: see knownHandle. */
    int[] nameLengths;

    /** How many bytes of names are the owner's, 0 if no device owns it. -1 as in nameLengths. */
    int[] deviceLengths;
}
