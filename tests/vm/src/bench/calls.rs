// SPDX-License-Identifier: Apache-2.0
//! Calls of the service, from this process.

use std::hint::black_box;

use anyhow::{Result, ensure};
use rsbinder::{Interface, Strong};
use wakeupstats_aidl::{Cache, Columns, IWakeupStats, SnapshotQuery, WakeupSnapshot};

use super::measure::Process;
use super::{Contender, Seen};

/// A daemon's service.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its proxy.
    pub proxy: Strong<dyn IWakeupStats>,
    /// Its process.
    pub process: Process,
}

impl Service {
    /// A snapshot of everything, read now, of which plain rows were made.
    pub fn all(&self) -> Result<WakeupSnapshot> {
        let reply = self.proxy.getSnapshot(&SnapshotQuery::default())?;
        black_box(Columns::of(&reply)?.rows()?);
        Ok(reply)
    }
}

/// What a snapshot of everything says.
pub fn seen(reply: &WakeupSnapshot) -> Result<Seen> {
    let columns = Columns::of(reply)?;
    let rows = columns.rows()?;
    Ok(Seen::events(rows.iter().map(|source| source.event_count.cast_unsigned())))
}

/// Everything, and plain rows made of it.
#[derive(Debug)]
pub struct Full {
    name: &'static str,
    service: Service,
    reply: WakeupSnapshot,
}

impl Full {
    /// Calls this service.
    pub fn new(name: &'static str, service: &Service) -> Self {
        Full { name, service: service.clone(), reply: WakeupSnapshot::default() }
    }
}

impl Contender for Full {
    fn name(&self) -> &'static str {
        self.name
    }

    fn call(&mut self) -> Result<()> {
        self.reply = self.service.all()?;
        Ok(())
    }

    fn seen(&self) -> Result<Seen> {
        seen(&self.reply)
    }

    fn wants_changes(&self) -> bool {
        true
    }

    fn warm_up(&mut self) -> Result<()> {
        Ok(self.service.proxy.as_binder().ping_binder()?)
    }

    fn processes(&self) -> &[Process] {
        std::slice::from_ref(&self.service.process)
    }
}

/// What changed, taken into a copy of everything.
#[derive(Debug)]
pub struct Delta {
    service: Service,
    cache: Cache,
    /// Whether the last answer was of changes alone.
    was_incremental: bool,
}

impl Delta {
    /// Calls this service, for the first time now.
    pub fn new(service: &Service) -> Result<Self> {
        let service = service.clone();
        let mut delta = Delta { service, cache: Cache::default(), was_incremental: false };
        delta.call()?;
        Ok(delta)
    }
}

impl Contender for Delta {
    fn name(&self) -> &'static str {
        "binder_delta"
    }

    fn call(&mut self) -> Result<()> {
        let snapshot = self.service.proxy.getSnapshot(&self.cache.query())?;
        self.was_incremental = snapshot.incremental;
        Ok(self.cache.apply(&snapshot)?)
    }

    fn seen(&self) -> Result<Seen> {
        ensure!(self.was_incremental, "the answer was a full one");
        let counts = self.cache.sources().map(|source| source.event_count.cast_unsigned());
        Ok(Seen::events(counts.collect::<Vec<_>>().into_iter()))
    }

    fn wants_changes(&self) -> bool {
        true
    }

    fn warm_up(&mut self) -> Result<()> {
        Ok(self.service.proxy.as_binder().ping_binder()?)
    }

    fn processes(&self) -> &[Process] {
        std::slice::from_ref(&self.service.process)
    }
}

/// A fresh answer in which there is nothing: a call, a walk, and no source in the reply.
#[derive(Debug)]
pub struct Floor {
    service: Service,
    query: SnapshotQuery,
    /// How many sources the walk found.
    total: usize,
}

impl Floor {
    /// Calls this service.
    pub fn new(service: &Service) -> Self {
        // None of the benchmark's sources is active, nor are the machine's own.
        let query = SnapshotQuery { activeOnly: true, ..SnapshotQuery::default() };
        Floor { service: service.clone(), query, total: 0 }
    }
}

impl Contender for Floor {
    fn name(&self) -> &'static str {
        "binder_floor"
    }

    fn call(&mut self) -> Result<()> {
        let reply = self.service.proxy.getSnapshot(&self.query)?;
        ensure!(reply.sources.handles.is_empty(), "there is a source in the reply");
        (self.query.instance, self.query.sinceSequence) = (reply.instance, reply.sequence);
        self.total = usize::try_from(reply.totalSources)?;
        Ok(())
    }

    fn seen(&self) -> Result<Seen> {
        Ok(Seen::Sources(self.total))
    }

    fn processes(&self) -> &[Process] {
        std::slice::from_ref(&self.service.process)
    }
}

/// The service's least call, which reads nothing from the kernel.
#[derive(Debug)]
pub struct Status(Service);

impl Status {
    /// Calls this service.
    pub fn new(service: &Service) -> Self {
        Status(service.clone())
    }
}

impl Contender for Status {
    fn name(&self) -> &'static str {
        "binder_status"
    }

    fn call(&mut self) -> Result<()> {
        let status = self.0.proxy.getStatus()?;
        ensure!(status.sequence > 0, "the service has read nothing yet");
        Ok(())
    }

    fn seen(&self) -> Result<Seen> {
        Ok(Seen::Nothing)
    }

    fn processes(&self) -> &[Process] {
        std::slice::from_ref(&self.0.process)
    }
}

/// An empty call, which binder's library answers in the service's process.
#[derive(Debug)]
pub struct Ping(Service);

impl Ping {
    /// Calls this service.
    pub fn new(service: &Service) -> Self {
        Ping(service.clone())
    }
}

impl Contender for Ping {
    fn name(&self) -> &'static str {
        "ping"
    }

    fn call(&mut self) -> Result<()> {
        Ok(self.0.proxy.as_binder().ping_binder()?)
    }

    fn seen(&self) -> Result<Seen> {
        Ok(Seen::Nothing)
    }

    fn processes(&self) -> &[Process] {
        std::slice::from_ref(&self.0.process)
    }
}
