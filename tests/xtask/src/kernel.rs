// SPDX-License-Identifier: Apache-2.0
//! The kernels of Debian, downloaded, and cached by version.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use regex::Regex;
use serde::Deserialize;

use crate::apt::{self, Available, Suite};
use crate::arch::Arch;
use crate::headers::Headers;
use crate::table::{Kfuncs, Source};
use crate::workspace::Workspace;
use crate::{cache, deb};

/// Stands for the kernel's release in the paths and names of the table.
const RELEASE: &str = "{release}";

/// Packages with a kernel, as `tests/kernels.toml` names them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Image {
    pub(crate) suite: String,
    package: String,
    vmlinuz: String,
    modules_package: String,
    modules: Vec<String>,
    /// Without them no module can be built for it.
    pub(crate) headers: Option<Headers>,
}

/// A kernel that is there to be booted.
pub(crate) struct Kernel {
    pub(crate) name: String,
    pub(crate) arch: Arch,
    /// As `uname -r` prints it.
    pub(crate) release: String,
    /// Of its package.
    pub(crate) version: String,
    pub(crate) vmlinuz: PathBuf,
    /// Those that PID 1 loads, in load order.
    pub(crate) modules: Vec<PathBuf>,
    /// Those that a test tries to load.
    pub(crate) test_modules: Vec<PathBuf>,
    /// Where the kfuncs that walk the wakeup sources come from.
    pub(crate) kfuncs: Kfuncs,
    /// Whether the tests run under SELinux.
    pub(crate) selinux: bool,
}

impl Image {
    /// Makes the newest one that the suite has available, or without a network the newest that is
    /// cached. Images are cached under `cached_as`, kernels are reported as `source` has it.
    pub(crate) fn fetch(
        &self,
        workspace: &Workspace,
        cached_as: &str,
        source: &Source,
    ) -> Result<Kernel> {
        let package = self.pattern().with_context(|| format!("the package of {cached_as}"))?;
        let parent = workspace.cache().join("kernels").join(cached_as);
        let found = find_for(workspace, source.arch, &self.suite, |name| package.is_match(name));
        let entry = match found {
            Ok((suite, image)) => {
                let release = release_of(&package, &image.name)?;
                let name = cache::entry_name(&release, &image.version);
                cache::entry(&parent, &name, |directory| {
                    self.download(&suite, &image, &release, directory)
                })?
            }
            Err(error) => cache::newest(&parent, error)?,
        };
        let (release, version) =
            cache::what_and_version(&entry).context("a cached kernel has an odd name")?;
        Ok(Kernel {
            name: source.name.clone(),
            arch: source.arch,
            release,
            version,
            vmlinuz: entry.join("vmlinuz"),
            modules: self.modules.iter().map(|path| entry.join(file_name(path))).collect(),
            test_modules: Vec::new(),
            kfuncs: source.kfuncs,
            selinux: false,
        })
    }

    fn pattern(&self) -> Result<Regex> {
        Regex::new(&format!("^(?:{})$", self.package)).context("understand tests/kernels.toml")
    }

    /// Fills a cache entry with the kernel and its modules.
    fn download(
        &self,
        suite: &Suite,
        image: &Available,
        release: &str,
        directory: &Path,
    ) -> Result<()> {
        let modules_package = self.modules_package.replace(RELEASE, release);
        let vmlinuz = directory.join("vmlinuz");
        let mut files = vec![(self.vmlinuz.replace(RELEASE, release), vmlinuz.as_path())];
        let targets: Vec<_> =
            self.modules.iter().map(|path| directory.join(file_name(path))).collect();
        let modules: Vec<_> = self
            .modules
            .iter()
            .map(|path| path.replace(RELEASE, release))
            .zip(targets.iter().map(PathBuf::as_path))
            .collect();
        let deb = suite.download(image, directory)?;
        if modules_package == image.name {
            files.extend(modules);
            deb::extract(&deb, &files)?;
            return deb::remove(&deb);
        }
        deb::extract(&deb, &files)?;
        deb::remove(&deb)?;
        let packages = suite.available()?.into_iter().filter(|p| p.name == modules_package);
        let package = apt::newest(packages.collect())?.with_context(|| {
            format!("{} has {} but not its {modules_package}", self.suite, image.name)
        })?;
        let deb = suite.download(&package, directory)?;
        deb::extract(&deb, &modules)?;
        deb::remove(&deb)
    }
}

/// The newest package of a suite whose name is wanted.
pub(crate) fn find(
    workspace: &Workspace,
    suite: &str,
    is_wanted: impl Fn(&str) -> bool,
) -> Result<(Suite, Available)> {
    find_for(workspace, Arch::default(), suite, is_wanted)
}

/// The same, of another architecture than this machine's.
pub(crate) fn find_for(
    workspace: &Workspace,
    arch: Arch,
    suite: &str,
    is_wanted: impl Fn(&str) -> bool,
) -> Result<(Suite, Available)> {
    let opened = Suite::open_for(workspace.cache(), suite, arch)?;
    let packages = opened.available()?.into_iter().filter(|package| is_wanted(&package.name));
    let newest = apt::newest(packages.collect())?
        .with_context(|| format!("Debian {suite} has no package as tests/kernels.toml wants"))?;
    Ok((opened, newest))
}

/// What the package's pattern has in its group.
fn release_of(pattern: &Regex, package: &str) -> Result<String> {
    let release = pattern.captures(package).and_then(|captures| captures.get(1));
    Ok(release.context("tests/kernels.toml: the package needs a group")?.as_str().to_owned())
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod unit_tests {
    use super::*;
    use crate::table::Table;

    fn pattern(kernel: &str) -> Regex {
        let table = Table::parse(include_str!("../../kernels.toml")).unwrap();
        let (_, image) = table.image(table.kernel(kernel).unwrap()).unwrap();
        image.pattern().unwrap()
    }

    #[test]
    fn the_native_kernel_is_no_variant_and_no_debug_package() {
        let package = pattern("native");
        let name = "linux-binary-unsigned-7.3.4+deb13-amd64";
        assert_eq!(release_of(&package, name).unwrap(), "7.3.4+deb13-amd64");
        for other in [
            "linux-binary-unsigned-7.3.4+deb13-cloud-amd64",
            "linux-binary-unsigned-7.3.4+deb13-rt-amd64",
            "linux-binary-7.3.4+deb13-amd64",
            "linux-binary-unsigned-6.19.10+deb13-amd64",
            "linux-binary-unsigned-7.3.4+deb13-amd64-dbg",
        ] {
            assert!(!package.is_match(other), "{other}");
        }
    }

    #[test]
    fn the_older_kernel_is_no_variant_and_no_debug_package() {
        let package = pattern("fallback");
        let name = "linux-image-6.12.90+deb12.1-amd64-unsigned";
        assert_eq!(release_of(&package, name).unwrap(), "6.12.90+deb12.1-amd64");
        assert!(!package.is_match("linux-image-6.12.95+deb12-amd64"));
        assert!(!package.is_match("linux-image-6.12.95+deb12-amd64-dbg"));
        assert!(!package.is_match("linux-image-6.12.95+deb12-rt-amd64-unsigned"));
    }
}
