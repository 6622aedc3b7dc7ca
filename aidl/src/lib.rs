// SPDX-License-Identifier: Apache-2.0
//! Rust bindings of `android.system.wakeupstats`, generated from the AIDL by rsbinder-aidl, and what
//! a client in Rust wants on top: plain rows ([`rows()`], or without a copy [`Columns::rows`]), a copy
//! that is kept up to date by what changed ([`Cache`]), and a [`Client`] that keeps one, and finds the
//! service again after its restart.
//!
//! The AIDL files document each method, field and unit. Where to start: [`Client`]; or [`IWakeupStats`],
//! which is registered with the service manager as [`SERVICE_NAME`].

mod cache;
mod client;
mod rows;

pub use cache::Cache;
pub use client::{Client, Error as ClientError};
pub use rows::{Columns, MAX_FILE_BYTES, Malformed, Source, rows};

/// The name under which the service is registered with the service manager.
pub const SERVICE_NAME: &str = "wakeupstats";

#[expect(clippy::allow_attributes, missing_docs, unreachable_pub, reason = "rsbinder-aidl's style")]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/wakeupstats.rs"));
}

use generated::android::system::wakeupstats;

pub use wakeupstats::IWakeupStats::{
    BnWakeupStats, BpWakeupStats, ERROR_READ_FAILED, ERROR_REPLY_FAILED, IWakeupStats,
    VERSION as INTERFACE_VERSION,
};
pub use wakeupstats::PassedOverBackend::PassedOverBackend;
pub use wakeupstats::ServiceStatus::ServiceStatus;
pub use wakeupstats::SnapshotBackend::SnapshotBackend;
pub use wakeupstats::SnapshotOrder::SnapshotOrder;
pub use wakeupstats::SnapshotQuery::SnapshotQuery;
pub use wakeupstats::WakeupSnapshot::WakeupSnapshot;
pub use wakeupstats::WakeupSources::{
    FLAG_ACTIVE, FLAG_INCONSISTENT, FLAG_NAME_TRUNCATED, WakeupSources,
};
