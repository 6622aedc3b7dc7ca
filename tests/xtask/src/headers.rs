// SPDX-License-Identifier: Apache-2.0
//! What a module for one of Debian's kernels is built with, unpacked and not installed.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::apt::{Available, Suite};
use crate::kernel::{self, Kernel};
use crate::workspace::Workspace;
use crate::{cache, deb};

/// Where the packages expect to be installed, as their Makefiles have it.
const SOURCES: &str = "/usr/src/";
const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";
const LOADER: &str = "ld-linux-x86-64.so.2";
/// The packages' own programs, next to what stands in for them.
const ORIGINAL: &str = ".original";

/// How modules for a kernel are built, as `tests/kernels.toml` says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Headers {
    /// Arguments of make.
    pub(crate) make: Vec<String>,
    /// Whether a module gets BTF, without which it can be loaded but its kfuncs can't be called.
    pub(crate) btf: bool,
    libc: Option<Libc>,
}

/// A libc for those of Kbuild's programs that need a newer one than this machine has.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Libc {
    suite: String,
    packages: Vec<String>,
    programs: Vec<String>,
}

impl Headers {
    /// The build directory for modules of `kernel`, whose packages `suite` has.
    pub(crate) fn fetch(
        &self,
        workspace: &Workspace,
        cached_as: &str,
        suite: &str,
        kernel: &Kernel,
    ) -> Result<PathBuf> {
        let parent = workspace.cache().join("headers").join(cached_as);
        let name = cache::entry_name(&kernel.release, &kernel.version);
        let root = cache::entry(&parent, &name, |directory| {
            self.fill(workspace, suite, kernel, directory)
                .with_context(|| format!("fetch the headers of kernel {}", kernel.release))
        })?;
        Ok(build_directory(&root, &kernel.release))
    }

    fn fill(
        &self,
        workspace: &Workspace,
        suite: &str,
        kernel: &Kernel,
        directory: &Path,
    ) -> Result<()> {
        let opened = Suite::open(workspace.cache(), suite)?;
        let available = opened.available()?;
        for name in packages(&kernel.release) {
            let same = |p: &&Available| p.name == name && p.version == kernel.version;
            let package = available.iter().find(same).with_context(|| {
                format!("Debian {suite} has no {name} of the kernel's version {}", kernel.version)
            })?;
            unpack(&opened, package, directory)?;
        }
        let makefile = build_directory(directory, &kernel.release).join("Makefile");
        let text = fs::read_to_string(&makefile).context("read the headers' Makefile")?;
        fs::write(&makefile, relocate(&text)?).context("write the headers' Makefile")?;
        let Some(libc) = &self.libc else { return Ok(()) };
        for name in &libc.packages {
            let (suite, package) = kernel::find(workspace, &libc.suite, |found| found == name)?;
            unpack(&suite, &package, directory)?;
        }
        let kbuild = format!("usr/lib/linux-kbuild-{}", without_flavour(&kernel.release));
        for program in &libc.programs {
            let inside = Path::new(&kbuild).join(program);
            stand_in(directory, &inside)
                .with_context(|| format!("put a script in the place of {}", inside.display()))?;
        }
        Ok(())
    }
}

/// The headers of one flavour, those of all flavours, and Kbuild's programs.
fn packages(release: &str) -> [String; 3] {
    let version = without_flavour(release);
    [
        format!("linux-headers-{release}"),
        format!("linux-headers-{version}-common"),
        format!("linux-kbuild-{version}"),
    ]
}

/// `6.12.95+deb12` of `6.12.95+deb12-amd64`.
fn without_flavour(release: &str) -> &str {
    release.rsplit_once('-').map_or(release, |(version, _)| version)
}

fn build_directory(root: &Path, release: &str) -> PathBuf {
    root.join("usr/src").join(format!("linux-headers-{release}"))
}

fn unpack(suite: &Suite, package: &Available, directory: &Path) -> Result<()> {
    let deb = suite.download(package, directory)?;
    deb::unpack(&deb, directory)?;
    deb::remove(&deb)
}

/// The Makefile of a build directory, with its neighbours where they are and not where they would
/// be installed: make runs in that directory.
fn relocate(makefile: &str) -> Result<String> {
    if !makefile.contains(SOURCES) {
        bail!("the headers' Makefile does not name {SOURCES} as it used to:\n{makefile}");
    }
    Ok(makefile.replace(SOURCES, "../"))
}

/// Puts in the place of a program a script that runs it with the libc that was unpacked under
/// `root`, by that libc's own loader.
fn stand_in(root: &Path, program: &Path) -> Result<()> {
    let path = root.join(program);
    let mut original = path.clone().into_os_string();
    original.push(ORIGINAL);
    fs::rename(&path, &original).context("rename it")?;
    let up = "/..".repeat(program.components().count().saturating_sub(1));
    let script = format!(
        "#!/bin/sh\n\
         libraries=$(dirname \"$0\"){up}/{LIBRARIES}\n\
         exec \"$libraries/{LOADER}\" --inhibit-cache --library-path \"$libraries\" \
         \"$0{ORIGINAL}\" \"$@\"\n"
    );
    fs::write(&path, script).context("write the script")?;
    fs::set_permissions(&path, Permissions::from_mode(0o755)).context("make it executable")
}

#[cfg(test)]
mod unit_tests {
    use std::os::unix::fs::symlink;
    use std::process::Command;

    use super::*;

    #[test]
    fn the_packages_follow_from_the_release() {
        assert_eq!(
            packages("6.12.90+deb12.1-amd64"),
            [
                "linux-headers-6.12.90+deb12.1-amd64",
                "linux-headers-6.12.90+deb12.1-common",
                "linux-kbuild-6.12.90+deb12.1"
            ]
        );
    }

    #[test]
    fn a_makefile_is_relocated_or_not_understood() {
        let makefile = "KBUILD_OUTPUT=/usr/src/headers-a\ninclude /usr/src/headers-b/Makefile\n";
        assert_eq!(
            relocate(makefile).unwrap(),
            "KBUILD_OUTPUT=../headers-a\ninclude ../headers-b/Makefile\n"
        );
        assert!(relocate("include /elsewhere/Makefile\n").is_err());
    }

    /// A shell is the loader here: given the original, it runs it as a script.
    #[test]
    fn the_script_finds_loader_and_original_through_links_too() {
        let root = tempfile::tempdir().unwrap();
        let program = Path::new("usr/lib/kbuild/scripts/mod/modpost");
        for directory in [LIBRARIES, "usr/lib/kbuild/scripts/mod", "usr/src/headers"] {
            fs::create_dir_all(root.path().join(directory)).unwrap();
        }
        let loader = root.path().join(LIBRARIES).join(LOADER);
        fs::write(&loader, "#!/bin/sh\nshift 3; exec sh \"$@\"\n").unwrap();
        fs::set_permissions(&loader, Permissions::from_mode(0o755)).unwrap();
        fs::write(root.path().join(program), "echo \"ran $1\"").unwrap();
        symlink("../../lib/kbuild/scripts", root.path().join("usr/src/headers/scripts")).unwrap();

        stand_in(root.path(), program).unwrap();

        for path in ["usr/lib/kbuild/scripts/mod/modpost", "usr/src/headers/scripts/mod/modpost"] {
            let output = Command::new(root.path().join(path)).arg("two words").output().unwrap();
            assert_eq!(String::from_utf8_lossy(&output.stdout), "ran two words\n", "{output:?}");
        }
    }
}
