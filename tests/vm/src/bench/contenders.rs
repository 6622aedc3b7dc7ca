// SPDX-License-Identifier: Apache-2.0
//! All contenders, and the processes that they need.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use wakeupstats_aidl::SnapshotBackend;

use super::Contender;
use super::calls::{Delta, Floor, Full, Ping, Service, Status};
use super::debugfs::Debugfs;
use super::ends::{Marshal, Unmarshal};
use super::measure::Process;
use super::ringbuf::Ringbuf;
use super::shared::{Clients, Shared};
use super::suspend::{Peer, SuspendLike};
use super::sysfs::{Sysfs, SysfsCached};
use super::walks::{Snapshot, Walk};
use crate::backend;
use crate::daemon::{self, Daemon};

/// How long a daemon may take to take its service's name over from another.
const TAKE_OVER_LIMIT: Duration = Duration::from_secs(20);

/// The processes, in the order in which they must end: the name "wakeupstats" is first the one
/// daemon's and then the other's, which lets it go before.
#[derive(Debug)]
pub struct Peers {
    suspend: Peer,
    clients: Clients,
    pinned: Service,
    loaded: Service,
    _pinned_daemon: Daemon,
    _loaded_daemon: Daemon,
}

impl Peers {
    /// Starts them.
    pub fn start() -> Result<Self> {
        let loaded_daemon = Daemon::start_with(&["--backend", "load"])?;
        let loaded = service_of(&loaded_daemon, SnapshotBackend::LOAD)?;
        let clients = Clients::start(&loaded)?;
        backend::load_and_pin()?;
        let pinned_daemon = Daemon::start_without_privilege(&["--backend", "pinned"])?;
        let pinned = service_of(&pinned_daemon, SnapshotBackend::PINNED)?;
        Ok(Peers {
            suspend: Peer::start()?,
            clients,
            pinned,
            loaded,
            _pinned_daemon: pinned_daemon,
            _loaded_daemon: loaded_daemon,
        })
    }
}

/// The daemon's service, once the name is its own, which the backend shows.
fn service_of(daemon: &Daemon, backend: SnapshotBackend) -> Result<Service> {
    let begin = Instant::now();
    loop {
        let proxy = daemon::service()?;
        if proxy.getStatus()?.backend == backend {
            return Ok(Service { proxy, process: Process::new(daemon.pid()) });
        }
        ensure!(begin.elapsed() < TAKE_OVER_LIMIT, "no service with backend {backend:?}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// All contenders, ready to read the sources that there are now.
pub fn all(sources: u32, peers: &mut Peers) -> Result<Vec<Box<dyn Contender + '_>>> {
    let Peers { suspend, clients, pinned, loaded, .. } = peers;
    Ok(vec![
        Box::new(Sysfs::default()),
        Box::new(SysfsCached::open()?),
        Box::new(SuspendLike::new(suspend)?),
        Box::new(Debugfs::default()),
        Box::new(Ringbuf::load(sources as usize).context("ringbuf")?),
        Box::new(Walk::load(sources).context("walk")?),
        Box::new(Snapshot::load().context("snapshot")?),
        Box::new(Marshal::new().context("marshal")?),
        Box::new(Unmarshal::new().context("unmarshal")?),
        Box::new(Full::new("binder_full", loaded)),
        Box::new(Delta::new(loaded).context("binder_delta")?),
        Box::new(Shared::new(clients)),
        Box::new(Floor::new(loaded)),
        Box::new(Status::new(loaded)),
        Box::new(Ping::new(loaded)),
        Box::new(Walk::pinned().context("pinned_walk")?),
        Box::new(Snapshot::pinned().context("pinned_snapshot")?),
        Box::new(Full::new("binder_pinned", pinned)),
    ])
}
