// SPDX-License-Identifier: Apache-2.0
//! `wakeupstats status`: how the service is doing.

use std::io::{self, Write};

use clap::Args;
use wakeupstats_aidl::Client;

#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Write JSON: one document on one line
    #[arg(long)]
    json: bool,
}

impl Options {
    /// Shows it.
    pub(crate) fn run(&self, mut client: Client) -> anyhow::Result<()> {
        let status = client.status()?;
        Ok(writeln!(io::stdout(), "{status:?}")?)
    }
}
