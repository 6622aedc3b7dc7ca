// SPDX-License-Identifier: Apache-2.0
//! The sources of a report as CSV: a line of headers, which are the keys of the JSON, then a row
//! for each source, quoted as in RFC 4180. Lines end in a newline alone. Names are [protected](protect).

use std::io;

use csv::Writer;
use wakeupstats_text::protect;

use crate::report::{Report, SOURCE};

/// The sources of a report.
pub fn rows(report: &Report<'_>) -> io::Result<Vec<u8>> {
    let mut writer = Writer::from_writer(Vec::new());
    writer.write_record(SOURCE.each_ref().map(|field| field.name))?;
    for &row in &report.rows {
        let values = SOURCE.each_ref().map(|field| (field.value)(row).text(protect));
        writer.write_record(values.each_ref().map(|value| value.as_bytes()))?;
    }
    writer.into_inner().map_err(|error| error.into_error())
}
