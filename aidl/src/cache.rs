// SPDX-License-Identifier: Apache-2.0
//! A client's copy of all sources, kept up to date by what changed.

use std::collections::BTreeMap;

use crate::{Columns, Malformed, SnapshotQuery, Source, WakeupSnapshot};

/// The wakeup sources as of the last snapshot that was [applied](Cache::apply).
///
/// It asks for what changed since, and for no name twice. Answers that the service gives in full,
/// after its restart for one, are taken in like any other.
#[derive(Clone, Debug, Default)]
pub struct Cache {
    instance: i64,
    sequence: i64,
    known_handle: i64,
    rows: BTreeMap<i64, Source>,
}

impl Cache {
    /// What to ask the service for next. `maxAgeMs` may be changed, and no other field.
    pub fn query(&self) -> SnapshotQuery {
        SnapshotQuery {
            instance: self.instance,
            sinceSequence: self.sequence,
            knownHandle: self.known_handle,
            ..SnapshotQuery::default()
        }
    }

    /// Takes in the answer to [`Cache::query`]. After an error the cache is empty, so that the next
    /// answer is a full one.
    pub fn apply(&mut self, snapshot: &WakeupSnapshot) -> Result<(), Malformed> {
        let applied = self.try_apply(snapshot);
        if applied.is_err() {
            *self = Cache::default();
        }
        applied
    }

    fn try_apply(&mut self, snapshot: &WakeupSnapshot) -> Result<(), Malformed> {
        if self.instance != snapshot.instance {
            *self = Cache { instance: snapshot.instance, ..Cache::default() };
        }
        // What a full answer does not have is gone; but names may be left out of it, too.
        let mut former = BTreeMap::new();
        if !snapshot.incremental {
            std::mem::swap(&mut former, &mut self.rows);
        }
        for handle in &snapshot.goneHandles {
            self.rows.remove(handle);
        }
        for row in Columns::of(snapshot)?.rows()? {
            let row = if row.name.is_some() {
                row.into_owned()
            } else {
                let known = former.remove(&row.handle).or_else(|| self.rows.remove(&row.handle));
                let known = known.ok_or(Malformed::UnknownName(row.handle))?;
                row.named(known.name, known.device)
            };
            self.rows.insert(row.handle, row);
        }
        // All up to the newest have come with their names: handles are given in rising order.
        let newest = self.rows.last_key_value().map_or(0, |(&handle, _)| handle);
        self.known_handle = self.known_handle.max(newest);
        self.sequence = snapshot.sequence;
        Ok(())
    }

    /// The sources, the youngest first, as the kernel lists them.
    pub fn sources(&self) -> impl Iterator<Item = &Source> {
        self.rows.values().rev()
    }
}
