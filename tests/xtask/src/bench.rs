// SPDX-License-Identifier: Apache-2.0
//! `cargo xtask bench`: boots, measures every way to read the wakeup sources, and shows the result.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use init::Verdict;

use crate::accel::Accel;
use crate::arch::Arch;
use crate::bench_report::{Counts, Report};
use crate::cli::VmOptions;
use crate::guest;
use crate::initramfs::Initramfs;
use crate::jobs;
use crate::packages;
use crate::progress::say;
use crate::table::{Kfuncs, Table};
use crate::vm::{Vm, show};
use crate::workspace::Workspace;
use crate::{bench_plot, bench_table};

/// What a phone has, what few have, and what none has.
const SOURCES: &[u32] = &[50, 150, 500, 2_000, 4_000];
const ROUNDS: u32 = 30;

/// To see that all contenders answer and agree.
const QUICK_SOURCES: &[u32] = &[50, 150];
const QUICK_ROUNDS: u32 = 5;

/// Calls between two looks at a daemon's memory.
const CALLS: u32 = 1_000_000;
const QUICK_CALLS: u32 = 2_000;

/// Where the consoles of the two VMs are kept.
const LOGS: [&str; 2] = ["bench.console.log", "bench-footprint.console.log"];

/// Seconds, for each of the two VMs. Emulated, they take some 4 and 15 minutes.
const TIME_LIMIT: u64 = 3_600;

#[derive(Args)]
pub(crate) struct Options {
    /// Few rounds, sources and calls: whether all contenders answer and agree, in less than 5 minutes.
    #[arg(long)]
    quick: bool,
    /// Counts instructions instead of time, on one processor: nearly the same in each run, whatever
    /// else the host does. QEMU must emulate for that. Measures no footprint.
    #[arg(long, conflicts_with = "svg")]
    instructions: bool,
    /// Rounds that count [default: 30; 5 with --quick].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// Numbers of wakeup sources, the machine's own included, with commas, 20 to 5000 [default:
    /// 50,150,500,2000,4000; 50,150 with --quick].
    #[arg(long, value_name = "LIST", value_delimiter = ',',
          value_parser = clap::value_parser!(u32).range(20..=5_000))]
    sources: Option<Vec<u32>>,
    /// Calls of each daemon between two looks at its memory [default: 1000000; 2000 with --quick].
    #[arg(long, value_name = "N", conflicts_with = "instructions",
          value_parser = clap::value_parser!(u32).range(1..))]
    calls: Option<u32>,
    /// Writes the results there.
    #[arg(long, value_name = "PATH")]
    json: Option<PathBuf>,
    /// Writes plots to this directory: bench-sources.svg and bench-150.svg.
    #[arg(long, value_name = "DIR")]
    svg: Option<PathBuf>,
    /// Which kernel of tests/kernels.toml, one with the kfuncs.
    #[arg(long, value_name = "NAME", default_value = jobs::DEFAULT_KERNEL)]
    kernel: String,
    #[command(flatten)]
    vm: VmOptions,
}

impl Options {
    fn rounds(&self) -> u32 {
        self.rounds.unwrap_or(if self.quick { QUICK_ROUNDS } else { ROUNDS })
    }

    fn calls(&self) -> u32 {
        self.calls.unwrap_or(if self.quick { QUICK_CALLS } else { CALLS })
    }

    /// In rising order, as the guest only ever makes more.
    fn sources(&self) -> Vec<u32> {
        let default = if self.quick { QUICK_SOURCES } else { SOURCES };
        let mut sources = self.sources.clone().unwrap_or_else(|| default.to_vec());
        sources.sort_unstable();
        sources.dedup();
        sources
    }
}

/// Runs it. False if a contender failed; how fast each is decides nothing.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let workspace = Workspace::load()?;
    let table = Table::load(&workspace)?;
    let source = table.kernel(&options.kernel)?;
    packages::ensure(&packages::for_tests(source.arch))?;
    let kernel = table.fetch(&workspace, source)?;
    if kernel.kfuncs == Kfuncs::None {
        bail!("kernel {} has no kfuncs: most contenders can't run there", kernel.name);
    }
    let programs = guest::build(&workspace, kernel.arch)?;
    let mut initramfs = Initramfs::new(&workspace, &programs, &kernel)?;
    initramfs.add_policy("bench", &workspace.tests_file("vm/src/bench/hub.toml"))?;
    let binary_bytes = stripped_size(kernel.arch, programs.binaries.get(guest::ON_DEVICE))?;
    let boot = |log: &str, arguments: [&str; 2]| {
        let job = ["bench"].into_iter().chain(arguments).map(str::to_owned).collect();
        let mut vm = Vm::prepare(&workspace, &kernel, &initramfs, job, options.vm.verbose)?;
        vm.log = workspace.runs().join(log);
        vm.time_limit = Some(options.vm.time_limit_or(TIME_LIMIT));
        vm.accel = options.instructions.then_some(Accel::Icount);
        // To wake a processor that halted costs the host many times what the guest does then. But
        // where instructions are counted, those of polling would be, too.
        vm.options = if options.instructions { "" } else { "idle=poll" }.to_owned();
        vm.run(&workspace, &mut show)
    };
    let sources: Vec<String> = options.sources().iter().map(u32::to_string).collect();
    let rounds = boot(LOGS[0], [&options.rounds().to_string(), &sources.join(",")])?;
    let mut passed = rounds.verdict == Verdict::Pass;
    let mut report = Report {
        kernel: kernel.release.clone(),
        accel: rounds.accel.to_string(),
        counts: if options.instructions { Counts::Instructions } else { Counts::Time },
        idle: if options.instructions { "halt" } else { "poll" }.to_owned(),
        rounds: options.rounds(),
        rows: rounds.measured,
        footprints: Vec::new(),
        binary_bytes,
    };
    let mut failure = None;
    if passed && !options.instructions {
        // What has been measured is to be seen, whatever becomes of this.
        match boot(LOGS[1], ["footprint", &options.calls().to_string()]) {
            Ok(footprint) => {
                passed = footprint.verdict == Verdict::Pass;
                report.footprints = footprint.footprints;
            }
            Err(error) => failure = Some(error),
        }
    }
    print!("{}", bench_table::text(&report));
    if let Some(path) = &options.json {
        write(path, &report.to_json()?)?;
    }
    if let Some(directory) = &options.svg {
        fs::create_dir_all(directory).with_context(|| format!("create {}", directory.display()))?;
        write(&directory.join("bench-sources.svg"), &bench_plot::by_sources(&report)?)?;
        write(&directory.join("bench-150.svg"), &bench_plot::at_150(&report)?)?;
    }
    if !passed {
        say(&format!(
            "the benchmark failed; what failed is above, the kernel's words in target/vm/{}",
            LOGS.join(" and ")
        ));
    }
    failure.map_or(Ok(passed), Err)
}

/// The size of a program without its symbols, as a device would have it.
fn stripped_size(arch: Arch, program: Option<&PathBuf>) -> Result<u64> {
    let program = program.context("the daemon was not built")?;
    let directory = tempfile::tempdir().context("make a temporary directory")?;
    let stripped = directory.path().join("stripped");
    let strip = arch.tool("strip");
    let status = Command::new(&strip).arg("-o").arg(&stripped).arg(program).status();
    if !status.with_context(|| format!("run {strip} (package binutils)"))?.success() {
        bail!("strip failed; its errors are above");
    }
    let metadata = fs::metadata(&stripped).context("look at the stripped daemon")?;
    Ok(metadata.len())
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("write {}", path.display()))?;
    say(&format!("wrote {}", path.display()));
    Ok(())
}
