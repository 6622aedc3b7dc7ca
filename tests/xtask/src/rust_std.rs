// SPDX-License-Identifier: Apache-2.0
//! Rust's standard library for another architecture, built from its sources once per toolchain: not
//! every toolchain can be given one, and what is built can be kept between runs of CI.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};

use crate::arch::Arch;
use crate::cache;
use crate::progress::Step;
use crate::rust_src;
use crate::rustc;
use crate::workspace::Workspace;

/// A crate for whose sake cargo builds the library; nothing of it is kept.
const CRATE: &str = "needs_std";

/// The directory to give to rustc as its sysroot, or none if the toolchain has the library itself.
pub(crate) fn fetch(workspace: &Workspace, arch: Arch) -> Result<Option<PathBuf>> {
    let target = arch.target();
    let own = rustc::ask(&["--print", "target-libdir", "--target", target])?;
    if !rlibs(Path::new(own.trim())).is_empty() {
        return Ok(None);
    }
    let parent = workspace.cache().join(arch.cache_name("rust-std"));
    let name = cache::entry_name("rust-std", &version(&rustc::ask(&["-vV"])?)?);
    let entry = cache::entry(&parent, &name, |directory| {
        let sources = rust_src::fetch(workspace)?;
        let step = Step::new(&format!("building Rust's standard library for {target}"));
        build(workspace, target, &sources, directory)?;
        step.done();
        Ok(())
    })?;
    Ok(Some(entry))
}

/// What tells a compiler from all that could not read its libraries, of `rustc -vV`.
fn version(text: &str) -> Result<String> {
    Ok(format!("{}-{}", rustc::field(text, "release")?, rustc::field(text, "commit-hash")?))
}

/// Builds the library in `sysroot` and leaves it where rustc looks.
fn build(workspace: &Workspace, target: &str, sources: &Path, sysroot: &Path) -> Result<()> {
    let work = tempfile::tempdir_in(sysroot).context("create a directory")?;
    let manifest = work.path().join("Cargo.toml");
    let text = format!("[package]\nname = \"{CRATE}\"\nedition = \"2024\"\n\n[workspace]\n");
    fs::write(&manifest, text).context("write a Cargo.toml")?;
    fs::create_dir(work.path().join("src")).context("create a directory")?;
    fs::write(work.path().join("src/lib.rs"), "").context("write a lib.rs")?;
    let status = workspace
        .cargo()
        .args(["build", "--quiet", "--release", "--target", target])
        // With the test harness, which the suites need.
        .arg("-Zbuild-std=std,panic_unwind,test")
        .arg("--manifest-path")
        .arg(&manifest)
        .current_dir(work.path())
        .env("CARGO_TARGET_DIR", work.path().join("target"))
        // Before RUSTFLAGS, which the user's environment may have, and before any configuration.
        .env("CARGO_ENCODED_RUSTFLAGS", "")
        // The library is made of what only nightly allows others, and so is its building by hand.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("__CARGO_TESTS_ONLY_SRC_ROOT", sources)
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .status()
        .context("run cargo build")?;
    if !status.success() {
        bail!("Rust's standard library does not build; cargo's errors are above");
    }
    let library = sysroot.join("lib/rustlib").join(target).join("lib");
    fs::create_dir_all(&library).with_context(|| format!("create {}", library.display()))?;
    let built = rlibs(&work.path().join("target").join(target).join("release/deps"));
    if built.is_empty() {
        bail!("cargo left no library where it is looked for");
    }
    for path in built {
        let name = path.file_name().unwrap_or_default();
        if !name.to_string_lossy().contains(CRATE) {
            fs::rename(&path, library.join(name))
                .with_context(|| format!("move {}", path.display()))?;
        }
    }
    Ok(())
}

/// The libraries in a directory, if there is one.
fn rlibs(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "rlib"))
        .collect()
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn compilers_of_one_release_and_other_sources_are_told_apart() {
        let text =
            "rustc 1.95.0 (59807616e 2026-04-14)\ncommit-hash: 59807616e1\nrelease: 1.95.0\n";
        assert_eq!(version(text).unwrap(), "1.95.0-59807616e1");
        let error = version("release: 1.95.0\n").unwrap_err().to_string();
        assert!(error.contains("commit-hash"), "{error}");
    }
}
