// SPDX-License-Identifier: Apache-2.0
//! How the service is doing, apart from what it serves.

use std::fmt;

use serde::Serialize;
use wakeupstats_text::escape;

use crate::model::Backend;

/// How the service is doing. Times are CLOCK_MONOTONIC in nanoseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// When this was so.
    pub now_ns: i64,
    /// How the kernel's list is read.
    pub backend: Backend,
    /// When this backend was taken, at the start of the service or later.
    pub backend_since_ns: i64,
    /// The backends that would have been preferred, the best first.
    pub passed_over: Vec<PassedOver>,
    /// The kernel's release, as `uname -r` says it.
    pub kernel: String,
    /// This life of the service, from [`Tracker::instance`](crate::tracker::Tracker::instance).
    pub instance: i64,
    /// The number of the last snapshot, 0 before the first: that many were read.
    pub sequence: i64,
    /// How often the kernel's list was walked for them.
    pub walks: u64,
    /// When the last snapshot was read, 0 before the first.
    pub last_snapshot_ns: i64,
    /// How many sources the kernel had then.
    pub sources: u32,
    /// Kernel memory of the map that the program writes to, in bytes.
    pub room_bytes: u64,
    /// The last error, if there was one.
    pub last_error: Option<PastError>,
}

/// A backend that is not in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PassedOver {
    /// Which.
    pub backend: Backend,
    /// Why it can't be used: an error with its causes.
    pub reason: String,
}

/// An error of the past.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PastError {
    /// The error with its causes.
    pub message: String,
    /// CLOCK_MONOTONIC when it happened, in nanoseconds.
    pub monotonic_ns: i64,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ago = |then: i64| self.now_ns.saturating_sub(then) / 1_000_000_000;
        writeln!(f, "backend:       {}, for {} s", self.backend, ago(self.backend_since_ns))?;
        for PassedOver { backend, reason } in &self.passed_over {
            writeln!(f, "passed over:   {}: {}", backend, escape(reason))?;
        }
        writeln!(f, "kernel:        {}", escape(&self.kernel))?;
        writeln!(f, "instance:      {}", self.instance)?;
        writeln!(f, "snapshots:     {} in {} walks", self.sequence, self.walks)?;
        match self.last_snapshot_ns {
            0 => writeln!(f, "last snapshot: -")?,
            then => writeln!(f, "last snapshot: {} s ago, {} sources", ago(then), self.sources)?,
        }
        writeln!(f, "kernel memory: {} bytes", self.room_bytes)?;
        match &self.last_error {
            None => writeln!(f, "last error:    -"),
            Some(PastError { message, monotonic_ns }) => {
                writeln!(f, "last error:    {} s ago: {}", ago(*monotonic_ns), escape(message))
            }
        }
    }
}
