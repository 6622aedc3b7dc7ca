// SPDX-License-Identifier: Apache-2.0
package android.system.wakeupstats;

/** How the service reads the kernel's list. */
@Backing(type="int")
enum SnapshotBackend {
    /** A BPF program that the service itself loaded. */
    LOAD = 1,
}
