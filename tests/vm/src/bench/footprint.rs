// SPDX-License-Identifier: Apache-2.0
//! What a daemon takes beside the time of its calls: memory here and in the kernel, time to start, and
//! whatever it does when nobody calls.

use std::fs;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use init::bench::{Footprint, Quartiles};
use libbpf_rs::MapHandle;
use libbpf_rs::query::{ProgInfoIter, ProgInfoQueryOptions};
use rsbinder::Strong;
use wakeupstats_aidl::{Cache, IWakeupStats, SnapshotQuery};

use super::measure::Process;
use super::rounds::Field;
use crate::backend;
use crate::daemon::{self, Daemon};

/// The word by which this is measured.
pub const ROLE: &str = "footprint";

/// A phone's number of sources.
const SOURCES: u32 = 150;

/// How often a daemon is started.
const STARTS: u32 = 5;

/// Calls after which each buffer has its size. By turns of three kinds.
const FIRST_CALLS: u32 = 3_000;

/// How long nobody calls.
const IDLE: Duration = Duration::from_secs(10);

/// Measures the daemon as Android has it, and the one that loads the program itself.
pub fn measure(calls: u32, mut report: impl FnMut(Footprint)) -> Result<()> {
    let mut field = Field::new()?;
    field.grow_to(SOURCES as usize)?;
    backend::load_and_pin()?;
    let pinned = || Daemon::start_without_privilege(&["--backend", "pinned"]);
    report(of_daemon("pinned", calls, pinned).context("the daemon with backend pinned")?);
    let load = || Daemon::start_with(&["--backend", "load"]);
    report(of_daemon("load", calls, load).context("the daemon with backend load")?);
    Ok(())
}

fn of_daemon(name: &str, calls: u32, start: impl Fn() -> Result<Daemon>) -> Result<Footprint> {
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        let begin = Instant::now();
        let daemon = start()?;
        starts.push(begin.elapsed().as_secs_f64() * 1e3);
        drop(daemon);
    }
    let daemon = start()?;
    let pid = daemon.pid();
    let mut client = Client::new()?;
    client.call(FIRST_CALLS)?;
    let rest_pss_kib = pss_kib(pid)?;
    let idle = Process::new(pid).activity_in(IDLE)?;
    client.call(calls)?;
    let (program_bytes, map_bytes) = kernel_memory(pid)?;
    Ok(Footprint {
        daemon: name.to_owned(),
        sources: SOURCES,
        start_ms: Quartiles::of(starts).context("no starts")?,
        rest_pss_kib,
        pss_kib: pss_kib(pid)?,
        calls,
        program_bytes,
        map_bytes,
        idle_s: u32::try_from(IDLE.as_secs())?,
        idle_wakeups: idle.turns,
        idle_cpu_ns: u64::try_from(idle.runtime.as_nanos())?,
    })
}

/// Calls the daemon as a client does that wants to know all at all times, and a little more.
struct Client {
    service: Strong<dyn IWakeupStats>,
    cache: Cache,
}

impl Client {
    fn new() -> Result<Self> {
        Ok(Client { service: daemon::service()?, cache: Cache::default() })
    }

    fn call(&mut self, calls: u32) -> Result<()> {
        for call in 0..calls {
            match call % 3 {
                0 => self.cache.apply(&self.service.getSnapshot(&self.cache.query())?)?,
                1 => {
                    let all = self.service.getSnapshot(&SnapshotQuery::default())?;
                    ensure!(all.sources.handles.len() == SOURCES as usize, "sources are missing");
                }
                _ => drop(self.service.getStatus()?),
            }
        }
        Ok(())
    }
}

/// Its memory: what it has alone, and its share of what others have, too.
fn pss_kib(pid: u32) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    number_after(&text, "Pss:").context("smaps_rollup has no Pss")
}

/// Kernel memory of its BPF program and of that one's map, which it need not have open: by the kernel's
/// own account, for a map map_mem_usage(), for a program its pages, and what the JIT made of it.
fn kernel_memory(pid: u32) -> Result<(u64, u64)> {
    for file in fs::read_dir(format!("/proc/{pid}/fdinfo"))? {
        let program = fs::read_to_string(file?.path())?;
        let Some(id) = number_after(&program, "prog_id:") else { continue };
        let options =
            ProgInfoQueryOptions::default().include_map_ids(true).include_jited_prog_insns(true);
        let info = ProgInfoIter::with_query_opts(options).find(|info| u64::from(info.id) == id);
        let info = info.context("the kernel does not know the program")?;
        let [map] = info.map_ids[..] else { bail!("the program has maps {:?}", info.map_ids) };
        let map = MapHandle::from_map_id(map)?;
        let map = format!("/proc/self/fdinfo/{}", map.as_fd().as_raw_fd());
        let memlock = |text: &str| number_after(text, "memlock:").context("fdinfo has no memlock");
        let program = memlock(&program)? + info.jited_prog_insns.len() as u64;
        return Ok((program, memlock(&fs::read_to_string(map)?)?));
    }
    bail!("the daemon has no program open");
}

fn number_after(text: &str, label: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(label))?;
    line.split_whitespace().next()?.parse().ok()
}
