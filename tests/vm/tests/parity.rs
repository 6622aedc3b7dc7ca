// SPDX-License-Identifier: Apache-2.0
#![cfg(test)]
//! Every field of every source equals what sysfs says of it.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::{Duration, Instant};

use wakeupstats::backends::TakeSnapshot;
use wakeupstats::model::{Snapshot, Source};
use wakeupstats_vm::backend;
use wakeupstats_vm::meanwhile::meanwhile;
use wakeupstats_vm::{power, sources, sysfs};

/// Of each kind: quiet with a history, active throughout, and moving. By thirds on eventfds,
/// timerfds and FIFOs, and together more than any phone has.
const SOURCES: usize = 120;

/// How many times all sources are compared at the least.
const ROUNDS: usize = 25;

/// After as long a source must have expired: two seconds after the second attempt to make it active,
/// as the first finds that other sources are active and goes no further.
const EXPIRY_LIMIT: Duration = Duration::from_secs(30);

/// A little more than the time after which the alarm timer's source expires.
const EXPIRY: Duration = Duration::from_millis(2_200);

/// A snapshot between two readings of sysfs.
struct Reading {
    before: BTreeMap<u32, sysfs::Source>,
    snapshot: Snapshot,
    after: BTreeMap<u32, sysfs::Source>,
}

impl Reading {
    fn take(backend: &mut dyn TakeSnapshot) -> Self {
        let before = sysfs::read().unwrap();
        let snapshot = backend.snapshot().unwrap();
        let after = sysfs::read().unwrap();
        Reading { before, snapshot: snapshot.clone(), after }
    }

    /// The source as sysfs had it before and after.
    fn around(&self, id: u32) -> (&sysfs::Source, &sysfs::Source) {
        let find = |sources: &'_ BTreeMap<u32, sysfs::Source>| sources.contains_key(&id);
        assert!(find(&self.before) && find(&self.after), "wakeup{id} is not in sysfs");
        (&self.before[&id], &self.after[&id])
    }
}

fn ms(ns: i64) -> i64 {
    ns / 1_000_000
}

/// All of a source as sysfs would show it.
fn as_sysfs(source: &Source, like: &sysfs::Source) -> sysfs::Source {
    sysfs::Source {
        name: if sysfs::name(like) == source.name { like.name.clone() } else { Vec::new() },
        device: (!source.device.is_empty()).then(|| source.device.clone()),
        active_count: source.active_count,
        event_count: source.event_count,
        wakeup_count: source.wakeup_count,
        expire_count: source.expire_count,
        relax_count: like.relax_count.map(|_| source.relax_count),
        active_time_ms: ms(source.active_time_ns),
        total_time_ms: ms(source.total_time_ns),
        max_time_ms: ms(source.max_time_ns),
        last_change_ms: ms(source.last_change_ns),
        prevent_suspend_time_ms: ms(source.prevent_suspend_time_ns),
    }
}

/// What is wrong with a source that changed between the readings, if anything.
fn out_of_bounds(source: &Source, before: &sysfs::Source, after: &sysfs::Source) -> Option<String> {
    let shown = as_sysfs(source, before);
    if let Some(what) = shown.out_of(before, after) {
        return Some(what);
    }
    // The kernel counts a source's activations and deactivations, and it is active in between.
    if source.active != (source.active_count == source.relax_count + 1) {
        return Some(format!("active is {}, but not by its counts", source.active));
    }
    let same_stretch = before.active_count == after.active_count && source.active;
    if same_stretch && before.active_time_ms > 0 && after.active_time_ms > 0 {
        let range = before.active_time_ms..=after.active_time_ms;
        if !range.contains(&shown.active_time_ms) {
            return Some(format!("active_time: {} is not in {range:?}", shown.active_time_ms));
        }
    }
    (shown.name != before.name || shown.device != before.device).then(|| "its names".into())
}

/// How many sources were compared, and how.
#[derive(Debug, Default)]
struct Compared {
    exactly: usize,
    exactly_with_history: usize,
    within_bounds: usize,
    active: usize,
    inconsistent: usize,
}

/// Compares all sources. Says which are wrong.
fn compare(reading: &Reading) -> (Compared, Vec<String>) {
    let mut compared = Compared::default();
    let mut wrong = Vec::new();
    for source in &reading.snapshot.sources {
        let (before, after) = reading.around(source.id);
        if !source.consistent {
            // Its lock was held throughout, as by a CPU that the host has stopped.
            compared.inconsistent += 1;
            continue;
        }
        compared.active += usize::from(source.active);
        if before == after {
            compared.exactly += 1;
            compared.exactly_with_history += usize::from(before.total_time_ms > 0);
            if as_sysfs(source, before) != *before || (source.active && before.active_time_ms == 0)
            {
                // An active source can be equal in sysfs twice within the same millisecond only.
                wrong.push(format!("sysfs says {before:?}, the snapshot {source:?}"));
            }
        } else {
            compared.within_bounds += 1;
            if let Some(why) = out_of_bounds(source, before, after) {
                wrong.push(format!("{why}: {source:?}, sysfs {before:?} and then {after:?}"));
            }
        }
    }
    (compared, wrong)
}

#[test]
fn every_field_of_every_source_equals_sysfs() {
    let [quiet, active, moving] = [(); 3].map(|()| sources::mixed(SOURCES).unwrap());
    power::count_wakeups().unwrap();
    for sources in [&quiet, &active, &moving] {
        sources.activate_all().unwrap();
    }
    thread::sleep(Duration::from_millis(30));
    quiet.relax_all().unwrap();
    let mut backend = backend::open().unwrap();
    let mut expiries = BTreeSet::new();
    let mut wakeups = 0;
    let mut look = |expiries: &mut BTreeSet<u64>, wakeups: &mut u64| {
        let reading = Reading::take(&mut *backend);
        let (compared, wrong) = compare(&reading);

        assert_eq!(wrong, Vec::<String>::new(), "{compared:?}");
        assert_eq!(reading.snapshot.sources.len(), reading.before.len());
        assert!(reading.snapshot.walk.complete);
        assert!(compared.exactly_with_history >= SOURCES, "{compared:?}");
        assert!(compared.within_bounds + compared.inconsistent >= SOURCES, "{compared:?}");
        assert!(compared.active >= SOURCES, "{compared:?}");
        assert!(compared.inconsistent <= 2, "{compared:?}");
        let sum = |count: fn(&Source) -> u64| reading.snapshot.sources.iter().map(count).sum();
        expiries.insert(sum(|source| source.expire_count));
        *wakeups = sum(|source| source.wakeup_count);
    };
    let come_and_go = || {
        for index in 0..SOURCES {
            moving.activate(index).unwrap();
            thread::sleep(Duration::from_micros(200));
            moving.relax(index).unwrap();
        }
    };
    let expire = || {
        power::expire_alarmtimer().unwrap();
        thread::sleep(EXPIRY);
    };

    let begin = Instant::now();
    let mut round = 0;
    meanwhile(come_and_go, || {
        meanwhile(expire, || {
            while round < ROUNDS || (expiries.len() < 2 && begin.elapsed() < EXPIRY_LIMIT) {
                look(&mut expiries, &mut wakeups);
                round += 1;
            }
        });
    });

    assert!(expiries.len() > 1, "a source expired during the rounds: {expiries:?}");
    assert!(wakeups >= 3 * SOURCES as u64, "each source might have aborted a suspend: {wakeups}");
}

#[test]
fn owners_of_the_machines_own_sources_are_named() {
    let mut backend = backend::open().unwrap();
    let by_sysfs = sysfs::read().unwrap();

    let snapshot = backend.snapshot().unwrap();

    let owned = by_sysfs.values().filter(|source| source.device.is_some()).count();
    assert!(owned >= 2, "this VM has at least an RTC and a power button: {by_sysfs:?}");
    for source in &snapshot.sources {
        let device = by_sysfs[&source.id].device.clone().unwrap_or_default();
        assert_eq!(source.device, device, "{source:?}");
    }
}

#[test]
fn clocks_are_the_kernels() {
    use rustix::time::{ClockId, clock_gettime};
    let now = |clock| {
        let time = clock_gettime(clock);
        time.tv_sec * 1_000_000_000 + time.tv_nsec
    };
    let mut backend = backend::open().unwrap();

    let before = (now(ClockId::Monotonic), now(ClockId::Boottime));
    let snapshot = backend.snapshot().unwrap();
    let after = (now(ClockId::Monotonic), now(ClockId::Boottime));

    assert!((before.0..=after.0).contains(&snapshot.walk.monotonic_ns));
    assert!((before.1..=after.1).contains(&snapshot.walk.boottime_ns));
    assert!((1..=after.0 - before.0).contains(&snapshot.walk.duration_ns));
}
