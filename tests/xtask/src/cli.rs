// SPDX-License-Identifier: Apache-2.0
//! The command line.

use std::time::Duration;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use crate::arch::Arch;
use crate::table::Backend;
use crate::{api, bench, check, fuzz, jobs, record, tests};

/// Builds, boots, tests and checks wakeupstatsd.
///
/// Every command installs the Debian packages it lacks, and says which and why.
#[derive(Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    after_help = "Exit status: 0 all is well; 1 a test, the demo, a contender of the benchmark or a \
                  check failed; 2 wrong command line; 3 the harness itself failed (no verdict, \
                  time limit, hang, download, …).\n\
                  WAKEUPSTATS_CACHE names the directory that keeps what is downloaded."
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs the tests: on this machine, then in a VM on each kernel of tests/kernels.toml.
    ///
    /// On the first kernel all of them run, on the others what these can change, unless --arch,
    /// --kernel, --suite or --backend asks for more. For another architecture than this machine's they
    /// are cross-built and emulated, so none run there with --suite or --backend alone.
    Test(TestOptions),
    /// Runs the fuzz targets of tests/fuzz: what comes from others must do no harm, whatever it is.
    ///
    /// They begin with the inputs that are kept in tests/fuzz/corpus.
    Fuzz(fuzz::Options),
    /// Boots a kernel with the kfuncs and shows the service at work.
    Demo(VmOptions),
    /// Boots a kernel with the kfuncs and measures every way to read the wakeup sources, by turns.
    ///
    /// Each contender must see what there is; how fast it is decides nothing.
    Bench(bench::Options),
    /// Boots a kernel with the kfuncs and records replies of the service, which the tests in Java read.
    ///
    /// They are in java/tests/recordings, and are to be recorded anew after a change of the AIDL.
    Record(VmOptions),
    /// Boots a kernel with the kfuncs, has a source keep the machine awake, and finds it by the command wakeupstats.
    ///
    /// Takes a minute and a half; the picture is kept as docs/drain.svg.
    Story(VmOptions),
    /// Boots into a shell with binder and the service manager running; `exit` leaves it.
    Shell(ShellOptions),
    /// Checks what needs no VM: format, lints, documentation, house rules, the AIDL and its
    /// compatibility, the client in Java, the Android.bp and rc files, the SELinux policy, the build for an
    /// Android device.
    Check(check::Options),
    /// Writes the snapshots of the AIDL that `check` compares the sources with.
    ///
    /// They are in aidl/aidl_api/android.system.wakeupstats: `current` follows the sources, 1, 2, …
    /// are frozen: each is compatible with the one before it and never changes once it is released.
    /// These are the files that AOSP's build system wants beside an aidl_interface.
    #[command(subcommand)]
    AidlApi(AidlApi),
}

#[derive(Subcommand)]
enum AidlApi {
    /// Writes `current` anew from the sources: after each change of the AIDL.
    Update,
    /// Freezes the sources as the next version, with its .hash, and writes `current` too.
    ///
    /// Refuses what is not compatible with the version before. Does nothing if the sources are the
    /// same as the newest version.
    Freeze(FreezeOptions),
}

/// What every command that boots a VM takes.
#[derive(Args)]
pub(crate) struct VmOptions {
    /// Shows the kernel's console too, with all its messages.
    #[arg(long)]
    pub(crate) verbose: bool,
    /// Ends a VM that runs longer than this, as a failure of the harness.
    ///
    /// By default 1800 for the tests, 300 for the demo, the story and to record, 3600 for the benchmark, none for the shell.
    #[arg(long, value_name = "SECONDS")]
    time_limit: Option<u64>,
}

impl VmOptions {
    /// The time one VM may take, or `default` seconds.
    pub(crate) fn time_limit_or(&self, default: u64) -> Duration {
        Duration::from_secs(self.time_limit.unwrap_or(default))
    }

    /// The time one VM may take where it has been given one.
    pub(crate) fn time_limit(&self) -> Option<Duration> {
        self.time_limit.map(Duration::from_secs)
    }
}

#[derive(Args)]
pub(crate) struct TestOptions {
    /// Only on kernels of this architecture, all suites; leaves out the tests on this machine.
    #[arg(long, value_name = "NAME", conflicts_with = "host_only")]
    pub(crate) arch: Option<Arch>,
    /// Only on this kernel of tests/kernels.toml; leaves out the tests on this machine.
    #[arg(long, value_name = "NAME", conflicts_with = "host_only")]
    pub(crate) kernel: Option<String>,
    /// Only this suite, a test target of tests/vm; leaves out the tests on this machine.
    #[arg(long, value_name = "NAME", conflicts_with = "host_only")]
    pub(crate) suite: Option<String>,
    /// Only this backend of the suites that run with each; leaves out the other suites, unless
    /// --suite names one, and the tests on this machine.
    #[arg(long, value_name = "NAME", conflicts_with = "host_only")]
    pub(crate) backend: Option<Backend>,
    /// Has the suite `churn` go on for so many minutes with each backend, not for one.
    #[arg(
        long,
        value_name = "MINUTES",
        conflicts_with = "host_only",
        value_parser = clap::value_parser!(u64).range(1..=10_080)
    )]
    pub(crate) soak: Option<u64>,
    /// Only the tests on this machine.
    #[arg(long, conflicts_with = "vm_only")]
    pub(crate) host_only: bool,
    /// Only the tests in the VM.
    #[arg(long)]
    pub(crate) vm_only: bool,
    #[command(flatten)]
    pub(crate) vm: VmOptions,
    /// Only tests whose name contains one of these.
    #[arg(value_name = "FILTER")]
    pub(crate) filters: Vec<String>,
}

#[derive(Args)]
pub(crate) struct ShellOptions {
    /// Which kernel of tests/kernels.toml.
    #[arg(long, value_name = "NAME", default_value = jobs::DEFAULT_KERNEL)]
    pub(crate) kernel: String,
    #[command(flatten)]
    pub(crate) vm: VmOptions,
}

#[derive(Args)]
struct FreezeOptions {
    /// Writes the newest version anew instead: only while no release has it.
    ///
    /// It must still be compatible with the version before it, if there is one.
    #[arg(long)]
    replace: bool,
}

impl Arguments {
    /// Does what was asked; false when it was done and what was looked at is not in order.
    pub(crate) fn run(self) -> Result<bool> {
        match self.command {
            Command::Test(options) => tests::run(&options),
            Command::Fuzz(options) => fuzz::run(&options),
            Command::Demo(options) => jobs::demo(&options),
            Command::Bench(options) => bench::run(&options),
            Command::Record(options) => record::run(&options),
            Command::Story(options) => jobs::story(&options),
            Command::Shell(options) => jobs::shell(&options),
            Command::Check(options) => check::run(&options),
            Command::AidlApi(AidlApi::Update) => api::update(),
            Command::AidlApi(AidlApi::Freeze(options)) => api::freeze(options.replace),
        }
    }
}
