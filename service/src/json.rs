// SPDX-License-Identifier: Apache-2.0
//! A report as JSON, as `dump.schema.json` describes it: one document on one line.
//!
//! Numbers are exact, and may need all of 64 bits: a reader that takes them for floating point
//! loses the end of an instance, and of a time past 104 days.

use std::io;

use serde::Serialize;
use wakeupstats_text::line;

use crate::report::{Fields, HEADER, Header, Report, SOURCE, VERSION};
use crate::status::Status;
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
