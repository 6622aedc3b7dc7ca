// SPDX-License-Identifier: Apache-2.0
//! A kernel's list of wakeup sources, simulated, and what can happen to it.

use proptest::prelude::*;
use wakeupstats::model::{Backend, Snapshot, Source, Walk};

/// What can happen. A `usize` picks one of those that there are.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Create {
        name: usize,
    },
    Remove(usize),
    /// Removes a source and creates one of its name, which gets its id.
    Recreate(usize),
    Activate(usize),
    Relax(usize),
    Wait(i64),
    /// The next snapshot gets a source whose values are of two moments.
    Tear(usize),
    /// The next snapshot is incomplete: this many of its last sources are not in it.
    Miss(usize),
    /// A client asks.
    Ask(usize),
}

/// How many clients ask.
pub(crate) const CLIENTS: usize = 3;

/// Any event.
pub(crate) fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        2 => (0..3usize).prop_map(|name| Event::Create { name }),
        1 => any::<usize>().prop_map(Event::Remove),
        2 => any::<usize>().prop_map(Event::Recreate),
        4 => any::<usize>().prop_map(Event::Activate),
        4 => any::<usize>().prop_map(Event::Relax),
        4 => (1..50_000_000i64).prop_map(Event::Wait),
        1 => any::<usize>().prop_map(Event::Tear),
        1 => (0..3usize).prop_map(Event::Miss),
        6 => (0..CLIENTS).prop_map(Event::Ask),
    ]
}

/// The kernel's list, the youngest first, and its clock.
#[derive(Default)]
pub(crate) struct Kernel {
    pub(crate) list: Vec<Source>,
    pub(crate) now: i64,
    pub(crate) torn: Option<usize>,
    pub(crate) missed: usize,
}

fn pick(count: usize, choice: usize) -> Option<usize> {
    (count > 0).then(|| choice % count)
}

impl Kernel {
    pub(crate) fn create(&mut self, name: &str) {
        let id = (0..).find(|id| self.list.iter().all(|source| source.id != *id)).unwrap();
        self.list.insert(0, source(id, name));
    }

    pub(crate) fn apply(&mut self, event: &Event) {
        let pick = |choice| pick(self.list.len(), choice);
        match *event {
            Event::Create { name } => self.create(["eventpoll", "[timerfd]", "alarmtimer"][name]),
            Event::Remove(choice) => drop(pick(choice).map(|index| self.list.remove(index))),
            Event::Recreate(choice) => {
                if let Some(index) = pick(choice) {
                    let name = self.list.remove(index).name;
                    self.create(&name);
                }
            }
            Event::Activate(choice) => {
                if let Some(index) = pick(choice) {
                    let source = &mut self.list[index];
                    source.event_count += 1;
                    if !source.active {
                        source.active = true;
                        source.active_count += 1;
                        source.last_change_ns = self.now;
                    }
                }
            }
            Event::Relax(choice) => {
                if let Some(index) = pick(choice).filter(|&index| self.list[index].active) {
                    let source = at(&self.list[index], self.now);
                    let relax_count = source.relax_count + 1;
                    self.list[index] = Source {
                        active: false,
                        relax_count,
                        active_time_ns: 0,
                        last_change_ns: self.now,
                        ..source
                    };
                }
            }
            Event::Wait(ns) => self.now += ns,
            Event::Tear(choice) => self.torn = pick(choice),
            Event::Miss(count) => self.missed = count,
            Event::Ask(_) => {}
        }
    }

    /// What a walk gives now. Each walk takes a little time.
    pub(crate) fn snapshot(&mut self) -> Snapshot {
        self.now += 1_000;
        let mut sources: Vec<Source> =
            self.list.iter().map(|source| at(source, self.now)).collect();
        if let Some(torn) = self.torn.take().and_then(|index| sources.get_mut(index)) {
            // As the decoder has it: the stored values, without the stretch that runs.
            let stored = &self.list[self.list.iter().position(|it| it.id == torn.id).unwrap()];
            *torn = Source { consistent: false, active: !stored.active, ..stored.clone() };
        }
        let total = sources.len() as u32;
        let missed = std::mem::take(&mut self.missed);
        sources.truncate(sources.len().saturating_sub(missed));
        let walk = Walk {
            backend: Backend::Load,
            walks: 1,
            monotonic_ns: self.now,
            boottime_ns: self.now,
            duration_ns: 10,
            total,
            complete: sources.len() == total as usize,
        };
        Snapshot { walk, sources, changes: None }
    }
}

/// A source that has never been active.
pub(crate) fn source(id: u32, name: &str) -> Source {
    Source {
        id,
        name: name.into(),
        name_truncated: false,
        device: String::new(),
        active: false,
        consistent: true,
        active_count: 0,
        event_count: 0,
        wakeup_count: 0,
        expire_count: 0,
        relax_count: 0,
        active_time_ns: 0,
        total_time_ns: 0,
        max_time_ns: 0,
        last_change_ns: 0,
        prevent_suspend_time_ns: 0,
    }
}

/// A stored source as the walk decodes it at `now`.
pub(crate) fn at(stored: &Source, now: i64) -> Source {
    let active_time_ns = if stored.active { now - stored.last_change_ns } else { 0 };
    Source {
        active_time_ns,
        total_time_ns: stored.total_time_ns + active_time_ns,
        max_time_ns: stored.max_time_ns.max(active_time_ns),
        ..stored.clone()
    }
}
