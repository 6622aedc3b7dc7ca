// SPDX-License-Identifier: Apache-2.0
//! From one snapshot to the next: who is still the same, what changed, and who is gone.
//!
//! The kernel reuses ids and names are not unique, so each life of a source gets a handle, which is
//! never given twice. Each snapshot gets a sequence, and each row that of its last change, so that
//! any client's "what changed since then" is answered from the rows alone: nothing is kept for
//! clients. Of what is gone a bounded log is kept.

use std::collections::{HashMap, VecDeque};

use crate::model::{Snapshot, Source, Walk};

/// How many sources that are gone are remembered. Older sequences get a full answer.
const MAX_GONE: usize = 4_096;

/// By how much a total may fall short of what was said before and still be the same source's: BPF
/// reads the clock without its lock, so it may be a little ahead of the kernel's own. Nanoseconds.
const CLOCK_JITTER_NS: i64 = 1_000_000;

/// One life of a source, as a client may know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Never reused while the service lives. Handles of younger sources are higher.
    pub handle: i64,
    /// The sequence of the snapshot in which the row last changed.
    pub changed: i64,
    /// Its values. None that only rises ever falls.
    pub source: Source,
}

/// What a client saw last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Since {
    /// The instance of the service that it saw.
    pub instance: i64,
    /// The sequence of its last snapshot.
    pub sequence: i64,
}

/// Follows the sources from snapshot to snapshot.
#[derive(Debug)]
pub struct Tracker {
    instance: i64,
    sequence: i64,
    last_handle: i64,
    walk: Option<Walk>,
    rows: Vec<Row>,
    /// Sequence and handle of what is gone, the oldest first.
    gone: VecDeque<(i64, i64)>,
    /// The highest sequence of what has left the log.
    forgotten: i64,
}

impl Tracker {
    /// A tracker that has seen nothing. `instance` is this life of the service.
    pub fn new(instance: i64) -> Self {
        Tracker {
            instance,
            sequence: 0,
            last_handle: 0,
            walk: None,
            rows: Vec::new(),
            gone: VecDeque::new(),
            forgotten: 0,
        }
    }

    /// This life of the service.
    pub fn instance(&self) -> i64 {
        self.instance
    }

    /// The number of the last snapshot, from 1 on; 0 before the first.
    pub fn sequence(&self) -> i64 {
        self.sequence
    }

    /// How and when the last snapshot was read.
    pub fn walk(&self) -> Option<Walk> {
        self.walk
    }

    /// The sources of the last snapshot, in its order.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Whether changes since then are all known.
    pub fn knows(&self, since: Since) -> bool {
        since.instance == self.instance
            && (self.forgotten.max(1)..=self.sequence).contains(&since.sequence)
    }

    /// The handles of what went after `sequence`.
    pub fn gone_since(&self, sequence: i64) -> impl Iterator<Item = i64> {
        let after = self.gone.partition_point(|&(when, _)| when <= sequence);
        self.gone.range(after..).map(|&(_, handle)| handle)
    }

    /// Takes in the next snapshot.
    pub fn update(&mut self, snapshot: Snapshot) {
        self.sequence += 1;
        self.walk = Some(snapshot.walk);
        // Sources keep their order on the kernel's list, and new ones come to its front. So where
        // the order is the list's, one that overtook another is a new one with a used id.
        let in_list_order = snapshot.walk.walks == 1;
        let old = std::mem::take(&mut self.rows);
        let mut old: HashMap<u32, (usize, Row)> = old
            .into_iter()
            .rev()
            .enumerate()
            .map(|(age, row)| (row.source.id, (age, row)))
            .collect();
        let mut oldest_allowed = 0;
        for source in snapshot.sources.into_iter().rev() {
            let row = match old.remove(&source.id) {
                Some((age, row))
                    if is_same(&row.source, &source)
                        && (age >= oldest_allowed || !in_list_order) =>
                {
                    oldest_allowed = age;
                    self.next(row, source)
                }
                other => {
                    if let Some((_, row)) = other {
                        self.forget(row.handle);
                    }
                    self.last_handle += 1;
                    Row { handle: self.last_handle, changed: self.sequence, source }
                }
            };
            self.rows.push(row);
        }
        self.rows.reverse();
        let mut missing: Vec<Row> = old.into_values().map(|(_, row)| row).collect();
        missing.sort_by_key(|row| row.handle);
        if snapshot.walk.complete {
            missing.iter().for_each(|row| self.forget(row.handle));
        } else {
            // Not seen is not gone: the last that is known of it stands.
            self.rows.extend(missing.into_iter().rev());
        }
    }

    /// The row of a source that is still there.
    fn next(&self, row: Row, source: Source) -> Row {
        let source = never_backwards(&row.source, source);
        let changed = if source == row.source { row.changed } else { self.sequence };
        Row { changed, source, ..row }
    }

    fn forget(&mut self, handle: i64) {
        self.gone.push_back((self.sequence, handle));
        if self.gone.len() > MAX_GONE
            && let Some((sequence, _)) = self.gone.pop_front()
        {
            self.forgotten = sequence;
        }
    }
}

/// Whether a source with the id of a former one can be that one.
fn is_same(old: &Source, new: &Source) -> bool {
    let same_names = old.name == new.name
        && old.name_truncated == new.name_truncated
        && old.device == new.device;
    if !same_names {
        return false;
    }
    // Values of a row that is not consistent are of several moments: none of them proves anything.
    if !new.consistent {
        return true;
    }
    let counts = counts(old).into_iter().zip(counts(new)).all(|(old, new)| old <= new);
    let times = times(old).into_iter().zip(times(new));
    let times = times.into_iter().all(|(old, new)| old <= new.saturating_add(CLOCK_JITTER_NS));
    counts && times && old.last_change_ns <= new.last_change_ns
}

fn counts(source: &Source) -> [u64; 5] {
    let Source { active_count, event_count, wakeup_count, expire_count, relax_count, .. } = *source;
    [active_count, event_count, wakeup_count, expire_count, relax_count]
}

fn times(source: &Source) -> [i64; 3] {
    [source.total_time_ns, source.max_time_ns, source.prevent_suspend_time_ns]
}

/// The new values, but of those that only rise none below the old.
fn never_backwards(old: &Source, new: Source) -> Source {
    Source {
        active_count: new.active_count.max(old.active_count),
        event_count: new.event_count.max(old.event_count),
        wakeup_count: new.wakeup_count.max(old.wakeup_count),
        expire_count: new.expire_count.max(old.expire_count),
        relax_count: new.relax_count.max(old.relax_count),
        total_time_ns: new.total_time_ns.max(old.total_time_ns),
        max_time_ns: new.max_time_ns.max(old.max_time_ns),
        prevent_suspend_time_ns: new.prevent_suspend_time_ns.max(old.prevent_suspend_time_ns),
        last_change_ns: new.last_change_ns.max(old.last_change_ns),
        ..new
    }
}
