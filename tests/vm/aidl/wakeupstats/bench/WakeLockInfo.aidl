// SPDX-License-Identifier: Apache-2.0
package wakeupstats.bench;

/** One wakeup source with the fields, in the units, of SystemSuspend's reply: times in ms. */
parcelable WakeLockInfo {
    @utf8InCpp String name;
    long activeCount;
    long lastChange;
    long maxTime;
    long totalTime;
    boolean isActive;
    long activeTime;
    boolean isKernelWakelock;
    int pid;
    long eventCount;
    long expireCount;
    long preventSuspendTime;
    long wakeupCount;
}
