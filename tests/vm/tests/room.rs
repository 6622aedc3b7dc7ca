// SPDX-License-Identifier: Apache-2.0
#![cfg(test)]
//! Thousands of sources and a map that is too small: it grows, or the list is walked several times, as
//! the limits have it.
//!
//! Where the kernel has no kfuncs there is no map, and the program must not load.

use std::collections::BTreeMap;

use wakeupstats::layout::{WS_CHUNKS, ws_record};
use wakeupstats::load::{Error, Loaded};
use wakeupstats::walk::{Limits, Walker};
use wakeupstats_vm::kfuncs::Kfuncs;
use wakeupstats_vm::many::{assert_each_once, ids_in_sysfs, shared};
use wakeupstats_vm::meanwhile::meanwhile;
use wakeupstats_vm::raw::Runs;
use wakeupstats_vm::sources::{self, Sources, file_name};

/// As many as fit into no map that is not grown.
const SOURCES: usize = 4_096;

/// The program with a map of so many chunks.
fn load(chunks: u32) -> Option<Loaded> {
    let loaded = Loaded::load_with_room(chunks);
    if Kfuncs::of_this_kernel().exist() {
        return Some(loaded.unwrap());
    }
    assert!(matches!(loaded, Err(Error::NoKfunc)), "{loaded:?}");
    None
}

/// Many FIFOs whose names are of this byte: as long as one to four words hold with the NUL, less
/// `less`.
fn fifos(byte: u8, less: usize) -> Vec<Sources> {
    let fifos = |_| {
        let mut sources = Sources::new().unwrap();
        for len in (7..32).step_by(8) {
            sources.add_fifo(&file_name(&vec![byte; len - less])).unwrap();
        }
        sources
    };
    (0..100).map(fifos).collect()
}

#[test]
fn nothing_of_the_kernel_follows_a_name_in_the_map() {
    // Shorter names get the memory of longer ones.
    drop(fifos(b'x', 0));
    let _sources = fifos(b'n', 3);
    let Some(mut program) = load(WS_CHUNKS) else { return };

    let (_, records) = program.run_once().unwrap();

    for record in &records {
        let ws_record { name_len, device_len, .. } = record.numbers;
        let strings = usize::from(name_len) + usize::from(device_len);
        let padding = &record.bytes[size_of::<ws_record>() + strings..];
        assert!(padding.iter().all(|&byte| byte == 0), "after {strings} bytes: {padding:?}");
    }
    let seen = records.len();
    assert!(seen > 400, "{seen} records");
}

#[test]
fn where_the_map_may_not_grow_walks_are_added() {
    let _sources = shared(SOURCES);
    let Some(program) = load(WS_CHUNKS) else { return };
    let limits = Limits { max_chunks: 1, ..Limits::default() };
    let mut walker = Walker::new(program, limits);

    let snapshot = walker.snapshot().unwrap();

    assert_each_once(snapshot);
    assert!(snapshot.walk.walks > 1);
}

#[test]
fn smallest_map_is_enough() {
    let _sources = shared(SOURCES);
    let limits = Limits { max_chunks: 1, ..Limits::default() };
    let Some(program) = load(1) else { return };
    let mut walker = Walker::new(program, limits);

    let snapshot = walker.snapshot().unwrap();

    assert_each_once(snapshot);
    assert_eq!(walker.room(), 1);
}

#[test]
fn incomplete_snapshot_says_so_and_its_count_is_true() {
    let _sources = shared(SOURCES);
    let limits = Limits { max_chunks: 1, max_walks: 3 };
    let Some(program) = load(1) else { return };
    let mut walker = Walker::new(program, limits);

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
    let Some(program) = load(2) else { return };
    let mut walker = Walker::new(program, limits);
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
