// SPDX-License-Identifier: Apache-2.0
#![cfg(test)]
//! No request, no work.

use std::time::Duration;

use wakeupstats_aidl::{IWakeupStats, SnapshotQuery};
use wakeupstats_vm::bench::measure::{Activity, Process};
use wakeupstats_vm::daemon::{self, Daemon};

/// Longer than any pause that the daemon has anywhere.
const LONG: Duration = Duration::from_secs(12);

#[test]
fn daemon_that_nobody_calls_does_nothing() {
    let daemon = Daemon::start().unwrap();
    daemon::service().unwrap().getSnapshot(&SnapshotQuery::default()).unwrap();

    let activity = Process::new(daemon.pid()).activity_in(LONG).unwrap();
    assert_eq!(activity, Activity::default());
}
