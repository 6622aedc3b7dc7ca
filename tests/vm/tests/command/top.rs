// SPDX-License-Identifier: Apache-2.0
//! `wakeupstats top`, on a terminal of 80 columns.

use rustix::process::Signal;
use wakeupstats_vm::daemon::Daemon;

use crate::running::{CULPRIT, drain, run};
use crate::terminal::{SIZE, Terminal};

/// The first line of the table's rows, below the summary and the headers.
const FIRST: usize = 4;

fn start() -> Terminal {
    Terminal::start(&["top", "--interval", "300ms"])
}

/// The cells of the first row.
fn first(lines: &[String]) -> Vec<&str> {
    lines[FIRST].split_whitespace().collect()
}

fn is_culprit_first(lines: &[String]) -> bool {
    first(lines).first() == Some(&CULPRIT)
}

#[test]
fn source_that_keeps_the_device_awake_is_on_top_with_its_share() {
    let _daemon = Daemon::start().unwrap();
    let _sources = drain();

    let top = start();
    let lines = top.wait_for("the culprit on top", is_culprit_first);

    assert_eq!(lines.len(), usize::from(SIZE.0));
    assert!(lines[0].contains(" sources, 1 active, by held"), "{lines:#?}");
    assert!(lines[1].ends_with("held by any source for 100.0 %"), "{lines:#?}");
    assert!(lines[3].starts_with("NAME ") && lines[3].ends_with("EXPIRE #"), "{lines:#?}");
    let cells = first(&lines);
    assert_eq!((cells[1], cells[3]), ("active", "100.00"), "{lines:#?}");
    assert!(cells[2].parse::<u32>().unwrap() >= 300, "{lines:#?}");
    assert!(lines[23].starts_with("q quit "), "{lines:#?}");
    top.press("q");
    let (status, is_restored) = top.end();
    assert!(status.success() && is_restored);
}

#[test]
fn keys_filter_pause_and_end_it() {
    let _daemon = Daemon::start().unwrap();
    let sources = drain();
    let top = start();
    top.wait_for("the culprit on top", is_culprit_first);

    top.press("/");
    top.wait_for("room for the filter", |lines| lines[23] == "/_");
    top.press("inno\r");
    top.wait_for("one row", |lines| {
        first(lines)[..1] == ["innocent"] && lines[FIRST + 1].is_empty()
    });
    top.press("/\x1b");
    top.wait_for("all rows", is_culprit_first);
    top.press("p");
    top.wait_for("a pause", |lines| lines[0].ends_with("PAUSED"));
    sources.relax(1).unwrap();
    sources.activate(0).unwrap();
    top.press("p");
    top.wait_for("another culprit", |lines| first(lines)[..2] == ["innocent", "active"]);
    top.press("\x03");

    assert!(top.end().0.success());
}

#[test]
fn it_fits_into_any_size() {
    let _daemon = Daemon::start().unwrap();
    let _sources = drain();
    let top = start();
    top.wait_for("the culprit on top", is_culprit_first);

    top.resize(10, 120);
    top.wait_for("a wide table", |lines| {
        lines.len() == 10 && lines[3].len() == 120 && lines[9].starts_with("q quit")
    });
    top.resize(3, 20);
    top.resize(24, 80);
    top.wait_for("the culprit on top again", |lines| {
        is_culprit_first(lines) && lines[3].len() == 80
    });
    top.press("\x1b");

    assert!(top.end().0.success());
}

#[test]
fn it_outlives_the_service() {
    let daemon = Daemon::start().unwrap();
    let _sources = drain();
    let top = start();
    top.wait_for("the culprit on top", is_culprit_first);

    drop(daemon);
    let lost = top.wait_for("the loss", |lines| lines[2].starts_with("LOST for "));
    assert!(lost[2].contains("wakeupstats"), "{lost:#?}");
    assert!(is_culprit_first(&lost), "the last numbers stay: {lost:#?}");
    let _daemon = Daemon::start().unwrap();
    let back = top.wait_for("a restart", |lines| lines[2] == "restarts of the service: 1");

    assert!(is_culprit_first(&back) && first(&back)[3] == "100.00", "{back:#?}");
    top.signal(Signal::TERM);
    let (status, is_restored) = top.end();
    assert!(status.success() && is_restored);
}

#[test]
fn service_that_hangs_is_told_of_and_holds_up_no_key() {
    let daemon = Daemon::start().unwrap();
    let _sources = drain();
    let top = start();
    top.wait_for("the culprit on top", is_culprit_first);

    let _stopped = daemon.stop().unwrap();
    top.wait_for("silence", |lines| lines[2].starts_with("NO ANSWER for "));
    top.press("q");

    assert!(top.end().0.success());
}

#[test]
fn without_a_terminal_it_says_what_to_do() {
    let said = run(&["top"]);

    assert_eq!(said.status, Some(1), "{said:?}");
    assert!(said.err.starts_with("wakeupstats: top needs a terminal: "), "{said:?}");
    assert!(said.err.contains("adb shell -t") && said.err.contains("wakeupstats diff"), "{said:?}");
}

#[test]
fn without_the_service_the_terminal_is_left_alone() {
    let top = start();

    top.wait_for("the error", |lines| {
        lines[0].starts_with("wakeupstats: wakeupstats is not running")
    });

    let (status, is_restored) = top.end();
    assert_eq!((status.code(), is_restored), (Some(1), true));
}
