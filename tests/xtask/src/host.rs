// SPDX-License-Identifier: Apache-2.0
//! The tests that need no VM.

use std::io::Read as _;
use std::process::Stdio;

use anyhow::{Context as _, Result};

use crate::guest::SUITES_PACKAGE;
use crate::progress::say;
use crate::tally::{Count, Tally};
use crate::vm::show;
use crate::workspace::Workspace;

/// Runs them, shows their output, and counts.
pub(crate) fn run(workspace: &Workspace, filters: &[String]) -> Result<Count> {
    say("running the tests that need no VM");
    let mut child = workspace
        .cargo()
        .args(["test", "--workspace", "--exclude", SUITES_PACKAGE, "--no-fail-fast", "--"])
        .args(filters)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("run cargo test")?;
    let mut stream = child.stdout.take().context("cargo has no output")?;
    let mut tally = Tally::default();
    let mut buffer = [0; 4096];
    while let length @ 1.. = stream.read(&mut buffer).context("read cargo's output")? {
        let bytes = buffer.get(..length).unwrap_or_default();
        show(bytes);
        tally.feed(bytes);
    }
    let status = child.wait().context("wait for cargo test")?;
    if !status.success() {
        say("tests failed on this machine, or did not build; cargo's errors are above");
    }
    Ok(tally.finish(u64::from(!status.success())))
}
