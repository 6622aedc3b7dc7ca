// SPDX-License-Identifier: Apache-2.0
mod formats;
mod options;

use serde_json::Value as Json;

use super::*;
use crate::model::{Backend, Snapshot, Source, Walk};
use crate::status::{PassedOver, PastError};
use crate::tracker::Tracker;

const INSTANCE: i64 = 6_148_914_691_236_517_205;
const SECOND: i64 = 1_000_000_000;

/// Names that would break a line, a terminal, a spreadsheet or a parser.
const HOSTILE: [&str; 14] = [
    "",
    ",",
    "a,\"b\",c",
    "line\nbreak\r\n1,s,0",
    "\u{1b}[2J\u{9b}2J",
    "right\u{202e}to left",
    "=cmd()",
    "+1",
    "-1",
    "@sum",
    "\ttab",
    "'quoted'",
    "100%25 日本語 \u{fffd}\0",
    // 255 bytes.
    concat!(
        "123456789012345678901234567890123456789012345678901234567890123456789012345678901234",
        "123456789012345678901234567890123456789012345678901234567890123456789012345678901234",
        "123456789012345678901234567890123456789012345678901234567890123456789012345678901234",
        "123"
    ),
];

fn source(id: u32, name: &str) -> Source {
    Source {
        id,
        name: name.into(),
        name_truncated: name.len() == 255,
        device: String::new(),
        active: false,
        consistent: true,
        active_count: 12,
        event_count: 345,
        wakeup_count: 6,
        expire_count: 7,
        relax_count: 12,
        active_time_ns: 0,
        total_time_ns: 60 * SECOND + 1,
        max_time_ns: SECOND / 4,
        last_change_ns: 5 * SECOND,
        prevent_suspend_time_ns: 0,
    }
}

/// Four sources, two of one name, one of them active.
fn sources() -> Vec<Source> {
    let active = Source {
        device: "a600000.ssusb".into(),
        active: true,
        active_time_ns: 1_999_999,
        total_time_ns: 3 * SECOND,
        ..source(9, "[timerfd]")
    };
    let never =
        Source { active_count: 0, total_time_ns: 0, last_change_ns: 0, ..source(7, "alarmtimer") };
    let long = Source {
        prevent_suspend_time_ns: i64::MAX,
        event_count: u64::MAX,
        ..source(3, "eventpoll")
    };
    vec![active, source(8, "[timerfd]"), never, long]
}

fn tracker(sources: Vec<Source>) -> Tracker {
    let mut tracker = Tracker::new(INSTANCE);
    add(&mut tracker, sources);
    tracker
}

fn add(tracker: &mut Tracker, sources: Vec<Source>) {
    let walk = Walk {
        backend: Backend::Load,
        walks: 1,
        monotonic_ns: 600 * SECOND,
        boottime_ns: 900 * SECOND,
        duration_ns: 81_500,
        total: sources.len() as u32,
        complete: true,
    };
    tracker.update(&Snapshot { walk, sources, changes: None });
}

/// 3.447 ms after the snapshot.
fn a_status() -> Status {
    Status {
        now_ns: 600 * SECOND + 3_447_000,
        backend: Backend::Load,
        backend_since_ns: 500 * SECOND,
        passed_over: vec![PassedOver {
            backend: Backend::Pinned,
            reason: "no map in /sys/fs/bpf,\n\"at all\"".into(),
        }],
        kernel: "7.3.4-android17-0-g0123456789ab-ab12345678".into(),
        instance: INSTANCE,
        sequence: 1,
        walks: 3,
        last_snapshot_ns: 600 * SECOND,
        sources: 4,
        room_bytes: 131_072,
        last_error: Some(PastError { message: "\u{1b}[2J".into(), monotonic_ns: 510 * SECOND }),
    }
}

fn args(args: &[&str]) -> Vec<String> {
    args.iter().map(|arg| (*arg).into()).collect()
}

fn options(arguments: &[&str]) -> Options {
    match Request::parse(&args(arguments)) {
        Ok(Request::Sources(options)) => options,
        other => panic!("{arguments:?}: {other:?}"),
    }
}

/// What a dump with these arguments says.
fn dump(tracker: &Tracker, arguments: &[&str]) -> String {
    let options = options(arguments);
    let answer = options.query(INSTANCE).unwrap().answer(tracker);
    let text = options.render(&answer, &a_status()).unwrap();
    String::from_utf8(text).unwrap()
}

fn json(tracker: &Tracker, arguments: &[&str]) -> Json {
    let text = dump(tracker, &[arguments, &["--json"]].concat());
    assert_eq!(text.find('\n'), Some(text.len() - 1));
    serde_json::from_str(&text).unwrap()
}

/// The ids that a dump shows, in its order.
fn ids(arguments: &[&str]) -> Vec<u64> {
    let json = json(&tracker(sources()), arguments);
    json["sources"].as_array().unwrap().iter().map(|row| row["id"].as_u64().unwrap()).collect()
}

/// What parsing these arguments says.
fn refusal(arguments: &[&str]) -> String {
    Request::parse(&args(arguments)).unwrap_err().to_string()
}

fn validate(json: &Json) {
    let schema: Json = serde_json::from_str(include_str!("../../dump.schema.json")).unwrap();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let errors: Vec<_> = validator.iter_errors(json).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}");
}
