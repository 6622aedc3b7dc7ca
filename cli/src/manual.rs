// SPDX-License-Identifier: Apache-2.0
//! What the command says of itself, made of its options.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::options::Options;
use crate::output::print;

/// Writes the completions for a shell.
pub(crate) fn completions(shell: Shell) -> anyhow::Result<()> {
    let mut script = Vec::new();
    let mut command = Options::command();
    clap_complete::generate(shell, &mut command, "wakeupstats", &mut script);
    print(&script)
}

/// Writes the manual page.
pub(crate) fn page() -> anyhow::Result<()> {
    let mut page = Vec::new();
    clap_mangen::Man::new(Options::command()).render(&mut page)?;
    print(&page)
}
