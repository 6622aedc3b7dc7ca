// SPDX-License-Identifier: Apache-2.0
//! The AIDL compiler of AOSP, as Debian has it, and whether it accepts the project's AIDL.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::android::MIN_API_LEVEL;
use crate::apt::{self, Available, Suite};
use crate::progress::say;
use crate::workspace::Workspace;
use crate::{cache, deb, tidy};

/// Where to look for the compiler, in this order. Debian's stable suites have an older one or none.
const SUITES: &[&str] = &["forky", "sid"];
/// What names the compiler's version, and with it the cache entry.
const PACKAGE: &str = "aidl";
/// The compiler and all that it is linked with. Its libc is newer than this machine's may be, so it
/// runs with that libc's own loader, out of a directory, and nothing is installed.
const PACKAGES: &[&str] = &[
    PACKAGE,
    "android-libbase",
    "android-libcutils",
    "android-liblog",
    "libatomic1",
    "libbsd0",
    "libc6",
    "libgcc-s1",
    "libmd0",
    "libstdc++6",
];

/// Imports are looked up here.
const INCLUDE: &str = "aidl";
const SOURCES: &str = "aidl/android";
const LANGUAGES: &[&str] = &["rust", "ndk", "cpp", "java"];
/// For every language and every file: what a stable interface of a native service must be, without
/// anything that the compiler would only warn of.
const COMPILE: &[&str] = &[
    "--structured",
    // With a version come two more methods, whose names are then taken.
    "--version=1",
    "--hash=notfrozen",
    "-Weverything",
    "-Werror",
];

/// The compiler, ready to run.
pub(crate) struct Compiler {
    /// The packages are unpacked here.
    root: PathBuf,
}

/// What the compiler thinks of what it was given.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Yes,
    /// And why, in its words.
    No(String),
}

/// What a new API must be to an old one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// Clients and services of either understand each other.
    Compatible,
    /// The same but for comments.
    Equal,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Compatible => "compatible",
            Self::Equal => "equal",
        })
    }
}

impl Compiler {
    /// The newest one that Debian has; without a network, the newest that is cached.
    pub(crate) fn fetch(workspace: &Workspace) -> Result<Self> {
        let parent = workspace.cache().join(PACKAGE);
        let root = match find(workspace) {
            Ok((suite, packages)) => {
                let version = packages.first().map(|package| package.version.as_str());
                let name = cache::entry_name(PACKAGE, version.unwrap_or_default());
                cache::entry(&parent, &name, |directory| fill(&suite, &packages, directory))?
            }
            Err(error) => cache::newest(&parent, error)?,
        };
        Ok(Self { root })
    }

    /// Writes the API of `sources`, which are relative to `root`, into `out`.
    pub(crate) fn dump(&self, root: &Path, sources: &[PathBuf], out: &Path) -> Result<Answer> {
        let mut command = self.command();
        command.current_dir(root).args(["--dumpapi", "--structured", "-I", INCLUDE]);
        ask(command.arg("--out").arg(out).args(sources))
    }

    /// Whether the API in `new` is to the one in `old` what `level` says.
    pub(crate) fn check_api(&self, level: Level, old: &Path, new: &Path) -> Result<Answer> {
        let mut command = self.command();
        ask(command.arg(format!("--checkapi={level}")).arg(old).arg(new))
    }

    /// Compiles `sources`, relative to `root`, for one language; what comes out is thrown away.
    fn compile(&self, language: &str, root: &Path, sources: &[PathBuf]) -> Result<Answer> {
        let out = tempfile::tempdir().context("create a temporary directory")?;
        self.generate(language, MIN_API_LEVEL, root, sources, out.path())
    }

    /// Compiles `sources`, relative to `root`, for one language and API level, into `out`.
    pub(crate) fn generate(
        &self,
        language: &str,
        level: u32,
        root: &Path,
        sources: &[PathBuf],
        out: &Path,
    ) -> Result<Answer> {
        let mut command = self.command();
        command.current_dir(root).arg(format!("--lang={language}")).args(COMPILE);
        command.arg(format!("--min_sdk_version={level}"));
        command.args(["-I", INCLUDE]).arg("--out").arg(out);
        if matches!(language, "cpp" | "ndk") {
            command.arg("--header_out").arg(out.join("include"));
        }
        ask(command.args(sources))
    }

    fn command(&self) -> Command {
        let libraries = self.root.join("usr/lib/x86_64-linux-gnu");
        let mut path = libraries.clone().into_os_string();
        path.push(":");
        path.push(libraries.join("android"));
        let mut command = Command::new(libraries.join("ld-linux-x86-64.so.2"));
        // Neither this machine's libraries nor what its environment puts before them.
        command.env_remove("LD_PRELOAD").arg("--inhibit-cache");
        command.args([OsStr::new("--library-path"), &path]).arg(self.root.join("usr/bin/aidl"));
        command
    }
}

/// Runs the compiler. It says no with 1; any other failure is that of the compiler itself.
fn ask(command: &mut Command) -> Result<Answer> {
    let output = command.stdin(Stdio::null()).output().context("run the AIDL compiler")?;
    let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    match output.status.code() {
        Some(0) => Ok(Answer::Yes),
        Some(1) => Ok(Answer::No(text)),
        _ => bail!("the AIDL compiler itself failed: {}: {text}", output.status),
    }
}

/// The first suite that has all the packages, and those, the compiler first.
fn find(workspace: &Workspace) -> Result<(Suite, Vec<Available>)> {
    let mut missing = Vec::new();
    for name in SUITES {
        let suite = Suite::open(workspace.cache(), name)?;
        match choose(&suite.available()?)? {
            Ok(packages) => return Ok((suite, packages)),
            Err(package) => missing.push(format!("Debian {name} has no {package}")),
        }
    }
    bail!("no AIDL compiler: {}", missing.join(", "));
}

/// The newest of each package, or the name of one that is not there.
fn choose(available: &[Available]) -> Result<Result<Vec<Available>, &'static str>> {
    let mut chosen = Vec::new();
    for &name in PACKAGES {
        let packages = available.iter().filter(|package| package.name == name).cloned();
        match apt::newest(packages.collect())? {
            Some(package) => chosen.push(package),
            None => return Ok(Err(name)),
        }
    }
    Ok(Ok(chosen))
}

/// Fills a cache entry, and sees that what is in it runs.
fn fill(suite: &Suite, packages: &[Available], directory: &Path) -> Result<()> {
    for package in packages {
        let deb = suite.download(package, directory)?;
        deb::unpack(&deb, directory)?;
        deb::remove(&deb)?;
    }
    let compiler = Compiler { root: directory.to_owned() };
    match ask(compiler.command().arg("--help"))? {
        Answer::Yes => Ok(()),
        Answer::No(text) => bail!("the AIDL compiler that was unpacked does not run: {text}"),
    }
}

/// The project's AIDL files, relative to the root.
pub(crate) fn sources(workspace: &Workspace) -> Result<Vec<PathBuf>> {
    let mut files = tidy::files(workspace, &["aidl"])?;
    files.retain(|path| path.starts_with(SOURCES));
    if files.is_empty() {
        bail!("there is no AIDL under {SOURCES}");
    }
    Ok(files)
}

/// The check: every file compiles for every language.
pub(crate) fn check(workspace: &Workspace) -> Result<bool> {
    let compiler = Compiler::fetch(workspace)?;
    let sources = sources(workspace)?;
    // Most mistakes are mistakes in every language, and one report of them is enough.
    let mut reports: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for language in LANGUAGES {
        if let Answer::No(text) = compiler.compile(language, workspace.root(), &sources)? {
            reports.entry(text).or_default().push(language);
        }
    }
    for (text, languages) in &reports {
        say(&format!("the AIDL does not compile for {}:\n{text}", languages.join(", ")));
    }
    Ok(reports.is_empty())
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    fn run(script: &str) -> Result<Answer> {
        ask(Command::new("sh").args(["-c", script]))
    }

    #[test]
    fn a_refusal_is_told_from_a_compiler_that_does_not_run() {
        assert_eq!(run("exit 0").unwrap(), Answer::Yes);
        assert_eq!(run("echo no >&2; exit 1").unwrap(), Answer::No("no".to_owned()));
        assert!(run("echo 'no libc' >&2; exit 127").unwrap_err().to_string().contains("no libc"));
        assert!(run("kill -SEGV $$").is_err());
    }
}
