// SPDX-License-Identifier: Apache-2.0
//! The commands that boot one VM for a person: the demonstration and the shell.

use std::io::{IsTerminal as _, Write as _};

use anyhow::Result;
use init::Verdict;

use crate::cli::{ShellOptions, VmOptions};
use crate::guest;
use crate::initramfs::Initramfs;
use crate::kernel::Kernel;
use crate::packages;
use crate::progress::say;
use crate::table::Table;
use crate::vm::{Outcome, Vm, show};
use crate::workspace::Workspace;

/// The kernel for a person to look at: the one that has everything.
pub(crate) const DEFAULT_KERNEL: &str = "native";
/// Seconds; the demonstration takes some 20.
const DEMO_LIMIT: u64 = 300;

/// Boots and runs the demonstration.
pub(crate) fn demo(options: &VmOptions) -> Result<bool> {
    let workspace = Workspace::load()?;
    let table = Table::load(&workspace)?;
    let source = table.kernel(DEFAULT_KERNEL)?;
    packages::ensure(&[packages::BUILD, packages::VM, packages::of(source.arch)])?;
    let kernel = table.fetch(&workspace, source)?;
    let programs = guest::build(&workspace, source.arch)?;
    let initramfs = Initramfs::new(&workspace, &programs, &kernel)?;
    let mut vm = vm(&workspace, &kernel, initramfs, "demo", options)?;
    vm.time_limit = Some(options.time_limit_or(DEMO_LIMIT));
    let Outcome { verdict, .. } = vm.run(&workspace, &mut show)?;
    if verdict != Verdict::Pass {
        say("the demo failed; its output is above, the kernel's in target/vm/demo.console.log");
    }
    Ok(verdict == Verdict::Pass)
}

/// Boots into a shell.
pub(crate) fn shell(options: &ShellOptions) -> Result<bool> {
    let workspace = Workspace::load()?;
    let table = Table::load(&workspace)?;
    let source = table.kernel(&options.kernel)?;
    packages::ensure(&packages::for_tests(source.arch))?;
    let kernel = table.fetch_for_tests(&workspace, source)?;
    let busybox = table.busybox(&workspace, source.arch)?;
    let programs = guest::build(&workspace, source.arch)?;
    let mut initramfs = Initramfs::new(&workspace, &programs, &kernel)?;
    initramfs.add_program("bin/busybox", &busybox)?;
    for (name, path) in &programs.suites {
        initramfs.add_program(&format!("tests/{name}"), path)?;
    }
    let mut vm = vm(&workspace, &kernel, initramfs, "shell", &options.vm)?;
    vm.time_limit = options.vm.time_limit();
    vm.interactive = true;
    say("`exit` leaves the VM; the suites are in /tests (some want WAKEUPSTATS_BACKEND), the \
         programs in /bin");
    let terminal = Terminal::keep();
    let result = vm.run(&workspace, &mut show);
    drop(terminal);
    let Outcome { accel, .. } = result?;
    say(&format!("the VM is off (it ran with {accel})"));
    Ok(true)
}

/// A VM for one word of PID 1, its initramfs written.
fn vm<'a>(
    workspace: &Workspace,
    kernel: &'a Kernel,
    initramfs: Initramfs,
    job: &str,
    options: &VmOptions,
) -> Result<Vm<'a>> {
    Vm::prepare(workspace, kernel, &initramfs, vec![job.to_owned()], options.verbose)
}

/// The settings of the terminal, put back when dropped, should QEMU not have come to it.
struct Terminal(Option<rustix::termios::Termios>);

impl Terminal {
    fn keep() -> Self {
        let stdin = std::io::stdin();
        Self(stdin.is_terminal().then(|| rustix::termios::tcgetattr(stdin).ok()).flatten())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(settings) = &self.0 {
            let now = rustix::termios::OptionalActions::Now;
            // Without a terminal any more there is nothing to put back.
            let _ = rustix::termios::tcsetattr(std::io::stdin(), now, settings);
            let _ = std::io::stdout().flush();
        }
    }
}
