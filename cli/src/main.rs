// SPDX-License-Identifier: Apache-2.0
//! wakeupstats: what keeps this device awake, by the service of that name.

use std::process::ExitCode;

mod error;
mod list;
mod manual;
mod options;
mod status;

use options::{Command, Options};

fn main() -> ExitCode {
    error::exit_code(try_main(&options::parse()))
}

fn try_main(options: &Options) -> anyhow::Result<()> {
    match &options.command {
        Command::List(list) => list.run(options.connect()?),
        Command::Status(status) => status.run(options.connect()?),
        Command::Completions { shell } => manual::completions(*shell),
        Command::Man => manual::page(),
    }
}
