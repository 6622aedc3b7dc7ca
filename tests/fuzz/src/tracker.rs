// SPDX-License-Identifier: Apache-2.0
//! Snapshots of sources that do what no kernel would, and clients that follow by what changed.

use std::collections::{BTreeMap, BTreeSet};

use arbitrary::{Arbitrary, Result, Unstructured};
use wakeupstats::model::{Changes, Snapshot, Source};
use wakeupstats::reply;
use wakeupstats::tracker::{Row, Since, Tracker};
use wakeupstats_aidl::{Cache, SnapshotQuery, WakeupSnapshot, rows};

use crate::sources;

const INSTANCE: i64 = 7;

/// How many snapshots at the most.
const SNAPSHOTS: usize = 32;

/// Of what is gone so many are remembered.
const REMEMBERED: usize = 4_096;

/// How many sources come at once, now and then: more than half of what is remembered.
const CROWD: u32 = 2_100;

/// Has sources change and clients ask.
pub fn run(data: &[u8]) {
    let _ = follow(&mut Unstructured::new(data));
}

fn follow(u: &mut Unstructured<'_>) -> Result<()> {
    let mut followed = Followed::new();
    let mut clients = [const { None }; 3].map(|none: Option<Cache>| none.unwrap_or_default());
    let mut sources = Vec::new();
    // Few inputs have crowds, as each takes as long as a hundred others.
    let has_crowds = u.ratio(1, 64)?;
    for _ in 0..SNAPSHOTS {
        if u.is_empty() {
            break;
        }
        for _ in 0..u.int_in_range(0..=4)? {
            happen(u, &mut sources, has_crowds)?;
        }
        sources::each_id_once(&mut sources);
        followed.update(snapshot(u, followed.now_ns(), &sources)?);
        let asking = u8::arbitrary(u)?;
        for (number, client) in clients.iter_mut().enumerate() {
            if asking & (1 << number) != 0 {
                ask(&followed.tracker, client);
            }
        }
    }
    Ok(())
}

/// A snapshot of these sources, or of some of them.
fn snapshot(u: &mut Unstructured<'_>, now_ns: i64, sources: &[Source]) -> Result<Snapshot> {
    let walk = sources::walk(u, now_ns, sources)?;
    let mut sources = sources.to_vec();
    if !walk.complete && !sources.is_empty() {
        let rest = u.int_in_range(0..=sources.len())?;
        sources.truncate(rest);
    }
    Ok(Snapshot { walk, sources, changes: None })
}

/// One thing that happens to sources.
fn happen(u: &mut Unstructured<'_>, sources: &mut Vec<Source>, has_crowds: bool) -> Result<()> {
    let place = u.int_in_range(0..=sources.len())?;
    let Some(source) = sources.get_mut(place) else {
        sources.insert(0, sources::source(u)?);
        return Ok(());
    };
    match u.int_in_range(0..=15)? {
        0 => drop(sources.remove(place)),
        1 => {
            let moved = sources.remove(place);
            sources.insert(0, moved);
        }
        2 => *source = sources::source(u)?,
        3 => sources.insert(place, sources::source(u)?),
        4 => source.active = !source.active,
        5 => source.consistent = !source.consistent,
        6 => source.name = sources::text(u, 4)?,
        7 => source.device = sources::text(u, 4)?,
        8 => source.event_count = sources::count(u)?,
        9 => source.relax_count = sources::count(u)?,
        10 => source.total_time_ns = sources::time(u)?,
        11 => source.max_time_ns = sources::time(u)?,
        12 => source.last_change_ns = sources::time(u)?,
        13 => source.active_count = source.active_count.saturating_add(1),
        14 => source.total_time_ns = source.total_time_ns.saturating_sub(sources::time(u)?),
        _ if !has_crowds => source.consistent = false,
        _ if sources.len() > CROWD as usize => sources.clear(),
        _ => sources.extend((100..100 + CROWD).map(|id| Source { id, ..Source::default() })),
    }
    Ok(())
}

/// A tracker, and what it has said so far.
struct Followed {
    tracker: Tracker,
    /// The same, that is told where snapshots differ.
    told: Tracker,
    former: Option<Snapshot>,
    rows: BTreeMap<i64, Row>,
    last_handle: i64,
    /// Sequence and handle of all that ever went.
    gone: Vec<(i64, i64)>,
}

impl Followed {
    fn new() -> Self {
        Followed {
            tracker: Tracker::new(INSTANCE),
            told: Tracker::new(INSTANCE),
            former: None,
            rows: BTreeMap::new(),
            last_handle: 0,
            gone: Vec::new(),
        }
    }

    /// When the next snapshot is.
    fn now_ns(&self) -> i64 {
        self.tracker.sequence() + 1
    }

    fn update(&mut self, snapshot: Snapshot) {
        self.tracker.update(&snapshot);
        self.told.update(&with_changes(&snapshot, self.former.as_ref()));
        self.former = Some(snapshot);
        assert_eq!(self.told.rows(), self.tracker.rows(), "who is told looks no less closely");

        let sequence = self.tracker.sequence();
        let count = self.tracker.rows().len();
        let rows: BTreeMap<i64, Row> =
            self.tracker.rows().iter().map(|row| (row.handle, row.clone())).collect();
        assert_eq!(rows.len(), count, "a handle came twice");
        for (handle, row) in &rows {
            match self.rows.get(handle) {
                Some(former) => assert_follows(former, row, sequence),
                None => {
                    assert!(*handle > self.last_handle, "handle {handle} was given before");
                    assert_eq!(row.changed, sequence);
                }
            }
        }
        self.last_handle = rows.last_key_value().map_or(0, |(last, _)| *last).max(self.last_handle);
        let gone = self.rows.keys().filter(|handle| !rows.contains_key(handle));
        self.gone.extend(gone.map(|handle| (sequence, *handle)));
        self.rows = rows;
        self.assert_remembers();
    }

    /// Whether what went is known as far back as it should be, and no further.
    fn assert_remembers(&self) {
        let forgotten = self.gone.len().saturating_sub(REMEMBERED);
        for sequence in -1..=self.tracker.sequence() + 1 {
            let after = self.gone.partition_point(|(when, _)| *when <= sequence);
            let is_known = (1..=self.tracker.sequence()).contains(&sequence) && after >= forgotten;
            assert_eq!(self.tracker.knows(Since { instance: INSTANCE, sequence }), is_known);
            assert!(!self.tracker.knows(Since { instance: INSTANCE + 1, sequence }));
            if is_known {
                let gone: BTreeSet<i64> = self.tracker.gone_since(sequence).collect();
                let wanted = self.gone[after..].iter().map(|(_, handle)| *handle).collect();
                assert_eq!(gone, wanted);
            }
        }
    }
}

/// The same snapshot with the places in which it differs from the former one, as a walker tells them.
fn with_changes(snapshot: &Snapshot, former: Option<&Snapshot>) -> Snapshot {
    let former = former.filter(|former| former.sources.len() == snapshot.sources.len());
    let changes = former.map(|former| Changes {
        since_ns: former.walk.monotonic_ns,
        places: (0..snapshot.sources.len())
            .filter(|&place| snapshot.sources[place] != former.sources[place])
            .collect(),
    });
    Snapshot { changes, ..snapshot.clone() }
}

/// Whether a row can be what a former one became.
fn assert_follows(former: &Row, row: &Row, sequence: i64) {
    let (old, new) = (&former.source, &row.source);
    assert_eq!((old.id, &old.name, &old.device), (new.id, &new.name, &new.device));
    let counts = |it: &Source| {
        [it.active_count, it.event_count, it.wakeup_count, it.expire_count, it.relax_count]
    };
    let times = |it: &Source| {
        [it.total_time_ns, it.max_time_ns, it.last_change_ns, it.prevent_suspend_time_ns]
    };
    let rose = counts(old).iter().zip(counts(new)).all(|(old, new)| *old <= new)
        && times(old).iter().zip(times(new)).all(|(old, new)| *old <= new);
    assert!(rose, "from {old:?} to {new:?}");
    assert_eq!(row.changed, if old == new { former.changed } else { sequence });
}

/// A client asks for what changed, and has what there is then.
fn ask(tracker: &Tracker, client: &mut Cache) {
    let reply = |query: &SnapshotQuery| -> WakeupSnapshot {
        let (core, _) = reply::query(query).unwrap();
        let mut reply = reply::snapshot(query, &core.answer(tracker));
        reply::move_large_sources(&mut reply).unwrap();
        reply
    };
    client.apply(&reply(&client.query())).unwrap();
    let mut all = rows(&reply(&SnapshotQuery::default())).unwrap();
    all.sort_by_key(|row| std::cmp::Reverse(row.handle));
    let cached: Vec<_> = client.sources().cloned().collect();
    assert_eq!(cached, all);
}
