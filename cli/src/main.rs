// SPDX-License-Identifier: Apache-2.0
//! wakeupstats: what keeps this device awake, by the service of that name.

use std::process::ExitCode;

mod changes;
mod columns;
mod diff;
#[cfg(feature = "plot")]
mod export;
mod interrupt;
#[cfg(feature = "plot")]
mod labels;
mod list;
#[cfg(feature = "manual")]
mod manual;
mod moment;
mod options;
mod output;
#[cfg(feature = "plot")]
mod page;
#[cfg(feature = "plot")]
mod perfetto;
#[cfg(feature = "plot")]
mod picture;
#[cfg(feature = "plot")]
mod plot;
mod record;
mod recorder;
mod recording;
#[cfg_attr(not(feature = "plot"), expect(dead_code, reason = "for what plots and exports"))]
mod replay;
mod status;
#[cfg(feature = "plot")]
mod timeline;
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
        #[cfg(feature = "plot")]
        Command::Plot(plot) => plot.run(),
        #[cfg(feature = "plot")]
        Command::Export(export) => export.run(),
        #[cfg(feature = "manual")]
        Command::Completions { shell } => manual::completions(*shell),
        #[cfg(feature = "manual")]
        Command::Man => manual::page(),
    }
}
