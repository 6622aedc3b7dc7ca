// SPDX-License-Identifier: Apache-2.0
//! The second serial port, which carries what the guest's programs print.
//!
//! The first one is the kernel's console; kept apart, neither can cut the other's lines in two.

use std::fs::OpenOptions;
use std::path::Path;

use anyhow::{Context as _, Result};
use init::PORT;
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

/// Makes the port standard input, output and error, of this process and so of all its children.
///
/// For programs it is raw, so that bytes arrive as they were written; `interactive` leaves the
/// line editing, echo and signals of an ordinary terminal.
pub(crate) fn take_over(interactive: bool) -> Result<()> {
    // Its name depends on the machine.
    let name = std::env::var(PORT).with_context(|| format!("which port? {PORT} is not set"))?;
    let port = OpenOptions::new()
        .read(true)
        .write(true)
        .open(Path::new("/dev").join(&name))
        .with_context(|| format!("open /dev/{name}: does the VM have a second serial port?"))?;
    if !interactive {
        let mut settings = tcgetattr(&port).with_context(|| format!("read settings of {name}"))?;
        settings.make_raw();
        tcsetattr(&port, OptionalActions::Now, &settings)
            .with_context(|| format!("set {name} to raw"))?;
    }
    dup2_stdin(&port).context("replace standard input")?;
    dup2_stdout(&port).context("replace standard output")?;
    dup2_stderr(&port).context("replace standard error")
}
