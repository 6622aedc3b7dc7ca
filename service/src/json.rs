// SPDX-License-Identifier: Apache-2.0
//! A report as JSON, as `dump.schema.json` describes it: one document on one line.
//!
//! Numbers are exact, and may need all of 64 bits: a reader that takes them for floating point
//! loses the end of an instance, and of a time past 104 days.
//!
//! In text what a terminal would not show is written as `\uXXXX`, also where JSON need not have that:
//! a person may look at it, and one that splits it at Unicode's line breaks gets one line.

use std::io;

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::Formatter;

use crate::report::{Fields, HEADER, Header, Report, SOURCE, VERSION};
use crate::status::Status;
use crate::table::is_visible;
use crate::tracker::Row;

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    #[serde(flatten)]
    header: Fields<'a, Header>,
    sources: Vec<Fields<'a, Row>>,
    gone: &'a [i64],
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'a Status>,
}

#[derive(Serialize)]
struct StatusDocument<'a> {
    version: u32,
    status: &'a Status,
}

/// A report, with the status if the report has it.
pub fn document(report: &Report<'_>) -> io::Result<Vec<u8>> {
    line(&Document {
        version: VERSION,
        header: Fields(&HEADER, &report.header),
        sources: report.rows.iter().map(|row| Fields(&SOURCE, row)).collect(),
        gone: report.gone,
        status: report.status,
    })
}

/// The status alone.
pub fn status(status: &Status) -> io::Result<Vec<u8>> {
    line(&StatusDocument { version: VERSION, status })
}

fn line(document: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    document.serialize(&mut Serializer::with_formatter(&mut line, OnlyVisible))?;
    line.push(b'\n');
    Ok(line)
}

/// Compact, with escapes.
struct OnlyVisible;

impl Formatter for OnlyVisible {
    fn write_string_fragment<W>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()>
    where
        W: ?Sized + io::Write,
    {
        let mut rest = fragment;
        while let Some(char) = rest.chars().find(|&char| !is_visible(char)) {
            let (visible, after) = rest.split_once(char).unwrap_or((rest, ""));
            writer.write_all(visible.as_bytes())?;
            for unit in char.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = after;
        }
        writer.write_all(rest.as_bytes())
    }
}
