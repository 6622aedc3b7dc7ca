// SPDX-License-Identifier: Apache-2.0
//! A client's copy of all sources, kept up to date by what changed.

use std::collections::BTreeMap;

use crate::{Malformed, SnapshotQuery, Source, WakeupSnapshot, rows};

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
        let former = std::mem::take(self);
        let received = rows(snapshot)?;
        let same_instance = former.instance == snapshot.instance;
        let mut known = if same_instance { former.rows } else { BTreeMap::new() };
        let mut rows = BTreeMap::new();
        for mut row in received {
            let former = known.remove(&row.handle);
            if row.name.is_none() {
                let former = former.ok_or(Malformed::UnknownName(row.handle))?;
                row.name = former.name;
                row.device = former.device;
            }
            rows.insert(row.handle, row);
        }
        if snapshot.incremental {
            for handle in &snapshot.goneHandles {
                known.remove(handle);
            }
            rows.append(&mut known);
        }
        // All up to the newest have come with their names: handles are given in rising order.
        let newest = rows.last_key_value().map_or(0, |(&handle, _)| handle);
        let known_handle = if same_instance { former.known_handle.max(newest) } else { newest };
        let WakeupSnapshot { instance, sequence, .. } = *snapshot;
        *self = Cache { instance, sequence, known_handle, rows };
        Ok(())
    }

    /// The sources, the youngest first, as the kernel lists them.
    pub fn sources(&self) -> impl Iterator<Item = &Source> {
        self.rows.values().rev()
    }
}
