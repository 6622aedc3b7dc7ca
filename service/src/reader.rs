// SPDX-License-Identifier: Apache-2.0
//! What all callers share: one reader of the kernel's list, and what it knows.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::time::{ClockId, Timespec, clock_gettime};

use crate::layout::ws_chunk;
use crate::model::Backend;
use crate::tracker::Tracker;
use crate::walk::{Error, Program, Walker};

/// An error of the past.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastError {
    /// The error with its causes.
    pub message: String,
    /// CLOCK_MONOTONIC when it happened, in nanoseconds.
    pub monotonic_ns: i64,
}

/// Reads the list for whoever asks, one walk at a time.
#[derive(Debug)]
pub struct Reader<P> {
    state: Mutex<State<P>>,
}

#[derive(Debug)]
struct State<P> {
    walker: Walker<P>,
    tracker: Tracker,
    last_error: Option<PastError>,
}

impl<P: Program> Reader<P> {
    /// A reader that has read nothing. `instance` is this life of the service.
    pub fn new(walker: Walker<P>, instance: i64) -> Self {
        let tracker = Tracker::new(instance);
        Reader { state: Mutex::new(State { walker, tracker, last_error: None }) }
    }

    /// Shows the sources as they were at most `max_age` before this call, to which the list is
    /// walked only if it was not since: callers that wait for one another share the next walk.
    pub fn read<R>(&self, max_age: Duration, show: impl FnOnce(&Tracker) -> R) -> Result<R, Error> {
        let max_age = i64::try_from(max_age.as_nanos()).unwrap_or(i64::MAX);
        let oldest = monotonic_ns().saturating_sub(max_age);
        let mut state = self.state();
        if state.tracker.walk().is_none_or(|walk| walk.monotonic_ns < oldest) {
            state.walk()?;
        }
        Ok(show(&state.tracker))
    }

    /// Shows what is known without reading anything: the tracker, the room in bytes, and the last
    /// error of a read.
    pub fn known<R>(&self, show: impl FnOnce(&Tracker, u64, Option<&PastError>) -> R) -> R {
        let state = self.state();
        let room = u64::from(state.walker.room()) * size_of::<ws_chunk>() as u64;
        show(&state.tracker, room, state.last_error.as_ref())
    }

    /// The backend in use.
    pub fn backend(&self) -> Backend {
        Backend::Load
    }

    /// A panic elsewhere can't have left half a state: a snapshot is taken in whole or not at all.
    fn state(&self) -> MutexGuard<'_, State<P>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P: Program> State<P> {
    fn walk(&mut self) -> Result<(), Error> {
        match self.walker.snapshot() {
            Ok(snapshot) => {
                self.tracker.update(snapshot);
                Ok(())
            }
            Err(error) => {
                let message = crate::chain(&error);
                self.last_error = Some(PastError { message, monotonic_ns: monotonic_ns() });
                Err(error)
            }
        }
    }
}

/// CLOCK_MONOTONIC now, in nanoseconds.
pub fn monotonic_ns() -> i64 {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(ClockId::Monotonic);
    tv_sec.saturating_mul(1_000_000_000).saturating_add(tv_nsec)
}
