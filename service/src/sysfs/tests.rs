// SPDX-License-Identifier: Apache-2.0
mod tree;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use proptest::prelude::*;
use tempfile::TempDir;

use self::tree::{ATTRIBUTES, Tree, shown};
use super::reading::testing::{Changing, marks, times};
use super::reading::{Attributes, Value};
use super::*;

/// Asserts what is in a snapshot, what was counted, and whether that is all the same.
#[track_caller]
fn assert_has(snapshot: &Snapshot, ids: &[u32], total: u32) {
    let mut found: Vec<u32> = snapshot.sources.iter().map(|source| source.id).collect();
    found.sort_unstable();
    assert_eq!((found.as_slice(), snapshot.walk.total), (ids, total));
    assert_eq!(snapshot.walk.complete, ids.len() == total as usize);
}

#[test]
fn every_field_is_what_the_kernel_says() {
    let before = clock::monotonic_ns();
    let snapshot = Tree::of([7]).snapshot();
    let after = clock::monotonic_ns();

    assert_eq!(snapshot.sources, [shown(7)]);
    let Walk { backend, walks, monotonic_ns, boottime_ns, duration_ns, total, complete } =
        snapshot.walk;
    assert_eq!((backend, walks, total, complete), (Backend::Sysfs, 1, 1, true));
    assert!(duration_ns > 0);
    assert!(before <= monotonic_ns && monotonic_ns + duration_ns <= after);
    assert!(boottime_ns >= monotonic_ns, "CLOCK_BOOTTIME goes on while the device sleeps");
}

#[test]
fn largest_values_come_through() {
    let tree = Tree::of([0]);
    tree.set(0, "event_count", "18446744073709551615\n");
    tree.set(0, "total_time_ms", "9223372036854\n");

    let source = tree.one();

    assert!(source.consistent);
    assert_eq!((source.event_count, source.total_time_ns), (u64::MAX, 9_223_372_036_854_000_000));
}

#[test]
fn youngest_comes_first() {
    let tree = Tree::of([2, 0, u32::MAX, 1, 10]);
    let ids: BTreeMap<u64, u32> =
        [2, 0, u32::MAX, 1, 10].map(|id| (tree.listed(id).ino, id)).into();

    let snapshot = tree.snapshot();

    let order: Vec<u32> = snapshot.sources.iter().map(|source| source.id).collect();
    assert_eq!(order, ids.into_values().rev().collect::<Vec<_>>());
}

#[test]
fn node_that_is_listed_twice_counts_once() {
    let [old, young] = [(1, 7), (2, 3)].map(|(ino, id)| Listed { ino, id });

    assert_eq!(each_once(vec![old, young, old]), [young, old]);
}

#[test]
fn nodes_that_the_listing_passed_over_are_found_when_others_went() {
    let tree = Tree::of([0, 1, 4, 7]);
    let all = [0, 1, 4, 7].map(|id| tree.listed(id));
    let [first, second, third, _] = all;
    let mut sysfs = tree.sysfs();
    let ids = |looks: &[Look]| -> Vec<Option<u32>> {
        let id = |look: &Look| if let Look::Row(row) = look { Some(row.listed.id) } else { None };
        looks.iter().map(id).collect()
    };

    assert_eq!(ids(&sysfs.look_at_all(&[first, third])), [Some(0), Some(4)], "nobody went");
    fs::remove_file(tree.link(4)).unwrap();
    // In the first snapshot nothing is known of ids above those that are listed, later it is.
    assert_eq!(ids(&sysfs.look_at_all(&[first, third])), [Some(0), None, Some(1)]);
    sysfs.snapshot().unwrap();
    assert_eq!(ids(&sysfs.look_at_all(&[second, third])), [Some(1), None, Some(0), Some(7)]);
}

#[test]
fn what_is_no_source_is_ignored() {
    let tree = Tree::of([1]);
    let others: [&[u8]; 8] = [
        b"wakeup",
        b"wakeup01",
        b"wakeup+1",
        b"wakeup-1",
        b"wakeup1a",
        b"wakeup4294967296",
        b"xwakeup1",
        b"wakeup\xff",
    ];
    for name in others {
        symlink("wakeup1", tree.class().join(std::ffi::OsStr::from_bytes(name))).unwrap();
    }

    assert_has(&tree.snapshot(), &[1], 1);
}

#[test]
fn sources_come_and_go_between_snapshots() {
    let tree = Tree::of([1, 2]);
    let mut sysfs = tree.sysfs();

    assert_has(sysfs.snapshot().unwrap(), &[1, 2], 2);
    tree.add(3);
    fs::remove_file(tree.link(1)).unwrap();
    assert_has(sysfs.snapshot().unwrap(), &[2, 3], 2);
}

#[test]
fn source_that_is_being_changed_is_known_by_the_former_snapshot() {
    let tree = Tree::of([1]);
    let mut sysfs = tree.sysfs();
    let mut next = || sysfs.snapshot().unwrap().sources[0].clone();

    assert_eq!(next(), shown(1));
    tree.set(1, "relax_count", "3\n");
    tree.set(1, "active_time_ms", "0\n");
    assert!(!next().consistent, "it is inactive since it became active");
    assert!(next().consistent, "it still is");
    tree.set(1, "active_count", "4\n");
    tree.set(1, "active_time_ms", "9000\n");
    tree.set(1, "max_time_ms", "9000\n");
    let source = next();
    assert!(!source.consistent, "it is active since it became inactive");
    assert_eq!(source.max_time_ns, shown(1).max_time_ns);
}

/// Sets what an attribute shows to 0.
fn set_to_0(source: &mut Source, attribute: &str) {
    match attribute {
        "active_count" => source.active_count = 0,
        "event_count" => source.event_count = 0,
        "wakeup_count" => source.wakeup_count = 0,
        "expire_count" => source.expire_count = 0,
        "relax_count" => source.relax_count = 0,
        "active_time_ms" => source.active_time_ns = 0,
        "total_time_ms" => source.total_time_ns = 0,
        "max_time_ms" => source.max_time_ns = 0,
        "last_change_ms" => source.last_change_ns = 0,
        _ => source.prevent_suspend_time_ns = 0,
    }
}

#[test]
fn missing_attributes_are_0() {
    for (attribute, _) in &ATTRIBUTES[1..] {
        let tree = Tree::of([1]);
        tree.unset(1, attribute);

        let source = tree.one();

        let mut expected = shown(1);
        set_to_0(&mut expected, attribute);
        if *attribute == "relax_count" {
            // What the kernel does not say follows from the rest.
            expected.relax_count = 2;
        }
        assert_eq!(source, expected, "{attribute}");
    }
}

#[test]
fn kernel_without_relax_count() {
    for (active_ms, active, relax_count) in [("20\n", true, 2), ("0\n", false, 3)] {
        let tree = Tree::of([1]);
        tree.unset(1, "relax_count");
        tree.set(1, "active_time_ms", active_ms);

        let source = tree.one();

        assert_eq!((source.active, source.relax_count), (active, relax_count));
        assert!(source.consistent);
    }
}

#[test]
fn unreadable_and_odd_attributes_are_0_and_say_so() {
    type Spoil = fn(&Tree, &str);
    let spoilt: [(&str, Spoil); 10] = [
        ("EISDIR", |tree, attribute| fs::create_dir(tree.node(1).join(attribute)).unwrap()),
        ("ELOOP", |tree, attribute| symlink(attribute, tree.node(1).join(attribute)).unwrap()),
        ("empty", |tree, attribute| tree.set(1, attribute, "")),
        ("an empty line", |tree, attribute| tree.set(1, attribute, "\n")),
        ("no number", |tree, attribute| tree.set(1, attribute, "many\n")),
        ("a sign", |tree, attribute| tree.set(1, attribute, "+1\n")),
        ("garbage after it", |tree, attribute| tree.set(1, attribute, "1\n\n")),
        ("cut off", |tree, attribute| tree.set(1, attribute, "1")),
        ("too long", |tree, attribute| tree.set(1, attribute, "1".repeat(BUFFER_BYTES) + "\n")),
        ("too large", |tree, attribute| tree.set(1, attribute, "18446744073709551616\n")),
    ];
    for (what, spoil) in spoilt {
        for (attribute, _) in &ATTRIBUTES[1..] {
            let tree = Tree::of([1]);
            tree.unset(1, attribute);
            spoil(&tree, attribute);

            let source = tree.one();

            // The times leave out the stretch of 20 ms, where it is known.
            let mut expected = shown(1);
            expected.consistent = false;
            expected.active_time_ns = 0;
            expected.total_time_ns = 50_000_000;
            set_to_0(&mut expected, attribute);
            if *attribute == "active_time_ms" {
                expected.total_time_ns = 70_000_000;
            }
            assert_eq!(source, expected, "{attribute} is {what}");
        }
    }
}

#[test]
fn time_that_no_clock_shows_is_odd() {
    let tree = Tree::of([1]);
    tree.set(1, "total_time_ms", "9223372036855\n");

    assert_eq!((tree.one().total_time_ns, tree.one().consistent), (0, false));
}

#[test]
fn source_that_went_is_left_out_and_not_counted() {
    let tree = Tree::of([1, 2]);
    fs::remove_dir_all(tree.node(1)).unwrap();

    assert_has(&tree.snapshot(), &[2], 1);
}

#[test]
fn source_whose_link_went_or_is_another_is_gone_whatever_was_read() {
    let tree = Tree::of([1]);
    let listed = tree.listed(1);
    let mut sysfs = tree.sysfs();

    assert!(matches!(sysfs.look(listed), Look::Row(_)));
    assert!(matches!(sysfs.look(Listed { ino: listed.ino + 1, ..listed }), Look::Gone));
    assert!(sysfs.is_there(listed, "wakeup1"));
    fs::remove_file(tree.link(1)).unwrap();
    assert!(!sysfs.is_there(listed, "wakeup1"));
}

#[test]
fn node_stays_that_of_its_source_when_another_gets_the_id() {
    let tree = Tree::of([1, 2]);
    tree.set(2, "event_count", "1000\n");
    let mut buffer = [0; BUFFER_BYTES];
    let class = tree.sysfs().class;
    let mut node = Node::open(&class, "wakeup1", &mut buffer).unwrap();

    fs::remove_file(tree.link(1)).unwrap();
    symlink(tree.node(2), tree.link(1)).unwrap();

    assert_eq!(node.marks().event_count, Value::Number(9));
}

#[test]
fn files_are_read_again_from_their_start() {
    let tree = Tree::of([1]);
    let mut buffer = [0; BUFFER_BYTES];
    let class = tree.sysfs().class;
    let mut node = Node::open(&class, "wakeup1", &mut buffer).unwrap();

    let first = node.marks();
    tree.set(1, "event_count", "10\n");

    assert_eq!(
        (first.event_count, node.marks().event_count),
        (Value::Number(9), Value::Number(10))
    );
}

#[test]
fn node_without_attributes_is_not_there_yet() {
    let tree = Tree::of([1, 2]);
    ATTRIBUTES.iter().for_each(|(attribute, _)| tree.unset(1, attribute));

    assert_has(&tree.snapshot(), &[2], 1);
}

#[test]
fn source_without_a_name_is_left_out_and_counted() {
    type Spoil = fn(&Tree);
    let spoilt: [Spoil; 4] = [
        |tree| tree.unset(1, "name"),
        |tree| tree.set(1, "name", ""),
        |tree| {
            tree.unset(1, "name");
            fs::create_dir(tree.node(1).join("name")).unwrap();
        },
        |tree| {
            fs::remove_dir_all(tree.node(1)).unwrap();
            fs::write(tree.node(1), "").unwrap();
        },
    ];
    for spoil in spoilt {
        let tree = Tree::of([1, 2]);
        spoil(&tree);

        assert_has(&tree.snapshot(), &[2], 2);
    }
}

#[test]
fn names_are_those_of_the_other_backends() {
    let long = |len: usize| "x".repeat(len);
    let page = long(2 * BUFFER_BYTES);
    let cases: [(&[u8], &str, bool); 8] = [
        (b"eventpoll\n", "eventpoll", false),
        (b"\n", "", false),
        (b"two\n\n", "two\n", false),
        (b"a b\t", "a b\t", false),
        (b"a\xffb\n", "a\u{fffd}b", false),
        (&[long(255).as_bytes(), b"\n"].concat(), &long(255), false),
        (&[long(256).as_bytes(), b"\n"].concat(), &long(255), true),
        (page.as_bytes(), &long(255), true),
    ];
    for (text, name, truncated) in cases {
        let tree = Tree::of([1]);
        tree.set(1, "name", text);

        let source = tree.one();

        assert_eq!((source.name.as_str(), source.name_truncated), (name, truncated));
    }
}

#[test]
fn device_is_the_last_part_of_its_path() {
    let long = "d".repeat(128);
    let cases = [
        ("../../../alarmtimer.0.auto", "alarmtimer.0.auto"),
        ("device", "device"),
        (&format!("{}{long}", "../".repeat(1_000)), &long[..127]),
    ];
    for (target, name) in cases {
        let tree = Tree::of([1]);
        symlink(target, tree.node(1).join("device")).unwrap();
        assert_eq!(tree.one().device, name);
    }
}

#[test]
fn device_that_is_no_link_is_none() {
    let tree = Tree::of([1]);
    fs::create_dir(tree.node(1).join("device")).unwrap();

    assert_eq!(tree.one(), shown(1));
}

#[test]
fn second_look_waits_until_it_shows_and_takes_what_it_sees() {
    let tree = Tree::of([1, 2, 3]);
    for id in [1, 2, 3] {
        tree.unset(id, "relax_count");
    }
    let mut sysfs = tree.sysfs();
    // Just activated: the kernel shows no time yet.
    let now_ms = (clock::monotonic_ns() / NS_PER_MS).cast_unsigned();
    let marks = reading::Marks {
        relax_count: Value::Missing,
        last_change_ms: Value::Number(now_ms),
        ..marks()
    };
    let unsure = reading::read(&mut Changing::new(&[marks], &[times([0, 50, 30, 5])], now_ms));
    let mut looks = [1, 2, 3].map(|id| match sysfs.look(tree.listed(id)) {
        Look::Row(row) => Look::Row(Row { reading: unsure, ..row }),
        other => other,
    });
    fs::remove_file(tree.link(2)).unwrap();
    tree.unset(3, "name");

    sysfs.look_again(&mut looks);

    assert!(clock::monotonic_ns() >= (now_ms.cast_signed() + 2) * NS_PER_MS);
    let [Look::Row(row), Look::Gone, Look::LeftOut(3, _)] = looks else { panic!("{looks:?}") };
    assert_eq!(row.into_source(), shown(1));
}

#[test]
fn without_the_directory_it_says_what_is_missing() {
    let empty = TempDir::new().unwrap();
    let file = TempDir::new().unwrap();
    fs::create_dir(file.path().join("class")).unwrap();
    fs::write(file.path().join("class/wakeup"), "").unwrap();

    for (root, errno) in [(empty, "os error 2"), (file, "os error 20")] {
        let error = Sysfs::open(root.path()).unwrap_err();
        let message = crate::chain(&error);
        for part in ["class/wakeup can't be listed", "CONFIG_PM_SLEEP=y", errno] {
            assert!(message.contains(part), "{part:?} is not in: {message}");
        }
    }
}

#[test]
fn problems_are_said_once_and_again_only_when_there_are_more() {
    let mut warning = Warning::new("wakeup sources left out of snapshots");
    let one = [(7, Problem::new("name", Errno::ACCESS))];
    let two = [one[0], (3, Problem::new("name", Errno::NOENT))];

    let said: Vec<Option<String>> =
        [&[][..], &one, &one, &two, &one, &[], &two].map(|nodes| warning.message(nodes)).into();

    let message = |count: u32| {
        Some(format!(
            "wakeup sources left out of snapshots: {count}, the first is wakeup7 (name: \
             Permission denied (os error 13))"
        ))
    };
    assert_eq!(said, [None, message(1), None, message(2), None, None, None]);
}

#[test]
fn each_kind_of_problem_is_noticed() {
    let tree = Tree::of([1, 2, 3, 4]);
    tree.set(1, "max_time_ms", "?\n");
    tree.unset(2, "name");
    fs::create_dir(tree.node(3).join("device")).unwrap();
    let mut sysfs = tree.sysfs();

    sysfs.snapshot().unwrap();

    assert_eq!((sysfs.left_out.said_of, sysfs.incomplete.said_of), (1, 2));
}

proptest! {
    #[test]
    fn any_bytes_give_a_row_or_an_incomplete_snapshot(
        index in 0..ATTRIBUTES.len(),
        bytes in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..600),
            "[0-9]{0,25}\n?".prop_map(String::into_bytes),
        ],
    ) {
        let tree = Tree::of([1]);
        tree.set(1, ATTRIBUTES[index].0, bytes);

        let snapshot = tree.snapshot();

        prop_assert_eq!(snapshot.walk.total, 1);
        prop_assert_eq!(snapshot.sources.len(), usize::from(snapshot.walk.complete));
    }
}
