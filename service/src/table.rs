// SPDX-License-Identifier: Apache-2.0
//! A snapshot as text, for a person at a terminal: 100 columns at the most, units in the headers.
//! What holds the device awake now comes first, then what held it longest.

use std::cmp::Reverse;
use std::fmt::{self, Write};

use unicode_width::UnicodeWidthChar;

use crate::model::{Snapshot, Source, Walk};

const NAME_WIDTH: usize = 28;

/// A snapshot, to be displayed as a summary line and a table.
#[derive(Debug)]
pub struct Table<'a> {
    /// What to show.
    pub snapshot: &'a Snapshot,
    /// The kernel's release, as `uname -r` says it.
    pub kernel: &'a str,
    /// CLOCK_MONOTONIC now, from which the age of the snapshot follows. Nanoseconds.
    pub now_ns: i64,
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.summary(f)?;
        if self.snapshot.sources.is_empty() {
            return Ok(());
        }
        writeln!(f)?;
        writeln!(
            f,
            "{:<NAME_WIDTH$} {:>10} {:>11} {:>10} {:>8} {:>8} {:>7} {:>8}",
            "NAME", "ACTIVE ms", "TOTAL ms", "MAX ms", "ACTIVE #", "EVENTS #", "WAKE #", "EXPIRE #"
        )?;
        let mut sources: Vec<&Source> = self.snapshot.sources.iter().collect();
        sources.sort_by_key(|source| Reverse((source.active, source.total_time_ns)));
        sources.into_iter().try_for_each(|source| row(f, source))
    }
}

impl Table<'_> {
    fn summary(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Snapshot { walk: Walk { backend, walks, total, complete, .. }, sources } =
            self.snapshot;
        let age = us_as_ms(self.now_ns.saturating_sub(self.snapshot.walk.monotonic_ns));
        let walk = us_as_ms(self.snapshot.walk.duration_ns);
        let active = sources.iter().filter(|source| source.active).count();
        writeln!(
            f,
            "wakeupstats: backend {backend}, kernel {}, {total} sources, {active} active, \
             age {age} ms, walk {walk} ms",
            self.kernel
        )?;
        if *walks > 1 {
            writeln!(f, "Read in {walks} walks: the sources are not all of one moment.")?;
        }
        if !complete {
            writeln!(f, "INCOMPLETE: only {} of {total} sources were read.", sources.len())?;
        }
        let torn = sources.iter().filter(|source| !source.consistent).count();
        if torn > 0 {
            writeln!(f, "{torn} sources, marked !, changed while they were read.")?;
        }
        Ok(())
    }
}

fn row(f: &mut fmt::Formatter<'_>, source: &Source) -> fmt::Result {
    let mark = if source.consistent { "" } else { "!" };
    let active = if source.active { ms(source.active_time_ns).to_string() } else { "-".into() };
    writeln!(
        f,
        "{} {active:>10} {:>11} {:>10} {:>8} {:>8} {:>7} {:>8}",
        cell(&format!("{mark}{}", source.name), source.name_truncated),
        ms(source.total_time_ns),
        ms(source.max_time_ns),
        source.active_count,
        source.event_count,
        source.wakeup_count,
        source.expire_count
    )
}

/// Milliseconds, cut like those of sysfs.
fn ms(ns: i64) -> i64 {
    ns / 1_000_000
}

/// Milliseconds with three decimals, for what is short.
fn us_as_ms(ns: i64) -> String {
    let us = ns.max(0) / 1_000;
    format!("{}.{:03}", us / 1_000, us % 1_000)
}

/// A name in exactly [`NAME_WIDTH`] columns. What would move a terminal's cursor, or shows nothing,
/// is escaped; what does not fit, or was cut already, ends in an ellipsis.
fn cell(name: &str, truncated: bool) -> String {
    let mut cell = String::new();
    let mut width = 0;
    let mut cut = truncated;
    for char in name.chars() {
        let visible = char.width().is_some_and(|width| width > 0);
        let shown = if visible { char.to_string() } else { char.escape_default().to_string() };
        let columns: usize = shown.chars().filter_map(UnicodeWidthChar::width).sum();
        if width + columns > NAME_WIDTH {
            cut = true;
            break;
        }
        width += columns;
        cell.push_str(&shown);
    }
    if cut {
        while width >= NAME_WIDTH {
            width -= cell.pop().and_then(UnicodeWidthChar::width).unwrap_or(0);
        }
        cell.push('…');
        width += 1;
    }
    let _ = write!(cell, "{:1$}", "", NAME_WIDTH - width);
    cell
}

#[cfg(test)]
mod tests {
    use expect_test::expect_file;

    use super::*;
    use crate::model::Backend;

    fn source(name: &str, active: bool) -> Source {
        Source {
            id: 3,
            name: name.into(),
            name_truncated: false,
            device: String::new(),
            active,
            consistent: true,
            active_count: 12,
            event_count: 345,
            wakeup_count: 6,
            expire_count: 7,
            relax_count: 11,
            active_time_ns: if active { 1_999_999 } else { 0 },
            total_time_ns: 86_400_000_000_000,
            max_time_ns: 250_000_000,
            last_change_ns: 5_000_000_000,
            prevent_suspend_time_ns: 0,
        }
    }

    fn snapshot(sources: Vec<Source>) -> Snapshot {
        let walk = Walk {
            backend: Backend::Load,
            walks: 1,
            monotonic_ns: 7_000_000_000,
            boottime_ns: 9_000_000_000,
            duration_ns: 81_500,
            total: sources.len() as u32,
            complete: true,
        };
        Snapshot { walk, sources }
    }

    fn text(snapshot: &Snapshot) -> String {
        Table { snapshot, kernel: "7.3.4", now_ns: 7_000_500_000 }.to_string()
    }

    #[test]
    fn table_of_a_device() {
        let quiet = Source { active_count: 0, total_time_ns: 0, ..source("alarmtimer", false) };
        let snapshot = snapshot(vec![source("eventpoll", true), quiet]);

        expect_file!["../tests/golden/table.txt"].assert_eq(&text(&snapshot));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let torn = Source { consistent: false, ..source("torn", true) };
        let mut snapshot = snapshot(vec![torn]);
        snapshot.walk = Walk { walks: 3, total: 9, complete: false, ..snapshot.walk };

        expect_file!["../tests/golden/table_incomplete.txt"].assert_eq(&text(&snapshot));
    }

    #[test]
    fn names_stay_in_their_column() {
        let cut = Source { name_truncated: true, ..source("cut", false) };
        let names = [
            "",
            " spaces  inside ",
            "exactly-28-columns-wide-name",
            "one-more-than-28-columns-wide",
            "\u{1b}[2J\n\tcontrol",
            "right\u{202e}to left",
            "日本語の名前がここにとても長く続いています",
            "bad\u{fffd}utf8",
        ];
        let mut sources: Vec<_> = names.iter().map(|name| source(name, false)).collect();
        sources.push(cut);

        let text = text(&snapshot(sources));

        assert!(text.lines().all(|line| unicode_width::UnicodeWidthStr::width(line) <= 100));
        expect_file!["../tests/golden/table_names.txt"].assert_eq(&text);
    }

    #[test]
    fn no_sources_no_table() {
        expect_file!["../tests/golden/table_empty.txt"].assert_eq(&text(&snapshot(vec![])));
    }
}
