// SPDX-License-Identifier: Apache-2.0
//! Names and numbers as a picture or a page shows them.

use std::collections::BTreeMap;

use wakeupstats_text::{escape, fit};

use crate::timeline::{Timeline, Track};

/// What fits beside a row. Columns.
const WIDEST: usize = 30;

/// What to call sources, of which several may have one name.
pub(crate) struct Labels<'a>(BTreeMap<&'a str, u32>);

impl<'a> Labels<'a> {
    pub(crate) fn new(timeline: &'a Timeline) -> Self {
        let mut names = BTreeMap::new();
        for track in timeline.tracks.iter().filter(|track| track.active.held_ns() > 0) {
            *names.entry(&*track.name).or_default() += 1;
        }
        Self(names)
    }

    /// A name that fits beside a row.
    pub(crate) fn short(&self, track: &Track) -> String {
        let name = escape(&track.name);
        let node = self.node(track);
        let room = WIDEST.saturating_sub(node.len());
        format!("{}{node}", fit(&name, false, room).trim_end())
    }

    /// The whole name, and who owns it.
    pub(crate) fn long(&self, track: &Track) -> String {
        let owner = if track.device.is_empty() || track.device == track.name {
            String::new()
        } else {
            format!(" of {}", escape(&track.device))
        };
        format!("{}{owner}{}", escape(&track.name), self.node(track))
    }

    /// Its node in sysfs, where its name is also another's.
    fn node(&self, track: &Track) -> String {
        match self.0.get(&*track.name) {
            Some(2..) => format!(" (wakeup{})", track.id),
            _ => String::new(),
        }
    }
}

/// A length of time, with three digits or so.
pub(crate) fn length(ns: i64) -> String {
    let seconds = ns as f64 / 1e9;
    let whole = ns / 1_000_000_000;
    match whole {
        ..1 => format!("{:.1} ms", ns as f64 / 1e6),
        1..10 => format!("{seconds:.2} s"),
        10..60 => format!("{seconds:.1} s"),
        60..3_600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3_600, whole / 60 % 60),
    }
}

/// A time since the begin, as precise as the whole length makes sense of.
pub(crate) fn clock(at_ns: i64, length_ns: i64) -> String {
    let seconds = at_ns / 1_000_000_000;
    let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
    match length_ns / 1_000_000_000 {
        ..20 => format!("{:.2} s", at_ns as f64 / 1e9),
        20..3_600 => format!("{}:{:02}", seconds / 60, seconds % 60),
        _ => format!("{hours}:{minutes:02}:{:02}", seconds % 60),
    }
}

/// A share, never none where there is some.
pub(crate) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent > 0.0 && percent < 0.1 { "< 0.1 %".to_owned() } else { format!("{percent:.1} %") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_have_units_that_fit() {
        let all =
            [0, 345_600_000, 2_345_678_900, 59_949_000_000, 63_000_000_000, 7_260_000_000_000];
        let all = all.map(length);
        assert_eq!(all, ["0.0 ms", "345.6 ms", "2.35 s", "59.9 s", "1 min 03 s", "2 h 01 min"]);
    }

    #[test]
    fn little_is_not_nothing() {
        assert_eq!([0.0, 0.0004, 0.5, 1.0].map(percent), ["0.0 %", "< 0.1 %", "50.0 %", "100.0 %"]);
    }
}
