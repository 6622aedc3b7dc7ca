// SPDX-License-Identifier: Apache-2.0
//! Whether the SELinux policy compiles, allows what it must and nothing that it must not, and names contexts
//! that exist. That nothing of it can be left out is for the VM to say (the suite `sepolicy`).

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use regex::Regex;

use crate::progress::say;
use crate::sepolicy::{ENGINEERING, PRIVATE, Sources, Target, output, words};
use crate::workspace::Workspace;

/// What is allowed to whom: source, target, class, permission.
type Access = [&'static str; 4];

/// What must be allowed on every build.
const ALLOWED: &[Access] = &[
    ["init", "wakeupstatsd", "process", "transition"],
    ["wakeupstatsd", "wakeupstats_service", "service_manager", "add"],
    ["wakeupstatsd", "servicemanager", "binder", "call"],
    ["wakeupstatsd", "system_server", "binder", "call"],
    ["wakeupstatsd", "permission_service", "service_manager", "find"],
    ["wakeupstatsd", "bpfloader", "bpf", "prog_run"],
    ["wakeupstatsd", "bpfloader", "bpf", "map_read"],
    ["wakeupstatsd", "fs_bpf_wakeupstats", "file", "read"],
    ["wakeupstatsd", "sysfs_wakeup", "file", "open"],
    ["wakeupstatsd", "sysfs_wakeup", "lnk_file", "read"],
    ["system_server", "wakeupstats_service", "service_manager", "find"],
    ["traced_probes", "wakeupstats_service", "service_manager", "find"],
    ["dumpstate", "wakeupstats_service", "service_manager", "find"],
    ["shell", "wakeupstats_service", "service_manager", "find"],
    ["system_server", "wakeupstatsd", "binder", "call"],
    ["traced_probes", "wakeupstatsd", "binder", "call"],
    ["dumpstate", "wakeupstatsd", "binder", "call"],
    ["shell", "wakeupstatsd", "binder", "call"],
    ["system_server", "wakeupstatsd_tmpfs", "file", "read"],
    ["traced_probes", "wakeupstatsd_tmpfs", "file", "read"],
];

/// What must not be, on any build.
const DENIED: &[Access] = &[
    ["wakeupstatsd", "wakeupstatsd", "capability", ""],
    ["wakeupstatsd", "wakeupstatsd", "capability2", ""],
    ["wakeupstatsd", "bpfloader", "bpf", "map_write"],
    ["wakeupstatsd", "wakeupstatsd", "bpf", ""],
    ["wakeupstatsd", "fs_bpf_wakeupstats", "file", "write"],
    ["wakeupstatsd", "fs_bpf", "file", ""],
    ["wakeupstatsd", "sysfs_wakeup", "file", "write"],
    ["wakeupstatsd", "sysfs", "file", "read"],
    ["wakeupstatsd", "debugfs", "file", ""],
    ["wakeupstatsd", "debugfs_tracing", "file", ""],
    ["wakeupstatsd", "system_file", "file", "execute_no_trans"],
    ["shell", "wakeupstatsd", "process", "transition"],
    ["untrusted_app", "wakeupstats_service", "service_manager", ""],
    ["untrusted_app", "wakeupstatsd", "binder", "call"],
    ["untrusted_app", "wakeupstatsd_tmpfs", "file", ""],
    ["isolated_app", "wakeupstats_service", "service_manager", ""],
    ["shell", "fs_bpf_wakeupstats", "file", ""],
    ["system_server", "wakeupstats_service", "service_manager", "add"],
];

/// Rules that must break the policy if someone adds them: what the neverallow rules are for.
const NEVER: &[&str] = &[
    "allow shell wakeupstatsd:process transition;",
    "allow init wakeupstatsd:process dyntransition;",
    "allow wakeupstatsd self:capability2 bpf;",
    "allow wakeupstatsd self:capability sys_admin;",
    "allow wakeupstatsd self:bpf prog_load;",
    "allow wakeupstatsd self:bpf map_create;",
    "allow wakeupstatsd bpfloader:bpf map_write;",
    "allow wakeupstatsd fs_bpf_wakeupstats:file write;",
    "allow wakeupstatsd fs_bpf_wakeupstats:dir mounton;",
    "allow system_server fs_bpf_wakeupstats:file read;",
    "allow wakeupstatsd sysfs_wakeup:file write;",
    "allow wakeupstatsd shell:process ptrace;",
    "allow wakeupstatsd self:tcp_socket create;",
    "allow untrusted_app wakeupstats_service:service_manager find;",
    "allow isolated_app wakeupstats_service:service_manager find;",
    "allow shell wakeupstats_service:service_manager add;",
];

/// The same of the loader, on engineering builds.
const NEVER_ENGINEERING: &[&str] = &[
    "allow shell wakeupstatsd_load:process transition;",
    "allow init wakeupstatsd_load:process dyntransition;",
];

/// Runs all of it.
pub(crate) fn check(workspace: &Workspace) -> Result<bool> {
    let mut problems = Vec::new();
    let directory = tempfile::tempdir().context("make a temporary directory")?;
    for (name, target) in [("user", Target::User), ("engineering", Target::Engineering)] {
        match Sources::default().compile(workspace, target)? {
            Ok(policy) => {
                let path = directory.path().join(name);
                fs::write(&path, policy).context("write the policy")?;
                problems.extend(accesses(name, &path)?);
                problems.extend(contexts(workspace, target, &path)?);
            }
            Err(text) => problems.push(format!("the {name} policy does not compile:\n{text}")),
        }
    }
    if Sources::default().compile(workspace, Target::EngineeringUnchanged)?.is_ok() {
        problems.push("engineering builds need no change to AOSP's policy: say so".to_owned());
    }
    problems.extend(additions(workspace, PRIVATE, "wakeupstatsd.te", Target::User, NEVER)?);
    let (file, rules) = ("wakeupstatsd_load.te", NEVER_ENGINEERING);
    problems.extend(additions(workspace, ENGINEERING, file, Target::Engineering, rules)?);
    for problem in &problems {
        say(problem);
    }
    Ok(problems.is_empty())
}

/// Rules that could be added without breaking the policy, and neverallow rules that forbid none of them.
fn additions(
    workspace: &Workspace,
    folder: &str,
    file: &str,
    target: Target,
    rules: &[&str],
) -> Result<Vec<String>> {
    let path = Path::new(folder).join(file);
    let text = fs::read_to_string(workspace.root().join(&path))
        .with_context(|| format!("read {}", path.display()))?;
    let mut problems = Vec::new();
    // Each of the project's neverallow rules must be what forbids one of them.
    let neverallow = Regex::new(r"(?m)^neverallow [^;]*;").context("compile a pattern")?;
    for found in neverallow.find_iter(&text) {
        let mut without = text.clone();
        without.replace_range(found.range(), "");
        let mut forbids = false;
        for rule in rules {
            let added = Sources::with(&path, format!("{without}\n{rule}\n"));
            forbids = forbids || added.compile(workspace, target)?.is_ok();
        }
        if !forbids {
            let line = found.as_str().split_whitespace().collect::<Vec<_>>().join(" ");
            problems.push(format!("no rule here shows what this forbids: {line}"));
        }
    }
    for rule in rules {
        let added = Sources::with(&path, format!("{text}\n{rule}\n"));
        match added.compile(workspace, target)? {
            Ok(_) => problems.push(format!("nothing forbids: {rule}")),
            Err(text) if text.contains("neverallow") => {}
            Err(text) => problems.push(format!("{rule} breaks the policy otherwise: {text}")),
        }
    }
    Ok(problems)
}

/// What the policy allows and must not, or the other way round.
fn accesses(name: &str, policy: &Path) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for (accesses, must_be) in [(ALLOWED, true), (DENIED, false)] {
        for access in accesses {
            if is_allowed(policy, access)? != must_be {
                let word = if must_be { "does not allow" } else { "allows" };
                problems.push(format!("the {name} policy {word}: {}", access.join(" ")));
            }
        }
    }
    Ok(problems)
}

fn is_allowed(policy: &Path, [source, target, class, permission]: &Access) -> Result<bool> {
    let mut sesearch = Command::new("sesearch");
    sesearch.args(["--allow", "--source", source, "--target", target, "--class", class]);
    if !permission.is_empty() {
        sesearch.args(["--perm", permission]);
    }
    let found = output(sesearch.arg(policy))?;
    if !found.status.success() {
        bail!("sesearch: {}", words(&found));
    }
    Ok(!found.stdout.is_empty())
}

/// Contexts that the policy does not know.
fn contexts(workspace: &Workspace, target: Target, policy: &Path) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    let mut folders = vec![PRIVATE];
    if target == Target::Engineering {
        folders.push(ENGINEERING);
    }
    for folder in folders {
        let files = workspace.root().join(folder).join("file_contexts");
        let compiled = tempfile::NamedTempFile::new().context("make a temporary file")?;
        let mut compiler = Command::new("sefcontext_compile");
        compiler.arg("-p").arg(policy).arg("-o").arg(compiled.path()).arg(&files);
        let result = output(&mut compiler)?;
        if !result.status.success() {
            problems.push(format!("{folder}/file_contexts: {}", words(&result)));
        }
    }
    let services = Path::new(PRIVATE).join("service_contexts");
    let text = fs::read_to_string(workspace.root().join(&services))
        .with_context(|| format!("read {}", services.display()))?;
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let context = line.split_whitespace().nth(1).unwrap_or_default();
        let result = output(Command::new("chkcon").arg(policy).arg(context))?;
        if !result.status.success() {
            problems.push(format!("{}: {line}: {}", services.display(), words(&result)));
        }
    }
    Ok(problems)
}
