// SPDX-License-Identifier: Apache-2.0
//! The backend `pinned`: runs the program that someone else has loaded and pinned, and copies its
//! records out of the map. Needs no capability, only the pins' permission bits.

use std::io;
use std::ops::RangeInclusive;
use std::sync::atomic::{Ordering, fence};
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use thiserror::Error;
use zerocopy::FromZeros;

use crate::backends::{Failure, Open, TakeSnapshot};
use crate::bpf::{self, Array};
use crate::clock;
use crate::layout::{WS_LAYOUT_VERSION, ws_args, ws_chunk};
use crate::model::Backend;
use crate::pins::{self, Identity, Pins};
use crate::walk::{self, Limits, Program, Walker};

/// How long a run is tried that others get in the way of. A run takes less than a millisecond.
const PATIENCE: Duration = Duration::from_millis(100);

/// The longest pause between tries, at first and at last. It doubles with each try, and how much of it
/// is taken is left to chance, or those who get in each other's way would go on doing so.
const PAUSES: [Duration; 2] = [Duration::from_micros(250), Duration::from_millis(16)];

/// How often opening is tried while the pins are being replaced.
const MAX_OPENINGS: u32 = 3;

/// No source has an id of this range: the program only counts.
#[expect(clippy::reversed_empty_ranges, reason = "it is meant to be empty")]
const NO_IDS: RangeInclusive<u32> = 1..=0;

/// Why the pinned program can't be used.
#[derive(Debug, Error)]
pub enum Error {
    /// One of the two can't be opened, or is something else.
    #[error(transparent)]
    Pin(#[from] bpf::Error),
    /// They don't belong together.
    #[error("{} does not write to the map that is pinned beside it: pin both anew", .0.display())]
    Strangers(std::path::PathBuf),
    /// The program does not run, or has another layout.
    #[error(
        "{} does not run, or not as this service expects (layout {WS_LAYOUT_VERSION}): pin the \
         program of the same version", .0.display()
    )]
    Trial(std::path::PathBuf, #[source] io::Error),
}

/// Opens what is pinned.
#[derive(Debug)]
pub struct Opener {
    pins: Pins,
    /// Which pins there were at the last attempt.
    tried: Option<Identity>,
}

impl Opener {
    /// Opens these pins.
    pub fn new(pins: Pins) -> Self {
        Opener { pins, tried: None }
    }
}

impl Open for Opener {
    fn backend(&self) -> Backend {
        Backend::Pinned
    }

    fn open(&mut self) -> Result<Box<dyn TakeSnapshot>, Failure> {
        let mut openings = 0;
        loop {
            openings += 1;
            self.tried = self.pins.identity();
            let opened = Pinned::open(&self.pins);
            // Where both pins are replaced between their openings, what was opened does not fit.
            let was_replaced = opened.is_err() && self.has_changed();
            if !was_replaced || openings == MAX_OPENINGS {
                return Ok(Box::new(opened?.into_walker()));
            }
        }
    }

    /// An open program goes on working when its pin is gone or another's. But whoever did that
    /// meant it.
    fn has_changed(&self) -> bool {
        self.tried != self.pins.identity()
    }
}

/// A program that runs for everybody who may read its pin, and so at any time.
#[derive(Debug)]
pub struct Pinned {
    program: bpf::Program,
    map: Array,
    /// The records of the last run.
    chunks: Vec<ws_chunk>,
}

impl Pinned {
    /// Opens what is pinned, and makes sure that it is what it should be.
    pub fn open(pins: &Pins) -> Result<Self, Error> {
        let program = bpf::Program::open(&pins.program(), pins::PROGRAM_NAME)?;
        let map = Array::open(&pins.map(), pins::MAP_NAME, size_of::<ws_chunk>())?;
        if !program.uses(&map) {
            return Err(Error::Strangers(pins.program()));
        }
        let mut pinned = Pinned { program, map, chunks: Vec::new() };
        // Where another run is in the way, the program has taken our layout all the same.
        pinned.try_run(&NO_IDS).map_err(|error| Error::Trial(pins.program(), error))?;
        Ok(pinned)
    }

    /// A walker that does not ask for a larger map.
    pub fn into_walker(self) -> Walker<Self> {
        let limits = Limits { max_chunks: self.room(), ..Limits::default() };
        Walker::new(self, limits)
    }

    /// Runs the program and copies its records. None if another run came between.
    fn try_run(&mut self, ids: &RangeInclusive<u32>) -> io::Result<Option<ws_args>> {
        let mut args = walk::args(ids.clone());
        match walk::returned(self.program.run(&mut args)?) {
            Err(error) if Errno::from_io_error(&error) == Some(Errno::BUSY) => return Ok(None),
            result => result?,
        }
        if args.chunks > self.map.len() {
            let told = format!("{} chunks of a map of {}", args.chunks, self.map.len());
            return Err(io::Error::other(format!("the pinned program claims to fill {told}")));
        }
        let count = args.chunks as usize;
        if self.chunks.len() < count {
            self.chunks.resize_with(count, ws_chunk::new_zeroed);
        }
        let chunks = self.chunks.get_mut(..count).unwrap_or_default();
        self.map.read(chunks)?;
        // All that was copied is of our run if no other has begun since, which the first element
        // says. The fence has it read after all that was copied before.
        fence(Ordering::SeqCst);
        let mut first = [ws_chunk::new_zeroed()];
        self.map.read(&mut first)?;
        let [first] = first;
        Ok((first.run == args.run).then_some(args))
    }
}

impl Program for Pinned {
    const BACKEND: Backend = Backend::Pinned;

    fn run(&mut self, ids: RangeInclusive<u32>) -> io::Result<ws_args> {
        let begin = Instant::now();
        let [mut pause, longest] = PAUSES;
        loop {
            if let Some(args) = self.try_run(&ids)? {
                return Ok(args);
            }
            if begin.elapsed() >= PATIENCE {
                return Err(io::Error::other("others run the pinned program all the time"));
            }
            // The clock's last digits are chance enough.
            let share = clock::monotonic_ns().rem_euclid(100).unsigned_abs() as u32;
            thread::sleep(pause * share / 100);
            pause = longest.min(pause * 2);
        }
    }

    fn chunks(&self, count: u32) -> io::Result<&[ws_chunk]> {
        let chunks = self.chunks.get(..count as usize);
        chunks.ok_or_else(|| io::Error::other(format!("there are no {count} chunks")))
    }

    fn room(&self) -> u32 {
        self.map.len()
    }

    fn grow(&mut self, _: u32) -> io::Result<()> {
        Err(io::Error::other("the map of a pinned program can't grow"))
    }
}
