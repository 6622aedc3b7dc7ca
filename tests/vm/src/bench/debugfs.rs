// SPDX-License-Identifier: Apache-2.0
//! The kernel's table for people, on debugfs, which no Android build for users has.

use std::fs::File;
use std::io::Read;

use anyhow::{Context, Result, ensure};

use super::attributes::number;
use super::{Contender, Seen};

const TABLE: &str = "/sys/kernel/debug/wakeup_sources";

/// Numbers in each line, behind the name.
const COLUMNS: usize = 9;

/// The second of them.
const EVENT_COUNT: usize = 1;

/// The last line sums up all sources that are gone.
const GONE: &[u8] = b"deleted";

/// Reads and parses the table.
#[derive(Debug, Default)]
pub struct Debugfs {
    text: Vec<u8>,
    /// Ends of names in the text, and numbers.
    rows: Vec<(usize, [i64; COLUMNS])>,
}

impl Contender for Debugfs {
    fn name(&self) -> &'static str {
        "debugfs"
    }

    fn call(&mut self) -> Result<()> {
        self.text.clear();
        File::open(TABLE)?.read_to_end(&mut self.text)?;
        self.rows.clear();
        let mut begin = 0;
        for line in self.text.split_inclusive(|&byte| byte == b'\n') {
            // The first has the headings.
            if begin > 0 {
                let (name, numbers) = parse(line).context("a line without all columns")?;
                self.rows.push((begin + name.len(), numbers));
            }
            begin += line.len();
        }
        let last = self.rows.pop().context("an empty table")?;
        let is_sum = self.text.get(..last.0).is_some_and(|text| text.ends_with(GONE));
        ensure!(is_sum, "the last line is not that of the sources that are gone");
        Ok(())
    }

    fn seen(&self) -> Result<Seen> {
        let events = |row: &(usize, [i64; COLUMNS])| row.1[EVENT_COUNT].cast_unsigned();
        Ok(Seen::events(self.rows.iter().map(events)))
    }
}

/// The name, filled up with spaces, and the numbers, with tabs between them.
fn parse(line: &[u8]) -> Option<(&[u8], [i64; COLUMNS])> {
    let mut columns = line.split(|&byte| byte == b'\t').filter(|column| !column.is_empty());
    let name = columns.next()?.trim_ascii_end();
    let mut numbers = [0; COLUMNS];
    for to in &mut numbers {
        *to = number(columns.next()?).ok()?;
    }
    Some((name, numbers))
}
