// SPDX-License-Identifier: Apache-2.0
//! Time that passes, and time of processors.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::time::{ClockId, clock_gettime};

use super::Contender;

/// What one call takes, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Time that passes.
    pub wall_ms: f64,
    /// User and system time of all processes that take part.
    pub cpu_ms: f64,
}

/// Another process, whose time is taken.
///
/// The runtime of its threads is read from /proc, where the scheduler has it to the nanosecond. A
/// process's CPU clock has the same numbers, but needs unsafe code to get at.
#[derive(Clone, Debug)]
pub struct Process {
    tasks: PathBuf,
}

impl Process {
    /// The process with this id.
    pub fn new(pid: u32) -> Self {
        Process { tasks: format!("/proc/{pid}/task").into() }
    }

    /// The processor time of its threads so far, once all of them sleep.
    fn cpu(&self) -> Result<Duration> {
        Ok(self.activity()?.runtime)
    }

    /// What its threads did so far. Waits until all of them sleep: only then is it accounted for, and
    /// the answer that woke us is not the last that they do.
    pub fn activity(&self) -> Result<Activity> {
        let mut total = Activity::default();
        for task in fs::read_dir(&self.tasks).with_context(|| "a process has ended")? {
            let task = task?.path();
            while !sleeps(&task)? {
                thread::yield_now();
            }
            let text = fs::read_to_string(task.join("schedstat"))?;
            let numbers =
                text.split_whitespace().map(str::parse).collect::<Result<Vec<u64>, _>>()?;
            let [runtime, _, turns] = numbers[..] else { bail!("schedstat is {text:?}") };
            total.runtime += Duration::from_nanos(runtime);
            total.turns += turns;
        }
        Ok(total)
    }

    /// What its threads do from now on in so long a time.
    pub fn activity_in(&self, time: Duration) -> Result<Activity> {
        let before = self.activity()?;
        thread::sleep(time);
        let after = self.activity()?;
        Ok(Activity {
            runtime: after.runtime.saturating_sub(before.runtime),
            turns: after.turns.saturating_sub(before.turns),
        })
    }
}

/// What the threads of a process did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    /// How long they ran.
    pub runtime: Duration,
    /// How often one was put on a processor.
    pub turns: u64,
}

/// Whether a thread waits for something. Its state follows its name, which is in parentheses.
fn sleeps(task: &Path) -> Result<bool> {
    let stat = fs::read_to_string(task.join("stat"))?;
    let (_, state) = stat.rsplit_once(") ").context("stat has no state")?;
    Ok(!state.starts_with('R'))
}

fn cpu(processes: &[Process]) -> Result<Duration> {
    processes.iter().map(Process::cpu).sum()
}

/// The processor time of this process so far.
fn own_cpu() -> Result<Duration> {
    Ok(clock_gettime(ClockId::ProcessCPUTime).try_into()?)
}

/// Adds up the time of several stretches, as this process has it.
#[derive(Debug, Default)]
struct Stopwatch {
    wall: Duration,
    cpu: Duration,
}

impl Stopwatch {
    fn time<T>(&mut self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let cpu = own_cpu()?;
        let begin = Instant::now();
        let done = work()?;
        self.wall += begin.elapsed();
        self.cpu += own_cpu()?.saturating_sub(cpu);
        Ok(done)
    }
}

/// Calls a contender `count` times. Returns what one call took, on average. `change` is done before
/// each call for those who want it, and its time not taken.
pub fn batch(
    contender: &mut dyn Contender,
    count: u32,
    mut change: impl FnMut() -> Result<()>,
) -> Result<Sample> {
    ensure!(count > 0, "a batch without calls");
    let others = contender.processes().to_vec();
    let mut before = cpu(&others)?;
    let mut watch = Stopwatch::default();
    let mut warm_ups = Duration::ZERO;
    if contender.wants_changes() {
        // What the others do to warm up is measured alone first, to be taken off.
        for _ in 0..count {
            change()?;
            contender.warm_up()?;
        }
        warm_ups = cpu(&others)?.saturating_sub(before);
        // What has changed by now is more than is to change between two calls.
        contender.call()?;
        before = cpu(&others)?;
        for _ in 0..count {
            change()?;
            contender.warm_up()?;
            watch.time(|| contender.call())?;
        }
    } else {
        // All in one: reading the clocks takes a part of what the fastest take.
        watch.time(|| (0..count).try_for_each(|_| contender.call()))?;
    }
    let others_cpu = cpu(&others)?.saturating_sub(before);
    let calls = f64::from(count * contender.calls());
    let per_call = |time: Duration| time.as_secs_f64() * 1e3 / calls;
    // One by one, as what is left of the others may be less than nothing by chance.
    let cpu_ms = per_call(watch.cpu) + per_call(others_cpu) - per_call(warm_ups);
    Ok(Sample { wall_ms: per_call(watch.wall), cpu_ms })
}
