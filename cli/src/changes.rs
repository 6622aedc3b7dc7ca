// SPDX-License-Identifier: Apache-2.0
//! What happened between two moments.
//!
//! Times of sources are of CLOCK_MONOTONIC, so shares are of the time in which the device was not suspended.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use anyhow::ensure;
use serde::Serialize;

use crate::moment::{Moment, Reading};

/// The backend sysfs has whole milliseconds, where another may have been before it. Nanoseconds.
const RESOLUTION_NS: i64 = 1_000_000;

/// What happened. The fields are those of the JSON.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Changes {
    /// How long it was, suspended or not. Nanoseconds.
    pub(crate) elapsed_ns: i64,
    /// How long of that the device was not suspended. Nanoseconds.
    pub(crate) awake_ns: i64,
    /// Whether the service was started anew in between, so that handles are of two lives of it.
    pub(crate) restarted: bool,
    /// How long any source was active at the least: as long as the one that was so for longest. Nanoseconds.
    pub(crate) any_held_min_ns: i64,
    /// The same at the most, if no two were active at a time. Nanoseconds.
    pub(crate) any_held_max_ns: i64,
    /// All sources of both moments; the one that was active for longest comes first.
    pub(crate) sources: Vec<Change>,
}

/// What became of one source. The fields are those of the JSON.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Change {
    pub(crate) name: String,
    pub(crate) device: String,
    pub(crate) id: i64,
    /// Of the later moment; of a source that is gone, of the earlier.
    pub(crate) handle: i64,
    pub(crate) presence: Presence,
    /// Whether it was active in the end.
    pub(crate) active: bool,
    /// How long it was active in between; not known of what is gone. Nanoseconds.
    pub(crate) held_ns: i64,
    /// That as a share of the time awake, in percent.
    pub(crate) awake_percent: f64,
    pub(crate) active_count: u64,
    pub(crate) event_count: u64,
    pub(crate) wakeup_count: u64,
    pub(crate) expire_count: u64,
}

/// At which of the moments there was a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Presence {
    #[default]
    Both,
    /// Only at the later one.
    New,
    /// Only at the earlier one.
    Gone,
}

impl Changes {
    /// What happened from one moment to another of the same boot of the device.
    pub(crate) fn between(then: &Moment, now: &Moment) -> anyhow::Result<Self> {
        let awake_ns = now.monotonic_ns - then.monotonic_ns;
        let elapsed_ns = now.boottime_ns - then.boottime_ns;
        ensure!(
            awake_ns >= 0 && elapsed_ns >= 0,
            "the second moment is before the first: give the older one first, and both of one boot of the device"
        );
        // The two clocks are read one after the other.
        ensure!(
            elapsed_ns - awake_ns > -RESOLUTION_NS,
            "the device was started anew in between, so that nothing is left to compare"
        );
        let restarted = then.instance != now.instance;
        let mut former = Former::of(then, restarted);
        let mut sources: Vec<Change> =
            now.sources.values().map(|it| Change::of(former.take(it), it, awake_ns)).collect();
        sources.extend(former.left().map(Change::gone));
        sources.sort_by_cached_key(|it| {
            (Reverse((it.held_ns, it.active, it.event_count)), it.name.clone(), it.id)
        });
        Ok(Changes {
            elapsed_ns: elapsed_ns.max(awake_ns),
            awake_ns,
            restarted,
            any_held_min_ns: sources.first().map_or(0, |it| it.held_ns),
            any_held_max_ns: sources.iter().map(|it| it.held_ns).sum::<i64>().min(awake_ns),
            sources,
        })
    }

    /// How long the device was suspended. Nanoseconds.
    pub(crate) fn suspended_ns(&self) -> i64 {
        self.elapsed_ns - self.awake_ns
    }

    /// This as a share of the time awake, in percent.
    pub(crate) fn percent(&self, ns: i64) -> f64 {
        percent(ns, self.awake_ns)
    }

    /// The sources of which anything is to be told.
    pub(crate) fn notable(&self) -> impl Iterator<Item = &Change> {
        self.sources.iter().filter(|it| it.is_notable())
    }
}

impl Change {
    /// What became of a source, of which `then` is known, if it was there.
    fn of(then: Option<&Reading>, now: &Reading, awake_ns: i64) -> Self {
        let none = Reading::default();
        let before = then.unwrap_or(&none);
        // Counts and times of one source never fall, but for times of another backend's resolution. One of
        // which each value is read at a moment of its own may seem to be active for longer than there was.
        let held_ns = (now.total_time_ns - before.total_time_ns).clamp(0, awake_ns);
        Change {
            name: now.name.clone(),
            device: now.device.clone(),
            id: now.id,
            handle: now.handle,
            presence: if then.is_some() { Presence::Both } else { Presence::New },
            active: now.active,
            held_ns,
            awake_percent: percent(held_ns, awake_ns),
            active_count: now.active_count.saturating_sub(before.active_count),
            event_count: now.event_count.saturating_sub(before.event_count),
            wakeup_count: now.wakeup_count.saturating_sub(before.wakeup_count),
            expire_count: now.expire_count.saturating_sub(before.expire_count),
        }
    }

    fn gone(then: &Reading) -> Self {
        Change {
            name: then.name.clone(),
            device: then.device.clone(),
            id: then.id,
            handle: then.handle,
            presence: Presence::Gone,
            ..Change::default()
        }
    }

    fn is_notable(&self) -> bool {
        let counts = [self.active_count, self.event_count, self.wakeup_count, self.expire_count];
        self.presence != Presence::Both
            || self.active
            || self.held_ns > 0
            || counts.iter().any(|&count| count > 0)
    }
}

/// The sources of the earlier moment that were not met again yet.
struct Former<'a> {
    /// By handles, or if those are of another life of the service, by the kernel's ids.
    readings: BTreeMap<i64, &'a Reading>,
    by_id: bool,
}

impl<'a> Former<'a> {
    fn of(moment: &'a Moment, by_id: bool) -> Self {
        let key = |reading: &Reading| if by_id { reading.id } else { reading.handle };
        let readings = moment.sources.values().map(|reading| (key(reading), reading)).collect();
        Former { readings, by_id }
    }

    /// What this source was.
    fn take(&mut self, now: &Reading) -> Option<&'a Reading> {
        if !self.by_id {
            return self.readings.remove(&now.handle);
        }
        // The kernel gives an id to another source when one is gone.
        let then = self.readings.get(&now.id).copied().filter(|then| may_become(then, now))?;
        self.readings.remove(&now.id);
        Some(then)
    }

    fn left(self) -> impl Iterator<Item = &'a Reading> {
        self.readings.into_values()
    }
}

/// Whether a source with this id may be the one that had it: nothing fell that only rises.
fn may_become(then: &Reading, now: &Reading) -> bool {
    (&then.name, &then.device) == (&now.name, &now.device)
        && then.active_count <= now.active_count
        && then.event_count <= now.event_count
        && then.wakeup_count <= now.wakeup_count
        && then.expire_count <= now.expire_count
        && then.total_time_ns - now.total_time_ns < RESOLUTION_NS
        && then.last_change_ns - now.last_change_ns < RESOLUTION_NS
}

#[expect(clippy::cast_precision_loss, reason = "a share, to be shown")]
fn percent(part: i64, whole: i64) -> f64 {
    if whole > 0 { part as f64 * 100.0 / whole as f64 } else { 0.0 }
}

#[cfg(test)]
mod tests;
