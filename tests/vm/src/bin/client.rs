// SPDX-License-Identifier: Apache-2.0
//! A client of the service in a process of its own, for tests to run as whoever they like, in whatever domain:
//! does what is named, and prints one line.
//!
//! `getSnapshot` and `getStatus` print `ok` or the error; `read` the backend and how many sources it gave; `dump`
//! the first line of the dump, which it has written to a pipe of its own; `hostile` how many malformed
//! transactions it has sent, and how they ended. `check KIND SECONDS STEADY` calls for so long, checks each
//! answer, and prints a tally. These stay: `permission`, as a permission service that says yes to all; `idle`,
//! which does nothing; `watch`, which prints a line for each life of the service that it meets; `snapshots`, which
//! asks for everything without a pause; and `flood`, which does so without waiting for an answer. `enter CGROUP
//! PROGRAM…` becomes that program, in that control group.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rsbinder::{FIRST_CALL_TRANSACTION, FLAG_ONEWAY, Interface, ProcessState, Strong};
use wakeupstats_aidl::{Client, IWakeupStats, SnapshotBackend, SnapshotQuery, rows};
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
        "enter" => return enter(),
        "watch" => return watch(),
        "snapshots" => loop {
            daemon::service()?.getSnapshot(&SnapshotQuery::default())?;
        },
        "flood" => return flood(),
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

/// Goes where it is told, and is another program from then on.
fn enter() -> Result<()> {
    let mut arguments = std::env::args().skip(2);
    let cgroup = arguments.next().context("no control group")?;
    fs::write(format!("{cgroup}/cgroup.procs"), "0").context("can't enter the control group")?;
    Err(Command::new(arguments.next().context("no program")?).args(arguments).exec().into())
}

/// Keeps up with the sources, through all restarts.
fn watch() -> Result<()> {
    let mut client = Client::connect(Duration::from_secs(30))?;
    let mut instance = 0;
    loop {
        let snapshot = client.update()?;
        if snapshot.instance != instance {
            instance = snapshot.instance;
            println!("instance {instance}, restarts {}", client.restarts());
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Calls as one does who wants no answer, which no client can by the AIDL.
fn flood() -> Result<()> {
    let binder = daemon::service()?.as_binder();
    let proxy = binder.as_proxy().context("the service is in this process")?;
    let mut data = proxy.prepare_transact(true)?;
    // What waits when this ends is done all the same, by one thread at a time, and is not to take long.
    data.write(&SnapshotQuery { maxAgeMs: 1_000, limit: 5, ..SnapshotQuery::default() })?;
    loop {
        // When there is no room for more it fails, and there will be.
        let _ = proxy.submit_transact(FIRST_CALL_TRANSACTION, &data, FLAG_ONEWAY);
    }
}
