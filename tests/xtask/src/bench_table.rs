// SPDX-License-Identifier: Apache-2.0
//! The results of a benchmark as text.

use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};
use init::bench::Quartiles;

use crate::bench_report::{Bound, Clock, Report, TYPICAL, Target};

/// Both times of all contenders, and the ratios that are wanted. Tables are Markdown, for the
/// documentation.
pub(crate) fn text(report: &Report) -> String {
    let Report { kernel, accel, rounds, .. } = report;
    let mut text = format!("\nbench: kernel {kernel}, {accel}, {rounds} rounds\n");
    for clock in [Clock::Wall, Clock::Cpu] {
        let name = clock.name();
        text += &format!("\n{name} time of a call in ms: median (quartiles), by sources\n\n");
        text += &format!("{}\n", times(report, clock));
    }
    text += &format!("\nratios at {TYPICAL} sources\n\n{}\n", ratios(&report.targets()));
    text
}

fn times(report: &Report, clock: Clock) -> Table {
    let sizes = report.sizes();
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header(["contender".to_owned()].into_iter().chain(sizes.iter().map(u32::to_string)));
    for contender in report.contenders() {
        let cell = |&size: &u32| {
            report.row(contender, size).map_or_else(|| "-".to_owned(), |row| cell(clock.of(row)))
        };
        table.add_row([contender.to_owned()].into_iter().chain(sizes.iter().map(cell)));
    }
    align_right(&mut table, 1..=sizes.len());
    table
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

    #[test]
    fn tables_have_what_was_measured_and_say_what_was_not() {
        let report = report(&[(50, "sysfs", 20.0), (150, "sysfs", 60.0), (150, "walk", 0.08)]);

        let text = text(&report);

        let lines: Vec<String> = text
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        for line in [
            "bench: kernel 7.3.4, TCG, 30 rounds",
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
}
