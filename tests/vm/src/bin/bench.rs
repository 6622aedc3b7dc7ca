// SPDX-License-Identifier: Apache-2.0
//! `cargo xtask bench`, the part inside the VM: `bench ROUNDS SOURCES`, where SOURCES is a list of
//! numbers with commas, and `bench footprint CALLS`. Two other roles of this program are processes
//! that take part.

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use init::Message;
use wakeupstats_vm::bench::rounds::Plan;
use wakeupstats_vm::bench::{footprint, shared, suspend};

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [shared::ROLE] => shared::serve()?,
        [suspend::ROLE] => suspend::serve()?,
        [footprint::ROLE, calls] => {
            let calls = calls.parse().context("the number of calls")?;
            footprint::measure(calls, |footprint| println!("{}", Message::Footprint(footprint)))?;
        }
        [rounds, sources] => return bench(rounds, sources),
        _ => bail!("usage: bench ROUNDS SOURCES | footprint CALLS"),
    }
    Ok(ExitCode::SUCCESS)
}

fn bench(rounds: &str, sources: &str) -> Result<ExitCode> {
    let rounds = rounds.parse().context("the number of rounds")?;
    let sources = sources.split(',').map(str::parse).collect::<Result<_, _>>();
    let plan = Plan { rounds, sources: sources.context("the numbers of sources")? };
    let failures = plan.run(|row| println!("{}", Message::Measured(row)))?;
    for failure in &failures {
        println!("FAILED: {failure}");
    }
    Ok(if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
