// SPDX-License-Identifier: Apache-2.0
#![cfg(test)]
//! Thousands of sources: each comes through exactly once, whatever the room in the map.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use wakeupstats::load::Loaded;
use wakeupstats::model::Snapshot;
use wakeupstats::walk::{Limits, Walker};
use wakeupstats_vm::meanwhile::meanwhile;
use wakeupstats_vm::sources::{self, Sources};

/// As many as fit into no map that is not grown.
const SOURCES: usize = 4_096;

/// What the project promises to bring through.
const MANY_SOURCES: usize = 16_384;

/// The sources of all tests here: making thousands takes seconds.
static SHARED: Mutex<Option<Sources>> = Mutex::new(None);

/// At least `count` sources.
fn shared(count: usize) -> MutexGuard<'static, Option<Sources>> {
    let mut guard = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    let sources = guard.get_or_insert_with(|| Sources::new().unwrap());
    while sources.len() < count {
        sources.add_eventfd().unwrap();
    }
    guard
}

/// The ids that the kernel shows in sysfs, by a listing alone.
fn ids_in_sysfs() -> BTreeSet<u32> {
    let nodes = std::fs::read_dir("/sys/class/wakeup").unwrap();
    nodes
        .map(|node| node.unwrap().file_name().into_string().unwrap())
        .map(|node| node.trim_start_matches("wakeup").parse().unwrap())
        .collect()
}

fn assert_each_once(snapshot: &Snapshot) {
    let ids: BTreeSet<u32> = snapshot.sources.iter().map(|source| source.id).collect();
    assert_eq!(ids.len(), snapshot.sources.len(), "a source came twice");
    assert_eq!(ids, ids_in_sysfs());
    assert_eq!(snapshot.sources.len(), snapshot.walk.total as usize);
    assert!(snapshot.walk.complete);
}

#[test]
fn each_of_4096_is_returned_once() {
    let _sources = shared(SOURCES);
    let mut walker = Walker::new(Loaded::load().unwrap(), Limits::default());
    let room = walker.room();

    let snapshot = walker.snapshot().unwrap();

    assert_each_once(&snapshot);
    assert!(snapshot.walk.total as usize > SOURCES);
    assert_eq!(snapshot.walk.walks, 1, "the map was grown, so one walk is enough");
    assert!(walker.room() > room);
}

#[test]
fn where_the_map_may_not_grow_walks_are_added() {
    let _sources = shared(SOURCES);
    let program = Loaded::load().unwrap();
    let limits = Limits { max_chunks: 1, ..Limits::default() };
    let mut walker = Walker::new(program, limits);

    let snapshot = walker.snapshot().unwrap();

    assert_each_once(&snapshot);
    assert!(snapshot.walk.walks > 1);
}

#[test]
fn smallest_map_is_enough() {
    let _sources = shared(SOURCES);
    let limits = Limits { max_chunks: 1, ..Limits::default() };
    let mut walker = Walker::new(Loaded::load_with_room(1).unwrap(), limits);

    let snapshot = walker.snapshot().unwrap();

    assert_each_once(&snapshot);
    assert_eq!(walker.room(), 1);
}

#[test]
fn incomplete_snapshot_says_so_and_its_count_is_true() {
    let _sources = shared(SOURCES);
    let limits = Limits { max_chunks: 1, max_walks: 3 };
    let mut walker = Walker::new(Loaded::load_with_room(1).unwrap(), limits);

    let snapshot = walker.snapshot().unwrap();

    assert!(!snapshot.walk.complete);
    assert!(!snapshot.sources.is_empty() && snapshot.sources.len() < SOURCES);
    assert_eq!(snapshot.walk.total as usize, ids_in_sysfs().len());
}

#[test]
fn sources_that_live_through_all_walks_come_once_while_others_come_and_go() {
    let shared = shared(SOURCES);
    let living = ids_in_sysfs();
    let limits = Limits { max_chunks: 2, ..Limits::default() };
    let mut walker = Walker::new(Loaded::load_with_room(2).unwrap(), limits);
    let come_and_go = || drop(sources::eventfds(3).unwrap());
    let mut look = || {
        let snapshot = walker.snapshot().unwrap();

        let mut count = BTreeMap::new();
        for source in &snapshot.sources {
            *count.entry(source.id).or_insert(0) += 1;
        }
        assert!(count.values().all(|&count| count == 1), "a source came twice");
        assert!(living.iter().all(|id| count.contains_key(id)), "a source was lost");
        assert!(snapshot.walk.complete && snapshot.walk.walks > 1);
    };

    meanwhile(come_and_go, || (0..50).for_each(|_| look()));

    drop(shared);
}

#[test]
fn zz_each_of_16384_is_returned_once() {
    // Last by its name, as it makes four times the sources of the others.
    let _sources = shared(MANY_SOURCES);
    let mut walker = Walker::new(Loaded::load().unwrap(), Limits::default());

    let snapshot = walker.snapshot().unwrap();

    assert_each_once(&snapshot);
    assert!(snapshot.walk.total as usize > MANY_SOURCES);
    assert_eq!(snapshot.walk.walks, 1);
}
