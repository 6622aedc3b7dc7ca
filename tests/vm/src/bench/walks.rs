// SPDX-License-Identifier: Apache-2.0
//! The service's own parts, in this process: the program run alone, and a whole snapshot.

use anyhow::Result;
use wakeupstats::layout::{WS_CHUNK_BYTES, WS_CHUNKS, WS_DEVICE_LEN, WS_NAME_LEN, ws_record};
use wakeupstats::load::Loaded;
use wakeupstats::pinned::Pinned;
use wakeupstats::pins::{DEFAULT_DIR, Pins};
use wakeupstats::tracker::Tracker;
use wakeupstats::walk::{Limits, Program, Walker};

use super::{Contender, Seen};

/// As few sources as any chunk has room for, those with the longest names.
const SOURCES_PER_CHUNK: u32 =
    WS_CHUNK_BYTES / (size_of::<ws_record>() as u32 + WS_NAME_LEN + WS_DEVICE_LEN + 2);

/// The program run alone. With what is pinned, that includes copying the records out of the map.
#[derive(Debug)]
pub struct Walk<P> {
    name: &'static str,
    program: P,
    /// Sources that the last call copied.
    copied: u32,
}

impl Walk<Loaded> {
    /// With a program of our own, whose map has room for so many sources.
    pub fn load(sources: u32) -> Result<Self> {
        let chunks = sources.div_ceil(SOURCES_PER_CHUNK).max(WS_CHUNKS);
        Ok(Walk { name: "walk", program: Loaded::load_with_room(chunks)?, copied: 0 })
    }
}

impl Walk<Pinned> {
    /// With what is pinned.
    pub fn pinned() -> Result<Self> {
        let program = Pinned::open(&Pins::new(DEFAULT_DIR))?;
        Ok(Walk { name: "pinned_walk", program, copied: 0 })
    }
}

impl<P: Program> Contender for Walk<P> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn call(&mut self) -> Result<()> {
        let all = self.program.run(0..=u32::MAX)?;
        self.copied = all.copied;
        if all.copied == all.matched {
            return Ok(());
        }
        // In several walks, as `Walker` does it: of as many ids each as there was room for.
        let (mut width, mut first) = (all.copied.max(1), 0);
        self.copied = 0;
        while first <= all.max_id {
            let part = self.program.run(first..=first.saturating_add(width - 1))?;
            if part.copied < part.matched && width > 1 {
                width = width.div_ceil(2);
                continue;
            }
            self.copied += part.copied;
            first = first.saturating_add(width);
        }
        Ok(())
    }

    fn seen(&self) -> Result<Seen> {
        Ok(Seen::Sources(self.copied as usize))
    }
}

/// What the daemon does of a call before the reply: run, decode, track.
#[derive(Debug)]
pub struct Snapshot<P> {
    name: &'static str,
    walker: Walker<P>,
    tracker: Tracker,
}

impl Snapshot<Loaded> {
    /// With a program of our own.
    pub fn load() -> Result<Self> {
        Ok(Self::of("snapshot", Walker::new(Loaded::load()?, Limits::default())))
    }
}

impl Snapshot<Pinned> {
    /// With what is pinned.
    pub fn pinned() -> Result<Self> {
        let pinned = Pinned::open(&Pins::new(DEFAULT_DIR))?;
        Ok(Self::of("pinned_snapshot", pinned.into_walker()))
    }
}

impl<P> Snapshot<P> {
    fn of(name: &'static str, walker: Walker<P>) -> Self {
        Snapshot { name, walker, tracker: Tracker::new(1) }
    }
}

impl<P: Program> Contender for Snapshot<P> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn call(&mut self) -> Result<()> {
        self.tracker.update(self.walker.snapshot()?);
        Ok(())
    }

    fn seen(&self) -> Result<Seen> {
        Ok(Seen::events(self.tracker.rows().iter().map(|row| row.source.event_count)))
    }

    fn wants_changes(&self) -> bool {
        true
    }
}
