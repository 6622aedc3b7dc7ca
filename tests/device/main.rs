// SPDX-License-Identifier: Apache-2.0
#![cfg(test)]
//! wakeupstatsd against `/sys/class/wakeup`, as it runs on a device (`atest wakeupstatsd_device_test`, as
//! root) and in the test VM. It changes nothing, and takes sources as they come and go.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use rsbinder::{ProcessState, Strong, hub};
use wakeupstats_aidl::{IWakeupStats, SERVICE_NAME, SnapshotQuery, Source, rows};

mod place;

#[cfg(soong)]
pub mod sysfs;
#[cfg(not(soong))]
use wakeupstats_vm::sysfs;

use place::HERE;

/// How many looks have to be without a difference.
const LOOKS: usize = 10;

/// How many looks it may take to get them: a look at which sources come or go says nothing.
const MOST_LOOKS: usize = 100;

/// How many times the two ways are measured.
const ROUNDS: usize = 20;

fn service() -> Strong<dyn IWakeupStats> {
    ProcessState::init_default().unwrap();
    hub::check_interface(SERVICE_NAME).unwrap()
}

/// What sysfs says, then the service, then sysfs.
struct Look {
    before: BTreeMap<u32, sysfs::Source>,
    sources: BTreeMap<u32, Source>,
    after: BTreeMap<u32, sysfs::Source>,
}

impl Look {
    /// None if a source came or went meanwhile, also one that another took the id of.
    fn take(service: &Strong<dyn IWakeupStats>) -> Option<Self> {
        let before = sysfs::read().unwrap();
        let snapshot = service.getSnapshot(&SnapshotQuery::default()).unwrap();
        let after = sysfs::read().unwrap();
        let names = |sources: &BTreeMap<u32, sysfs::Source>| -> Vec<(u32, Vec<u8>)> {
            sources.iter().map(|(&id, source)| (id, source.name.clone())).collect()
        };
        if names(&before) != names(&after) {
            return None;
        }
        assert!(snapshot.complete, "sources are missing: {}", snapshot.totalSources);
        let rows = rows(&snapshot).unwrap();
        let total = rows.len();
        let sources: BTreeMap<u32, Source> =
            rows.into_iter().map(|source| (source.id.try_into().unwrap(), source)).collect();
        assert_eq!(sources.len(), total, "an id came twice");
        Some(Look { before, sources, after })
    }

    /// Where sysfs and the service differ by more than the moment between them.
    fn differences(&self) -> Vec<String> {
        let mut differences = Vec::new();
        for (id, before) in &self.before {
            match self.sources.get(id) {
                None => differences.push(format!("only in sysfs: wakeup{id} {before:?}")),
                // Nothing is claimed of a source that never held still.
                Some(source) if !source.consistent => {}
                Some(source) => {
                    let what = difference(source, before, &self.after[id]);
                    differences.extend(what.map(|what| format!("wakeup{id}: {what}: {source:?}")));
                }
            }
        }
        let only = self.sources.iter().filter(|(id, _)| !self.before.contains_key(id));
        differences.extend(only.map(|(id, source)| format!("only a row: wakeup{id} {source:?}")));
        differences
    }
}

/// A row as sysfs would show it.
fn as_sysfs(row: &Source, like: &sysfs::Source) -> sysfs::Source {
    let count = |count: i64| count.try_into().unwrap();
    let ms = |ns: i64| ns / 1_000_000;
    sysfs::Source {
        name: like.name.clone(),
        device: row.device.clone().filter(|device| !device.is_empty()),
        active_count: count(row.active_count),
        event_count: count(row.event_count),
        wakeup_count: count(row.wakeup_count),
        expire_count: count(row.expire_count),
        relax_count: like.relax_count.map(|_| count(row.relax_count)),
        active_time_ms: ms(row.active_time_ns),
        total_time_ms: ms(row.total_time_ns),
        max_time_ms: ms(row.max_time_ns),
        last_change_ms: ms(row.last_change_ns),
        prevent_suspend_time_ms: ms(row.prevent_suspend_time_ns),
    }
}

/// All that a source has but the current stretch only rises: it must be between what sysfs said before and
/// after, so equal where those are.
fn difference(row: &Source, before: &sysfs::Source, after: &sysfs::Source) -> Option<String> {
    let name = row.name.clone().unwrap_or_default();
    let wanted = sysfs::name(before);
    let is_named = if row.name_truncated { wanted.starts_with(&name) } else { wanted == name };
    if !is_named {
        return Some(format!("the name is {wanted:?}"));
    }
    let row = as_sysfs(row, before);
    if row.device != before.device {
        return Some(format!("the device is {:?}", before.device));
    }
    if let Some(what) = row.out_of(before, after) {
        return Some(what);
    }
    let is_one_stretch = before.active_count == after.active_count && after.active_time_ms > 0;
    let stretch = before.active_time_ms..=after.active_time_ms;
    let is_off = is_one_stretch && !stretch.contains(&row.active_time_ms);
    is_off.then(|| format!("active_time_ms {} is not in {stretch:?}", row.active_time_ms))
}

#[test]
fn every_source_is_in_both_with_equal_counts_and_times() {
    let _running = place::running();
    let service = service();

    let mut looks = 0;
    for _ in 0..MOST_LOOKS {
        let Some(look) = Look::take(&service) else { continue };
        assert_eq!(look.differences(), Vec::<String>::new());
        assert!(look.before.values().any(|source| source.total_time_ms > 0), "nothing ever ran");
        looks += 1;
        if looks == LOOKS {
            return;
        }
    }
    panic!("sources came and went at all but {looks} of {MOST_LOOKS} looks");
}

/// What root's dump with these options says.
fn dump(options: &[&str]) -> String {
    let output = HERE.dump_as(0, options).unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn dump_is_a_table_or_json_or_the_status() {
    let _running = place::running();

    let table = dump(&[]);
    let json: serde_json::Value = serde_json::from_str(&dump(&["--json"])).unwrap();
    let status = dump(&["--backend"]);

    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("wakeupstats: backend "), "{table}");
    assert!(lines[3].starts_with("NAME ") && lines[3].contains(" TOTAL ms "), "{table}");
    let total = json["total"].as_u64().unwrap();
    assert!(total > 0, "{json}");
    assert_eq!(json["sources"].as_array().map(Vec::len), usize::try_from(total).ok());
    assert!(status.starts_with("backend: ") && !status.contains("NAME"), "{status}");
    say(&format!("{}\n{}", lines[..2].join("\n"), status.trim_end()));
}

#[test]
fn who_has_no_permission_is_refused() {
    let _running = place::running();

    let output = HERE.dump_as(HERE.stranger, &["--json"]).unwrap();

    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    let refusal = format!("uid {} may not do this", HERE.stranger);
    assert!(text.contains(&refusal) && text.contains("android.permission.DUMP"), "{text}");
    assert!(!text.contains("\"sources\""), "{text}");
}

/// The median of some rounds.
fn median(mut work: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let begin = Instant::now();
            work();
            begin.elapsed()
        })
        .collect();
    times.sort();
    times[ROUNDS / 2]
}

#[test]
fn service_and_sysfs_are_measured() {
    let _running = place::running();
    let service = service();
    let sources = sysfs::read().unwrap().len();

    let by_sysfs = median(|| drop(sysfs::read().unwrap()));
    let by_service = median(|| drop(service.getSnapshot(&SnapshotQuery::default()).unwrap()));

    // How fast it is decides nothing here; a device under load would fail it for no reason.
    let ratio = by_sysfs.as_secs_f64() / by_service.as_secs_f64();
    say(&format!(
        "{sources} sources: sysfs {:.2} ms, wakeupstats {:.2} ms, {ratio:.1} times faster",
        by_sysfs.as_secs_f64() * 1e3,
        by_service.as_secs_f64() * 1e3,
    ));
}

/// Says something also where a test passes, whose own output is then not shown.
fn say(text: &str) {
    writeln!(io::stdout(), "\n{text}").unwrap();
}
