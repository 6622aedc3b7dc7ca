// SPDX-License-Identifier: Apache-2.0
//! The benchmark: every way to read the wakeup sources, in one run, by turns.
//!
//! Each way is a [`Contender`]. [`rounds`] has all of them read at each number of sources, in
//! another order in each round; [`measure`] takes the time of a batch of calls; and after each batch
//! [`mod@reference`] says whether what the contender saw is what there is, so that nobody is fast
//! because of what it leaves out.

pub mod attributes;
pub mod calls;
pub mod contenders;
pub mod debugfs;
pub mod ends;
pub mod footprint;
pub mod measure;
pub mod reference;
pub mod ringbuf;
pub mod rounds;
pub mod shared;
pub mod suspend;
pub mod sysfs;
pub mod walks;

use anyhow::Result;

use measure::Process;

/// What a call saw of the wakeup sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Nothing: it does not read them.
    Nothing,
    /// So many of them.
    Sources(usize),
    /// So many, and so many events of all of them together.
    Numbers {
        /// How many.
        sources: usize,
        /// The sum of their event counts.
        events: u64,
    },
}

impl Seen {
    /// Sources that have had so many events each.
    pub fn events(counts: impl ExactSizeIterator<Item = u64>) -> Self {
        Seen::Numbers { sources: counts.len(), events: counts.sum() }
    }
}

/// A way to read the wakeup sources.
pub trait Contender {
    /// Its name in the results.
    fn name(&self) -> &'static str;

    /// Reads them all: what the time is taken of.
    fn call(&mut self) -> Result<()>;

    /// What the last call saw.
    fn seen(&self) -> Result<Seen>;

    /// As how many calls [`Contender::call`] counts.
    fn calls(&self) -> u32 {
        1
    }

    /// Whether some of the sources are to change between two calls.
    fn wants_changes(&self) -> bool {
        false
    }

    /// Uses, after such a change and before the call, what a call before it would have used: caches of
    /// all kinds are the call's again then, as they are those of contenders that are called in a row.
    fn warm_up(&mut self) -> Result<()> {
        Ok(())
    }

    /// The processes other than this one that take part.
    fn processes(&self) -> &[Process] {
        &[]
    }
}
