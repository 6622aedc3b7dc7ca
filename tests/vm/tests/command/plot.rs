// SPDX-License-Identifier: Apache-2.0
//! `wakeupstats plot` and `export`: what a recording shows, without the service.

use std::fs;

use crate::record::recording;
use crate::running::{CULPRIT, run};

/// What is on a picture, in its order.
fn texts(svg: &str) -> Vec<&str> {
    let elements = svg.split("<text ").skip(1);
    let contents = elements.filter_map(|element| element.split_once('>'));
    contents.filter_map(|(_, rest)| rest.trim_start().split(['<', '\n']).next()).collect()
}

#[test]
fn the_culprit_is_on_top_of_the_picture() {
    let path = recording("plot");
    let (svg, html) = (format!("{path}.svg"), format!("{path}.html"));

    for out in [&svg, &html] {
        let said = run(&["plot", &path, "--out", out]);
        assert_eq!((said.status, said.err.as_str(), said.out.as_str()), (Some(0), "", ""));
    }

    let picture = fs::read_to_string(svg).unwrap();
    let texts = texts(&picture);
    let any = texts.iter().position(|it| *it == "any source, at least").unwrap();
    assert_eq!(texts[any + 3], CULPRIT, "{texts:?}");
    assert_eq!(texts[any + 5], "100.0 %", "{texts:?}");
    assert!(texts.contains(&"innocent") && !texts.contains(&"bystander"), "{texts:?}");
    assert!(picture.contains("nobody looked") && picture.contains("the service restarted"));
    let page = fs::read_to_string(html).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("<table>"));
}

#[test]
fn a_trace_is_made_of_it() {
    let path = recording("export");
    let out = format!("{path}.pftrace");

    let said = run(&["export", "--perfetto", &path, "--out", &out]);

    assert_eq!((said.status, said.err.as_str(), said.out.as_str()), (Some(0), "", ""));
    // What is in it is looked at with Perfetto itself, by `cargo xtask test` on the host.
    assert!(fs::read(out).unwrap().windows(CULPRIT.len()).any(|it| it == CULPRIT.as_bytes()));
}

#[test]
fn what_is_no_recording_is_named_with_its_line() {
    for args in [
        &["plot", "/proc/version", "--out", "/tmp/none.svg"][..],
        &["export", "--perfetto", "/proc/version", "--out", "/tmp/none"],
    ] {
        let said = run(args);
        assert_eq!(said.status, Some(1), "{said:?}");
        assert!(said.err.contains("/proc/version, line 1, is no line of a recording"), "{said:?}");
    }
    let said = run(&["plot", "/proc/version", "--out", "/tmp/none.png"]);
    assert!(said.err.contains("/tmp/none.png ends in neither .svg nor .html"), "{said:?}");
}
