// SPDX-License-Identifier: Apache-2.0
//! The run: at each number of sources all contenders by turns, round after round.

use std::ffi::OsString;

use anyhow::{Context, Result, ensure};
use init::bench::{Quartiles, Row};

use super::Contender;
use super::contenders::{self, Peers};
use super::measure::{self, Sample};
use super::reference::Reference;
use crate::many::ids_in_sysfs;
use crate::sources::Sources;

/// So long, in milliseconds, the calls of one batch take together, ...
const BATCH_MS: f64 = 20.0;

/// ... unless they would be more than this.
const MAX_CALLS: f64 = 100.0;

/// Rounds after the first, which says how many calls are a batch, before those that count.
const WARM_UP: u32 = 2;

/// One source in so many changes between two calls of a contender that wants changes: 5 %.
const ONE_IN: usize = 20;

/// Of so many sources, this one is on a timer, which becomes active in its own time: it is left
/// alone. The kernel's own are, too.
const KINDS: usize = 3;
const TIMER: usize = 1;

/// What is to be run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Rounds that count.
    pub rounds: u32,
    /// Numbers of sources, rising, the machine's own included.
    pub sources: Vec<u32>,
}

impl Plan {
    /// Runs it. Says which contenders failed, and why.
    pub fn run(&self, mut report: impl FnMut(Row)) -> Result<Vec<String>> {
        let mut failures = Vec::new();
        let mut reference = Reference::load()?;
        let mut field = Field::new()?;
        let mut peers = Peers::start()?;
        for &size in &self.sources {
            field.grow_to(size as usize)?;
            reference.check_against_sysfs(size as usize)?;
            let contenders = contenders::all(size, &mut peers);
            let contenders = contenders.with_context(|| format!("at {size} sources"))?;
            println!("{size} sources: {} contenders, {} rounds", contenders.len(), self.rounds);
            let mut entries: Vec<Entry<'_>> = contenders.into_iter().map(Entry::new).collect();
            self.run_size(&mut entries, &mut reference, &mut field);
            for entry in entries {
                match entry.failure {
                    None => report(row(size, entry.contender.name(), &entry.samples)?),
                    Some(failure) => {
                        let name = entry.contender.name();
                        failures.push(format!("{name} at {size} sources: {failure:#}"));
                    }
                }
            }
        }
        Ok(failures)
    }

    fn run_size(&self, entries: &mut [Entry<'_>], reference: &mut Reference, field: &mut Field) {
        let mut order: Vec<&mut Entry<'_>> = entries.iter_mut().collect();
        // The same orders in each run of the benchmark: another in each round is enough.
        let mut random = fastrand::Rng::with_seed(0);
        for round in 0..=WARM_UP + self.rounds {
            random.shuffle(&mut order);
            for entry in order.iter_mut().filter(|entry| entry.failure.is_none()) {
                if let Err(error) = entry.turn(round, reference, field) {
                    entry.failure = Some(error);
                }
            }
        }
    }
}

/// A contender and how it does.
struct Entry<'a> {
    contender: Box<dyn Contender + 'a>,
    /// Calls of a batch.
    calls: u32,
    samples: Vec<Sample>,
    failure: Option<anyhow::Error>,
}

impl<'a> Entry<'a> {
    fn new(contender: Box<dyn Contender + 'a>) -> Self {
        Entry { contender, calls: 1, samples: Vec::new(), failure: None }
    }

    fn turn(&mut self, round: u32, reference: &mut Reference, field: &mut Field) -> Result<()> {
        let contender = &mut *self.contender;
        let sample = measure::batch(contender, self.calls, || field.change())?;
        reference.confirm(contender.seen()?)?;
        if round <= WARM_UP {
            let once_ms = sample.wall_ms * f64::from(contender.calls());
            self.calls = (BATCH_MS / once_ms).clamp(1.0, MAX_CALLS) as u32;
        } else {
            self.samples.push(sample);
        }
        Ok(())
    }
}

/// The sources that are made for the benchmark.
#[derive(Debug)]
pub struct Field {
    sources: Sources,
    /// The next that changes.
    next: usize,
}

impl Field {
    /// None yet.
    pub fn new() -> Result<Self> {
        Ok(Field { sources: Sources::new()?, next: 0 })
    }

    /// Makes more, until the kernel has so many. Each has been active once, but for timers.
    pub fn grow_to(&mut self, size: usize) -> Result<()> {
        loop {
            let missing = size.checked_sub(ids_in_sysfs().len());
            let missing = missing.with_context(|| format!("there are more than {size} sources"))?;
            if missing == 0 {
                return Ok(());
            }
            // With the first comes that of the epoll instance, so it is counted anew.
            let count = if self.sources.is_empty() { 1 } else { missing };
            for _ in 0..count {
                self.add()?;
            }
        }
    }

    fn add(&mut self) -> Result<()> {
        let index = self.sources.len();
        match index % KINDS {
            0 => self.sources.add_eventfd()?,
            TIMER => return self.sources.add_timerfd(),
            _ => self.sources.add_fifo(&OsString::from(format!("fifo-{index}")))?,
        }
        self.activate_once(index)
    }

    fn activate_once(&self, index: usize) -> Result<()> {
        self.sources.activate(index)?;
        self.sources.relax(index)
    }

    /// Has some of the sources change, each time others.
    fn change(&mut self) -> Result<()> {
        ensure!(self.sources.len() >= KINDS, "too few sources to change any");
        for _ in 0..self.sources.len().div_ceil(ONE_IN) {
            self.next = (self.next + 1) % self.sources.len();
            if self.next % KINDS == TIMER {
                self.next = (self.next + 1) % self.sources.len();
            }
            self.activate_once(self.next)?;
        }
        Ok(())
    }
}

fn row(sources: u32, contender: &str, samples: &[Sample]) -> Result<Row> {
    let quartiles = |value: fn(&Sample) -> f64| {
        let Quartiles { median, q1, q3 } =
            Quartiles::of(samples.iter().map(value).collect()).context("no rounds")?;
        // To the nanosecond: more would only look exact.
        let [median, q1, q3] = [median, q1, q3].map(|ms| (ms * 1e6).round() / 1e6);
        anyhow::Ok(Quartiles { median, q1, q3 })
    };
    Ok(Row {
        sources,
        contender: contender.to_owned(),
        wall_ms: quartiles(|sample| sample.wall_ms)?,
        cpu_ms: quartiles(|sample| sample.cpu_ms)?,
    })
}
