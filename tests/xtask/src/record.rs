// SPDX-License-Identifier: Apache-2.0
//! `cargo xtask record`: replies of the service, recorded in the VM, for the tests in Java.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use init::{RECORDING, Verdict};

use crate::cli::VmOptions;
use crate::guest;
use crate::initramfs::Initramfs;
use crate::jobs::DEFAULT_KERNEL;
use crate::packages;
use crate::progress::say;
use crate::table::Table;
use crate::vm::{Outcome, Vm, show};
use crate::workspace::Workspace;

/// Where they are, relative to the root.
const RECORDINGS: &str = "java/tests/recordings";
/// Seconds; recording takes some 30.
const TIME_LIMIT: u64 = 300;

/// Boots, and writes what the guest has recorded. False if it could not.
pub(crate) fn run(options: &VmOptions) -> Result<bool> {
    let workspace = Workspace::load()?;
    let table = Table::load(&workspace)?;
    let source = table.kernel(DEFAULT_KERNEL)?;
    packages::ensure(&[packages::BUILD, packages::VM, packages::of(source.arch)])?;
    let kernel = table.fetch(&workspace, source)?;
    let programs = guest::build(&workspace, source.arch)?;
    let initramfs = Initramfs::new(&workspace, &programs, &kernel)?;
    let job = vec!["record".to_owned()];
    let mut vm = Vm::prepare(&workspace, &kernel, &initramfs, job, options.verbose)?;
    vm.time_limit = Some(options.time_limit_or(TIME_LIMIT));
    let mut output = Vec::new();
    let Outcome { verdict, .. } =
        vm.run(&workspace, &mut |bytes| output.extend_from_slice(bytes))?;
    let output = String::from_utf8(output).context("the guest's output is not UTF-8")?;
    let (recorded, rest): (Vec<&str>, Vec<&str>) =
        output.lines().partition(|line| line.starts_with(RECORDING));
    show(rest.join("\n").as_bytes());
    if verdict != Verdict::Pass {
        return Ok(false);
    }
    let directory = workspace.root().join(RECORDINGS);
    fs::create_dir_all(&directory).with_context(|| format!("create {}", directory.display()))?;
    for line in recorded {
        let recording = line.trim_start_matches(RECORDING);
        let (name, json) = recording.split_once(' ').context("a recording without a name")?;
        compress(json.trim_end(), &directory.join(format!("{name}.json.gz")))?;
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
