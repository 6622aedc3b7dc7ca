// SPDX-License-Identifier: Apache-2.0
//! The results of a benchmark as SVG.

use anyhow::{Context as _, Result, anyhow};
use init::bench::{Quartiles, Row};
use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::bench_report::{Report, TYPICAL};
use crate::bench_table::number;

/// Contenders of one kind have tones of one color: files red, BPF alone green, binder blue.
const COLORS: &[(&str, RGBColor)] = &[
    ("sysfs", RGBColor(0x7f, 0x00, 0x00)),
    ("sysfs_cached", RGBColor(0xd7, 0x30, 0x1f)),
    ("suspend_like", RGBColor(0xf1, 0x69, 0x13)),
    ("debugfs", RGBColor(0xe0, 0xa0, 0x00)),
    ("ringbuf", RGBColor(0x8c, 0x51, 0x0a)),
    ("walk", RGBColor(0x00, 0x44, 0x1b)),
    ("snapshot", RGBColor(0x23, 0x8b, 0x45)),
    ("pinned_walk", RGBColor(0x66, 0xa6, 0x1e)),
    ("pinned_snapshot", RGBColor(0x1b, 0xae, 0x9c)),
    ("marshal", RGBColor(0xe7, 0x8a, 0xc3)),
    ("unmarshal", RGBColor(0xc5, 0x1b, 0x7d)),
    ("binder_full", RGBColor(0x08, 0x30, 0x6b)),
    ("binder_delta", RGBColor(0x21, 0x71, 0xb5)),
    ("binder_shared", RGBColor(0x6b, 0xae, 0xd6)),
    ("binder_pinned", RGBColor(0x6a, 0x51, 0xa3)),
    ("binder_floor", RGBColor(0x9e, 0xca, 0xe1)),
    ("binder_status", RGBColor(0xb3, 0xb3, 0xb3)),
    ("ping", RGBColor(0x73, 0x73, 0x73)),
];

const FONT: &str = "sans-serif";
const TEXT: u32 = 15;
const TITLE: u32 = 22;
/// For the names of contenders, and for their values behind bars.
const NAME_WIDTH: u32 = 150;
const VALUE_WIDTH: u32 = 130;
const TITLE_HEIGHT: u32 = 70;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Wall time by the number of sources, one line for each contender.
pub(crate) fn by_sources(report: &Report) -> Result<String> {
    draw((1_000, 760), report, "Reading all wakeup sources once, by their number", |area| {
        let sizes = report.sizes();
        let (first, last) = sizes.first().zip(sizes.last()).context("nothing was measured")?;
        let times = || report.rows.iter().flat_map(|row| [row.wall_ms.q1, row.wall_ms.q3]);
        let (low, high) = bounds(times());
        let (plot, legend) = area.split_horizontally(1_000 - NAME_WIDTH - 40);
        let mut chart = ChartBuilder::on(&plot)
            .margin(12)
            .x_label_area_size(48)
            .y_label_area_size(72)
            .build_cartesian_2d(
                // As wide as it takes for the outer points not to lie on the frame.
                (f64::from(*first) * 0.85..f64::from(*last) * 1.15)
                    .log_scale()
                    .with_key_points(sizes.iter().map(|&size| f64::from(size)).collect()),
                (low..high).log_scale(),
            )?;
        chart
            .configure_mesh()
            .label_style((FONT, TEXT))
            .axis_desc_style((FONT, TEXT + 1))
            .x_desc("wakeup sources")
            .y_desc("wall time of one call, ms")
            .x_label_formatter(&|size| format!("{size}"))
            .y_label_formatter(&|time| format!("{time}"))
            .light_line_style(BLACK.mix(0.06))
            .draw()?;

        let mut names = report.contenders();
        let at_last = |name: &str| report.row(name, *last).map_or(0.0, |row| row.wall_ms.median);
        names.sort_by(|a, b| at_last(b).total_cmp(&at_last(a)));
        for (place, name) in (0..).zip(names) {
            let color = color(name);
            let rows: Vec<&Row> = sizes.iter().filter_map(|&size| report.row(name, size)).collect();
            let point = |row: &&Row| (f64::from(row.sources), row.wall_ms.median);
            chart.draw_series(LineSeries::new(rows.iter().map(point), color.stroke_width(2)))?;
            chart.draw_series(rows.iter().map(|row| {
                let it = row.wall_ms;
                let x = f64::from(row.sources);
                ErrorBar::new_vertical(x, it.q1, it.median, it.q3, color.filled(), 8)
            }))?;
            let y = 40 + place * 26;
            legend.draw(&PathElement::new([(4, y), (30, y)], color.stroke_width(3)))?;
            legend.draw(&Circle::new((17, y), 4, color.filled()))?;
            let style = TextStyle::from((FONT, TEXT)).pos(Pos::new(HPos::Left, VPos::Center));
            legend.draw(&Text::new(name.to_owned(), (38, y), style))?;
        }
        Ok(())
    })
}

/// Wall and CPU time at a phone's number of sources, one pair of bars for each contender.
pub(crate) fn at_150(report: &Report) -> Result<String> {
    let title = format!("Reading {TYPICAL} wakeup sources once");
    let mut rows: Vec<&Row> = report.rows.iter().filter(|row| row.sources == TYPICAL).collect();
    rows.sort_by(|a, b| a.wall_ms.median.total_cmp(&b.wall_ms.median));
    let height = TITLE_HEIGHT + 90 + u32::try_from(rows.len())? * 40;
    draw((1_000, height), report, &title, |area| {
        let times = rows.iter().flat_map(|row| [row.wall_ms, row.cpu_ms]);
        let (low, high) = bounds(times.flat_map(|it| [it.q1, it.q3]));
        let mut chart = ChartBuilder::on(area)
            .margin(12)
            .margin_right(VALUE_WIDTH)
            .x_label_area_size(48)
            .y_label_area_size(NAME_WIDTH)
            .build_cartesian_2d(
                (low..high).log_scale(),
                RangedCoordf64::from(0.0..rows.len() as f64),
            )?;
        chart
            .configure_mesh()
            .disable_y_mesh()
            .y_labels(0)
            .label_style((FONT, TEXT))
            .axis_desc_style((FONT, TEXT + 1))
            .x_desc("time of one call, ms: dark wall, light CPU of all processes")
            .x_label_formatter(&|time| format!("{time}"))
            .light_line_style(BLACK.mix(0.06))
            .draw()?;
        for (place, row) in (0..).map(f64::from).zip(rows) {
            let color = color(&row.contender);
            let bar = |from: f64, to: f64, value: f64, style: ShapeStyle| {
                Rectangle::new([(low, place + from), (value, place + to)], style)
            };
            let (wall, cpu) = (row.wall_ms.median, row.cpu_ms.median);
            chart.draw_series([
                bar(0.5, 0.88, wall, color.filled()),
                bar(0.12, 0.5, cpu, color.mix(0.45).filled()),
            ])?;
            let spread = |at: f64, it: Quartiles| {
                PathElement::new([(it.q1, place + at), (it.q3, place + at)], BLACK.stroke_width(1))
            };
            chart.draw_series([spread(0.69, row.wall_ms), spread(0.31, row.cpu_ms)])?;
            let style = |side| TextStyle::from((FONT, TEXT)).pos(Pos::new(side, VPos::Center));
            let text = |text: String, x: f64, offset: i32, side| {
                let text = Text::new(text, (offset, 0), style(side));
                EmptyElement::at((x, place + 0.5)) + text
            };
            let values = format!("{} | {}", number(wall), number(cpu));
            chart.draw_series([
                text(row.contender.clone(), low, -8, HPos::Right),
                text(values, row.wall_ms.q3.max(row.cpu_ms.q3), 8, HPos::Left),
            ])?;
        }
        Ok(())
    })
}

/// A picture with a title, and below it what all of them are of.
fn draw(
    size: (u32, u32),
    report: &Report,
    title: &str,
    content: impl FnOnce(&Area<'_>) -> Result<()>,
) -> Result<String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        area.fill(&WHITE)?;
        let Report { kernel, accel, rounds, .. } = report;
        let (head, body) = area.split_vertically(TITLE_HEIGHT);
        let below = format!(
            "Median and quartiles of {rounds} rounds, all contenders by turns, \
             Linux {kernel} under {accel}."
        );
        let style = |size| TextStyle::from((FONT, size));
        head.draw(&Text::new(title.to_owned(), (24, 14), style(TITLE)))?;
        head.draw(&Text::new(below, (24, 44), style(TEXT).color(&BLACK.mix(0.7))))?;
        content(&body)?;
        area.present().map_err(|error| anyhow!("finish the picture: {error}"))?;
    }
    // Each file ends with a newline.
    Ok(svg.trim_end().to_owned() + "\n")
}

fn color(contender: &str) -> RGBColor {
    COLORS.iter().find(|(name, _)| *name == contender).map_or(BLACK, |(_, color)| *color)
}

/// A range on a logarithmic scale with some room around these values.
fn bounds(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values
        .filter(|value| *value > 0.0)
        .fold((f64::MAX, 0.0), |(low, high), value| (value.min(low), value.max(high)));
    if low > high { (0.1, 10.0) } else { (low / 1.6, high * 1.6) }
}

#[cfg(test)]
mod unit_tests {
    use super::*;
    use crate::bench_report::testing::report;

    #[test]
    fn plots_name_each_contender_and_say_where_it_was_measured() {
        let report = report(&[(50, "sysfs", 20.0), (150, "sysfs", 60.0), (150, "walk", 0.1)]);

        for svg in [by_sources(&report).unwrap(), at_150(&report).unwrap()] {
            assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"), "{svg}");
            for word in ["sysfs", "walk", "Linux 7.3.4 under TCG", "30 rounds", ", ms"] {
                assert!(svg.contains(word), "no {word:?} in:\n{svg}");
            }
        }
    }
}
