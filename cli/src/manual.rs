// SPDX-License-Identifier: Apache-2.0
//! What the command says of itself, made of its options.

use std::io;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::options::Options;

/// Writes the completions for a shell.
pub(crate) fn completions(shell: Shell) -> anyhow::Result<()> {
    let mut script = Vec::new();
    let mut command = Options::command();
    clap_complete::generate(shell, &mut command, "wakeupstats", &mut script);
    write(&script)
}

/// Writes the manual page.
pub(crate) fn page() -> anyhow::Result<()> {
    let mut page = Vec::new();
    clap_mangen::Man::new(Options::command()).render(&mut page)?;
    write(&page)
}

fn write(text: &[u8]) -> anyhow::Result<()> {
    Ok(io::Write::write_all(&mut io::stdout(), text)?)
}
