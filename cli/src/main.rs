// SPDX-License-Identifier: Apache-2.0
//! wakeupstats: what keeps this device awake, by the service of that name.

use std::process::ExitCode;

mod changes;
mod columns;
mod diff;
mod interrupt;
mod list;
#[cfg(feature = "manual")]
mod manual;
mod moment;
mod options;
mod output;
mod record;
mod recorder;
mod recording;
#[expect(dead_code, reason = "for what plots and exports")]
mod replay;
mod status;
#[cfg(feature = "top")]
mod top;

use options::{Command, Options};

fn main() -> ExitCode {
    output::exit_code(try_main(&options::parse()))
}

fn try_main(options: &Options) -> anyhow::Result<()> {
    match &options.command {
        Command::List(list) => list.run(options.connect()?),
        Command::Status(status) => status.run(options.connect()?),
        Command::Diff(diff) => diff.run(|| options.connect()),
        #[cfg(feature = "top")]
        Command::Top(top) => top.run(|| options.connect()),
        Command::Record(record) => record.run(options.connect()?),
        #[cfg(feature = "manual")]
        Command::Completions { shell } => manual::completions(*shell),
        #[cfg(feature = "manual")]
        Command::Man => manual::page(),
    }
}
