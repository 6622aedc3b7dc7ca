// SPDX-License-Identifier: Apache-2.0
//! The kernel's console: kept in a file, and watched for the words of a kernel that is lost.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use regex::Regex;

/// Lines shown when a run fails.
const TAIL: usize = 40;

/// The name of a way to hang or die, and the words it is known by. The first that matches names it.
const MARKERS: &[(&str, &str)] = &[
    ("kernel panic", r"Kernel panic - not syncing"),
    ("RCU stall", r"rcu: INFO: rcu_.* (detected|self-detected).* stall"),
    ("RCU stall", r"rcu: INFO: rcu_.* detected expedited stalls"),
    ("soft lockup", r"BUG: soft lockup"),
    ("hard lockup", r"[Hh]ard LOCKUP"),
    ("hung task", r"INFO: task .* blocked for more than \d+ seconds"),
    ("kernel bug", r"\bBUG: |kernel BUG at "),
    // The first is any architecture's, the second arm64's.
    ("kernel oops", r"\bOops: |\bInternal error: "),
    // With the comma it is the kernel's own; a program's has `ip:` after it, and is a test's failure.
    ("general protection fault", r"general protection fault, "),
    // A memory cgroup's is lower-case, and may be what a test is about.
    ("out of memory", r"Out of memory: Killed"),
];

/// The console of one run.
pub(crate) struct Console {
    markers: Vec<(&'static str, Regex)>,
    log: BufWriter<File>,
    path: PathBuf,
    tail: VecDeque<String>,
    /// The first line with a marker, which what follows it may push out of the tail.
    marked: Option<String>,
    echo: bool,
}

impl Console {
    /// Logs to `path`; `echo` shows every line at once as well.
    pub(crate) fn new(path: &Path, echo: bool) -> Result<Self> {
        let log = File::create(path).with_context(|| format!("create {}", path.display()))?;
        Ok(Self {
            markers: markers()?,
            log: BufWriter::new(log),
            path: path.to_owned(),
            tail: VecDeque::new(),
            marked: None,
            echo,
        })
    }

    /// Takes one line in; returns the name of the marker it has, if any.
    pub(crate) fn line(&mut self, line: &[u8]) -> Result<Option<&'static str>> {
        let line = String::from_utf8_lossy(line);
        let line = line.trim_end_matches(['\n', '\r']);
        // Flushed at once: the log is read while a VM still runs.
        writeln!(self.log, "{line}")
            .and_then(|()| self.log.flush())
            .with_context(|| format!("write {}", self.path.display()))?;
        if self.echo {
            eprintln!("{line}");
        }
        if self.tail.len() == TAIL {
            self.tail.pop_front();
        }
        self.tail.push_back(line.to_owned());
        let marker = scan(&self.markers, line);
        if let (Some(name), None) = (marker, &self.marked) {
            self.marked = Some(format!("hang marker {name:?} in the kernel's console: {line}\n"));
        }
        Ok(marker)
    }

    /// The last lines and where the others are, for an error.
    pub(crate) fn report(&self) -> String {
        let lines: Vec<_> = self.tail.iter().map(|line| format!("  | {line}\n")).collect();
        let lines = if lines.is_empty() { "  (it is empty)\n".to_owned() } else { lines.concat() };
        let marked = self.marked.as_deref().unwrap_or_default();
        let path = self.path.display();
        format!("{marked}the end of the kernel's console:\n{lines}all of it: {path}")
    }
}

fn markers() -> Result<Vec<(&'static str, Regex)>> {
    MARKERS
        .iter()
        .map(|(name, words)| Ok((*name, Regex::new(words).context("compile a hang marker")?)))
        .collect()
}

fn scan(markers: &[(&'static str, Regex)], line: &str) -> Option<&'static str> {
    markers.iter().find(|(_, words)| words.is_match(line)).map(|(name, _)| *name)
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn kernels_that_hang_or_die_are_named() {
        let markers = markers().unwrap();
        for (line, name) in [
            ("[  1.2] Kernel panic - not syncing: sysrq triggered crash", "kernel panic"),
            ("[ 30.1] rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:", "RCU stall"),
            ("[ 30.1] rcu: INFO: rcu_preempt self-detected stall on CPU", "RCU stall"),
            (
                "rcu: INFO: rcu_preempt detected expedited stalls on CPUs/tasks: { 1-...",
                "RCU stall",
            ),
            ("watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [parity:71]", "soft lockup"),
            ("INFO: task parity:71 blocked for more than 120 seconds.", "hung task"),
            ("BUG: kernel NULL pointer dereference, address: 0000000000000000", "kernel bug"),
            ("kernel BUG at mm/slub.c:563!", "kernel bug"),
            ("Oops: 0002 [#1] PREEMPT SMP PTI", "kernel oops"),
            (
                "Internal error: Oops - Undefined instruction: 0000000002000000 [#1]  SMP",
                "kernel oops",
            ),
            ("Internal error: synchronous external abort: 0000000096000010 [#1]", "kernel oops"),
            (
                "general protection fault, probably for non-canonical address",
                "general protection fault",
            ),
            ("Out of memory: Killed process 71 (parity) total-vm:1kB", "out of memory"),
        ] {
            assert_eq!(scan(&markers, line), Some(name), "{line}");
        }
    }

    #[test]
    fn healthy_lines_have_no_marker() {
        let markers = markers().unwrap();
        for line in [
            "rcu: Hierarchical RCU implementation.",
            "rcu: INFO: this is fine",
            "traps: parity[71] general protection fault ip:55 sp:7f error:0 in parity[55+1]",
            "Memory cgroup out of memory: Killed process 71 (parity)",
            "DEBUG: something",
            "reboot: Power down",
        ] {
            assert_eq!(scan(&markers, line), None, "{line}");
        }
    }

    #[test]
    fn the_report_has_the_last_lines_and_the_path() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run.console.log");
        let mut console = Console::new(&path, false).unwrap();
        for number in 0..100 {
            console.line(format!("line {number}\r\n").as_bytes()).unwrap();
        }
        console.line(b"Kernel panic - not syncing: x\n").unwrap();
        for _ in 0..TAIL {
            console.line(b"Call Trace:\n").unwrap();
        }
        let report = console.report();
        let marked = "hang marker \"kernel panic\" in the kernel's console: Kernel panic - not";
        assert!(report.starts_with(marked), "{report}");
        assert_eq!(report.matches("  | Call Trace:\n").count(), TAIL);
        assert!(report.ends_with("run.console.log"), "{report}");
        assert_eq!(std::fs::read_to_string(path).unwrap().lines().count(), 101 + TAIL);
    }
}
