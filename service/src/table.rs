// SPDX-License-Identifier: Apache-2.0
//! A report as text, for a person at a terminal: 100 columns at the most, units in the headers.
//!
//! Names take the columns that numbers leave. Numbers take at most 8 digits: where that is too few
//! for a time of a column in milliseconds, the column is in seconds, and counts are cut to
//! thousands (`k`) and so on. The other formats are exact.

use std::fmt;

use wakeupstats_text::{MAX_NUMBER, escape, fit, short, width};

use crate::query::Order;
use crate::report::Report;
use crate::tracker::Row;

const WIDTH: usize = 100;

/// A report, to be displayed.
#[derive(Debug)]
pub struct Table<'a> {
    /// What to show.
    pub report: &'a Report<'a>,
    /// The order of its rows.
    pub order: Order,
}

/// A column of numbers.
struct Number {
    title: &'static str,
    unit: Unit,
    /// The value in a row, if it applies. Times are in nanoseconds.
    value: fn(&Row, &Report<'_>) -> Option<u64>,
    /// What makes the total of two values, if there is one.
    total: Option<fn(u64, u64) -> u64>,
}

#[derive(Clone, Copy)]
enum Unit {
    Time,
    Age,
    /// In hundredths of a percent.
    Share,
    Count,
    Exact,
}

/// A column of text: the title, and the text in a row with whether that was cut already.
type Text = (&'static str, fn(&Row) -> (String, bool));

const NAME: Text = ("NAME", |row| {
    let mark = if row.source.consistent { "" } else { "!" };
    (format!("{mark}{}", escape(&row.source.name)), row.source.name_truncated)
});
const DEVICE: Text = ("DEVICE", |row| match row.source.device.as_str() {
    "" => ("-".into(), false),
    device => (escape(device), false),
});

const ACTIVE: Number = Number {
    title: "ACTIVE",
    unit: Unit::Time,
    value: |row, _| row.source.active.then(|| positive(row.source.active_time_ns)),
    total: None,
};
const TOTAL: Number = Number {
    title: "TOTAL",
    unit: Unit::Time,
    value: |row, _| Some(positive(row.source.total_time_ns)),
    total: Some(u64::saturating_add),
};
const MAX: Number = Number {
    title: "MAX",
    unit: Unit::Time,
    value: |row, _| Some(positive(row.source.max_time_ns)),
    total: Some(u64::max),
};
/// There is no total: sources are active at the same time.
const AWAKE: Number = Number {
    title: "AWAKE",
    unit: Unit::Share,
    value: |row, report| {
        let awake = positive(report.header.walk.monotonic_ns);
        let share = u128::from(positive(row.source.total_time_ns)) * 10_000;
        let share = share.checked_div(awake.into())?;
        Some(u64::try_from(share).unwrap_or(u64::MAX))
    },
    total: None,
};
const CHANGED: Number = Number {
    title: "CHANGED",
    unit: Unit::Age,
    value: |row, report| {
        let then = row.source.last_change_ns;
        let now = report.header.walk.monotonic_ns;
        (then != 0).then(|| positive(now.saturating_sub(then)))
    },
    total: Some(u64::min),
};
const PREVENT: Number = Number {
    title: "PREVENT",
    unit: Unit::Time,
    value: |row, _| Some(positive(row.source.prevent_suspend_time_ns)),
    total: Some(u64::saturating_add),
};
const ACTIVE_COUNT: Number = count("ACTIVE", |row, _| Some(row.source.active_count));
const EVENT_COUNT: Number = count("EVENTS", |row, _| Some(row.source.event_count));
const WAKEUP_COUNT: Number = count("WAKE", |row, _| Some(row.source.wakeup_count));
const EXPIRE_COUNT: Number = count("EXPIRE", |row, _| Some(row.source.expire_count));
const RELAX_COUNT: Number = count("RELAX", |row, _| Some(row.source.relax_count));
const ID: Number = Number {
    title: "ID",
    unit: Unit::Exact,
    value: |row, _| Some(row.source.id.into()),
    total: None,
};
const HANDLE: Number = Number {
    title: "HANDLE",
    unit: Unit::Exact,
    value: |row, _| u64::try_from(row.handle).ok().filter(|&handle| handle > 0),
    total: None,
};

const fn count(title: &'static str, value: fn(&Row, &Report<'_>) -> Option<u64>) -> Number {
    Number { title, unit: Unit::Count, value, total: Some(u64::saturating_add) }
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.report;
        if let Some(status) = report.status {
            writeln!(f, "{status}")?;
        }
        summary(f, report)?;
        if report.rows.is_empty() {
            return Ok(());
        }
        let by_prevent = self.order == Order::PreventSuspendTime;
        let fifth = if by_prevent { PREVENT } else { CHANGED };
        let counts = [ACTIVE_COUNT, EVENT_COUNT, WAKEUP_COUNT, EXPIRE_COUNT];
        let numbers: Vec<Number> =
            [ACTIVE, TOTAL, MAX, AWAKE, fifth].into_iter().chain(counts).collect();
        writeln!(f)?;
        table(f, report, &[NAME], &numbers)?;
        if report.status.is_some() {
            writeln!(f)?;
            table(f, report, &[NAME, DEVICE], &[PREVENT, RELAX_COUNT, ID, HANDLE])?;
        }
        Ok(())
    }
}

fn summary(f: &mut fmt::Formatter<'_>, report: &Report<'_>) -> fmt::Result {
    let Report { header, rows, gone, active, age_ns, .. } = report;
    let walk = header.walk;
    writeln!(f, "wakeupstats: backend {}, kernel {}", walk.backend, escape(&header.kernel))?;
    writeln!(
        f,
        "{} sources, {active} active, {} shown, sequence {}, age {} ms, walk {} ms",
        walk.total,
        rows.len(),
        header.sequence,
        us_as_ms(*age_ns),
        us_as_ms(walk.duration_ns),
    )?;
    match header.since {
        Some(since) if header.incremental => {
            writeln!(
                f,
                "Only what changed since sequence {since}. Handles gone from it: {}.",
                gone.len()
            )?;
        }
        Some(since) => writeln!(f, "Sequence {since} is not known (any more): all is shown.")?,
        None => {}
    }
    if walk.walks > 1 {
        writeln!(f, "Read in {} walks: the sources are not all of one moment.", walk.walks)?;
    }
    if !walk.complete {
        writeln!(
            f,
            "INCOMPLETE: not all sources could be read; some are missing, or as of an earlier dump."
        )?;
    }
    let torn = rows.iter().filter(|row| !row.source.consistent).count();
    if torn > 0 {
        writeln!(f, "Changed while they were read, marked !: {torn}.")?;
    }
    Ok(())
}

/// A line of headers, a line for each row, and one of totals. Columns of text are as wide as they
/// need to be and there is room.
fn table(
    f: &mut fmt::Formatter<'_>,
    report: &Report<'_>,
    texts: &[Text],
    numbers: &[Number],
) -> fmt::Result {
    let mut columns: Vec<_> = numbers.iter().map(|number| numbers_column(number, report)).collect();
    for (index, text) in texts.iter().enumerate().rev() {
        let taken = columns.iter().filter_map(|cells| cells.first());
        let taken: usize = taken.map(|cell| width(cell) + 1).sum();
        let room = WIDTH.saturating_sub(taken + index);
        columns.insert(0, text_column(text, report, index == 0, room / (index + 1)));
    }
    for line in 0..report.rows.len() + 2 {
        let cells = columns.iter().filter_map(|cells| cells.get(line));
        writeln!(f, "{}", cells.map(String::as_str).collect::<Vec<_>>().join(" "))?;
    }
    Ok(())
}

fn text_column(
    (title, text): &Text,
    report: &Report<'_>,
    is_first: bool,
    room: usize,
) -> Vec<String> {
    let total = if is_first { format!("TOTAL of {}", report.rows.len()) } else { "-".into() };
    let mut cells = vec![((*title).to_string(), false)];
    cells.extend(report.rows.iter().map(|row| text(row)));
    cells.push((total, false));
    let needed = cells.iter().map(|(text, cut)| width(text) + usize::from(*cut)).max();
    let columns = needed.unwrap_or(0).min(room);
    cells.into_iter().map(|(text, cut)| fit(&text, cut, columns)).collect()
}

fn numbers_column(number: &Number, report: &Report<'_>) -> Vec<String> {
    let mut values: Vec<_> = report.rows.iter().map(|row| (number.value)(row, report)).collect();
    let total = number.total.and_then(|total| values.iter().flatten().copied().reduce(total));
    values.push(total);
    let largest = values.iter().flatten().max().copied().unwrap_or(0);
    let in_ms = largest / 1_000_000 <= MAX_NUMBER;
    let unit = match number.unit {
        Unit::Time if in_ms => " ms",
        Unit::Time | Unit::Age => " s",
        Unit::Share => " %",
        Unit::Count => " #",
        Unit::Exact => "",
    };
    let show = |value: u64| match number.unit {
        Unit::Time if in_ms => short(value / 1_000_000),
        Unit::Time | Unit::Age => short(value / 1_000_000_000),
        Unit::Share if value > MAX_NUMBER => short(value / 100),
        Unit::Share => format!("{}.{:02}", value / 100, value % 100),
        Unit::Count => short(value),
        Unit::Exact => value.to_string(),
    };
    let mut cells = vec![format!("{}{unit}", number.title)];
    cells.extend(values.into_iter().map(|value| value.map_or("-".into(), show)));
    let columns = cells.iter().map(String::len).max().unwrap_or(0);
    cells.into_iter().map(|cell| format!("{cell:>columns$}")).collect()
}

fn positive(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// Milliseconds with three decimals, for what is short.
fn us_as_ms(ns: i64) -> String {
    let us = positive(ns) / 1_000;
    format!("{}.{:03}", us / 1_000, us % 1_000)
}

// As in dump.rs.
#[cfg(not(soong))]
#[cfg(test)]
mod tests;
