// SPDX-License-Identifier: Apache-2.0
//! Changes as lines of text for a terminal: names take the columns that numbers leave.

use wakeupstats_text::{escape, fit, short, width};

use crate::changes::{Change, Presence};

/// A number of each source, and what it is called.
pub(crate) type Column = (&'static str, fn(&Change) -> String);

/// What is shown of what happened; 51 columns with the spaces between them, if no number is very large.
pub(crate) const COLUMNS: [Column; 7] = [
    ("NOW", |it| match (it.presence, it.active) {
        (Presence::Gone, _) => "gone".into(),
        (_, true) => "active".into(),
        _ => "-".into(),
    }),
    ("HELD ms", |it| known(it, || short(positive(it.held_ns) / 1_000_000))),
    ("AWAKE %", |it| known(it, || format!("{:.2}", it.awake_percent))),
    ("ACTIVE #", |it| known(it, || short(it.active_count))),
    ("EVENTS #", |it| known(it, || short(it.event_count))),
    ("WAKE #", |it| known(it, || short(it.wakeup_count))),
    ("EXPIRE #", |it| known(it, || short(it.expire_count))),
];

/// What a name begins with if its source is new.
pub(crate) const NEW: char = '+';

/// Names have so many columns at the least.
const MIN_NAME: usize = 8;

/// How much room names get.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Names {
    /// As much as the longest needs.
    Needed,
    /// All there is, so that numbers stay where they are from one table to the next.
    All,
}

/// A line of headers and one for each change, in `columns` of the terminal at the most, if that is enough.
pub(crate) fn lines(changes: &[&Change], columns: usize, room: Names) -> Vec<String> {
    let numbers: Vec<Vec<String>> = COLUMNS
        .iter()
        .map(|(title, cell)| {
            let cells = changes.iter().map(|it| cell(it));
            aligned(std::iter::once((*title).to_owned()).chain(cells).collect())
        })
        .collect();
    let taken = numbers.iter().filter_map(|cells| cells.first());
    let taken: usize = taken.map(|cell| width(cell) + 1).sum();
    let names: Vec<String> =
        std::iter::once("NAME".to_owned()).chain(changes.iter().map(|it| name(it))).collect();
    let most = columns.saturating_sub(taken);
    let needed = names.iter().map(|name| width(name)).max().unwrap_or(0);
    let room = if room == Names::All { most } else { most.min(needed) }.max(MIN_NAME);
    let line = |(index, name): (usize, &String)| {
        let cells = numbers.iter().filter_map(|cells| cells.get(index)).map(String::as_str);
        std::iter::once(&*fit(name, false, room)).chain(cells).collect::<Vec<_>>().join(" ")
    };
    names.iter().enumerate().map(line).collect()
}

fn name(change: &Change) -> String {
    let mark = if change.presence == Presence::New { NEW.to_string() } else { String::new() };
    mark + &escape(&change.name)
}

fn known(change: &Change, show: impl Fn() -> String) -> String {
    if change.presence == Presence::Gone { "-".into() } else { show() }
}

fn aligned(cells: Vec<String>) -> Vec<String> {
    let columns = cells.iter().map(String::len).max().unwrap_or(0);
    cells.into_iter().map(|cell| format!("{cell:>columns$}")).collect()
}

fn positive(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// Seconds with so many decimals.
#[expect(clippy::cast_precision_loss, reason = "to be shown")]
pub(crate) fn seconds(ns: i64, decimals: usize) -> String {
    format!("{:.decimals$}", ns as f64 / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(name: &str) -> Change {
        Change {
            name: name.to_owned(),
            active: true,
            held_ns: 1_234_000_000,
            awake_percent: 12.345,
            active_count: 3,
            ..Change::default()
        }
    }

    #[test]
    fn table_is_as_wide_as_it_may_be_and_harms_no_terminal() {
        let changes = [change("a"), change("\x1b[2J"), change(&"日本".repeat(60))];
        let gone = Change { presence: Presence::Gone, ..change("away") };
        let new = Change { presence: Presence::New, ..change("fresh") };
        let rows: Vec<&Change> = changes.iter().chain([&gone, &new]).collect();

        let lines = lines(&rows, 80, Names::All);

        assert!(lines.iter().all(|line| width(line) <= 80), "{lines:#?}");
        assert!(lines.iter().any(|line| width(line) == 80), "{lines:#?}");
        assert!(lines[0].starts_with("NAME ") && lines[0].ends_with("EXPIRE #"), "{lines:#?}");
        assert!(lines[2].starts_with(r"\u{1b}[2J "), "{lines:#?}");
        let cells = |index: usize| lines[index].split_whitespace().collect::<Vec<_>>();
        assert_eq!(cells(1), ["a", "active", "1234", "12.35", "3", "0", "0", "0"]);
        assert_eq!(cells(4), ["away", "gone", "-", "-", "-", "-", "-", "-"]);
        assert_eq!(cells(5)[0], "+fresh");
    }

    #[test]
    fn table_of_short_names_is_no_wider_than_it_needs() {
        let lines = lines(&[&change("a-name")], 200, Names::Needed);

        assert!(lines[1].starts_with("a-name   active "), "{lines:#?}");
    }
}
