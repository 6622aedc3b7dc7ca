// SPDX-License-Identifier: Apache-2.0
//! Builds the programs that run in the guest: static, so that the initramfs needs no libraries.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use cargo_metadata::{Message, TargetKind};

use crate::cache;
use crate::progress::{Step, say};
use crate::workspace::Workspace;

/// Named even though it is the host's: only then do the flags leave build scripts alone.
const TARGET: &str = "x86_64-unknown-linux-gnu";
/// The package whose test targets are the guest suites.
pub(crate) const SUITES_PACKAGE: &str = "wakeupstats-vm";
const PACKAGES: &[&str] = &["init", DAEMON, SUITES_PACKAGE];
/// The daemon: package and program.
const DAEMON: &str = "wakeupstatsd";
/// The daemon as a device has it, without the loader.
pub(crate) const ON_DEVICE: &str = "system/bin/wakeupstatsd";
/// The daemon with the loader, as an engineering build of a device has it beside that.
const ENGINEERING: &str = "system/bin/wakeupstatsd-eng";
/// What loads and pins the program at a device's boot. In the VM that is the project's loader, too.
const BPFLOADER: &str = "system/bin/bpfloader";
/// The service manager and its command line tool.
const BINDER_TOOLS: &[&str] = &["rsb_hub", "rsb_service"];

/// Executables on the host's disk, by the path that each has in the guest, without the leading slash.
pub(crate) struct Programs {
    /// PID 1 is `init` among them.
    pub(crate) binaries: BTreeMap<String, PathBuf>,
    /// The test executables, by test target.
    pub(crate) suites: BTreeMap<String, PathBuf>,
}

/// Builds everything.
pub(crate) fn build(workspace: &Workspace) -> Result<Programs> {
    // Before the other build, so that cargo leaves that one's daemon under the usual path.
    let on_device = build_for_devices(workspace)?;
    let mut programs = build_packages(workspace)?;
    let with_loader = programs.binaries.get(&inside(DAEMON));
    let with_loader = with_loader.context("the daemon was not built")?.clone();
    programs.binaries.insert(ON_DEVICE.to_owned(), on_device);
    programs.binaries.insert(BPFLOADER.to_owned(), with_loader.clone());
    programs.binaries.insert(ENGINEERING.to_owned(), with_loader);
    programs.binaries.extend(build_binder_tools(workspace)?);
    Ok(programs)
}

/// Builds the daemon without its default features, and copies it out of the other one's way.
fn build_for_devices(workspace: &Workspace) -> Result<PathBuf> {
    say("building the daemon without the loader");
    let mut cargo = static_cargo(workspace);
    cargo.args(["build", "--release", "--target", TARGET, "--package", DAEMON, "--bin", DAEMON]);
    cargo.arg("--no-default-features").stdout(std::io::stderr());
    if !cargo.status().context("run cargo build")?.success() {
        bail!("the daemon without the loader does not build; cargo's errors are above");
    }
    let built = workspace.guest_target().join(TARGET).join("release").join(DAEMON);
    let kept = workspace.guest_target().join("wakeupstatsd-on-device");
    fs::copy(&built, &kept).with_context(|| format!("copy {}", built.display()))?;
    Ok(kept)
}

fn build_packages(workspace: &Workspace) -> Result<Programs> {
    say("building the guest's programs");
    let mut cargo = static_cargo(workspace);
    cargo.args(["build", "--release", "--target", TARGET, "--bins"]);
    // By name: `--tests` would build the host's tests for the guest too.
    cargo.args(workspace.test_targets(SUITES_PACKAGE).flat_map(|target| ["--test", target]));
    cargo.args(PACKAGES.iter().flat_map(|package| ["--package", package]));
    let mut child = cargo
        .arg("--message-format=json-render-diagnostics")
        .stdout(Stdio::piped())
        .spawn()
        .context("run cargo build")?;
    let messages = child.stdout.take().context("cargo has no output")?;
    let mut programs = Programs { binaries: BTreeMap::new(), suites: BTreeMap::new() };
    for message in Message::parse_stream(std::io::BufReader::new(messages)) {
        let Message::CompilerArtifact(artifact) = message.context("read cargo's messages")? else {
            continue;
        };
        let Some(executable) = artifact.executable else { continue };
        let package = workspace.package_name(&artifact.package_id).unwrap_or_default();
        let target = artifact.target;
        if target.is_kind(TargetKind::Bin) && PACKAGES.contains(&package) {
            let inside = if target.name == "init" { target.name } else { inside(&target.name) };
            programs.binaries.insert(inside, executable.into_std_path_buf());
        } else if target.is_kind(TargetKind::Test) && package == SUITES_PACKAGE {
            programs.suites.insert(target.name, executable.into_std_path_buf());
        }
    }
    if !child.wait().context("wait for cargo build")?.success() {
        bail!("the guest's programs do not build; cargo's errors are above");
    }
    Ok(programs)
}

/// Installs rsbinder's tools into the cache, once per version.
fn build_binder_tools(workspace: &Workspace) -> Result<Vec<(String, PathBuf)>> {
    let version = workspace.rsbinder_version()?;
    let parent = workspace.cache().join("tools");
    let entry = cache::entry(&parent, &format!("rsbinder-tools_{version}"), |directory| {
        let step = Step::new(&format!("building {} {version}", BINDER_TOOLS.join(", ")));
        let status = static_cargo(workspace)
            .args(["install", "rsbinder-tools", "--locked", "--quiet", "--target", TARGET])
            .args(["--version", &format!("={version}")])
            .args(BINDER_TOOLS.iter().flat_map(|tool| ["--bin", tool]))
            .arg("--root")
            .arg(directory)
            .stdout(std::io::stderr())
            .status()
            .context("run cargo install")?;
        if !status.success() {
            bail!("rsbinder-tools {version} could not be installed; cargo's errors are above");
        }
        step.done();
        Ok(())
    })?;
    let program = |name: &&str| (inside(name), entry.join("bin").join(name));
    Ok(BINDER_TOOLS.iter().map(program).collect())
}

/// Where a program is in the guest that is of no device.
fn inside(name: &str) -> String {
    format!("bin/{name}")
}

/// Cargo, set to link statically and in a target directory of its own.
fn static_cargo(workspace: &Workspace) -> Command {
    let mut cargo = workspace.cargo();
    cargo
        .env("CARGO_TARGET_DIR", workspace.guest_target())
        // Before RUSTFLAGS, which the user's environment may have, and before any configuration.
        .env("CARGO_ENCODED_RUSTFLAGS", "-Ctarget-feature=+crt-static")
        .stdin(Stdio::null());
    cargo
}
