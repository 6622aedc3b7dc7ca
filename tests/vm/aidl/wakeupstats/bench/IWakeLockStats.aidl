// SPDX-License-Identifier: Apache-2.0
package wakeupstats.bench;

import wakeupstats.bench.WakeLockInfo;

/** What the benchmark's stand-in for SystemSuspend serves. */
interface IWakeLockStats {
    /** Opens the attributes of all sources that there are now, for the calls that follow. */
    void openSources();

    /** One parcelable for each source, as the method of SystemSuspend's internal interface. */
    WakeLockInfo[] getWakeLockStats();
}
