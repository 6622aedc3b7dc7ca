// SPDX-License-Identifier: Apache-2.0
//! One run of a VM, from the start of QEMU to a verdict or to the reason why there is none.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use init::bench::{Footprint, Row};
use init::{Message, Verdict};

use crate::accel::{self, Accel};
use crate::console::Console;
use crate::initramfs::Initramfs;
use crate::kernel::Kernel;
use crate::progress::{Step, say};
use crate::qemu::{self, Qemu};
use crate::relay::{Piece, Relay};
use crate::workspace::Workspace;

/// An accelerator on trial has this long to bring PID 1 up. KVM takes two seconds where it works.
const TRIAL: Duration = Duration::from_secs(12);
/// How often a kernel is booted that dies before PID 1 begins. While it patches its own code on two
/// CPUs, QEMU's emulation sometimes trips over that (`Oops: int3`), and none of our code has run yet.
const BOOTS: u32 = 3;
/// What a kernel that is lost still prints (registers, the stack) is worth waiting for.
const MARKER_GRACE: Duration = Duration::from_secs(2);
/// Powering off after the verdict takes about a second, emulated.
const POWER_OFF_GRACE: Duration = Duration::from_secs(20);

/// How many a VM has, unless what it runs wants one.
pub(crate) const PROCESSORS: u8 = 2;

/// What to run.
pub(crate) struct Vm<'a> {
    pub(crate) kernel: &'a Kernel,
    pub(crate) initramfs: PathBuf,
    /// The arguments of PID 1.
    pub(crate) job: Vec<String>,
    /// A person types: the terminal is the guest's, and a marker ends nothing.
    pub(crate) interactive: bool,
    pub(crate) verbose: bool,
    pub(crate) time_limit: Option<Duration>,
    /// Where the console is kept.
    pub(crate) log: PathBuf,
    /// Not the best that works here, but this.
    pub(crate) accel: Option<Accel>,
    /// How many it has, unless its accelerator emulates but one.
    pub(crate) processors: u8,
    /// Options for the kernel, beside those that each run has.
    pub(crate) options: String,
}

/// What happened on one of QEMU's streams.
enum Event {
    Programs(Vec<u8>),
    Console(Vec<u8>),
}

/// Why a run was cut short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    TimeLimit(Duration),
    /// PID 1 gave no sign of life in time, on trial.
    Trial,
}

/// All that is known when a run is over.
#[derive(Default)]
struct End {
    up: bool,
    verdict: Option<Verdict>,
    marker: Option<&'static str>,
    cut: Option<Cut>,
    measured: Vec<Row>,
    footprints: Vec<Footprint>,
}

/// What came out of a run.
pub(crate) struct Outcome {
    pub(crate) verdict: Verdict,
    pub(crate) accel: Accel,
    /// What the benchmark measured.
    pub(crate) measured: Vec<Row>,
    /// What it found that a daemon takes beside time.
    pub(crate) footprints: Vec<Footprint>,
}

impl<'a> Vm<'a> {
    /// A VM that does `job`, its initramfs written; without a time limit.
    pub(crate) fn prepare(
        workspace: &Workspace,
        kernel: &'a Kernel,
        initramfs: &Initramfs,
        job: Vec<String>,
        verbose: bool,
    ) -> Result<Self> {
        let run = match job.first().map(String::as_str) {
            Some("test") => format!("test-{}", kernel.name),
            Some(other) => other.to_owned(),
            None => bail!("a VM without a job"),
        };
        let path = |extension| workspace.runs().join(format!("{run}.{extension}"));
        initramfs.write(&path("cpio"))?;
        Ok(Self {
            kernel,
            initramfs: path("cpio"),
            job,
            interactive: false,
            verbose,
            time_limit: None,
            log: path("console.log"),
            accel: None,
            processors: PROCESSORS,
            options: String::new(),
        })
    }

    /// Boots and runs to the end; `output` gets what the guest's programs print.
    pub(crate) fn run(
        &self,
        workspace: &Workspace,
        output: &mut dyn FnMut(&[u8]),
    ) -> Result<Outcome> {
        let candidates = match self.accel {
            Some(accel) => vec![accel],
            None => accel::candidates(workspace.cache(), self.kernel.arch),
        };
        for (number, &accel) in (1..).zip(&candidates) {
            let on_trial = number < candidates.len();
            let (mut end, status, console) = self.boot(accel, on_trial, output)?;
            if end.up && candidates.len() > 1 {
                accel::remember(workspace.cache(), accel);
            }
            if on_trial && !end.up {
                say(&format!("{accel} does not run the VM here; trying {}", Accel::Tcg));
                continue;
            }
            let measured = std::mem::take(&mut end.measured);
            let footprints = std::mem::take(&mut end.footprints);
            let judged = end.judge(status);
            if judged.is_err() {
                say(&console.report());
            }
            let name = &self.kernel.name;
            let verdict = judged.with_context(|| format!("the VM of kernel {name} failed"))?;
            return Ok(Outcome { verdict, accel, measured, footprints });
        }
        bail!("QEMU has no accelerator here");
    }

    /// Attempts until PID 1 is up, or until that is not to be expected.
    fn boot(
        &self,
        accel: Accel,
        on_trial: bool,
        output: &mut dyn FnMut(&[u8]),
    ) -> Result<(End, Option<ExitStatus>, Console)> {
        let mut boots = 1;
        loop {
            let (end, status, console) = self.attempt(accel, on_trial, output)?;
            if on_trial || boots == BOOTS || !end.died_young() {
                return Ok((end, status, console));
            }
            say(&console.report());
            say(&format!("the kernel died before PID 1 began, in boot {boots} of at most {BOOTS}"));
            boots += 1;
        }
    }

    fn attempt(
        &self,
        accel: Accel,
        on_trial: bool,
        output: &mut dyn FnMut(&[u8]),
    ) -> Result<(End, Option<ExitStatus>, Console)> {
        let mut console = Console::new(&self.log, self.verbose)?;
        let append = qemu::append(self.kernel, &self.job, self.verbose, &self.options)?;
        let stdin = if self.interactive { Stdio::inherit() } else { Stdio::null() };
        let step = Step::new(&format!("booting {} with {accel}", self.kernel.release));
        let mut qemu =
            Qemu::start(accel, self.processors, self.kernel, &self.initramfs, &append, stdin)?;
        let events = read_streams(&mut qemu)?;
        let mut end = self.follow(&events, on_trial, &mut console, output, step)?;
        qemu.stop();
        // The last lines, a panic's among them, may still be on their way.
        for event in events {
            if let Event::Console(line) = event {
                end.marker = end.marker.or(console.line(&line)?);
            }
        }
        let status = qemu.child().try_wait().context("wait for QEMU")?;
        Ok((end, status, console))
    }

    /// Follows the streams until they end or the run must be cut short.
    fn follow(
        &self,
        events: &Receiver<Event>,
        on_trial: bool,
        console: &mut Console,
        output: &mut dyn FnMut(&[u8]),
        step: Step,
    ) -> Result<End> {
        let started = Instant::now();
        let mut end = End::default();
        let mut relay = Relay::default();
        let mut step = Some(step);
        // Set once the run is as good as over.
        let mut stop_at: Option<Instant> = None;
        loop {
            let limit = self.time_limit.map(|limit| (started + limit, Cut::TimeLimit(limit)));
            let trial = (on_trial && !end.up).then(|| (started + TRIAL, Cut::Trial));
            let cut = limit.into_iter().chain(trial).min_by_key(|(at, _)| *at);
            let until = stop_at.into_iter().chain(cut.map(|(at, _)| at)).min();
            let event = match until {
                Some(until) => events.recv_timeout(until.saturating_duration_since(Instant::now())),
                None => events.recv().map_err(RecvTimeoutError::from),
            };
            match event {
                Ok(Event::Programs(bytes)) => {
                    for piece in relay.feed(&bytes) {
                        match piece {
                            Piece::Text(text) => output(&text),
                            Piece::Message(Message::Up(_)) => {
                                end.up = true;
                                step.take().into_iter().for_each(Step::done);
                            }
                            Piece::Message(Message::Measured(row)) => end.measured.push(row),
                            Piece::Message(Message::Footprint(it)) => end.footprints.push(it),
                            Piece::Message(Message::Verdict(verdict)) => {
                                end.verdict = Some(verdict);
                                stop_at = Some(Instant::now() + POWER_OFF_GRACE);
                            }
                        }
                    }
                }
                Ok(Event::Console(line)) => {
                    if let Some(marker) = console.line(&line)?
                        && end.marker.is_none()
                        && !self.interactive
                    {
                        end.marker = Some(marker);
                        stop_at = Some(Instant::now() + MARKER_GRACE);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    let is_over = stop_at.is_some_and(|at| at <= Instant::now());
                    end.cut = cut.filter(|_| !is_over).map(|(_, cut)| cut);
                    break;
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        output(&relay.rest());
        Ok(end)
    }
}

impl End {
    /// Whether the kernel died before PID 1 began.
    fn died_young(&self) -> bool {
        self.marker.is_some() && !self.up
    }

    /// The verdict, or why there is none that could be believed.
    fn judge(self, status: Option<ExitStatus>) -> Result<Verdict> {
        if let Some(marker) = self.marker {
            bail!("the kernel's console has the marker {marker:?}");
        }
        match (self.verdict, self.cut) {
            (Some(Verdict::Error(text)), _) => bail!("PID 1 failed: {text}"),
            (Some(verdict), _) => Ok(verdict),
            (None, Some(Cut::TimeLimit(limit))) => {
                bail!("it ran into the time limit of {} s (--time-limit)", limit.as_secs())
            }
            (None, Some(Cut::Trial)) => bail!("PID 1 gave no sign of life"),
            (None, None) => {
                let status = status.map_or_else(|| "unknown".to_owned(), |s| s.to_string());
                bail!("it ended without a verdict (QEMU: {status})")
            }
        }
    }
}

/// Reads both streams on threads of their own; the channel closes when both have ended.
fn read_streams(qemu: &mut Qemu) -> Result<Receiver<Event>> {
    let child = qemu.child();
    let programs = child.stdout.take().context("QEMU has no standard output")?;
    let console = child.stderr.take().context("QEMU has no standard error")?;
    let (sender, receiver) = mpsc::channel();
    let other = sender.clone();
    thread::spawn(move || read_bytes(programs, &other));
    thread::spawn(move || read_lines(console, &sender));
    Ok(receiver)
}

fn read_bytes(mut stream: impl Read, events: &Sender<Event>) {
    let mut buffer = [0; 4096];
    // An error is the end of the stream as much as the end itself is.
    while let Ok(length @ 1..) = stream.read(&mut buffer) {
        let bytes = buffer.get(..length).unwrap_or_default().to_vec();
        if events.send(Event::Programs(bytes)).is_err() {
            break;
        }
    }
}

fn read_lines(stream: impl Read, events: &Sender<Event>) {
    let mut stream = BufReader::new(stream);
    let mut line = Vec::new();
    while let Ok(1..) = stream.read_until(b'\n', &mut line) {
        if events.send(Event::Console(std::mem::take(&mut line))).is_err() {
            break;
        }
    }
}

/// Writes to standard output at once.
pub(crate) fn show(bytes: &[u8]) {
    let mut stdout = std::io::stdout().lock();
    let mut rest = bytes;
    while !rest.is_empty() {
        match stdout.write(rest) {
            Ok(length) => rest = rest.get(length..).unwrap_or_default(),
            // QEMU sets the terminal that it shares with us to non-blocking.
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                thread::sleep(Duration::from_millis(2));
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            // Nobody reads any more (`| head`); the run goes on to its verdict.
            Err(_) => return,
        }
    }
    let _ = stdout.flush();
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn a_verdict_is_believed() {
        let end = End { up: true, verdict: Some(Verdict::Pass), ..End::default() };
        assert_eq!(end.judge(None).unwrap(), Verdict::Pass);
    }

    #[test]
    fn a_marker_outweighs_a_verdict() {
        let marker = Some("kernel panic");
        let end = End { up: true, verdict: Some(Verdict::Pass), marker, ..End::default() };
        assert!(end.judge(None).unwrap_err().to_string().contains("kernel panic"));
    }

    #[test]
    fn only_a_kernel_that_died_before_pid_1_began_died_young() {
        let marker = Some("kernel oops");
        assert!(End { marker, ..End::default() }.died_young());
        assert!(!End { marker, up: true, ..End::default() }.died_young());
        assert!(!End::default().died_young());
    }

    #[test]
    fn a_run_without_a_verdict_is_a_failure_that_says_why() {
        let message = |end: End| end.judge(None).unwrap_err().to_string();
        let limit = Some(Cut::TimeLimit(Duration::from_secs(7)));
        assert!(message(End { cut: limit, ..End::default() }).contains("limit of 7 s"));
        assert!(message(End::default()).contains("without a verdict"));
        let verdict = Some(Verdict::Error("mount proc on /proc".to_owned()));
        assert!(message(End { verdict, ..End::default() }).contains("mount proc on /proc"));
    }
}
