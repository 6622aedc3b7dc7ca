// SPDX-License-Identifier: Apache-2.0
use super::*;

const MS: i64 = 1_000_000;
const SECOND: i64 = 1_000_000_000;

/// A source with this handle, and the id below it.
fn reading(handle: i64, name: &str, total_time_ns: i64, active_count: u64) -> Reading {
    let name = name.to_owned();
    Reading { handle, id: handle - 1, name, total_time_ns, active_count, ..Reading::default() }
}

/// At so many seconds, of which the device was awake for so many.
fn moment(instance: i64, boottime: i64, monotonic: i64, readings: &[Reading]) -> Moment {
    Moment {
        instance,
        monotonic_ns: monotonic * SECOND,
        boottime_ns: boottime * SECOND,
        sources: readings.iter().map(|it| (it.handle, it.clone())).collect(),
    }
}

/// Names, what is known of them, and for how many milliseconds they were active.
fn shown(changes: &Changes) -> Vec<(&str, Presence, i64)> {
    changes.sources.iter().map(|it| (it.name.as_str(), it.presence, it.held_ns / MS)).collect()
}

#[test]
fn who_held_the_device_for_longest_comes_first_with_its_share_of_the_time_awake() {
    let then = moment(7, 100, 50, &[reading(1, "a", 900 * MS, 9), reading(2, "b", 5_000 * MS, 1)]);
    let now =
        moment(7, 120, 54, &[reading(1, "a", 2_900 * MS, 12), reading(2, "b", 6_000 * MS, 1)]);

    let changes = Changes::between(&then, &now).unwrap();

    assert_eq!(shown(&changes), [("a", Presence::Both, 2_000), ("b", Presence::Both, 1_000)]);
    assert_eq!(changes.sources[0].awake_percent, 50.0);
    assert_eq!(changes.sources[0].active_count, 3);
    assert_eq!(changes.suspended_ns(), 16 * SECOND);
    assert_eq!((changes.any_held_min_ns, changes.any_held_max_ns), (2 * SECOND, 3 * SECOND));
}

#[test]
fn sources_that_came_or_went_are_marked() {
    let then = moment(7, 100, 50, &[reading(1, "stays", 0, 0), reading(2, "goes", 800 * MS, 1)]);
    let now = moment(7, 101, 51, &[reading(1, "stays", 0, 0), reading(3, "comes", 600 * MS, 1)]);

    let changes = Changes::between(&then, &now).unwrap();

    assert_eq!(
        shown(&changes),
        [("comes", Presence::New, 600), ("goes", Presence::Gone, 0), ("stays", Presence::Both, 0)]
    );
    let notable: Vec<&str> = changes.notable().map(|it| it.name.as_str()).collect();
    assert_eq!(notable, ["comes", "goes"]);
}

#[test]
fn after_a_restart_of_the_service_sources_are_known_by_id_and_name() {
    let mut of_other_life = reading(9, "stays", 1_500 * MS, 4);
    of_other_life.id = 0;
    let mut of_used_id = reading(8, "another", 100 * MS, 1);
    of_used_id.id = 1;
    let mut fell = reading(7, "twin", 100 * MS, 1);
    fell.id = 2;
    let before = [
        reading(1, "stays", 1_000 * MS, 3),
        reading(2, "goes", 5_000 * MS, 1),
        reading(3, "twin", 5_000 * MS, 5),
    ];
    let then = moment(7, 100, 50, &before);
    let now = moment(8, 101, 51, &[of_other_life, of_used_id, fell]);

    let changes = Changes::between(&then, &now).unwrap();

    assert!(changes.restarted);
    assert_eq!(
        shown(&changes),
        [
            ("stays", Presence::Both, 500),
            ("another", Presence::New, 100),
            ("twin", Presence::New, 100),
            ("goes", Presence::Gone, 0),
            ("twin", Presence::Gone, 0),
        ]
    );
}

#[test]
fn nothing_is_negative_or_longer_than_the_time_there_was() {
    let then =
        moment(7, 100, 50, &[reading(1, "a", 1_000 * MS + 999_999, 3), reading(2, "b", 0, 0)]);
    let now = moment(7, 101, 51, &[reading(1, "a", 1_000 * MS, 3), reading(2, "b", 1_003 * MS, 1)]);

    let changes = Changes::between(&then, &now).unwrap();

    assert_eq!(shown(&changes), [("b", Presence::Both, 1_000), ("a", Presence::Both, 0)]);
    assert_eq!(changes.sources[0].awake_percent, 100.0);
}

#[test]
fn moments_in_the_wrong_order_or_of_two_boots_are_refused() {
    let sources = [reading(1, "a", 0, 0)];
    let error = |then, now| Changes::between(&then, &now).unwrap_err().to_string();

    let swapped = error(moment(7, 101, 51, &sources), moment(7, 100, 50, &sources));
    let rebooted = error(moment(7, 100, 50, &sources), moment(8, 120, 119, &sources));

    assert!(swapped.contains("give the older one first"), "{swapped}");
    assert!(rebooted.contains("was started anew"), "{rebooted}");
}

#[test]
fn no_time_at_all_is_no_share() {
    let then = moment(7, 100, 50, &[reading(1, "a", 0, 0)]);

    let changes = Changes::between(&then, &then).unwrap();

    assert_eq!(changes.sources[0].awake_percent, 0.0);
    assert_eq!(changes.notable().count(), 0);
}
