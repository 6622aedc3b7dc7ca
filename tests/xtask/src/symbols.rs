// SPDX-License-Identifier: Apache-2.0
//! What the daemon needs of an Android device's libraries: `tests/android/NAME.map.txt`, in the form
//! of Bionic's own map files, and libraries to link with that have that and nothing more.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::workspace::Workspace;

const DIRECTORY: &str = "android";
const SUFFIX: &str = ".map.txt";
/// A comment that says since which API level devices have a symbol, or all of a version.
const INTRODUCED: &str = "introduced=";

/// A library of the device.
pub(crate) struct Library {
    /// Its name on the device.
    pub(crate) name: String,
    /// Where its symbols are listed: a version script, too.
    pub(crate) list: PathBuf,
    pub(crate) text: String,
    /// The symbols, and the API level that introduced each.
    pub(crate) symbols: BTreeMap<String, u32>,
}

impl Library {
    /// Those that have a list.
    pub(crate) fn all(workspace: &Workspace) -> Result<Vec<Self>> {
        let directory = workspace.tests_file(DIRECTORY);
        let entries =
            fs::read_dir(&directory).with_context(|| format!("list {}", directory.display()))?;
        let mut libraries = Vec::new();
        for entry in entries {
            let path = entry.with_context(|| format!("list {}", directory.display()))?.path();
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            let Some(name) = file.strip_suffix(SUFFIX) else { continue };
            let name = format!("{name}.so");
            libraries.push(Self::read(name, &path)?);
        }
        libraries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(libraries)
    }

    fn read(name: String, list: &Path) -> Result<Self> {
        let text = fs::read_to_string(list).with_context(|| format!("read {}", list.display()))?;
        let symbols = parse(&text).with_context(|| format!("understand {}", list.display()))?;
        Ok(Self { name, list: list.to_owned(), text, symbols })
    }

    /// Symbols that no device of API level `level` need have.
    pub(crate) fn newer_than(&self, level: u32) -> impl Iterator<Item = (&str, u32)> {
        let symbols =
            self.symbols.iter().map(|(symbol, introduced)| (symbol.as_str(), *introduced));
        symbols.filter(move |(_, introduced)| *introduced > level)
    }

    /// A source of functions with these names, all of which do nothing.
    pub(crate) fn assembly(&self) -> String {
        self.symbols.keys().fold(String::from(".text\n"), |mut text, symbol| {
            // Writing to a string does not fail.
            let _ = writeln!(text, ".globl {symbol}\n.type {symbol}, %function\n{symbol}: ret");
            text
        })
    }
}

/// The symbols of a map file, and the API level of each.
fn parse(text: &str) -> Result<BTreeMap<String, u32>> {
    let mut symbols = BTreeMap::new();
    let mut version_level = None;
    for (number, line) in (1..).zip(text.lines()) {
        let (code, comment) = line.split_once('#').unwrap_or((line, ""));
        let code = code.trim();
        if code.is_empty() {
            continue;
        }
        let level = introduced(comment).with_context(|| format!("line {number}"))?;
        if code.ends_with('{') {
            version_level = level;
        } else if let Some(symbol) = code.strip_suffix(';').filter(|name| is_name(name)) {
            let level = level.or(version_level);
            let level = level.with_context(|| {
                format!("line {number} does not say {INTRODUCED}LEVEL, nor does its version")
            })?;
            if symbols.insert(symbol.to_owned(), level).is_some() {
                bail!("line {number}: {symbol} is listed twice");
            }
        } else if !code.starts_with('}') && code != "global:" {
            bail!("line {number} is neither a version nor a symbol: {code}");
        }
    }
    Ok(symbols)
}

/// The API level that a comment behind a symbol or a version gives.
fn introduced(comment: &str) -> Result<Option<u32>> {
    let comment = comment.trim();
    if comment.is_empty() {
        return Ok(None);
    }
    let level = comment.strip_prefix(INTRODUCED).and_then(|level| level.parse().ok());
    match level {
        Some(level) => Ok(Some(level)),
        None => bail!("its comment is not {INTRODUCED}LEVEL: {comment}"),
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    const LIST: &str = "# prose; and more\n\nLIBC { # introduced=21\n  global:\n    read;\n    \
                        statx; # introduced=30\n};\nLIBC_U { # introduced=34\n    close_range;\n\
                        } LIBC;\n";

    fn library(text: &str) -> Result<Library> {
        let directory = tempfile::tempdir().unwrap();
        let list = directory.path().join("libc.map.txt");
        fs::write(&list, text).unwrap();
        Library::read("libc.so".to_owned(), &list)
    }

    #[test]
    fn a_symbol_has_its_own_level_or_that_of_its_version() {
        let symbols = library(LIST).unwrap().symbols;
        let symbols: Vec<_> = symbols.iter().map(|(symbol, level)| (&**symbol, *level)).collect();
        assert_eq!(symbols, [("close_range", 34), ("read", 21), ("statx", 30)]);
    }

    #[test]
    fn what_is_newer_than_a_device_is_found() {
        let library = library(LIST).unwrap();
        assert_eq!(library.newer_than(33).collect::<Vec<_>>(), [("close_range", 34)]);
        assert_eq!(library.newer_than(34).count(), 0);
    }

    #[test]
    fn a_list_that_is_not_understood_is_an_error_that_names_the_line() {
        for (text, expected) in [
            ("LIBC {\n  read;\n};\n", "line 2 does not say introduced="),
            ("LIBC { # introduced=21\n  read;\n  read;\n", "line 3: read is listed twice"),
            ("LIBC { # introduced=21\n  read; # var\n", "line 2"),
            ("LIBC { # introduced=21\n  *;\n", "line 2 is neither"),
            ("LIBC { # introduced=21\n  read\n", "line 2 is neither"),
            ("A { # introduced=21\n};\nB {\n  read;\n};\n", "line 4 does not say introduced="),
        ] {
            let error = format!("{:#}", library(text).err().unwrap());
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_stub_has_a_function_for_each_symbol() {
        let assembly = library(LIST).unwrap().assembly();
        assert!(assembly.contains(".globl read\n.type read, %function\nread: ret\n"), "{assembly}");
        assert_eq!(assembly.matches(": ret").count(), 3);
    }
}
