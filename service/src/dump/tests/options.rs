// SPDX-License-Identifier: Apache-2.0
//! Every option, alone and combined, and what is refused.

use clap::CommandFactory;
use expect_test::{expect, expect_file};

use super::*;

#[test]
fn options_are_declared_soundly() {
    Options::command().debug_assert();
}

#[test]
fn active_first_then_by_total_time_unless_told() {
    assert_eq!(ids(&[]), [9, 8, 3, 7]);
    assert_eq!(ids(&["--top", "2"]), [9, 8]);
    assert_eq!(ids(&["--sort", "kernel"]), [9, 8, 7, 3]);
    assert_eq!(ids(&["--sort", "name"]), [9, 8, 7, 3]);
    assert_eq!(ids(&["--sort", "active-time"]), [9, 8, 7, 3]);
    assert_eq!(ids(&["--sort", "total-time"]), [8, 3, 9, 7]);
    assert_eq!(ids(&["--sort", "total-time", "--top", "1"]), [8]);
    assert_eq!(ids(&["--sort", "prevent-suspend-time", "--top=1"]), [3]);
    assert_eq!(ids(&["--sort=event-count", "--top=1"]), [3]);
    assert_eq!(ids(&["--sort", "active-count"]), [9, 8, 3, 7]);
    for (name, _) in ORDERS {
        assert_eq!(ids(&["--sort", name]).len(), 4, "{name}");
    }
}

#[test]
fn filters_alone_and_combined() {
    assert_eq!(ids(&["--active"]), [9]);
    assert_eq!(ids(&["--name", "alarmtimer"]), [7]);
    assert_eq!(ids(&["--name", "*timer*"]), [9, 8, 7]);
    assert_eq!(ids(&["--name", "alarm*", "--name=event????"]), [3, 7]);
    assert!(ids(&["--name", ""]).is_empty());
    assert_eq!(ids(&["--merge"]), [8, 3, 7]);
    assert_eq!(ids(&["--merge", "--top", "1"]), [8]);
    assert!(ids(&["--active", "--name", "alarm*"]).is_empty());
    let all = ["-a", "--active", "--name", "*", "--merge", "--sort", "name", "--top", "3"];
    assert_eq!(ids(&all), [9]);
}

#[test]
fn merged_rows_are_sums_without_a_handle() {
    let json = json(&tracker(sources()), &["--merge", "--name", "?timerfd]"]);

    validate(&json);
    assert_eq!(json["sources"][0]["handle"], 0);
    assert_eq!(json["sources"][0]["total_time_ns"], 63 * SECOND + 1);
}

#[test]
fn since_shows_what_changed_and_what_is_gone() {
    let mut tracker = tracker(sources());
    let mut changed = sources();
    changed.remove(2);
    changed[0].event_count += 1;
    add(&mut tracker, changed);

    let json = json(&tracker, &["--since", "1"]);

    validate(&json);
    assert_eq!(json["incremental"], true);
    assert_eq!(json["sources"].as_array().unwrap().len(), 1);
    assert_eq!(json["gone"].as_array().unwrap().len(), 1);
    let checkin = dump(&tracker, &["--since", "1", "--checkin"]);
    assert_eq!(checkin.lines().last(), Some(format!("1,g,{}", json["gone"][0]).as_str()));
    let text = dump(&tracker, &["--since", "1"]);
    expect_file!["../../../tests/golden/dump_since.txt"].assert_eq(&text);
}

#[test]
fn unknown_sequence_shows_all_and_says_so() {
    for since in ["0", "2", "9223372036854775807"] {
        let text = dump(&tracker(sources()), &["--since", since]);
        let line = format!("Sequence {since} is not known (any more): all is shown.");
        assert_eq!(text.lines().nth(2), Some(line.as_str()));
        assert!(text.contains("\nTOTAL of 4 "));

        let json = json(&tracker(sources()), &["--since", since]);
        validate(&json);
        assert_eq!(json["incremental"], false);
    }
}

#[test]
fn help_golden() {
    for help in [&["-h"][..], &["--help"], &["--top", "3", "--json", "-h"]] {
        let Request::Help(text) = Request::parse(&args(help)).unwrap() else { panic!("{help:?}") };
        assert!(text.lines().all(|line| line.len() <= 100), "{text}");
        assert!(ORDERS.iter().all(|(name, _)| text.contains(name)));
        expect_file!["../../../tests/golden/help.txt"].assert_eq(&text);
    }
}

#[test]
fn refusal_names_the_option_and_the_usage_and_nothing_else() {
    expect![[r#"
        unexpected argument '--nonsense' found

        Usage: dumpsys wakeupstats [OPTIONS]
        Try --help."#]]
    .assert_eq(&refusal(&["--nonsense"]));
    expect![[r#"
        invalid value 'size' for '--sort <FIELD>'
          [possible values: kernel, name, active-time, total-time, max-time, last-change, prevent-suspend-time, active-count, event-count, wakeup-count, expire-count]

        Usage: dumpsys wakeupstats [OPTIONS]
        Try --help."#]].assert_eq(&refusal(&["--sort", "size"]));
    expect![[r#"
        the argument '--since <SEQ>' cannot be used with '--merge'

        Usage: dumpsys wakeupstats [OPTIONS]
        Try --help."#]]
    .assert_eq(&refusal(&["--since", "1", "--merge"]));
}

#[test]
fn malformed_arguments_are_refused_by_name() {
    let cases: [(&[&str], &str); 26] = [
        (&["x"], "'x'"),
        (&[""], "''"),
        (&["-x"], "'-x'"),
        (&["--activ"], "'--activ'"),
        (&["--active=1"], "'--active'"),
        (&["--active", "--active"], "'--active'"),
        (&["--json", "--bogus", "--help"], "'--bogus'"),
        (&["--name"], "'--name <GLOB>'"),
        (&["--name", "--json"], "'--name <GLOB>'"),
        (&["--sort"], "'--sort <FIELD>'"),
        (&["--sort", "Name"], "'Name' for '--sort <FIELD>'"),
        (&["--top"], "'--top <N>'"),
        (&["--top", "0"], "'0' for '--top <N>'"),
        (&["--top", "-1"], "'-1' for '--top <N>'"),
        (&["--top", "1e3"], "'1e3' for '--top <N>'"),
        (&["--top", "4294967296"], "'4294967296' for '--top <N>'"),
        (&["--since", ""], "'--since <SEQ>'"),
        (&["--since", "-1"], "'-1' for '--since <SEQ>'"),
        (&["--since", "9223372036854775808"], "'9223372036854775808' for '--since <SEQ>'"),
        (&["--since", "1", "--top", "1"], "'--since <SEQ>' cannot be used with '--top <N>'"),
        (&["--since", "1", "--csv"], "'--since <SEQ>' cannot be used with '--csv'"),
        (&["--json", "--csv"], "'--json' cannot be used with '--csv'"),
        (&["--csv", "--checkin"], "'--csv' cannot be used with '--checkin'"),
        (&["--backend", "--checkin"], "'--backend' cannot be used with '--checkin'"),
        (&["--backend", "--active"], "'--backend' cannot be used with '--active'"),
        (&["--help=no"], "'--help'"),
    ];
    for (arguments, named) in cases {
        let refusal = refusal(arguments);
        assert!(refusal.contains(named), "{arguments:?}: {refusal}");
        assert!(refusal.ends_with("\n\nUsage: dumpsys wakeupstats [OPTIONS]\nTry --help."));
        assert!(refusal.lines().count() <= 6, "{refusal}");
    }
}

#[test]
fn refusal_escapes_what_it_quotes() {
    for hostile in HOSTILE {
        for arguments in [&["--top", hostile, "x"][..], &["--sort", hostile], &[hostile]] {
            let refusal = refusal(arguments);
            assert!(refusal.chars().all(|char| char == '\n' || !char.is_control()), "{refusal:?}");
            assert!(refusal.lines().count() <= 6, "{refusal}");
            assert!(!refusal.contains('\u{202e}'));
        }
    }
}

#[test]
fn globs_may_hold_any_characters() {
    let names = ["line\nbreak*", "\u{1b}*", "a,\"?\",c"];
    for name in names {
        let sources = HOSTILE.iter().zip(1..).map(|(name, id)| source(id, name)).collect();
        let json = json(&tracker(sources), &["--name", name]);
        assert_eq!(json["sources"].as_array().unwrap().len(), 1, "{name:?}");
    }
}

#[test]
fn globs_that_the_query_refuses_are_refused() {
    let long = "x".repeat(query::MAX_PATTERN_LEN + 1);
    let error = options(&["--name", &long]).query(INSTANCE).unwrap_err();
    assert_eq!(error, query::Error::LongPattern(long.len()));
}

#[test]
fn nothing_is_shown_before_anything_was_read() {
    assert_eq!(dump(&Tracker::new(INSTANCE), &["--json"]), "");
}
