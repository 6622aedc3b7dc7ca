// SPDX-License-Identifier: Apache-2.0
//! What each process waits for, to be shown of a suite that does not end.

use std::fs;
use std::path::Path;

/// A text about all processes but the kernel's own threads: a paragraph for each thread, with its state and,
/// where it sleeps, its stack in the kernel.
pub(crate) fn threads() -> String {
    let processes = numbered("/proc").filter(|process| !read(process, "cmdline").is_empty());
    let threads = processes.flat_map(|process| numbered(process.join("task")));
    threads.map(|thread| describe(&thread)).collect()
}

fn describe(thread: &Path) -> String {
    let status = read(thread, "status");
    let wanted = ["Name:", "State:", "Tgid:", "Pid:"];
    let status = status.lines().filter(|line| wanted.iter().any(|name| line.starts_with(name)));
    let status: Vec<&str> = status.flat_map(str::split_whitespace).collect();
    format!("{}\n{}", status.join(" "), read(thread, "stack"))
}

/// The entries of a directory that are named by a number.
fn numbered(directory: impl AsRef<Path>) -> impl Iterator<Item = std::path::PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let is_number = |name: &str| name.parse::<u32>().is_ok();
    entries.filter(move |it| it.file_name().to_str().is_some_and(is_number)).map(|it| it.path())
}

/// Empty for what is gone by now.
fn read(directory: &Path, name: &str) -> String {
    fs::read_to_string(directory.join(name)).unwrap_or_default()
}
