// SPDX-License-Identifier: Apache-2.0
//! From ticks to all sources, for who writes a recording and for who reads one.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::recording::{Away, Header, Line, Recorded, Row, Tick, VERSION, expected, nothing};

/// The two clocks at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moment {
    /// CLOCK_MONOTONIC.
    pub(crate) monotonic_ns: i64,
    /// CLOCK_BOOTTIME.
    pub(crate) boottime_ns: i64,
}

/// All sources as of a tick.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) moment: Moment,
    /// The service's life.
    pub(crate) instance: i64,
    /// By the recording's handles.
    pub(crate) sources: BTreeMap<i64, Recorded>,
    /// The highest handle so far.
    pub(crate) last_handle: i64,
}

/// A source before a tick and after it.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) former: Recorded,
    pub(crate) now: Recorded,
}

impl State {
    /// No sources yet, before the first tick.
    pub(crate) fn new(header: &Header) -> Self {
        let Header { monotonic_ns, boottime_ns, instance, .. } = *header;
        State { moment: Moment { monotonic_ns, boottime_ns }, instance, ..State::default() }
    }

    /// The moment of a tick.
    pub(crate) fn moment_of(&self, tick: &Tick) -> Moment {
        let Moment { monotonic_ns, boottime_ns } = self.moment;
        Moment {
            monotonic_ns: monotonic_ns.wrapping_add(tick.monotonic_ns),
            boottime_ns: boottime_ns
                .wrapping_add(tick.monotonic_ns)
                .wrapping_add(tick.suspended_ns),
        }
    }

    /// Takes a tick in. Returns the sources of which anything is other than before.
    pub(crate) fn apply(&mut self, tick: &Tick) -> Result<Vec<Change>> {
        self.moment = self.moment_of(tick);
        self.instance = tick.instance.unwrap_or(self.instance);
        let now = self.moment.monotonic_ns;
        for handle in &tick.gone {
            if self.sources.remove(handle).is_none() {
                bail!("source {handle} goes, but never came");
            }
        }
        let rows: BTreeMap<i64, &Row> = tick.rows.iter().map(|row| (row.handle(), row)).collect();
        let mut changes = Vec::new();
        for (handle, source) in &mut self.sources {
            let new = match rows.get(handle) {
                Some(row) if row.is_new() => bail!("source {handle} comes twice"),
                Some(row) => row.applied_to(source, now),
                None if source.active => expected(source, now),
                None => continue,
            };
            let former = std::mem::replace(source, new.clone());
            changes.push(Change { former, now: new });
        }
        for (&handle, row) in rows.iter().filter(|(_, row)| row.is_new()) {
            if handle <= self.last_handle {
                bail!("source {handle} comes after source {}", self.last_handle);
            }
            self.last_handle = handle;
            let source = row.applied_to(&nothing(), now);
            self.sources.insert(handle, source.clone());
            changes.push(Change { former: nothing(), now: source });
        }
        match rows.keys().find(|handle| !self.sources.contains_key(handle)) {
            Some(handle) => bail!("source {handle} changes, but never came"),
            None => Ok(changes),
        }
    }
}

/// What follows a recording's header, in the order in which it happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// Until the next tick nobody looked.
    Away(Away),
    /// A tick, and what changed by it.
    Tick(Tick, Vec<Change>),
}

/// A recording that is read.
#[derive(Debug)]
pub(crate) struct Replay<R> {
    lines: R,
    /// What messages call it.
    name: String,
    /// The line that was read last, from 1 on.
    line: u64,
    /// How many bytes all whole lines until there have.
    whole: u64,
    is_torn: bool,
    header: Header,
    state: State,
}

impl Replay<BufReader<File>> {
    /// Opens a recording.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let file = File::open(path).with_context(|| format!("{name} can't be opened"))?;
        Replay::new(BufReader::new(file), name)
    }
}

impl<R: BufRead> Replay<R> {
    /// Reads the header.
    pub(crate) fn new(lines: R, name: String) -> Result<Self> {
        let header = Header::default();
        let state = State::default();
        let mut replay = Self { lines, name, line: 0, whole: 0, is_torn: false, header, state };
        let header = replay.read().and_then(|line| match line {
            Some(Line::Header(header)) if header.version > VERSION => bail!(
                "{}: version {} of the format; this command reads up to {VERSION}: take a newer one",
                replay.name,
                header.version,
            ),
            Some(Line::Header(header)) => Ok(header),
            Some(_) => replay.malformed("has no header"),
            None => bail!("{} is empty: nothing was recorded", replay.name),
        })?;
        replay.state = State::new(&header);
        replay.header = header;
        Ok(replay)
    }

    /// What is next, none at the end. A last line without its end was being written when the recorder
    /// was killed, and does not count.
    pub(crate) fn next(&mut self) -> Result<Option<Event>> {
        match self.read()? {
            None => Ok(None),
            Some(Line::Header(_)) => self.malformed("is a header, which only the first may be"),
            Some(Line::Away(away)) => Ok(Some(Event::Away(away))),
            Some(Line::Tick(tick)) if tick.monotonic_ns < 0 || tick.suspended_ns < 0 => {
                self.malformed("goes back in time")
            }
            Some(Line::Tick(tick)) => match self.state.apply(&tick) {
                Ok(changes) => Ok(Some(Event::Tick(tick, changes))),
                Err(error) => self.malformed(&format!("does not follow: {error}")),
            },
        }
    }

    fn read(&mut self) -> Result<Option<Line>> {
        let mut line = Vec::new();
        let read = self.lines.read_until(b'\n', &mut line);
        read.with_context(|| format!("{} can't be read", self.name))?;
        self.is_torn = !line.is_empty() && line.last() != Some(&b'\n');
        if line.is_empty() || self.is_torn {
            return Ok(None);
        }
        self.line += 1;
        self.whole += u64::try_from(line.len())?;
        match serde_json::from_slice(&line) {
            Ok(line) => Ok(Some(line)),
            Err(error) => self.malformed(&format!("is no line of a recording: {error}")),
        }
    }

    fn malformed<T>(&self, what: &str) -> Result<T> {
        bail!("{}, line {}, {what}", self.name, self.line)
    }

    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    /// All sources as of the last tick that was read.
    pub(crate) fn into_state(self) -> State {
        self.state
    }

    /// The same, to look at.
    #[cfg(test)]
    pub(crate) fn sources(&self) -> impl Iterator<Item = &Recorded> {
        self.state.sources.values()
    }

    /// When that was.
    pub(crate) fn moment(&self) -> Moment {
        self.state.moment
    }

    /// Whether the last line is not whole.
    pub(crate) fn is_torn(&self) -> bool {
        self.is_torn
    }

    /// How many bytes the whole lines have that were read.
    pub(crate) fn whole(&self) -> u64 {
        self.whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = r#"{"header":{"version":1,"kernel":"7.3.4","backend":"load","instance":1,"interval_ns":1,"monotonic_ns":0,"boottime_ns":0,"realtime_ns":0}}"#;
    const FIRST: &str = r#"{"tick":{"m":0,"s":[{"h":1,"n":"a"}]}}"#;

    /// What comes of reading these lines, to the end or an error, and whether the last was torn.
    fn read(text: &str) -> Result<(usize, bool)> {
        let mut replay = Replay::new(text.as_bytes(), "FILE".to_owned())?;
        let mut events = 0;
        while replay.next()?.is_some() {
            events += 1;
        }
        Ok((events, replay.is_torn()))
    }

    #[test]
    fn a_last_line_without_its_end_is_left_out() {
        let whole = format!("{HEADER}\n{FIRST}\n");
        assert_eq!(read(&whole).unwrap(), (1, false));
        for end in (whole.len() - FIRST.len()..whole.len()).rev() {
            assert_eq!(read(&whole[..end]).unwrap(), (0, true), "{end}");
        }
    }

    #[test]
    fn what_is_malformed_is_named_by_file_and_line() {
        let lines = [
            ("", "FILE, line 3, is no line of a recording: EOF"),
            ("{}", "FILE, line 3, is no line of a recording: "),
            (HEADER, "FILE, line 3, is a header, "),
            (r#"{"tick":{"m":-1}}"#, "FILE, line 3, goes back in time"),
            (FIRST, "FILE, line 3, does not follow: source 1 comes twice"),
            (r#"{"tick":{"m":1,"s":[{"h":7}]}}"#, "source 7 changes, but never came"),
            (r#"{"tick":{"m":1,"g":[7]}}"#, "source 7 goes, but never came"),
            (r#"{"tick":{"m":1,"s":[{"h":0,"n":"b"}]}}"#, "source 0 comes after source 1"),
        ];
        for (line, expected) in lines {
            let error = read(&format!("{HEADER}\n{FIRST}\n{line}\n")).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn what_is_no_recording_is_refused_at_once() {
        let later = HEADER.replace(r#""version":1"#, r#""version":2"#);
        let files = [
            (String::new(), "FILE is empty"),
            ("hello\n".to_owned(), "FILE, line 1, is no line of a recording"),
            (format!("{FIRST}\n"), "FILE, line 1, has no header"),
            (format!("{later}\n"), "FILE: version 2 of the format; this command reads up to 1"),
        ];
        for (text, expected) in files {
            let error = read(&text).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
