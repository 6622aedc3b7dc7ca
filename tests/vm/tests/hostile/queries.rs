// SPDX-License-Identifier: Apache-2.0
//! Queries that are well-formed, and ask for too much or for nonsense.

use std::time::{Duration, Instant};

use rsbinder::ExceptionCode;
use wakeupstats_aidl::{SnapshotOrder, SnapshotQuery, WakeupSnapshot, rows};
use wakeupstats_vm::report::show;
use wakeupstats_vm::sources::{Sources, file_name};

use crate::watch::Watch;

/// The longest name of a kernel's source that comes through whole.
const LONGEST_NAME: usize = 255;

/// As `query.rs` has them.
const MAX_NAMES: usize = 1_000;
const MAX_GLOBS: usize = 32;
const MAX_PATTERN_LEN: usize = 765;

/// What the worst query may take with 2,000 sources where QEMU emulates: half of what sysfs takes to
/// read as many on the kernel of the other suites.
const WORST_LIMIT: Duration = Duration::from_secs(8);

fn everything() -> SnapshotQuery {
    SnapshotQuery::default()
}

fn ask(watch: &Watch, query: &SnapshotQuery) -> WakeupSnapshot {
    watch.service().getSnapshot(query).unwrap()
}

#[test]
fn numbers_at_their_ends_are_refused_or_mean_what_they_say() {
    let watch = Watch::begin();
    let ends = [i32::MIN, i32::MIN + 1, -1, 0, 1, i32::MAX - 1, i32::MAX];
    let long_ends = [i64::MIN, -1, 0, 1, i64::MAX];
    let mut asked = 0;
    let mut try_out = |query: SnapshotQuery, is_valid: bool| {
        let answer = watch.service().getSnapshot(&query);
        match &answer {
            Ok(snapshot) => drop(rows(snapshot).unwrap()),
            Err(error) => assert_eq!(error.exception_code(), ExceptionCode::IllegalArgument),
        }
        assert_eq!(answer.is_ok(), is_valid, "{query:?}");
        watch.assert_well(&format!("{query:?}"));
        asked += 1;
        answer.ok()
    };

    for number in ends {
        let limited = try_out(SnapshotQuery { limit: number, ..everything() }, number >= 0);
        if let Some(snapshot) = limited {
            let count = rows(&snapshot).unwrap().len();
            let all = snapshot.totalSources as usize;
            assert_eq!(count, if number == 0 { all } else { all.min(number as usize) });
        }
        try_out(SnapshotQuery { maxAgeMs: number, ..everything() }, number >= 0);
        let order = SnapshotOrder(number);
        try_out(SnapshotQuery { order, ..everything() }, (0..=10).contains(&number));
        let all = SnapshotQuery { limit: number, maxAgeMs: number, order, ..everything() };
        try_out(all, (0..=10).contains(&number));
    }
    for order in -3..=20 {
        let order = SnapshotOrder(order);
        try_out(SnapshotQuery { order, ..everything() }, (0..=10).contains(&order.0));
    }
    let own = ask(&watch, &everything()).instance;
    for instance in [i64::MIN, -1, 0, 1, i64::MAX, own, !own, own + 1] {
        for sequence in long_ends {
            for known in long_ends {
                let query = SnapshotQuery {
                    instance,
                    sinceSequence: sequence,
                    knownHandle: known,
                    ..everything()
                };
                let snapshot = try_out(query, true).unwrap();
                let is_known = instance == own && sequence == 1;
                assert_eq!(snapshot.incremental, is_known, "{instance} {sequence}");
                let leaves_out = instance == own && known > 0;
                let named = rows(&snapshot).unwrap().iter().all(|row| row.name.is_some());
                assert!(named || leaves_out, "{instance} {sequence} {known}");
            }
        }
    }

    watch.say(&format!("{asked} queries"));
    watch.assert_kept_to_itself();
}

#[test]
fn names_and_globs_of_any_number_and_length_are_answered_or_refused() {
    let watch = Watch::begin();
    let long = |length: usize| "x".repeat(length);
    let refused = [
        (SnapshotQuery { names: vec![String::new(); 100_000], ..everything() }, "100000 names"),
        (SnapshotQuery { names: vec![long(1); 80_000], ..everything() }, "80000 names"),
        (SnapshotQuery { globs: vec!["*".to_owned(); 80_000], ..everything() }, "80000 globs"),
        (SnapshotQuery { names: vec![long(500_000)], ..everything() }, "of 500000 bytes"),
        (SnapshotQuery { globs: vec!["*".repeat(500_000)], ..everything() }, "of 500000 bytes"),
        (SnapshotQuery { globs: vec!["日".repeat(256)], ..everything() }, "of 768 bytes"),
    ];
    // 1,000 of the longest don't fit into a transaction, as each character takes two bytes in it.
    let names: Vec<String> = (0..600).map(|it| format!("{it:0>MAX_PATTERN_LEN$}")).collect();
    let many: Vec<String> = (0..MAX_NAMES).map(|it| format!("{it:0>LONGEST_NAME$}")).collect();
    let globs: Vec<String> = (0..MAX_GLOBS).map(|it| format!("{it:?>MAX_PATTERN_LEN$}")).collect();
    let odd =
        ["", "*", "**", "?", "\0", "\u{202e}", "[a-z]", "{a,b}", "\\*", "日*"].map(str::to_owned);
    let answered = [
        SnapshotQuery { names, ..everything() },
        SnapshotQuery { names: many, globs, ..everything() },
        SnapshotQuery { names: odd.to_vec(), ..everything() },
        SnapshotQuery { globs: odd.to_vec(), mergeByName: true, ..everything() },
    ];

    for (query, why) in refused {
        let error = watch.service().getSnapshot(&query).unwrap_err();
        assert_eq!(error.exception_code(), ExceptionCode::IllegalArgument, "{why}");
        assert!(error.message().unwrap().contains(why), "{error:?}");
        watch.assert_well(why);
    }
    for query in answered {
        rows(&ask(&watch, &query)).unwrap();
        watch.assert_well("a query at the limits");
    }
    watch.say("all of them");
    watch.assert_kept_to_itself();
}

/// Globs as long as their limit that almost match, and only at their ends turn out not to.
fn worst_globs(begin: &str) -> Vec<String> {
    (0..MAX_GLOBS).map(|it| format!("*{begin}{}b", "a".repeat(110 + it))).collect()
}

#[test]
fn no_globs_keep_others_waiting() {
    let watch = Watch::begin();
    let mut sources = Sources::new().unwrap();
    for index in 0..2_000 {
        // All the same for as long as can be.
        sources.add_fifo(&file_name(format!("{}{index:04}", "a".repeat(251)).as_bytes())).unwrap();
    }
    let stars: String = "*a".repeat(382);
    let all_different: String = ('a'..='z').cycle().take(254).collect();
    let kinds = [
        ("32 almost matching", worst_globs("")),
        ("32 with ?", worst_globs("a?")),
        ("32 of stars", vec![format!("{stars}b"); MAX_GLOBS]),
        ("32 of questions", vec![format!("*{}b", "?".repeat(253)); MAX_GLOBS]),
        ("32 of all characters", vec![format!("*{all_different}"); MAX_GLOBS]),
    ];
    ask(&watch, &everything());

    let mut worst = Duration::ZERO;
    for (what, globs) in kinds {
        let query = SnapshotQuery { globs, maxAgeMs: i32::MAX, ..everything() };
        let begin = Instant::now();
        let found = rows(&ask(&watch, &query)).unwrap().len();
        let took = begin.elapsed();
        show(format_args!("{what}, 2,000 names of {LONGEST_NAME} bytes: {took:?}"));
        assert_eq!(found, 0, "{what}");
        worst = worst.max(took);
    }

    watch.say(&format!("the worst took {worst:?}"));
    watch.assert_kept_to_itself();
    assert!(worst < WORST_LIMIT, "{worst:?}");
}
