// SPDX-License-Identifier: Apache-2.0
//! Which backend reads the kernel's list: the best one that works, found out by trying.
//!
//! What works may change while the service lives: pins come, go, and are replaced. So before each
//! snapshot the better backends are asked whether something has changed, which is cheap, and where
//! one fails the next gives the snapshot. A call fails only if none works.

use std::error::Error as StdError;
use std::fmt;
use std::time::{Duration, Instant};

use log::{Level, info, log};
use thiserror::Error;

use crate::chain;
use crate::clock::monotonic_ns;
use crate::model::{Backend, Snapshot};
use crate::status::PassedOver;

/// What was open once and then did not work is tried again after this time.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a backend does not work. Each has its own error.
pub type Failure = Box<dyn StdError + Send + Sync>;

/// A backend that is open.
pub trait TakeSnapshot: fmt::Debug + Send {
    /// Reads the kernel's wakeup sources now.
    fn snapshot(&mut self) -> Result<&Snapshot, Failure>;

    /// Kernel memory of the map that the program writes to, in bytes.
    fn room_bytes(&self) -> u64;
}

/// A backend that may be opened.
pub trait Open: fmt::Debug + Send {
    /// Which.
    fn backend(&self) -> Backend;

    /// Opens it.
    fn open(&mut self) -> Result<Box<dyn TakeSnapshot>, Failure>;

    /// Whether opening it may have another outcome than it had the last time. Cheap.
    fn has_changed(&self) -> bool {
        false
    }
}

/// No backend works.
#[derive(Debug, Error)]
#[error("the kernel's wakeup sources can't be read in any way: {}", list(.0))]
pub struct NoneWorks(Vec<PassedOver>);

/// The backends, the best first.
#[derive(Debug)]
pub struct Backends {
    candidates: Vec<Candidate>,
    current: Current,
}

/// The backend in use.
#[derive(Clone, Copy, Debug)]
struct Current {
    index: usize,
    backend: Backend,
    since_ns: i64,
}

#[derive(Debug)]
struct Candidate {
    opener: Box<dyn Open>,
    state: State,
    /// Whether it was ever open: what it lacks may then come back by itself.
    was_open: bool,
}

#[derive(Debug)]
enum State {
    /// Not open, and worth a try.
    Closed,
    Opened(Box<dyn TakeSnapshot>),
    Failed {
        reason: String,
        when: Instant,
    },
}

impl Backends {
    /// Opens the best of these that can be opened. Earlier ones are better.
    pub fn choose(openers: Vec<Box<dyn Open>>) -> Result<Self, NoneWorks> {
        let candidate = |opener| Candidate { opener, state: State::Closed, was_open: false };
        let mut candidates: Vec<Candidate> = openers.into_iter().map(candidate).collect();
        let mut each = candidates.iter_mut().enumerate();
        match each.find_map(|(index, it)| it.opened().is_some().then(|| (index, it.backend()))) {
            Some((index, backend)) => {
                let current = Current { index, backend, since_ns: monotonic_ns() };
                let backends = Backends { candidates, current };
                info!("backend {backend} is in use{}", backends.reasons());
                Ok(backends)
            }
            None => Err(none_works(&candidates)),
        }
    }

    /// Reads the kernel's wakeup sources with the best backend that works.
    /// Shows it to `take`.
    pub fn snapshot(&mut self, mut take: impl FnMut(&Snapshot)) -> Result<(), NoneWorks> {
        let mut found = self.try_all(&mut take);
        if found.is_none() {
            // Nothing is left to wait for.
            for candidate in &mut self.candidates {
                candidate.state = State::Closed;
            }
            found = self.try_all(&mut take);
        }
        let (index, backend) = found.ok_or_else(|| none_works(&self.candidates))?;
        self.settle(index, backend);
        Ok(())
    }

    /// The one that gave the last snapshot, or that was chosen.
    pub fn current(&self) -> Backend {
        self.current.backend
    }

    /// CLOCK_MONOTONIC when it was taken, in nanoseconds.
    pub fn since_ns(&self) -> i64 {
        self.current.since_ns
    }

    /// The better ones, and why they are not in use.
    pub fn passed_over(&self) -> Vec<PassedOver> {
        passed_over(self.candidates.iter().take(self.current.index))
    }

    /// Kernel memory of the map in use, in bytes.
    pub fn room_bytes(&self) -> u64 {
        match self.candidates.get(self.current.index) {
            Some(Candidate { state: State::Opened(opened), .. }) => opened.room_bytes(),
            _ => 0,
        }
    }

    /// Says which gave the snapshot.
    fn try_all(&mut self, take: &mut dyn FnMut(&Snapshot)) -> Option<(usize, Backend)> {
        let mut candidates = self.candidates.iter_mut().enumerate();
        let (index, candidate) = candidates.find_map(|(index, candidate)| {
            candidate.snapshot(take).then_some((index, candidate))
        })?;
        Some((index, candidate.backend()))
    }

    /// Notes which backend gave a snapshot, and makes it known if it is another than before.
    fn settle(&mut self, index: usize, backend: Backend) {
        // The worse ones are closed: what they hold is kernel memory.
        for candidate in self.candidates.iter_mut().skip(index + 1) {
            candidate.state = State::Closed;
        }
        let former = self.current;
        if former.index == index {
            return;
        }
        self.current = Current { index, backend, since_ns: monotonic_ns() };
        let level = if former.index < index { Level::Warn } else { Level::Info };
        log!(level, "backend {backend} takes over from {}{}", former.backend, self.reasons());
    }

    /// Why it is not a better one, as the end of a sentence.
    fn reasons(&self) -> String {
        match self.passed_over().as_slice() {
            [] => String::new(),
            passed_over => format!(", as better ones can't be used: {}", list(passed_over)),
        }
    }
}

fn none_works(candidates: &[Candidate]) -> NoneWorks {
    NoneWorks(passed_over(candidates.iter()))
}

fn passed_over<'a>(candidates: impl Iterator<Item = &'a Candidate>) -> Vec<PassedOver> {
    let passed_over = |candidate: &Candidate| match &candidate.state {
        State::Failed { reason, .. } => {
            Some(PassedOver { backend: candidate.opener.backend(), reason: reason.clone() })
        }
        State::Closed | State::Opened(_) => None,
    };
    candidates.filter_map(passed_over).collect()
}

impl Candidate {
    fn backend(&self) -> Backend {
        self.opener.backend()
    }

    /// Shows a snapshot to `take`, unless the backend does not work. One that was open and fails is
    /// opened anew once: what it had may be gone, and something else be in its place.
    fn snapshot(&mut self, take: &mut dyn FnMut(&Snapshot)) -> bool {
        let mut may_reopen = matches!(self.state, State::Opened(_));
        loop {
            let Some(opened) = self.opened() else { return false };
            match opened.snapshot() {
                Ok(snapshot) => {
                    take(snapshot);
                    return true;
                }
                Err(error) => self.fail(&*error),
            }
            if !may_reopen {
                return false;
            }
            self.state = State::Closed;
            may_reopen = false;
        }
    }

    /// The open backend, opened now if that is worth a try.
    fn opened(&mut self) -> Option<&mut Box<dyn TakeSnapshot>> {
        let is_due = match &self.state {
            State::Closed => true,
            State::Opened(_) => self.opener.has_changed(),
            State::Failed { when, .. } => {
                self.opener.has_changed() || (self.was_open && when.elapsed() >= PATIENCE)
            }
        };
        if is_due {
            // What is open goes first: no two maps are held at a time.
            let is_open = matches!(self.state, State::Opened(_));
            self.state = State::Closed;
            match self.opener.open() {
                Ok(opened) => {
                    if is_open {
                        info!("backend {} has been replaced, and is opened anew", self.backend());
                    }
                    self.state = State::Opened(opened);
                    self.was_open = true;
                }
                Err(error) => self.fail(&*error),
            }
        }
        match &mut self.state {
            State::Opened(opened) => Some(opened),
            State::Closed | State::Failed { .. } => None,
        }
    }

    fn fail(&mut self, error: &(dyn StdError + 'static)) {
        self.state = State::Failed { reason: chain(error), when: Instant::now() };
    }
}

fn list(passed_over: &[PassedOver]) -> String {
    let each =
        passed_over.iter().map(|PassedOver { backend, reason }| format!("{backend} ({reason})"));
    each.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests;
