// SPDX-License-Identifier: Apache-2.0
//! `wakeupstats list`: the dump's formats and filters.

use std::collections::BTreeSet;
use std::io::Read;
use std::process::Stdio;

use serde_json::Value;
use wakeupstats_vm::daemon::{self, Daemon, SHELL};
use wakeupstats_vm::sources;

use crate::running::{CULPRIT, command, drain, output, run, run_as, said};

/// The options that a help text has.
fn options(help: &str) -> BTreeSet<&str> {
    let words = help.split(|char: char| !(char.is_ascii_lowercase() || char == '-'));
    words.filter(|word| word.starts_with("--") && word.len() > 2).collect()
}

#[test]
fn each_format_is_that_of_the_dump() {
    let _daemon = Daemon::start().unwrap();
    let _sources = drain();

    let table = output(&["list"]);
    let json: Value = serde_json::from_str(&output(&["list", "--json", "--name", "*"])).unwrap();
    let csv = output(&["list", "--csv", "--sort", "name", "--merge", "--top", "2"]);
    let lines = output(&["list", "--checkin", "--active"]);
    let all = output(&["list", "-a"]);

    let first = table.lines().nth(4).unwrap();
    assert!(table.starts_with("wakeupstats: backend ") && first.starts_with(CULPRIT), "{table}");
    assert_eq!(json["sources"].as_array().unwrap().len(), json["total"], "{json}");
    assert!(csv.starts_with("handle,id,name,") && csv.lines().count() == 3, "{csv}");
    assert!(lines.starts_with("1,h,") && lines.lines().count() == 2, "{lines}");
    assert!(all.starts_with("backend: ") && all.contains("HANDLE"), "{all}");
    let since = json["sequence"].to_string();
    let changed: Value =
        serde_json::from_str(&output(&["list", "--json", "--since", &since])).unwrap();
    assert_eq!(changed["incremental"], true, "{changed}");
}

#[test]
fn options_are_those_of_the_dump() {
    let _daemon = Daemon::start().unwrap();
    let dump = String::from_utf8(daemon::dump(&["--help"]).unwrap().stdout).unwrap();
    let help = output(&["list", "--help"]);

    let mut of_dump = options(&dump);
    let mut of_list = options(&help);

    assert!(of_dump.remove("--backend"), "that is the subcommand status");
    assert!(of_list.remove("--wait"), "that is the command's own");
    assert_eq!(of_list, of_dump);
    for field in dump.split("FIELD is one of").nth(1).unwrap().split('.').next().unwrap().split(',')
    {
        let field = field.split_whitespace().next().unwrap();
        output(&["list", "--sort", field]);
    }
}

#[test]
fn refusal_is_an_error_with_the_reason() {
    let _daemon = Daemon::start().unwrap();

    let refused = run_as(SHELL, &["list", "--json"]);
    let wrong = run(&["list", "--name", &"x".repeat(1_000)]);

    assert_eq!((refused.status, refused.out.as_str()), (Some(1), ""), "{refused:?}");
    assert!(refused.err.starts_with("wakeupstats: uid 2000 may not do this"), "{refused:?}");
    assert_eq!((wrong.status, wrong.out.as_str()), (Some(1), ""), "{wrong:?}");
    assert!(wrong.err.starts_with("wakeupstats: ") && wrong.err.contains("765"), "{wrong:?}");
}

#[test]
fn reader_that_goes_away_is_no_error() {
    let _daemon = Daemon::start().unwrap();
    let _sources = sources::eventfds(2_000).unwrap();

    let mut child =
        command(&["list"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut begin = [0; 12];
    child.stdout.take().unwrap().read_exact(&mut begin).unwrap();

    let said = said(child);
    assert_eq!(&begin, b"wakeupstats:");
    assert_eq!((said.status, said.err.as_str()), (Some(0), ""), "{said:?}");
}
