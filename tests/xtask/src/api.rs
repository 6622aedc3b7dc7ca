// SPDX-License-Identifier: Apache-2.0
//! The snapshots of the AIDL in `aidl/aidl_api`: `current`, which follows the sources, and the
//! versions that are frozen, which never change. Files, hashes and rules are those of AOSP's build
//! system (`aidl_api.go`), which checks the same in an Android tree.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use ignore::WalkBuilder;
use sha1::{Digest as _, Sha1};
use tempfile::TempDir;

use crate::aidl::{self, Answer, Compiler, Level};
use crate::progress::say;
use crate::workspace::Workspace;
use crate::{api_probe, packages};

const DIRECTORY: &str = "aidl/aidl_api/android.system.wakeupstats";
const CURRENT: &str = "current";
/// Beside the files of a frozen version.
const HASH: &str = ".hash";

/// The files of one snapshot, by their path in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub(crate) files: BTreeMap<String, Vec<u8>>,
}

impl Snapshot {
    /// Reads all files below `directory`; none where there is no such directory.
    pub(crate) fn read(directory: &Path) -> Result<Self> {
        let mut files = BTreeMap::new();
        if !directory.exists() {
            return Ok(Self { files });
        }
        for entry in WalkBuilder::new(directory).standard_filters(false).build() {
            let entry = entry.with_context(|| format!("walk {}", directory.display()))?;
            if entry.file_type().is_some_and(|kind| kind.is_file()) {
                let path = entry.path();
                let name = path.strip_prefix(directory).context("leave the directory off")?;
                let name = name.to_str().context("the name of an AIDL file is not UTF-8")?;
                let bytes = fs::read(path).with_context(|| format!("read {}", path.display()))?;
                files.insert(name.to_owned(), bytes);
            }
        }
        Ok(Self { files })
    }

    /// Makes these the files below `directory`, and says whether they were others before.
    pub(crate) fn write(&self, directory: &Path) -> Result<bool> {
        if *self == Self::read(directory)? {
            return Ok(false);
        }
        if directory.exists() {
            fs::remove_dir_all(directory)
                .with_context(|| format!("remove {}", directory.display()))?;
        }
        for (name, bytes) in &self.files {
            let path = directory.join(name);
            let parent = path.parent().unwrap_or(directory);
            fs::create_dir_all(parent).with_context(|| format!("create {}", parent.display()))?;
            fs::write(&path, bytes).with_context(|| format!("write {}", path.display()))?;
        }
        Ok(true)
    }

    /// The hash of the files as version `version`, as AOSP's `hash_gen.sh` has it: of what
    /// `sha1sum` prints for the files in the order of their names' bytes, and of one word more.
    fn hash(&self, version: u32) -> String {
        let mut sums = String::new();
        for (name, bytes) in self.files.iter().filter(|(name, _)| name.ends_with(".aidl")) {
            sums.push_str(&sha1(bytes));
            sums.push_str("  ./");
            sums.push_str(name);
            sums.push('\n');
        }
        sums.push_str(&hash_word(version));
        sums.push('\n');
        sha1(sums.as_bytes())
    }

    /// The hash that the snapshot says it has: the last line of its file.
    fn recorded_hash(&self) -> Option<String> {
        let text = String::from_utf8_lossy(self.files.get(HASH)?);
        text.lines().last().map(|line| line.trim().to_owned())
    }
}

/// The word that a version's hash ends with: the version before it, in the first one this.
fn hash_word(version: u32) -> String {
    match version {
        0 | 1 => "latest-version".to_owned(),
        _ => (version - 1).to_string(),
    }
}

pub(crate) fn sha1(bytes: &[u8]) -> String {
    Sha1::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The numbers of the frozen versions among names, in order; or what is wrong with the names.
fn frozen_versions(names: &[String]) -> Result<Vec<u32>, String> {
    let mut versions = Vec::new();
    for name in names.iter().filter(|name| *name != CURRENT) {
        match name.parse() {
            Ok(version) if format!("{version}") == *name => versions.push(version),
            _ => return Err(format!("{name:?} is neither {CURRENT} nor a version")),
        }
    }
    versions.sort_unstable();
    match (1..).zip(&versions).find(|(expected, version)| expected != *version) {
        Some((expected, _)) => Err(format!("version {expected} is missing")),
        None => Ok(versions),
    }
}

/// The snapshots, the sources' API, and the compiler that compares them.
struct Api {
    compiler: Compiler,
    /// The API of the sources as they are now.
    dump: TempDir,
    directory: PathBuf,
    versions: Vec<u32>,
}

impl Api {
    /// None if the sources or the snapshots make no sense; what is wrong has then been said.
    fn load(workspace: &Workspace) -> Result<Option<Self>> {
        let compiler = Compiler::fetch(workspace)?;
        let dump = tempfile::tempdir().context("create a temporary directory")?;
        let sources = aidl::sources(workspace)?;
        if let Answer::No(text) = compiler.dump(workspace.root(), &sources, dump.path())? {
            say(&format!("the AIDL has no API that could be compared:\n{text}"));
            return Ok(None);
        }
        let directory = workspace.root().join(DIRECTORY);
        match frozen_versions(&names(&directory)?) {
            Ok(versions) => Ok(Some(Self { compiler, dump, directory, versions })),
            Err(problem) => {
                say(&format!("{DIRECTORY}: {problem}"));
                Ok(None)
            }
        }
    }

    fn path(&self, version: u32) -> PathBuf {
        self.directory.join(version.to_string())
    }

    /// What is wrong with the snapshots, each with what to do about it.
    fn problems(&self) -> Result<Vec<String>> {
        let mut problems = Vec::new();
        let current = self.directory.join(CURRENT);
        if !current.exists() {
            problems.push(format!("{DIRECTORY}/{CURRENT} is missing: cargo xtask aidl-api update"));
        } else if let Answer::No(text) =
            self.compiler.check_api(Level::Equal, &current, self.dump.path())?
        {
            problems.push(format!(
                "the sources are not what {DIRECTORY}/{CURRENT} has; if that is meant: \
                 cargo xtask aidl-api update\n{text}"
            ));
        }
        for &version in &self.versions {
            let snapshot = Snapshot::read(&self.path(version))?;
            problems.extend(hash_problem(&snapshot, version));
            let next = version + 1;
            let (new, name) = if self.versions.contains(&next) {
                (self.path(next), format!("version {next}"))
            } else {
                (self.dump.path().to_owned(), "the sources".to_owned())
            };
            let compatible = Level::Compatible;
            if let Answer::No(text) =
                self.compiler.check_api(compatible, &self.path(version), &new)?
            {
                problems.push(format!(
                    "{name} would break clients or services of version {version}; add at the end, \
                     and change or remove nothing\n{text}"
                ));
            }
        }
        Ok(problems)
    }

    /// Writes a snapshot, and says so.
    fn write(&self, name: &str, snapshot: &Snapshot) -> Result<()> {
        let written = snapshot.write(&self.directory.join(name))?;
        let what = if written { "written" } else { "was up to date" };
        println!("aidl-api: {DIRECTORY}/{name} {what}");
        Ok(())
    }
}

/// What is wrong with a frozen version's hash.
fn hash_problem(snapshot: &Snapshot, version: u32) -> Option<String> {
    let expected = snapshot.hash(version);
    let advice = "take it back from git; or, only while no release has this version: \
                  cargo xtask aidl-api freeze --replace";
    match snapshot.recorded_hash() {
        Some(recorded) if recorded == expected => None,
        Some(_) => Some(format!("{DIRECTORY}/{version} was changed after it was frozen: {advice}")),
        None => Some(format!("{DIRECTORY}/{version} has no {HASH}: {advice}")),
    }
}

/// The names in a directory, none where there is no such directory.
fn names(directory: &Path) -> Result<Vec<String>> {
    if !directory.exists() {
        return Ok(Vec::new());
    }
    let entries =
        fs::read_dir(directory).with_context(|| format!("list {}", directory.display()))?;
    let name = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry.with_context(|| format!("list {}", directory.display()))?;
        Ok(entry.file_name().to_string_lossy().into_owned())
    };
    entries.map(name).collect()
}

/// The check: the sources are `current`, frozen versions are as they were frozen and each fits the
/// one before it, and the compiler that says so is not one that says yes to everything.
pub(crate) fn check(workspace: &Workspace) -> Result<bool> {
    let Some(api) = Api::load(workspace)? else { return Ok(false) };
    let mut problems = api.problems()?;
    let base = match api.versions.last() {
        Some(newest) => api.path(*newest),
        None => {
            say("no version of the AIDL is frozen yet");
            api.dump.path().to_owned()
        }
    };
    let judge = |level, old: &Path, new: &Path| api.compiler.check_api(level, old, new);
    problems.extend(api_probe::run(&base, &judge)?);
    for problem in &problems {
        say(problem);
    }
    Ok(problems.is_empty())
}

/// `cargo xtask aidl-api update`.
pub(crate) fn update() -> Result<bool> {
    let workspace = Workspace::load()?;
    packages::ensure(&[packages::AIDL])?;
    let Some(api) = Api::load(&workspace)? else { return Ok(false) };
    api.write(CURRENT, &Snapshot::read(api.dump.path())?)?;
    Ok(true)
}

/// `cargo xtask aidl-api freeze`.
pub(crate) fn freeze(replace: bool) -> Result<bool> {
    let workspace = Workspace::load()?;
    packages::ensure(&[packages::AIDL])?;
    let Some(api) = Api::load(&workspace)? else { return Ok(false) };
    let version = match (api.versions.last(), replace) {
        (None, true) => {
            say("aidl-api: no version is frozen that could be replaced; leave --replace out");
            return Ok(false);
        }
        (None, false) => 1,
        (Some(newest), true) => *newest,
        (Some(newest), false) => {
            let (old, new) = (api.path(*newest), api.dump.path());
            if api.compiler.check_api(Level::Equal, &old, new)? == Answer::Yes {
                println!("aidl-api: the sources are the same as version {newest}");
                api.write(CURRENT, &Snapshot::read(new)?)?;
                return Ok(true);
            }
            newest + 1
        }
    };
    if version > 1 {
        let (old, new) = (api.path(version - 1), api.dump.path());
        if let Answer::No(text) = api.compiler.check_api(Level::Compatible, &old, new)? {
            say(&format!("aidl-api: the sources would break version {}:\n{text}", version - 1));
            return Ok(false);
        }
    }
    let mut snapshot = Snapshot::read(api.dump.path())?;
    api.write(CURRENT, &snapshot)?;
    let hash = snapshot.hash(version);
    snapshot.files.insert(HASH.to_owned(), format!("{hash}\n").into_bytes());
    api.write(&version.to_string(), &snapshot)?;
    Ok(true)
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    fn snapshot(files: &[(&str, &str)]) -> Snapshot {
        let file = |(name, text): &(&str, &str)| ((*name).to_owned(), text.as_bytes().to_vec());
        Snapshot { files: files.iter().map(file).collect() }
    }

    /// Names that a sort by components or by a locale would put in another order than by bytes.
    const FILES: &[(&str, &str)] =
        &[("a/I.aidl", "i\n"), ("a-b/P.aidl", "p\n"), ("a/E.aidl", "e\n")];

    #[test]
    fn a_hash_is_that_of_the_build_system() {
        // find ./ -name "*.aidl" -print0 | LC_ALL=C sort -z | xargs -0 sha1sum && echo WORD, all of
        // it through sha1sum; WORD is latest-version, then 1.
        let mut snapshot = snapshot(FILES);
        assert_eq!(snapshot.hash(1), "c3345741acc16ed26ea012854186b25c9728f053");
        assert_eq!(snapshot.hash(2), "9a767fad93726d08cc4596b91a45b118ba83c2ac");
        snapshot.files.insert(HASH.to_owned(), b"x\n".to_vec());
        assert_eq!(snapshot.hash(1), "c3345741acc16ed26ea012854186b25c9728f053");
    }

    #[test]
    fn the_word_of_a_hash_is_the_version_before() {
        assert_eq!(hash_word(1), "latest-version");
        assert_eq!(hash_word(2), "1");
        assert_eq!(hash_word(11), "10");
    }

    #[test]
    fn a_frozen_version_that_was_changed_is_found() {
        let mut frozen = snapshot(FILES);
        assert!(hash_problem(&frozen, 1).unwrap().contains("has no .hash"));
        let line = format!("{}\n", frozen.hash(1));
        frozen.files.insert(HASH.to_owned(), line.into_bytes());
        assert_eq!(hash_problem(&frozen, 1), None);
        assert!(hash_problem(&frozen, 2).is_some());
        frozen.files.insert("a/E.aidl".to_owned(), b"E\n".to_vec());
        assert!(hash_problem(&frozen, 1).unwrap().contains("was changed"));
    }

    #[test]
    fn versions_are_numbers_without_a_gap() {
        let versions = |names: &[&str]| {
            frozen_versions(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(versions(&[]), Ok(vec![]));
        assert_eq!(
            versions(&["10", "current", "2", "1", "3", "4", "5", "6", "7", "8", "9"])
                .unwrap()
                .len(),
            10
        );
        assert!(versions(&["1", "3"]).unwrap_err().contains("version 2"));
        assert!(versions(&["2"]).is_err());
        assert!(versions(&["01"]).is_err());
        assert!(versions(&["0"]).is_err());
        assert!(versions(&["v1"]).is_err());
    }

    #[test]
    fn a_snapshot_is_written_once_and_leaves_nothing_of_the_one_before() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("current");
        let old = snapshot(&[("a/Gone.aidl", "x")]);
        assert!(old.write(&directory).unwrap());
        let new = snapshot(FILES);
        assert!(new.write(&directory).unwrap());
        assert!(!new.write(&directory).unwrap());
        assert_eq!(Snapshot::read(&directory).unwrap(), new);
    }
}
