// SPDX-License-Identifier: Apache-2.0
package android.system.wakeupstats;

/** What a snapshot shall hold. One as it is created asks for everything. */
parcelable SnapshotQuery {
}
