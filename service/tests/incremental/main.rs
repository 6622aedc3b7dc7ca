// SPDX-License-Identifier: Apache-2.0
#![cfg(test)]
//! Whatever sources do, and whenever clients ask: what changed, applied to what was there, is what is
//! there now; and nothing that only rises ever falls.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use wakeupstats::model::{Backend, Changes, Snapshot, Source, Walk};
use wakeupstats::query::Query;
use wakeupstats::tracker::{Since, Tracker};

mod kernel;

use kernel::{CLIENTS, Event, Kernel, at, event, source};

/// This life of the service.
const INSTANCE: i64 = 77;

/// By how much a total may stay above the truth: the tracker allows for two clocks. Nanoseconds.
const JITTER: i64 = 1_000_000;

/// The same snapshot with the places in which it differs from the former one, as a walker tells them.
fn with_changes(snapshot: &Snapshot, former: Option<&Snapshot>) -> Snapshot {
    let former = former.filter(|former| former.sources.len() == snapshot.sources.len());
    let changes = former.map(|former| Changes {
        since_ns: former.walk.monotonic_ns,
        places: (0..snapshot.sources.len())
            .filter(|&place| snapshot.sources[place] != former.sources[place])
            .collect(),
    });
    Snapshot { changes, ..snapshot.clone() }
}

/// A client's copy, kept by what changed.
struct Client {
    /// What it asks for, but for since when.
    query: Query,
    since: Option<Since>,
    rows: BTreeMap<i64, Source>,
}

/// One that asks for all, one for what is active, and one for a name.
fn clients() -> [Client; CLIENTS] {
    let named = Query::default().named(&["[timerfd]".to_owned()], &["event*".to_owned()]).unwrap();
    [Query::default(), Query::default().active_only(true), named].map(|query| Client {
        query,
        since: None,
        rows: BTreeMap::new(),
    })
}

impl Client {
    fn ask(&mut self, tracker: &Tracker) {
        let query = self.query.clone();
        let query = match self.since {
            Some(since) => query.since(since),
            None => query,
        };
        let answer = query.answer(tracker);
        let former = self.rows.clone();
        if answer.incremental {
            answer.gone.iter().for_each(|handle| drop(self.rows.remove(handle)));
        } else {
            self.rows.clear();
        }
        for row in &answer.rows {
            if let Some(former) = former.get(&row.handle) {
                assert_rises(former, &row.source);
            }
            self.rows.insert(row.handle, row.source.clone());
        }
        self.since = Some(Since { instance: INSTANCE, sequence: tracker.sequence() });
    }
}

fn assert_rises(old: &Source, new: &Source) {
    assert_eq!(old.name, new.name);
    let counts = |it: &Source| {
        [it.active_count, it.event_count, it.wakeup_count, it.expire_count, it.relax_count]
    };
    let times = |it: &Source| {
        [it.total_time_ns, it.max_time_ns, it.last_change_ns, it.prevent_suspend_time_ns]
    };
    let rose = counts(old).iter().zip(counts(new)).all(|(old, new)| *old <= new)
        && times(old).iter().zip(times(new)).all(|(old, new)| *old <= new);
    assert!(rose, "from {old:?} to {new:?}");
}

/// The rows are the kernel's sources, each once and with its values.
fn assert_true(tracker: &Tracker, kernel: &Kernel) {
    let rows = tracker.rows();
    assert_eq!(rows.len(), kernel.list.len());
    for (row, stored) in rows.iter().zip(&kernel.list) {
        let truth = at(stored, kernel.now);
        assert_eq!((row.source.id, &row.source.name), (truth.id, &truth.name));
        if row.source.consistent {
            assert_eq!(row.source.event_count, truth.event_count);
            assert_eq!(
                (row.source.active, row.source.active_count),
                (truth.active, truth.active_count)
            );
            let above = row.source.total_time_ns - truth.total_time_ns;
            assert!((0..=JITTER).contains(&above), "{above} ns above the truth");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn what_changed_applied_to_what_was_there_is_what_is_there(
        events in prop::collection::vec(event(), 1..120)
    ) {
        let mut kernel = Kernel::default();
        let mut tracker = Tracker::new(INSTANCE);
        let mut told = Tracker::new(INSTANCE);
        let mut former = None;
        let mut clients = clients();
        for event in &events {
            kernel.apply(event);
            if let Event::Ask(client) = *event {
                let snapshot = kernel.snapshot();
                let complete = snapshot.walk.complete;
                tracker.update(&snapshot);
                clients[client].ask(&tracker);

                told.update(&with_changes(&snapshot, former.as_ref()));
                former = Some(snapshot);
                prop_assert_eq!(told.rows(), tracker.rows(), "who is told looks no less closely");
                prop_assert_eq!(
                    told.gone_since(0).collect::<Vec<_>>(),
                    tracker.gone_since(0).collect::<Vec<_>>()
                );

                let handles: BTreeSet<i64> = tracker.rows().iter().map(|row| row.handle).collect();
                prop_assert_eq!(handles.len(), tracker.rows().len(), "a handle came twice");
                let full = clients[client].query.answer(&tracker);
                let full: BTreeMap<i64, Source> =
                    full.rows.iter().map(|row| (row.handle, row.source.clone())).collect();
                prop_assert_eq!(&clients[client].rows, &full);
                if complete {
                    assert_true(&tracker, &kernel);
                }
            }
        }
    }
}

fn complete(sources: Vec<Source>) -> Snapshot {
    let mut kernel = Kernel { list: sources, ..Kernel::default() };
    kernel.snapshot()
}

fn handles(tracker: &Tracker) -> Vec<i64> {
    tracker.rows().iter().map(|row| row.handle).collect()
}

#[test]
fn changes_since_another_snapshot_than_the_last_are_not_relied_on() {
    let mut tracker = Tracker::new(INSTANCE);
    let snapshot = |now: i64, event_count: u64| Snapshot {
        walk: Walk { monotonic_ns: now, ..complete(Vec::new()).walk },
        sources: vec![Source { event_count, ..source(0, "s") }],
        changes: None,
    };
    let unchanged = |since_ns, snapshot: Snapshot| Snapshot {
        changes: Some(Changes { since_ns, places: Vec::new() }),
        ..snapshot
    };
    let events = |tracker: &Tracker| tracker.rows()[0].source.event_count;
    tracker.update(&snapshot(1_000, 1));

    // Somebody else got the snapshot of 2,000.
    tracker.update(&unchanged(2_000, snapshot(3_000, 2)));
    assert_eq!(events(&tracker), 2);

    let by_other = unchanged(3_000, snapshot(4_000, 3));
    let walk = Walk { backend: Backend::Pinned, ..by_other.walk };
    tracker.update(&Snapshot { walk, ..by_other });
    assert_eq!(events(&tracker), 3);
}

#[test]
fn used_id_is_another_source_if_it_overtook_an_older_one() {
    let mut tracker = Tracker::new(INSTANCE);
    tracker.update(&complete(vec![source(1, "same"), source(0, "same")]));
    assert_eq!(handles(&tracker), [2, 1]);

    // Source 0 went and came again: it is on the list before source 1 now, which it was behind.
    tracker.update(&complete(vec![source(0, "same"), source(1, "same")]));

    assert_eq!(handles(&tracker), [3, 2]);
    assert_eq!(tracker.gone_since(1).collect::<Vec<_>>(), [1]);
}

#[test]
fn used_id_is_another_source_if_a_count_went_back_or_the_name_is_another() {
    let used = Source { event_count: 5, ..source(0, "same") };
    for newer in
        [Source { event_count: 4, ..used.clone() }, Source { name: "x".into(), ..used.clone() }]
    {
        let mut tracker = Tracker::new(INSTANCE);
        tracker.update(&complete(vec![used.clone()]));

        tracker.update(&complete(vec![newer]));

        assert_eq!(handles(&tracker), [2]);
        assert_eq!(tracker.gone_since(1).collect::<Vec<_>>(), [1]);
    }
}

#[test]
fn sequences_that_say_nothing_get_a_full_answer() {
    let mut tracker = Tracker::new(INSTANCE);
    tracker.update(&complete(vec![source(0, "s")]));
    tracker.update(&complete(vec![source(0, "s")]));
    let incremental = |instance, sequence| {
        Query::default().since(Since { instance, sequence }).answer(&tracker).incremental
    };

    assert!(incremental(INSTANCE, 1) && incremental(INSTANCE, 2));
    assert!(!incremental(INSTANCE + 1, 1), "another instance");
    assert!(!incremental(INSTANCE, 3), "the future");
    assert!(!incremental(INSTANCE, 0) && !incremental(INSTANCE, -1), "before the first");
    assert!(!incremental(INSTANCE, i64::MIN) && !incremental(INSTANCE, i64::MAX));
}

#[test]
fn what_is_forgotten_gets_a_full_answer_and_memory_is_bounded() {
    /// A little more than the log of what is gone has place for.
    const GONE: u32 = 5_000;
    let mut tracker = Tracker::new(INSTANCE);
    tracker.update(&complete((0..GONE).map(|id| source(id, "s")).collect()));
    tracker.update(&complete(vec![]));
    tracker.update(&complete(vec![]));
    let answer = |sequence| {
        let answer =
            Query::default().since(Since { instance: INSTANCE, sequence }).answer(&tracker);
        (answer.incremental, answer.gone.len())
    };

    assert_eq!(answer(1), (false, 0));
    assert_eq!(answer(2), (true, 0));
    assert!(tracker.gone_since(0).count() < GONE as usize);
}

#[test]
fn incomplete_snapshot_takes_nothing_away() {
    let mut tracker = Tracker::new(INSTANCE);
    tracker.update(&complete(vec![source(1, "a"), source(0, "b")]));
    let mut snapshot = complete(vec![source(1, "a")]);
    snapshot.walk.complete = false;

    tracker.update(&snapshot);

    assert_eq!(handles(&tracker), [2, 1]);
}

#[test]
fn incomplete_snapshot_of_sysfs_takes_away_what_it_did_not_list() {
    let by_sysfs = |sources: Vec<Source>| {
        let snapshot = complete(sources);
        let walk = Walk { backend: Backend::Sysfs, complete: false, total: 3, ..snapshot.walk };
        Snapshot { walk, ..snapshot }
    };
    let mut tracker = Tracker::new(1);
    tracker.update(&by_sysfs(vec![source(1, "goes"), source(0, "stays")]));

    // One that can't be read keeps each snapshot from being complete, for as long as it lives.
    tracker.update(&by_sysfs(vec![source(0, "stays")]));

    assert_eq!(handles(&tracker), [1]);
    assert_eq!(tracker.gone_since(1).collect::<Vec<_>>(), [2]);
}

#[test]
fn torn_row_is_the_same_source_and_takes_nothing_back() {
    let active =
        Source { active: true, active_count: 1, total_time_ns: 90_000_000, ..source(0, "s") };
    let torn = Source { consistent: false, total_time_ns: 0, active: false, ..active.clone() };
    let mut tracker = Tracker::new(INSTANCE);
    let mut snapshot = complete(vec![source(0, "s")]);
    snapshot.sources = vec![active];
    tracker.update(&snapshot);
    snapshot.sources = vec![torn];

    tracker.update(&snapshot);

    let row = &tracker.rows()[0];
    assert_eq!((row.handle, row.source.total_time_ns), (1, 90_000_000));
    assert!(!row.source.consistent);
}

#[test]
fn order_proves_nothing_where_it_was_not_the_lists() {
    let sources = || vec![source(2, "s"), source(1, "s"), source(0, "s")];
    let mut by_ids = complete(vec![source(0, "s"), source(1, "s"), source(2, "s")]);
    by_ids.walk.walks = 2;
    let mut incomplete = complete(vec![source(1, "s"), source(0, "s")]);
    incomplete.walk.complete = false;

    for between in [by_ids, incomplete] {
        let mut tracker = Tracker::new(INSTANCE);
        tracker.update(&complete(sources()));
        tracker.update(&between);

        tracker.update(&complete(sources()));

        assert_eq!(handles(&tracker), [3, 2, 1]);
        assert_eq!(tracker.gone_since(0).count(), 0);

        // From then on it proves something again: source 0 went and came again.
        tracker.update(&complete(sources()));
        tracker.update(&complete(vec![source(0, "s"), source(2, "s"), source(1, "s")]));
        assert_eq!(handles(&tracker), [4, 3, 2]);
    }
}

#[test]
fn order_proves_something_again_once_the_list_was_seen_whole() {
    let both = || vec![source(1, "s"), source(0, "s")];
    let mut incomplete = complete(vec![source(1, "s")]);
    incomplete.walk.complete = false;
    let mut tracker = Tracker::new(INSTANCE);
    tracker.update(&complete(both()));
    tracker.update(&incomplete);
    tracker.update(&complete(both()));
    assert_eq!(handles(&tracker), [2, 1]);

    tracker.update(&complete(vec![source(0, "s"), source(1, "s")]));

    assert_eq!(handles(&tracker), [3, 2]);
}

#[test]
fn sources_stay_the_same_when_another_backend_reads_them() {
    let precise = |id, ns: i64| Source {
        event_count: 3,
        total_time_ns: ns,
        max_time_ns: ns,
        last_change_ns: ns,
        ..source(id, "s")
    };
    let whole_ms = |source: &Source| Source {
        total_time_ns: source.total_time_ns / 1_000_000 * 1_000_000,
        max_time_ns: source.max_time_ns / 1_000_000 * 1_000_000,
        last_change_ns: source.last_change_ns / 1_000_000 * 1_000_000,
        ..source.clone()
    };
    let by_bpf = vec![precise(2, 7_999_999), precise(1, 2_000_001), precise(0, 999_999)];
    let by_sysfs: Vec<Source> = [1, 2, 0].map(|index: usize| whole_ms(&by_bpf[index])).into();
    let with = |backend, sources: Vec<Source>| {
        let snapshot = complete(sources);
        Snapshot { walk: Walk { backend, ..snapshot.walk }, ..snapshot }
    };
    let mut tracker = Tracker::new(1);
    tracker.update(&complete(by_bpf.clone()));

    tracker.update(&with(Backend::Sysfs, by_sysfs.clone()));

    assert_eq!(handles(&tracker), [2, 1, 3], "each has its own, in another order");
    let total_ns = |index: usize| tracker.rows()[index].source.total_time_ns;
    assert_eq!([0, 1, 2].map(total_ns), [2_000_001, 999_999, 7_999_999], "nothing falls");
    tracker.update(&with(Backend::Sysfs, by_sysfs.clone()));
    assert_eq!(handles(&tracker), [2, 1, 3], "nor is anyone another when it reads them again");
    tracker.update(&complete(by_bpf));
    assert_eq!(handles(&tracker), [3, 2, 1]);
    let earlier = Source { last_change_ns: 2_000_000, ..by_sysfs[0].clone() };
    tracker.update(&complete(vec![earlier]));
    assert_eq!(handles(&tracker), [4], "of one backend it is another that changed earlier");
}
