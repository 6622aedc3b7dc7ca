// SPDX-License-Identifier: Apache-2.0
//! The two ends of a full call without the call: what the daemon does after its snapshot, and what a
//! client does with the bytes of the reply.

use anyhow::{Result, anyhow};
use wakeupstats::load::Loaded;
use wakeupstats::query::Query;
use wakeupstats::reply;
use wakeupstats::tracker::Tracker;
use wakeupstats::walk::{Limits, Walker};
use wakeupstats_aidl::{Columns, SnapshotQuery, WakeupSources};

use super::{Contender, Seen};

/// From the tracker to a parcel.
#[derive(Debug)]
pub struct Marshal {
    tracker: Tracker,
    parcel: Vec<u8>,
}

impl Marshal {
    /// With the sources as they are now.
    pub fn new() -> Result<Self> {
        let mut tracker = Tracker::new(1);
        tracker.update(Walker::new(Loaded::load()?, Limits::default()).snapshot()?);
        Ok(Marshal { tracker, parcel: Vec::new() })
    }
}

impl Contender for Marshal {
    fn name(&self) -> &'static str {
        "marshal"
    }

    fn call(&mut self) -> Result<()> {
        let answer = Query::default().answer(&self.tracker);
        let reply = reply::snapshot(&SnapshotQuery::default(), &answer);
        let parcel = rsbinder::to_bytes(&reply.sources);
        self.parcel = parcel.map_err(|error| anyhow!("no parcel: {error:?}"))?;
        Ok(())
    }

    fn seen(&self) -> Result<Seen> {
        Ok(Seen::Sources(parsed(&self.parcel)?.handles.len()))
    }
}

/// From a parcel to plain rows.
#[derive(Debug)]
pub struct Unmarshal {
    parcel: Vec<u8>,
    /// Rows of the last call.
    rows: usize,
}

impl Unmarshal {
    /// With the sources as they are now.
    pub fn new() -> Result<Self> {
        let mut marshal = Marshal::new()?;
        marshal.call()?;
        Ok(Unmarshal { parcel: marshal.parcel, rows: 0 })
    }
}

impl Contender for Unmarshal {
    fn name(&self) -> &'static str {
        "unmarshal"
    }

    fn call(&mut self) -> Result<()> {
        self.rows = Columns::InReply(&parsed(&self.parcel)?).rows()?.len();
        Ok(())
    }

    fn seen(&self) -> Result<Seen> {
        Ok(Seen::Sources(self.rows))
    }
}

fn parsed(parcel: &[u8]) -> Result<WakeupSources> {
    rsbinder::from_bytes(parcel).map_err(|error| anyhow!("no sources: {error:?}"))
}
