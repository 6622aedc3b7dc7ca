// SPDX-License-Identifier: Apache-2.0
//! The commands that boot one VM for one program: the demonstration, the story, the shell.

use std::collections::BTreeMap;
use std::fs;
use std::io::{IsTerminal as _, Write as _};

use anyhow::{Context as _, Result};
use init::{FILE, Verdict};

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
/// Seconds; the longest, the story, takes some 90.
const TIME_LIMIT: u64 = 300;

/// Boots and runs the demonstration.
pub(crate) fn demo(options: &VmOptions) -> Result<bool> {
    Ok(files(&Workspace::load()?, options, "demo")?.is_some())
}

/// Boots and tells how a drain is found, and keeps the picture.
pub(crate) fn story(options: &VmOptions) -> Result<bool> {
    let workspace = Workspace::load()?;
    let Some(files) = files(&workspace, options, "story")? else { return Ok(false) };
    for (name, text) in files {
        let path = workspace.root().join("docs").join(name);
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        say(&format!("wrote {}", path.display()));
    }
    Ok(true)
}

/// Boots for one word of PID 1, shows what its program prints, and returns the files that this hands over,
/// by name. None if it has failed.
pub(crate) fn files(
    workspace: &Workspace,
    options: &VmOptions,
    job: &str,
) -> Result<Option<BTreeMap<String, String>>> {
    let table = Table::load(workspace)?;
    let source = table.kernel(DEFAULT_KERNEL)?;
    packages::ensure(&[packages::BUILD, packages::VM, packages::of(source.arch)])?;
    let kernel = table.fetch(workspace, source)?;
    let programs = guest::build(workspace, source.arch)?;
    let initramfs = Initramfs::new(workspace, &programs, &kernel)?;
    let mut vm = vm(workspace, &kernel, initramfs, job, options)?;
    vm.time_limit = Some(options.time_limit_or(TIME_LIMIT));
    let mut sorter = Sorter::default();
    let Outcome { verdict, .. } = vm.run(workspace, &mut |bytes| show(&sorter.feed(bytes)))?;
    if verdict != Verdict::Pass {
        say(&format!(
            "{job} failed; its output is above, the kernel's in target/vm/{job}.console.log"
        ));
        return Ok(None);
    }
    Ok(Some(sorter.files))
}

/// Takes the lines of files out of what a program prints.
#[derive(Default)]
struct Sorter {
    begun: Vec<u8>,
    files: BTreeMap<String, String>,
}

impl Sorter {
    /// Takes what was printed next, and returns the whole lines that are meant for a person.
    fn feed(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.begun.extend_from_slice(bytes);
        let end = self.begun.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1);
        let whole: Vec<u8> = self.begun.drain(..end).collect();
        let mut shown = Vec::new();
        for line in whole.split_inclusive(|&byte| byte == b'\n') {
            let text = String::from_utf8_lossy(line);
            match text.strip_prefix(FILE).and_then(|text| text.split_once(' ')) {
                Some((name, text)) => {
                    let file = self.files.entry(name.to_owned()).or_default();
                    file.push_str(text.trim_end_matches(['\n', '\r']));
                    file.push('\n');
                }
                None => shown.extend_from_slice(line),
            }
        }
        shown
    }
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

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn lines_of_files_are_kept_and_all_others_shown() {
        let mut sorter = Sorter::default();
        let text = format!("one\n{FILE}a.svg <svg>\r\ntwo\n{FILE}b 1\n{FILE}a.svg  x \nthree\n");
        let mut shown = Vec::new();
        for byte in text.as_bytes() {
            shown.extend(sorter.feed(&[*byte]));
        }
        assert_eq!(String::from_utf8(shown).unwrap(), "one\ntwo\nthree\n");
        let files: Vec<_> = sorter.files.iter().map(|(name, text)| (&**name, &**text)).collect();
        assert_eq!(files, [("a.svg", "<svg>\n x \n"), ("b", "1\n")]);
    }
}
