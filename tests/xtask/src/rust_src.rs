// SPDX-License-Identifier: Apache-2.0
//! The sources of Rust's standard library, as Debian has them, for a target that no toolchain here
//! comes with. They must be of the very version of the compiler that is in use.

use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::apt::{self, Available, Suite};
use crate::workspace::Workspace;
use crate::{cache, deb, rustc};

const PACKAGE: &str = "rust-src";
/// Where to look for the package, in this order: the first has several releases side by side, the
/// others one each.
const SUITES: &[&str] = &["trixie-backports", "trixie", "forky", "sid"];

/// The sources for the compiler in use: the directory that cargo calls the library's workspace.
pub(crate) fn fetch(workspace: &Workspace) -> Result<PathBuf> {
    let release = compiler_release()?;
    let parent = workspace.cache().join(PACKAGE);
    let inside = format!("usr/src/rustc-{release}/library");
    // By release, not by Debian's version: what is there once need not be in the archive any more.
    let entry = cache::entry(&parent, &cache::entry_name(PACKAGE, &release), |directory| {
        let (suite, package) = find(workspace, &release)?;
        let deb = suite.download(&package, directory)?;
        deb::unpack_part(&deb, &inside, directory)?;
        deb::remove(&deb)
    })?;
    Ok(entry.join(inside))
}

/// What `rustc --version` says, such as `1.95.0`.
fn compiler_release() -> Result<String> {
    Ok(rustc::field(&rustc::ask(&["-vV"])?, "release")?.to_owned())
}

/// The first suite that has the sources of `release`, and the package.
fn find(workspace: &Workspace, release: &str) -> Result<(Suite, Available)> {
    let mut others = Vec::new();
    for name in SUITES {
        let suite = Suite::open(workspace.cache(), name)?;
        let packages = suite.versions(PACKAGE)?;
        match choose(&packages, release)? {
            Some(package) => return Ok((suite, package)),
            None => others.extend(packages),
        }
    }
    bail!(absence(&others, release));
}

/// The newest package of those that have the sources of `release`.
fn choose(packages: &[Available], release: &str) -> Result<Option<Available>> {
    let same = packages.iter().filter(|package| upstream(&package.version) == release);
    apt::newest(same.cloned().collect())
}

/// `1.95.0` of `1.95.0+dfsg1-2~bpo13+1`.
fn upstream(version: &str) -> &str {
    version.split(['+', '-']).next().unwrap_or(version)
}

/// What to do about it.
fn absence(others: &[Available], release: &str) -> String {
    let mut releases: Vec<_> = others.iter().map(|package| upstream(&package.version)).collect();
    releases.sort_unstable();
    releases.dedup();
    format!(
        "Debian has no {PACKAGE} of Rust {release}, the compiler in use, but of {}; use one of those \
         (with rustup: cargo +VERSION xtask check)",
        releases.join(", ")
    )
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    /// What an index says of the package in these versions.
    fn packages(versions: &[&str]) -> Vec<Available> {
        let stanza = |version: &&str| format!("Package: rust-src\nVersion: {version}\nSize: 1\n\n");
        apt::parse_index(&versions.iter().map(stanza).collect::<String>())
    }

    #[test]
    fn the_sources_are_of_the_compilers_release() {
        let versions = ["1.95.0+dfsg1-1", "1.96.1+dfsg1-2~bpo13+1", "1.95.0+dfsg1-2~bpo13+1"];
        let chosen = choose(&packages(&versions), "1.95.0").unwrap().unwrap();
        assert_eq!(chosen.version, "1.95.0+dfsg1-2~bpo13+1");
        assert_eq!(choose(&packages(&versions), "1.95").unwrap(), None);
        assert_eq!(choose(&packages(&["1.98.0~beta.2+dfsg1-1"]), "1.98.0").unwrap(), None);
        assert_eq!(choose(&packages(&versions), "1.95.0-nightly").unwrap(), None);
    }

    #[test]
    fn where_there_are_none_it_says_which_there_are() {
        let text = absence(&packages(&["1.97.1+dfsg1-1", "1.85.1-1"]), "1.90.0");
        assert!(text.contains("1.90.0") && text.contains("1.85.1, 1.97.1"), "{text}");
    }

    #[test]
    fn the_compiler_in_use_has_a_release() {
        let release = compiler_release().unwrap();
        assert!(release.starts_with("1."), "{release}");
    }
}
