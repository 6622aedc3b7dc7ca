// SPDX-License-Identifier: Apache-2.0
//! `cargo xtask test`: the tests on this machine, then the guest suites on each kernel.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, bail};
use init::{Run, SOAK_MINUTES, Verdict};

use crate::arch::Arch;
use crate::cli::TestOptions;
use crate::fuzz;
use crate::guest::{self, Programs};
use crate::host;
use crate::initramfs::Initramfs;
use crate::java_tests;
use crate::kernel::Kernel;
use crate::packages;
use crate::perfetto;
use crate::progress::say_error;
use crate::sepolicy_less;
use crate::table::{Choice, Source, Table};
use crate::tally::{Count, Tally};
use crate::vm::{Outcome, Vm, show};
use crate::workspace::Workspace;

/// Seconds for all suites of one kernel.
const TIME_LIMIT: u64 = 1_800;

/// The suite that needs policies with less.
const POLICY_SUITE: &str = "sepolicy";

/// The suite that goes on for as long as it is told.
const SOAK_SUITE: &str = "churn";

/// What is said at the end: a line for each place that tests ran in, and whether the harness held.
#[derive(Default)]
struct Summary {
    lines: Vec<String>,
    total: Count,
    harness_failed: bool,
}

impl Summary {
    fn add(&mut self, place: &str, count: Count) {
        self.lines.push(format!("{place}: {count}"));
        self.total += count;
    }

    /// A place whose tests could not be brought to an end counts as one failure, so that the last
    /// line never looks better than the run was.
    fn add_harness_failure(&mut self, place: &str, error: &anyhow::Error) {
        say_error(error);
        self.lines.push(format!("{place}: the harness failed: {error:#}"));
        self.total.failed += 1;
        self.harness_failed = true;
    }
}

/// Runs what was asked for and sums it up; the last line printed is the sum.
pub(crate) fn run(options: &TestOptions) -> Result<bool> {
    let workspace = Workspace::load()?;
    let is_vm_only = options.vm_only
        || options.arch.is_some()
        || options.kernel.is_some()
        || options.suite.is_some()
        || options.backend.is_some();
    let on_host = !is_vm_only;
    let in_vm = !options.host_only;
    let table = Table::load(&workspace)?;
    let plan = if in_vm { plan(&workspace, &table, options)? } else { Vec::new() };
    let archs: BTreeSet<Arch> = plan.iter().map(|(source, _)| source.arch).collect();
    let mut lists = vec![packages::BUILD];
    lists.extend(archs.iter().flat_map(|arch| packages::for_tests(*arch)));
    packages::ensure(&lists)?;

    let mut summary = Summary::default();
    if on_host {
        summary.add("this machine", host::run(&workspace, &options.filters)?);
    }
    // A filter is of names, which the targets' are none of.
    if on_host && options.filters.is_empty() {
        match fuzz::test(&workspace) {
            Ok(count) => summary.add("fuzz targets", count),
            Err(error) => summary.add_harness_failure("fuzz targets", &error),
        }
    }
    if on_host && options.filters.is_empty() {
        match java_tests::test(&workspace) {
            Ok(count) => summary.add("tests in Java", count),
            Err(error) => summary.add_harness_failure("tests in Java", &error),
        }
    }
    if on_host {
        match perfetto::test(&workspace, &options.filters) {
            Ok(count) => summary.add("Perfetto", count),
            Err(error) => summary.add_harness_failure("Perfetto", &error),
        }
    }
    for arch in archs {
        let plan = plan.iter().filter(|(source, _)| source.arch == arch);
        run_kernels(&workspace, &table, options, arch, plan, &mut summary);
    }
    println!("\n{}", summary.lines.join("\n"));
    println!("{}", summary.total);
    if summary.harness_failed {
        bail!("the harness failed, see above, so the sum says nothing about the project");
    }
    if summary.total == Count::default() {
        bail!("no test ran: does a filter match the name of any?");
    }
    Ok(summary.total.failed == 0)
}

/// What the options choose.
fn plan<'a>(
    workspace: &Workspace,
    table: &'a Table,
    options: &TestOptions,
) -> Result<Vec<(&'a Source, Vec<Run>)>> {
    let targets = workspace.test_targets(guest::SUITES_PACKAGE);
    let all: Vec<String> = targets.map(str::to_owned).collect();
    if let Some(suite) = options.suite.as_ref().filter(|suite| !all.contains(suite)) {
        bail!("no suite is named {suite:?}; tests/vm has {}", all.join(", "));
    }
    let choice = Choice {
        arch: options.arch,
        kernel: options.kernel.as_deref(),
        suite: options.suite.as_deref(),
        backend: options.backend,
    };
    table.plan(&all, choice)
}

/// Runs what there is to run on the kernels of one architecture.
fn run_kernels<'a>(
    workspace: &Workspace,
    table: &Table,
    options: &TestOptions,
    arch: Arch,
    plan: impl Iterator<Item = &'a (&'a Source, Vec<Run>)>,
    summary: &mut Summary,
) {
    let programs = match guest::build(workspace, arch) {
        Ok(programs) => programs,
        Err(error) => return summary.add_harness_failure(&format!("kernels of {arch}"), &error),
    };
    for (source, runs) in plan {
        let name = format!("kernel {}", source.name);
        let kernel = match table.fetch_for_tests(workspace, source) {
            Ok(kernel) => kernel,
            Err(error) => {
                summary.add_harness_failure(&name, &error);
                continue;
            }
        };
        for (processors, runs) in table.vms(runs) {
            match run_vm(workspace, options, &kernel, &programs, processors, &runs) {
                Ok((place, count)) => summary.add(&place, count),
                Err(error) => summary.add_harness_failure(&name, &error),
            }
        }
    }
}

/// Runs what there is to run in one VM; returns where they ran and how many tests there were.
fn run_vm(
    workspace: &Workspace,
    options: &TestOptions,
    kernel: &Kernel,
    programs: &Programs,
    processors: u8,
    runs: &[Run],
) -> Result<(String, Count)> {
    let mut initramfs = Initramfs::new(workspace, programs, kernel)?;
    for run in runs {
        let path = programs.suites.get(run.suite()).context("a suite was not built")?;
        initramfs.add_program(&format!("tests/{}", run.suite()), path)?;
    }
    initramfs.add_runs(runs);
    if kernel.selinux {
        let is_wanted = runs.iter().any(|run| run.suite() == POLICY_SUITE);
        let less = if is_wanted { sepolicy_less::policies(workspace)? } else { Vec::new() };
        initramfs.add_sepolicy(workspace, &less)?;
    }
    let job = ["test".to_owned()].into_iter().chain(options.filters.iter().cloned()).collect();
    let mut vm = Vm::prepare(workspace, kernel, &initramfs, job, options.vm.verbose)?;
    vm.processors = processors;
    // What is freed keeps what it held, so that a test can see the kernel's memory leak.
    vm.options = "init_on_alloc=0".to_owned();
    if kernel.selinux {
        vm.options.push_str(" lsm=selinux enforcing=1");
    }
    let mut time_limit = TIME_LIMIT;
    if let Some(minutes) = options.soak {
        let soaks = runs.iter().filter(|run| run.suite() == SOAK_SUITE).count();
        time_limit += 60 * minutes * u64::try_from(soaks).context("count the runs")?;
        vm.options.push_str(&format!(" {SOAK_MINUTES}={minutes}"));
    }
    vm.time_limit = Some(options.vm.time_limit_or(time_limit));
    let mut tally = Tally::default();
    let Outcome { verdict, accel, .. } = vm.run(workspace, &mut |bytes| {
        show(bytes);
        tally.feed(bytes);
    })?;
    let failed_runs = match verdict {
        Verdict::Fail(names) => u64::try_from(names.len()).context("count failed runs")?,
        Verdict::Pass | Verdict::Error(_) => 0,
    };
    let one = if processors == 1 { ", one processor" } else { "" };
    let place = format!("kernel {} ({}, {accel}{one})", kernel.name, kernel.release);
    Ok((place, tally.finish(failed_runs)))
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn a_failure_of_the_harness_shows_in_the_sum() {
        let mut summary = Summary::default();
        summary.add("this machine", Count { passed: 2, failed: 0 });
        summary.add_harness_failure("kernel native", &anyhow::anyhow!("time limit"));
        assert_eq!(summary.total.to_string(), "2 passed, 1 failed");
        assert_eq!(
            summary.lines,
            ["this machine: 2 passed, 0 failed", "kernel native: the harness failed: time limit"]
        );
        assert!(summary.harness_failed);
    }
}
