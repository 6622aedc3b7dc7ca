// SPDX-License-Identifier: Apache-2.0
package android.system.wakeupstats;

import android.system.wakeupstats.SnapshotBackend;

/** A backend that is not in use, though it would come before the one that is. */
parcelable PassedOverBackend {
    /** Which. */
    SnapshotBackend backend = SnapshotBackend.NONE;

    /** Why, for a person to read. */
    @utf8InCpp String reason;
}
