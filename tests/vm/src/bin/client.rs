// SPDX-License-Identifier: Apache-2.0
//! A client of the service in a process of its own, for tests to run as whoever they like, in whatever domain:
//! does what is named, and prints one line.
//!
//! `getSnapshot` and `getStatus` print `ok` or the error; `read` the backend and how many sources it gave; `dump`
//! the first line of the dump, which it has written to a pipe of its own; `hostile` how many malformed
//! transactions it has sent, and how they ended. `permission` stays, as a permission service that says yes to
//! all; `idle` stays, and does nothing. `check KIND SECONDS STEADY` calls for so long, checks each answer, and
//! prints a tally.

use std::io;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rsbinder::{Interface, ProcessState, Strong};
use wakeupstats_aidl::{IWakeupStats, SnapshotBackend, SnapshotQuery, rows};
use wakeupstats_vm::checking::{self, Checker};
use wakeupstats_vm::hostile::{self, Tally};
use wakeupstats_vm::{daemon, permission};

fn main() -> Result<()> {
    let method = std::env::args().nth(1).context("no method was named")?;
    match method.as_str() {
        "idle" => {}
        "check" => {
            println!("{}", check()?);
            return Ok(());
        }
        "permission" => {
            ProcessState::init_default().map_err(|error| anyhow::anyhow!("{error}"))?;
            permission::serve(|_, _, _| true)?;
            println!("ok");
        }
        _ => {
            match daemon::service() {
                Ok(service) => println!("{}", answer(&service, &method)?),
                Err(error) => println!("not found: {error:#}"),
            }
            return Ok(());
        }
    }
    loop {
        thread::park();
    }
}

/// What a client found that checks each answer; the rest of the command line says how.
fn check() -> Result<checking::Tally> {
    let arguments: Vec<String> = std::env::args().skip(2).collect();
    let [kind, seconds, steady] = &arguments[..] else { bail!("not KIND SECONDS STEADY") };
    let checker = Checker::new(daemon::service()?, steady.parse()?);
    checker.run(kind.parse()?, Duration::from_secs(seconds.parse()?))
}

fn answer(service: &Strong<dyn IWakeupStats>, method: &str) -> Result<String> {
    let result = match method {
        "getSnapshot" => service.getSnapshot(&SnapshotQuery::default()).map(|_| "ok".to_owned()),
        "getStatus" => service.getStatus().map(|_| "ok".to_owned()),
        "read" => match service.getSnapshot(&SnapshotQuery::default()) {
            Ok(snapshot) => {
                let rows = rows(&snapshot).context("the reply can't be read")?;
                let backend = match snapshot.backend {
                    SnapshotBackend::PINNED => "pinned",
                    SnapshotBackend::LOAD => "load",
                    SnapshotBackend::SYSFS => "sysfs",
                    _ => "unknown",
                };
                Ok(format!("{backend} {}", rows.len()))
            }
            Err(error) => Err(error),
        },
        "dump" => return dump(service),
        "hostile" => return hostile(service),
        _ => bail!("no such method: {method}"),
    };
    Ok(result.unwrap_or_else(|error| {
        format!("{:?}: {}", error.exception_code(), error.message().unwrap_or("no message"))
    }))
}

/// The first line of a dump, which comes through a pipe of this process and is read meanwhile, as dumpsys does.
fn dump(service: &Strong<dyn IWakeupStats>) -> Result<String> {
    let (read_end, write_end) = io::pipe()?;
    let reading = thread::spawn(|| io::read_to_string(read_end));
    let binder = service.as_binder();
    let proxy = binder.as_proxy().context("the service is in this process")?;
    if let Err(error) = proxy.dump(write_end, &[]) {
        return Ok(format!("{error:?}"));
    }
    let text = reading.join().map_err(|_| anyhow::anyhow!("the reader panicked"))??;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// Sends whatever is wrong.
fn hostile(service: &Strong<dyn IWakeupStats>) -> Result<String> {
    let binder = service.as_binder();
    let proxy = binder.as_proxy().context("the service is in this process")?;
    let mut tally = Tally::default();
    hostile::for_each(proxy, |mut trial| tally.send(proxy, &mut trial))?;
    Ok(tally.to_string())
}
