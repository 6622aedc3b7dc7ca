// SPDX-License-Identifier: Apache-2.0
//! `wakeupstats diff`: who held the device awake, live and between two files.

use std::fs;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use wakeupstats_vm::daemon::{self, Daemon};
use wakeupstats_vm::sources;

use crate::running::{CULPRIT, command, drain, output, run, said, wait_until};

/// The source of that name.
fn source<'a>(document: &'a Value, name: &str) -> &'a Value {
    document["sources"].as_array().unwrap().iter().find(|it| it["name"] == name).unwrap()
}

/// Writes the list as it is now, and says where.
fn list(name: &str) -> String {
    let path = format!("/tmp/{name}-{}.json", std::process::id());
    fs::write(&path, output(&["list", "--json"])).unwrap();
    path
}

#[test]
fn culprit_comes_first_with_its_share_of_the_time() {
    let _daemon = Daemon::start().unwrap();
    let _sources = drain();

    let text = output(&["diff", "--seconds", "1"]);

    let lines: Vec<&str> = text.lines().collect();
    assert!(
        lines[0].starts_with("1.") && lines[0].ends_with("by any source for 100.0 %"),
        "{text}"
    );
    assert!(lines.iter().all(|line| line.len() <= 80), "{text}");
    let cells: Vec<&str> = lines[4].split_whitespace().collect();
    assert_eq!((cells[0], cells[1], cells[3]), (CULPRIT, "active", "100.00"), "{text}");
    assert!((1_000..2_000).contains(&cells[2].parse().unwrap()), "{text}");
    assert!(!text.contains("innocent"), "{text}");
}

/// One that waits for long, and has seen the first moment.
fn waiting() -> Child {
    let sequence = || daemon::service().unwrap().getStatus().unwrap().sequence;
    let first = sequence();
    let mut command = command(&["diff", "--seconds", "1000", "--json"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until("the first moment", || sequence() > first, String::new);
    // It takes the reply in, and then waits.
    sleep(Duration::from_millis(300));
    child
}

fn interrupt(child: &Child) {
    kill_process(Pid::from_child(child), Signal::INT).unwrap();
}

#[test]
fn interrupt_ends_it_early_and_it_is_shown() {
    let _daemon = Daemon::start().unwrap();
    let _sources = drain();

    let child = waiting();
    interrupt(&child);

    let said = said(child);
    assert_eq!(said.status, Some(0), "{said:?}");
    let document: Value = serde_json::from_str(&said.out).unwrap();
    assert!(document["awake_ns"].as_i64() > Some(200_000_000), "{document}");
    assert_eq!(document["sources"][0]["name"], CULPRIT);
    assert_eq!(document["sources"][0]["held_ns"], document["awake_ns"]);
}

#[test]
fn second_interrupt_ends_it_where_the_service_hangs() {
    let daemon = Daemon::start().unwrap();

    let mut child = waiting();
    let _stopped = daemon.stop().unwrap();
    interrupt(&child);
    sleep(Duration::from_millis(300));
    assert_eq!(child.try_wait().unwrap(), None, "it waits for an answer");
    interrupt(&child);

    assert_eq!(said(child).status, Some(1));
}

#[test]
fn files_are_compared_through_a_restart_of_the_service() {
    let daemon = Daemon::start().unwrap();
    let sources = drain();
    let passing = sources::eventfds(1).unwrap();
    let before = list("before");
    drop(daemon);
    sources.relax(1).unwrap();
    drop(passing);
    let mut late = sources::Sources::new().unwrap();
    late.add_timerfd().unwrap();
    let _daemon = Daemon::start().unwrap();
    let after = list("after");

    let text = output(&["diff", &before, &after]);
    let json: Value = serde_json::from_str(&output(&["diff", "--json", &before, &after])).unwrap();
    let csv = output(&["diff", "--csv", &before, &after]);
    let swapped = run(&["diff", &after, &before]);
    let same = output(&["diff", &after, &after]);

    assert!(text.contains("\nThe service was started anew meanwhile"), "{text}");
    assert_eq!(json["restarted"], true);
    let culprit = source(&json, CULPRIT);
    assert_eq!(culprit["presence"], "both", "{json}");
    assert!(culprit["held_ns"].as_i64() > Some(0) && culprit["active_count"] == 0, "{json}");
    assert_eq!(source(&json, "innocent")["held_ns"], 0);
    assert_eq!(source(&json, "[timerfd]")["presence"], "new");
    assert_eq!(source(&json, "[eventfd]")["presence"], "gone");
    let negative = |it: &Value| it.as_i64().is_some_and(|it| it < 0);
    let rows = json["sources"].as_array().unwrap();
    assert!(!rows.iter().any(|row| row.as_object().unwrap().values().any(negative)), "{json}");
    assert_eq!(csv.lines().count(), rows.len() + 1);
    assert!(swapped.status == Some(1) && swapped.err.contains("give the older one first"));
    assert!(same.contains("None of ") && !same.contains("NAME"), "{same}");
}

#[test]
fn what_is_no_list_is_named_with_what_to_do() {
    let _daemon = Daemon::start().unwrap();
    let list = list("whole");
    let part = format!("/tmp/part-{}.json", std::process::id());
    fs::write(&part, output(&["list", "--json", "--top", "1"])).unwrap();

    let of_part = run(&["diff", &part, &list]);
    let of_none = run(&["diff", &list, "/nowhere.json"]);
    let of_other = run(&["diff", &list, "/proc/version"]);

    for (said, why) in [
        (of_part, "write it by `wakeupstats list --json` with no other option"),
        (of_none, "/nowhere.json can't be read"),
        (of_other, "/proc/version can't be compared: it is not what"),
    ] {
        assert_eq!((said.status, said.out.as_str()), (Some(1), ""), "{said:?}");
        assert!(said.err.contains(why) && said.err.lines().count() == 1, "{said:?}");
    }
}
