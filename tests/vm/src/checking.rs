// SPDX-License-Identifier: Apache-2.0
//! Clients that call the service again and again, and check each answer against those before.
//!
//! They know the names of some sources that stay, [`STEADY`] and a number, and nothing of the others.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::str::FromStr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use rsbinder::{Interface, Strong};
use serde_json::Value;
use wakeupstats_aidl::{
    Cache, IWakeupStats, SnapshotOrder, SnapshotQuery, Source, WakeupSnapshot, rows,
};

use crate::churn::STEADY;

/// Between two calls, so that those who make the sources get to it, too.
const PAUSE: Duration = Duration::from_millis(5);

/// An age that lets a call share whatever was read last. Milliseconds.
const ANY_AGE_MS: i32 = 60_000;

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// All sources.
    Full,
    /// What has changed; and then all, which must be the same.
    Incremental,
    /// Some sources, by each of the filters.
    Filtered,
    /// A dump, in each of the formats.
    Dump,
}

impl Kind {
    /// Each.
    pub const ALL: [Kind; 4] = [Kind::Full, Kind::Incremental, Kind::Filtered, Kind::Dump];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Full => "full",
            Kind::Incremental => "incremental",
            Kind::Filtered => "filtered",
            Kind::Dump => "dump",
        })
    }
}

impl FromStr for Kind {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|kind| kind.to_string() == text).with_context(|| format!("no kind {text}"))
    }
}

/// What came of the calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Calls, each of which was answered.
    pub calls: u64,
    /// Of an incremental client: how often its copy was compared with all sources.
    pub compared: u64,
    /// Rows that said that they are not of one moment.
    pub inconsistent: u64,
    /// The longest that the kernel's list was locked for one snapshot. Nanoseconds.
    pub longest_walk_ns: i64,
}

impl Tally {
    /// The sums, and the longer of the longest.
    pub fn plus(self, other: Self) -> Self {
        Tally {
            calls: self.calls + other.calls,
            compared: self.compared + other.compared,
            inconsistent: self.inconsistent + other.inconsistent,
            longest_walk_ns: self.longest_walk_ns.max(other.longest_walk_ns),
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { calls, compared, inconsistent, longest_walk_ns } = self;
        write!(f, "{calls} {compared} {inconsistent} {longest_walk_ns}")
    }
}

impl FromStr for Tally {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let numbers: Vec<i64> = text
            .split_whitespace()
            .map(str::parse)
            .collect::<Result<_, _>>()
            .with_context(|| format!("a client that checks said {text:?}"))?;
        let [calls, compared, inconsistent, longest_walk_ns] = numbers[..] else {
            bail!("a client that checks said {text:?}");
        };
        let count = i64::cast_unsigned;
        let (calls, compared) = (count(calls), count(compared));
        Ok(Tally { calls, compared, inconsistent: count(inconsistent), longest_walk_ns })
    }
}

/// A client that checks.
#[derive(Debug)]
pub struct Checker {
    service: Strong<dyn IWakeupStats>,
    steady: BTreeSet<String>,
    former: BTreeMap<i64, Source>,
    newest: i64,
    sequence: i64,
    tally: Tally,
}

impl Checker {
    /// A client of this service that knows of so many sources that stay.
    pub fn new(service: Strong<dyn IWakeupStats>, steady: usize) -> Self {
        Checker {
            service,
            steady: (0..steady).map(|index| format!("{STEADY}{index}")).collect(),
            former: BTreeMap::new(),
            newest: 0,
            sequence: 0,
            tally: Tally::default(),
        }
    }

    /// Calls for as long.
    pub fn run(mut self, kind: Kind, duration: Duration) -> Result<Tally> {
        let begin = Instant::now();
        let mut cache = Cache::default();
        while begin.elapsed() < duration {
            match kind {
                Kind::Full => self.check_full()?,
                Kind::Incremental => self.check_incremental(&mut cache)?,
                Kind::Filtered => self.check_filtered()?,
                Kind::Dump => self.check_dumps()?,
            }
            thread::sleep(PAUSE);
        }
        Ok(self.tally)
    }

    fn call(&mut self, query: &SnapshotQuery) -> Result<WakeupSnapshot> {
        let snapshot = self.service.getSnapshot(query).map_err(|error| anyhow!("{error}"))?;
        self.tally.calls += 1;
        self.tally.longest_walk_ns = self.tally.longest_walk_ns.max(snapshot.walkDurationNs);
        ensure!(snapshot.complete, "a snapshot is not complete");
        ensure!(snapshot.sequence >= self.sequence, "a sequence of before {}", self.sequence);
        self.sequence = snapshot.sequence;
        Ok(snapshot)
    }

    fn check_full(&mut self) -> Result<()> {
        let snapshot = self.call(&SnapshotQuery::default())?;
        let rows = rows(&snapshot)?;
        ensure!(rows.len() == snapshot.totalSources as usize, "{} are missing", rows.len());
        self.check_all(rows)
    }

    fn check_incremental(&mut self, cache: &mut Cache) -> Result<()> {
        cache.apply(&self.call(&cache.query())?)?;
        self.check_all(cache.sources().cloned().collect())?;
        // Others walk meanwhile, so the copy may have to catch up; or is ahead, of the next time.
        let all = SnapshotQuery { maxAgeMs: ANY_AGE_MS, ..SnapshotQuery::default() };
        let full = self.call(&all)?;
        let snapshot = self.call(&SnapshotQuery { maxAgeMs: ANY_AGE_MS, ..cache.query() })?;
        cache.apply(&snapshot)?;
        if snapshot.sequence == full.sequence {
            let here: Vec<Source> = cache.sources().cloned().collect();
            let mut there = rows(&full)?;
            // The order of sysfs is not always that in which sources were first seen.
            there.sort_by_key(|row| std::cmp::Reverse(row.handle));
            ensure!(here == there, "by changes: {here:?}\nin full: {there:?}");
            self.tally.compared += 1;
        }
        Ok(())
    }

    fn check_filtered(&mut self) -> Result<()> {
        let names: Vec<String> = self.steady.iter().cloned().collect();
        let globs = vec![format!("{STEADY}*")];
        for (names, globs) in [(names, Vec::new()), (Vec::new(), globs)] {
            let snapshot =
                self.call(&SnapshotQuery { names, globs, ..SnapshotQuery::default() })?;
            let rows = rows(&snapshot)?;
            ensure!(rows.len() == self.steady.len(), "{} of those who stay", rows.len());
            self.check_all(rows)?;
        }
        let active = SnapshotQuery { activeOnly: true, ..SnapshotQuery::default() };
        let active = rows(&self.call(&active)?)?;
        ensure!(active.iter().all(|row| row.active), "one is not active");
        let first = SnapshotQuery {
            order: SnapshotOrder::TOTAL_TIME,
            limit: 5,
            ..SnapshotQuery::default()
        };
        let first = rows(&self.call(&first)?)?;
        ensure!(first.len() == 5, "the first 5 are {}", first.len());
        ensure!(first.is_sorted_by_key(|row| -row.total_time_ns), "not in order: {first:?}");
        let merged = SnapshotQuery { mergeByName: true, ..SnapshotQuery::default() };
        let merged = rows(&self.call(&merged)?)?;
        let names: BTreeSet<_> = merged.iter().map(|row| &row.name).collect();
        ensure!(names.len() == merged.len(), "a name came twice");
        Ok(())
    }

    fn check_dumps(&mut self) -> Result<()> {
        let text = self.dump(&[])?;
        let in_table = |name: &String| text.lines().any(|line| line.contains(name.as_str()));
        ensure!(self.steady.iter().all(in_table), "one who stays is not in the table: {text}");
        let json: Value = serde_json::from_str(&self.dump(&["--json"])?)?;
        let sources =
            json.get("sources").and_then(Value::as_array).context("no sources in JSON")?;
        self.check_names(sources.iter().filter_map(|source| source.get("name")?.as_str()))?;
        let csv = self.dump(&["--csv"])?;
        let mut csv = csv::Reader::from_reader(csv.as_bytes());
        let column = csv.headers()?.iter().position(|title| title == "name");
        let column = column.context("no column with names")?;
        let names: Vec<String> = csv
            .records()
            .map(|row| Ok(row?.get(column).context("no name")?.to_owned()))
            .collect::<Result<_>>()?;
        self.check_names(names.iter().map(String::as_str))?;
        let lines = self.dump(&["--checkin"])?;
        let fields = |line: &str| line.split(',').count();
        let widths: BTreeSet<usize> =
            lines.lines().filter(|line| line.contains(STEADY)).map(fields).collect();
        ensure!(widths.len() == 1, "lines of {widths:?} fields: {lines}");
        Ok(())
    }

    /// A dump, read as it is written, as dumpsys does.
    fn dump(&mut self, args: &[&str]) -> Result<String> {
        let (read_end, write_end) = io::pipe()?;
        let reading = thread::spawn(|| io::read_to_string(read_end));
        let binder = self.service.as_binder();
        let proxy = binder.as_proxy().context("the service is in this process")?;
        let args: Vec<String> = args.iter().map(|&arg| arg.to_owned()).collect();
        proxy.dump(write_end, &args).map_err(|error| anyhow!("a dump: {error:?}"))?;
        self.tally.calls += 1;
        Ok(reading.join().map_err(|_| anyhow!("the reader panicked"))??)
    }

    /// All who stay must be among these, each once.
    fn check_names<'a>(&self, names: impl Iterator<Item = &'a str>) -> Result<()> {
        let mut found: Vec<&str> = names.filter(|name| name.starts_with(STEADY)).collect();
        found.sort_unstable();
        let steady: Vec<&str> = self.steady.iter().map(String::as_str).collect();
        ensure!(found == steady, "of those who stay there are {found:?}");
        Ok(())
    }

    /// Compares with what was there before.
    fn check_all(&mut self, rows: Vec<Source>) -> Result<()> {
        self.check_names(rows.iter().filter_map(|row| row.name.as_deref()))?;
        let ids: BTreeSet<i32> = rows.iter().map(|row| row.id).collect();
        ensure!(ids.len() == rows.len(), "an id came twice: {rows:?}");
        let count = rows.len();
        let rows: BTreeMap<i64, Source> = rows.into_iter().map(|row| (row.handle, row)).collect();
        ensure!(rows.len() == count, "a handle came twice");
        for (handle, row) in &rows {
            self.tally.inconsistent += u64::from(!row.consistent);
            match self.former.get(handle) {
                Some(former) => check_row(former, row)?,
                None => ensure!(*handle > self.newest, "handle {handle} came again: {row:?}"),
            }
        }
        let newest = rows.last_key_value().map_or(0, |(&handle, _)| handle);
        // A source that was not there when a younger one was is a new one.
        self.newest = self.newest.max(newest);
        let steady = |row: &&Source| row.name.as_deref().is_some_and(|it| it.starts_with(STEADY));
        let stayed = |row: &Source| self.former.is_empty() || self.former.contains_key(&row.handle);
        if let Some(row) = rows.values().filter(steady).find(|row| !stayed(row)) {
            bail!("a source that stays has another handle: {row:?}, before {:?}", self.former);
        }
        self.former = rows;
        Ok(())
    }
}

/// What only rises must not have fallen.
fn check_row(former: &Source, row: &Source) -> Result<()> {
    let rising = |row: &Source| {
        [
            row.active_count,
            row.event_count,
            row.wakeup_count,
            row.expire_count,
            row.relax_count,
            row.total_time_ns,
            row.max_time_ns,
            row.last_change_ns,
            row.prevent_suspend_time_ns,
        ]
    };
    let same = (former.id, &former.name, &former.device) == (row.id, &row.name, &row.device);
    ensure!(same, "another source with that handle: {former:?} and then {row:?}");
    let rises = rising(former).iter().zip(rising(row)).all(|(&former, row)| former <= row);
    ensure!(rises, "it fell: {former:?} and then {row:?}");
    Ok(())
}
