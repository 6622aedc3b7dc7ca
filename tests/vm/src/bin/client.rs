// SPDX-License-Identifier: Apache-2.0
//! A client of the service in a process of its own, for tests to run as whoever they like: calls the
//! method that is named, and prints one line, `ok` or the error. For `idle` it does nothing until it is
//! killed.

use anyhow::{Context, Result, bail};
use wakeupstats_aidl::SnapshotQuery;
use wakeupstats_vm::daemon;

fn main() -> Result<()> {
    let method = std::env::args().nth(1).context("no method was named")?;
    if method == "idle" {
        loop {
            std::thread::park();
        }
    }
    let service = match daemon::service() {
        Ok(service) => service,
        Err(error) => {
            println!("not found: {error:#}");
            return Ok(());
        }
    };
    let result = match method.as_str() {
        "getSnapshot" => service.getSnapshot(&SnapshotQuery::default()).map(drop),
        "getStatus" => service.getStatus().map(drop),
        _ => bail!("no such method: {method}"),
    };
    match result {
        Ok(()) => println!("ok"),
        Err(error) => {
            println!("{:?}: {}", error.exception_code(), error.message().unwrap_or("no message"));
        }
    }
    Ok(())
}
