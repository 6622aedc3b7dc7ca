// SPDX-License-Identifier: Apache-2.0
//! From snapshots to the ticks of a recording.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use anyhow::Result;
use wakeupstats_aidl::Source;

use crate::recording::{Recorded, Row, Tick, nothing};
use crate::replay::{Moment, State};

/// Two readings of two clocks are never of one moment. Below this the device was not suspended, which takes
/// longer. ns.
const CLOCKS_DIFFER_NS: i64 = 10_000_000;

/// Makes the ticks.
///
/// The recording has handles of its own. After a restart of the service, which begins its handles
/// anew, sources go on as those that they were.
#[derive(Debug)]
pub(crate) struct Recorder {
    state: State,
    /// The recording's handles by those of the service, ...
    handles: BTreeMap<i64, i64>,
    /// ... in this life of it; 0 before the first snapshot.
    instance: i64,
}

impl Recorder {
    /// Goes on from here.
    pub(crate) fn new(state: State) -> Self {
        Self { state, handles: BTreeMap::new(), instance: 0 }
    }

    /// The next tick: all sources of a snapshot.
    pub(crate) fn tick<'a>(
        &mut self,
        moment: Moment,
        instance: i64,
        sources: impl Iterator<Item = &'a Source>,
    ) -> Result<Tick> {
        let monotonic_ns = moment.monotonic_ns.wrapping_sub(self.state.moment.monotonic_ns);
        let boottime_ns = moment.boottime_ns.wrapping_sub(self.state.moment.boottime_ns);
        let suspended_ns = boottime_ns.wrapping_sub(monotonic_ns);
        let mut tick = Tick {
            monotonic_ns,
            suspended_ns: if suspended_ns < CLOCKS_DIFFER_NS { 0 } else { suspended_ns },
            instance: (instance != self.state.instance).then_some(instance),
            ..Tick::default()
        };
        let mut predecessors = self.predecessors(instance);
        let mut last_handle = self.state.last_handle;
        let mut handles = BTreeMap::new();
        let mut gone: BTreeSet<i64> = self.state.sources.keys().copied().collect();
        for source in sources {
            let known = self.handles.get(&source.handle).copied();
            let handle = known.or_else(|| predecessors.remove(source)).unwrap_or_else(|| {
                last_handle += 1;
                last_handle
            });
            handles.insert(source.handle, handle);
            gone.remove(&handle);
            let former = self.state.sources.get(&handle).cloned().unwrap_or_else(nothing);
            let now = recorded(source, handle, &former);
            tick.rows.extend(Row::between(&former, &now, moment.monotonic_ns));
        }
        tick.gone = gone.into_iter().collect();
        self.handles = handles;
        self.state.apply(&tick)?;
        Ok(tick)
    }

    /// Whom the sources of this snapshot may be: nobody, if their handles are known; all, where the
    /// service has begun them anew.
    fn predecessors(&mut self, instance: i64) -> Predecessors {
        if self.instance == instance {
            return Predecessors::default();
        }
        self.instance = instance;
        self.handles.clear();
        let sources = self.state.sources.values().cloned();
        Predecessors(sources.map(|source| (source.id, source)).collect())
    }
}

/// Sources by the kernel's ids, of which each has one of its own.
#[derive(Default)]
struct Predecessors(BTreeMap<i32, Recorded>);

impl Predecessors {
    /// Takes out whom this source was: one of its id and names that had no count higher.
    fn remove(&mut self, source: &Source) -> Option<i64> {
        let former = self.0.get(&source.id)?;
        let is_same = former.name.as_deref() == source.name.as_deref()
            && former.device.as_deref() == source.device.as_deref()
            && former.active_count <= source.active_count
            && former.event_count <= source.event_count
            && former.wakeup_count <= source.wakeup_count
            && former.expire_count <= source.expire_count
            && former.relax_count <= source.relax_count;
        let handle = former.handle;
        is_same.then(|| {
            self.0.remove(&source.id);
            handle
        })
    }
}

/// A source with the recording's handle, and the names that its former self has already.
fn recorded(source: &Source, handle: i64, former: &Recorded) -> Recorded {
    let text = |text: &Option<String>| Some(Rc::from(text.as_deref().unwrap_or_default()));
    Recorded {
        handle,
        id: source.id,
        name: former.name.clone().or_else(|| text(&source.name)),
        device: former.device.clone().or_else(|| text(&source.device)),
        active: source.active,
        consistent: source.consistent,
        name_truncated: source.name_truncated,
        active_count: source.active_count,
        event_count: source.event_count,
        wakeup_count: source.wakeup_count,
        expire_count: source.expire_count,
        relax_count: source.relax_count,
        active_time_ns: source.active_time_ns,
        total_time_ns: source.total_time_ns,
        max_time_ns: source.max_time_ns,
        last_change_ns: source.last_change_ns,
        prevent_suspend_time_ns: source.prevent_suspend_time_ns,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::recording::{Header, Line};
    use crate::replay::{Event, Replay};

    fn header() -> Header {
        Header { version: 1, instance: 1, ..Header::default() }
    }

    /// A source of this handle and id, with nothing to tell.
    fn source(handle: i64, id: i32) -> Source {
        Source {
            handle,
            id,
            name: Some(format!("source {id}")),
            device: Some(String::new()),
            consistent: true,
            ..Source::default()
        }
    }

    /// Written and read again, as a file would be.
    fn replayed(ticks: Vec<Tick>) -> Vec<Vec<Recorded>> {
        let lines = ticks.into_iter().map(Line::Tick);
        let lines = std::iter::once(Line::Header(header())).chain(lines);
        let text: String = lines.map(|line| serde_json::to_string(&line).unwrap() + "\n").collect();
        let mut replay = Replay::new(text.as_bytes(), "test".to_owned()).unwrap();
        let mut states = Vec::new();
        while let Some(event) = replay.next().unwrap() {
            assert!(matches!(event, Event::Tick(..)));
            states.push(replay.sources().cloned().collect());
        }
        states
    }

    prop_compose! {
        /// Any numbers, but mostly such as the kernel has.
        fn any_source()(
            id in 0..6,
            name in "[a-z\u{e9}\"\n]{0,3}",
            device in "[a-z]{0,1}",
            flags in any::<(bool, bool, bool)>(),
            counts in any::<[u8; 5]>(),
            times in any::<[i64; 5]>(),
            is_exact in any::<bool>(),
        ) -> Source {
            let [active_count, event_count, wakeup_count, expire_count, relax_count] =
                counts.map(i64::from);
            let [active, total, max, last_change, prevent] = times;
            Source {
                handle: 0,
                id,
                name: Some(name),
                device: Some(device),
                active: flags.0,
                consistent: flags.1,
                name_truncated: flags.2,
                active_count, event_count, wakeup_count, expire_count, relax_count,
                active_time_ns: if is_exact { 0 } else { active },
                total_time_ns: total,
                max_time_ns: max,
                last_change_ns: last_change,
                prevent_suspend_time_ns: prevent,
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_replayed_is_what_was_recorded(
            snapshots in prop::collection::vec(
                (prop::collection::vec(any_source(), 0..6), 0..1_000_000_000_i64, 1..3_i64),
                1..12,
            ),
        ) {
            let mut recorder = Recorder::new(State::new(&header()));
            let mut moment = Moment::default();
            let mut ticks = Vec::new();
            let mut expected = Vec::new();
            for (sources, step, instance) in snapshots {
                moment.monotonic_ns += step;
                moment.boottime_ns += step;
                // As the service does: one source an id, a handle a source.
                let sources: BTreeMap<i32, Source> =
                    sources.into_iter().map(|source| (source.id, source)).collect();
                let sources: Vec<Source> = sources
                    .into_values()
                    .map(|source| Source { handle: handle(&source), ..source })
                    .collect();
                ticks.push(recorder.tick(moment, instance, sources.iter()).unwrap());
                let mut plain: Vec<_> = sources.iter().map(|it| recorded(it, 0, &nothing())).collect();
                plain.sort_by_key(|source| source.id);
                expected.push(plain);
            }

            let mut replayed = replayed(ticks);

            for state in &mut replayed {
                state.iter_mut().for_each(|source| source.handle = 0);
                state.sort_by_key(|source| source.id);
            }
            prop_assert_eq!(replayed, expected);
        }
    }

    /// A handle that no other source has.
    fn handle(source: &Source) -> i64 {
        let names = [&source.name, &source.device].map(|it| it.clone().unwrap_or_default());
        let bytes = names.join("/").into_bytes();
        bytes.iter().fold(i64::from(source.id) + 1, |hash, byte| {
            hash.wrapping_mul(257).wrapping_add(i64::from(*byte))
        })
    }

    #[test]
    fn who_only_stays_active_or_at_rest_is_not_written() {
        let mut recorder = Recorder::new(State::new(&header()));
        let at = |monotonic_ns| Moment { monotonic_ns, boottime_ns: monotonic_ns + 5_000 };
        let mut active = source(1, 1);
        (active.active, active.last_change_ns) = (true, 300);
        let until = |now: i64, mut it: Source| {
            it.active_time_ns = now - it.last_change_ns;
            (it.total_time_ns, it.max_time_ns) = (it.active_time_ns + 70, it.active_time_ns);
            it
        };
        let first = [until(1_000, active.clone()), source(2, 2)];
        recorder.tick(at(1_000), 1, first.iter()).unwrap();

        let second = [until(3_000, active), source(2, 2)];
        let tick = recorder.tick(at(3_000), 1, second.iter()).unwrap();

        assert_eq!(serde_json::to_string(&Line::Tick(tick)).unwrap(), r#"{"tick":{"m":2000}}"#);
        let now = recorder.state.sources.get(&1).unwrap();
        assert_eq!((now.active_time_ns, now.total_time_ns, now.max_time_ns), (2_700, 2_770, 2_700));
    }

    #[test]
    fn after_a_restart_sources_go_on_as_those_they_were() {
        let mut recorder = Recorder::new(State::new(&header()));
        let at = |monotonic_ns| Moment { monotonic_ns, boottime_ns: monotonic_ns };
        let mut busy = source(3, 7);
        (busy.active_count, busy.total_time_ns) = (5, 500);
        let before = [busy.clone(), source(4, 8), source(5, 9)];
        recorder.tick(at(10), 1, before.iter()).unwrap();
        // Handles begin anew. 8 is another by its name, 9 is gone.
        (busy.handle, busy.active_count, busy.total_time_ns) = (1, 6, 510);
        let other = Source { name: Some("other".to_owned()), ..source(2, 8) };

        let tick = recorder.tick(at(20), 2, [busy, other].iter()).unwrap();

        assert_eq!(
            serde_json::to_string(&tick).unwrap(),
            r#"{"m":10,"i":2,"s":[{"h":1,"a":1,"t":10},{"h":4,"n":"other","i":8}],"g":[2,3]}"#
        );
    }

    #[test]
    fn a_source_whose_counts_fell_is_another() {
        let mut recorder = Recorder::new(State::new(&header()));
        let mut used = source(1, 7);
        used.event_count = 5;
        recorder.tick(Moment::default(), 1, [used].iter()).unwrap();

        let tick = recorder.tick(Moment::default(), 2, [source(1, 7)].iter()).unwrap();

        assert_eq!((tick.rows.len(), tick.gone), (1, vec![1]));
        assert!(tick.rows[0].is_new());
    }

    #[test]
    fn only_what_is_longer_than_the_clocks_differ_is_suspension() {
        let mut recorder = Recorder::new(State::new(&header()));
        let mut tick = |monotonic_ns, boottime_ns| {
            let moment = Moment { monotonic_ns, boottime_ns };
            recorder.tick(moment, 1, std::iter::empty()).unwrap().suspended_ns
        };

        assert_eq!(tick(10_000_000, 19_999_999), 0);
        assert_eq!(tick(20_000_000, 20_000_001), 0);
        assert_eq!(tick(30_000_000, 47_000_000), 17_000_000);
    }
}
