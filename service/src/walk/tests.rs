// SPDX-License-Identifier: Apache-2.0

use std::collections::BTreeSet;

use super::*;
use crate::layout::{WS_LIST_BROKEN, ws_record};
use crate::records::testing::chunk;

/// Records in a chunk of the simulated map: small, so that few ids fill it.
const RECORDS_PER_CHUNK: usize = 4;

/// A kernel's list as the program sees it, and a map that may or may not grow.
struct Kernel {
    ids: Vec<u32>,
    room: u32,
    grows: bool,
    flags: u32,
    /// What happens on the list before each run, which is given its number.
    churn: fn(&mut Vec<u32>, u32),
    runs: u32,
    attempts_to_grow: u32,
    /// Whether the first chunk says that it has a record more.
    spoilt: bool,
    map: Vec<ws_chunk>,
}

fn kernel(ids: impl IntoIterator<Item = u32>, room: u32) -> Kernel {
    Kernel {
        ids: ids.into_iter().collect(),
        room,
        grows: true,
        flags: 0,
        churn: |_, _| (),
        runs: 0,
        attempts_to_grow: 0,
        spoilt: false,
        map: Vec::new(),
    }
}

impl Program for Kernel {
    const BACKEND: Backend = Backend::Load;

    fn run(&mut self, ids: RangeInclusive<u32>) -> io::Result<ws_args> {
        (self.churn)(&mut self.ids, self.runs);
        self.runs += 1;
        let matched: Vec<u32> = self.ids.iter().copied().filter(|id| ids.contains(id)).collect();
        let copied = matched.len().min(self.room as usize * RECORDS_PER_CHUNK);
        self.map = matched[..copied]
            .chunks(RECORDS_PER_CHUNK)
            .map(|ids| {
                let record = |&id| (ws_record { id, ..ws_record::default() }, &b"s"[..], &b""[..]);
                *chunk(&ids.iter().map(record).collect::<Vec<_>>())
            })
            .collect();
        if let Some(chunk) = self.map.first_mut() {
            chunk.records += u32::from(self.spoilt);
        }
        Ok(ws_args {
            flags: self.flags,
            duration_ns: 10,
            monotonic_ns: u64::from(self.runs),
            total: self.ids.len() as u32,
            matched: matched.len() as u32,
            copied: copied as u32,
            chunks: self.map.len() as u32,
            max_id: self.ids.iter().copied().max().unwrap_or(0),
            ..ws_args::default()
        })
    }

    fn chunks(&self, count: u32) -> io::Result<&[ws_chunk]> {
        Ok(&self.map[..count as usize])
    }

    fn room(&self) -> u32 {
        self.room
    }

    fn grow(&mut self, chunks: u32) -> io::Result<()> {
        self.attempts_to_grow += 1;
        if !self.grows {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        self.room = chunks;
        Ok(())
    }
}

fn ids(snapshot: &Snapshot) -> BTreeSet<u32> {
    let ids: BTreeSet<u32> = snapshot.sources.iter().map(|source| source.id).collect();
    assert_eq!(ids.len(), snapshot.sources.len(), "an id came twice");
    ids
}

#[test]
fn what_fits_takes_one_walk_in_the_kernels_order() {
    let mut walker = Walker::new(kernel([7, 1, 4], 1), Limits::default());

    let snapshot = walker.snapshot().unwrap().clone();

    let order: Vec<u32> = snapshot.sources.iter().map(|source| source.id).collect();
    assert_eq!(order, [7, 1, 4]);
    assert_eq!((snapshot.walk.walks, snapshot.walk.total, snapshot.walk.complete), (1, 3, true));
    assert_eq!(walker.program.attempts_to_grow, 0);
}

#[test]
fn map_grows_until_all_fit_and_no_further_than_allowed() {
    let mut walker = Walker::new(kernel(0..100, 1), Limits::default());
    let mut bounded = Walker::new(kernel(0..100, 1), Limits { max_chunks: 3, ..Limits::default() });

    let grown = walker.snapshot().unwrap().clone();
    let split = bounded.snapshot().unwrap().clone();

    assert_eq!((ids(&grown).len(), grown.walk.walks), (100, 1));
    assert_eq!((ids(&split).len(), split.walk.complete), (100, true));
    assert!(split.walk.walks > 1);
    assert_eq!((bounded.room(), bounded.program.attempts_to_grow), (3, 1));
}

#[test]
fn map_that_can_not_grow_is_asked_again_after_a_while() {
    let mut walker = Walker::new(Kernel { grows: false, ..kernel(0..50, 2) }, Limits::default());

    let first = walker.snapshot().unwrap().clone();
    let second = walker.snapshot().unwrap().clone();

    assert_eq!((ids(&first).len(), ids(&second).len()), (50, 50));
    assert_eq!(walker.program.attempts_to_grow, 1);
    walker.program.grows = true;
    let later = (0..PATIENCE).map(|_| walker.snapshot().unwrap().clone()).last().unwrap();
    assert_eq!((later.walk.walks, walker.program.attempts_to_grow), (1, 2));
}

#[test]
fn source_that_lives_through_all_walks_comes_once_whatever_comes_and_goes() {
    // Odd ids go and come again between the runs, and with them the places in the list move.
    let churn = |list: &mut Vec<u32>, run: u32| {
        list.retain(|id| id % 2 == 0);
        list.splice(0..0, (0..40).filter(|id| id % 2 == 1 && id % 3 == run % 3));
    };
    let kernel = Kernel { grows: false, churn, ..kernel((0..40).rev(), 1) };
    let mut walker = Walker::new(kernel, Limits::default());

    let snapshot = walker.snapshot().unwrap().clone();

    let even: BTreeSet<u32> = (0..40).step_by(2).collect();
    assert!(ids(&snapshot).is_superset(&even));
    assert!(snapshot.walk.complete && snapshot.walk.walks > 1);
    // The first run was one in vain: the clock is that of the first that counts.
    assert_eq!(snapshot.walk.monotonic_ns, 2);
    assert_eq!(snapshot.walk.duration_ns, 10 * i64::from(snapshot.walk.walks));
}

#[test]
fn fewer_ids_are_asked_for_where_more_came_meanwhile() {
    let churn = |list: &mut Vec<u32>, run: u32| {
        if run == 1 {
            list.splice(0..0, 0..8);
        }
    };
    let sparse = [100, 200, 300, 400, 500];
    let kernel = Kernel { grows: false, churn, ..kernel(sparse, 1) };
    let mut walker = Walker::new(kernel, Limits::default());

    let snapshot = walker.snapshot().unwrap().clone();

    let expected: BTreeSet<u32> = (0..8).chain(sparse).collect();
    assert_eq!((ids(&snapshot), snapshot.walk.total), (expected, 13));
}

#[test]
fn too_few_walks_make_an_incomplete_snapshot_with_a_true_total() {
    let limits = Limits { max_chunks: 1, max_walks: 3 };
    let mut walker = Walker::new(kernel(0..100, 1), limits);

    let snapshot = walker.snapshot().unwrap().clone();

    assert_eq!(
        (ids(&snapshot).len(), snapshot.walk.total, snapshot.walk.complete),
        (12, 100, false)
    );
}

#[test]
fn changes_are_those_since_the_last_snapshot_if_both_are_of_one_walk() {
    let limits = Limits { max_chunks: 1, ..Limits::default() };
    let mut walker = Walker::new(kernel([], 1), limits);
    let mut next = |ids: &[u32]| {
        walker.program.ids = ids.to_vec();
        let Snapshot { walk, sources, changes } = walker.snapshot().unwrap();
        assert!(walk.walks > 1 || sources.iter().map(|source| source.id).eq(ids.iter().copied()));
        (walk.monotonic_ns, changes.clone().map(|changes| (changes.since_ns, changes.places)))
    };

    assert_eq!(next(&[3, 1]), (1, None), "nothing came before");
    assert_eq!(next(&[3, 1]), (2, Some((1, vec![]))));
    assert_eq!(next(&[3, 2]), (3, Some((2, vec![1]))));
    assert_eq!(next(&[4, 3, 2]), (4, None), "others are in the places");
    assert_eq!(next(&[4, 3, 0]), (5, Some((4, vec![2]))));
    assert_eq!(next(&[5, 4, 3, 0, 1]).1, None, "in several walks");
    assert_eq!(next(&[4, 3, 0]).1, None, "after several walks");
    assert!(matches!(next(&[4, 3, 0]).1, Some((_, places)) if places.is_empty()));
}

#[test]
fn snapshot_that_failed_is_not_compared_with() {
    let mut walker = Walker::new(kernel([3, 1], 1), Limits::default());
    walker.snapshot().unwrap();

    // The first sources are decoded before the snapshot fails.
    walker.program.spoilt = true;
    walker.program.ids = vec![4, 1];
    walker.snapshot().unwrap_err();
    walker.program.spoilt = false;

    let snapshot = walker.snapshot().unwrap();
    assert_eq!(snapshot.changes, None);
    assert_eq!(snapshot.sources[0].id, 4);
}

#[test]
fn list_that_was_not_walked_to_its_end_is_incomplete() {
    let broken = Kernel { flags: WS_LIST_BROKEN, ..kernel(0..3, 1) };
    let broken_and_small = Kernel { flags: WS_LIST_BROKEN, grows: false, ..kernel(0..30, 1) };

    for kernel in [broken, broken_and_small] {
        let mut walker = Walker::new(kernel, Limits::default());
        assert!(!walker.snapshot().unwrap().walk.complete);
    }
}
