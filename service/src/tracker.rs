// SPDX-License-Identifier: Apache-2.0
//! From one snapshot to the next: who is still the same, what changed, and who is gone.
//!
//! The kernel reuses ids and names are not unique, so each life of a source gets a handle, which is
//! never given twice. Each snapshot gets a sequence, and each row that of its last change, so that
//! any client's "what changed since then" is answered from the rows alone: nothing is kept for
//! clients. Of what is gone a bounded log is kept.

use std::collections::{HashMap, VecDeque};

use crate::model::{Backend, Snapshot, Source, Walk};

/// How many sources that are gone are remembered. Older sequences get a full answer.
const MAX_GONE: usize = 4_096;

/// By how much a total may fall short of what was said before and still be the same source's: BPF
/// reads the clock without its lock, so it may be a little ahead of the kernel's own. Nanoseconds.
const CLOCK_JITTER_NS: i64 = 1_000_000;

/// By how much any time may fall short of what another backend has said: sysfs leaves off what is
/// less than a millisecond.
const PRECISION_NS: i64 = 1_000_000;

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

impl Row {
    /// Takes in the next values of the source, as of snapshot `sequence`.
    fn update(&mut self, new: &Source, sequence: i64) {
        let old = &mut self.source;
        let changed = set(&mut old.active, new.active)
            | set(&mut old.consistent, new.consistent)
            | set(&mut old.active_time_ns, new.active_time_ns)
            | raise(&mut old.active_count, new.active_count)
            | raise(&mut old.event_count, new.event_count)
            | raise(&mut old.wakeup_count, new.wakeup_count)
            | raise(&mut old.expire_count, new.expire_count)
            | raise(&mut old.relax_count, new.relax_count)
            | raise(&mut old.total_time_ns, new.total_time_ns)
            | raise(&mut old.max_time_ns, new.max_time_ns)
            | raise(&mut old.prevent_suspend_time_ns, new.prevent_suspend_time_ns)
            | raise(&mut old.last_change_ns, new.last_change_ns);
        if changed {
            self.changed = sequence;
        }
    }
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
    /// Whether the rows are in the order of the kernel's list.
    in_list_order: bool,
    /// By how much the times of the snapshot at hand may fall short of the rows'.
    slack_ns: i64,
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
            in_list_order: true,
            slack_ns: 0,
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
    pub fn update(&mut self, snapshot: &Snapshot) {
        self.sequence += 1;
        let former = self.walk;
        // Rows keep what a more precise backend has said for as long as sysfs reads them.
        self.slack_ns = if snapshot.walk.backend == Backend::Sysfs { PRECISION_NS } else { 0 };
        if former.is_some_and(|walk| walk.backend != snapshot.walk.backend) {
            // Another backend may have another idea of the order.
            self.in_list_order = false;
        }
        let Snapshot { walk, sources, changes } = snapshot;
        // Usually nobody came and nobody went, and few have changed.
        let known = changes.as_ref().filter(|changes| {
            former.is_some_and(|former| {
                former.backend == walk.backend && former.monotonic_ns == changes.since_ns
            })
        });
        let is_same_list = self.rows.len() == sources.len()
            && match known {
                Some(changes) => self.update_in_place(changes.places.iter().copied(), sources),
                None => self.update_in_place(0..sources.len(), sources),
            };
        if is_same_list {
            self.in_list_order = walk.walks == 1;
        } else {
            self.match_up(snapshot);
        }
        self.walk = Some(*walk);
    }

    /// Takes in the sources in these places, if they are all the same lives as the rows there.
    fn update_in_place(
        &mut self,
        places: impl Iterator<Item = usize> + Clone,
        sources: &[Source],
    ) -> bool {
        let new = |place: usize| sources.get(place);
        let mut pairs = places.clone().filter_map(|place| self.rows.get(place).zip(new(place)));
        let all_same = pairs.all(|(row, source)| self.is_same(row, source));
        if all_same {
            for place in places {
                if let Some((row, source)) = self.rows.get_mut(place).zip(new(place)) {
                    row.update(source, self.sequence);
                }
            }
        }
        all_same
    }

    /// Finds out who came and who went.
    fn match_up(&mut self, Snapshot { walk, sources, .. }: &Snapshot) {
        // Sources keep their order on the kernel's list, and new ones come to its front. So where
        // both orders are the list's, one that overtook another is a new one with a used id.
        let in_list_order = walk.walks == 1;
        let ordered = in_list_order && self.in_list_order;
        let old = std::mem::take(&mut self.rows);
        let mut old: HashMap<u32, (usize, Row)> = old
            .into_iter()
            .rev()
            .enumerate()
            .map(|(age, row)| (row.source.id, (age, row)))
            .collect();
        let mut oldest_allowed = 0;
        for source in sources.iter().rev() {
            let former = old.remove(&source.id);
            let row = match former {
                Some((age, mut row))
                    if self.is_same(&row, source) && (age >= oldest_allowed || !ordered) =>
                {
                    oldest_allowed = age;
                    row.update(source, self.sequence);
                    row
                }
                other => {
                    if let Some((_, row)) = other {
                        self.forget(row.handle);
                    }
                    self.last_handle += 1;
                    Row { handle: self.last_handle, changed: self.sequence, source: source.clone() }
                }
            };
            self.rows.push(row);
        }
        self.rows.reverse();
        let mut missing: Vec<Row> = old.into_values().map(|(_, row)| row).collect();
        missing.sort_by_key(|row| row.handle);
        // Sysfs lists all before it reads any: what has no row is gone, or can't be read ever.
        let all_seen = walk.complete || walk.backend == Backend::Sysfs;
        self.in_list_order = in_list_order && (all_seen || missing.is_empty());
        if all_seen {
            missing.iter().for_each(|row| self.forget(row.handle));
        } else {
            // Not seen is not gone: the last that is known of it stands.
            self.rows.extend(missing.into_iter().rev());
        }
    }

    /// Whether a source can be the one that was there before.
    fn is_same(&self, row: &Row, new: &Source) -> bool {
        let old = &row.source;
        let same_identity = old.id == new.id
            && old.name == new.name
            && old.name_truncated == new.name_truncated
            && old.device == new.device;
        if !same_identity {
            return false;
        }
        // Values of a row that is not consistent are of several moments: none of them proves anything.
        if !new.consistent {
            return true;
        }
        let counts = counts(old).into_iter().zip(counts(new)).all(|(old, new)| old <= new);
        let most_ns = self.slack_ns + CLOCK_JITTER_NS;
        let mut times = times(old).into_iter().zip(times(new));
        let times = times.all(|(old, new)| old <= new.saturating_add(most_ns));
        let change = old.last_change_ns <= new.last_change_ns.saturating_add(self.slack_ns);
        counts && times && change
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

fn counts(source: &Source) -> [u64; 5] {
    let Source { active_count, event_count, wakeup_count, expire_count, relax_count, .. } = *source;
    [active_count, event_count, wakeup_count, expire_count, relax_count]
}

fn times(source: &Source) -> [i64; 3] {
    [source.total_time_ns, source.max_time_ns, source.prevent_suspend_time_ns]
}

/// Takes in a value. Says whether it is another.
fn set<T: PartialEq>(old: &mut T, new: T) -> bool {
    let is_other = *old != new;
    *old = new;
    is_other
}

/// Takes in a value that only rises, unless it fell. Says whether it rose.
fn raise<T: PartialOrd>(old: &mut T, new: T) -> bool {
    let rose = *old < new;
    if rose {
        *old = new;
    }
    rose
}
