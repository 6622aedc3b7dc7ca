// SPDX-License-Identifier: Apache-2.0
//! `wakeupstats list`: the sources as they are now. The service's dump has the formats; this asks for it.

use std::io::{self, Read};
use std::thread;

use anyhow::{Context, bail};
use clap::Args;
use wakeupstats_aidl::{Client, ClientError};

use crate::output::print;

#[derive(Args, Debug)]
#[command(after_help = "\
ACTIVE is how long a source has been active without a break, MAX the longest that it ever was, TOTAL
the sum, and AWAKE % the sum as a share of the time since boot in which the device was not suspended.
CHANGED is how long ago a source last became active or inactive. WAKE # counts what might have
aborted a suspend, EXPIRE # timeouts.")]
pub(crate) struct Options {
    /// Show only sources that are active
    #[arg(long)]
    active: bool,

    /// Show only sources of such names: * is any text, ? any character (repeatable)
    #[arg(long = "name", value_name = "GLOB", allow_hyphen_values = true)]
    names: Vec<String>,

    /// Sort by this, highest first [default: active ones first, then by total-time]
    #[arg(long, value_name = "FIELD", value_parser = FIELDS)]
    sort: Option<String>,

    /// Show only the first N
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    top: Option<u32>,

    /// Show sources of one name as one: sums, the longest maximum, the latest change
    #[arg(long)]
    merge: bool,

    /// Show only what changed since the list of this sequence; all if it is not known
    #[arg(
        long,
        value_name = "SEQ",
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

    /// Show more of each source, and how the service is doing
    #[arg(short, long)]
    all: bool,
}

/// What sources can be sorted by. `kernel` is the youngest first.
const FIELDS: [&str; 11] = [
    "kernel",
    "name",
    "active-time",
    "total-time",
    "max-time",
    "last-change",
    "prevent-suspend-time",
    "active-count",
    "event-count",
    "wakeup-count",
    "expire-count",
];

impl Options {
    /// Shows them.
    pub(crate) fn run(&self, mut client: Client) -> anyhow::Result<()> {
        let (mut read_end, write_end) = io::pipe().context("no pipe can be made")?;
        let reading = thread::spawn(move || {
            let mut text = Vec::new();
            read_end.read_to_end(&mut text).map(|_| text)
        });
        let end = client.dump(write_end, &self.dump_arguments());
        let text =
            reading.join().map_err(|_| anyhow::anyhow!("the reader of the dump panicked"))?;
        let text = text.context("the dump can't be read")?;
        match end {
            Ok(()) => print(&text),
            Err(ClientError::Dump(_)) if !text.is_empty() => {
                bail!("{}", String::from_utf8_lossy(&text).trim_end())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// What asks the service for the same.
    fn dump_arguments(&self) -> Vec<String> {
        let switches = [
            (self.active, "--active"),
            (self.merge, "--merge"),
            (self.json, "--json"),
            (self.csv, "--csv"),
            (self.checkin, "--checkin"),
            (self.all, "--all"),
        ];
        let names = self.names.iter().map(|name| format!("--name={name}"));
        let values = [
            self.sort.as_ref().map(|field| format!("--sort={field}")),
            self.top.map(|count| format!("--top={count}")),
            self.since.map(|sequence| format!("--since={sequence}")),
        ];
        let switches =
            switches.into_iter().filter(|(is_on, _)| *is_on).map(|(_, it)| it.to_owned());
        switches.chain(names).chain(values.into_iter().flatten()).collect()
    }
}
