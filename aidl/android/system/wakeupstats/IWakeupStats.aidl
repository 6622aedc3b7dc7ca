// SPDX-License-Identifier: Apache-2.0
package android.system.wakeupstats;

import android.system.wakeupstats.SnapshotQuery;
import android.system.wakeupstats.WakeupSnapshot;

/**
 * The kernel's wakeup sources, read in one walk of the kernel's list. Registered with the service
 * manager as "wakeupstats".
 */
interface IWakeupStats {
    /** Service-specific error: the kernel's list could not be read. The message says why. */
    const int ERROR_READ_FAILED = 1;

    /**
     * Service-specific error: the reply would not fit into the caller's binder mapping. The message
     * says how many sources there are.
     */
    const int ERROR_REPLY_TOO_LARGE = 2;

    /**
     * Reads the kernel's wakeup sources now.
     *
     * @param query which sources to return.
     * @return one walk of the kernel's list.
     * @throws ServiceSpecificException with one of the ERROR constants.
     */
    WakeupSnapshot getSnapshot(in SnapshotQuery query);
}
