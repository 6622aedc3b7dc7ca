// SPDX-License-Identifier: Apache-2.0
#![cfg(test)]
//! `dumpsys wakeupstats`, as `rsb_service dump` gives it: options, formats, and readers that misbehave.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rsbinder::hub;
use rustix::pipe::{PipeFlags, pipe_with};
use serde_json::Value;
use wakeupstats_aidl::{SERVICE_NAME, SnapshotQuery};
use wakeupstats_vm::backend;
use wakeupstats_vm::daemon::{self, Daemon};
use wakeupstats_vm::sources::{self, Sources, file_name};

/// How many dumps the service writes at a time (`binder.rs`).
const MAX_DUMPS: usize = 4;

/// How many lines the table has beside those of sources: two of summary, an empty one, headers, total.
const OTHER_LINES: usize = 5;

fn dump(args: &[&str]) -> String {
    let output = daemon::dump(args).unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn json(args: &[&str]) -> Value {
    serde_json::from_str(&dump(args)).unwrap()
}

/// The names of the sources that `--json` and these options show.
fn names(args: &[&str]) -> Vec<String> {
    let document = json(&[args, &["--json"]].concat());
    let sources = document["sources"].as_array().unwrap().iter();
    sources.map(|source| source["name"].as_str().unwrap().to_owned()).collect()
}

/// Two quiet sources and one that is active, all with names of their own.
fn three_sources() -> Sources {
    let mut sources = Sources::new().unwrap();
    for name in ["three-a", "three-b", "three-c"] {
        sources.add_fifo(&file_name(name.as_bytes())).unwrap();
    }
    sources.activate(1).unwrap();
    thread::sleep(Duration::from_millis(20));
    sources
}

#[test]
fn table_shows_what_holds_the_device_awake_first() {
    let _daemon = Daemon::start().unwrap();
    let _sources = three_sources();

    let text = dump(&[]);

    let lines: Vec<&str> = text.lines().collect();
    let backend = backend::current();
    assert!(lines[0].starts_with(&format!("wakeupstats: backend {backend}, kernel ")), "{text}");
    assert!(lines[1].contains(" sources, 1 active, "), "{text}");
    assert!(lines[1].contains(" ms, walk ") && lines[1].ends_with(" ms"), "{text}");
    let cells: Vec<&str> = lines[4].split_whitespace().collect();
    assert_eq!(cells[0], "three-b", "{text}");
    assert!(cells[1].parse::<i64>().unwrap() >= 20, "{text}");
    assert_eq!(&cells[6..], ["1", "1", "0", "0"], "activations, events, wakeups, expiries: {text}");
    assert!(lines.iter().all(|line| line.chars().count() <= 100));
}

#[test]
fn options_alone_and_combined() {
    let _daemon = Daemon::start().unwrap();
    let _sources = three_sources();
    let _twins = sources::eventfds(2).unwrap();

    assert_eq!(names(&["--active"]), ["three-b"]);
    assert_eq!(names(&["--name", "three-?", "--sort", "name"]), ["three-a", "three-b", "three-c"]);
    assert_eq!(names(&["--name", "three-?", "--sort", "kernel", "--top", "1"]), ["three-c"]);
    assert_eq!(
        names(&["--name", "*-a", "--name", "*-c", "--sort", "name"]),
        ["three-a", "three-c"]
    );
    assert_eq!(names(&["--name", "[eventfd]", "--merge"]), ["[eventfd]"]);
    assert_eq!(names(&["--name", "three-*", "--active", "--top", "5"]), ["three-b"]);
    assert_eq!(names(&["--top", "1"]), ["three-b"]);
    let all = dump(&["-a", "--name", "three-*"]);
    let first = format!("backend:       {}, for ", backend::current());
    assert!(all.starts_with(&first) && all.contains("HANDLE"), "{all}");
    let status = dump(&["--backend"]);
    assert!(status.starts_with(&first) && !status.contains("NAME"), "{status}");
    let help = dump(&["-h"]);
    assert!(help.contains("Usage: dumpsys wakeupstats [OPTIONS]"), "{help}");
}

#[test]
fn since_shows_what_changed_and_what_is_gone() {
    let _daemon = Daemon::start().unwrap();
    let sources = three_sources();
    let passing = sources::eventfds(1).unwrap();
    let first = json(&["--json"]);
    sources.relax(1).unwrap();
    drop(passing);

    let since = first["sequence"].to_string();
    let changed = json(&["--json", "--since", &since]);
    let unknown = json(&["--json", "--since", "999999"]);

    assert_eq!(changed["incremental"], true);
    assert!(changed["sources"].as_array().unwrap().iter().any(|row| row["name"] == "three-b"));
    assert!(changed["sources"].as_array().unwrap().iter().all(|row| row["name"] != "three-a"));
    assert_eq!(changed["gone"].as_array().unwrap().len(), 2, "the eventfd and its eventpoll");
    assert_eq!(unknown["incremental"], false);
    assert_eq!(unknown["sources"].as_array().unwrap().len(), unknown["total"]);
}

#[test]
fn every_format_has_every_source_of_the_snapshot() {
    let _daemon = Daemon::start().unwrap();
    let mut sources = three_sources();
    for name in [&b"comma,quote\"newline\nescape\x1b[2J"[..], b"=formula()", b"\xff\xfe"] {
        sources.add_fifo(&file_name(name)).unwrap();
    }
    let snapshot = daemon::service().unwrap().getSnapshot(&SnapshotQuery::default()).unwrap();
    let total = snapshot.totalSources as usize;

    let document = json(&["--json"]);
    let csv = dump(&["--csv"]);
    let checkin = dump(&["--checkin"]);
    let table = dump(&[]);

    assert_eq!(document["instance"], snapshot.instance);
    assert_eq!(document["sources"].as_array().unwrap().len(), total);
    assert_eq!(
        csv::Reader::from_reader(csv.as_bytes()).records().map(Result::unwrap).count(),
        total
    );
    let kinds = checkin.lines().map(|line| line.split(',').nth(1).unwrap());
    assert_eq!(kinds.filter(|&kind| kind == "s").count(), total);
    assert_eq!(table.lines().count(), total + OTHER_LINES);
    assert!(
        !table.contains('\x1b') && !checkin.contains('\x1b') && !dump(&["--json"]).contains('\x1b')
    );
}

#[test]
fn wrong_arguments_are_named_with_the_usage_and_nothing_else() {
    let _daemon = Daemon::start().unwrap();
    let wrong: [(&[&str], &str); 6] = [
        (&["--nonsense\x1b[2J"], "unexpected argument '--nonsense\\u{1b}[2J' found"),
        (&["--top", "x"], "'x'"),
        (&["--sort", "beauty"], "'beauty'"),
        (&["--json", "--csv"], "'--json' cannot be used with"),
        (&["--name"], "--name <GLOB>"),
        (&["operand"], "'operand'"),
    ];

    for (args, why) in wrong {
        let output = daemon::dump(args).unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(!output.status.success() && text.contains(why), "{text}");
        assert!(text.contains("Usage: dumpsys wakeupstats"), "{text}");
        assert!(!text.contains("NAME ") && text.lines().count() <= 6, "{text}");
    }
}

#[test]
fn reader_that_goes_away_harms_nobody() {
    let _daemon = Daemon::start().unwrap();
    let _sources = sources::eventfds(2_000).unwrap();
    let service = hub::check_service(SERVICE_NAME).unwrap();

    for _ in 0..5 {
        let (read_end, write_end) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| service.as_proxy().unwrap().dump(write_end, &[]));
            let mut line = String::new();
            BufReader::new(File::from(read_end)).read_line(&mut line).unwrap();
            assert!(line.starts_with("wakeupstats: "), "{line}");
        });
    }

    assert!(daemon::service().unwrap().getSnapshot(&SnapshotQuery::default()).is_ok());
    assert!(dump(&[]).lines().count() > 2_000);
}

#[test]
fn readers_that_never_read_hold_up_nobody_else() {
    let _daemon = Daemon::start().unwrap();
    let _sources = sources::eventfds(2_000).unwrap();
    let service = hub::check_service(SERVICE_NAME).unwrap();
    let (refused, dumped) = (AtomicUsize::new(0), AtomicUsize::new(0));

    thread::scope(|scope| {
        let mut read_ends = Vec::new();
        for _ in 0..3 * MAX_DUMPS {
            let (read_end, write_end) = pipe_with(PipeFlags::CLOEXEC).unwrap();
            read_ends.push(File::from(read_end));
            scope.spawn(|| {
                let result = service.as_proxy().unwrap().dump(write_end, &[]);
                let count = if result.is_ok() { &dumped } else { &refused };
                count.fetch_add(1, Ordering::Relaxed);
            });
        }
        let begin = Instant::now();
        while refused.load(Ordering::Relaxed) < 2 * MAX_DUMPS {
            assert!(begin.elapsed() < Duration::from_secs(10), "{refused:?} were refused");
            thread::sleep(Duration::from_millis(5));
        }

        for _ in 0..20 {
            daemon::service().unwrap().getSnapshot(&SnapshotQuery::default()).unwrap();
        }

        assert_eq!(dumped.load(Ordering::Relaxed), 0, "the others wait for their readers");
        for mut read_end in read_ends {
            let mut text = String::new();
            read_end.read_to_string(&mut text).unwrap();
            assert!(text.is_empty() || text.starts_with("wakeupstats: "));
        }
    });

    assert_eq!((dumped.into_inner(), refused.into_inner()), (MAX_DUMPS, 2 * MAX_DUMPS));
    assert!(dump(&[]).lines().count() > 2_000);
}
