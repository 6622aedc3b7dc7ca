// SPDX-License-Identifier: Apache-2.0
//! A report as lines for programs, in the manner of `dumpsys batterystats --checkin`.
//!
//! Each line is a version, the kind of the line, and fields with a comma between each two. No field
//! holds a comma or a line break, so that splitting is all the parsing there is: in text `%`, `,`,
//! `"`, control characters and all that is not ASCII are percent-encoded as in URLs (UTF-8). What
//! there is none of is empty. A reader skips lines of versions and kinds that it does not know, and
//! fields past those that it knows.
//!
//! `1,h` comes first, once:
//!
//! | field | what |
//! |---|---|
//! | instance, sequence | of the snapshot |
//! | since | the sequence that was asked for |
//! | incremental | `true` if only what changed since then follows |
//! | kernel | release, text |
//! | backend | text |
//! | walks | how often the kernel's list was walked for it |
//! | monotonic, boottime | the clocks as the first walk began, ns |
//! | duration | of all walks, ns |
//! | total | sources on the kernel's list |
//! | complete | `false` if some of them could not be read |
//!
//! `1,s` for each source:
//!
//! | field | what |
//! |---|---|
//! | handle | of this life of the source; 0 if several are merged |
//! | id | N of `wakeupN` |
//! | name, name_truncated | text, and `true` if the kernel's is longer |
//! | device | owner, text |
//! | active, consistent | `true` or `false` |
//! | active, event, wakeup, expire, relax | five counts |
//! | active, total, max | three times, ns |
//! | last_change | CLOCK_MONOTONIC, ns; 0 for never |
//! | prevent_suspend | a time, ns |
//! | changed | the sequence in which the row changed last |
//!
//! `1,g` for each handle that is gone, in incremental reports: the handle.
//!
//! `1,p` for each backend that is passed over, with `--all`: its name, and why, both text.
//!
//! `1,b` with `--all`:
//!
//! | field | what |
//! |---|---|
//! | now | CLOCK_MONOTONIC, ns |
//! | backend | the one in use, text |
//! | room | kernel memory of the program's map, bytes |
//! | error | the last one, text |
//! | when | CLOCK_MONOTONIC of that error, ns |
//! | since | CLOCK_MONOTONIC when the backend was taken, ns |

use std::borrow::Cow;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use crate::report::{HEADER, Report, SOURCE, VERSION, Value};
use crate::status::Status;

const SPECIAL: AsciiSet = CONTROLS.add(b'%').add(b',').add(b'"');

/// A report, with the status if the report has it.
pub fn lines(report: &Report<'_>) -> String {
    let mut lines = String::new();
    let out = &mut lines;
    line(out, "h", HEADER.iter().map(|field| (field.value)(&report.header)));
    for &row in &report.rows {
        line(out, "s", SOURCE.iter().map(|field| (field.value)(row)));
    }
    for &handle in report.gone {
        line(out, "g", [Value::Int(handle)]);
    }
    if let Some(status) = report.status {
        status_lines(out, status);
    }
    lines
}

fn status_lines(out: &mut String, status: &Status) {
    for passed in &status.passed_over {
        line(out, "p", [Value::Text(passed.backend.name()), Value::Text(&passed.reason)]);
    }
    let error = status.last_error.as_ref();
    let fields = [
        Value::Int(status.now_ns),
        Value::Text(status.backend.name()),
        Value::Count(status.room_bytes),
        error.map_or(Value::Nothing, |error| Value::Text(&error.message)),
        error.map_or(Value::Nothing, |error| Value::Int(error.monotonic_ns)),
        Value::Int(status.backend_since_ns),
    ];
    line(out, "b", fields);
}

fn line<'a>(out: &mut String, kind: &str, values: impl IntoIterator<Item = Value<'a>>) {
    out.push_str(&format!("{VERSION},{kind}"));
    for value in values {
        out.push(',');
        out.push_str(&value.text(encode));
    }
    out.push('\n');
}

fn encode(text: &str) -> Cow<'_, str> {
    utf8_percent_encode(text, &SPECIAL).into()
}
