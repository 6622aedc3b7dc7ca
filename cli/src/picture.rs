// SPDX-License-Identifier: Apache-2.0
//! A timeline as SVG: a row for each source, shaded by how much of the time it was active.

use std::time::{Duration, UNIX_EPOCH};

use svg::node::element::{Definitions, Group, Line, Pattern, Rectangle, SVG, Text, Title};

use crate::labels::{Labels, clock, length, percent};
use crate::timeline::{Pieces, Timeline, share};

/// The time is divided into so many columns, each a unit of the picture wide.
const COLUMNS: u16 = 800;
/// Shades that are told apart.
const SHADES: f64 = 10.0;
/// The faintest is still seen.
const FAINTEST: f64 = 0.2;

const LEFT: f64 = 236.0;
const RIGHT: f64 = 164.0;
const TOP: f64 = 96.0;
const BOTTOM: f64 = 64.0;
const ROW: f64 = 22.0;
const BAR: f64 = 16.0;

const ANY: &str = "#343a40";
const SOURCE: &str = "#d9480f";
const OTHERS: &str = "#a9744f";
const SUSPENDED: &str = "#1971c2";
const QUIET: &str = "#6c757d";

/// Between two lines of the grid, the first of these by which there are no more than this many. Seconds.
const STEPS: &[f64] = &[
    0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0,
    900.0, 1_800.0, 3_600.0, 7_200.0, 14_400.0, 28_800.0, 86_400.0, 604_800.0,
];
const MOST_LINES: f64 = 9.0;

/// A row of the picture.
struct Row<'a> {
    /// Whom it is of, and more of that.
    label: String,
    title: String,
    color: &'static str,
    /// When; several are summed.
    pieces: Vec<&'a Pieces>,
}

/// Draws it, with rows for so many sources.
pub(crate) fn draw(timeline: &Timeline, top: usize) -> String {
    let mut picture = picture(timeline, top).to_string();
    picture.push('\n');
    picture
}

/// The same, to be put into a page.
pub(crate) fn picture(timeline: &Timeline, top: usize) -> SVG {
    let rows = rows(timeline, top);
    let columns = f64::from(COLUMNS);
    let bottom = TOP + ROW * rows.len() as f64;
    let (width, height) = (LEFT + columns + RIGHT, bottom + BOTTOM);
    let mut picture = SVG::new()
        .set("viewBox", (0, 0, width, height))
        .set("width", width)
        .set("height", height)
        .set("font-family", "sans-serif")
        .set("font-size", 13)
        .add(hatching())
        .add(rect(0.0, 0.0, width, height).set("fill", "white"))
        .add(text(16.0, 34.0, &title(timeline)).set("font-size", 20))
        .add(text(16.0, 58.0, &subtitle(timeline)).set("fill", QUIET))
        .add(text(LEFT + columns + 84.0, TOP - 8.0, "active").set("text-anchor", "end"))
        .add(text(width - 12.0, TOP - 8.0, "share").set("text-anchor", "end"))
        .add(grid(timeline, bottom));
    for (index, row) in rows.iter().enumerate() {
        picture = picture.add(draw_row(timeline, row, TOP + ROW * index as f64));
    }
    picture.add(events(timeline, bottom)).add(legend(timeline, bottom + 48.0))
}

fn rows(timeline: &Timeline, top: usize) -> Vec<Row<'_>> {
    let labels = Labels::new(timeline);
    let mut active = timeline.tracks.iter().filter(|track| track.active.held_ns() > 0);
    let mut rows = vec![Row {
        label: "any source, at least".to_owned(),
        title: "What is known for certain: sources that were active by turns, at times that are \
                not known exactly, may have been so for longer"
            .to_owned(),
        color: ANY,
        pieces: vec![&timeline.any],
    }];
    rows.extend(active.by_ref().take(top).map(|track| Row {
        label: labels.short(track),
        title: labels.long(track),
        color: SOURCE,
        pieces: vec![&track.active],
    }));
    let others: Vec<_> = active.map(|track| &track.active).collect();
    if !others.is_empty() {
        let label = format!("{} more, summed", others.len());
        rows.push(Row { title: label.clone(), label, color: OTHERS, pieces: others });
    }
    if timeline.suspended.held_ns() > 0 {
        let label = "suspended".to_owned();
        let pieces = vec![&timeline.suspended];
        rows.push(Row { title: label.clone(), label, color: SUSPENDED, pieces });
    }
    rows
}

fn draw_row(timeline: &Timeline, row: &Row<'_>, y: f64) -> Group {
    let baseline = y + 16.0;
    let held_ns = row.pieces.iter().map(|pieces| pieces.held_ns()).sum();
    let right = LEFT + f64::from(COLUMNS);
    let mut group = Group::new()
        .add(text(LEFT - 10.0, baseline, &row.label).set("text-anchor", "end").add(tip(&row.title)))
        .add(text(right + 84.0, baseline, &length(held_ns)).set("text-anchor", "end"))
        .add(
            text(right + RIGHT - 12.0, baseline, &percent(share(held_ns, timeline.length_ns())))
                .set("text-anchor", "end"),
        )
        .add(
            rect(LEFT, y + 3.0, f64::from(COLUMNS), BAR)
                .set("fill", row.color)
                .set("fill-opacity", 0.05),
        );
    let at = |column: usize| timeline.length_ns() as f64 * column as f64 / f64::from(COLUMNS);
    for run in runs(&columns(timeline, &row.pieces)) {
        let (from, to) = (at(run.from) as i64, at(run.to) as i64);
        let when = format!(
            "{}: {} to {}, {} of it",
            row.title,
            clock(from, timeline.length_ns()),
            clock(to, timeline.length_ns()),
            percent(run.share)
        );
        let (x, width) = (LEFT + run.from as f64, (run.to - run.from) as f64);
        let bar = rect(x, y + 3.0, width, BAR).set("fill", row.color);
        group = group.add(bar.set("fill-opacity", opacity(run.shade)).add(tip(&when)));
    }
    group
}

/// How much of each column something was so.
fn columns(timeline: &Timeline, pieces: &[&Pieces]) -> Vec<f64> {
    let scale = f64::from(COLUMNS) / timeline.length_ns() as f64;
    let mut columns = vec![0.0; usize::from(COLUMNS)];
    for piece in pieces.iter().flat_map(|pieces| pieces.iter()) {
        let from = (piece.from_ns - timeline.from_ns) as f64 * scale;
        let to = (piece.to_ns - timeline.from_ns) as f64 * scale;
        let touched = columns.iter_mut().enumerate().skip(from as usize);
        for (index, column) in touched.take_while(|(index, _)| (*index as f64) < to) {
            let overlap = to.min(index as f64 + 1.0) - from.max(index as f64);
            *column += overlap * piece.share();
        }
    }
    columns
}

/// Columns beside one another of one shade, and their share in the mean.
struct Run {
    from: usize,
    to: usize,
    shade: u8,
    share: f64,
}

fn runs(columns: &[f64]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (index, &share) in columns.iter().enumerate().filter(|(_, share)| **share > 0.0) {
        // Several that are summed may be more than all of the time.
        let share = share.min(1.0);
        let shade = (share * SHADES).ceil() as u8;
        match runs.last_mut() {
            Some(run) if run.to == index && run.shade == shade => {
                let columns = (run.to - run.from) as f64;
                run.share = (run.share * columns + share) / (columns + 1.0);
                run.to += 1;
            }
            _ => runs.push(Run { from: index, to: index + 1, shade, share }),
        }
    }
    runs
}

fn opacity(shade: u8) -> f64 {
    FAINTEST + (1.0 - FAINTEST) * (f64::from(shade) - 1.0) / (SHADES - 1.0)
}

fn title(timeline: &Timeline) -> String {
    let (header, length_ns) = (&timeline.header, timeline.length_ns());
    let begin = timeline.from_ns - header.boottime_ns + header.realtime_ns;
    let begin = UNIX_EPOCH + Duration::from_nanos(u64::try_from(begin).unwrap_or(0));
    let begin = humantime::format_rfc3339_seconds(begin).to_string();
    format!("What kept the device awake: {} from {begin}", length(length_ns))
}

fn subtitle(timeline: &Timeline) -> String {
    let active = timeline.tracks.iter().filter(|track| track.active.held_ns() > 0).count();
    let every = Duration::from_nanos(u64::try_from(timeline.header.interval_ns).unwrap_or(0));
    format!(
        "Linux {}, {} wakeup sources, {active} of them active. Recorded every {}, by backend {}.",
        timeline.header.kernel,
        timeline.tracks.len(),
        humantime::format_duration(every),
        timeline.header.backend,
    )
}

/// Where on the picture a time is.
fn x(timeline: &Timeline, at_ns: i64) -> f64 {
    LEFT + f64::from(COLUMNS) * share(at_ns - timeline.from_ns, timeline.length_ns())
}

fn grid(timeline: &Timeline, bottom: f64) -> Group {
    let seconds = timeline.length_ns() as f64 / 1e9;
    let fits = |step: &&f64| seconds / **step <= MOST_LINES;
    let step = STEPS.iter().find(fits).copied().unwrap_or(seconds);
    let mut grid = Group::new().set("fill", QUIET);
    let mut at = 0.0;
    while at <= seconds {
        let at_ns = (at * 1e9) as i64;
        let x = x(timeline, timeline.from_ns + at_ns);
        let label = clock(at_ns, timeline.length_ns());
        grid = grid
            .add(line(x, TOP, bottom + 4.0).set("stroke", "#dee2e6"))
            .add(text(x, bottom + 20.0, &label).set("text-anchor", "middle"));
        at += step;
    }
    grid
}

/// Gaps and restarts, over all rows.
fn events(timeline: &Timeline, bottom: f64) -> Group {
    let mut group = Group::new();
    for gap in &timeline.gaps {
        let (from, to) = (x(timeline, gap.from_ns), x(timeline, gap.to_ns));
        let area = rect(from, TOP, (to - from).max(1.0), bottom - TOP);
        group = group.add(area.set("fill", "url(#hatching)").add(tip(&gap.reason)));
    }
    for &at in &timeline.restarts {
        let restart = line(x(timeline, at), TOP - 6.0, bottom).set("stroke", ANY);
        group = group.add(restart.set("stroke-dasharray", "4 3").add(tip("the service restarted")));
    }
    group
}

/// What shades and marks mean.
fn legend(timeline: &Timeline, y: f64) -> Group {
    let mut legend = Group::new().set("fill", QUIET);
    for shade in 1..=SHADES as u8 {
        let swatch = rect(LEFT + f64::from(shade - 1) * 14.0, y - 11.0, 14.0, 12.0);
        legend = legend.add(swatch.set("fill", SOURCE).set("fill-opacity", opacity(shade)));
    }
    let mut words = "up to 10 % … all of the time active.".to_owned();
    if !timeline.gaps.is_empty() {
        words.push_str(" Hatched: nobody looked, only sums are known.");
    }
    if !timeline.restarts.is_empty() {
        words.push_str(" Dashed: the service restarted.");
    }
    legend.add(text(LEFT + 150.0, y, &words))
}

fn hatching() -> Definitions {
    Definitions::new().add(
        Pattern::new()
            .set("id", "hatching")
            .set("width", 7)
            .set("height", 7)
            .set("patternUnits", "userSpaceOnUse")
            .set("patternTransform", "rotate(45)")
            .add(rect(0.0, 0.0, 2.0, 7.0).set("fill", ANY).set("fill-opacity", 0.35)),
    )
}

fn rect(x: f64, y: f64, width: f64, height: f64) -> Rectangle {
    Rectangle::new().set("x", x).set("y", y).set("width", width).set("height", height)
}

/// A vertical one.
fn line(x: f64, from: f64, to: f64) -> Line {
    Line::new().set("x1", x).set("x2", x).set("y1", from).set("y2", to)
}

fn text(x: f64, y: f64, content: &str) -> Text {
    Text::new(content).set("x", x).set("y", y)
}

/// What is shown where the pointer stays.
fn tip(content: &str) -> Title {
    Title::new(content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::tests::timeline;

    #[test]
    fn who_was_active_longest_is_on_top_and_the_rest_is_summed() {
        let timeline = timeline(&[
            r#"{"tick":{"m":0,"s":[{"h":1,"n":"quiet"},{"h":2,"n":"short"},{"h":3,"n":"long"},
                {"h":4,"n":"shorter"}]}}"#
                .replace('\n', "")
                .as_str(),
            r#"{"tick":{"m":4S,"s":[{"h":2,"a":2,"t":1S,"l":14S},{"h":3,"f":1,"a":1,"t":3S,"l":11S},
                {"h":4,"a":2,"t":1000,"l":14S}]}}"#
                .replace('\n', "")
                .as_str(),
        ]);

        let rows = rows(&timeline, 2);

        let labels: Vec<_> = rows.iter().map(|row| row.label.as_str()).collect();
        assert_eq!(labels, ["any source, at least", "long", "short", "1 more, summed"]);
        let drawn = draw(&timeline, 2);
        for words in ["2.00 s", "75.0 %", "4 wakeup sources, 3 of them active", "1.00 s to 4.00 s"]
        {
            assert!(drawn.contains(words), "no {words:?} in {drawn}");
        }
    }

    #[test]
    fn names_can_not_break_out_of_the_picture() {
        let timeline = timeline(&[
            r#"{"tick":{"m":0,"s":[{"h":1,"n":"</text><script>\u0007&\"'"}]}}"#,
            r#"{"tick":{"m":1S,"s":[{"h":1,"f":1,"a":1,"t":1S,"l":10S}]}}"#,
        ]);

        let drawn = draw(&timeline, 1);

        assert!(!drawn.contains("<script"), "{drawn}");
        assert!(!drawn.chars().any(|it| it.is_control() && it != '\n'), "{drawn}");
        assert!(drawn.contains("&lt;/text&gt;&lt;script&gt;\\u{7}&amp;"), "{drawn}");
    }

    #[test]
    fn a_column_has_its_share_however_short() {
        let timeline = timeline(&[
            r#"{"tick":{"m":0,"s":[{"h":1,"n":"a"}]}}"#,
            r#"{"tick":{"m":800S,"s":[{"h":1,"a":1,"t":1500000000,"l":20S}]}}"#,
        ]);

        let columns = columns(&timeline, &[&timeline.tracks[0].active]);

        let runs = runs(&columns);
        let shown: Vec<_> = runs.iter().map(|it| (it.from, it.to, it.shade)).collect();
        assert_eq!(shown, [(8, 9, 5), (9, 10, 10)]);
        assert!((columns.iter().sum::<f64>() - 1.5).abs() < 1e-9);
        let shades: Vec<u8> = super::runs(&[0.0, 0.004, 1.7]).iter().map(|run| run.shade).collect();
        assert_eq!(shades, [1, 10], "the least is seen, and no sum is more than all");
    }
}
