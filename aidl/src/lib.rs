// SPDX-License-Identifier: Apache-2.0
//! Rust bindings of `android.system.wakeupstats`, generated from the AIDL by rsbinder-aidl.
//!
//! The AIDL files document each method, field and unit. Where to start: [`IWakeupStats`], which is
//! registered with the service manager as [`SERVICE_NAME`].

/// The name under which the service is registered with the service manager.
pub const SERVICE_NAME: &str = "wakeupstats";

#[expect(clippy::allow_attributes, missing_docs, unreachable_pub, reason = "rsbinder-aidl's style")]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/wakeupstats.rs"));
}

use generated::android::system::wakeupstats;

pub use wakeupstats::IWakeupStats::{
    BnWakeupStats, BpWakeupStats, ERROR_READ_FAILED, ERROR_REPLY_TOO_LARGE, IWakeupStats,
};
pub use wakeupstats::SnapshotBackend::SnapshotBackend;
pub use wakeupstats::SnapshotQuery::SnapshotQuery;
pub use wakeupstats::WakeupSnapshot::WakeupSnapshot;
pub use wakeupstats::WakeupSource::WakeupSource;
