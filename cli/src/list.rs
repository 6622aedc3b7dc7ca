// SPDX-License-Identifier: Apache-2.0
//! `wakeupstats list`: the sources as they are now.

use std::io::{self, Write};

use clap::Args;
use wakeupstats_aidl::Client;

#[derive(Args, Debug)]
pub(crate) struct Options {}

impl Options {
    /// Shows them.
    pub(crate) fn run(&self, mut client: Client) -> anyhow::Result<()> {
        client.update()?;
        let mut out = io::stdout().lock();
        for source in client.sources() {
            writeln!(out, "{source:?}")?;
        }
        Ok(())
    }
}
