// SPDX-License-Identifier: Apache-2.0
//! Directories that are made once, at some expense, and then kept.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rustix::fs::{FlockOperation, flock};

use crate::apt;
use crate::progress::say;

/// Begins the name of a directory that is still being filled.
const PARTIAL: &str = ".partial-";

/// The directory `name` in `parent`; where it is not there yet, `fill` puts into it what belongs
/// there. It appears under its name only when `fill` has succeeded, so what exists is complete.
pub(crate) fn entry(
    parent: &Path,
    name: &str,
    fill: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    let entry = parent.join(name);
    if entry.exists() {
        return Ok(entry);
    }
    fs::create_dir_all(parent).with_context(|| format!("create {}", parent.display()))?;
    let _lock = lock(parent)?;
    // Another run may have made it while this one waited.
    if entry.exists() {
        return Ok(entry);
    }
    remove_leftovers(parent)?;
    let partial = tempfile::Builder::new()
        .prefix(PARTIAL)
        .tempdir_in(parent)
        .with_context(|| format!("create a directory in {}", parent.display()))?;
    fill(partial.path())?;
    fs::rename(partial.keep(), &entry).with_context(|| format!("create {}", entry.display()))?;
    Ok(entry)
}

/// The name of an entry that a version of something makes: what it is, an underscore, which no
/// package's name has, and the version.
pub(crate) fn entry_name(what: &str, version: &str) -> String {
    format!("{what}_{}", version.replace(':', "%3a"))
}

/// What an entry is, and its version.
pub(crate) fn what_and_version(entry: &Path) -> Option<(String, String)> {
    let (what, version) = entry.file_name()?.to_str()?.split_once('_')?;
    Some((what.to_owned(), version.replace("%3a", ":")))
}

/// What was made last by version, for when the archive can't be asked; `error` says why it can't.
pub(crate) fn newest(parent: &Path, error: anyhow::Error) -> Result<PathBuf> {
    let mut newest: Option<(String, String)> = None;
    for name in entries(parent) {
        let Some((_, version)) = what_and_version(Path::new(&name)) else { continue };
        let newer = match &newest {
            Some((_, best)) => apt::is_newer(&version, best)?,
            None => true,
        };
        if newer {
            newest = Some((name, version));
        }
    }
    let Some((name, _)) = newest else { return Err(error) };
    say(&format!("taking {name} from the cache: {error:#}"));
    Ok(parent.join(name))
}

/// The complete entries in `parent`, by name.
fn entries(parent: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(parent) else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| !name.starts_with('.'))
        .collect()
}

/// Holds other runs back until the file is closed.
fn lock(parent: &Path) -> Result<File> {
    let path = parent.join(".lock");
    let file = File::create(&path).with_context(|| format!("create {}", path.display()))?;
    flock(&file, FlockOperation::LockExclusive)
        .with_context(|| format!("wait for another run to leave {}", parent.display()))?;
    Ok(file)
}

/// Removes what an interrupted run left; nobody is at work on it, for the lock is ours.
fn remove_leftovers(parent: &Path) -> Result<()> {
    let entries = fs::read_dir(parent).with_context(|| format!("list {}", parent.display()))?;
    for entry in entries.filter_map(Result::ok) {
        if entry.file_name().to_string_lossy().starts_with(PARTIAL) {
            fs::remove_dir_all(entry.path())
                .with_context(|| format!("remove {}", entry.path().display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod unit_tests {
    use anyhow::bail;

    use super::*;

    #[test]
    fn an_entry_is_filled_once() {
        let parent = tempfile::tempdir().unwrap();
        let fill = |directory: &Path| Ok(fs::write(directory.join("file"), "x")?);
        let made = entry(parent.path(), "a_1", fill).unwrap();
        let again = entry(parent.path(), "a_1", |_| bail!("filled again")).unwrap();
        assert_eq!(fs::read(again.join("file")).unwrap(), b"x");
        assert_eq!(made, again);
        assert_eq!(entries(parent.path()), ["a_1"]);
    }

    #[test]
    fn what_failed_half_way_does_not_count_and_is_removed() {
        let parent = tempfile::tempdir().unwrap();
        let interrupted = parent.path().join(".partial-left");
        fs::create_dir(&interrupted).unwrap();
        assert!(entry(parent.path(), "a_1", |_| bail!("no network")).is_err());
        assert!(entries(parent.path()).is_empty());
        assert!(!interrupted.exists());
    }

    #[test]
    fn an_entry_says_what_it_is() {
        let entry = Path::new("cache").join(entry_name("6.12.9+deb12-amd64", "1:6.12.9-1~bpo12+1"));
        let (what, version) = what_and_version(&entry).unwrap();
        assert_eq!((&*what, &*version), ("6.12.9+deb12-amd64", "1:6.12.9-1~bpo12+1"));
        assert_eq!(what_and_version(Path::new("cache/.lock")), None);
    }

    #[test]
    fn without_the_archive_the_newest_cached_version_serves() {
        let parent = tempfile::tempdir().unwrap();
        for version in ["1:7.2.9-1~bpo13+1", "1:7.2.12-1~bpo13+1", "7.3-1"] {
            fs::create_dir(parent.path().join(entry_name("linux", version))).unwrap();
        }
        let chosen = newest(parent.path(), anyhow::anyhow!("no network")).unwrap();
        assert!(chosen.ends_with("linux_1%3a7.2.12-1~bpo13+1"), "{}", chosen.display());
        let nothing = tempfile::tempdir().unwrap();
        let error = newest(nothing.path(), anyhow::anyhow!("no network")).unwrap_err();
        assert_eq!(error.to_string(), "no network");
    }
}
