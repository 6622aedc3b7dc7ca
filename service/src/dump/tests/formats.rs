// SPDX-License-Identifier: Apache-2.0
//! Every format, as a golden and read back.

use std::collections::BTreeSet;

use expect_test::expect_file;
use percent_encoding::percent_decode_str;

use super::*;
use crate::report::{HEADER, SOURCE};

/// The source that a reader of these fields, in the order of the machine formats, sees.
fn read_back(fields: &[String]) -> Row {
    let number = |index: usize| fields[index].parse().unwrap();
    let count = |index: usize| fields[index].parse().unwrap();
    let truth = |index: usize| fields[index].parse().unwrap();
    assert_eq!(fields.len(), 18);
    let source = Source {
        id: fields[1].parse().unwrap(),
        name: fields[2].clone(),
        name_truncated: truth(3),
        device: fields[4].clone(),
        active: truth(5),
        consistent: truth(6),
        active_count: count(7),
        event_count: count(8),
        wakeup_count: count(9),
        expire_count: count(10),
        relax_count: count(11),
        active_time_ns: number(12),
        total_time_ns: number(13),
        max_time_ns: number(14),
        last_change_ns: number(15),
        prevent_suspend_time_ns: number(16),
    };
    Row { handle: number(0), changed: number(17), source }
}

fn read_json(json: &Json) -> Vec<Row> {
    let text = |value: &Json| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let rows = json["sources"].as_array().unwrap().iter();
    rows.map(|row| {
        assert_eq!(row.as_object().unwrap().len(), SOURCE.len());
        read_back(&SOURCE.each_ref().map(|field| text(&row[field.name])))
    })
    .collect()
}

fn read_csv(text: &str) -> Vec<Row> {
    let mut reader = ::csv::Reader::from_reader(text.as_bytes());
    let names: Vec<_> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    assert_eq!(names, SOURCE.each_ref().map(|field| field.name));
    let rows = reader.records().map(|record| {
        let record = record.unwrap();
        let fields = record.iter().map(|field| field.strip_prefix('\'').unwrap_or(field).into());
        read_back(&fields.collect::<Vec<_>>())
    });
    rows.collect()
}

/// The lines of a checkin dump, by kind, each with its fields.
fn read_checkin(text: &str, kind: &str) -> Vec<Vec<String>> {
    assert!(text.bytes().all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte)), "{text:?}");
    let lines = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let lines = lines.filter(|fields| fields[..2] == ["1", kind]);
    let decode = |field: &&str| percent_decode_str(field).decode_utf8().unwrap().into_owned();
    lines.map(|fields| fields[2..].iter().map(decode).collect()).collect()
}

#[test]
fn table_golden() {
    let text = dump(&tracker(sources()), &[]);
    expect_file!["../../../tests/golden/dump.txt"].assert_eq(&text);
}

#[test]
fn everything_golden() {
    let text = dump(&tracker(sources()), &["-a"]);
    expect_file!["../../../tests/golden/dump_all.txt"].assert_eq(&text);
}

#[test]
fn json_golden_validates_and_reads_back() {
    let tracker = tracker(sources());

    let text = dump(&tracker, &["--sort", "kernel", "--json"]);

    let json = serde_json::from_str(&text).unwrap();
    validate(&json);
    assert_eq!(read_json(&json), tracker.rows());
    assert_eq!(json["instance"].as_i64(), Some(INSTANCE));
    expect_file!["../../../tests/golden/dump.json"].assert_eq(&text);
}

#[test]
fn csv_golden_reads_back() {
    let tracker = tracker(sources());

    let text = dump(&tracker, &["--sort", "kernel", "--csv"]);

    assert_eq!(read_csv(&text), tracker.rows());
    expect_file!["../../../tests/golden/dump.csv"].assert_eq(&text);
}

#[test]
fn checkin_golden_reads_back() {
    let tracker = tracker(sources());

    let text = dump(&tracker, &["--sort", "kernel", "--checkin", "--all"]);

    let rows: Vec<_> = read_checkin(&text, "s").iter().map(|fields| read_back(fields)).collect();
    assert_eq!(rows, tracker.rows());
    assert_eq!(read_checkin(&text, "h")[0].len(), HEADER.len());
    assert_eq!(read_checkin(&text, "p"), [["pinned", "no map in /sys/fs/bpf,\n\"at all\""]]);
    let status = ["600003447000", "load", "131072", "\u{1b}[2J", "510000000000", "500000000000"];
    assert_eq!(read_checkin(&text, "b"), [status]);
    expect_file!["../../../tests/golden/dump.checkin"].assert_eq(&text);
}

#[test]
fn hostile_names_come_through_every_machine_format() {
    let sources = HOSTILE
        .iter()
        .zip(1..)
        .map(|(name, id)| Source { device: (*name).into(), ..source(id, name) });
    let tracker = tracker(sources.collect());
    let kernel_order = |format| dump(&tracker, &["--sort", "kernel", format]);

    let json = serde_json::from_str(&kernel_order("--json")).unwrap();
    validate(&json);
    assert_eq!(read_json(&json), tracker.rows());
    assert_eq!(read_csv(&kernel_order("--csv")), tracker.rows());
    let checkin = read_checkin(&kernel_order("--checkin"), "s");
    let rows: Vec<_> = checkin.iter().map(|fields| read_back(fields)).collect();
    assert_eq!(rows, tracker.rows());
}

#[test]
fn hostile_names_stay_in_their_columns_and_no_cell_of_csv_is_a_formula() {
    let sources = HOSTILE
        .iter()
        .zip(1..)
        .map(|(name, id)| Source { device: (*name).into(), ..source(id, name) });
    let tracker = tracker(sources.collect());

    let text = dump(&tracker, &["--all"]);
    let csv = dump(&tracker, &["--csv"]);

    expect_file!["../../../tests/golden/dump_hostile.txt"].assert_eq(&text);
    let mut reader = ::csv::Reader::from_reader(csv.as_bytes());
    let cells = reader
        .records()
        .flat_map(|record| record.unwrap().iter().map(str::to_owned).collect::<Vec<_>>());
    assert!(cells.into_iter().all(|cell| !cell.starts_with(['=', '+', '-', '@', '\t', '\r'])));
}

#[test]
fn what_is_not_seen_is_written_out_in_table_and_json() {
    // Each of another kind: C0, DEL, C1, formats that have a width and that have none, what breaks a
    // line, and what takes two units of UTF-16.
    const UNSEEN: &str =
        "\u{1b}\u{7f}\u{9b}\u{ad}\u{600}\u{202e}\u{2028}\u{2029}\u{fff9}\u{13430}\u{e0041}";
    const SEEN: &str = "a\"b'c\\日本";
    let names: Vec<String> = UNSEEN.chars().map(String::from).chain([SEEN.to_owned()]).collect();
    let sources = (1..).zip(&names).map(|(id, name)| source(id, name));
    let tracker = tracker(sources.collect());

    let table = dump(&tracker, &[]);
    let json = dump(&tracker, &["--sort", "kernel", "--json"]);

    for text in [&table, &json] {
        assert!(!text.chars().any(|char| UNSEEN.contains(char)), "{text}");
    }
    for char in UNSEEN.chars() {
        let escaped = format!("\n{} ", char.escape_unicode());
        assert!(table.contains(&escaped), "{escaped} {table}");
    }
    assert!(table.contains(&format!("\n{SEEN} ")), "{table}");
    assert!(json.contains(r#""\u2028""#) && json.contains(r#""\udb40\udc41""#), "{json}");
    assert!(json.contains(r#""a\"b'c\\日本""#), "{json}");
    let rows = read_json(&serde_json::from_str(&json).unwrap());
    assert_eq!(rows.into_iter().map(|row| row.source.name).collect::<Vec<_>>(), names);
}

#[test]
fn schema_knows_every_field() {
    let schema: Json = serde_json::from_str(include_str!("../../../dump.schema.json")).unwrap();
    let required = |name: &str| -> Vec<String> {
        serde_json::from_value(schema["$defs"][name]["required"].clone()).unwrap()
    };

    assert_eq!(required("source"), SOURCE.each_ref().map(|field| field.name));
    let mut fields = vec!["version"];
    fields.extend(HEADER.each_ref().map(|field| field.name));
    fields.extend(["sources", "gone"]);
    assert_eq!(required("snapshot"), fields);
    let status = serde_json::to_value(a_status()).unwrap();
    let keys: BTreeSet<_> = status.as_object().unwrap().keys().cloned().collect();
    assert_eq!(required("status").into_iter().collect::<BTreeSet<_>>(), keys);
}

#[test]
fn schema_refuses_what_lacks_a_field() {
    let schema: Json = serde_json::from_str(include_str!("../../../dump.schema.json")).unwrap();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let whole = json(&tracker(sources()), &["--all"]);
    for key in SOURCE.each_ref().map(|field| field.name) {
        let mut json = whole.clone();
        json["sources"][1].as_object_mut().unwrap().remove(key);
        json.as_object_mut().unwrap().remove("status");
        assert!(!validator.is_valid(&json), "{key}");
    }
}

#[test]
fn status_as_text_and_json() {
    let request = Request::parse(&args(&["--backend"])).unwrap();
    assert!(matches!(request, Request::Status { json: false }));
    let request = Request::parse(&args(&["--json", "-a", "--backend"])).unwrap();
    assert!(matches!(request, Request::Status { json: true }));

    let text = |json| String::from_utf8(status(&a_status(), json).unwrap()).unwrap();
    expect_file!["../../../tests/golden/backend.txt"].assert_eq(&text(false));
    expect_file!["../../../tests/golden/backend.json"].assert_eq(&text(true));
    validate(&serde_json::from_str(&text(true)).unwrap());
    let quiet = Status { passed_over: Vec::new(), last_error: None, ..a_status() };
    validate(&serde_json::from_slice(&status(&quiet, true).unwrap()).unwrap());
    assert!(quiet.to_string().ends_with("last error:    -\n"));
}

#[test]
fn everything_in_json_has_the_status() {
    let json = json(&tracker(sources()), &["--all"]);

    validate(&json);
    assert_eq!(json["status"]["room_bytes"], 131_072);
}

#[test]
fn no_sources_at_all() {
    let tracker = tracker(Vec::new());

    assert_eq!(dump(&tracker, &[]).lines().count(), 2);
    validate(&json(&tracker, &[]));
    assert_eq!(read_csv(&dump(&tracker, &["--csv"])), []);
    assert_eq!(dump(&tracker, &["--checkin"]).lines().count(), 1);
}
