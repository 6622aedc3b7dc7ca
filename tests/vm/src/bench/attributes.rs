// SPDX-License-Identifier: Apache-2.0
//! The attributes of `/sys/class/wakeup/wakeupN`, read without an allocation.

use std::ffi::CStr;
use std::io;

/// Where the kernel has a directory for each source.
pub const CLASS: &CStr = c"/sys/class/wakeup";

/// The ten that SystemSuspend reads.
pub const ATTRIBUTES: [&CStr; 10] = [
    c"name",
    c"active_count",
    c"active_time_ms",
    c"event_count",
    c"expire_count",
    c"last_change_ms",
    c"max_time_ms",
    c"prevent_suspend_time_ms",
    c"total_time_ms",
    c"wakeup_count",
];

/// Longer than any of them in the benchmark.
const MAX_ATTRIBUTE: usize = 512;

/// The numbers of a source: the attributes but the first. Times are in milliseconds.
#[derive(Clone, Copy, Debug, Default)]
#[expect(missing_docs, reason = "named as the attributes are")]
pub struct Numbers {
    pub active_count: i64,
    pub active_time_ms: i64,
    pub event_count: i64,
    pub expire_count: i64,
    pub last_change_ms: i64,
    pub max_time_ms: i64,
    pub prevent_suspend_time_ms: i64,
    pub total_time_ms: i64,
    pub wakeup_count: i64,
}

impl Numbers {
    fn in_order(&mut self) -> [&mut i64; 9] {
        [
            &mut self.active_count,
            &mut self.active_time_ms,
            &mut self.event_count,
            &mut self.expire_count,
            &mut self.last_change_ms,
            &mut self.max_time_ms,
            &mut self.prevent_suspend_time_ms,
            &mut self.total_time_ms,
            &mut self.wakeup_count,
        ]
    }
}

/// What one reading of all sources found. Its memory is used again by the next.
#[derive(Debug, Default)]
pub struct Reading {
    names: Vec<u8>,
    /// With the ends of the names.
    rows: Vec<(usize, Numbers)>,
}

impl Reading {
    /// Forgets what it holds.
    pub fn clear(&mut self) {
        self.names.clear();
        self.rows.clear();
    }

    /// Adds a source. `read` reads one attribute, given its place in [`ATTRIBUTES`].
    pub fn add(
        &mut self,
        mut read: impl FnMut(usize, &mut [u8]) -> rustix::io::Result<usize>,
    ) -> io::Result<()> {
        let mut text = [0; MAX_ATTRIBUTE];
        let len = read(0, &mut text)?;
        let line = text.get(..len).unwrap_or_default();
        self.names.extend_from_slice(line.strip_suffix(b"\n").unwrap_or(line));
        let mut numbers = Numbers::default();
        for (attribute, to) in (1..).zip(numbers.in_order()) {
            let len = read(attribute, &mut text)?;
            *to = number(text.get(..len).unwrap_or_default())?;
        }
        self.rows.push((self.names.len(), numbers));
        Ok(())
    }

    /// Names and numbers of the sources.
    pub fn sources(&self) -> impl ExactSizeIterator<Item = (&[u8], &Numbers)> {
        let mut begin = 0;
        self.rows.iter().map(move |(end, numbers)| {
            let name = self.names.get(begin..*end).unwrap_or_default();
            begin = *end;
            (name, numbers)
        })
    }
}

/// The decimal number that a text begins with.
pub fn number(text: &[u8]) -> io::Result<i64> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
    if !text.first().is_some_and(u8::is_ascii_digit) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(digits.fold(0, |number, &digit| number * 10 + i64::from(digit - b'0')))
}
