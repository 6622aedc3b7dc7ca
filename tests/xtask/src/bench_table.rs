// SPDX-License-Identifier: Apache-2.0
//! The results of a benchmark as text.

use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};
use init::bench::{Footprint, Quartiles};

use crate::bench_report::{Bound, Clock, Counts, Report, TYPICAL, Target};

/// Both times of all contenders, the ratios that are wanted, and the footprints. Tables are Markdown,
/// for the documentation.
pub(crate) fn text(report: &Report) -> String {
    let Report { kernel, accel, idle, rounds, .. } = report;
    let mut text = format!("\nbench: kernel {kernel}, {accel}, idle={idle}, {rounds} rounds\n");
    let tables = match report.counts {
        Counts::Time => &[
            (Clock::Wall, "wall time of a call in ms"),
            (Clock::Cpu, "CPU time of a call in ms, of all processes"),
        ][..],
        // On one processor that does nothing else, the other would be the same.
        Counts::Instructions => &[(Clock::Wall, "instructions of a call, in thousands")],
    };
    for (clock, what) in tables {
        text += &format!("\n{what}: median (quartiles), by sources\n\n");
        text += &format!("{}\n", times(report, *clock));
    }
    // What is wanted is wanted of times.
    if report.counts == Counts::Time {
        text += &format!("\nratios at {TYPICAL} sources\n\n{}\n", ratios(&report.targets()));
    }
    if !report.footprints.is_empty() {
        text += &format!("\nfootprint at {TYPICAL} sources\n\n{}\n", footprints(report));
    }
    text
}

/// A line of a table for each number, and a column for each daemon.
fn footprints(report: &Report) -> Table {
    let of_all = |value: &dyn Fn(&Footprint) -> String| {
        report.footprints.iter().map(value).collect::<Vec<_>>()
    };
    let kib = |bytes: u64| format!("{:.0}", bytes as f64 / 1024.0);
    let calls = report.footprints.iter().map(|it| it.calls).max().unwrap_or(0);
    let idle_s = report.footprints.iter().map(|it| it.idle_s).max().unwrap_or(0);
    let lines: [(String, Vec<String>, &str); 9] = [
        ("PSS at rest, KiB".into(), of_all(&|it| it.rest_pss_kib.to_string()), "<= 4096"),
        (format!("PSS after {calls} calls, KiB"), of_all(&|it| it.pss_kib.to_string()), "the same"),
        (
            "kernel memory of the program and its JIT image, KiB".into(),
            of_all(&|it| kib(it.program_bytes)),
            "",
        ),
        ("kernel memory of the map, KiB".into(), of_all(&|it| kib(it.map_bytes)), "<= 256"),
        ("from fork to registered, ms".into(), of_all(&|it| cell(it.start_ms)), ""),
        (
            format!("wakeups in {idle_s} s without a call"),
            of_all(&|it| it.idle_wakeups.to_string()),
            "0",
        ),
        ("CPU time in that time, ns".into(), of_all(&|it| it.idle_cpu_ns.to_string()), "0"),
        ("the program of the first, stripped, KiB".into(), vec![kib(report.binary_bytes)], ""),
        ("wakeup sources".into(), of_all(&|it| it.sources.to_string()), ""),
    ];
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    let daemons = of_all(&|it| format!("backend {}", it.daemon));
    let columns = daemons.len();
    table.set_header([vec![String::new()], daemons, vec!["wanted".to_owned()]].concat());
    for (what, mut values, wanted) in lines {
        values.resize(columns, "-".to_owned());
        table.add_row([vec![what], values, vec![wanted.to_owned()]].concat());
    }
    align_right(&mut table, 1..=columns);
    table
}

fn times(report: &Report, clock: Clock) -> Table {
    let sizes = report.sizes();
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header(["contender".to_owned()].into_iter().chain(sizes.iter().map(u32::to_string)));
    for contender in report.contenders() {
        let cell = |&size: &u32| {
            let cell = |row| cell(scaled(clock.of(row), report.counts));
            report.row(contender, size).map_or_else(|| "-".to_owned(), cell)
        };
        table.add_row([contender.to_owned()].into_iter().chain(sizes.iter().map(cell)));
    }
    align_right(&mut table, 1..=sizes.len());
    table
}

/// In what the table has: a millisecond is a million instructions.
fn scaled(Quartiles { median, q1, q3 }: Quartiles, counts: Counts) -> Quartiles {
    let factor = match counts {
        Counts::Time => 1.0,
        Counts::Instructions => 1_000.0,
    };
    Quartiles { median: median * factor, q1: q1 * factor, q3: q3 * factor }
}

fn cell(Quartiles { median, q1, q3 }: Quartiles) -> String {
    format!("{} ({}–{})", number(median), number(q1), number(q3))
}

/// Three digits that say something, or all before the point.
pub(crate) fn number(value: f64) -> String {
    // At and above 1, this many digits are before the point.
    let before = if value >= 1.0 { value.log10().floor() as usize + 1 } else { 0 };
    let after = if value >= 1.0 { 3usize.saturating_sub(before) } else { 3 };
    format!("{value:.after$}")
}

fn ratios(targets: &[Target]) -> Table {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header(["ratio of medians", "measured", "wanted", ""]);
    for target in targets {
        let wanted = match target.bound {
            Bound::AtLeast(bound) => format!(">= {bound}"),
            Bound::AtMost(bound) => format!("<= {bound}"),
        };
        let reached = match target.reached() {
            Some(true) => "reached",
            Some(false) => "not reached",
            None => "not measured",
        };
        let value = target.value.map_or_else(|| "-".to_owned(), number);
        table.add_row([target.what.as_str(), &value, &wanted, reached]);
    }
    align_right(&mut table, 1..=2);
    table
}

fn align_right(table: &mut Table, columns: impl IntoIterator<Item = usize>) {
    for column in columns {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

#[cfg(test)]
mod unit_tests {
    use super::*;
    use crate::bench_report::testing::report;

    #[test]
    fn numbers_have_three_digits_that_matter() {
        for (value, text) in [
            (0.0426, "0.043"),
            (0.9, "0.900"),
            (1.0, "1.00"),
            (45.25, "45.2"),
            (123.4, "123"),
            (1234.5, "1234"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    /// Its lines, with one space where there are several.
    fn squeezed(text: &str) -> Vec<String> {
        text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    }

    #[test]
    fn tables_have_what_was_measured_and_say_what_was_not() {
        let report = report(&[(50, "sysfs", 20.0), (150, "sysfs", 60.0), (150, "walk", 0.08)]);

        let text = text(&report);

        let lines = squeezed(&text);
        for line in [
            "bench: kernel 7.3.4, TCG, idle=poll, 30 rounds",
            "| contender | 50 | 150 |",
            "| sysfs | 20.0 (17.5–22.5) | 60.0 (52.5–67.5) |",
            "| walk | - | 0.080 (0.070–0.090) |",
            "ratios at 150 sources",
            "| sysfs / walk, wall | 750 | >= 500 | reached |",
            "| ringbuf / walk, wall | - | >= 1.5 | not measured |",
        ] {
            assert!(lines.iter().any(|it| it == line), "no {line:?} in:\n{text}");
        }
    }

    #[test]
    fn instructions_are_told_in_thousands_and_footprints_side_by_side() {
        let daemon = |name: &str, pss_kib| Footprint {
            daemon: name.to_owned(),
            pss_kib,
            calls: 1_000,
            map_bytes: 131_072,
            ..Footprint::default()
        };
        let report = Report {
            counts: Counts::Instructions,
            footprints: vec![daemon("pinned", 900), daemon("load", 1_000)],
            binary_bytes: 2_048,
            ..report(&[(150, "walk", 0.08)])
        };

        let text = text(&report);

        let lines = squeezed(&text);
        for line in [
            "instructions of a call, in thousands: median (quartiles), by sources",
            "| walk | 80.0 (70.0–90.0) |",
            "| | backend pinned | backend load | wanted |",
            "| PSS after 1000 calls, KiB | 900 | 1000 | the same |",
            "| kernel memory of the map, KiB | 128 | 128 | <= 256 |",
            "| the program of the first, stripped, KiB | 2 | - | |",
        ] {
            assert!(lines.iter().any(|it| it == line), "no {line:?} in:\n{text}");
        }
    }
}
