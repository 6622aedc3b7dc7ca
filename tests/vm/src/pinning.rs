// SPDX-License-Identifier: Apache-2.0
//! Pins for tests to make, and the service to notice.

#![expect(clippy::unwrap_used, reason = "for tests, which can't go on without")]

use std::fs;
use std::time::{Duration, Instant};

use wakeupstats::pin::Owner;
use wakeupstats_aidl::{ServiceStatus, SnapshotBackend, SnapshotQuery};

use crate::backend;
use crate::daemon::{self, SYSTEM};
use crate::kfuncs::Kfuncs;

/// The service, as init starts it.
pub const OWNER: Owner = Owner { uid: SYSTEM, gid: SYSTEM };

/// The service must notice with its next call; this is for many, on a busy machine.
pub const NOTICE_LIMIT: Duration = Duration::from_secs(30);

/// Removes the pins when a test ends.
#[derive(Debug)]
pub struct Unload;

impl Drop for Unload {
    fn drop(&mut self) {
        backend::unload().unwrap();
    }
}

/// Pins the program, or shows that it can't be.
pub fn pinned() -> Option<Unload> {
    if Kfuncs::of_this_kernel().exist() {
        backend::load_and_pin().unwrap();
        return Some(Unload);
    }
    let error = backend::load_and_pin().unwrap_err().to_string();
    assert!(error.contains("no kfunc bpf_wakeup_sources_read_lock"), "{error}");
    assert_eq!(fs::read_dir("/sys/fs/bpf").unwrap().count(), 0, "a failed load leaves something");
    None
}

/// How the service is doing.
pub fn status() -> ServiceStatus {
    daemon::service().unwrap().getStatus().unwrap()
}

/// The backends that were passed over, and why.
pub fn passed_over() -> Vec<(SnapshotBackend, String)> {
    status().passedOver.into_iter().map(|passed| (passed.backend, passed.reason)).collect()
}

/// Calls until the service reads by this backend.
pub fn wait_for(backend: SnapshotBackend) {
    let begin = Instant::now();
    let service = daemon::service().unwrap();
    while service.getSnapshot(&SnapshotQuery::default()).unwrap().backend != backend {
        assert!(begin.elapsed() < NOTICE_LIMIT, "{:?}", status());
    }
}
