// SPDX-License-Identifier: Apache-2.0
//! Wakeup sources that come and go all the time, beside some that stay.

use std::ffi::OsString;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use crate::meanwhile::SetOnDrop;
use crate::sources::Sources;

/// Threads that make and destroy sources. Each spends most of its time in the kernel, waiting for all
/// readers of the list (`synchronize_srcu()`), which they do together.
const THREADS: usize = 16;

/// How many sources a thread has at a time.
const AT_A_TIME: usize = 3;

/// Of all threads together, in a second, if the kernel is up to it.
const RATE: u64 = 300;

/// Between two changes of the sources that stay.
const PAUSE: Duration = Duration::from_millis(1);

/// The names of the sources that stay begin with this; a number follows.
pub const STEADY: &str = "steady-";

/// The sources that were made, activated and destroyed.
#[derive(Clone, Debug, Default)]
pub struct Happened {
    /// How long the kernel took to unregister each, the shortest time first.
    unregister: Vec<Duration>,
}

impl Happened {
    /// How many there were.
    pub fn passed(&self) -> u64 {
        self.unregister.len() as u64
    }

    /// The time that this share of the removals kept within.
    pub fn unregister_within(&self, percent: usize) -> Duration {
        let place = (self.unregister.len() * percent / 100).min(self.unregister.len().max(1) - 1);
        self.unregister.get(place).copied().unwrap_or_default()
    }
}

/// Sources that stay, and become active and inactive by turns while [`Churn::during`] runs.
#[derive(Debug)]
pub struct Churn {
    steady: Sources,
}

impl Churn {
    /// `count` sources that stay.
    pub fn new(count: usize) -> Result<Self> {
        let mut steady = Sources::new()?;
        for index in 0..count {
            steady.add_fifo(&OsString::from(format!("{STEADY}{index}")))?;
        }
        Ok(Churn { steady })
    }

    /// Has sources come and go while `work` runs.
    pub fn during<R>(&self, work: impl FnOnce() -> R) -> Result<(R, Happened)> {
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let passing: Vec<_> = (0..THREADS).map(|_| scope.spawn(|| pass(&done))).collect();
            let flipping = scope.spawn(|| self.flip(&done));
            let worked = {
                let _done = SetOnDrop(&done);
                work()
            };
            let mut unregister = Vec::new();
            for thread in passing {
                unregister.extend(thread.join().map_err(|_| anyhow!("a thread panicked"))??);
            }
            flipping.join().map_err(|_| anyhow!("a thread panicked"))??;
            unregister.sort_unstable();
            Ok((worked, Happened { unregister }))
        })
    }

    fn flip(&self, done: &AtomicBool) -> Result<()> {
        for index in (0..self.steady.len()).cycle() {
            if done.load(Ordering::Relaxed) {
                break;
            }
            self.steady.activate(index)?;
            thread::sleep(PAUSE);
            self.steady.relax(index)?;
        }
        Ok(())
    }
}

/// Makes sources, activates and destroys them. Returns how long the kernel took to unregister each.
fn pass(done: &AtomicBool) -> Result<Vec<Duration>> {
    let mut times = Vec::new();
    let mut sources = Sources::new()?;
    let period = Duration::from_secs(1) * (THREADS * AT_A_TIME) as u32 / RATE as u32;
    while !done.load(Ordering::Relaxed) {
        let cycle = Instant::now();
        (0..AT_A_TIME).try_for_each(|_| sources.add_eventfd())?;
        sources.activate_all()?;
        for _ in 0..AT_A_TIME {
            let begin = Instant::now();
            sources.remove_last()?;
            times.push(begin.elapsed());
        }
        thread::sleep(period.saturating_sub(cycle.elapsed()));
    }
    Ok(times)
}
