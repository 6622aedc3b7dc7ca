// SPDX-License-Identifier: Apache-2.0
//! `wakeupstats diff`: what held the device awake from one moment to another.

use std::path::PathBuf;
use std::process;
use std::sync::mpsc::channel;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use csv::Writer;
use serde::Serialize;
use wakeupstats_aidl::{Client, ClientError};
use wakeupstats_text::{line, protect};

use crate::changes::{Change, Changes};
use crate::columns::{NEW, Names, lines, seconds};
use crate::interrupt;
use crate::moment::Moment;
use crate::output::print;

/// The version of JSON and CSV. It rises when a field goes, or means something else.
const VERSION: u32 = 1;

/// The table's width: a terminal's, whatever else this one may be.
const COLUMNS: usize = 80;

#[derive(Args, Debug)]
#[command(after_help = "\
HELD is how long a source was active in that time, and AWAKE % that as a share of the time in which
the device was not suspended; sources are active at the same time, so shares need not add up to 100.
The numbers count what happened meanwhile: activations, events, what might have aborted a suspend,
and timeouts. Of a source that is gone nothing of that is known.")]
pub(crate) struct Options {
    /// Two lists, the older one first, instead of now and then: what `wakeupstats list --json` wrote
    #[arg(num_args = 2, value_names = ["A.json", "B.json"], conflicts_with = "seconds")]
    files: Vec<PathBuf>,

    /// How long to wait. Ctrl-C ends it earlier
    #[arg(
        long,
        value_name = "N",
        default_value_t = 10,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    seconds: u32,

    /// Write JSON: one document on one line, with all sources
    #[arg(long, group = "format")]
    json: bool,

    /// Write CSV: all sources
    #[arg(long, group = "format")]
    csv: bool,
}

#[derive(Serialize)]
struct Document<'a> {
    version: u32,
    #[serde(flatten)]
    changes: &'a Changes,
}

impl Options {
    /// Shows it. The service is needed only without files.
    pub(crate) fn run(
        &self,
        connect: impl FnOnce() -> Result<Client, ClientError>,
    ) -> anyhow::Result<()> {
        let (then, now) = match &self.files[..] {
            [older, newer] => (Moment::read(older)?, Moment::read(newer)?),
            _ => self.watch(connect()?)?,
        };
        let changes = Changes::between(&then, &now)?;
        let text = if self.json {
            line(&Document { version: VERSION, changes: &changes })?
        } else if self.csv {
            csv(&changes)?
        } else {
            table(&changes).into_bytes()
        };
        print(&text)
    }

    /// Now and then.
    fn watch(&self, mut client: Client) -> anyhow::Result<(Moment, Moment)> {
        let then = Moment::now(&mut client)?;
        let (interrupts, interrupted) = channel();
        interrupt::on_each(move || {
            // After the first, which only ends the wait, as the service may not answer.
            if interrupts.send(()).is_err() {
                process::exit(1);
            }
        })
        .context("signals can't be waited for")?;
        // An interrupt, or the end of the time.
        let _ = interrupted.recv_timeout(Duration::from_secs(self.seconds.into()));
        drop(interrupted);
        Ok((then, Moment::now(&mut client)?))
    }
}

fn csv(changes: &Changes) -> anyhow::Result<Vec<u8>> {
    let mut writer = Writer::from_writer(Vec::new());
    for change in &changes.sources {
        let name = protect(&change.name).into_owned();
        let device = protect(&change.device).into_owned();
        writer.serialize(Change { name, device, ..change.clone() })?;
    }
    Ok(writer.into_inner().map_err(|error| error.into_error())?)
}

fn table(changes: &Changes) -> String {
    let mut text = summary(changes).join("\n") + "\n";
    let notable: Vec<&Change> = changes.notable().collect();
    if !notable.is_empty() {
        text += "\n";
    }
    for line in lines(&notable, COLUMNS, Names::Needed).iter().take_while(|_| !notable.is_empty()) {
        text += line;
        text += "\n";
    }
    text
}

/// What there is to say of all together.
fn summary(changes: &Changes) -> Vec<String> {
    let mut lines = vec![format!("{}, {}", time(changes), any(changes))];
    if changes.restarted {
        lines.push(
            "The service was started anew meanwhile: sources are known by id and name.".into(),
        );
    }
    let notable = changes.notable().count();
    lines.push(match notable {
        0 => format!("None of {} sources did anything.", changes.sources.len()),
        _ => format!(
            "{notable} of {} sources did something, or came ({NEW}), or went.",
            changes.sources.len()
        ),
    });
    lines
}

/// How long it was.
pub(crate) fn time(changes: &Changes) -> String {
    let suspended = match seconds(changes.suspended_ns(), 1) {
        none if none == "0.0" => String::new(),
        some => format!(", of which {some} s suspended"),
    };
    format!("{} s{suspended}", seconds(changes.elapsed_ns, 1))
}

/// How long any source was active, as far as that can be known: sources may be active at a time, or not.
pub(crate) fn any(changes: &Changes) -> String {
    let [least, most] = [changes.any_held_min_ns, changes.any_held_max_ns]
        .map(|ns| format!("{:.1}", changes.percent(ns)));
    if least == most {
        format!("held by any source for {least} %")
    } else {
        format!("held by any source for {least} to {most} %")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two sources, of which one held the device for half of the time.
    fn changes() -> Changes {
        let change = |name: &str, held_ns, awake_percent| Change {
            name: name.to_owned(),
            held_ns,
            awake_percent,
            ..Change::default()
        };
        Changes {
            elapsed_ns: 14_000_000_000,
            awake_ns: 4_000_000_000,
            restarted: false,
            any_held_min_ns: 2_000_000_000,
            any_held_max_ns: 3_000_000_000,
            sources: vec![change("=busy", 2_000_000_000, 50.0), change("idle", 0, 0.0)],
        }
    }

    #[test]
    fn table_says_how_long_it_was_and_leaves_out_what_did_nothing() {
        let text = table(&changes());

        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[0],
            "14.0 s, of which 10.0 s suspended, held by any source for 50.0 to 75.0 %"
        );
        assert_eq!(lines[1], "1 of 2 sources did something, or came (+), or went.");
        assert!(lines[4].starts_with("=busy ") && lines[4].contains(" 50.00 "), "{text}");
        assert_eq!(lines.len(), 5, "{text}");
    }

    #[test]
    fn restart_of_the_service_is_said() {
        let text = table(&Changes { restarted: true, ..changes() });

        assert!(text.contains("\nThe service was started anew meanwhile"), "{text}");
    }

    #[test]
    fn without_anything_that_happened_there_is_no_table() {
        let text = table(&Changes { sources: Vec::new(), ..changes() });

        assert!(text.ends_with("None of 0 sources did anything.\n"), "{text}");
    }

    #[test]
    fn csv_has_all_sources_and_no_formulas() {
        let text = String::from_utf8(csv(&changes()).unwrap()).unwrap();

        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines[0].starts_with("name,device,id,handle,presence,active,held_ns,"), "{text}");
        assert_eq!(lines[1], "'=busy,,0,0,both,false,2000000000,50.0,0,0,0,0");
    }
}
