// SPDX-License-Identifier: Apache-2.0
//! What all callers share: one reader of the kernel's list, and what it knows.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::system::uname;

use crate::backends::{Backends, NoneWorks};
use crate::clock::monotonic_ns;
use crate::status::{PastError, Status};
use crate::tracker::Tracker;

/// Reads the list for whoever asks, one walk at a time.
#[derive(Debug)]
pub struct Reader {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    backends: Backends,
    tracker: Tracker,
    walks: u64,
    last_error: Option<PastError>,
}

/// What the reader knows.
#[derive(Debug)]
pub struct View<'a> {
    /// The sources as of the last snapshot.
    pub tracker: &'a Tracker,
    backends: &'a Backends,
    walks: u64,
    last_error: Option<&'a PastError>,
}

impl View<'_> {
    /// How the service is doing.
    pub fn status(&self) -> Status {
        let walk = self.tracker.walk();
        Status {
            now_ns: monotonic_ns(),
            backend: self.backends.current(),
            backend_since_ns: self.backends.since_ns(),
            passed_over: self.backends.passed_over(),
            kernel: uname().release().to_string_lossy().into_owned(),
            instance: self.tracker.instance(),
            sequence: self.tracker.sequence(),
            walks: self.walks,
            last_snapshot_ns: walk.map_or(0, |walk| walk.monotonic_ns),
            sources: walk.map_or(0, |walk| walk.total),
            room_bytes: self.backends.room_bytes(),
            last_error: self.last_error.cloned(),
        }
    }
}

impl Reader {
    /// A reader that has read nothing. `instance` is this life of the service.
    pub fn new(backends: Backends, instance: i64) -> Self {
        let tracker = Tracker::new(instance);
        Reader { state: Mutex::new(State { backends, tracker, walks: 0, last_error: None }) }
    }

    /// Shows the sources as they were at most `max_age` before this call, to which the list is
    /// walked only if it was not since: callers that wait for one another share the next walk.
    pub fn read<R>(
        &self,
        max_age: Duration,
        show: impl FnOnce(&View<'_>) -> R,
    ) -> Result<R, NoneWorks> {
        let max_age = i64::try_from(max_age.as_nanos()).unwrap_or(i64::MAX);
        let oldest = monotonic_ns().saturating_sub(max_age);
        let mut state = self.state();
        if state.tracker.walk().is_none_or(|walk| walk.monotonic_ns < oldest) {
            state.walk()?;
        }
        Ok(show(&state.view()))
    }

    /// How the service is doing. Reads nothing.
    pub fn status(&self) -> Status {
        self.state().view().status()
    }

    /// A panic elsewhere can't have left half a state: a snapshot is taken in whole or not at all.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn view(&self) -> View<'_> {
        View {
            tracker: &self.tracker,
            backends: &self.backends,
            walks: self.walks,
            last_error: self.last_error.as_ref(),
        }
    }

    fn walk(&mut self) -> Result<(), NoneWorks> {
        let State { backends, tracker, walks, last_error } = self;
        let read = backends.snapshot(|snapshot| {
            *walks += u64::from(snapshot.walk.walks);
            tracker.update(snapshot);
        });
        if let Err(error) = &read {
            let message = crate::chain(error);
            *last_error = Some(PastError { message, monotonic_ns: monotonic_ns() });
        }
        read
    }
}
