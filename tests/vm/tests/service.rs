// SPDX-License-Identifier: Apache-2.0
#![cfg(test)]
//! The daemon, called over the kernel's binder from another process.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use rsbinder::ExceptionCode;
use wakeupstats::model;
use wakeupstats_aidl::{Cache, SnapshotOrder, SnapshotQuery, Source, WakeupSnapshot, rows};
use wakeupstats_vm::backend;
use wakeupstats_vm::daemon::{self, Daemon};
use wakeupstats_vm::sources::{self, Sources, file_name};

/// The two clocks are read one after the other, which takes less than this. Nanoseconds.
const CLOCK_GAP_NS: i64 = 10_000_000;

fn everything() -> SnapshotQuery {
    SnapshotQuery::default()
}

fn ask(query: &SnapshotQuery) -> WakeupSnapshot {
    daemon::service().unwrap().getSnapshot(query).unwrap()
}

/// What a row of the reply must say of a source that the library read `later_ns` before, if the
/// source did nothing meanwhile.
fn expected(source: &model::Source, later_ns: i64, handle: i64) -> Source {
    let later_ns = if source.active { later_ns } else { 0 };
    let active_time_ns = source.active_time_ns + later_ns;
    Source {
        handle,
        id: source.id as i32,
        name: Some(source.name.clone()),
        device: Some(source.device.clone()),
        active: source.active,
        consistent: source.consistent,
        name_truncated: source.name_truncated,
        active_count: source.active_count as i64,
        event_count: source.event_count as i64,
        wakeup_count: source.wakeup_count as i64,
        expire_count: source.expire_count as i64,
        relax_count: source.relax_count as i64,
        active_time_ns,
        total_time_ns: source.total_time_ns + later_ns,
        max_time_ns: source.max_time_ns.max(active_time_ns),
        last_change_ns: source.last_change_ns,
        prevent_suspend_time_ns: source.prevent_suspend_time_ns,
    }
}

/// A row without the times that run while a source is active.
fn timeless(row: Source) -> Source {
    Source { active_time_ns: 0, total_time_ns: 0, max_time_ns: 0, ..row }
}

/// Two groups of sources, one quiet with a history and one active.
fn quiet_and_active(count: usize) -> [Sources; 2] {
    let [quiet, active] = [(); 2].map(|()| sources::mixed(count).unwrap());
    quiet.activate_all().unwrap();
    active.activate_all().unwrap();
    thread::sleep(Duration::from_millis(5));
    quiet.relax_all().unwrap();
    [quiet, active]
}

#[test]
fn reply_has_the_rows_of_the_library() {
    let _daemon = Daemon::start().unwrap();
    let _sources = quiet_and_active(75);
    let mut backend = backend::open().unwrap();

    let here = backend.snapshot().unwrap();
    let reply = ask(&everything());

    let elapsed = reply.monotonicNs - here.walk.monotonic_ns;
    let youngest = here.sources.len() as i64;
    let expected: Vec<Source> =
        (0..).zip(&here.sources).map(|(age, it)| expected(it, elapsed, youngest - age)).collect();
    assert!(elapsed > 0);
    let rows = rows(&reply).unwrap();
    if backend::is_exact() {
        assert_eq!(rows, expected);
    } else {
        for (row, source) in rows.iter().zip(&here.sources) {
            assert!(row.active_time_ns >= source.active_time_ns, "{row:?} {source:?}");
            assert!(row.total_time_ns >= source.total_time_ns, "{row:?} {source:?}");
        }
        let timeless = |rows: Vec<Source>| rows.into_iter().map(timeless).collect::<Vec<_>>();
        assert_eq!(timeless(rows), timeless(expected.clone()));
    }
    assert!(expected.iter().filter(|row| row.active).count() >= 75);
    assert_eq!(reply.backend, backend::in_replies());
    assert_eq!((reply.walks, reply.complete, reply.incremental), (1, true, false));
    assert_eq!(reply.totalSources as usize, expected.len());
    assert!(reply.walkDurationNs > 0 && reply.instance > 0);
    assert_eq!(reply.sequence, 1);
    let suspended =
        (reply.boottimeNs - reply.monotonicNs) - (here.walk.boottime_ns - here.walk.monotonic_ns);
    assert!(suspended.abs() < CLOCK_GAP_NS, "{suspended}");
}

#[test]
fn ten_thousand_sources_come_through_whole_to_a_client_with_the_usual_mapping() {
    let _daemon = Daemon::start().unwrap();
    let _sources = sources::eventfds(10_000).unwrap();

    let reply = ask(&everything());

    let rows = rows(&reply).unwrap();
    let ids: BTreeMap<i32, i64> = rows.iter().map(|row| (row.id, row.handle)).collect();
    assert!(reply.complete && reply.largeSources.is_some());
    assert_eq!(reply.walks == 1, backend::takes_one_walk_of_many());
    assert!(rows.len() > 10_000);
    assert_eq!((ids.len(), reply.totalSources as usize), (rows.len(), rows.len()));
    assert!(rows.iter().all(|row| row.name.is_some()));
}

#[test]
fn longest_names_come_through_whole() {
    let _daemon = Daemon::start().unwrap();
    let mut sources = Sources::new().unwrap();
    for index in 0..2_000 {
        sources.add_fifo(&file_name(format!("{index:0>255}").as_bytes())).unwrap();
    }

    let rows = rows(&ask(&everything())).unwrap();

    for index in 0..2_000 {
        let name = format!("{index:0>255}");
        assert!(rows.iter().any(|row| row.name.as_ref() == Some(&name)), "{name}");
    }
}

#[test]
fn query_options_alone_and_combined() {
    let _daemon = Daemon::start().unwrap();
    let [_quiet, _active] = quiet_and_active(30);
    let names = |query: SnapshotQuery| -> Vec<String> {
        rows(&ask(&query)).unwrap().into_iter().filter_map(|row| row.name).collect()
    };
    let count = |query: SnapshotQuery| names(query).len();
    let timerfd = vec!["[timerfd]".to_owned()];
    let fifos = vec!["fifo-*".to_owned()];

    assert_eq!(count(SnapshotQuery { names: timerfd.clone(), ..everything() }), 20);
    assert_eq!(count(SnapshotQuery { globs: fifos.clone(), ..everything() }), 20);
    let either = SnapshotQuery { names: timerfd.clone(), globs: fifos.clone(), ..everything() };
    assert_eq!(count(either), 40);
    let active = SnapshotQuery { activeOnly: true, ..everything() };
    assert_eq!(count(active), 30);
    let active_fifos = SnapshotQuery { activeOnly: true, globs: fifos.clone(), ..everything() };
    assert_eq!(count(active_fifos), 10);
    assert_eq!(count(SnapshotQuery { limit: 7, ..everything() }), 7);
    let merged = SnapshotQuery { mergeByName: true, names: timerfd, ..everything() };
    let merged = rows(&ask(&merged)).unwrap();
    assert_eq!((merged.len(), merged[0].handle, merged[0].active), (1, 0, true));
    assert_eq!((merged[0].active_count, merged[0].relax_count), (20, 10));
    let by_name = SnapshotQuery {
        globs: fifos,
        mergeByName: true,
        order: SnapshotOrder::NAME,
        limit: 3,
        ..everything()
    };
    assert_eq!(names(by_name), ["fifo-11", "fifo-14", "fifo-17"]);
    let ours = vec!["[*".to_owned(), "fifo-*".to_owned()];
    let longest =
        SnapshotQuery { globs: ours, order: SnapshotOrder::TOTAL_TIME, limit: 30, ..everything() };
    let longest = rows(&ask(&longest)).unwrap();
    assert!(longest.iter().all(|row| row.active));
    assert!(longest.is_sorted_by(|left, right| left.total_time_ns >= right.total_time_ns));
}

#[test]
fn every_order_and_every_filter_of_what_changed() {
    let _daemon = Daemon::start().unwrap();
    let [quiet, active] = quiet_and_active(6);
    for order in 0..=10 {
        let reply = ask(&SnapshotQuery { order: SnapshotOrder(order), ..everything() });
        assert_eq!(rows(&reply).unwrap().len(), reply.totalSources as usize, "order {order}");
    }
    let fifos = vec!["fifo-*".to_owned()];
    let first = ask(&everything());
    let since = || SnapshotQuery {
        instance: first.instance,
        sinceSequence: first.sequence,
        knownHandle: i64::MAX,
        ..everything()
    };
    quiet.activate(2).unwrap();
    active.relax_all().unwrap();

    let fifos_changed = ask(&SnapshotQuery { globs: fifos, ..since() });
    let active_changed = ask(&SnapshotQuery { activeOnly: true, ..since() });
    let limited = ask(&SnapshotQuery { limit: 3, ..since() });
    let merged = ask(&SnapshotQuery { mergeByName: true, ..since() });

    assert_eq!(rows(&fifos_changed).unwrap().len(), 3, "one became active, two inactive");
    assert!(fifos_changed.incremental && fifos_changed.goneHandles.is_empty());
    assert_eq!(rows(&active_changed).unwrap().len(), 1);
    assert!(rows(&active_changed).unwrap()[0].name.is_none());
    assert!(active_changed.goneHandles.len() >= 6, "those that relaxed: {active_changed:?}");
    assert_eq!((limited.incremental, rows(&limited).unwrap().len()), (false, 3));
    assert!(!merged.incremental);
    let several = rows(&merged).unwrap().into_iter().filter(|row| row.handle == 0);
    assert!(several.clone().count() >= 2 && several.clone().all(|row| row.name.is_some()));
}

#[test]
fn large_replies_are_read_by_offset_and_are_what_the_aidl_says() {
    use std::fs::File;
    use std::io::{Read, Seek};
    let _daemon = Daemon::start().unwrap();
    let _sources = sources::eventfds(4_000).unwrap();

    let reply = ask(&everything());

    let mut file = File::from(reply.largeSources.as_ref().unwrap().as_ref().try_clone().unwrap());
    assert_eq!(file.stream_position().unwrap(), 0);
    let mut marker = [0; 4];
    file.read_exact(&mut marker).unwrap();
    assert_eq!(i32::from_ne_bytes(marker), 1, "not null");
    assert!(file.set_len(0).is_err(), "it is sealed");
    assert_eq!(rows(&reply).unwrap(), rows(&reply).unwrap());
}

#[test]
fn callers_that_accept_an_age_share_a_walk() {
    let _daemon = Daemon::start().unwrap();

    let first = ask(&everything());
    let shared = ask(&SnapshotQuery { maxAgeMs: 60_000, ..everything() });
    let own = ask(&everything());

    assert_eq!((shared.sequence, shared.monotonicNs), (first.sequence, first.monotonicNs));
    assert_eq!(rows(&shared).unwrap(), rows(&first).unwrap());
    assert_eq!(own.sequence, first.sequence + 1);
    assert!(own.monotonicNs > first.monotonicNs);
}

#[test]
fn queries_out_of_range_are_illegal_arguments_that_say_why() {
    let _daemon = Daemon::start().unwrap();
    let service = daemon::service().unwrap();
    let many = vec!["name".to_owned(); 1_001];
    let wrong = [
        (SnapshotQuery { limit: -1, ..everything() }, "limit is -1"),
        (SnapshotQuery { maxAgeMs: i32::MIN, ..everything() }, "maxAgeMs is -2147483648"),
        (SnapshotQuery { order: SnapshotOrder(99), ..everything() }, "99 is no order"),
        (SnapshotQuery { names: many, ..everything() }, "1001 names and 0 globs"),
        (SnapshotQuery { globs: vec!["*".repeat(5_000)], ..everything() }, "glob of 5000 bytes"),
    ];

    for (query, why) in wrong {
        let error = service.getSnapshot(&query).unwrap_err();
        assert_eq!(error.exception_code(), ExceptionCode::IllegalArgument);
        assert!(error.message().unwrap().contains(why), "{why}: {error:?}");
    }
    assert!(service.getSnapshot(&everything()).is_ok());
}

#[test]
fn what_changed_is_all_that_travels_and_makes_the_full_snapshot() {
    let _daemon = Daemon::start().unwrap();
    let sources = sources::mixed(150).unwrap();
    let mut cache = Cache::default();
    cache.apply(&ask(&cache.query())).unwrap();
    sources.activate(7).unwrap();
    let gone = sources::eventfds(3).unwrap();
    cache.apply(&ask(&cache.query())).unwrap();
    drop(gone);

    let changes = ask(&cache.query());
    cache.apply(&changes).unwrap();

    let changed = rows(&changes).unwrap();
    assert!(changes.incremental);
    assert_eq!(
        (changed.len(), changes.goneHandles.len()),
        (1, 4),
        "the timerfd; eventpoll and three"
    );
    assert!(changed[0].active && changed[0].name.is_none());
    let full = rows(&ask(&SnapshotQuery { maxAgeMs: 60_000, ..everything() })).unwrap();
    assert_eq!(cache.sources().cloned().collect::<Vec<_>>(), full);
}

#[test]
fn sequences_of_another_life_or_the_future_get_a_full_snapshot() {
    let first = {
        let _daemon = Daemon::start().unwrap();
        ask(&everything())
    };
    let _daemon = Daemon::start().unwrap();
    let now = ask(&everything());
    let known = i64::MAX;
    let since = |instance, sequence| {
        ask(&SnapshotQuery {
            instance,
            sinceSequence: sequence,
            knownHandle: known,
            ..everything()
        })
    };

    assert_ne!(first.instance, now.instance);
    assert!(since(now.instance, now.sequence).incremental);
    for (instance, sequence) in [
        (first.instance, first.sequence),
        (now.instance, now.sequence + 100),
        (now.instance, i64::MAX),
        (now.instance, -1),
    ] {
        let reply = since(instance, sequence);
        assert!(!reply.incremental);
        assert_eq!(rows(&reply).unwrap().len(), reply.totalSources as usize);
    }
    assert!(rows(&since(first.instance, 1)).unwrap().iter().all(|row| row.name.is_some()));
}

#[test]
fn status_says_how_the_service_does_its_work() {
    let _daemon = Daemon::start().unwrap();
    let service = daemon::service().unwrap();
    let before = service.getStatus().unwrap();
    let snapshot = ask(&everything());

    let status = service.getStatus().unwrap();

    assert_eq!((before.sequence, before.lastSnapshotNs, before.totalSources), (0, 0, 0));
    assert_eq!((status.backend, status.passedOver.len()), (backend::in_replies(), 0));
    assert!((1..snapshot.monotonicNs).contains(&status.backendSinceNs));
    assert_eq!((status.instance, status.sequence), (snapshot.instance, snapshot.sequence));
    assert_eq!((before.walks, status.walks), (0, 1));
    assert_eq!(status.lastSnapshotNs, snapshot.monotonicNs);
    assert_eq!(status.totalSources, snapshot.totalSources);
    assert_eq!(status.roomBytes, backend::room_bytes());
    assert_eq!((status.lastError.as_str(), status.lastErrorNs), ("", 0));
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    assert_eq!(status.kernelRelease, release.trim());
}

#[test]
fn interface_says_which_frozen_version_it_is() {
    const HASH: &str = include_str!("../../../aidl/aidl_api/android.system.wakeupstats/1/.hash");
    let _daemon = Daemon::start().unwrap();
    let service = daemon::service().unwrap();

    assert_eq!(service.getInterfaceVersion().unwrap(), 1);
    assert_eq!(service.getInterfaceHash().unwrap(), HASH.trim());
}
