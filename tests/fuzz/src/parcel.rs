// SPDX-License-Identifier: Apache-2.0
//! The bytes of a client's parcel, read as a `SnapshotQuery` by the bindings, and answered.

use std::sync::OnceLock;

use wakeupstats::model::{Backend, Snapshot, Source, Walk};
use wakeupstats::query::{Answer, MAX_GLOBS, MAX_NAMES, MAX_PATTERN_LEN};
use wakeupstats::reply;
use wakeupstats::tracker::{Since, Tracker};
use wakeupstats_aidl::{SnapshotQuery, WakeupSnapshot, rows};

/// The service's life, so near that a fuzzer finds it.
pub const INSTANCE: i64 = 7;

/// Of three snapshots: a source that stays, one that changes, one that comes, and one that goes.
fn tracker() -> &'static Tracker {
    static TRACKER: OnceLock<Tracker> = OnceLock::new();
    TRACKER.get_or_init(|| {
        let source = |id, name: &str, event_count| Source {
            id,
            name: name.into(),
            device: if id == 1 { "rtc0".into() } else { String::new() },
            active: event_count > 1,
            consistent: true,
            event_count,
            total_time_ns: i64::from(id) << 40,
            ..Source::default()
        };
        let snapshots = [
            vec![source(2, "[timerfd]", 0), source(1, "alarmtimer", 1), source(0, "s", 1)],
            vec![source(2, "[timerfd]", 2), source(1, "alarmtimer", 1), source(0, "s", 1)],
            vec![source(0, "é\u{1b}", 1), source(2, "[timerfd]", 3), source(1, "alarmtimer", 1)],
        ];
        let mut tracker = Tracker::new(INSTANCE);
        for (monotonic_ns, sources) in (1..).zip(snapshots) {
            let walk = Walk {
                backend: Backend::Load,
                walks: 1,
                monotonic_ns,
                boottime_ns: monotonic_ns,
                duration_ns: 1,
                total: 3,
                complete: true,
            };
            tracker.update(&Snapshot { walk, sources, changes: None });
        }
        tracker
    })
}

/// Answers a query, if the bytes hold one that makes sense.
pub fn run(data: &[u8]) {
    let Ok(query) = rsbinder::from_bytes::<SnapshotQuery>(data) else { return };
    let again: SnapshotQuery = rsbinder::from_bytes(&rsbinder::to_bytes(&query).unwrap()).unwrap();
    assert_eq!(format!("{query:?}"), format!("{again:?}"), "what was read is written the same");
    let Ok((core, max_age)) = reply::query(&query) else {
        return assert!(makes_no_sense(&query), "refused: {query:?}");
    };
    assert!(!makes_no_sense(&query), "answered: {query:?}");
    assert_eq!(max_age.as_millis(), u128::try_from(query.maxAgeMs).unwrap());
    let answer = core.answer(tracker());
    assert_keeps_to(&query, &answer);

    let mut reply = reply::snapshot(&query, &answer);
    reply::move_large_sources(&mut reply).unwrap();
    let bytes = rsbinder::to_bytes(&reply).unwrap();
    let received: WakeupSnapshot = rsbinder::from_bytes(&bytes).unwrap();
    assert_is(&query, &received, &answer);
}

/// Whether the AIDL has the service refuse it.
fn makes_no_sense(query: &SnapshotQuery) -> bool {
    let mut patterns = query.names.iter().chain(&query.globs);
    query.maxAgeMs < 0
        || query.limit < 0
        || !(0..=10).contains(&query.order.0)
        || query.names.len() > MAX_NAMES
        || query.globs.len() > MAX_GLOBS
        || patterns.any(|pattern| pattern.len() > MAX_PATTERN_LEN)
}

/// Whether the rows are those that were asked for, and no other.
fn assert_keeps_to(query: &SnapshotQuery, answer: &Answer<'_>) {
    let tracker = answer.tracker;
    let (limit, whole) =
        (usize::try_from(query.limit).unwrap(), query.limit > 0 || query.mergeByName);
    let since = Since { instance: query.instance, sequence: query.sinceSequence };
    assert_eq!(answer.incremental, !whole && tracker.knows(since));
    let wanted = tracker.rows().iter().filter(|row| {
        let name = &row.source.name;
        let all = query.names.is_empty() && query.globs.is_empty();
        (row.source.active || !query.activeOnly)
            && (all
                || query.names.contains(name)
                || query.globs.iter().any(|glob| matches(glob, name)))
            && (!answer.incremental || row.changed > query.sinceSequence)
    });
    // No two of them share a name, so merging changes no number of rows.
    let mut wanted: Vec<i64> = wanted.map(|row| row.handle).collect();
    let mut given: Vec<i64> = answer.rows.iter().map(|row| row.handle).collect();
    if limit > 0 && wanted.len() > limit {
        assert_eq!(given.len(), limit);
        assert!(given.iter().all(|handle| wanted.contains(handle)));
    } else {
        wanted.sort_unstable();
        given.sort_unstable();
        assert_eq!(given, wanted);
    }
}

/// Whether a client gets out of the parcel what was put in.
fn assert_is(query: &SnapshotQuery, received: &WakeupSnapshot, answer: &Answer<'_>) {
    assert_eq!((received.instance, received.sequence), (INSTANCE, 3));
    assert_eq!((received.incremental, &received.goneHandles), (answer.incremental, &answer.gone));
    let known = if query.instance == INSTANCE { query.knownHandle } else { 0 };
    let rows = rows(received).unwrap();
    assert_eq!(rows.len(), answer.rows.len());
    for (received, sent) in rows.iter().zip(&answer.rows) {
        let source = &sent.source;
        let names = (received.name.as_deref(), received.device.as_deref());
        let sent_names = (Some(source.name.as_str()), Some(source.device.as_str()));
        assert_eq!(names, if sent.handle <= known { (None, None) } else { sent_names });
        assert_eq!((received.handle, received.active), (sent.handle, source.active));
        assert_eq!(received.id.cast_unsigned(), source.id);
        assert_eq!(received.event_count.cast_unsigned(), source.event_count);
        assert_eq!(received.total_time_ns, source.total_time_ns);
    }
}

/// What a glob is, said another way than by the crate that the service has it from: which beginnings
/// of the pattern match the text so far.
fn matches(glob: &str, text: &str) -> bool {
    let glob: Vec<char> = glob.chars().collect();
    let skip_stars = |reached: &mut Vec<bool>| {
        for (index, &char) in glob.iter().enumerate() {
            if char == '*' && reached[index] {
                reached[index + 1] = true;
            }
        }
    };
    let mut reached = vec![false; glob.len() + 1];
    reached[0] = true;
    skip_stars(&mut reached);
    for next in text.chars() {
        let mut after = vec![false; glob.len() + 1];
        for (index, &char) in glob.iter().enumerate().filter(|&(index, _)| reached[index]) {
            match char {
                '*' => after[index] = true,
                '?' => after[index + 1] = true,
                char => after[index + 1] |= char == next,
            }
        }
        skip_stars(&mut after);
        reached = after;
    }
    reached[glob.len()]
}
