// SPDX-License-Identifier: Apache-2.0
//! Builds the project's kernel module for a kernel of the VM.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use object::{Object as _, ObjectSection as _};

use crate::cache;
use crate::kernel::{Image, Kernel};
use crate::progress::Step;
use crate::workspace::Workspace;

/// The directory of the sources, and what Kbuild reads there.
const SOURCES: &str = "kernel";
const KBUILD: &str = "Kbuild";
/// What comes out.
const MODULE: &str = "wakeup_sources_kfuncs.ko";

/// Builds the module for `kernel`, or as much of it as has changed, and returns its path.
pub(crate) fn build(
    workspace: &Workspace,
    cached_as: &str,
    image: &Image,
    kernel: &Kernel,
) -> Result<PathBuf> {
    let options = image.headers.as_ref().with_context(|| {
        format!("tests/kernels.toml has no headers of image {cached_as}, which {MODULE} needs")
    })?;
    let headers = options.fetch(workspace, cached_as, &image.suite, kernel)?;
    // One for each version of the headers: Kbuild itself sees what changes under it, but not that
    // all of it was replaced.
    let name = cache::entry_name(&kernel.release, &kernel.version);
    let directory = workspace.runs().join("module").join(name);
    copy_sources(&workspace.root().join(SOURCES), &directory)?;
    let step = Step::new(&format!("building {MODULE} for {}", kernel.release));
    let mut out_of_tree = std::ffi::OsString::from("M=");
    out_of_tree.push(&directory);
    let output = Command::new("make")
        .arg("-C")
        .arg(&headers)
        .arg(out_of_tree)
        .args(&options.make)
        .args(["--silent", "modules"])
        // The caller's make, if there is one, has other plans.
        .env_remove("MAKEFLAGS")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .context("run make")?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("{MODULE} does not build for {}:\n{}", kernel.release, said.trim());
    }
    let module = directory.join(MODULE);
    if options.btf {
        let bytes = fs::read(&module).with_context(|| format!("read {}", module.display()))?;
        check_btf(&bytes).with_context(|| {
            format!("{MODULE} for {} is of no use; make said: {said}", kernel.release)
        })?;
    }
    step.done();
    Ok(module)
}

/// Copies the sources to where they are built. What has not changed stays as old as it is, which is
/// what make goes by.
fn copy_sources(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("create {}", to.display()))?;
    let entries = fs::read_dir(from).with_context(|| format!("list {}", from.display()))?;
    for entry in entries {
        let path = entry.with_context(|| format!("list {}", from.display()))?.path();
        let Some(name) = path.file_name().filter(|_| is_source(&path)) else { continue };
        let bytes = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        let copy = to.join(name);
        if fs::read(&copy).ok().as_ref() != Some(&bytes) {
            fs::write(&copy, bytes).with_context(|| format!("write {}", copy.display()))?;
        }
    }
    Ok(())
}

/// Sources only: a build by hand leaves C files, too.
fn is_source(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name == KBUILD || name.ends_with(".h") || (name.ends_with(".c") && !name.ends_with(".mod.c"))
}

/// Whether the kernel would find the kfuncs by BTF. If not, it loads the module all the same.
fn check_btf(module: &[u8]) -> Result<()> {
    let file = object::File::parse(module).context("read the module")?;
    let section = |name: &str| file.section_by_name(name).and_then(|s| s.data().ok());
    if section(".BTF").is_none_or(<[u8]>::is_empty) {
        bail!(
            "it has no BTF, which pahole makes of its debug information and the headers' vmlinux"
        );
    }
    let ids = section(".BTF_ids").context("it has no set of kfuncs")?;
    if !are_resolved(ids) {
        bail!("not all of its kfuncs have a BTF id, which resolve_btfids looks up");
    }
    Ok(())
}

/// Whether a section with one set, a header and then pairs of id and flags, all of 32 bits, has as
/// many pairs as the header says and an id in each. Before they are looked up all are 0.
fn are_resolved(ids: &[u8]) -> bool {
    let words: Vec<u32> = ids.chunks_exact(4).map(le_u32).collect();
    let [count, _flags, pairs @ ..] = words.as_slice() else { return false };
    let pairs = pairs.chunks_exact(2);
    *count > 0 && pairs.len() == *count as usize && pairs.into_iter().all(|p| p.first() != Some(&0))
}

fn le_u32(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |word, &byte| word << 8 | u32::from(byte))
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    fn section(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn every_kfunc_needs_an_id() {
        assert!(are_resolved(&section(&[2, 1, 0x0001_0203, 0, 7, 4])));
        assert!(!are_resolved(&section(&[2, 1, 7, 0, 0, 4])));
        assert!(!are_resolved(&section(&[2, 1, 7, 0])));
        assert!(!are_resolved(&section(&[0, 0])));
        assert!(!are_resolved(&[]));
    }

    #[test]
    fn what_is_no_module_or_has_no_btf_is_refused() {
        assert!(check_btf(b"no ELF").is_err());
        let program = fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(check_btf(&program).unwrap_err().to_string().contains("no BTF"));
    }

    #[test]
    fn sources_are_copied_when_they_differ_and_products_never() {
        let from = tempfile::tempdir().unwrap();
        let to = tempfile::tempdir().unwrap();
        for name in ["a.c", "a.mod.c", "a.ko", "Kbuild", "README.md"] {
            fs::write(from.path().join(name), name).unwrap();
        }
        let copy = to.path().join("a.c");
        fs::write(&copy, "a.c").unwrap();
        fs::set_permissions(&copy, std::os::unix::fs::PermissionsExt::from_mode(0o444)).unwrap();
        let before = fs::metadata(&copy).unwrap().modified().unwrap();

        copy_sources(from.path(), to.path()).unwrap();

        let mut names: Vec<_> =
            fs::read_dir(to.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["Kbuild", "a.c"]);
        assert_eq!(fs::metadata(&copy).unwrap().modified().unwrap(), before);
        fs::write(from.path().join(KBUILD), "changed").unwrap();
        copy_sources(from.path(), to.path()).unwrap();
        assert_eq!(fs::read(to.path().join(KBUILD)).unwrap(), b"changed");
    }
}
