// SPDX-License-Identifier: Apache-2.0
//! Builds the programs that run in the guest: static, so that the initramfs needs no libraries.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use cargo_metadata::{Message, TargetKind};

use crate::arch::Arch;
use crate::cache;
use crate::cross::Cross;
use crate::progress::{Step, say};
use crate::workspace::Workspace;

/// The package whose test targets are the guest suites.
pub(crate) const SUITES_PACKAGE: &str = "wakeupstats-vm";
const PACKAGES: &[&str] = &["init", DAEMON, COMMAND, SUITES_PACKAGE];
/// The daemon: package and program.
pub(crate) const DAEMON: &str = "wakeupstatsd";
/// The command: package and program.
const COMMAND: &str = "wakeupstats";
/// The daemon as a device has it, without the loader.
pub(crate) const ON_DEVICE: &str = "system/bin/wakeupstatsd";
/// The daemon with the loader, as an engineering build of a device has it beside that.
const ENGINEERING: &str = "system/bin/wakeupstatsd-eng";
/// What loads and pins the program at a device's boot. In the VM that is the project's loader, too.
const BPFLOADER: &str = "system/bin/bpfloader";
/// Stands between the flags in cargo's variable.
const FLAG_SEPARATOR: char = '\u{1f}';
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
pub(crate) fn build(workspace: &Workspace, arch: Arch) -> Result<Programs> {
    let builder = Builder { workspace, arch, cross: Cross::fetch(workspace, arch)? };
    // Before the other build, so that cargo leaves that one's daemon under the usual path.
    let on_device = build_for_devices(&builder)?;
    let mut programs = build_packages(&builder)?;
    let with_loader = programs.binaries.get(&inside(DAEMON));
    let with_loader = with_loader.context("the daemon was not built")?.clone();
    programs.binaries.insert(ON_DEVICE.to_owned(), on_device);
    programs.binaries.insert(BPFLOADER.to_owned(), with_loader.clone());
    programs.binaries.insert(ENGINEERING.to_owned(), with_loader);
    programs.binaries.extend(build_binder_tools(&builder)?);
    Ok(programs)
}

/// Builds for one architecture.
struct Builder<'a> {
    workspace: &'a Workspace,
    arch: Arch,
    cross: Option<Cross>,
}

impl Builder<'_> {
    /// Cargo, set to link statically and in a target directory of its own, and what it does.
    fn cargo(&self, command: &str) -> Command {
        let mut flags = "-Ctarget-feature=+crt-static".to_owned();
        let mut cargo = self.workspace.cargo();
        if let Some(cross) = &self.cross {
            cross.apply(&mut cargo);
            flags.extend(cross.rustflag().map(|flag| format!("{FLAG_SEPARATOR}{flag}")));
        }
        cargo
            .env("CARGO_TARGET_DIR", self.workspace.guest_target())
            // Before RUSTFLAGS, which the user's environment may have, and before any configuration.
            .env("CARGO_ENCODED_RUSTFLAGS", flags)
            .stdin(Stdio::null())
            // Named even where it is the host's: only then do the flags leave build scripts alone.
            .args([command, "--target", self.arch.target()]);
        cargo
    }

    /// What cargo says that it does, to a person.
    fn where_for(&self) -> String {
        if self.arch.is_foreign() { format!(" for {}", self.arch) } else { String::new() }
    }
}

/// Builds the daemon without its default features, and copies it out of the other one's way.
fn build_for_devices(builder: &Builder<'_>) -> Result<PathBuf> {
    say(&format!("building the daemon without the loader{}", builder.where_for()));
    let mut cargo = builder.cargo("build");
    cargo.args(["--release", "--package", DAEMON, "--bin", DAEMON]);
    cargo.arg("--no-default-features").stdout(std::io::stderr());
    if !cargo.status().context("run cargo build")?.success() {
        bail!("the daemon without the loader does not build; cargo's errors are above");
    }
    let directory = builder.workspace.guest_target().join(builder.arch.target());
    let built = directory.join("release").join(DAEMON);
    let kept = directory.join("wakeupstatsd-on-device");
    fs::copy(&built, &kept).with_context(|| format!("copy {}", built.display()))?;
    Ok(kept)
}

fn build_packages(builder: &Builder<'_>) -> Result<Programs> {
    let workspace = builder.workspace;
    say(&format!("building the guest's programs{}", builder.where_for()));
    let mut cargo = builder.cargo("build");
    cargo.args(["--release", "--bins"]);
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
fn build_binder_tools(builder: &Builder<'_>) -> Result<Vec<(String, PathBuf)>> {
    let version = builder.workspace.rsbinder_version()?;
    let parent = builder.workspace.cache().join(builder.arch.cache_name("tools"));
    let entry = cache::entry(&parent, &format!("rsbinder-tools_{version}"), |directory| {
        let what = format!("{} {version}{}", BINDER_TOOLS.join(", "), builder.where_for());
        let step = Step::new(&format!("building {what}"));
        let status = builder
            .cargo("install")
            .args(["rsbinder-tools", "--locked", "--quiet"])
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
