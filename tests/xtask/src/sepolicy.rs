// SPDX-License-Identifier: Apache-2.0
//! Compiles the project's SELinux policy, against a base of the project's own that stands in for AOSP's, and
//! says which files have which context by it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::workspace::Workspace;

/// For the daemon and its clients, on every build.
pub(crate) const PRIVATE: &str = "sepolicy/private";
/// For the loader, on engineering builds.
pub(crate) const ENGINEERING: &str = "sepolicy/eng";
/// What stands in for AOSP's policy, and the VM's own.
const BASE: &str = "tests/sepolicy";

/// The newest policy format that Android's kernels are given.
const FORMAT: &str = "30";

/// What a policy is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Any build of a device.
    User,
    /// An engineering build, which has the loader.
    Engineering,
    /// The same without the change to AOSP's policy that it needs.
    EngineeringUnchanged,
    /// The VM, an engineering build with tests.
    Vm,
}

/// The sources of the policy, as they are in the tree but for what is replaced.
#[derive(Clone, Default)]
pub(crate) struct Sources {
    replaced: BTreeMap<PathBuf, String>,
}

impl Sources {
    /// Those of the tree with `text` in the place of what `path`, relative to the root, has.
    pub(crate) fn with(path: &Path, text: String) -> Self {
        Self { replaced: BTreeMap::from([(path.to_owned(), text)]) }
    }

    /// The compiled policy, or why there is none.
    pub(crate) fn compile(
        &self,
        workspace: &Workspace,
        target: Target,
    ) -> Result<Result<Vec<u8>, String>> {
        let directory = tempfile::tempdir().context("make a temporary directory")?;
        let mut m4 = Command::new("m4");
        // -s: so that the compiler names the source's file and line.
        m4.current_dir(workspace.root()).args(["--fatal-warnings", "-s"]);
        if target != Target::User {
            m4.arg("-Dengineering_loader");
        }
        match target {
            Target::EngineeringUnchanged => _ = m4.arg("-Dwithout_exemption"),
            Target::Vm => _ = m4.arg("-Din_the_test_vm"),
            Target::User | Target::Engineering => {}
        }
        for path in self.files(workspace, target)? {
            match self.replaced.get(&path) {
                Some(text) => {
                    let copy = directory.path().join(path.file_name().unwrap_or_default());
                    fs::write(&copy, text).context("write a source of the policy")?;
                    m4.arg(copy)
                }
                None => m4.arg(path),
            };
        }
        let expanded = output(&mut m4)?;
        if !expanded.status.success() {
            return Ok(Err(words(&expanded)));
        }
        let source = directory.path().join("policy.conf");
        let policy = directory.path().join("policy");
        fs::write(&source, expanded.stdout).context("write the expanded policy")?;
        // -M: with levels, as every context of Android ends in one.
        let mut compiler = Command::new("checkpolicy");
        compiler.args(["-M", "-c", FORMAT, "-o"]).args([&policy, &source]);
        let compiled = output(&mut compiler)?;
        if !compiled.status.success() {
            return Ok(Err(words(&compiled)));
        }
        Ok(Ok(fs::read(&policy).context("read the compiled policy")?))
    }

    /// In the order that the compiler wants: classes, rules, then contexts.
    fn files(&self, workspace: &Workspace, target: Target) -> Result<Vec<PathBuf>> {
        let base = |name: &str| Path::new(BASE).join(name);
        let mut files = vec![base("classes"), base("te_macros"), base("base.te")];
        files.extend(te_files(workspace, PRIVATE)?);
        if target != Target::User {
            files.extend(te_files(workspace, ENGINEERING)?);
        }
        if target == Target::Vm {
            files.push(base("vm.te"));
        }
        files.extend([base("contexts"), Path::new(PRIVATE).join("genfs_contexts")]);
        Ok(files)
    }
}

/// The files with rules in a directory, relative to the root, in name order.
pub(crate) fn te_files(workspace: &Workspace, directory: &str) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(workspace.root().join(directory));
    let entries = entries.with_context(|| format!("list {directory}"))?;
    let names = entries.map(|entry| Ok(PathBuf::from(entry?.file_name())));
    let mut names: Vec<PathBuf> = names.collect::<Result<_>>()?;
    names.retain(|name| name.extension() == Some(OsStr::new("te")));
    names.sort();
    Ok(names.into_iter().map(|name| Path::new(directory).join(name)).collect())
}

/// The policy of this tree; that it does not compile is an error.
pub(crate) fn policy(workspace: &Workspace, target: Target) -> Result<Vec<u8>> {
    let compiled = Sources::default().compile(workspace, target)?;
    compiled.map_err(|text| anyhow::anyhow!("the policy does not compile:\n{text}"))
}

/// AOSP's entries and those of the project, for files of the VM.
fn file_contexts(workspace: &Workspace) -> Result<String> {
    joined(workspace, &[BASE, PRIVATE, ENGINEERING], "file_contexts")
}

/// Likewise for services.
pub(crate) fn service_contexts(workspace: &Workspace) -> Result<String> {
    joined(workspace, &[BASE, PRIVATE], "service_contexts")
}

fn joined(workspace: &Workspace, directories: &[&str], name: &str) -> Result<String> {
    let mut text = String::new();
    for directory in directories {
        let path = workspace.root().join(directory).join(name);
        text += &fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    }
    Ok(text)
}

/// Lines of a context, a space and a path, for each of these paths, as libselinux looks them up.
pub(crate) fn contexts(workspace: &Workspace, paths: &[String]) -> Result<String> {
    let directory = tempfile::tempdir().context("make a temporary directory")?;
    let file = directory.path().join("file_contexts");
    fs::write(&file, file_contexts(workspace)?).context("write the contexts of files")?;
    let mut matchpathcon = Command::new("matchpathcon");
    // -N: this machine's own SELinux has no say; -n: contexts only.
    let found = output(matchpathcon.args(["-N", "-n", "-f"]).arg(&file).args(paths))?;
    let contexts = String::from_utf8(found.stdout.clone()).context("read matchpathcon's words")?;
    let contexts: Vec<&str> = contexts.lines().map(str::trim).collect();
    if !found.status.success() || contexts.len() != paths.len() {
        bail!("matchpathcon: {}", words(&found));
    }
    if let Some((_, path)) = contexts.iter().zip(paths).find(|(it, _)| !it.starts_with("u:")) {
        bail!("{path} has no context");
    }
    Ok(contexts.iter().zip(paths).map(|(context, path)| format!("{context} {path}\n")).collect())
}

/// Runs a tool to its end.
pub(crate) fn output(command: &mut Command) -> Result<Output> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).env("LC_ALL", "C").output();
    output.with_context(|| format!("run {program}"))
}

/// What a tool said, without what the compiler says of initial contexts that no kernel uses.
pub(crate) fn words(output: &Output) -> String {
    let said = [&*output.stdout, &*output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let lines = said.lines().filter(|line| !line.contains("No context assigned to SID"));
    lines.collect::<Vec<_>>().join("\n")
}
