// SPDX-License-Identifier: Apache-2.0
package android.system.wakeupstats;

/** How the service reads the kernel's list. */
@Backing(type="int")
enum SnapshotBackend {
    /** None yet. */
    NONE = 0,
    /** A BPF program that someone else loaded and pinned. */
    PINNED = 1,
    /** A BPF program that the service itself loaded. */
    LOAD = 2,
    /**
     * /sys/class/wakeup: the same, but slower, times in whole milliseconds, and each source as of its
     * own moment, within walkDurationNs after monotonicNs.
     */
    SYSFS = 3,
}
