// SPDX-License-Identifier: Apache-2.0
#![cfg(test)]
//! The daemon, called over the kernel's binder from another process.

use std::thread;
use std::time::Duration;

use rsbinder::ExceptionCode;
use wakeupstats::load::Loaded;
use wakeupstats::model::Source;
use wakeupstats::walk::{Limits, Walker};
use wakeupstats_aidl::{ERROR_REPLY_TOO_LARGE, SnapshotBackend, SnapshotQuery, WakeupSource};
use wakeupstats_vm::daemon::{self, Daemon};
use wakeupstats_vm::sources::{self, Sources, file_name};

/// The two clocks are read one after the other, which takes less than this. Nanoseconds.
const CLOCK_GAP_NS: i64 = 10_000_000;

/// All that a reply's row says, by the library's model.
fn row(source: &WakeupSource) -> Source {
    Source {
        id: source.id as u32,
        name: source.name.clone(),
        name_truncated: source.nameTruncated,
        device: source.device.clone(),
        active: source.active,
        consistent: source.consistent,
        active_count: source.activeCount as u64,
        event_count: source.eventCount as u64,
        wakeup_count: source.wakeupCount as u64,
        expire_count: source.expireCount as u64,
        relax_count: source.relaxCount as u64,
        active_time_ns: source.activeTimeNs,
        total_time_ns: source.totalTimeNs,
        max_time_ns: source.maxTimeNs,
        last_change_ns: source.lastChangeNs,
        prevent_suspend_time_ns: source.preventSuspendTimeNs,
    }
}

/// A row as it would be `later_ns` later, if its source did nothing meanwhile.
fn later(source: &Source, later_ns: i64) -> Source {
    if !source.active {
        return source.clone();
    }
    let active_time_ns = source.active_time_ns + later_ns;
    Source {
        active_time_ns,
        total_time_ns: source.total_time_ns + later_ns,
        max_time_ns: source.max_time_ns.max(active_time_ns),
        ..source.clone()
    }
}

#[test]
fn reply_has_the_rows_of_the_library() {
    let _daemon = Daemon::start().unwrap();
    let [quiet, active] = [(); 2].map(|()| sources::mixed(75).unwrap());
    quiet.activate_all().unwrap();
    active.activate_all().unwrap();
    thread::sleep(Duration::from_millis(5));
    quiet.relax_all().unwrap();
    let service = daemon::service().unwrap();
    let mut walker = Walker::new(Loaded::load().unwrap(), Limits::default());

    let here = walker.snapshot().unwrap();
    let reply = service.getSnapshot(&SnapshotQuery::default()).unwrap();

    let elapsed = reply.monotonicNs - here.monotonic_ns;
    let expected: Vec<Source> = here.sources.iter().map(|row| later(row, elapsed)).collect();
    let rows: Vec<Source> = reply.sources.iter().map(row).collect();
    assert!(elapsed > 0);
    assert_eq!(rows, expected);
    assert!(rows.iter().filter(|row| row.active).count() >= 75);
    assert_eq!(reply.backend, SnapshotBackend::LOAD);
    assert_eq!((reply.walks, reply.complete), (1, true));
    assert_eq!(reply.totalSources as usize, rows.len());
    assert!(reply.walkDurationNs > 0);
    let suspended_here = here.boottime_ns - here.monotonic_ns;
    let suspended = reply.boottimeNs - reply.monotonicNs;
    assert!((suspended - suspended_here).abs() < CLOCK_GAP_NS, "{suspended}");
}

#[test]
fn thousands_of_sources_fit_into_a_reply() {
    let _daemon = Daemon::start().unwrap();
    let _sources = sources::eventfds(4_096).unwrap();

    let reply = daemon::service().unwrap().getSnapshot(&SnapshotQuery::default()).unwrap();

    assert!(reply.complete);
    assert!(reply.sources.len() > 4_096);
    assert_eq!(reply.sources.len(), reply.totalSources as usize);
}

#[test]
fn reply_that_would_not_fit_is_a_clear_error_and_the_next_call_works() {
    let _daemon = Daemon::start().unwrap();
    let service = daemon::service().unwrap();
    let mut sources = Sources::new().unwrap();
    for index in 0..2_000 {
        sources.add_fifo(&file_name(format!("{index:0>255}").as_bytes())).unwrap();
    }

    let error = service.getSnapshot(&SnapshotQuery::default()).unwrap_err();
    drop(sources);
    let reply = service.getSnapshot(&SnapshotQuery::default()).unwrap();

    assert_eq!(error.exception_code(), ExceptionCode::ServiceSpecific);
    assert_eq!(error.service_specific_error(), ERROR_REPLY_TOO_LARGE);
    let message = error.message().unwrap();
    assert!(message.contains("do not fit into one reply"), "{message}");
    assert!(reply.complete);
}

#[test]
fn dump_is_a_summary_and_a_table() {
    let _daemon = Daemon::start().unwrap();
    let mut sources = Sources::new().unwrap();
    sources.add_fifo(&file_name(b"dumped")).unwrap();
    sources.activate(0).unwrap();
    thread::sleep(Duration::from_millis(20));

    let output = daemon::dump(&[]).unwrap();

    let text = String::from_utf8(output.stdout).unwrap();
    let summary = text.lines().next().unwrap();
    assert!(output.status.success());
    assert!(summary.starts_with("wakeupstats: backend load, kernel "), "{summary}");
    assert!(summary.contains(" sources, 1 active, age "), "{summary}");
    assert!(summary.contains(" ms, walk ") && summary.ends_with(" ms"), "{summary}");
    let row: Vec<&str> =
        text.lines().find(|line| line.starts_with("dumped ")).unwrap().split(' ').collect();
    let row: Vec<&str> = row.into_iter().filter(|cell| !cell.is_empty()).collect();
    let active_ms: i64 = row[1].parse().unwrap();
    assert!(active_ms >= 20, "{row:?}");
    assert_eq!(&row[4..], ["1", "1", "0", "0"], "counts of activations, events, wakeups, expiries");
}

#[test]
fn dump_names_an_unknown_option() {
    let _daemon = Daemon::start().unwrap();
    let output = daemon::dump(&["--nonsense\x1b[2J"]).unwrap();

    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text, "unknown option: --nonsense\\u{1b}[2J\nUsage: dumpsys wakeupstats\n");
}
