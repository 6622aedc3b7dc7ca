// SPDX-License-Identifier: Apache-2.0
//! The kernels of `tests/kernels.toml`, found in Debian, downloaded, and cached by version.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use regex::Regex;
use serde::Deserialize;

use crate::apt::{self, Available, Suite};
use crate::workspace::Workspace;
use crate::{cache, deb};

/// Stands for the kernel's release in the paths and names of the table.
const RELEASE: &str = "{release}";

/// `tests/kernels.toml`; the file explains its keys.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Table {
    #[serde(rename = "kernel")]
    pub(crate) kernels: Vec<Source>,
    busybox: Busybox,
}

/// Where a kernel comes from and what is done with it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Source {
    pub(crate) name: String,
    suite: String,
    image: String,
    vmlinuz: String,
    modules_package: String,
    modules: Vec<String>,
    kfuncs: bool,
    guest_suites: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Busybox {
    suite: String,
    package: String,
    path: String,
}

/// A kernel that is there to be booted.
pub(crate) struct Kernel {
    pub(crate) name: String,
    /// As `uname -r` prints it.
    pub(crate) release: String,
    pub(crate) vmlinuz: PathBuf,
    /// In load order.
    pub(crate) modules: Vec<PathBuf>,
    /// Whether it has the kfuncs that walk the wakeup sources.
    pub(crate) kfuncs: bool,
}

impl Table {
    /// Reads the table of this checkout.
    pub(crate) fn load(workspace: &Workspace) -> Result<Self> {
        let path = workspace.tests_file("kernels.toml");
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("understand {}", path.display()))
    }

    /// The kernel of that name.
    pub(crate) fn kernel(&self, name: &str) -> Result<&Source> {
        self.kernels.iter().find(|kernel| kernel.name == name).with_context(|| {
            let names: Vec<_> = self.kernels.iter().map(|kernel| kernel.name.as_str()).collect();
            format!("no kernel is named {name:?}; tests/kernels.toml has {}", names.join(", "))
        })
    }

    /// The static busybox of the interactive VM.
    pub(crate) fn busybox(&self, workspace: &Workspace) -> Result<PathBuf> {
        let Busybox { suite, package, path } = &self.busybox;
        let parent = workspace.cache().join("busybox");
        let entry = match find(workspace, suite, |name| name == package) {
            Ok((suite, package)) => {
                let name = cache::entry_name(&package.name, &package.version);
                cache::entry(&parent, &name, |directory| {
                    let deb = suite.download(&package, directory)?;
                    let target = directory.join("busybox");
                    deb::extract(&deb, &[(path.clone(), target.as_path())])?;
                    deb::remove(&deb)
                })?
            }
            Err(error) => cache::newest(&parent, error)?,
        };
        Ok(entry.join("busybox"))
    }
}

impl Source {
    /// Which of the project's guest suites run on this kernel.
    pub(crate) fn suites(&self, all: &[String]) -> Result<Vec<String>> {
        if self.guest_suites.iter().any(|name| name == "*") {
            return Ok(all.to_vec());
        }
        if let Some(unknown) = self.guest_suites.iter().find(|name| !all.contains(name)) {
            bail!(
                "tests/kernels.toml wants suite {unknown:?}, but tests/vm has {}",
                all.join(", ")
            );
        }
        Ok(self.guest_suites.clone())
    }

    /// Makes the newest kernel that the suite has available, or without a network the newest that
    /// is cached.
    pub(crate) fn fetch(&self, workspace: &Workspace) -> Result<Kernel> {
        let image = Regex::new(&format!("^(?:{})$", self.image))
            .with_context(|| format!("tests/kernels.toml: the image of {}", self.name))?;
        let parent = workspace.cache().join("kernels").join(&self.name);
        let entry = match find(workspace, &self.suite, |name| image.is_match(name)) {
            Ok((suite, package)) => {
                let release = release_of(&image, &package.name)?;
                let name = cache::entry_name(&release, &package.version);
                cache::entry(&parent, &name, |directory| {
                    self.download(&suite, &package, &release, directory)
                })?
            }
            Err(error) => cache::newest(&parent, error)?,
        };
        let name = entry.file_name().unwrap_or_default().to_string_lossy();
        let (release, _) = name.split_once('_').context("a cached kernel has an odd name")?;
        Ok(Kernel {
            name: self.name.clone(),
            release: release.to_owned(),
            vmlinuz: entry.join("vmlinuz"),
            modules: self.modules.iter().map(|path| entry.join(file_name(path))).collect(),
            kfuncs: self.kfuncs,
        })
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
fn find(
    workspace: &Workspace,
    suite: &str,
    is_wanted: impl Fn(&str) -> bool,
) -> Result<(Suite, Available)> {
    let opened = Suite::open(workspace.cache(), suite)?;
    let packages = opened.available()?.into_iter().filter(|package| is_wanted(&package.name));
    let newest = apt::newest(packages.collect())?
        .with_context(|| format!("Debian {suite} has no package as tests/kernels.toml wants"))?;
    Ok((opened, newest))
}

/// What the image's pattern has in its group.
fn release_of(image: &Regex, package: &str) -> Result<String> {
    let release = image.captures(package).and_then(|captures| captures.get(1));
    Ok(release.context("tests/kernels.toml: the image needs a group")?.as_str().to_owned())
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    fn table() -> Table {
        toml::from_str(include_str!("../../kernels.toml")).unwrap()
    }

    #[test]
    fn the_native_kernel_is_no_variant_and_no_debug_package() {
        let table = table();
        let image =
            Regex::new(&format!("^(?:{})$", table.kernel("native").unwrap().image)).unwrap();
        let name = "linux-binary-unsigned-7.3.4+deb13-amd64";
        assert_eq!(release_of(&image, name).unwrap(), "7.3.4+deb13-amd64");
        for other in [
            "linux-binary-unsigned-7.3.4+deb13-cloud-amd64",
            "linux-binary-unsigned-7.3.4+deb13-rt-amd64",
            "linux-binary-7.3.4+deb13-amd64",
            "linux-binary-unsigned-6.19.10+deb13-amd64",
            "linux-binary-unsigned-7.3.4+deb13-amd64-dbg",
        ] {
            assert!(!image.is_match(other), "{other}");
        }
    }

    #[test]
    fn the_plain_kernel_is_no_variant_and_no_debug_package() {
        let table = table();
        let image = Regex::new(&format!("^(?:{})$", table.kernel("plain").unwrap().image)).unwrap();
        let name = "linux-image-6.12.90+deb12.1-amd64-unsigned";
        assert_eq!(release_of(&image, name).unwrap(), "6.12.90+deb12.1-amd64");
        assert!(!image.is_match("linux-image-6.12.95+deb12-amd64"));
        assert!(!image.is_match("linux-image-6.12.95+deb12-amd64-dbg"));
        assert!(!image.is_match("linux-image-6.12.95+deb12-rt-amd64-unsigned"));
    }

    #[test]
    fn a_kernel_runs_the_suites_it_names_or_all() {
        let all = ["parity".to_owned(), "startup".to_owned()];
        let table = table();
        assert_eq!(table.kernel("native").unwrap().suites(&all).unwrap(), all);
        assert_eq!(table.kernel("plain").unwrap().suites(&all).unwrap(), ["startup"]);
        let error = table.kernel("plain").unwrap().suites(&["parity".to_owned()]).unwrap_err();
        assert!(error.to_string().contains("startup"), "{error}");
    }

    #[test]
    fn an_unknown_kernel_is_an_error_that_lists_the_known() {
        let error = table().kernel("nativ").unwrap_err().to_string();
        assert!(error.contains("native, plain"), "{error}");
    }
}
