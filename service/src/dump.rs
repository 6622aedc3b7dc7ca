// SPDX-License-Identifier: Apache-2.0
//! `dumpsys wakeupstats [OPTIONS]`: from arguments to what to do, and from an answer to text.

use std::cmp::Reverse;
use std::io;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use thiserror::Error;
use wakeupstats_text::escape;

use crate::query::{self, Answer, Order, Query};
use crate::report::{Header, Report};
use crate::status::Status;
use crate::table::Table;
use crate::tracker::{Row, Since};
use crate::{checkin, csv, json};

/// Arguments that make no sense: a message that names the first of them, and the usage. No control
/// characters but newlines; none at the end.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub struct Error(String);

/// What to do.
#[derive(Debug)]
pub enum Request {
    /// Say this.
    Help(String),
    /// Say how the service is doing, by [`status`].
    Status {
        /// As JSON, not as text.
        json: bool,
    },
    /// Show sources.
    Sources(Options),
}

impl Request {
    /// What these arguments ask for.
    pub fn parse(args: &[String]) -> Result<Request, Error> {
        match Options::try_parse_from(args) {
            Ok(Options { backend: true, json, .. }) => Ok(Request::Status { json }),
            Ok(options) => Ok(Request::Sources(options)),
            Err(error) if error.kind() == ErrorKind::DisplayHelp => {
                Ok(Request::Help(error.to_string()))
            }
            Err(error) => {
                // The message quotes arguments, so it is made again of harmless ones.
                let harmless = args.iter().map(|arg| escape(arg));
                let error = Options::try_parse_from(harmless).err().unwrap_or(error);
                let message = error.to_string();
                // What follows the first paragraph are guesses.
                let message = message.split("\n\n").next().unwrap_or_default();
                let message = message.trim_start_matches("error: ").trim_end();
                let usage = Options::command().render_usage();
                Err(Error(format!("{message}\n\n{usage}\nTry --help.")))
            }
        }
    }
}

/// Shows the kernel's wakeup sources: what keeps this device awake
#[derive(Debug, Parser)]
#[command(
    no_binary_name = true,
    name = "wakeupstats",
    bin_name = "dumpsys wakeupstats",
    after_help = AFTER_HELP
)]
pub struct Options {
    /// Show only sources that are active
    #[arg(long)]
    active: bool,

    /// Show only sources of such names: * is any text, ? any character (repeatable)
    #[arg(long = "name", value_name = "GLOB")]
    names: Vec<String>,

    /// Sort by this, highest first [default: active ones first, then by total-time]
    #[arg(long = "sort", value_name = "FIELD", value_parser = order(), hide_possible_values = true)]
    order: Option<Order>,

    /// Show only the first N
    #[arg(
        long,
        value_name = "N",
        allow_negative_numbers = true,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    top: Option<u32>,

    /// Show sources of one name as one: sums, the longest maximum, the latest change
    #[arg(long)]
    merge: bool,

    /// Show only what changed since the dump of this sequence; all if it is not known
    #[arg(
        long,
        value_name = "SEQ",
        allow_negative_numbers = true,
        conflicts_with_all = ["top", "merge", "csv"],
        value_parser = clap::value_parser!(i64).range(0..)
    )]
    since: Option<i64>,

    /// Write JSON: one document on one line
    #[arg(long, group = "format")]
    json: bool,

    /// Write CSV: the sources only
    #[arg(long, group = "format")]
    csv: bool,

    /// Write lines for programs: a version, a kind, and comma-separated fields
    #[arg(long, group = "format")]
    checkin: bool,

    /// Show how the service reads the sources and how it is doing, and no sources
    #[arg(
        long,
        conflicts_with_all = [
            "active", "names", "order", "top", "merge", "since", "csv", "checkin",
        ]
    )]
    backend: bool,

    /// Show that, too, and more of each source
    #[arg(short, long)]
    all: bool,
}

const AFTER_HELP: &str = "\
FIELD is one of kernel (youngest source first), name, active-time, total-time, max-time,
last-change, prevent-suspend-time, active-count, event-count, wakeup-count, expire-count.

ACTIVE is how long a source has been active without a break, MAX the longest that it ever was, and
TOTAL the sum. AWAKE % is TOTAL as a share of CLOCK_MONOTONIC, the time since boot in which the
device was not suspended; sources are active at the same time, so shares need not add up to 100.
CHANGED is how long before the dump a source last became active or inactive. WAKE # counts what
might have aborted a suspend, EXPIRE # timeouts. Long names are cut, odd characters escaped.

In CSV, text that a spreadsheet would take for a formula, or that begins with ', has a ' in front.";

const ORDERS: [(&str, Order); 11] = [
    ("kernel", Order::Kernel),
    ("name", Order::Name),
    ("active-time", Order::ActiveTime),
    ("total-time", Order::TotalTime),
    ("max-time", Order::MaxTime),
    ("last-change", Order::LastChange),
    ("prevent-suspend-time", Order::PreventSuspendTime),
    ("active-count", Order::ActiveCount),
    ("event-count", Order::EventCount),
    ("wakeup-count", Order::WakeupCount),
    ("expire-count", Order::ExpireCount),
];

fn order() -> impl TypedValueParser<Value = Order> {
    PossibleValuesParser::new(ORDERS.map(|(name, _)| name)).map(|name| {
        ORDERS.iter().find(|(known, _)| *known == name).map(|&(_, order)| order).unwrap_or_default()
    })
}

impl Options {
    /// The query that these options make, of this life of the service.
    pub fn query(&self, instance: i64) -> Result<Query, query::Error> {
        let query = Query::default()
            .named(&[], &self.names)?
            .active_only(self.active)
            .merged(self.merge)
            .ordered(self.order.unwrap_or(Order::TotalTime))
            // Without an order, what is first is known only after the active ones came first.
            .limited(self.order.map_or(0, |_| self.limit()));
        Ok(match self.since {
            Some(sequence) => query.since(Since { instance, sequence }),
            None => query,
        })
    }

    /// The answer to that query, in the format that these options ask for. Empty if nothing was
    /// read yet.
    pub fn render(&self, answer: &Answer<'_>, status: &Status) -> io::Result<Vec<u8>> {
        let tracker = answer.tracker;
        let Some(walk) = tracker.walk() else {
            return Ok(Vec::new());
        };
        let mut rows: Vec<&Row> = answer.rows.iter().map(|row| &**row).collect();
        if self.order.is_none() {
            rows.sort_by_key(|row| Reverse(row.source.active));
            if self.limit() > 0 {
                rows.truncate(self.limit());
            }
        }
        let header = Header {
            instance: tracker.instance(),
            sequence: tracker.sequence(),
            since: self.since,
            incremental: answer.incremental,
            kernel: status.kernel.clone(),
            walk,
        };
        let report = Report {
            header,
            rows,
            gone: &answer.gone,
            active: tracker.rows().iter().filter(|row| row.source.active).count(),
            age_ns: status.now_ns.saturating_sub(walk.monotonic_ns),
            status: self.all.then_some(status),
        };
        if self.json {
            json::document(&report)
        } else if self.csv {
            csv::rows(&report)
        } else if self.checkin {
            Ok(checkin::lines(&report).into())
        } else {
            let table = Table { report: &report, order: self.order.unwrap_or_default() };
            Ok(table.to_string().into())
        }
    }

    /// The number of rows at the most; 0 is all.
    fn limit(&self) -> usize {
        self.top.map_or(0, |top| usize::try_from(top).unwrap_or(usize::MAX))
    }
}

/// How the service is doing, as JSON or as text.
pub fn status(status: &Status, json: bool) -> io::Result<Vec<u8>> {
    if json { json::status(status) } else { Ok(status.to_string().into()) }
}

// Soong has no crates to compare with files.
#[cfg(not(soong))]
#[cfg(test)]
mod tests;
