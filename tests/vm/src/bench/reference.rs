// SPDX-License-Identifier: Apache-2.0
//! What there is to be seen, by which contenders are judged.

use anyhow::{Result, ensure};
use wakeupstats::load::Loaded;
use wakeupstats::walk::{Limits, Walker};

use super::Seen;
use crate::sysfs;

/// Knows the numbers of the kernel's sources.
#[derive(Debug)]
pub struct Reference(Walker<Loaded>);

impl Reference {
    /// With a program of its own, as that disturbs least.
    pub fn load() -> Result<Self> {
        Ok(Reference(Walker::new(Loaded::load()?, Limits::default())))
    }

    /// Makes sure that sysfs, read in the plainest way, agrees, and that there are so many sources.
    pub fn check_against_sysfs(&mut self, sources: usize) -> Result<()> {
        let nodes = sysfs::read()?;
        let by_sysfs = Seen::events(nodes.values().map(|node| node.event_count));
        let seen = self.seen()?;
        ensure!(by_sysfs == seen, "sysfs has {by_sysfs:?}, the BPF program {seen:?}");
        ensure!(nodes.len() == sources, "there are {} sources, not {sources}", nodes.len());
        Ok(())
    }

    /// Whether that is what there is now.
    pub fn confirm(&mut self, seen: Seen) -> Result<()> {
        let expected = self.seen()?;
        ensure!(agree(seen, expected), "saw {seen:?}, where there is {expected:?}");
        Ok(())
    }

    fn seen(&mut self) -> Result<Seen> {
        let snapshot = self.0.snapshot()?;
        Ok(Seen::events(snapshot.sources.iter().map(|source| source.event_count)))
    }
}

fn agree(seen: Seen, expected: Seen) -> bool {
    match (seen, expected) {
        (Seen::Nothing, _) => true,
        (Seen::Sources(seen), Seen::Numbers { sources, .. }) => seen == sources,
        _ => seen == expected,
    }
}
