// SPDX-License-Identifier: Apache-2.0
package android.system.wakeupstats;

import android.system.wakeupstats.ServiceStatus;
import android.system.wakeupstats.SnapshotQuery;
import android.system.wakeupstats.WakeupSnapshot;

/**
 * The kernel's wakeup sources, read in one walk of the kernel's list. Registered with the service
 * manager as "wakeupstats".
 *
 * Every method needs android.permission.BATTERY_STATS. A caller without it gets EX_SECURITY.
 */
@PermissionManuallyEnforced
interface IWakeupStats {
    /** Service-specific error: the kernel's list could not be read. The message says why. */
    const int ERROR_READ_FAILED = 1;

    /** Service-specific error: the reply could not be made. The message says why. */
    const int ERROR_REPLY_FAILED = 2;

    /**
     * Reads the kernel's wakeup sources.
     *
     * @param query which sources to return, and how fresh they must be.
     * @return the sources, all of them or what changed.
     * @throws IllegalArgumentException if the query has a value out of range; the message names it.
     * @throws ServiceSpecificException with one of the ERROR constants.
     */
    WakeupSnapshot getSnapshot(in SnapshotQuery query);

    /** How the service does its work. Reads nothing from the kernel's list. */
    ServiceStatus getStatus();
}
