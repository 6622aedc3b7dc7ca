// SPDX-License-Identifier: Apache-2.0
//! `wakeupstats record`: what happens to the sources, into a file.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use wakeupstats_aidl::{Client, ClientError, SnapshotBackend, WakeupSnapshot};

use crate::interrupt;
use crate::recorder::Recorder;
use crate::recording::{Away, Header, Line, VERSION};
use crate::replay::{Moment, Replay, State};

/// More often would be no more than a load. Shorter stretches have exact times all the same.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);

/// Between two recordings of one boot, the wall clock and CLOCK_BOOTTIME keep apart the same: but for
/// this much, by which the wall clock may have been set. ns.
const WALL_CLOCK_SET_NS: i64 = 60_000_000_000;

#[derive(Args, Debug)]
pub(crate) struct Options {
    /// How often to look
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    interval: Duration,
    /// How long to record [default: until Ctrl-C]
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    limit: Option<Duration>,
    /// The file to record into
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Go on with a recording of the same boot, if the file is there
    #[arg(long, conflicts_with = "force")]
    append: bool,
    /// Replace the file, if it is there
    #[arg(long)]
    force: bool,
}

fn interval(text: &str) -> Result<Duration> {
    let interval = humantime::parse_duration(text)?;
    if interval < SHORTEST_INTERVAL {
        bail!("at least {}", humantime::format_duration(SHORTEST_INTERVAL));
    }
    Ok(interval)
}

impl Options {
    /// Records until the end, a signal, or an error. What was taken until then is in the file.
    pub(crate) fn run(&self, mut client: Client) -> Result<()> {
        let signals = signals()?;
        let status = client.status()?;
        let snapshot = client.update()?;
        let Moment { monotonic_ns, boottime_ns } = moment(&snapshot);
        let header = Header {
            version: VERSION,
            kernel: status.kernelRelease,
            backend: backend(&snapshot),
            instance: snapshot.instance,
            interval_ns: i64::try_from(self.interval.as_nanos())?,
            monotonic_ns,
            boottime_ns,
            realtime_ns: i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos())?,
        };
        let mut recording = self.open(&header)?;
        let name = self.out.display();
        let every = humantime::format_duration(self.interval);
        let until = match self.limit {
            Some(limit) => format!("for {}, or until Ctrl-C", humantime::format_duration(limit)),
            None => "until Ctrl-C".to_owned(),
        };
        eprintln!("wakeupstats: recording into {name} every {every}, {until}");
        recording.tick(&snapshot, &client)?;
        self.follow(&mut client, &mut recording, &signals)?;
        recording.file.sync_all().with_context(|| format!("{name} can't be written"))?;
        let Recording { ticks, size, .. } = recording;
        eprintln!(
            "wakeupstats: {ticks} ticks, {size} bytes in {name}: wakeupstats plot shows them"
        );
        Ok(())
    }

    /// Takes a tick at each interval, and a last one at the end.
    fn follow(
        &self,
        client: &mut Client,
        recording: &mut Recording,
        signals: &Receiver<()>,
    ) -> Result<()> {
        let end = self.limit.map(|limit| boottime() + limit);
        let mut next = Instant::now();
        let mut is_away = false;
        loop {
            // What was missed, while it took longer or the process was stopped, is not made up for.
            next = (next + self.interval).max(Instant::now());
            let pause = next.saturating_duration_since(Instant::now());
            let left = end.map_or(pause, |end| end.saturating_sub(boottime()));
            let woken = signals.recv_timeout(pause.min(left));
            let is_over =
                woken != Err(RecvTimeoutError::Timeout) || end.is_some_and(|end| boottime() >= end);
            match client.update() {
                Ok(snapshot) => {
                    if is_away {
                        eprintln!("wakeupstats: the service is back");
                    }
                    is_away = false;
                    recording.tick(&snapshot, client)?;
                }
                Err(error) if may_pass(&error) => {
                    if !is_away {
                        eprintln!("wakeupstats: {error}; waiting for it");
                        recording.away(error.to_string())?;
                    }
                    is_away = true;
                }
                Err(error) => return Err(error.into()),
            }
            if is_over {
                return Ok(());
            }
        }
    }

    fn open(&self, header: &Header) -> Result<Recording> {
        let path = &self.out;
        if self.append && path.metadata().is_ok_and(|it| it.len() > 0) {
            return Recording::resume(path, header);
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(!self.force && !self.append);
        let file = options.create(true).truncate(true).open(path);
        match file {
            Ok(file) => Recording::begin(path, file, header),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => bail!(
                "{} is there already: --append goes on with it, --force replaces it",
                path.display()
            ),
            Err(error) => Err(error).with_context(|| format!("{} can't be made", path.display())),
        }
    }
}

/// A recording that is written.
#[derive(Debug)]
struct Recording {
    path: PathBuf,
    file: File,
    recorder: Recorder,
    ticks: u64,
    /// How many bytes it has, of whole lines.
    size: u64,
}

impl Recording {
    fn begin(path: &Path, file: File, header: &Header) -> Result<Self> {
        let recorder = Recorder::new(State::new(header));
        let path = path.to_owned();
        let mut recording = Recording { path, file, recorder, ticks: 0, size: 0 };
        recording.write(&Line::Header(header.clone()))?;
        Ok(recording)
    }

    /// Goes on with one that is there: as after a restart of the service, but that nobody looked.
    fn resume(path: &Path, header: &Header) -> Result<Self> {
        let mut replay = Replay::open(path)?;
        while replay.next()?.is_some() {}
        let size = replay.whole();
        check_boot(replay.header(), replay.moment(), header)
            .with_context(|| format!("{} can't be gone on with", path.display()))?;
        let recorder = Recorder::new(replay.into_state());
        let opened = OpenOptions::new().append(true).open(path).and_then(|file| {
            // Without a line that is not whole.
            file.set_len(size)?;
            Ok(file)
        });
        let file = opened.with_context(|| format!("{} can't be written", path.display()))?;
        let path = path.to_owned();
        let mut recording = Recording { path, file, recorder, ticks: 0, size };
        recording.away("nothing was recorded".to_owned())?;
        Ok(recording)
    }

    fn tick(&mut self, snapshot: &WakeupSnapshot, client: &Client) -> Result<()> {
        let tick = self.recorder.tick(moment(snapshot), snapshot.instance, client.sources())?;
        self.write(&Line::Tick(tick))?;
        self.ticks += 1;
        Ok(())
    }

    fn away(&mut self, reason: String) -> Result<()> {
        self.write(&Line::Away(Away { reason }))
    }

    /// Writes a line at once and in one piece: who kills this process loses no other.
    fn write(&mut self, line: &Line) -> Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        let Err(error) = self.file.write_all(&text) else {
            self.size += u64::try_from(text.len())?;
            return Ok(());
        };
        // Not half a line, if that can be helped; who reads it does without that, too.
        let _ = self.file.set_len(self.size);
        let (name, ticks) = (self.path.display(), self.ticks);
        let what = format!("{name} can't be written; the {ticks} ticks until then are in it");
        Err(error).context(what)
    }
}

/// Whether what was recorded until `last` and what is now are of one boot.
fn check_boot(recorded: &Header, last: Moment, now: &Header) -> Result<()> {
    let booted = |it: &Header| it.realtime_ns.saturating_sub(it.boottime_ns);
    let is_same = booted(recorded).abs_diff(booted(now)) <= WALL_CLOCK_SET_NS.unsigned_abs()
        && recorded.kernel == now.kernel
        && last.boottime_ns <= now.boottime_ns
        && last.monotonic_ns <= now.monotonic_ns;
    if !is_same {
        bail!("the device has booted since, or its clock was set: record into another file");
    }
    Ok(())
}

/// Says when the process shall end.
fn signals() -> Result<Receiver<()>> {
    let (sender, receiver) = mpsc::channel();
    let mut is_first = true;
    interrupt::on_each(move || {
        // A service that hangs holds up the end. What was taken until then is in the file.
        if !std::mem::take(&mut is_first) {
            process::exit(1);
        }
        // Nobody listens any more where it is ending already.
        let _ = sender.send(());
    })?;
    Ok(receiver)
}

/// Whether the service may answer again.
fn may_pass(error: &ClientError) -> bool {
    matches!(
        error,
        ClientError::NoServiceManager(_)
            | ClientError::NotRunning
            | ClientError::Unreachable(_)
            | ClientError::Failed(..)
    )
}

fn moment(snapshot: &WakeupSnapshot) -> Moment {
    Moment { monotonic_ns: snapshot.monotonicNs, boottime_ns: snapshot.boottimeNs }
}

fn backend(snapshot: &WakeupSnapshot) -> String {
    let name = match snapshot.backend {
        SnapshotBackend::PINNED => "pinned",
        SnapshotBackend::LOAD => "load",
        SnapshotBackend::SYSFS => "sysfs",
        _ => "another",
    };
    name.to_owned()
}

/// CLOCK_BOOTTIME, which goes on while the device is suspended.
fn boottime() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::try_from(now).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(boottime_ns: i64, realtime_ns: i64) -> Header {
        Header { boottime_ns, realtime_ns, ..Header::default() }
    }

    #[test]
    fn only_a_recording_of_this_boot_is_gone_on_with() {
        let recorded = header(1_000_000_000, 901_000_000_000);
        let last = Moment { monotonic_ns: 0, boottime_ns: 2_000_000_000 };
        let is_same = |now: Header| check_boot(&recorded, last, &now).is_ok();

        assert!(is_same(header(5_000_000_000, 905_000_000_000)));
        assert!(is_same(header(5_000_000_000, 965_000_000_000)), "a minute fast");
        assert!(!is_same(header(5_000_000_000, 965_000_000_001)), "booted later");
        assert!(!is_same(header(1_999_999_999, 901_999_999_999)), "before its end");
        let other = Header { kernel: "7.4".to_owned(), ..header(5_000_000_000, 905_000_000_000) };
        assert!(!is_same(other), "another kernel");
    }
}
