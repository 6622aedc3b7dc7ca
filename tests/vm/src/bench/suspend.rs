// SPDX-License-Identifier: Apache-2.0
//! A stand-in for SystemSuspend: a service in a process of its own that reads sysfs by open files,
//! and replies with one parcelable for each source.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use rsbinder::{BinderResult, ExceptionCode, Interface, ProcessState, Status, Strong, hub};

use super::measure::Process;
use super::sysfs::SysfsCached;
use super::{Contender, Seen};

#[expect(clippy::allow_attributes, unreachable_pub, reason = "rsbinder-aidl's style")]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/bench.rs"));
}

use generated::wakeupstats::bench::IWakeLockStats::{BnWakeLockStats, IWakeLockStats};
use generated::wakeupstats::bench::WakeLockInfo::WakeLockInfo;

/// The word by which this program is the stand-in.
pub const ROLE: &str = "suspend";

/// What the service is registered as; tests/vm/src/bench/hub.toml allows it.
const NAME: &str = "wakeupstats.bench.suspend";

/// What the process says once it has registered.
const READY: &str = "ready";

#[derive(Default)]
struct Suspend(Mutex<SysfsCached>);

impl Interface for Suspend {}

impl IWakeLockStats for Suspend {
    fn openSources(&self) -> BinderResult<()> {
        let opened = SysfsCached::open().map_err(|error| failure(&format!("{error:#}")))?;
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = opened;
        Ok(())
    }

    fn getWakeLockStats(&self) -> BinderResult<Vec<WakeLockInfo>> {
        let mut sources = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let reading = sources.read().map_err(|error| failure(&error.to_string()))?;
        let info = reading.sources().map(|(name, numbers)| WakeLockInfo {
            name: String::from_utf8_lossy(name).into_owned(),
            activeCount: numbers.active_count,
            lastChange: numbers.last_change_ms,
            maxTime: numbers.max_time_ms,
            totalTime: numbers.total_time_ms,
            isActive: numbers.active_time_ms > 0,
            activeTime: numbers.active_time_ms,
            isKernelWakelock: true,
            pid: -1,
            eventCount: numbers.event_count,
            expireCount: numbers.expire_count,
            preventSuspendTime: numbers.prevent_suspend_time_ms,
            wakeupCount: numbers.wakeup_count,
        });
        Ok(info.collect())
    }
}

fn failure(message: &str) -> Status {
    (ExceptionCode::IllegalState, message).into()
}

/// The stand-in's part: serves until it is killed.
pub fn serve() -> Result<()> {
    ProcessState::init_default().map_err(|error| anyhow::anyhow!("can't open binder: {error}"))?;
    ProcessState::start_thread_pool();
    let service: Strong<dyn IWakeLockStats> = BnWakeLockStats::new_binder(Suspend::default());
    hub::add_service(NAME, service)?;
    println!("{READY}");
    Ok(ProcessState::join_thread_pool()?)
}

/// The stand-in's process, killed when this is dropped, and its service.
#[derive(Debug)]
pub struct Peer {
    child: Child,
    proxy: Strong<dyn IWakeLockStats>,
    process: Process,
}

impl Peer {
    /// Starts it, and waits until it has registered.
    pub fn start() -> Result<Self> {
        let program = std::env::current_exe()?;
        let mut child = Command::new(program).arg(ROLE).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        let words = child.stdout.take().context("no standard output")?;
        BufReader::new(words).read_line(&mut line)?;
        ensure!(line.trim() == READY, "the stand-in for SystemSuspend failed");
        let proxy = hub::check_interface(NAME)?;
        let process = Process::new(child.id());
        Ok(Peer { child, proxy, process })
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Calls the stand-in.
#[derive(Debug)]
pub struct SuspendLike<'a> {
    peer: &'a Peer,
    reply: Vec<WakeLockInfo>,
}

impl<'a> SuspendLike<'a> {
    /// Calls this one, which opens what there is now.
    pub fn new(peer: &'a Peer) -> Result<Self> {
        peer.proxy.openSources()?;
        Ok(SuspendLike { peer, reply: Vec::new() })
    }
}

impl Contender for SuspendLike<'_> {
    fn name(&self) -> &'static str {
        "suspend_like"
    }

    fn call(&mut self) -> Result<()> {
        self.reply = self.peer.proxy.getWakeLockStats()?;
        Ok(())
    }

    fn seen(&self) -> Result<Seen> {
        Ok(Seen::events(self.reply.iter().map(|info| info.eventCount.cast_unsigned())))
    }

    fn processes(&self) -> &[Process] {
        std::slice::from_ref(&self.peer.process)
    }
}
