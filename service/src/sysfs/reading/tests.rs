// SPDX-License-Identifier: Apache-2.0
use super::testing::{Changing, marks, times};
use super::*;

/// Long after [`marks`] last changed.
const LATER_MS: u64 = 5_000;

/// As [`marks`], one activation later.
fn next_marks() -> Marks {
    Marks { active_count: Value::Number(4), relax_count: Value::Number(3), ..marks() }
}

fn without_relax_count(marks: Marks) -> Marks {
    Marks { relax_count: Value::Missing, ..marks }
}

/// A source that does not change.
fn still(marks: Marks, times: Times, now_ms: u64) -> Reading {
    read(&mut Changing::new(&[marks], &[times], now_ms))
}

#[test]
fn quiet_source_is_read_once() {
    let mut source = Changing::new(&[marks()], &[times([20, 70, 30, 5])], LATER_MS);

    let values = read(&mut source).values();

    assert_eq!((source.marks_read, source.times_read), (2, 1));
    assert!(values.consistent && values.active);
    assert_eq!((values.active_count, values.relax_count), (3, 2));
    assert_eq!((values.active_time_ns, values.total_time_ns), (20_000_000, 70_000_000));
}

#[test]
fn source_that_was_never_used_is_read_less_than_once() {
    let zero = Value::Number(0);
    let unused = Marks {
        active_count: zero,
        event_count: zero,
        wakeup_count: zero,
        expire_count: zero,
        relax_count: Value::Missing,
        last_change_ms: zero,
    };
    let used = Marks { event_count: Value::Number(1), ..unused };
    let unknown = Marks { event_count: Value::Missing, ..unused };
    let odd = Marks { wakeup_count: Value::Number(1), ..unused };

    for (marks, times_read) in [(unused, 0), (used, 1), (unknown, 1), (odd, 1)] {
        let mut source = Changing::new(&[marks], &[times([0; 4])], LATER_MS);
        let values = read(&mut source).values();
        assert_eq!(source.times_read, times_read);
        assert!(values.consistent && !values.active);
        assert_eq!((values.relax_count, values.total_time_ns), (0, 0));
    }
}

#[test]
fn each_change_meanwhile_is_noticed() {
    let more = Value::Number(77);
    let changed = [
        Marks { active_count: more, ..marks() },
        Marks { event_count: more, ..marks() },
        Marks { wakeup_count: more, ..marks() },
        Marks { expire_count: more, ..marks() },
        Marks { relax_count: more, ..marks() },
        Marks { last_change_ms: more, ..marks() },
    ];

    for changed in changed {
        let all = [times([20, 70, 30, 5]), times([21, 71, 31, 6])];
        let mut source = Changing::new(&[marks(), changed], &all, LATER_MS);
        let reading = read(&mut source);
        assert_eq!((source.marks_read, source.times_read), (3, 2));
        assert_eq!((reading.marks, reading.times, reading.whole), (changed, all[1], true));
    }
}

#[test]
fn source_that_changes_all_the_time_has_no_more_than_it_had() {
    let moving = [marks(), next_marks()].repeat(MAX_READS as usize);
    // The stretch of 2 ms of the first read is over in the second; the third came upon the
    // source while it was being activated, when it shows the time that it was inactive.
    let shown = [[2, 70, 30, 5], [0, 72, 30, 5], [0, 9_000, 9_000, 9_000], [1, 73, 31, 6]];
    let mut source = Changing::new(&moving, &shown.map(times), LATER_MS);

    let values = read(&mut source).values();

    assert_eq!(source.times_read, MAX_READS as usize);
    assert!(!values.consistent && values.active);
    assert_eq!(values.active_time_ns, 0);
    assert_eq!(values.total_time_ns, 68 * NS_PER_MS);
    assert_eq!(values.max_time_ns, 30 * NS_PER_MS);
    assert_eq!(values.prevent_suspend_time_ns, 5 * NS_PER_MS);
}

#[test]
fn active_bit_that_is_ahead_of_its_count_is_read_again() {
    let relaxed = Marks { relax_count: Value::Number(3), ..marks() };
    let all = [times([4_000, 4_070, 4_000, 5]), times([0, 70, 30, 5])];

    let values = read(&mut Changing::new(&[relaxed], &all, LATER_MS)).values();

    assert!(values.consistent && !values.active);
    assert_eq!(values.total_time_ns, 70 * NS_PER_MS);
}

#[test]
fn counts_say_whether_it_is_active_from_the_first_moment_on() {
    let relaxed = Marks { relax_count: Value::Number(3), ..marks() };

    let active = still(marks(), times([0, 50, 30, 5]), 1_000);
    let inactive = still(relaxed, times([0, 50, 30, 5]), 1_000);

    assert_eq!((active.activity, inactive.activity), (Activity::Active, Activity::Inactive));
}

#[test]
fn without_relax_count_the_time_says_whether_it_is_active() {
    let old = without_relax_count(marks());
    let never = Marks { active_count: Value::Number(0), ..old };
    let cases = [
        // What it was read as, the milliseconds of the stretch, when it was read, what it is.
        (old, 1, 1_001, Activity::Active),
        (old, 0, 1_000, Activity::Unsure),
        (old, 0, 1_001, Activity::Unsure),
        (old, 0, 1_002, Activity::Inactive),
        (old, 0, 999, Activity::Inactive),
        (never, 0, 1_000, Activity::Inactive),
    ];

    for (marks, active_ms, now_ms, activity) in cases {
        let reading = still(marks, times([active_ms, 50, 30, 5]), now_ms);
        assert_eq!(reading.activity, activity, "{active_ms} ms at {now_ms}");
        let unsure_since = (activity == Activity::Unsure).then_some(1_000);
        assert_eq!(reading.unsure_since_ms(), unsure_since);
        let relax_count = marks.active_count.or_zero();
        let relax_count = relax_count - u64::from(activity != Activity::Inactive);
        let values = reading.values();
        assert_eq!(values.relax_count, relax_count);
        assert_eq!(values.consistent, activity != Activity::Unsure);
    }
}

#[test]
fn second_look_learns_from_the_first() {
    let old = without_relax_count(marks());
    let look = |marks: Marks| still(marks, times([0, 50, 30, 5]), 1_001);
    let first = look(Marks { last_change_ms: Value::Number(999), ..old });
    let again = Marks { active_count: Value::Number(4), ..old };
    let cases = [
        // Since then it changed, was activated and changed, did not change.
        (look(old), first, Activity::Inactive),
        (look(again), first, Activity::Unsure),
        (look(old), look(old), Activity::Unsure),
    ];

    for (mut second, first, activity) in cases {
        second.compare_with_first(&first);
        assert_eq!(second.activity, activity);
    }
}

#[test]
fn second_look_keeps_what_is_sure() {
    let old = without_relax_count(marks());
    let first = still(old, times([0, 50, 30, 5]), 1_000);
    let later = Marks { last_change_ms: Value::Number(1_001), ..old };
    let mut second = still(later, times([1, 51, 30, 5]), 1_002);

    second.compare_with_first(&first);

    assert_eq!(second.activity, Activity::Active);
}

#[test]
fn source_that_is_being_activated_has_what_it_had() {
    let relaxed = Marks { relax_count: Value::Number(3), ..marks() };
    let activating = Marks { active_count: Value::Number(4), ..relaxed };
    let had = times([0, 50, 30, 5]);
    let seems = times([4_000, 4_050, 4_000, 4_005]);
    let cases = [
        // As the kernel shows it before and then, with and without a count of deactivations, and
        // with the active bit set before the count.
        (relaxed, activating),
        (without_relax_count(relaxed), without_relax_count(activating)),
        (without_relax_count(relaxed), without_relax_count(relaxed)),
    ];

    for (before, then) in cases {
        let former = still(before, had, LATER_MS);
        let mut reading = still(then, seems, LATER_MS);
        reading.compare_with_former(Some(&former));
        let values = reading.values();
        assert!(values.active && !values.consistent);
        assert_eq!((values.active_time_ns, values.total_time_ns), (0, 50 * NS_PER_MS));
        assert_eq!(values.max_time_ns, 30 * NS_PER_MS);
        assert_eq!(values.prevent_suspend_time_ns, 5 * NS_PER_MS);
    }
}

#[test]
fn source_that_is_being_deactivated_is_not_of_one_moment() {
    let relaxed = Marks { relax_count: Value::Number(3), ..marks() };
    let former = still(marks(), times([20, 70, 30, 5]), LATER_MS);
    let mut reading = still(relaxed, times([0, 50, 30, 5]), LATER_MS);

    reading.compare_with_former(Some(&former));

    let values = reading.values();
    assert!(!values.active && !values.consistent);
    assert_eq!(values.total_time_ns, 50 * NS_PER_MS);
}

#[test]
fn source_that_is_activated_for_the_first_time_has_nothing() {
    let none = Value::Number(0);
    let new = Marks { relax_count: none, last_change_ms: none, ..marks() };
    let mut reading = still(new, times([9_000; 4]), LATER_MS);

    reading.compare_with_former(None);

    let values = reading.values();
    assert!(values.active && !values.consistent);
    assert_eq!((values.active_time_ns, values.total_time_ns, values.max_time_ns), (0, 0, 0));
}

#[test]
fn source_that_is_active_since_another_change_or_was_before_is_believed() {
    let relaxed = Marks { relax_count: Value::Number(3), ..marks() };
    let active = Marks { last_change_ms: Value::Number(1_001), ..next_marks() };
    let reading = |marks| still(marks, times([20, 70, 30, 5]), LATER_MS);
    let cases = [(relaxed, active), (active, active), (marks(), marks())];

    for (before, then) in cases {
        let mut later = reading(then);
        let former = still(before, times([0, 50, 30, 5]), LATER_MS);
        later.compare_with_former(Some(&former));
        assert_eq!(later.values(), reading(then).values());
        assert!(later.values().consistent);
    }
    let mut unseen = reading(active);
    unseen.compare_with_former(None);
    assert_eq!(unseen.values(), reading(active).values());
}

#[test]
fn old_kernel_and_a_source_that_changes_all_the_time() {
    let moving = [marks(), next_marks()].map(without_relax_count).repeat(MAX_READS as usize);

    for (active_ms, now_ms) in [(0, LATER_MS), (1, LATER_MS), (0, 1_000)] {
        let all = [times([active_ms, 50, 30, 5])];
        let reading = read(&mut Changing::new(&moving, &all, now_ms));
        let values = reading.values();
        assert_eq!(reading.unsure_since_ms(), None, "another look would help no more");
        assert!(!values.consistent && values.active);
        assert_eq!(values.relax_count, values.active_count - 1);
        assert_eq!(values.active_time_ns, 0);
    }
}
