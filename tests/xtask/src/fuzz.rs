// SPDX-License-Identifier: Apache-2.0
//! `cargo xtask fuzz`: the targets of tests/fuzz, each for a while, as many at a time as there are
//! processors. AddressSanitizer watches along.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;

use anyhow::{Context as _, Result, bail};
use cargo_metadata::TargetKind;
use clap::Args;
use regex::Regex;

use crate::arch::Arch;
use crate::progress::{Step, say};
use crate::tally::Count;
use crate::workspace::Workspace;
use crate::{cache, packages};

const PACKAGE: &str = "wakeupstats-fuzz";
const TOOL: &str = "cargo-fuzz";
const TOOL_VERSION: &str = "0.13.2";
/// Seconds for each target in a run of all tests.
pub(crate) const SECONDS: u32 = 60;
/// Seconds for one input, of which the slowest take some milliseconds.
const TIME_LIMIT: u32 = 10;
/// MiB, for a target that is asked for more than any query, walk or dump is worth.
const MEMORY_LIMIT: u32 = 2_048;
/// Lines of a fuzzer's words that are shown where it found something.
const SHOWN: usize = 60;

#[derive(Args)]
pub(crate) struct Options {
    /// Only this target of tests/fuzz.
    target: Option<String>,
    /// How long each target runs.
    #[arg(long, value_name = "SECONDS", default_value_t = SECONDS)]
    seconds: u32,
    /// Runs the target with this file and nothing else, as to see again what was found.
    #[arg(long, value_name = "FILE", requires = "target", conflicts_with = "keep")]
    input: Option<PathBuf>,
    /// Adds to the target's corpus in the repository what reaches further than all that is there.
    #[arg(long)]
    keep: bool,
}

/// Does what was asked; false if something was found.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let workspace = Workspace::load()?;
    packages::ensure(&[packages::BUILD, packages::FUZZ])?;
    let fuzzer = Fuzzer::build(&workspace, options.target.as_deref())?;
    if let (Some(target), Some(input)) = (&options.target, &options.input) {
        let status = Command::new(fuzzer.program(target)).args(fuzzer.limits()).arg(input).status();
        return Ok(status.context("run a fuzz target")?.success());
    }
    let count = fuzzer.run(options.seconds)?;
    if options.keep {
        fuzzer.keep()?;
    }
    println!("fuzz: {count}");
    Ok(count.failed == 0)
}

/// All targets, as a part of all tests. One that finds nothing is a test that passed.
pub(crate) fn test(workspace: &Workspace) -> Result<Count> {
    packages::ensure(&[packages::FUZZ])?;
    Fuzzer::build(workspace, None)?.run(SECONDS)
}

/// The programs, built.
struct Fuzzer<'a> {
    workspace: &'a Workspace,
    targets: Vec<String>,
    /// Cargo's target directory: what is compiled for a fuzzer serves nobody else.
    directory: PathBuf,
}

impl<'a> Fuzzer<'a> {
    /// Builds all targets, or one.
    fn build(workspace: &'a Workspace, target: Option<&str>) -> Result<Self> {
        let package = workspace.package(PACKAGE)?;
        let all = package.targets.iter().filter(|target| target.is_kind(TargetKind::Bin));
        let all: Vec<String> = all.map(|target| target.name.clone()).collect();
        if let Some(target) = target.filter(|target| !all.iter().any(|name| name == target)) {
            bail!("no fuzz target is named {target:?}; tests/fuzz has {}", all.join(", "));
        }
        let targets = target.map_or(all, |target| vec![target.to_owned()]);
        let directory = workspace.fuzz_target();
        let tool = tool(workspace)?;
        let step = Step::new("building the fuzz targets");
        let status = Command::new(tool)
            .current_dir(workspace.root())
            .args(["fuzz", "build", "--features", "libfuzzer", "--fuzz-dir"])
            .arg(workspace.tests_file("fuzz"))
            .arg("--target-dir")
            .arg(&directory)
            .args(target)
            // Sanitizers are switched on by a flag that only nightly has, though their runtimes come
            // with every toolchain.
            .env("RUSTC_BOOTSTRAP", "1")
            .stdin(Stdio::null())
            .stdout(std::io::stderr())
            .status()
            .context("run cargo fuzz")?;
        if !status.success() {
            bail!("the fuzz targets do not build; cargo's errors are above");
        }
        step.done();
        Ok(Self { workspace, targets, directory })
    }

    /// Runs each for so many seconds.
    fn run(&self, seconds: u32) -> Result<Count> {
        say(&format!("fuzzing {} for {seconds} s each", self.targets.join(", ")));
        let rest = Mutex::new(self.targets.iter());
        let next = || rest.lock().ok()?.next();
        let work = || -> Result<Count> {
            let mut count = Count::default();
            while let Some(target) = next() {
                count += self.run_one(target, seconds).with_context(|| format!("fuzz {target}"))?;
            }
            Ok(count)
        };
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let mut sum = Count::default();
        thread::scope(|scope| -> Result<()> {
            let threads: Vec<_> = (0..processors).map(|_| scope.spawn(work)).collect();
            for thread in threads {
                sum += thread.join().ok().context("a thread panicked")??;
            }
            Ok(())
        })?;
        Ok(sum)
    }

    fn run_one(&self, target: &str, seconds: u32) -> Result<Count> {
        let (found, grown) = (self.place("found", target)?, self.place("corpus", target)?);
        let log = self.directory.join(format!("{target}.log"));
        let log_file = File::create(&log).with_context(|| format!("create {}", log.display()))?;
        let status = Command::new(self.program(target))
            .current_dir(self.workspace.root())
            .args(self.limits())
            .arg(format!("-max_total_time={seconds}"))
            .arg("-print_final_stats=1")
            .arg(format!("-artifact_prefix={}/", found.display()))
            // New inputs go to the first, which is not the repository's.
            .args([grown, self.corpus(target)])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log_file)
            .status()
            .context("run it")?;
        let text = fs::read(&log).with_context(|| format!("read {}", log.display()))?;
        let text = String::from_utf8_lossy(&text);
        if status.success() {
            say(&format!("fuzz {target}: {}", Stats::of(&text)?));
            return Ok(Count { passed: 1, failed: 0 });
        }
        let lines: Vec<&str> = text.lines().collect();
        let shown = lines.get(lines.len().saturating_sub(SHOWN)..).unwrap_or_default();
        println!("{}", shown.join("\n"));
        say(&format!("fuzz {target}: found something; to see it again: {}", again(target, &text)));
        Ok(Count { passed: 0, failed: 1 })
    }

    /// Copies to the repository's corpus what reaches further.
    fn keep(&self) -> Result<()> {
        for target in &self.targets {
            let status = Command::new(self.program(target))
                .arg("-merge=1")
                .args([self.corpus(target), self.place("corpus", target)?])
                .status()
                .context("run a fuzz target")?;
            if !status.success() {
                bail!("the corpus of {target} could not be added to");
            }
        }
        Ok(())
    }

    fn limits(&self) -> [String; 2] {
        [format!("-timeout={TIME_LIMIT}"), format!("-rss_limit_mb={MEMORY_LIMIT}")]
    }

    fn program(&self, target: &str) -> PathBuf {
        self.directory.join(Arch::X86_64.target()).join("release").join(target)
    }

    fn corpus(&self, target: &str) -> PathBuf {
        self.workspace.tests_file("fuzz").join("corpus").join(target)
    }

    /// A directory for what comes out of a run.
    fn place(&self, what: &str, target: &str) -> Result<PathBuf> {
        let place = self.directory.join(what).join(target);
        fs::create_dir_all(&place).with_context(|| format!("create {}", place.display()))?;
        Ok(place)
    }
}

/// Installs cargo-fuzz into the cache, once per version.
fn tool(workspace: &Workspace) -> Result<PathBuf> {
    let parent = workspace.cache().join("tools");
    let name = cache::entry_name(TOOL, TOOL_VERSION);
    let entry = cache::entry(&parent, &name, |directory| {
        let step = Step::new(&format!("building {TOOL} {TOOL_VERSION}"));
        let status = workspace
            .cargo()
            .args(["install", TOOL, "--locked", "--quiet", "--root"])
            .arg(directory)
            .args(["--version", &format!("={TOOL_VERSION}")])
            .stdin(Stdio::null())
            .stdout(std::io::stderr())
            .status()
            .context("run cargo install")?;
        if !status.success() {
            bail!("{TOOL} {TOOL_VERSION} could not be installed; cargo's errors are above");
        }
        step.done();
        Ok(())
    })?;
    Ok(entry.join("bin").join(TOOL))
}

/// What libFuzzer says at the end.
#[derive(Debug, PartialEq, Eq)]
struct Stats {
    runs: u64,
    /// Edges of the code that were passed.
    coverage: u64,
    mib: u64,
}

impl Stats {
    fn of(text: &str) -> Result<Self> {
        let last = |pattern: &str| -> Result<u64> {
            let pattern = Regex::new(pattern).context("compile a pattern")?;
            let found = pattern.captures_iter(text).last().and_then(|found| found.get(1));
            let found = found.context("libFuzzer does not say what it did")?;
            found.as_str().parse().context("read a number of libFuzzer's")
        };
        Ok(Stats {
            runs: last(r"(?m)^stat::number_of_executed_units: (\d+)$")?,
            coverage: last(r"(?m)^#\d+\s.* cov: (\d+) ")?,
            mib: last(r"(?m)^stat::peak_rss_mb:\s+(\d+)$")?,
        })
    }
}

impl std::fmt::Display for Stats {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Stats { runs, coverage, mib } = self;
        write!(f, "nothing found in {runs} runs; {coverage} edges passed, {mib} MiB")
    }
}

/// The command that runs a target with what it found, which libFuzzer's words have the place of.
fn again(target: &str, text: &str) -> String {
    let written = text.lines().find_map(|line| line.split_once("Test unit written to "));
    match written.map(|(_, path)| Path::new(path.trim())) {
        Some(path) => format!("cargo xtask fuzz {target} --input {}", path.display()),
        None => format!("cargo xtask fuzz {target}"),
    }
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    const WORDS: &str = "#2\tINITED cov: 9 ft: 9 corp: 1/1b exec/s: 0 rss: 30Mb\n\
        #8\tNEW    cov: 12 ft: 13 corp: 2/3b lim: 4 exec/s: 0 rss: 31Mb L: 2/2 MS: 1 CrossOver-\n\
        #512\tDONE   cov: 12 ft: 13 corp: 2/3b lim: 4 exec/s: 0 rss: 31Mb\n\
        stat::number_of_executed_units: 512\nstat::peak_rss_mb:              31\n";

    #[test]
    fn what_was_done_is_read_from_libfuzzers_words() {
        assert_eq!(Stats::of(WORDS).unwrap(), Stats { runs: 512, coverage: 12, mib: 31 });
        assert!(Stats::of("").is_err());
    }

    #[test]
    fn what_was_found_can_be_seen_again() {
        let words = "artifact_prefix='found/'; Test unit written to found/crash-1\nBase64: Cg==\n";
        assert_eq!(again("dump", words), "cargo xtask fuzz dump --input found/crash-1");
        assert_eq!(again("dump", "killed"), "cargo xtask fuzz dump");
    }
}
