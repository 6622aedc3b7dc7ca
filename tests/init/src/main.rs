// SPDX-License-Identifier: Apache-2.0
//! PID 1 of the test VM: mounts, modules, services, service manager, then the programs it was asked for.
//!
//! The kernel passes what follows `--` on its command line as arguments: `test [FILTER…]`, `demo`,
//! `bench ROUNDS SOURCES`, `bench footprint CALLS`, `record`, `story` or `shell`. It ends with a verdict for the
//! harness and powers the machine off.

mod hub;
mod machine;
mod mounts;
mod programs;
mod selinux;
mod services;
mod stuck;
mod tty;

use anyhow::{Context as _, Result, bail};
use init::{Message, Verdict};

fn main() {
    let verdict = try_main().unwrap_or_else(|error| {
        println!("init: {error:#}");
        for denial in selinux::denials_since_boot() {
            println!("init: {denial}");
        }
        Verdict::Error(format!("{error:#}"))
    });
    println!("{}", Message::Verdict(verdict));
    machine::power_off();
}

fn try_main() -> Result<Verdict> {
    mounts::mount_all()?;
    selinux::enforce()?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (job, filters) = arguments.split_first().context("nothing to do: no job was given")?;
    tty::take_over(job == "shell")?;
    println!("{}", Message::Up(machine::release()));
    machine::raise_limits()?;
    machine::load_modules()?;
    machine::open_binder()?;
    services::supervise()?;
    selinux::label()?;
    // The benchmark has two daemons, of which one runs as root and the other does not.
    let hub = hub::start(job == "bench")?;
    match job.as_str() {
        "test" => programs::run_suites(filters, hub),
        "demo" => programs::run_demo(hub),
        "bench" => programs::run_bench(filters, hub),
        "record" => programs::run_record(hub),
        "story" => programs::run_story(hub),
        "shell" => programs::run_shell(hub),
        other => {
            bail!("unknown job {other:?}; known are test, demo, bench, record, story and shell")
        }
    }
}
