// SPDX-License-Identifier: Apache-2.0
//! `cargo xtask record`, the part inside the VM: replies of the service to a client that keeps up with it, for
//! the tests in Java to read, and what each must come to by name.
//!
//! A line for each recording: [`PREFIX`], its name, a space, and a list of steps as JSON. A step has what was
//! asked for, the reply as a parcel in hexadecimal digits, the file that came with it if one did, and the sums
//! by name. Those are of what the service says in full of the same moment, which is held against sysfs.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use init::FILE as PREFIX;
use serde_json::{Value, json};
use wakeupstats_aidl::{Cache, SnapshotBackend, SnapshotQuery, Source, rows};
use wakeupstats_vm::daemon::{self, Daemon};
use wakeupstats_vm::sources::{self, Sources};
use wakeupstats_vm::{backend, sysfs};

const NS_PER_US: i64 = 1_000;
const NS_PER_MS: i64 = 1_000_000;

/// So many do not fit into a reply.
const MANY: usize = 2_400;

fn main() -> Result<()> {
    backend::load_and_pin()?;
    changes()?;
    restart()?;
    another_backend()?;
    many()
}

/// Sources that share names become active and relax, come and go.
fn changes() -> Result<()> {
    let _daemon = pinned()?;
    let mut sources = sources::mixed(6)?;
    let mut recording = Recording::default();
    recording.step()?;
    hold(&sources, 0)?;
    recording.step()?;
    hold(&sources, 3)?;
    recording.step()?;
    sources.relax(0)?;
    recording.step()?;
    hold(&sources, 4)?;
    recording.step()?;
    sources.remove_last()?;
    recording.step()?;
    sources.remove_last()?;
    recording.step()?;
    sources.add_timerfd()?;
    hold(&sources, 4)?;
    recording.step()?;
    sources.relax_all()?;
    recording.step()?;
    recording.step()?;
    recording.print("changes");
    Ok(())
}

/// The service is started again, while some sources change and some go.
fn restart() -> Result<()> {
    let daemon = pinned()?;
    let mut sources = sources::mixed(6)?;
    let mut recording = Recording::default();
    hold(&sources, 4)?;
    recording.step()?;
    hold(&sources, 0)?;
    recording.step()?;
    drop(daemon);
    sources.relax(0)?;
    sources.remove_last()?;
    sources.remove_last()?;
    let _daemon = pinned()?;
    recording.step()?;
    hold(&sources, 3)?;
    recording.step()?;
    recording.print("restart");
    Ok(())
}

/// The service is started again, and has only sysfs, whose times are whole milliseconds.
fn another_backend() -> Result<()> {
    let daemon = pinned()?;
    let sources = sources::mixed(6)?;
    let mut recording = Recording::default();
    for index in 0..sources.len() {
        hold(&sources, index)?;
    }
    sources.relax_all()?;
    recording.step()?;
    drop(daemon);
    let _daemon = Daemon::start_without_privilege(&["--backend", "sysfs"])?;
    recording.step()?;
    hold(&sources, 3)?;
    recording.step()?;
    recording.print("another-backend");
    Ok(())
}

/// The sources come in a file.
fn many() -> Result<()> {
    let _daemon = pinned()?;
    let sources = sources::eventfds(MANY)?;
    let others = sources::mixed(6)?;
    let mut recording = Recording::default();
    for index in 0..3 {
        hold(&sources, index)?;
        hold(&others, index)?;
    }
    recording.step()?;
    sources.relax(0)?;
    recording.step()?;
    recording.print("many");
    Ok(())
}

fn pinned() -> Result<Daemon> {
    Daemon::start_without_privilege(&["--backend", "pinned"])
}

/// Makes a source active, and lets some time pass.
fn hold(sources: &Sources, index: usize) -> Result<()> {
    sources.activate(index)?;
    sleep(Duration::from_millis(7));
    Ok(())
}

/// Count, and total and active time in microseconds.
#[derive(Clone, Copy, Default)]
struct Sum {
    count: i64,
    total_us: i64,
    active_us: i64,
}

impl Sum {
    fn add(&mut self, source: &Source, active_ns: i64) {
        self.count += source.active_count;
        self.total_us += source.total_time_ns / NS_PER_US;
        self.active_us += active_ns / NS_PER_US;
    }
}

/// What was recorded of one client.
#[derive(Default)]
struct Recording {
    steps: Vec<Value>,
    cache: Cache,
    instance: i64,
    /// The sources as of the last step, by id.
    living: BTreeMap<i32, Source>,
    /// Those that are gone, as they were last seen.
    gone: Vec<Source>,
    sums: BTreeMap<String, Sum>,
}

impl Recording {
    fn step(&mut self) -> Result<()> {
        let service = daemon::service()?;
        let query = self.cache.query();
        let mut snapshot = service.getSnapshot(&query)?;
        let same = SnapshotQuery { maxAgeMs: 60_000, ..SnapshotQuery::default() };
        let full = service.getSnapshot(&same)?;
        ensure!(full.sequence == snapshot.sequence, "not of the same moment");
        self.cache.apply(&snapshot)?;
        let living: BTreeMap<i32, Source> =
            rows(&full)?.into_iter().map(|row| (row.id, row)).collect();
        compare(&living)?;
        self.take(living, full.instance);

        let large = snapshot.largeSources.take();
        let large = large.map(|file| whole(&File::from(file.as_ref().try_clone()?))).transpose()?;
        let file = match &large {
            Some(bytes) => Value::String(hexadecimal(bytes)?),
            None => Value::Null,
        };
        let reply = rsbinder::to_bytes(&snapshot).ok().context("the reply is no parcel")?;
        self.steps.push(json!({
            "query": {
                "instance": query.instance,
                "sinceSequence": query.sinceSequence,
                "knownHandle": query.knownHandle,
            },
            "isIncremental": snapshot.incremental,
            "isSysfs": snapshot.backend == SnapshotBackend::SYSFS,
            "reply": hexadecimal(&reply)?,
            "file": file,
            "wakelocks": self.sums.iter().map(|(name, sum)| (name.clone(), json!({
                "count": sum.count,
                "totalTimeUs": sum.total_us,
                "activeTimeUs": sum.active_us,
            }))).collect::<serde_json::Map<_, _>>(),
        }));
        Ok(())
    }

    /// Sums up what there is. No source comes while the service is away, so that an id is the same source's
    /// in two instances.
    fn take(&mut self, living: BTreeMap<i32, Source>, instance: i64) {
        for (id, before) in std::mem::take(&mut self.living) {
            let handle = living.get(&id).map(|source| source.handle);
            let remains = match self.instance == instance {
                true => handle == Some(before.handle),
                false => handle.is_some(),
            };
            if !remains {
                self.gone.push(before);
            }
        }
        let mut sums: BTreeMap<String, Sum> = BTreeMap::new();
        for source in living.values() {
            let name = source.name.clone().unwrap_or_default();
            sums.entry(name).or_default().add(source, source.active_time_ns);
        }
        self.gone.retain(|source| sums.contains_key(source.name.as_deref().unwrap_or_default()));
        for source in &self.gone {
            if let Some(sum) = sums.get_mut(source.name.as_deref().unwrap_or_default()) {
                sum.add(source, 0);
            }
        }
        for (name, sum) in &mut sums {
            if let Some(before) = self.sums.get(name) {
                sum.total_us = sum.total_us.max(before.total_us);
            }
        }
        (self.living, self.instance, self.sums) = (living, instance, sums);
    }

    fn print(&self, name: &str) {
        println!("{PREFIX}{name} {}", Value::Array(self.steps.clone()));
    }
}

/// Holds the sources against sysfs: all of them, and each that has come to rest.
fn compare(living: &BTreeMap<i32, Source>) -> Result<()> {
    let nodes = sysfs::read()?;
    ensure!(nodes.len() == living.len(), "the service and sysfs differ in their number");
    for (id, source) in living {
        let node = nodes.get(&u32::try_from(*id)?);
        let node = node.with_context(|| format!("wakeup{id} is not in sysfs"))?;
        ensure!(source.name.as_ref() == Some(&sysfs::name(node)), "wakeup{id}'s names differ");
        let is_same = source.active_count == i64::try_from(node.active_count)?
            && source.total_time_ns / NS_PER_MS == node.total_time_ms;
        ensure!(source.active || is_same, "wakeup{id} differs: {source:?} and {node:?}");
    }
    Ok(())
}

fn whole(file: &File) -> Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(file.metadata()?.len())?];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

fn hexadecimal(bytes: &[u8]) -> Result<String> {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        write!(text, "{byte:02x}")?;
    }
    Ok(text)
}
