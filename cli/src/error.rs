// SPDX-License-Identifier: Apache-2.0
//! How the command ends.

use std::error::Error;
use std::io;
use std::process::ExitCode;

/// Says what went wrong. That nobody reads on is not wrong: who pipes into head(1) has what he wants.
pub(crate) fn exit_code(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("wakeupstats: {}", chain(&*error));
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
