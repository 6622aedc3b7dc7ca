// SPDX-License-Identifier: Apache-2.0
//! What the rules of Android.bp files make: run here as Soong runs them, and compared with what cargo
//! makes of the same sources.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use cargo_metadata::{Message, TargetKind};
use object::{Object as _, ObjectSection as _};

use crate::bp_modules::{Module, Tree};
use crate::cache;
use crate::progress::Step;
use crate::workspace::Workspace;

/// What build/soong/bpf/libbpf gives clang in Android 17, but for paths of AOSP's own headers.
const BPF_FLAGS: &[&str] = &[
    "--target=bpf",
    "-mcpu=v1",
    "-c",
    "-nostdlibinc",
    "-no-canonical-prefixes",
    "-O2",
    "-Wall",
    "-Werror",
    "-Wextra",
    "-DENABLE_LIBBPF",
    "-g",
];
/// What build/soong/rust gives bindgen.
const BINDGEN_FLAGS: &[&str] = &["--blocklist-type", "max_align_t"];

/// What cargo has made of a package before it compiles it.
struct Made {
    /// The build script.
    program: PathBuf,
    /// What it wrote.
    out: PathBuf,
}

/// What does not fit.
pub(crate) fn problems(workspace: &Workspace, tree: &Tree) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    let aidl = made(workspace, "wakeupstats-aidl")?;
    let service = made(workspace, "wakeupstatsd")?;
    // One that takes what is made for the device only copies it: nothing here makes that.
    let rules = tree.of_kind("genrule").filter(|rule| rule.own("device_first_srcs").is_empty());
    for rule in rules {
        let directory = tempfile::tempdir().context("create a temporary directory")?;
        if let Err(error) = run(workspace, tree, rule, &aidl.program, directory.path()) {
            problems.push(format!("{}: {error:#}", rule.label()));
            continue;
        }
        for out in rule.own("out") {
            // What is not Rust is compiled below.
            if out.ends_with(".rs") && !same(&directory.path().join(out), &aidl.out.join(out))? {
                problems.push(format!("{}: it makes another {out} than cargo", rule.label()));
            }
        }
        for program in tree.of_kind("libbpf_prog") {
            if program.own("srcs") == [format!(":{}", rule.name)] {
                problems.extend(compile(workspace, program, rule, directory.path())?);
            }
        }
    }
    for bindgen in tree.of_kind("rust_bindgen") {
        problems.extend(generate(workspace, bindgen, &service.out)?);
    }
    problems.extend(as_soong(workspace)?);
    Ok(problems)
}

/// Has rustc check what is not the same under Soong, which sets `soong` for each crate.
fn as_soong(workspace: &Workspace) -> Result<Vec<String>> {
    const CRATES: &[(&str, &[&str])] = &[
        ("wakeupstats-vm", &["--profile", "check", "--test", "device"]),
        ("wakeupstatsd", &["--profile", "test", "--lib", "--no-default-features"]),
    ];
    let mut problems = Vec::new();
    for (package, target) in CRATES {
        let mut cargo = workspace.cargo();
        cargo.args(["rustc", "--quiet", "--package", package]).args(*target);
        cargo.args(["--", "--cfg", "soong", "--deny", "warnings"]);
        let status = cargo.stdin(Stdio::null()).stdout(std::io::stderr()).status();
        if !status.context("run cargo rustc")?.success() {
            problems.push(format!("{package} does not build with --cfg soong; see above"));
        }
    }
    Ok(problems)
}

/// Has cargo check a package of the workspace, which runs its build script.
fn made(workspace: &Workspace, package: &str) -> Result<Made> {
    let arguments = ["check", "--quiet", "--message-format", "json", "--package", package];
    let output = workspace.cargo().args(arguments).stderr(Stdio::inherit()).output();
    let output = output.context("run cargo check")?;
    ensure!(output.status.success(), "{package} does not build; cargo's errors are above");
    let (mut program, mut out) = (None, None);
    let id = &workspace.package(package)?.id;
    for message in Message::parse_stream(output.stdout.as_slice()) {
        match message.context("read cargo's messages")? {
            Message::CompilerArtifact(it)
                if it.package_id == *id && it.target.is_kind(TargetKind::CustomBuild) =>
            {
                program = it.filenames.into_iter().next();
            }
            Message::BuildScriptExecuted(it) if it.package_id == *id => out = Some(it.out_dir),
            _ => {}
        }
    }
    Ok(Made {
        program: program.with_context(|| format!("{package} has no build script"))?.into(),
        out: out.with_context(|| format!("the build script of {package} did not run"))?.into(),
    })
}

/// Runs a genrule in the root of the tree, as Soong does. Its one tool is a build script of ours.
fn run(
    workspace: &Workspace,
    tree: &Tree,
    rule: &Module,
    tool: &Path,
    directory: &Path,
) -> Result<()> {
    let place = |name: &str| workspace.root().join(&rule.directory).join(name);
    let mut cmd = rule.own("cmd").first().context("no cmd")?.clone();
    for name in rule.own("tools") {
        let is_ours = tree.module(name).is_some_and(|it| it.own("srcs") == ["build.rs"]);
        ensure!(is_ours, "{name} is no build script, and nothing else is known how to run");
        cmd = cmd.replace(&format!("$(location {name})"), &tool.display().to_string());
    }
    for name in rule.own("tool_files").iter().chain(rule.own("srcs")) {
        cmd = cmd.replace(&format!("$(location {name})"), &place(name).display().to_string());
    }
    let sources: Vec<String> =
        rule.own("srcs").iter().map(|name| place(name).display().to_string()).collect();
    let outputs: Vec<String> =
        rule.own("out").iter().map(|name| directory.join(name).display().to_string()).collect();
    for (variable, value) in [
        ("$(in)", sources.join(" ")),
        ("$(out)", outputs.join(" ")),
        ("$(genDir)", directory.display().to_string()),
    ] {
        cmd = cmd.replace(variable, &value);
    }
    // Two dollars are one for the shell.
    let cmd = cmd.replace("$$", "\0");
    ensure!(!cmd.contains('$'), "a variable is not known: {cmd}");
    let cmd = cmd.replace('\0', "$");
    let output = Command::new("bash")
        .args(["-c", &cmd])
        .current_dir(workspace.root())
        .env_remove("OUT_DIR")
        .stdin(Stdio::null())
        .output()
        .context("run bash")?;
    if !output.status.success() {
        bail!("it fails: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    for out in rule.own("out") {
        ensure!(directory.join(out).is_file(), "it does not make {out}");
    }
    Ok(())
}

/// Compiles the BPF program with Soong's flags and the module's.
fn compile(
    workspace: &Workspace,
    program: &Module,
    rule: &Module,
    directory: &Path,
) -> Result<Vec<String>> {
    let headers = directory.join("include/bpf");
    fs::create_dir_all(&headers).context("create a directory for libbpf's headers")?;
    let libbpf = workspace.package("libbpf-sys")?.manifest_path.parent();
    let libbpf = libbpf.context("libbpf-sys has no directory")?.join("libbpf/src");
    for name in ["bpf_core_read.h", "bpf_helper_defs.h", "bpf_helpers.h"] {
        fs::copy(libbpf.join(name), headers.join(name)).with_context(|| format!("copy {name}"))?;
    }
    let mut problems = Vec::new();
    for source in rule.own("out") {
        let object = directory.join("object");
        let output = Command::new("clang")
            .args(BPF_FLAGS)
            .arg("-I")
            .arg(workspace.root().join(&program.directory))
            .arg("-I")
            .arg(directory.join("include"))
            .args(program.own("cflags"))
            .arg("-o")
            .arg(&object)
            .arg(directory.join(source))
            .stdin(Stdio::null())
            .output()
            .context("run clang")?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            problems.push(format!("{}: it does not compile: {text}", program.label()));
            continue;
        }
        let bytes = fs::read(&object).context("read the object")?;
        problems.extend(
            object_problems(&bytes)?.into_iter().map(|it| format!("{}: {it}", program.label())),
        );
    }
    Ok(problems)
}

/// bpfloader pins every map that is there, and wants each to be in its table: one is.
fn object_problems(bytes: &[u8]) -> Result<Vec<String>> {
    let file = object::File::parse(bytes).context("read the object")?;
    let mut problems = Vec::new();
    for section in file.sections() {
        let name = section.name().context("read a section's name")?;
        let is_map = [".data", ".bss", ".rodata", ".kconfig"].iter().any(|it| name.starts_with(it));
        if is_map && section.size() > 0 {
            problems.push(format!("its section {name} would be one more map"));
        }
    }
    // Without the last, nothing is fitted to the kernel.
    for name in ["syscall", ".maps", ".BTF", ".BTF.ext"] {
        if file.section_by_name(name).is_none() {
            problems.push(format!("it has no section {name}"));
        }
    }
    Ok(problems)
}

/// Runs bindgen with Soong's flags and the module's, and compares.
fn generate(workspace: &Workspace, module: &Module, made: &Path) -> Result<Vec<String>> {
    let bindgen = install_bindgen(workspace)?;
    let header = module.own("wrapper_src").first().context("a rust_bindgen has no header")?;
    let stem = module.own("source_stem").first().context("a rust_bindgen has no stem")?;
    let directory = tempfile::tempdir().context("create a temporary directory")?;
    let generated = directory.path().join(stem).with_extension("rs");
    let output = Command::new(bindgen)
        .args(BINDGEN_FLAGS)
        .args(module.own("bindgen_flags"))
        .arg(workspace.root().join(&module.directory).join(header))
        .arg("-o")
        .arg(&generated)
        .args(["--", "-x", "c"])
        .stdin(Stdio::null())
        .output()
        .context("run bindgen")?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Ok(vec![format!("{}: bindgen refuses it: {text}", module.label())]);
    }
    if same(&generated, &made.join(stem).with_extension("rs"))? {
        return Ok(Vec::new());
    }
    Ok(vec![format!("{}: it makes another {stem}.rs than cargo", module.label())])
}

/// bindgen as a program, of the version that is a library to the build script, built once.
fn install_bindgen(workspace: &Workspace) -> Result<PathBuf> {
    let version = workspace.package("bindgen")?.version.to_string();
    let parent = workspace.cache().join("tools");
    let entry = cache::entry(&parent, &cache::entry_name("bindgen-cli", &version), |directory| {
        let step = Step::new(&format!("building bindgen-cli {version}"));
        let build = tempfile::tempdir().context("create a temporary directory")?;
        let status = workspace
            .cargo()
            .args(["install", "bindgen-cli", "--locked", "--quiet"])
            .args(["--version", &format!("={version}")])
            .arg("--root")
            .arg(directory)
            .env("CARGO_TARGET_DIR", build.path())
            .stdin(Stdio::null())
            .stdout(std::io::stderr())
            .status()
            .context("run cargo install")?;
        ensure!(status.success(), "bindgen-cli {version} could not be installed");
        step.done();
        Ok(())
    })?;
    Ok(entry.join("bin/bindgen"))
}

fn same(one: &Path, other: &Path) -> Result<bool> {
    let read = |path: &Path| fs::read(path).with_context(|| format!("read {}", path.display()));
    Ok(read(one)? == read(other)?)
}
