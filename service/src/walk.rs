// SPDX-License-Identifier: Apache-2.0
//! From runs of the BPF program to one [`Snapshot`], whatever the room in the program's map.
//!
//! The map of one run holds all sources of a usual device. Where it does not, it is grown; where it
//! may not grow, the list is walked several times, each time for other ids. An id stays with its
//! source for as long as it is on the list, and the ids of two walks never overlap, so a source that
//! lives throughout is returned exactly once, whatever comes and goes meanwhile.

use std::fmt;
use std::io;
use std::ops::RangeInclusive;

use log::{debug, warn};
use thiserror::Error;

use crate::backends::{Failure, TakeSnapshot};
use crate::layout::{WS_LAYOUT_VERSION, ws_args, ws_chunk};
use crate::model::{Backend, Snapshot, Walk};
use crate::records::{self, Malformed, Refill};

/// An attempt to grow that failed is not repeated for so many snapshots: it costs milliseconds.
const PATIENCE: u32 = 100;

const ALL_IDS: RangeInclusive<u32> = 0..=u32::MAX;

/// The BPF program `snapshot` and its map.
pub trait Program {
    /// How this process came by it.
    const BACKEND: Backend;

    /// Walks the list once and copies the sources with these ids to the map, as far as it has room.
    fn run(&mut self, ids: RangeInclusive<u32>) -> io::Result<ws_args>;

    /// The first `count` chunks of the map, as the last run left them.
    fn chunks(&self, count: u32) -> io::Result<&[ws_chunk]>;

    /// How many chunks the map has.
    fn room(&self) -> u32;

    /// Gives the map room for `chunks` chunks.
    fn grow(&mut self, chunks: u32) -> io::Result<()>;
}

/// The context with which the program is asked for the sources with these ids.
pub fn args(ids: RangeInclusive<u32>) -> ws_args {
    ws_args {
        layout_version: WS_LAYOUT_VERSION,
        first_id: *ids.start(),
        last_id: *ids.end(),
        ..ws_args::default()
    }
}

/// What the program returned: 0, or the negative number of an error.
pub fn returned(value: i32) -> io::Result<()> {
    match value {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error.saturating_neg())),
    }
}

/// How far a [`Walker`] may go.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The most chunks (of 4 KiB each) that the map may grow to.
    pub max_chunks: u32,
    /// The most walks that one snapshot may take.
    pub max_walks: u32,
}

impl Default for Limits {
    /// 8 MiB of kernel memory, enough for 16,384 sources all of which have the longest names; and
    /// so many walks that only time limits what a map of 128 KiB can be made to yield.
    fn default() -> Self {
        Limits { max_chunks: 2048, max_walks: 1024 }
    }
}

/// A snapshot that could not be read.
#[derive(Debug, Error)]
pub enum Error {
    /// The kernel did not run the program.
    #[error("the BPF program did not run")]
    Run(#[source] io::Error),
    /// The map could not be read.
    #[error("the records of the BPF program can't be read")]
    Records(#[source] io::Error),
    /// The map holds something else than records.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

/// Reads snapshots with a [`Program`].
#[derive(Debug)]
pub struct Walker<P> {
    program: P,
    limits: Limits,
    /// How many snapshots that are short of room go by before the next attempt to grow.
    patience: u32,
    /// The last one, over which the next is written.
    snapshot: Snapshot,
}

impl<P: Program> Walker<P> {
    /// A reader of snapshots that stays within `limits`.
    pub fn new(program: P, limits: Limits) -> Self {
        let snapshot = Snapshot { walk: begin::<P>(&ws_args::default()), sources: Vec::new() };
        Walker { program, limits, patience: 0, snapshot }
    }

    /// How many chunks the map has.
    pub fn room(&self) -> u32 {
        self.program.room()
    }

    /// Reads the kernel's wakeup sources now.
    pub fn snapshot(&mut self) -> Result<&Snapshot, Error> {
        let mut args = self.run(ALL_IDS)?;
        while !has_all(&args) && self.grow(&args) {
            args = self.run(ALL_IDS)?;
        }
        if !has_all(&args) {
            return self.snapshot_by_ids(args.copied);
        }
        self.snapshot.walk = Walk { complete: args.flags == 0, ..begin::<P>(&args) };
        let mut sources = Refill::new(&mut self.snapshot.sources);
        append(&self.program, &args, &mut sources)?;
        sources.finish();
        Ok(&self.snapshot)
    }

    /// Reads the list in several walks, of as many ids each as there was room for in the first,
    /// which returned `width` sources: ids are dense, as the kernel always gives out the lowest
    /// one that is free.
    fn snapshot_by_ids(&mut self, width: u32) -> Result<&Snapshot, Error> {
        let Walker { program, snapshot, .. } = self;
        let mut sources = Refill::new(&mut snapshot.sources);
        let mut width = width.max(1);
        let mut first = 0;
        let mut merged: Option<Walk> = None;
        for _ in 0..self.limits.max_walks {
            let last = u32::saturating_add(first, width - 1);
            let args = program.run(first..=last).map_err(Error::Run)?;
            if !has_all(&args) && width > 1 {
                width = width.div_ceil(2);
                continue;
            }
            let walk = match &mut merged {
                Some(walk) => {
                    walk.walks += 1;
                    walk.duration_ns =
                        walk.duration_ns.saturating_add(args.duration_ns.cast_signed());
                    walk
                }
                None => merged.insert(begin::<P>(&args)),
            };
            append(program, &args, &mut sources)?;
            walk.total = args.total;
            if args.flags != 0 || !has_all(&args) {
                break;
            }
            if last >= args.max_id {
                walk.complete = true;
                break;
            }
            first = last + 1;
        }
        sources.finish();
        snapshot.walk =
            merged.ok_or_else(|| Error::Run(io::Error::other("no walk was allowed")))?;
        Ok(snapshot)
    }

    fn run(&mut self, ids: RangeInclusive<u32>) -> Result<ws_args, Error> {
        self.program.run(ids).map_err(Error::Run)
    }

    /// Makes room for all sources that `args` counted. Says whether that is worth another run.
    fn grow(&mut self, args: &ws_args) -> bool {
        let room = self.program.room();
        if room >= self.limits.max_chunks {
            return false;
        }
        if self.patience > 0 {
            self.patience -= 1;
            return false;
        }
        // A quarter more than the sources seen so far would need, as names differ in length.
        let needed = u64::from(room) * u64::from(args.matched) / u64::from(args.copied.max(1));
        let wanted = needed.saturating_mul(5) / 4;
        let wanted = u32::try_from(wanted).unwrap_or(u32::MAX).max(room.saturating_mul(2));
        let chunks = wanted.min(self.limits.max_chunks);
        match self.program.grow(chunks) {
            Ok(()) => {
                debug!("{} sources: the map grew from {room} to {chunks} chunks", args.total);
                true
            }
            Err(error) => {
                warn!("the map stays at {room} chunks, so snapshots take several walks: {error}");
                self.patience = PATIENCE;
                false
            }
        }
    }
}

/// Decodes what a run copied.
fn append<P: Program>(program: &P, args: &ws_args, sources: &mut Refill<'_>) -> Result<(), Error> {
    for chunk in program.chunks(args.chunks).map_err(Error::Records)? {
        records::decode(chunk, args.monotonic_ns.cast_signed(), sources)?;
    }
    Ok(())
}

impl<P: Program + fmt::Debug + Send> TakeSnapshot for Walker<P> {
    fn snapshot(&mut self) -> Result<&Snapshot, Failure> {
        Ok(self.snapshot()?)
    }

    fn room_bytes(&self) -> u64 {
        u64::from(self.room()) * size_of::<ws_chunk>() as u64
    }
}

/// Whether the run had room for every source that was asked for.
fn has_all(args: &ws_args) -> bool {
    args.copied == args.matched
}

/// One walk, as yet not complete.
fn begin<P: Program>(args: &ws_args) -> Walk {
    Walk {
        backend: P::BACKEND,
        walks: 1,
        monotonic_ns: args.monotonic_ns.cast_signed(),
        boottime_ns: args.boottime_ns.cast_signed(),
        duration_ns: args.duration_ns.cast_signed(),
        total: args.total,
        complete: false,
    }
}

#[cfg(test)]
mod tests {
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
            map: Vec::new(),
        }
    }

    impl Program for Kernel {
        const BACKEND: Backend = Backend::Load;

        fn run(&mut self, ids: RangeInclusive<u32>) -> io::Result<ws_args> {
            (self.churn)(&mut self.ids, self.runs);
            self.runs += 1;
            let matched: Vec<u32> =
                self.ids.iter().copied().filter(|id| ids.contains(id)).collect();
            let copied = matched.len().min(self.room as usize * RECORDS_PER_CHUNK);
            self.map = matched[..copied]
                .chunks(RECORDS_PER_CHUNK)
                .map(|ids| {
                    let record =
                        |&id| (ws_record { id, ..ws_record::default() }, &b"s"[..], &b""[..]);
                    *chunk(&ids.iter().map(record).collect::<Vec<_>>())
                })
                .collect();
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
        assert_eq!(
            (snapshot.walk.walks, snapshot.walk.total, snapshot.walk.complete),
            (1, 3, true)
        );
        assert_eq!(walker.program.attempts_to_grow, 0);
    }

    #[test]
    fn map_grows_until_all_fit_and_no_further_than_allowed() {
        let mut walker = Walker::new(kernel(0..100, 1), Limits::default());
        let mut bounded =
            Walker::new(kernel(0..100, 1), Limits { max_chunks: 3, ..Limits::default() });

        let grown = walker.snapshot().unwrap().clone();
        let split = bounded.snapshot().unwrap().clone();

        assert_eq!((ids(&grown).len(), grown.walk.walks), (100, 1));
        assert_eq!((ids(&split).len(), split.walk.complete), (100, true));
        assert!(split.walk.walks > 1);
        assert_eq!((bounded.room(), bounded.program.attempts_to_grow), (3, 1));
    }

    #[test]
    fn map_that_can_not_grow_is_asked_again_after_a_while() {
        let mut walker =
            Walker::new(Kernel { grows: false, ..kernel(0..50, 2) }, Limits::default());

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
    fn list_that_was_not_walked_to_its_end_is_incomplete() {
        let broken = Kernel { flags: WS_LIST_BROKEN, ..kernel(0..3, 1) };
        let broken_and_small = Kernel { flags: WS_LIST_BROKEN, grows: false, ..kernel(0..30, 1) };

        for kernel in [broken, broken_and_small] {
            let mut walker = Walker::new(kernel, Limits::default());
            assert!(!walker.snapshot().unwrap().walk.complete);
        }
    }
}
