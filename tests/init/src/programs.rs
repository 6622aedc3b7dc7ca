// SPDX-License-Identifier: Apache-2.0
//! Running what the VM is for, and reaping every process that ends on the way, as PID 1 must.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use init::denials::Denials;
use init::supervisor::{self, end_of};
use init::{RUNS, Run, SOAK_MINUTES, Verdict};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, WaitOptions, WaitStatus, wait};

use crate::{machine, selinux, stuck, tty};

const SUITES: &str = "/tests";
const DEMO: &str = "/bin/demo";
const BENCH: &str = "/bin/bench";
const RECORD: &str = "/bin/record";
const STORY: &str = "/bin/story";
const BUSYBOX: &str = "/bin/busybox";
/// Names the kernel, as `tests/kernels.toml` does; set by the harness on the kernel command line.
const KERNEL_VARIABLE: &str = "WAKEUPSTATS_KERNEL";

/// Tells a suite which backend the daemon is to have.
const BACKEND_VARIABLE: &str = "WAKEUPSTATS_BACKEND";

/// The suite that has SELinux deny what it should allow, to see that it must not.
const DENIES: &str = "sepolicy";

/// How long a suite may take beside its soak: the longest needs 3 minutes where QEMU emulates.
const SUITE_LIMIT: Duration = Duration::from_secs(600);

/// How long an orphan that has ended may wait to be reaped.
const ORPHANS_WAIT: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// Runs the suites that the harness has listed, in that order, each with `filters`. One that does not end is
/// the last: what it leaves behind would make others fail.
pub(crate) fn run_suites(filters: &[String], hub: Child) -> Result<Verdict> {
    let kernel = std::env::var(KERNEL_VARIABLE).unwrap_or_else(|_| "unnamed".to_owned());
    let release = machine::release();
    let mut failed = Vec::new();
    let mut denials = selinux::is_wanted().then(Denials::since_boot).transpose()?;
    let limit = SUITE_LIMIT + soak()?;
    let runs = fs::read_to_string(RUNS).with_context(|| format!("read {RUNS}"))?;
    for run in runs.lines().map(Run::from) {
        let path = Path::new(SUITES).join(run.suite());
        let mut command = command(&path);
        let mut with_backend = String::new();
        if let Some(backend) = run.backend() {
            command.env(BACKEND_VARIABLE, backend);
            with_backend = format!(", backend {backend}");
        }
        println!("\n     Running {}{with_backend} (kernel {kernel} {release})", run.suite());
        let child = command.args(filters).stdin(Stdio::null()).spawn();
        let child = child.with_context(|| format!("start {}", path.display()))?;
        let name = run.to_string();
        let status = wait_within(limit, &child, &hub);
        let Some(status) = status.with_context(|| format!("while {run} ran"))? else {
            println!(
                "{name}: not over after {limit:?}, so no other suite is run; what waits for what:"
            );
            selinux::give_up()?;
            println!("{}", stuck::threads());
            failed.push(name);
            break;
        };
        let denied = denials.as_mut().map(selinux::unexpected).transpose()?.unwrap_or_default();
        let is_denied = !denied.is_empty() && run.suite() != DENIES;
        if is_denied || status.exit_status() != Some(0) && !denied.is_empty() {
            println!("{name}: SELinux denied\n{}", denied.join("\n"));
        }
        if !succeeded(&name, status) || is_denied {
            failed.push(name);
        }
    }
    Ok(if failed.is_empty() { Verdict::Pass } else { Verdict::Fail(failed) })
}

/// Runs the demonstration.
pub(crate) fn run_demo(hub: Child) -> Result<Verdict> {
    run_program("demo", DEMO, &[], hub)
}

/// Runs the benchmark.
pub(crate) fn run_bench(arguments: &[String], hub: Child) -> Result<Verdict> {
    run_program("bench", BENCH, arguments, hub)
}

/// Records replies for the tests in Java.
pub(crate) fn run_record(hub: Child) -> Result<Verdict> {
    run_program("record", RECORD, &[], hub)
}

/// Tells how a drain is found.
pub(crate) fn run_story(hub: Child) -> Result<Verdict> {
    run_program("story", STORY, &[], hub)
}

fn run_program(name: &str, path: &str, arguments: &[String], hub: Child) -> Result<Verdict> {
    let child = command(Path::new(path)).args(arguments).stdin(Stdio::null()).spawn();
    let status = wait_for(&child.with_context(|| format!("start {path}"))?, &hub)?;
    Ok(if succeeded(name, status) { Verdict::Pass } else { Verdict::Fail(vec![name.to_owned()]) })
}

/// Runs a shell until it exits. How it exits says nothing about the VM, so it always passes.
pub(crate) fn run_shell(hub: Child) -> Result<Verdict> {
    let install = command(Path::new(BUSYBOX)).args(["--install", "-s", "/bin"]).spawn();
    wait_for(&install.with_context(|| format!("start {BUSYBOX}"))?, &hub)?;
    // A session of its own with this terminal: that is what job control and Ctrl-C need.
    let shell = command(Path::new(BUSYBOX)).args(["setsid", "-c", "/bin/sh"]).spawn();
    wait_for(&shell.context("start the shell")?, &hub)?;
    // The end of the session's leader hangs its terminal up; what was open reads and writes no more.
    tty::take_over(false)?;
    Ok(Verdict::Pass)
}

/// A command with the environment that every guest program gets.
fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env("PATH", "/bin").env("HOME", "/").env("TMPDIR", "/tmp").env("RUST_BACKTRACE", "1");
    // The kernel has one list of wakeup sources, and one service has the name: tests take turns.
    command.env("RUST_TEST_THREADS", "1");
    command
}

/// What the suites that run for as long as they are told are told.
fn soak() -> Result<Duration> {
    let Ok(minutes) = std::env::var(SOAK_MINUTES) else { return Ok(Duration::ZERO) };
    let minutes: u64 = minutes.parse().with_context(|| format!("read {SOAK_MINUTES}"))?;
    Ok(Duration::from_secs(60 * minutes))
}

/// Waits for `child`, however long it takes.
fn wait_for(child: &Child, hub: &Child) -> Result<WaitStatus> {
    wait_within(Duration::MAX, child, hub)?.context("time is over")
}

/// Waits for `child`, and reaps whoever else ends meanwhile: orphans come to PID 1. None if it has not ended
/// within this time.
fn wait_within(limit: Duration, child: &Child, hub: &Child) -> Result<Option<WaitStatus>> {
    let begin = Instant::now();
    let ends = [child, hub].map(|process| end_of(process.id()));
    let [child_end, hub_end] = ends;
    let (child_end, hub_end) = (child_end?, hub_end?);
    loop {
        let mut watched =
            [PollFd::new(&child_end, PollFlags::IN), PollFd::new(&hub_end, PollFlags::IN)];
        poll(&mut watched, Some(&ORPHANS_WAIT)).context("wait for a process")?;
        let _no_start = supervisor::no_start();
        while let Some((pid, status)) = wait(WaitOptions::NOHANG).context("reap what has ended")? {
            if is(pid, child) {
                return Ok(Some(status));
            }
            if is(pid, hub) {
                bail!("the service manager ended ({}); see the console log", describe(status));
            }
        }
        if begin.elapsed() >= limit {
            return Ok(None);
        }
    }
}

fn is(pid: Pid, child: &Child) -> bool {
    u32::try_from(pid.as_raw_nonzero().get()) == Ok(child.id())
}

/// Says how a program failed, which its own output may not, and whether it succeeded.
fn succeeded(name: &str, status: WaitStatus) -> bool {
    let success = status.exit_status() == Some(0);
    if !success {
        println!("{name}: {}", describe(status));
    }
    success
}

fn describe(status: WaitStatus) -> String {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => "ended in an unknown way".to_owned(),
    }
}
