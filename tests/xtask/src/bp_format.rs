// SPDX-License-Identifier: Apache-2.0
//! The format of Android.bp files, by bpfmt, which Debian has the source of.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use crate::cache;
use crate::progress::{Step, say};
use crate::tidy;
use crate::workspace::Workspace;

/// The Debian package with Blueprint, and where its Go sources are.
const PACKAGE: &str = "golang-github-google-blueprint-dev";
const GOPATH: &str = "/usr/share/gocode";
const BPFMT: &str = "github.com/google/blueprint/bpfmt";

/// Shows what bpfmt would change.
pub(crate) fn check(workspace: &Workspace) -> Result<bool> {
    let bpfmt = build(workspace)?;
    let files = tidy::files(workspace, &["bp"])?;
    let output = Command::new(bpfmt)
        // Also the order of lists, as AOSP's presubmit checks do.
        .args(["-s", "-d"])
        .args(files)
        .current_dir(workspace.root())
        .stdin(Stdio::null())
        .output()
        .context("run bpfmt")?;
    // It says what it can't read, and then fails; what it would change it only says.
    let text = [output.stdout, output.stderr].concat();
    let clean = output.status.success() && text.is_empty();
    if !clean {
        say(String::from_utf8_lossy(&text).trim_end());
        say("bpfmt would make these changes: put them in by hand, as it moves comments in lists");
    }
    Ok(clean)
}

/// bpfmt of the version that is installed, built once.
fn build(workspace: &Workspace) -> Result<PathBuf> {
    let query = ["--show", "--showformat", "${Version}", PACKAGE];
    let output = Command::new("dpkg-query").args(query).output().context("run dpkg-query")?;
    let version = String::from_utf8(output.stdout).context("read dpkg-query's answer")?;
    ensure!(!version.is_empty(), "{PACKAGE} is not installed");
    let parent = workspace.cache().join("tools");
    let entry = cache::entry(&parent, &cache::entry_name("bpfmt", &version), |directory| {
        let step = Step::new(&format!("building bpfmt {version}"));
        go_build(directory)?;
        step.done();
        Ok(())
    })?;
    Ok(entry.join("bpfmt"))
}

fn go_build(directory: &Path) -> Result<()> {
    let objects = tempfile::tempdir().context("create a temporary directory")?;
    let status = Command::new("go")
        .args(["build", "-o"])
        .arg(directory.join("bpfmt"))
        .arg(BPFMT)
        // As Debian builds what it has: from the sources that are installed, without a network.
        .env("GO111MODULE", "off")
        .env("GOPATH", GOPATH)
        .env("GOCACHE", objects.path())
        .env("GOFLAGS", "")
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .status();
    if !status.context("run go")?.success() {
        bail!("bpfmt does not build; go's errors are above");
    }
    Ok(())
}
