// SPDX-License-Identifier: Apache-2.0
//! What a client asks for, and the answer to it from what the [`Tracker`] knows.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use thiserror::Error;

use crate::glob::Glob;
use crate::model::Source;
use crate::tracker::{Row, Since, Tracker};

/// The most names that a query may have.
pub const MAX_NAMES: usize = 1_000;

/// The most globs that a query may have: unlike names, each is matched with each source.
pub const MAX_GLOBS: usize = 32;

/// The longest name or glob, in bytes: a kernel's name of 255 bytes each of which was replaced.
pub const MAX_PATTERN_LEN: usize = 3 * 255;

/// A query that makes no sense.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Error {
    /// More names or globs than are allowed.
    #[error("{names} names and {globs} globs; at most {MAX_NAMES} and {MAX_GLOBS} are allowed")]
    TooManyPatterns {
        /// Names in the query.
        names: usize,
        /// Globs in the query.
        globs: usize,
    },
    /// A pattern is longer than any name.
    #[error("a name or glob of {0} bytes; no wakeup source's name has more than {MAX_PATTERN_LEN}")]
    LongPattern(usize),
    /// A number that must not be negative.
    #[error("{field} is {value}; it must be 0 or more")]
    Negative {
        /// The field.
        field: &'static str,
        /// Its value.
        value: i64,
    },
    /// An order that this version does not know.
    #[error("{0} is no order of rows")]
    UnknownOrder(i32),
}

/// The order of the rows. Numbers come highest first, names in the order of their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// The kernel's: the source registered last comes first.
    #[default]
    Kernel,
    /// By name.
    Name,
    /// By the time it has been active without a break.
    ActiveTime,
    /// By the time it has been active in all.
    TotalTime,
    /// By the longest time it was active without a break.
    MaxTime,
    /// By its last change.
    LastChange,
    /// By the time it kept autosleep from suspending.
    PreventSuspendTime,
    /// By activations.
    ActiveCount,
    /// By events.
    EventCount,
    /// By wakeups.
    WakeupCount,
    /// By expiries.
    ExpireCount,
}

/// Which sources to answer with, and how. The default asks for all.
#[derive(Clone, Debug, Default)]
pub struct Query {
    since: Option<Since>,
    names: HashSet<String>,
    globs: Vec<Glob>,
    active_only: bool,
    merge: bool,
    order: Order,
    limit: usize,
}

impl Query {
    /// Only what changed since then.
    pub fn since(mut self, since: Since) -> Self {
        self.since = Some(since);
        self
    }

    /// Only sources with one of these names, or that match one of these globs, in which `*` stands
    /// for any characters and `?` for one. No names and no globs let all pass.
    pub fn named(mut self, names: &[String], globs: &[String]) -> Result<Self, Error> {
        if names.len() > MAX_NAMES || globs.len() > MAX_GLOBS {
            return Err(Error::TooManyPatterns { names: names.len(), globs: globs.len() });
        }
        if let Some(long) = names.iter().chain(globs).find(|text| text.len() > MAX_PATTERN_LEN) {
            return Err(Error::LongPattern(long.len()));
        }
        self.names = names.iter().cloned().collect();
        self.globs = globs.iter().map(|glob| Glob::new(glob)).collect();
        Ok(self)
    }

    /// Only sources that are active.
    pub fn active_only(mut self, active_only: bool) -> Self {
        self.active_only = active_only;
        self
    }

    /// One row for all sources of a name.
    pub fn merged(mut self, merge: bool) -> Self {
        self.merge = merge;
        self
    }

    /// The rows in this order.
    pub fn ordered(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// The first `limit` rows; 0 is all.
    pub fn limited(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Answers from what is known. A query that merges or limits is always answered in full: in
    /// these, a row may come or go without any change of its own.
    pub fn answer<'a>(&self, tracker: &'a Tracker) -> Answer<'a> {
        let whole = self.merge || self.limit > 0;
        let since = self.since.filter(|&since| !whole && tracker.knows(since));
        let after = since.map_or(i64::MIN, |since| since.sequence);
        let changed = tracker.rows().iter().filter(|row| row.changed > after);
        let room = if since.is_some() { 0 } else { tracker.rows().len() };
        let (mut rows, mut gone) = (Vec::with_capacity(room), Vec::new());
        if since.is_some() {
            gone.extend(tracker.gone_since(after));
        }
        for row in changed.filter(|row| self.has_name(&row.source.name)) {
            if row.source.active || !self.active_only {
                rows.push(Cow::Borrowed(row));
            } else if since.is_some() {
                gone.push(row.handle);
            }
        }
        if self.merge {
            rows = merge(rows);
        }
        sort(&mut rows, self.order);
        if self.limit > 0 {
            rows.truncate(self.limit);
        }
        Answer { tracker, incremental: since.is_some(), rows, gone }
    }

    fn has_name(&self, name: &str) -> bool {
        let any = self.names.is_empty() && self.globs.is_empty();
        any || self.names.contains(name) || self.globs.iter().any(|glob| glob.matches(name))
    }
}

/// The answer to a query.
#[derive(Debug)]
pub struct Answer<'a> {
    /// Whom it is from: instance, sequence, and the walk.
    pub tracker: &'a Tracker,
    /// Whether it is only what changed since what the client saw last.
    pub incremental: bool,
    /// The rows. One merged of several sources has handle 0.
    pub rows: Vec<Cow<'a, Row>>,
    /// Of an incremental answer: the handles that no longer belong to it, because their source is
    /// gone, or changed and no longer matches. The client may never have seen some of them.
    pub gone: Vec<i64>,
}

/// One row for each name: sums of counts and times, the longest maximum, the latest change.
fn merge(rows: Vec<Cow<'_, Row>>) -> Vec<Cow<'_, Row>> {
    let mut merged: Vec<Cow<'_, Row>> = Vec::new();
    let mut by_name: HashMap<String, usize> = HashMap::new();
    for row in rows {
        match by_name.entry(row.source.name.clone()) {
            Entry::Vacant(entry) => {
                entry.insert(merged.len());
                merged.push(row);
            }
            Entry::Occupied(entry) => {
                if let Some(sum) = merged.get_mut(*entry.get()) {
                    add(sum.to_mut(), &row);
                }
            }
        }
    }
    merged
}

/// Adds another source of the same name.
fn add(sum: &mut Row, row: &Row) {
    sum.handle = 0;
    sum.changed = sum.changed.max(row.changed);
    let (sum, source) = (&mut sum.source, &row.source);
    sum.id = sum.id.min(source.id);
    if sum.device != source.device {
        sum.device.clear();
    }
    sum.name_truncated |= source.name_truncated;
    sum.active |= source.active;
    sum.consistent &= source.consistent;
    sum.active_count = sum.active_count.saturating_add(source.active_count);
    sum.event_count = sum.event_count.saturating_add(source.event_count);
    sum.wakeup_count = sum.wakeup_count.saturating_add(source.wakeup_count);
    sum.expire_count = sum.expire_count.saturating_add(source.expire_count);
    sum.relax_count = sum.relax_count.saturating_add(source.relax_count);
    sum.active_time_ns = sum.active_time_ns.saturating_add(source.active_time_ns);
    sum.total_time_ns = sum.total_time_ns.saturating_add(source.total_time_ns);
    sum.prevent_suspend_time_ns =
        sum.prevent_suspend_time_ns.saturating_add(source.prevent_suspend_time_ns);
    sum.max_time_ns = sum.max_time_ns.max(source.max_time_ns);
    sum.last_change_ns = sum.last_change_ns.max(source.last_change_ns);
}

fn sort(rows: &mut [Cow<'_, Row>], order: Order) {
    let mut by = |value: fn(&Source) -> i128| rows.sort_by_key(|row| Reverse(value(&row.source)));
    match order {
        Order::Kernel => {}
        Order::Name => rows.sort_by(|left, right| left.source.name.cmp(&right.source.name)),
        Order::ActiveTime => by(|source| source.active_time_ns.into()),
        Order::TotalTime => by(|source| source.total_time_ns.into()),
        Order::MaxTime => by(|source| source.max_time_ns.into()),
        Order::LastChange => by(|source| source.last_change_ns.into()),
        Order::PreventSuspendTime => by(|source| source.prevent_suspend_time_ns.into()),
        Order::ActiveCount => by(|source| source.active_count.into()),
        Order::EventCount => by(|source| source.event_count.into()),
        Order::WakeupCount => by(|source| source.wakeup_count.into()),
        Order::ExpireCount => by(|source| source.expire_count.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Backend, Snapshot, Walk};

    /// Five sources: two share a name, two are active.
    fn tracker() -> Tracker {
        let source = |id, name: &str, active: bool| Source {
            id,
            name: name.into(),
            name_truncated: false,
            device: if id == 3 { String::new() } else { "rtc0".into() },
            active,
            consistent: true,
            active_count: u64::from(id) + 1,
            event_count: 10,
            wakeup_count: 2,
            expire_count: 1,
            relax_count: u64::from(id),
            active_time_ns: if active { 50 } else { 0 },
            total_time_ns: 1_000 * i64::from(id),
            max_time_ns: 100 + i64::from(id),
            last_change_ns: 5_000 - i64::from(id),
            prevent_suspend_time_ns: 7,
        };
        let sources = vec![
            source(4, "alarmtimer", false),
            source(3, "[timerfd]", true),
            source(2, "[timerfd]", false),
            source(1, "eventpoll", true),
            source(0, "a*b", false),
        ];
        let walk = Walk {
            backend: Backend::Load,
            walks: 1,
            monotonic_ns: 6_000,
            boottime_ns: 6_000,
            duration_ns: 1,
            total: 5,
            complete: true,
        };
        let mut tracker = Tracker::new(1);
        tracker.update(&Snapshot { walk, sources, changes: None });
        tracker
    }

    fn ids(query: &Query) -> Vec<u32> {
        query.answer(&tracker()).rows.iter().map(|row| row.source.id).collect()
    }

    fn named(names: &[&str], globs: &[&str]) -> Query {
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        Query::default().named(&owned(names), &owned(globs)).unwrap()
    }

    #[test]
    fn default_is_all_in_the_kernels_order() {
        assert_eq!(ids(&Query::default()), [4, 3, 2, 1, 0]);
    }

    #[test]
    fn names_are_exact_and_globs_are_not() {
        assert_eq!(ids(&named(&["[timerfd]"], &[])), [3, 2]);
        assert_eq!(ids(&named(&["a*b"], &[])), [0]);
        assert_eq!(ids(&named(&["timer"], &[])), [0; 0]);
        assert_eq!(ids(&named(&[], &["*timer*"])), [4, 3, 2]);
        assert_eq!(ids(&named(&[], &["[timerf?]", "e*"])), [3, 2, 1]);
        assert_eq!(ids(&named(&["eventpoll"], &["alarm*"])), [4, 1]);
    }

    #[test]
    fn options_combine() {
        let query = named(&[], &["*[t]*", "e*", "[*"]).active_only(true);
        assert_eq!(ids(&query), [3, 1]);
        assert_eq!(ids(&query.clone().ordered(Order::TotalTime).limited(1)), [3]);
        assert_eq!(ids(&query.ordered(Order::LastChange).limited(1)), [1]);
    }

    #[test]
    fn every_order_sorts() {
        assert_eq!(ids(&Query::default().ordered(Order::Name)), [3, 2, 0, 4, 1]);
        assert_eq!(ids(&Query::default().ordered(Order::ActiveTime)), [3, 1, 4, 2, 0]);
        for order in [Order::TotalTime, Order::MaxTime, Order::ActiveCount] {
            assert_eq!(ids(&Query::default().ordered(order)), [4, 3, 2, 1, 0]);
        }
        assert_eq!(ids(&Query::default().ordered(Order::LastChange)), [0, 1, 2, 3, 4]);
        for equal in
            [Order::PreventSuspendTime, Order::EventCount, Order::WakeupCount, Order::ExpireCount]
        {
            assert_eq!(ids(&Query::default().ordered(equal)), [4, 3, 2, 1, 0]);
        }
    }

    #[test]
    fn merge_adds_up_what_shares_a_name() {
        let tracker = tracker();
        let answer = Query::default().merged(true).answer(&tracker);

        let row = &answer.rows[1];
        assert_eq!(answer.rows.len(), 4);
        assert_eq!((row.handle, row.source.id, row.source.name.as_str()), (0, 2, "[timerfd]"));
        assert!(row.source.active && row.source.device.is_empty());
        assert_eq!((row.source.active_count, row.source.relax_count), (7, 5));
        assert_eq!((row.source.event_count, row.source.wakeup_count), (20, 4));
        assert_eq!((row.source.expire_count, row.source.prevent_suspend_time_ns), (2, 14));
        assert_eq!((row.source.total_time_ns, row.source.active_time_ns), (5_000, 50));
        assert_eq!((row.source.max_time_ns, row.source.last_change_ns), (103, 4_998));
    }

    #[test]
    fn source_that_no_longer_matches_is_gone_from_an_incremental_answer() {
        let mut tracker = tracker();
        let since = Since { instance: 1, sequence: 1 };
        let mut sources: Vec<Source> =
            tracker.rows().iter().map(|row| row.source.clone()).collect();
        sources[1].active = false;
        sources[1].relax_count += 1;
        tracker.update(&Snapshot { walk: tracker.walk().unwrap(), sources, changes: None });

        let query = Query::default().since(since);
        let active = query.clone().active_only(true).answer(&tracker);
        let limited = query.clone().limited(9).answer(&tracker);
        let merged = query.merged(true).answer(&tracker);

        assert!(active.incremental && active.rows.is_empty());
        assert_eq!(active.gone, [4]);
        assert_eq!((limited.incremental, limited.rows.len()), (false, 5));
        assert_eq!((merged.incremental, merged.rows.len()), (false, 4));
    }

    #[test]
    fn queries_out_of_range_are_refused() {
        let names = vec![String::new(); MAX_NAMES + 1];
        let globs = vec![String::new(); MAX_GLOBS + 1];
        let long = vec!["x".repeat(MAX_PATTERN_LEN + 1)];

        let error = |names: &[String], globs: &[String]| Query::default().named(names, globs).err();

        let too_many = |names, globs| Some(Error::TooManyPatterns { names, globs });
        assert_eq!(error(&names, &[]), too_many(MAX_NAMES + 1, 0));
        assert_eq!(error(&[], &globs), too_many(0, MAX_GLOBS + 1));
        assert_eq!(error(&long, &[]), Some(Error::LongPattern(MAX_PATTERN_LEN + 1)));
        assert_eq!(error(&[], &long), Some(Error::LongPattern(MAX_PATTERN_LEN + 1)));
        assert_eq!(error(&names[1..], &globs[1..]), None);
    }
}
