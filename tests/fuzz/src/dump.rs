// SPDX-License-Identifier: Apache-2.0
//! A caller's arguments, and sources whose names anybody chose, as every format shows them.

use arbitrary::{Arbitrary, Result, Unstructured};
use percent_encoding::percent_decode_str;
use serde_json::Value as Json;
use unicode_width::UnicodeWidthChar as _;
use wakeupstats::dump::{self, Options, Request};
use wakeupstats::model::{Backend, Snapshot};
use wakeupstats::query::Answer;
use wakeupstats::report::{HEADER, SOURCE};
use wakeupstats::status::{PassedOver, PastError, Status};
use wakeupstats::tracker::Tracker;

use crate::sources;

const INSTANCE: i64 = i64::MAX;

/// The widest line of a table.
const COLUMNS: usize = 100;

/// The longest that the kernel's release is: `struct new_utsname`.
const RELEASE: usize = 64;

/// What arguments are made of, besides anything.
const OPTIONS: [&str; 23] = [
    "--active",
    "--name",
    "--sort",
    "--top",
    "--merge",
    "--since",
    "--backend",
    "--all",
    "-a",
    "-h",
    "kernel",
    "name",
    "active-time",
    "total-time",
    "prevent-suspend-time",
    "expire-count",
    "0",
    "1",
    "2",
    "-1",
    "*",
    "?*",
    "--",
];

/// What a spreadsheet takes for the beginning of a formula.
const FORMULAS: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// A table, if not told otherwise.
const FORMATS: [Option<&str>; 4] = [None, Some("--json"), Some("--csv"), Some("--checkin")];

/// Dumps some sources as the arguments ask for.
pub fn run(data: &[u8]) {
    let _ = dumps(&mut Unstructured::new(data));
}

fn dumps(u: &mut Unstructured<'_>) -> Result<()> {
    // In front, as what follows `--` is no option.
    let format = u.choose(&FORMATS)?.map(str::to_owned);
    let args: Vec<String> = format.into_iter().chain(arguments(u)?).collect();
    let status = status(u)?;
    let mut tracker = Tracker::new(INSTANCE);
    for now_ns in 1..=u.int_in_range(1..=2)? {
        let mut sources = Vec::new();
        for _ in 0..u.int_in_range(0..=4)? {
            let mut source = sources::source(u)?;
            if let Some(begin) = FORMULAS.get(source.id as usize) {
                source.name.insert(0, *begin);
            }
            sources.push(source);
        }
        sources::each_id_once(&mut sources);
        let walk = sources::walk(u, now_ns, &sources)?;
        tracker.update(&Snapshot { walk, sources, changes: None });
    }
    match Request::parse(&args) {
        Err(error) => assert_harmless(&error.to_string()),
        Ok(Request::Help(text)) => assert_harmless(&text),
        Ok(Request::Status { json }) => {
            let text = dump::status(&status, json).unwrap();
            let text = str::from_utf8(&text).unwrap();
            if json { drop(document(text)) } else { assert_harmless(text) }
        }
        Ok(Request::Sources(options)) => {
            if let Ok(query) = options.query(INSTANCE) {
                assert_shows(&options, &query.answer(&tracker), &status, &args);
            }
        }
    }
    Ok(())
}

fn arguments(u: &mut Unstructured<'_>) -> Result<Vec<String>> {
    let mut args = Vec::new();
    for _ in 0..u.int_in_range(0..=4)? {
        let arg = match u8::arbitrary(u)? {
            known @ ..=199 => OPTIONS[usize::from(known) % OPTIONS.len()].to_owned(),
            200..=219 => format!("--name={}", sources::text(u, 64)?),
            _ => sources::text(u, 255)?,
        };
        args.push(arg);
    }
    Ok(args)
}

fn status(u: &mut Unstructured<'_>) -> Result<Status> {
    let mut kernel = sources::text(u, RELEASE)?;
    kernel.retain(|char| char.is_ascii_graphic());
    let last_error = PastError { message: sources::text(u, 255)?, monotonic_ns: u.arbitrary()? };
    let passed_over = PassedOver { backend: Backend::Pinned, reason: sources::text(u, 255)? };
    Ok(Status {
        now_ns: u.arbitrary()?,
        backend: Backend::Load,
        backend_since_ns: u.arbitrary()?,
        passed_over: vec![passed_over],
        kernel,
        instance: INSTANCE,
        sequence: u.arbitrary()?,
        walks: u.arbitrary()?,
        last_snapshot_ns: u.arbitrary()?,
        sources: u.arbitrary()?,
        room_bytes: u.arbitrary()?,
        last_error: if u.arbitrary()? { Some(last_error) } else { None },
    })
}

/// No control characters, but newlines.
fn assert_harmless(text: &str) {
    for line in text.split('\n') {
        assert!(!line.chars().any(|char| char.width().is_none_or(|width| width == 0)), "{line:?}");
    }
}

/// Whether a dump can be read back, and nothing in it is what it should not be.
fn assert_shows(options: &Options, answer: &Answer<'_>, status: &Status, args: &[String]) {
    let bytes = options.render(answer, status).unwrap();
    let text = str::from_utf8(&bytes).unwrap();
    assert!(text.ends_with('\n'));
    match args.first().map(String::as_str) {
        Some("--json") => assert_json(text, answer),
        Some("--csv") => assert_csv(text, answer),
        Some("--checkin") => assert_checkin(text, answer, status),
        _ => assert_table(text),
    }
}

/// What a person sees.
fn assert_table(text: &str) {
    assert_harmless(text);
    // These two quote errors in full.
    let is_error = |line: &str| line.starts_with("passed over:") || line.starts_with("last error:");
    for line in text.lines().filter(|line| !is_error(line)) {
        let width: usize = line.chars().filter_map(|char| char.width()).sum();
        assert!(width <= COLUMNS, "{width} columns: {line}");
    }
}

/// One document on one line.
fn document(text: &str) -> Json {
    assert_eq!(text.find('\n'), Some(text.len() - 1));
    serde_json::from_str(text).unwrap()
}

fn assert_json(text: &str, answer: &Answer<'_>) {
    let document = document(text);
    let rows = document["sources"].as_array().unwrap();
    assert!(rows.len() <= answer.rows.len());
    assert_eq!(document["gone"].as_array().unwrap().len(), answer.gone.len());
    for json in rows {
        assert_eq!(json.as_object().unwrap().len(), SOURCE.len());
        let name = |name: &str| json[name].as_str().unwrap().to_owned();
        assert_is_one(answer, &json["id"].to_string(), [&name("name"), &name("device")]);
    }
}

fn assert_csv(text: &str, answer: &Answer<'_>) {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let mut names = reader.headers().unwrap().iter();
    assert!(SOURCE.iter().all(|field| names.next() == Some(field.name)));
    for record in reader.records() {
        let record = record.unwrap();
        assert_eq!(record.len(), SOURCE.len());
        // A spreadsheet takes none of them for a formula.
        let is_formula = |field: &str| field.starts_with(FORMULAS);
        assert!(!is_formula(&record[2]) && !is_formula(&record[4]), "{record:?}");
        let text = |field: &str| field.strip_prefix('\'').unwrap_or(field).to_owned();
        assert_is_one(answer, &record[1], [&text(&record[2]), &text(&record[4])]);
    }
}

fn assert_checkin(text: &str, answer: &Answer<'_>, status: &Status) {
    assert!(text.bytes().all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte)), "{text:?}");
    for (number, line) in text.lines().enumerate() {
        let fields: Vec<&str> = line.split(',').collect();
        let decoded = |index: usize| percent_decode_str(fields[index]).decode_utf8().unwrap();
        assert_eq!(fields[0], "1");
        assert_eq!(fields[1] == "h", number == 0);
        match fields[1] {
            "h" => {
                assert_eq!((fields.len(), decoded(6)), (2 + HEADER.len(), (&status.kernel).into()));
            }
            "s" => {
                assert_eq!(fields.len(), 2 + SOURCE.len());
                assert_is_one(answer, fields[3], [&decoded(4), &decoded(6)]);
            }
            "g" => assert_eq!(fields.len(), 3),
            "p" => {
                assert_eq!((fields.len(), decoded(3)), (4, (&status.passed_over[0].reason).into()));
            }
            "b" => assert_eq!(fields.len(), 8),
            other => unreachable!("kind {other}"),
        }
    }
}

/// Whether one of the sources that are shown has this id and these names, which came through whole.
fn assert_is_one(answer: &Answer<'_>, id: &str, names: [&str; 2]) {
    let mut rows = answer.rows.iter().map(|row| &row.source);
    let is_one =
        rows.any(|source| source.id.to_string() == id && [&*source.name, &*source.device] == names);
    assert!(is_one, "{id} {names:?}");
}
