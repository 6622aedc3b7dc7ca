// SPDX-License-Identifier: Apache-2.0
package android.system.wakeupstats;

/**
 * One of the kernel's wakeup sources (struct wakeup_source, include/linux/pm_wakeup.h). Values are
 * those of /sys/class/wakeup/wakeupN, but in nanoseconds and all of one moment.
 */
parcelable WakeupSource {
    /** N of the kernel's wakeupN. The kernel gives it to another source after this one is gone. */
    int id;

    /** The name. Not unique. Bytes that are not UTF-8 are replaced by U+FFFD. */
    @utf8InCpp String name;

    /** Whether the name is longer than 255 bytes, of which the rest is missing. */
    boolean nameTruncated;

    /** Name of the device that owns the source. Empty if no device does. */
    @utf8InCpp String device;

    /** Whether the source is active, which keeps the device awake. */
    boolean active;

    /** Whether all values are of one moment. False if the source changed during each read of it. */
    boolean consistent;

    /** How many times the source was activated. Kernel: active_count. */
    long activeCount;

    /** How many wakeup events it signalled. Kernel: event_count. */
    long eventCount;

    /** How many times it might have aborted a suspend. Kernel: wakeup_count. */
    long wakeupCount;

    /** How many times its timeout expired. Kernel: expire_count. */
    long expireCount;

    /** How many times it was deactivated. Kernel: relax_count. */
    long relaxCount;

    /** How long it has been active without a break until now, 0 if it is not. Nanoseconds. */
    long activeTimeNs;

    /** How long it has been active in all, until now. Nanoseconds. Kernel: total_time. */
    long totalTimeNs;

    /** The longest time it has been active without a break. Nanoseconds. Kernel: max_time. */
    long maxTimeNs;

    /**
     * CLOCK_MONOTONIC in nanoseconds when it was last activated or deactivated, 0 if it never was.
     * Kernel: last_time.
     */
    long lastChangeNs;

    /**
     * How long it has kept autosleep from suspending, until now. Nanoseconds. 0 on kernels without
     * CONFIG_PM_AUTOSLEEP. Kernel: prevent_sleep_time.
     */
    long preventSuspendTimeNs;
}
