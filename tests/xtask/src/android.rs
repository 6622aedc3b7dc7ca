// SPDX-License-Identifier: Apache-2.0
//! Whether the daemon, built as Android builds it, is what a device runs: compiled for its
//! processor and its libc, linked with what its libraries have and nothing else.
//!
//! No NDK is to be had here. The standard library is built from Debian's sources of it, and the
//! device's libraries are made from lists of what the daemon needs of them.

use std::collections::BTreeSet;
use std::fs;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use cargo_metadata::{Message, TargetKind};

use crate::executable::{self, PAGE_SIZE};
use crate::progress::{Step, say};
use crate::symbols::Library;
use crate::workspace::Workspace;
use crate::{api, apt, cache, rust_src};

/// The lowest API level of a device that the service is for: Android 13.
pub(crate) const MIN_API_LEVEL: u32 = 33;

const TARGET: &str = "aarch64-linux-android";
const DAEMON: &str = "wakeupstatsd";
/// The entry point's source, in `tests/`.
const ENTRY: &str = "android/crtbegin.c";
/// What the standard library asks the linker for, and must get nothing from: the daemon does no
/// mathematics, and libc has an unwinder since API level 30.
const EMPTY: &[&str] = &["m", "unwind"];
/// An archive without members.
const EMPTY_ARCHIVE: &str = "!<arch>\n";
/// Packages that are not for Android: who logs to standard error, and who loads programs.
const LEFT_OUT: &[&str] = &["env_logger", "libbpf-cargo", "libbpf-rs", "libbpf-sys"];
/// A package that is for Android only.
const LOGGER: &str = "android_logger";

/// The check.
pub(crate) fn check(workspace: &Workspace) -> Result<bool> {
    let libraries = Library::all(workspace)?;
    let mut problems = too_new(&libraries);
    let sources = rust_src::fetch(workspace)?;
    let stubs = make_stubs(workspace, &libraries)?;
    let step = Step::new(&format!("building the daemon for {TARGET}"));
    match build(workspace, &sources, &stubs)? {
        Some(built) => {
            step.done();
            problems.extend(wrong_packages(&built.packages));
            let path = &built.executable;
            let bytes = fs::read(path).with_context(|| format!("read {}", path.display()))?;
            let wrong = executable::problems(&bytes, &libraries)
                .with_context(|| format!("look at {}", path.display()))?;
            problems.extend(wrong.into_iter().map(|p| format!("{DAEMON} for {TARGET}: {p}")));
        }
        None => problems.push(format!(
            "{DAEMON} does not build for {TARGET}; what is undefined may have to be added to the \
             lists of tests/android, with the API level that introduced it"
        )),
    }
    for problem in &problems {
        say(problem);
    }
    Ok(problems.is_empty())
}

/// Symbols that are listed but that not all devices have.
fn too_new(libraries: &[Library]) -> Vec<String> {
    let of_library = |library: &Library| {
        let text = |(symbol, level)| {
            format!(
                "{}: {symbol} is there since API level {level}; devices may have {MIN_API_LEVEL}",
                library.list.display()
            )
        };
        library.newer_than(MIN_API_LEVEL).map(text).collect::<Vec<_>>()
    };
    libraries.iter().flat_map(of_library).collect()
}

/// What is wrong with the set of packages that the daemon was built from.
fn wrong_packages(packages: &BTreeSet<String>) -> Vec<String> {
    let there = LEFT_OUT.iter().filter(|name| packages.contains(**name));
    let mut problems: Vec<_> =
        there.map(|name| format!("{name} is not for Android, but is built for it")).collect();
    if !packages.contains(LOGGER) {
        problems.push(format!("{LOGGER} is not built, without which nothing is logged"));
    }
    problems
}

/// A directory with what the daemon is linked with. Its name is made of what is in it, so that cargo
/// links anew when that changes.
fn make_stubs(workspace: &Workspace, libraries: &[Library]) -> Result<PathBuf> {
    let entry = workspace.tests_file(ENTRY);
    let mut contents = fs::read(&entry).with_context(|| format!("read {}", entry.display()))?;
    for argument in clang().get_args() {
        contents.extend_from_slice(argument.as_encoded_bytes());
    }
    contents.extend_from_slice(EMPTY.concat().as_bytes());
    for library in libraries {
        contents.extend_from_slice(library.assembly().as_bytes());
        contents.extend_from_slice(library.name.as_bytes());
        contents.extend_from_slice(library.text.as_bytes());
    }
    let parent = workspace.android_target().join("stubs");
    cache::entry(&parent, &api::sha1(&contents), |directory| {
        run(clang().arg("-c").arg(&entry).arg("-o").arg(directory.join("crtbegin.o")))?;
        for name in EMPTY {
            write(&directory.join(format!("lib{name}.a")), EMPTY_ARCHIVE)?;
        }
        for library in libraries {
            let assembly = directory.join(format!("{}.s", library.name));
            write(&assembly, &library.assembly())?;
            let mut command = clang();
            command.args(["-shared", "-nostdlib"]).arg(assembly);
            command.arg(format!("-Wl,--soname={}", library.name));
            command.arg(format!("-Wl,--version-script={}", library.list.display()));
            run(command.arg("-o").arg(directory.join(&library.name)))
                .with_context(|| format!("make {}", library.name))?;
        }
        Ok(())
    })
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("write {}", path.display()))
}

fn clang() -> Command {
    let mut command = Command::new("clang");
    command.args([format!("--target={TARGET}{MIN_API_LEVEL}"), "-fuse-ld=lld".to_owned()]);
    command
}

fn run(clang: &mut Command) -> Result<()> {
    apt::succeeded(&clang.stdin(Stdio::null()).output().context("run clang")?).context("run clang")
}

/// What cargo has built.
struct Built {
    executable: PathBuf,
    /// All that took part in it, of the workspace and its dependencies.
    packages: BTreeSet<String>,
}

/// Builds the daemon as Android does, or None when it does not build.
fn build(workspace: &Workspace, sources: &Path, stubs: &Path) -> Result<Option<Built>> {
    let mut cargo = workspace.cargo();
    cargo
        .args(["rustc", "--release", "--package", DAEMON, "--bin", DAEMON])
        .args(["--no-default-features", "--target", TARGET])
        .args(["-Zbuild-std=std,panic_unwind", "--message-format=json-render-diagnostics", "--"])
        .args(link_arguments(stubs))
        .env("CARGO_TARGET_DIR", workspace.android_target())
        // For cargo and compiler, which take -Z and a standard library's sources only so.
        .env("RUSTC_BOOTSTRAP", "1")
        // Instead of where rustup would put them.
        .env("__CARGO_TESTS_ONLY_SRC_ROOT", sources)
        // Nor does the user's environment have a say.
        .env("CARGO_ENCODED_RUSTFLAGS", "")
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut child = cargo.spawn().context("run cargo rustc")?;
    let messages = child.stdout.take().context("cargo has no output")?;
    let (mut executable, mut packages) = (None, BTreeSet::new());
    for message in Message::parse_stream(BufReader::new(messages)) {
        let Message::CompilerArtifact(artifact) = message.context("read cargo's messages")? else {
            continue;
        };
        // The standard library's own packages are none of the workspace's.
        let Some(package) = workspace.package_name(&artifact.package_id) else { continue };
        packages.insert(package.to_owned());
        if package == DAEMON && artifact.target.is_kind(TargetKind::Bin) {
            executable = artifact.executable;
        }
    }
    if !child.wait().context("wait for cargo rustc")?.success() {
        return Ok(None);
    }
    let executable = executable.context("cargo has built no executable")?.into_std_path_buf();
    Ok(Some(Built { executable, packages }))
}

/// By which rustc links the daemon as for a device.
fn link_arguments(stubs: &Path) -> Vec<String> {
    let mut link: Vec<_> =
        clang().get_args().map(|argument| argument.to_string_lossy().into_owned()).collect();
    link.extend(
        ["-nostdlib", "-nostartfiles", "-Wl,-z,defs", "-Wl,--error-limit=0"].map(String::from),
    );
    link.push(format!("-Wl,-z,max-page-size={PAGE_SIZE}"));
    link.push(format!("-L{}", stubs.display()));
    link.push(stubs.join("crtbegin.o").display().to_string());
    let link = link.into_iter().map(|argument| format!("-Clink-arg={argument}"));
    std::iter::once("-Clinker=clang".to_owned()).chain(link).collect()
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    fn packages(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn the_daemon_has_androids_packages_and_not_those_of_other_systems() {
        assert_eq!(wrong_packages(&packages(&["rsbinder", LOGGER])), [""; 0]);
        assert_eq!(
            wrong_packages(&packages(&["libbpf-sys", LOGGER])),
            ["libbpf-sys is not for Android, but is built for it"]
        );
        assert!(wrong_packages(&packages(&["rsbinder"]))[0].contains(LOGGER));
    }
}
