// SPDX-License-Identifier: Apache-2.0
//! The project's services, which a device's init has, and so has this one: from the very same files.

use std::fs;
use std::path::Path;
use std::thread;

use anyhow::{Context as _, Result};
use init::RC_FILES;
use init::property::Properties;
use init::supervisor::Supervisor;

use crate::machine;

/// Reads the rc files and looks after their services from now on.
pub(crate) fn supervise() -> Result<()> {
    let mut files = Vec::new();
    for path in machine::files_in(Path::new(RC_FILES))? {
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        files.push((path.display().to_string(), text));
    }
    let supervisor = Supervisor::new(Properties::of_init(), &files)?;
    thread::Builder::new()
        .name("services".into())
        .spawn(|| {
            if let Err(error) = supervisor.run() {
                // Whoever waits for a service will say that it did not come; here is why.
                println!("init: {error:#}");
            }
        })
        .context("start a thread for the services")?;
    Ok(())
}
