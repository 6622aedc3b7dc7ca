// SPDX-License-Identifier: Apache-2.0
//! From a recording to who was active when: what `plot` and `export` show.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::path::Path;
use std::rc::Rc;

use anyhow::Result;

use crate::recording::{Header, Recorded};
use crate::replay::{Change, Event, Moment, Replay};

/// A stretch of CLOCK_BOOTTIME, and for how much of it something was so: active, suspended.
///
/// Where that is all of it, it is known exactly when it was; otherwise only how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) from_ns: i64,
    pub(crate) to_ns: i64,
    pub(crate) held_ns: i64,
}

impl Piece {
    fn new(from_ns: i64, to_ns: i64, held_ns: i64) -> Self {
        Self { from_ns, to_ns, held_ns: held_ns.clamp(0, to_ns.saturating_sub(from_ns).max(0)) }
    }

    /// All of this stretch.
    fn whole(from_ns: i64, to_ns: i64) -> Self {
        Self::new(from_ns, to_ns, i64::MAX)
    }

    pub(crate) fn length_ns(&self) -> i64 {
        self.to_ns - self.from_ns
    }

    /// Whether it is all of the stretch.
    pub(crate) fn is_whole(&self) -> bool {
        self.held_ns == self.length_ns()
    }

    /// How much of the stretch, from 0 to 1.
    pub(crate) fn share(&self) -> f64 {
        share(self.held_ns, self.length_ns())
    }

    /// What of it lies between two times, if any; as much of it as of the stretch.
    pub(crate) fn within(&self, from_ns: i64, to_ns: i64) -> Option<Piece> {
        let (from, to) = (self.from_ns.max(from_ns), self.to_ns.min(to_ns));
        let part = |it: i64| (it as f64 * share(to - from, self.length_ns())).round() as i64;
        (from < to).then(|| {
            let held = if self.is_whole() { to - from } else { part(self.held_ns) };
            Piece::new(from, to, held)
        })
    }
}

/// One number as a share of another.
pub(crate) fn share(part_ns: i64, of_ns: i64) -> f64 {
    if of_ns > 0 { part_ns as f64 / of_ns as f64 } else { 0.0 }
}

/// A source's or another thing's pieces, in order of time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pieces(Vec<Piece>);

impl Pieces {
    /// Adds a later one. Whole ones that touch become one.
    fn push(&mut self, piece: Piece) {
        match self.0.last_mut() {
            _ if piece.held_ns == 0 => (),
            Some(last) if last.to_ns == piece.from_ns && last.is_whole() && piece.is_whole() => {
                *last = Piece::whole(last.from_ns, piece.to_ns);
            }
            _ => self.0.push(piece),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Piece> {
        self.0.iter()
    }

    /// How long in all.
    pub(crate) fn held_ns(&self) -> i64 {
        self.0.iter().map(|piece| piece.held_ns).sum()
    }

    fn within(&self, from_ns: i64, to_ns: i64) -> Pieces {
        Pieces(self.0.iter().filter_map(|piece| piece.within(from_ns, to_ns)).collect())
    }
}

/// A source over the time of the recording.
#[derive(Clone, Debug)]
pub(crate) struct Track {
    pub(crate) name: Rc<str>,
    pub(crate) device: Rc<str>,
    /// N of the kernel's wakeupN.
    pub(crate) id: i32,
    /// How often it was activated while it was recorded.
    pub(crate) activations: i64,
    /// When it was active.
    pub(crate) active: Pieces,
}

/// When nobody looked. What happened to the sources meanwhile is known all the same, as a sum.
#[derive(Clone, Debug)]
pub(crate) struct Gap {
    pub(crate) from_ns: i64,
    /// As `from_ns` if the recording ends with it.
    pub(crate) to_ns: i64,
    pub(crate) reason: String,
}

/// A recording over its time, CLOCK_BOOTTIME.
#[derive(Clone, Debug)]
pub(crate) struct Timeline {
    pub(crate) header: Header,
    pub(crate) from_ns: i64,
    pub(crate) to_ns: i64,
    /// All sources that there were, those first that were active the longest.
    pub(crate) tracks: Vec<Track>,
    /// When any source was active at the least: more is not known of stretches that are not whole.
    pub(crate) any: Pieces,
    /// When the device was suspended.
    pub(crate) suspended: Pieces,
    pub(crate) gaps: Vec<Gap>,
    /// When another life of the service was first seen.
    pub(crate) restarts: Vec<i64>,
    /// Whether the recorder was killed while it wrote.
    pub(crate) is_torn: bool,
}

impl Timeline {
    /// Reads a recording.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        Timeline::of(Replay::open(path)?)
    }

    fn of<R: BufRead>(mut replay: Replay<R>) -> Result<Self> {
        let header = replay.header().clone();
        let from_ns = header.boottime_ns;
        let mut timeline = Timeline {
            header,
            from_ns,
            to_ns: from_ns,
            tracks: Vec::new(),
            any: Pieces::default(),
            suspended: Pieces::default(),
            gaps: Vec::new(),
            restarts: Vec::new(),
            is_torn: false,
        };
        let mut tracks = BTreeMap::new();
        let mut is_first = true;
        let mut is_away = false;
        let mut before = replay.moment();
        while let Some(event) = replay.next()? {
            match event {
                Event::Away(away) => {
                    let at = before.boottime_ns;
                    timeline.gaps.push(Gap { from_ns: at, to_ns: at, reason: away.reason });
                    is_away = true;
                }
                Event::Tick(tick, changes) => {
                    let interval = Interval { from: before, to: replay.moment() };
                    before = interval.to;
                    if tick.instance.is_some() {
                        timeline.restarts.push(before.boottime_ns);
                    }
                    timeline.add(interval, tick.suspended_ns);
                    if let Some(gap) = timeline.gaps.last_mut().filter(|_| is_away) {
                        gap.to_ns = timeline.to_ns;
                    }
                    is_away = false;
                    // Of the first it is not known since when they are as they are.
                    let known = if is_first { None } else { Some(interval) };
                    for piece in add_changes(&mut tracks, known, changes).0 {
                        timeline.any.push(piece);
                    }
                    is_first = false;
                }
            }
        }
        timeline.is_torn = replay.is_torn();
        timeline.tracks = tracks.into_values().collect();
        timeline.sort();
        Ok(timeline)
    }

    fn add(&mut self, interval: Interval, suspended_ns: i64) {
        let (from, to) = (interval.from.boottime_ns, interval.to.boottime_ns);
        self.to_ns = to;
        self.suspended.push(Piece::new(from, to, suspended_ns));
    }

    fn sort(&mut self) {
        self.tracks.sort_by_key(|track| std::cmp::Reverse(track.active.held_ns()));
    }

    /// What of it lies between two times since its begin.
    pub(crate) fn within(mut self, from_ns: i64, to_ns: i64) -> Self {
        let at = |offset: i64| self.from_ns.saturating_add(offset).clamp(self.from_ns, self.to_ns);
        let (from, to) = (at(from_ns), at(to_ns).max(at(from_ns)));
        for track in &mut self.tracks {
            track.active = track.active.within(from, to);
        }
        self.any = self.any.within(from, to);
        self.suspended = self.suspended.within(from, to);
        self.gaps.retain(|gap| gap.from_ns <= to && from <= gap.to_ns);
        for gap in &mut self.gaps {
            (gap.from_ns, gap.to_ns) = (gap.from_ns.max(from), gap.to_ns.min(to));
        }
        self.restarts.retain(|at| (from..=to).contains(at));
        (self.from_ns, self.to_ns) = (from, to);
        self.sort();
        self
    }

    /// How long it is.
    pub(crate) fn length_ns(&self) -> i64 {
        self.to_ns - self.from_ns
    }
}

/// The time from one tick to the next.
#[derive(Clone, Copy, Debug)]
struct Interval {
    from: Moment,
    to: Moment,
}

/// Adds what happened in an interval to its sources' tracks. Returns when any was active.
fn add_changes(
    tracks: &mut BTreeMap<i64, Track>,
    interval: Option<Interval>,
    changes: Vec<Change>,
) -> Pieces {
    let mut all = Vec::new();
    for change in changes {
        let now = &change.now;
        let track = tracks.entry(now.handle).or_insert_with(|| Track {
            name: now.name.clone().unwrap_or_default(),
            device: now.device.clone().unwrap_or_default(),
            id: now.id,
            activations: 0,
            active: Pieces::default(),
        });
        let Some(interval) = interval else { continue };
        let activations = now.active_count.saturating_sub(change.former.active_count);
        track.activations = track.activations.saturating_add(activations);
        for piece in interval.pieces(&change.former, now) {
            track.active.push(piece);
            all.push(piece);
        }
    }
    any(all)
}

impl Interval {
    /// When a source was active, by what it was before and after. In order.
    fn pieces(&self, former: &Recorded, now: &Recorded) -> Vec<Piece> {
        let (from, to) = (self.from.monotonic_ns, self.to.monotonic_ns);
        let held = now.total_time_ns.saturating_sub(former.total_time_ns).clamp(0, to - from);
        let changed = now.last_change_ns.clamp(from, to);
        let activations = now.active_count.saturating_sub(former.active_count);
        let whole = |from, to| vec![self.piece(from, to, i64::MAX)];
        match (former.active, now.active, activations) {
            (true, true, 0) => whole(from, to),
            (true, false, 0) => whole(from, changed),
            (false, true, 1) => whole(changed, to),
            (false, false, 1) if changed > from => {
                whole(changed.saturating_sub(held).max(from), changed)
            }
            // More than once: only that from the last change on is known.
            (_, true, _) => {
                let last = held.min(to - changed);
                vec![self.piece(from, changed, held - last), self.piece(to - last, to, last)]
            }
            // A row that is not consistent may not have its last change yet.
            (_, false, _) => {
                vec![self.piece(from, if changed > from { changed } else { to }, held)]
            }
        }
    }

    /// A stretch of CLOCK_MONOTONIC as one of CLOCK_BOOTTIME. Where between the ticks the device was
    /// suspended is not known: after what began with the interval, it is taken, and before the rest.
    fn piece(&self, from: i64, to: i64, held: i64) -> Piece {
        let before = self.from.boottime_ns - self.from.monotonic_ns;
        let after = self.to.boottime_ns - self.to.monotonic_ns;
        let is_early = from <= self.from.monotonic_ns;
        let to_before = is_early && to < self.to.monotonic_ns;
        Piece::new(
            from + if is_early { before } else { after },
            to + if to_before { before } else { after },
            held,
        )
    }
}

/// When any of several things of one interval was so, at the least.
fn any(mut pieces: Vec<Piece>) -> Pieces {
    pieces.retain(|piece| piece.held_ns > 0);
    pieces.sort_by_key(|piece| piece.from_ns);
    let longest = pieces.iter().max_by_key(|piece| piece.held_ns).copied();
    let mut union = Pieces::default();
    for piece in pieces.iter().filter(|piece| piece.is_whole()) {
        match union.0.last_mut() {
            Some(last) if piece.from_ns <= last.to_ns => {
                *last = Piece::whole(last.from_ns, last.to_ns.max(piece.to_ns));
            }
            _ => union.0.push(*piece),
        }
    }
    match longest {
        Some(longest) if longest.held_ns > union.held_ns() => Pieces(vec![longest]),
        _ => union,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const S: i64 = 1_000_000_000;

    /// The timeline of a recording with these lines after its header, which begins at 10 s of
    /// CLOCK_MONOTONIC and 100 s of CLOCK_BOOTTIME. `S` in it stands for nine zeros.
    pub(crate) fn timeline(lines: &[&str]) -> Timeline {
        let header = r#"{"header":{"version":1,"kernel":"7.3.4","backend":"load","instance":1,
            "interval_ns":1S,"monotonic_ns":10S,"boottime_ns":100S,"realtime_ns":1700000000S}}"#;
        let header = header.replace('\n', "");
        let lines: Vec<&str> = std::iter::once(&*header).chain(lines.iter().copied()).collect();
        let text = (lines.join("\n") + "\n").replace('S', "000000000");
        Timeline::of(Replay::new(text.as_bytes(), "test".to_owned()).unwrap()).unwrap()
    }

    /// When a source was active that became so after these ticks; its name is "a".
    fn active(lines: &[&str]) -> Vec<(i64, i64, i64)> {
        let begin = r#"{"tick":{"m":0,"s":[{"h":1,"n":"a","a":7,"t":9S,"l":9S}]}}"#;
        let timeline = timeline(&[&[begin], lines].concat());
        let pieces = timeline.tracks[0].active.iter();
        pieces.map(|it| (it.from_ns, it.to_ns, it.held_ns)).collect()
    }

    #[test]
    fn what_was_before_does_not_count() {
        assert_eq!(active(&[r#"{"tick":{"m":1S}}"#]), []);
        let first = timeline(&[r#"{"tick":{"m":0,"s":[{"h":1,"n":"a","a":7,"t":9S}]}}"#]);
        assert_eq!((first.tracks[0].activations, first.length_ns()), (0, 0));
    }

    #[test]
    fn one_stretch_is_placed_exactly() {
        let within = r#"{"tick":{"m":1S,"s":[{"h":1,"a":1,"t":250000000,"l":1500000000}]}}"#;
        assert_eq!(active(&[within]), [(100_250_000_000, 100_500_000_000, S / 4)]);
    }

    #[test]
    fn a_stretch_over_several_ticks_is_one() {
        let ticks = [
            r#"{"tick":{"m":1S,"s":[{"h":1,"f":1,"a":1,"t":250000000,"l":1750000000}]}}"#,
            r#"{"tick":{"m":1S}}"#,
            r#"{"tick":{"m":1S,"s":[{"h":1,"t":500000000,"l":1750000000}]}}"#,
        ];
        assert_eq!(active(&ticks), [(100_750_000_000, 102_500_000_000, 1_750_000_000)]);
    }

    #[test]
    fn of_several_stretches_only_the_last_is_exact() {
        let ticks = [r#"{"tick":{"m":1S,"s":[{"h":1,"f":1,"a":3,"t":500000000,"l":1750000000}]}}"#];
        assert_eq!(
            active(&ticks),
            [(100 * S, 100_750_000_000, S / 4), (100_750_000_000, 101 * S, S / 4)]
        );
    }

    #[test]
    fn times_stay_within_what_was_recorded_whatever_the_file_says() {
        let ticks = [
            r#"{"tick":{"m":1S,"s":[{"h":1,"f":1,"a":-9,"t":9223372036854775807,"l":-99S}]}}"#,
            r#"{"tick":{"m":1S,"s":[{"h":1,"a":1,"t":-9223372036854775807,"l":9999S,"c":-5}]}}"#,
        ];
        for (from, to, held) in active(&ticks) {
            assert!(100 * S <= from && from <= to && to <= 102 * S && held <= to - from);
        }
    }

    #[test]
    fn a_source_that_is_new_counts_from_its_begin() {
        let new =
            r#"{"tick":{"m":1S,"s":[{"h":2,"n":"b","f":1,"a":1,"t":500000000,"l":10500000000}]}}"#;
        let timeline = timeline(&[r#"{"tick":{"m":0}}"#, new]);

        assert_eq!(timeline.tracks[0].active.0, [Piece::whole(100_500_000_000, 101 * S)]);
        assert_eq!(timeline.tracks[0].activations, 1);
    }

    #[test]
    fn suspension_comes_before_what_woke_and_after_what_was_active_until_then() {
        let begin = r#"{"tick":{"m":0,"s":[{"h":1,"n":"a","f":1,"l":10S},{"h":2,"n":"b","i":2}]}}"#;
        let tick = r#"{"tick":{"m":1S,"z":5S,"s":[{"h":1,"t":250000000,"l":250000000},
            {"h":2,"f":1,"a":1,"t":250000000,"l":10750000000}]}}"#;
        let timeline = timeline(&[begin, &tick.replace('\n', "")]);

        let of =
            |name| timeline.tracks.iter().find(|it| &*it.name == name).unwrap().active.0.clone();
        assert_eq!(of("a"), [Piece::whole(100 * S, 100_250_000_000)]);
        assert_eq!(of("b"), [Piece::whole(105_750_000_000, 106 * S)]);
        assert_eq!(timeline.suspended.0, [Piece::new(100 * S, 106 * S, 5 * S)]);
    }

    #[test]
    fn any_source_is_no_more_than_is_certain() {
        let piece = |from, to, held| Piece::new(from, to, held);
        let of = |pieces: &[Piece]| any(pieces.to_vec()).0;

        assert_eq!(of(&[piece(5, 9, 4), piece(0, 6, 6), piece(0, 9, 3)]), [piece(0, 9, 9)]);
        assert_eq!(of(&[piece(0, 2, 2), piece(5, 9, 4)]), [piece(0, 2, 2), piece(5, 9, 4)]);
        assert_eq!(of(&[piece(0, 9, 5), piece(0, 9, 4), piece(0, 2, 2)]), [piece(0, 9, 5)]);
    }

    #[test]
    fn gaps_and_restarts_are_known_and_what_happened_meanwhile_as_a_sum() {
        let timeline = timeline(&[
            r#"{"tick":{"m":0,"s":[{"h":1,"n":"a"}]}}"#,
            r#"{"tick":{"m":1S}}"#,
            r#"{"away":{"reason":"it died"}}"#,
            r#"{"tick":{"m":6S,"i":2,"s":[{"h":1,"a":2,"t":3S,"l":15S}]}}"#,
            r#"{"tick":{"m":1S}}"#,
        ]);

        let gap = &timeline.gaps[0];
        assert_eq!((gap.from_ns, gap.to_ns, &*gap.reason), (101 * S, 107 * S, "it died"));
        assert_eq!((timeline.gaps.len(), &*timeline.restarts), (1, &[107 * S][..]));
        assert_eq!(timeline.tracks[0].active.held_ns(), 3 * S);
        assert_eq!(timeline.to_ns, 108 * S);
    }

    #[test]
    fn a_window_cuts_what_reaches_over_its_ends() {
        let timeline = timeline(&[
            r#"{"tick":{"m":0,"s":[{"h":1,"n":"a","f":1,"l":10S},{"h":2,"n":"b"}]}}"#,
            r#"{"tick":{"m":4S,"s":[{"h":2,"a":2,"t":1S,"l":14S}]}}"#,
        ]);

        let window = timeline.within(S, 3 * S);

        assert_eq!((window.from_ns, window.to_ns), (101 * S, 103 * S));
        assert_eq!(window.tracks[0].active.0, [Piece::whole(101 * S, 103 * S)]);
        assert_eq!(window.tracks[1].active.0, [Piece::new(101 * S, 103 * S, S / 2)]);
    }
}
