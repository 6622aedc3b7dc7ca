// SPDX-License-Identifier: Apache-2.0
#![cfg(test)]
//! Sources that change on all CPUs while they are read: no row that is of two moments gets through
//! unmarked, and without the check some would.
//!
//! What the kernel changes under a source's lock must be there as a whole. So each row is compared
//! with the one before: a source that was activated or deactivated has another time of its last
//! change, one that was deactivated another total, and none has either without.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use wakeupstats::layout::{WS_ACTIVE, WS_INCONSISTENT, WS_LIST_TOO_LONG, ws_record};
use wakeupstats::load::Loaded;
use wakeupstats_vm::kfuncs::Kfuncs;
use wakeupstats_vm::meanwhile::meanwhile;
use wakeupstats_vm::objects::{ONE_READ, SHORT_LIST};
use wakeupstats_vm::raw::{Runs, Variant};
use wakeupstats_vm::report::show;
use wakeupstats_vm::sources::{self, Sources};

/// How often the list is walked at the least, with each program.
const WALKS: u32 = 20_000;

/// How long to go on until enough rows were torn.
const LIMIT: Duration = Duration::from_secs(60);

/// Rows that must have been seen to be broken for the test to have shown anything.
const ENOUGH: u64 = 10;

/// Sources of each of the two threads that change them. Few, so that each changes often.
const SOURCES: usize = 4;

/// The bound on entries that tests/vm/bpf/short_list.bpf.c has.
const SHORT_LIST_ENTRIES: u32 = 64;

/// What many walks saw.
#[derive(Debug, Default)]
struct Seen {
    walks: u32,
    rows: u64,
    /// Reads that the program itself repeated.
    retries: u64,
    /// Rows that it marked, and what is wrong with those of them that are broken.
    marked: u64,
    broken_and_marked: HashMap<&'static str, u64>,
    /// Broken rows that it did not mark.
    unmarked: Vec<String>,
}

impl Seen {
    fn broken(&self) -> u64 {
        self.broken_and_marked.values().sum()
    }
}

/// What is wrong with a row, if anything, after one of the same source that was right.
fn broken(former: Option<&ws_record>, row: &ws_record) -> Option<&'static str> {
    let active = u64::from(u32::from(row.flags) & WS_ACTIVE != 0);
    if row.active_count.wrapping_sub(row.relax_count) != active {
        return Some("active, or not, against its counts");
    }
    if row.max_time > row.total_time {
        return Some("the longest stretch is longer than all together");
    }
    let former = former?;
    let activated = row.active_count != former.active_count;
    let relaxed = row.relax_count != former.relax_count;
    if row.active_count < former.active_count || row.relax_count < former.relax_count {
        Some("a count fell")
    } else if (activated || relaxed) != (row.last_time != former.last_time) {
        Some("a change without its time, or a time without its change")
    } else if relaxed != (row.total_time != former.total_time) {
        Some("the total without a stretch that is over")
    } else {
        None
    }
}

/// Walks the list again and again while sources change, until `enough`.
fn look(program: &mut impl Runs, enough: impl Fn(&Seen) -> bool) -> Seen {
    let flip = |sources: &Sources| {
        for index in 0..SOURCES {
            sources.activate(index).unwrap();
            sources.relax(index).unwrap();
        }
    };
    let [here, there] = [(); 2].map(|()| sources::eventfds(SOURCES).unwrap());
    let mut seen = Seen::default();
    let mut former: HashMap<u32, ws_record> = HashMap::new();
    let begin = Instant::now();
    let look = || {
        while seen.walks < WALKS || (!enough(&seen) && begin.elapsed() < LIMIT) {
            let (args, records) = program.run_once().unwrap();
            seen.walks += 1;
            seen.retries += u64::from(args.retries);
            for record in records {
                let row = record.numbers;
                let what = broken(former.get(&row.id), &row);
                seen.rows += 1;
                if u32::from(row.flags) & WS_INCONSISTENT != 0 {
                    seen.marked += 1;
                    what.into_iter()
                        .for_each(|it| *seen.broken_and_marked.entry(it).or_insert(0) += 1);
                    continue;
                }
                if let Some(what) = what {
                    seen.unmarked.push(format!("{what}: {:?} {row:?}", former.get(&row.id)));
                }
                former.insert(row.id, row);
            }
        }
    };
    meanwhile(|| flip(&here), || meanwhile(|| flip(&there), look));
    seen
}

#[test]
fn no_torn_row_gets_through_and_without_the_check_some_would() {
    if !Kfuncs::of_this_kernel().exist() {
        assert!(Loaded::load().is_err());
        return;
    }

    let read_once = look(&mut Variant::load(ONE_READ).unwrap(), |seen| seen.broken() >= ENOUGH);
    let as_it_is = look(&mut Loaded::load().unwrap(), |seen| seen.retries >= ENOUGH);

    show(format_args!(
        "read once: {} of {} rows in {} walks were caught, of which {} were broken: {:?}; {} broken \
         ones were not\n\
         as it is: {} of {} rows in {} walks were read again, {} came marked, {} of those broken; {} \
         broken ones came unmarked",
        read_once.marked,
        read_once.rows,
        read_once.walks,
        read_once.broken(),
        read_once.broken_and_marked,
        read_once.unmarked.len(),
        as_it_is.retries,
        as_it_is.rows,
        as_it_is.walks,
        as_it_is.marked,
        as_it_is.broken(),
        as_it_is.unmarked.len(),
    ));
    for seen in [&read_once, &as_it_is] {
        assert_eq!(seen.unmarked, Vec::<String>::new());
    }
    assert!(read_once.broken() >= ENOUGH, "nothing was torn, so nothing is shown");
    assert!(as_it_is.retries >= ENOUGH, "nothing had to be read again, so nothing is shown");
}

#[test]
fn walk_ends_at_its_bound_and_says_so() {
    if !Kfuncs::of_this_kernel().exist() {
        assert!(Variant::load(SHORT_LIST).is_err());
        return;
    }
    let mut program = Variant::load(SHORT_LIST).unwrap();

    let (whole, _) = program.run_once().unwrap();
    let _sources = sources::eventfds(SHORT_LIST_ENTRIES as usize).unwrap();
    let (cut, records) = program.run_once().unwrap();

    assert_eq!(whole.flags, 0);
    assert_eq!((cut.flags, cut.total), (WS_LIST_TOO_LONG, SHORT_LIST_ENTRIES));
    assert_eq!(records.len(), SHORT_LIST_ENTRIES as usize);
}
