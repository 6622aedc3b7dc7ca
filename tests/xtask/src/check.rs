// SPDX-License-Identifier: Apache-2.0
//! `cargo xtask check`: what can be said about the sources without a VM.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::progress::say;
use crate::workspace::Workspace;
use crate::{aidl, android, api, bp, deps, java, packages, rc, sepolicy_check, tidy};

/// A check, and what puts right what it finds.
struct Check {
    name: &'static str,
    run: fn(&Workspace) -> Result<bool>,
    fix: &'static str,
}

const CHECKS: &[Check] = &[
    Check { name: "rustfmt", run: rustfmt, fix: "cargo fmt --all" },
    Check { name: "clang-format", run: clang_format, fix: "clang-format -i the files it names" },
    Check { name: "aidl", run: aidl::check, fix: "edit the AIDL that it names" },
    Check { name: "aidl api", run: api::check, fix: "do what it says, or take the change back" },
    Check { name: "java", run: java::check, fix: "edit the Java files that it names" },
    Check { name: "android bp", run: bp::check, fix: "edit the files that it names" },
    Check { name: "init rc", run: rc::check, fix: "edit the files that it names" },
    Check { name: "sepolicy", run: sepolicy_check::check, fix: "edit the policy as it says" },
    Check { name: "deps", run: deps::check, fix: "choose another crate, or edit tests/deps.toml" },
    Check { name: "tidy", run: tidy::run, fix: "edit the files that it names" },
    Check {
        name: "clippy",
        run: clippy,
        fix: "cargo clippy --workspace --all-targets --fix, or edit what it names",
    },
    Check { name: "android build", run: android::check, fix: "edit what it names" },
    Check { name: "doc", run: doc, fix: "edit the comments that rustdoc names" },
];

#[derive(Args)]
pub(crate) struct Options {
    /// Only checks whose name contains one of these.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

/// Runs the checks, also after one has failed.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let is_wanted = |check: &&Check| {
        options.names.is_empty() || options.names.iter().any(|name| check.name.contains(name))
    };
    let checks: Vec<&Check> = CHECKS.iter().filter(is_wanted).collect();
    if checks.is_empty() {
        let all: Vec<&str> = CHECKS.iter().map(|check| check.name).collect();
        bail!("no check has such a name; there are {}", all.join(", "));
    }
    let workspace = Workspace::load()?;
    packages::ensure(&[
        packages::BUILD,
        packages::FORMAT,
        packages::AIDL,
        packages::ANDROID,
        packages::BP,
        packages::JAVA,
        packages::SELINUX,
    ])?;
    let mut failed = Vec::new();
    for check in &checks {
        say(&format!("check: {}", check.name));
        if !(check.run)(&workspace).with_context(|| format!("check {}", check.name))? {
            failed.push(check);
        }
    }
    for check in &failed {
        say(&format!("check: {} failed; to fix it: {}", check.name, check.fix));
    }
    println!("check: {} passed, {} failed", checks.len() - failed.len(), failed.len());
    Ok(failed.is_empty())
}

fn rustfmt(workspace: &Workspace) -> Result<bool> {
    succeeds(workspace.cargo().args(["fmt", "--all", "--check"]))
}

/// Of everything, and of the service as Android builds it.
fn clippy(workspace: &Workspace) -> Result<bool> {
    const ANDROID: &[&str] = &["--package", "wakeupstatsd", "--no-default-features"];
    let mut clean = true;
    for what in [&["--workspace"], ANDROID] {
        let mut clippy = workspace.cargo();
        clippy.args(["clippy", "--quiet", "--all-targets"]).args(what);
        clean &= succeeds(clippy.args(["--", "--deny", "warnings"]))?;
    }
    Ok(clean)
}

fn doc(workspace: &Workspace) -> Result<bool> {
    let arguments = ["doc", "--quiet", "--workspace", "--no-deps", "--document-private-items"];
    succeeds(workspace.cargo().args(arguments).env("RUSTDOCFLAGS", "--deny warnings"))
}

fn clang_format(workspace: &Workspace) -> Result<bool> {
    let files = tidy::files(workspace, &["c", "h"])?;
    if files.is_empty() {
        return Ok(true);
    }
    let mut command = Command::new("clang-format");
    command.current_dir(workspace.root()).args(["--dry-run", "-Werror"]).args(files);
    succeeds(&mut command)
}

fn succeeds(command: &mut Command) -> Result<bool> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command.stdin(Stdio::null()).stdout(std::io::stderr()).status();
    Ok(status.with_context(|| format!("run {program}"))?.success())
}
