// SPDX-License-Identifier: Apache-2.0
//! What the command has to say, and how it ends.

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context;

/// Writes to standard output.
pub(crate) fn print(text: &[u8]) -> anyhow::Result<()> {
    io::stdout().write_all(text).context("standard output can't be written")
}

/// Says what went wrong. That nobody reads on is not wrong: who pipes into head(1) has what he wants.
pub(crate) fn exit_code(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody to tell: the exit status does.
            let _ = writeln!(io::stderr(), "wakeupstats: {}", chain(&*error));
            ExitCode::FAILURE
        }
    }
}

/// An error with all that led to it, on one line.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    std::iter::successors(error.source(), |&cause| cause.source())
        .fold(error.to_string(), |message, cause| format!("{message}: {cause}"))
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
