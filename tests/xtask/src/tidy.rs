// SPDX-License-Identifier: Apache-2.0
//! The house rules that no other tool checks.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use ignore::WalkBuilder;
use regex::Regex;

use crate::progress::say;
use crate::workspace::Workspace;

/// The kinds of file that have a license line.
const SOURCES: &[&str] = &["rs", "c", "h", "aidl", "toml", "sh", "bp", "te", "rc", "mk", "java"];
/// The kinds of file that are code, which is read as a whole and so must stay short.
const CODE: &[&str] = &["rs", "c", "h", "aidl", "sh", "java"];
const MAX_LINES: usize = 500;
/// What is linked with the kernel is under the kernel's license.
const GPL_DIRECTORIES: &[&str] = &["bpf", "kernel", "tests/vm/bpf"];

/// What is searched for in every file.
struct Patterns {
    /// A path of one machine: a home directory or a build machine's directory.
    machine_path: Regex,
    /// A test that is switched off.
    ignored_test: Regex,
}

impl Patterns {
    fn new() -> Result<Self> {
        let regex = |text| Regex::new(text).context("compile a pattern");
        Ok(Self {
            machine_path: regex(r#"(^|[\s"'`=(:])/(work|root|home)/\w"#)?,
            ignored_test: regex(r"#\[(cfg_attr\(.*,\s*)?ignore\b")?,
        })
    }
}

/// Checks every file that is not ignored by git.
pub(crate) fn run(workspace: &Workspace) -> Result<bool> {
    let patterns = Patterns::new()?;
    let mut clean = true;
    for path in walk(workspace)? {
        let bytes = fs::read(workspace.root().join(&path))
            .with_context(|| format!("read {}", path.display()))?;
        // Files that are not text have no lines to look at.
        let Ok(text) = String::from_utf8(bytes) else { continue };
        for problem in problems(&patterns, &path, &text) {
            say(&format!("{}: {problem}", path.display()));
            clean = false;
        }
    }
    Ok(clean)
}

/// The files with one of these extensions, relative to the root.
pub(crate) fn files(workspace: &Workspace, extensions: &[&str]) -> Result<Vec<PathBuf>> {
    Ok(walk(workspace)?.into_iter().filter(|path| has_extension(path, extensions)).collect())
}

/// Every file that is not ignored by git, relative to the root.
pub(crate) fn walk(workspace: &Workspace) -> Result<Vec<PathBuf>> {
    let root = workspace.root();
    let mut files = Vec::new();
    let walk = WalkBuilder::new(root)
        .hidden(false)
        .require_git(false)
        .filter_entry(|entry| entry.file_name() != ".git")
        .sort_by_file_path(Ord::cmp)
        .build();
    for entry in walk {
        let entry = entry.with_context(|| format!("walk {}", root.display()))?;
        if entry.file_type().is_some_and(|kind| kind.is_file()) {
            let path = entry.path().strip_prefix(root).context("leave the root off a path")?;
            files.push(path.to_owned());
        }
    }
    Ok(files)
}

/// What is wrong with one file.
fn problems(patterns: &Patterns, path: &Path, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if has_extension(path, SOURCES) {
        let license = license(path);
        // A script has its interpreter first.
        let first = text.lines().find(|line| !line.starts_with("#!")).unwrap_or_default();
        if !first
            .trim_end()
            .trim_end_matches(" */")
            .ends_with(&format!("SPDX-License-Identifier: {license}"))
        {
            problems.push(format!("its first line is not SPDX-License-Identifier: {license}"));
        }
    }
    let lines = text.lines().count();
    if has_extension(path, CODE) && lines > MAX_LINES {
        problems.push(format!("{lines} lines; split it into files of at most {MAX_LINES}"));
    }
    for (number, line) in (1..).zip(text.lines()) {
        if patterns.machine_path.is_match(line) {
            problems.push(format!("line {number} has a path of one machine"));
        }
        if has_extension(path, &["rs"]) && patterns.ignored_test.is_match(line) {
            problems.push(format!("line {number} switches a test off; make it pass or remove it"));
        }
    }
    problems
}

fn license(path: &Path) -> &'static str {
    let is_gpl = GPL_DIRECTORIES.iter().any(|directory| path.starts_with(directory));
    if is_gpl { "GPL-2.0-only" } else { "Apache-2.0" }
}

fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    path.extension().is_some_and(|extension| extensions.iter().any(|wanted| extension == *wanted))
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    /// The number of problems in a file of this path and text.
    fn count(path: &str, text: &str) -> usize {
        problems(&Patterns::new().unwrap(), Path::new(path), text).len()
    }

    #[test]
    fn the_license_depends_on_the_directory() {
        assert_eq!(count("service/src/lib.rs", "// SPDX-License-Identifier: Apache-2.0\n"), 0);
        assert_eq!(count("bpf/a.h", "/* SPDX-License-Identifier: GPL-2.0-only */\n"), 0);
        assert_eq!(count("bpf/a.c", "// SPDX-License-Identifier: Apache-2.0\n"), 1);
        assert_eq!(count("tests/vm/bpf/a.c", "// SPDX-License-Identifier: GPL-2.0-only\n"), 0);
        assert_eq!(count("service/src/lib.rs", "//! no license\n"), 1);
        assert_eq!(count("README.md", "# wakeupstatsd\n"), 0);
    }

    #[test]
    fn a_script_may_name_its_interpreter_first() {
        assert_eq!(count("a.sh", "#!/bin/sh\n# SPDX-License-Identifier: Apache-2.0\n"), 0);
    }

    #[test]
    fn long_code_is_a_problem_and_long_tables_are_not() {
        let rust = format!("// SPDX-License-Identifier: Apache-2.0\n{}", "\n".repeat(MAX_LINES));
        assert_eq!(count("a.rs", &rust), 1);
        let toml = format!("# SPDX-License-Identifier: Apache-2.0\n{}", "\n".repeat(MAX_LINES));
        assert_eq!(count("a.toml", &toml), 0);
    }

    #[test]
    fn tests_that_are_switched_off_and_paths_of_one_machine_are_problems() {
        let license = "// SPDX-License-Identifier: Apache-2.0\n";
        let ignored = ["#[", "ignore]"].concat();
        assert_eq!(count("a.rs", &format!("{license}{ignored}\n")), 1);
        let path = ["/", "work/main"].concat();
        assert_eq!(count("README.md", &format!("see {path}\n")), 1);
        assert_eq!(count("README.md", "root:x:0:0::/root:/bin/sh and a/work/b\n"), 0);
    }
}
