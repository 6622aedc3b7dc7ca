// SPDX-License-Identifier: Apache-2.0
//! From the attributes of one node to the values of one moment.
//!
//! Each attribute is read at its own moment, and the source may change in between. Each change
//! shows in a count or in the time of the last change, which are read before and after the times.
//! If they are the same, all values are of the time in between; otherwise they are read again.

#[cfg(test)]
pub(super) mod testing;
#[cfg(test)]
mod tests;

use super::NS_PER_MS;
use crate::model::Source;

/// A source changes rarely within the tens of microseconds of a read, so few need a second one.
pub(super) const MAX_READS: u32 = 16;

/// So many whole milliseconds after `last_change_ms` a source that is active has been so for a full
/// millisecond, which shows: the change itself was up to one later than the number says.
pub(super) const MS_UNTIL_SHOWN: u64 = 2;

/// What an attribute holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Number(u64),
    /// The kernel has no such attribute.
    Missing,
    /// It can't be read, or holds no number.
    Unknown,
}

impl Value {
    fn number(self) -> Option<u64> {
        match self {
            Value::Number(number) => Some(number),
            Value::Missing | Value::Unknown => None,
        }
    }

    fn or_zero(self) -> u64 {
        self.number().unwrap_or(0)
    }

    fn as_ns(self) -> i64 {
        i64::try_from(self.or_zero()).unwrap_or(i64::MAX).saturating_mul(NS_PER_MS)
    }

    /// The lower number; neither tells more than the other where one is none.
    fn least(self, other: Self) -> Self {
        match (self, other) {
            (Value::Number(one), Value::Number(other)) => Value::Number(one.min(other)),
            _ => other,
        }
    }
}

/// What changes with each change of a source, in the order in which it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Marks {
    pub(super) active_count: Value,
    pub(super) event_count: Value,
    pub(super) wakeup_count: Value,
    pub(super) expire_count: Value,
    /// Shown by Linux 7.0 and later.
    pub(super) relax_count: Value,
    pub(super) last_change_ms: Value,
}

/// The times in milliseconds, in the order in which they are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) active: Value,
    pub(super) total: Value,
    pub(super) max: Value,
    pub(super) prevent_suspend: Value,
}

/// The attributes of one source, as they are now.
pub(super) trait Attributes {
    fn marks(&mut self) -> Marks;

    fn times(&mut self) -> Times;

    /// CLOCK_MONOTONIC.
    fn now_ms(&mut self) -> u64;
}

/// What is known of the active bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Activity {
    Active,
    Inactive,
    /// It became active less than a millisecond before, or inactive.
    Unsure,
}

/// All that was read of a source.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    marks: Marks,
    times: Times,
    activity: Activity,
    /// Whether all is of one moment.
    whole: bool,
}

/// Reads a source until all is of one moment, or up to [`MAX_READS`] times.
pub(super) fn read(source: &mut impl Attributes) -> Reading {
    let mut marks = source.marks();
    if marks.are_of_an_unused_source() {
        return Reading { marks, times: Times::NONE, activity: Activity::Inactive, whole: true };
    }
    let mut least: Option<Times> = None;
    for _ in 0..MAX_READS {
        let now_ms = source.now_ms();
        let times = source.times();
        let before = std::mem::replace(&mut marks, source.marks());
        if before == marks && marks.agree_with(&times) {
            let activity = activity(&marks, &times, now_ms);
            return Reading { marks, times, activity, whole: true };
        }
        let times = times.without_the_stretch();
        least = Some(least.map_or(times, |least| least.least(&times)));
    }
    let activity = match marks.active() {
        Some(true) => Activity::Active,
        Some(false) => Activity::Inactive,
        None => Activity::Unsure,
    };
    Reading { marks, times: least.unwrap_or(Times::NONE), activity, whole: false }
}

/// Whether a source is active, of which all was read at one moment not before `now_ms`.
fn activity(marks: &Marks, times: &Times, now_ms: u64) -> Activity {
    let changed_ms = marks.last_change_ms.or_zero();
    match marks.active() {
        Some(true) => Activity::Active,
        Some(false) => Activity::Inactive,
        None if times.active.or_zero() > 0 => Activity::Active,
        None if marks.active_count == Value::Number(0) => Activity::Inactive,
        // A change that is still to come is none that the kernel made: nothing to wait for.
        None if (changed_ms..changed_ms + MS_UNTIL_SHOWN).contains(&now_ms) => Activity::Unsure,
        None => Activity::Inactive,
    }
}

impl Marks {
    fn all(&self) -> [Value; 6] {
        let Marks { active_count, event_count, wakeup_count, .. } = *self;
        let Marks { expire_count, relax_count, last_change_ms, .. } = *self;
        [active_count, event_count, wakeup_count, expire_count, relax_count, last_change_ms]
    }

    /// The active bit, where the kernel says how often the source was deactivated: each activation
    /// raises the one count, and its end (`wakeup_source_deactivate()`) the other to the same.
    fn active(&self) -> Option<bool> {
        Some(self.active_count.number()? != self.relax_count.number()?)
    }

    /// Whether the source was never used, so that its times are 0, too, and need not be read: the
    /// kernel raises `event_count` before it touches anything else.
    fn are_of_an_unused_source(&self) -> bool {
        self.event_count == Value::Number(0)
            && self.all().iter().all(|mark| matches!(mark, Value::Number(0) | Value::Missing))
    }

    /// Whether the times can be of the same moment. While the kernel activates a source, its active
    /// bit is set a little before its count and the time of the change are.
    fn agree_with(&self, times: &Times) -> bool {
        self.active() != Some(false) || times.active.or_zero() == 0
    }
}

impl Times {
    const NONE: Times = {
        let none = Value::Number(0);
        Times { active: none, total: none, max: none, prevent_suspend: none }
    };

    /// The times where it is not known that all are of one moment.
    ///
    /// The total and the others were read later than the time of the stretch, so what is left of
    /// the total has a little of the stretch in it where that went on, all of it where it ended in
    /// between, and never more than the source had by then.
    fn without_the_stretch(&self) -> Times {
        let total = match (self.total, self.active) {
            (Value::Number(total), Value::Number(active)) => {
                Value::Number(total.saturating_sub(active))
            }
            _ => self.total,
        };
        Times { active: Value::Number(0), total, ..*self }
    }

    /// The least of several reads. These times only rise, so that is what the source had by the
    /// last of them, even if one read showed too much: the kernel adds up an attribute without a
    /// lock, and in the moment of a change it may count the time since the change before.
    fn least(&self, other: &Times) -> Times {
        Times {
            active: self.active.least(other.active),
            total: self.total.least(other.total),
            max: self.max.least(other.max),
            prevent_suspend: self.prevent_suspend.least(other.prevent_suspend),
        }
    }
}

impl Reading {
    /// Whether no attribute was there at all.
    pub(super) fn has_nothing(&self) -> bool {
        self.marks.all() == [Value::Missing; 6]
    }

    /// When the source last changed, if a later look can tell whether it became active then.
    pub(super) fn unsure_since_ms(&self) -> Option<u64> {
        let unsure = self.whole && self.activity == Activity::Unsure;
        unsure.then(|| self.marks.last_change_ms.or_zero())
    }

    /// Learns from the first look: a change since then without another activation was its end.
    pub(super) fn compare_with_first(&mut self, first: &Reading) {
        if self.activity == Activity::Unsure
            && self.marks.active_count == first.marks.active_count
            && self.marks.last_change_ms != first.marks.last_change_ms
        {
            self.activity = Activity::Inactive;
        }
    }

    /// Learns from what was read for the former snapshot, which had nothing of a new source: one that
    /// was inactive after a change can't be active since that change, nor the other way round. The
    /// kernel is at it, and its CPU was stopped in between: `wakeup_source_activate()` and
    /// `wakeup_source_deactivate()` switch first, then set the times.
    pub(super) fn compare_with_former(&mut self, former: Option<&Reading>) {
        let (activity, changed_ms, times) = match former {
            Some(former) => {
                (former.activity, former.marks.last_change_ms, former.times.without_the_stretch())
            }
            None => (Activity::Inactive, Value::Number(0), Times::NONE),
        };
        if self.marks.last_change_ms != changed_ms {
            return;
        }
        match (activity, self.activity) {
            // It seems to be active since the change before, and that is in all of its times. Since
            // it had what it has now, it changed in nothing else.
            (Activity::Inactive, Activity::Active) => {
                *self = Reading { times, whole: false, ..*self };
            }
            // Its last stretch is in none of its times.
            (Activity::Active, Activity::Inactive) => self.whole = false,
            _ => {}
        }
    }

    /// The values, of a source without id and names.
    ///
    /// A source that is still unsure changes so often that each look finds it in the middle of
    /// something. It is taken for active, as its count of deactivations then is not too high.
    pub(super) fn values(&self) -> Source {
        let Reading { marks, times, activity, whole } = *self;
        let known = [times.active, times.total, times.max, times.prevent_suspend];
        let known = !marks.all().iter().chain(&known).any(|&value| value == Value::Unknown);
        let consistent = whole && known && activity != Activity::Unsure;
        let times = if consistent { times } else { times.without_the_stretch() };
        let active = activity != Activity::Inactive;
        let active_count = marks.active_count.or_zero();
        let relax_count = match marks.relax_count {
            Value::Missing => active_count.saturating_sub(active.into()),
            shown => shown.or_zero(),
        };
        Source {
            id: 0,
            name: String::new(),
            name_truncated: false,
            device: String::new(),
            active,
            consistent,
            active_count,
            event_count: marks.event_count.or_zero(),
            wakeup_count: marks.wakeup_count.or_zero(),
            expire_count: marks.expire_count.or_zero(),
            relax_count,
            active_time_ns: times.active.as_ns(),
            total_time_ns: times.total.as_ns(),
            max_time_ns: times.max.as_ns(),
            last_change_ns: marks.last_change_ms.as_ns(),
            prevent_suspend_time_ns: times.prevent_suspend.as_ns(),
        }
    }
}
