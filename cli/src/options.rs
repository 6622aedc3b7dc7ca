// SPDX-License-Identifier: Apache-2.0
//! The command line.

use std::time::Duration;

use clap::{Parser, Subcommand};
use wakeupstats_aidl::{Client, ClientError};

#[cfg(feature = "top")]
use crate::top;
use crate::{diff, list, record, status};
#[cfg(feature = "plot")]
use crate::{export, plot};

/// Shows what keeps this device awake: the kernel's wakeup sources, as the service wakeupstats has them.
///
/// Exit status: 0 if all went well, 1 if not, with a message that says why; 2 if the command line makes
/// no sense.
#[derive(Debug, Parser)]
#[command(name = "wakeupstats", version)]
pub(crate) struct Options {
    /// How long to wait for the service where it is away [default: not at all]
    #[arg(
        long,
        global = true,
        value_name = "SECONDS",
        default_value_t = 0,
        hide_default_value = true
    )]
    wait: u64,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Shows the sources as they are now
    List(list::Options),
    /// Shows how the service is doing
    Status(status::Options),
    /// Shows what held the device awake in the next seconds, or between two lists
    Diff(diff::Options),
    /// Shows what holds the device awake, all the time
    #[cfg(feature = "top")]
    Top(top::Options),
    /// Records what happens to the sources, into a file
    Record(record::Options),
    /// Draws a recording: who was active when
    #[cfg(feature = "plot")]
    Plot(plot::Options),
    /// Makes a trace of a recording
    #[cfg(feature = "plot")]
    Export(export::Options),
    /// Writes what makes a shell complete this command's options
    #[cfg(feature = "manual")]
    Completions {
        /// For which shell
        shell: clap_complete::Shell,
    },
    /// Writes this command's manual page
    #[cfg(feature = "manual")]
    Man,
}

impl Options {
    /// The service, which is waited for as long as the user will.
    pub(crate) fn connect(&self) -> Result<Client, ClientError> {
        Client::connect(Duration::from_secs(self.wait))
    }
}

/// The options of the command line. A wrong one ends the process with status 2 and the usage.
pub(crate) fn parse() -> Options {
    Options::parse()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn command_line_makes_sense() {
        Options::command().debug_assert();
    }
}
