// SPDX-License-Identifier: Apache-2.0
//! A timeline as a page: the picture, and a table with all numbers.

use svg::Node;
use svg::node::Text;
use svg::node::element::Element;
use wakeupstats_text::escape;

use crate::labels::percent;
use crate::picture::picture;
use crate::timeline::{Timeline, share};

const STYLE: &str = "body { font: 14px sans-serif; margin: 24px; color: #212529 } \
    svg { max-width: 100%; height: auto } \
    table { border-collapse: collapse; margin: 24px 16px } \
    th, td { padding: 3px 14px; text-align: right; border-bottom: 1px solid #dee2e6 } \
    .name { text-align: left }";

const COLUMNS: [&str; 6] = ["source", "node", "owner", "active, s", "share", "activations"];

/// Those that are words and not numbers.
const WORDS: usize = 3;

/// Writes it, with rows in the picture for so many sources. It needs nothing beside it.
pub(crate) fn write(timeline: &Timeline, top: usize) -> String {
    let head = element("head")
        .with(element("meta").having("charset", "utf-8"))
        .with(element("title").with(Text::new("wakeupstats")))
        .with(element("style").with(Text::new(STYLE)));
    let body = element("body").with(picture(timeline, top)).with(table(timeline));
    format!("<!DOCTYPE html>\n{}\n", element("html").having("lang", "en").with(head).with(body))
}

/// All sources that were active, not only those in the picture.
fn table(timeline: &Timeline) -> Element {
    let mut table = element("table").with(row("th", COLUMNS.map(str::to_owned)));
    let seconds = |ns: i64| format!("{:.6}", ns as f64 / 1e9);
    let of_all = |ns: i64| percent(share(ns, timeline.length_ns()));
    let nothing = || "-".to_owned();
    for (name, pieces) in
        [("any source, at least", &timeline.any), ("suspended", &timeline.suspended)]
    {
        let held = pieces.held_ns();
        let (name, none) = (name.to_owned(), nothing());
        table.append(row("td", [name, nothing(), nothing(), seconds(held), of_all(held), none]));
    }
    for track in timeline.tracks.iter().filter(|track| track.active.held_ns() > 0) {
        let held = track.active.held_ns();
        let owner = if track.device.is_empty() { nothing() } else { escape(&track.device) };
        table.append(row(
            "td",
            [
                escape(&track.name),
                format!("wakeup{}", track.id),
                owner,
                seconds(held),
                of_all(held),
                track.activations.to_string(),
            ],
        ));
    }
    table
}

fn row(cell: &str, cells: [String; 6]) -> Element {
    cells.into_iter().enumerate().fold(element("tr"), |row, (index, content)| {
        let class = if index < WORDS { "name" } else { "number" };
        row.with(element(cell).having("class", class).with(Text::new(content)))
    })
}

fn element(name: &str) -> Element {
    Element::new(name)
}

/// Elements of any name are built like those that the crate has.
trait Build: Sized {
    fn with(self, child: impl Node) -> Self;
    fn having(self, name: &str, value: &str) -> Self;
}

impl Build for Element {
    fn with(mut self, child: impl Node) -> Self {
        self.append(child);
        self
    }

    fn having(mut self, name: &str, value: &str) -> Self {
        self.assign(name, value);
        self
    }
}
