// SPDX-License-Identifier: Apache-2.0
//! `cargo xtask record`: replies of the service, recorded in the VM, for the tests in Java.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use crate::cli::VmOptions;
use crate::jobs;
use crate::progress::say;
use crate::workspace::Workspace;

/// Where they are, relative to the root.
const RECORDINGS: &str = "java/tests/recordings";

/// Boots, and writes what the guest has recorded. False if it could not.
pub(crate) fn run(options: &VmOptions) -> Result<bool> {
    let workspace = Workspace::load()?;
    let Some(files) = jobs::files(&workspace, options, "record")? else { return Ok(false) };
    let directory = workspace.root().join(RECORDINGS);
    fs::create_dir_all(&directory).with_context(|| format!("create {}", directory.display()))?;
    for (name, json) in files {
        compress(&json, &directory.join(format!("{name}.json.gz")))?;
    }
    Ok(true)
}

/// Most of a recording is zeros.
fn compress(text: &str, path: &Path) -> Result<()> {
    let file = File::create(path).with_context(|| format!("create {}", path.display()))?;
    let mut gzip = Command::new("gzip")
        .args(["--best", "--no-name"])
        .stdin(Stdio::piped())
        .stdout(file)
        .spawn()
        .context("run gzip")?;
    let Some(mut input) = gzip.stdin.take() else { bail!("gzip has no input") };
    input.write_all(text.as_bytes()).context("write to gzip")?;
    drop(input);
    ensure!(gzip.wait().context("wait for gzip")?.success(), "gzip failed");
    say(&format!("wrote {}", path.display()));
    Ok(())
}
