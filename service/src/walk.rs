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
use crate::model::{Backend, Changes, Snapshot, Walk};
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
    /// What it was decoded from, if it is from one walk.
    decoded: Option<Decoded>,
}

/// What a snapshot was decoded from.
#[derive(Debug)]
struct Decoded {
    monotonic_ns: i64,
    records: Vec<u64>,
}

impl<P: Program> Walker<P> {
    /// A reader of snapshots that stays within `limits`.
    pub fn new(program: P, limits: Limits) -> Self {
        let walk = begin::<P>(&ws_args::default());
        let snapshot = Snapshot { walk, sources: Vec::new(), changes: None };
        Walker { program, limits, patience: 0, snapshot, decoded: None }
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
        let Walker { program, snapshot, decoded, .. } = self;
        let former = decoded.take();
        let since_ns = former.as_ref().map(|former| former.monotonic_ns);
        let mut records = former.map_or_else(Vec::new, |former| former.records);
        let former_len = snapshot.sources.len();
        let mut sources = Refill::new(&mut snapshot.sources, &mut records);
        append(program, &args, &mut sources)?;
        let places = sources.finish();
        snapshot.walk = Walk { complete: args.flags == 0, ..begin::<P>(&args) };
        snapshot.changes = since_ns
            .filter(|_| snapshot.sources.len() == former_len)
            .map(|since_ns| Changes { since_ns, places });
        *decoded = Some(Decoded { monotonic_ns: snapshot.walk.monotonic_ns, records });
        Ok(snapshot)
    }

    /// Reads the list in several walks, of as many ids each as there was room for in the first,
    /// which returned `width` sources: ids are dense, as the kernel always gives out the lowest
    /// one that is free.
    fn snapshot_by_ids(&mut self, width: u32) -> Result<&Snapshot, Error> {
        let Walker { program, snapshot, decoded, .. } = self;
        *decoded = None;
        let mut records = Vec::new();
        let mut sources = Refill::new(&mut snapshot.sources, &mut records);
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
        snapshot.changes = None;
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
mod tests;
