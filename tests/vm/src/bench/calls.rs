// SPDX-License-Identifier: Apache-2.0
//! Calls of the service, from this process.

use anyhow::{Result, ensure};
use rsbinder::{Interface, Strong};
use wakeupstats_aidl::{Cache, IWakeupStats, SnapshotQuery, Source, rows};

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
    /// A snapshot of everything, read now, as plain rows.
    pub fn all(&self) -> Result<Vec<Source>> {
        Ok(rows(&self.proxy.getSnapshot(&SnapshotQuery::default())?)?)
    }
}

/// What these rows say.
pub fn seen<'a>(sources: impl Iterator<Item = &'a Source>) -> Seen {
    let events: Vec<u64> = sources.map(|source| source.event_count.cast_unsigned()).collect();
    Seen::events(events.into_iter())
}

/// Everything, and plain rows made of it.
#[derive(Debug)]
pub struct Full {
    name: &'static str,
    service: Service,
    rows: Vec<Source>,
}

impl Full {
    /// Calls this service.
    pub fn new(name: &'static str, service: &Service) -> Self {
        Full { name, service: service.clone(), rows: Vec::new() }
    }
}

impl Contender for Full {
    fn name(&self) -> &'static str {
        self.name
    }

    fn call(&mut self) -> Result<()> {
        self.rows = self.service.all()?;
        Ok(())
    }

    fn seen(&self) -> Result<Seen> {
        Ok(seen(self.rows.iter()))
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
        Ok(seen(self.cache.sources()))
    }

    fn wants_changes(&self) -> bool {
        true
    }

    fn processes(&self) -> &[Process] {
        std::slice::from_ref(&self.service.process)
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
