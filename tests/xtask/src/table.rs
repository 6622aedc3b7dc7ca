// SPDX-License-Identifier: Apache-2.0
//! `tests/kernels.toml`: the kernels to run on, and what runs on each.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;
use init::Run;
use serde::Deserialize;

use crate::kernel::{self, Image, Kernel};
use crate::workspace::Workspace;
use crate::{cache, deb, module};

/// The file; it explains its keys.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Table {
    each_backend: Vec<String>,
    under_selinux: Vec<String>,
    #[serde(rename = "kernel")]
    pub(crate) kernels: Vec<Source>,
    #[serde(rename = "image")]
    images: BTreeMap<String, Image>,
    busybox: Busybox,
}

/// A kernel and what is done with it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Source {
    pub(crate) name: String,
    image: String,
    kfuncs: Kfuncs,
    backends: Vec<Backend>,
    #[serde(default)]
    selinux: bool,
}

/// Where the kfuncs that walk the wakeup sources come from.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kfuncs {
    /// The kernel itself.
    Builtin,
    /// The project's own module.
    Module,
    /// Nowhere.
    None,
}

impl fmt::Display for Kfuncs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Builtin => "builtin",
            Self::Module => "module",
            Self::None => "none",
        })
    }
}

/// A way in which the daemon reads the wakeup sources.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Backend {
    /// It loads the BPF program itself.
    Load,
    /// It runs a program that someone else has loaded and pinned.
    Pinned,
    /// It reads /sys/class/wakeup.
    Sysfs,
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Load => "load",
            Self::Pinned => "pinned",
            Self::Sysfs => "sysfs",
        })
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Busybox {
    suite: String,
    package: String,
    path: String,
}

/// What the command line leaves of all runs.
#[derive(Clone, Copy, Default)]
pub(crate) struct Choice<'a> {
    pub(crate) suite: Option<&'a str>,
    pub(crate) backend: Option<Backend>,
}

impl Table {
    /// Reads the table of this checkout.
    pub(crate) fn load(workspace: &Workspace) -> Result<Self> {
        let path = workspace.tests_file("kernels.toml");
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("understand {}", path.display()))
    }

    pub(crate) fn parse(text: &str) -> Result<Self> {
        Ok(toml::from_str(text)?)
    }

    /// The kernel of that name.
    pub(crate) fn kernel(&self, name: &str) -> Result<&Source> {
        self.kernels.iter().find(|kernel| kernel.name == name).with_context(|| {
            let names: Vec<_> = self.kernels.iter().map(|kernel| kernel.name.as_str()).collect();
            format!("no kernel is named {name:?}; tests/kernels.toml has {}", names.join(", "))
        })
    }

    /// The packages of a kernel, and what they are called.
    pub(crate) fn image(&self, source: &Source) -> Result<(&str, &Image)> {
        let entry = self.images.get_key_value(&source.image);
        let (name, image) = entry.with_context(|| {
            format!("kernel {} wants image {:?}, which is not there", source.name, source.image)
        })?;
        Ok((name, image))
    }

    /// Makes a kernel ready to be booted, with the project's module where it needs that.
    pub(crate) fn fetch(&self, workspace: &Workspace, source: &Source) -> Result<Kernel> {
        let (name, image) = self.image(source)?;
        let mut kernel = image.fetch(workspace, name, &source.name, source.kfuncs)?;
        if source.kfuncs == Kfuncs::Module {
            kernel.modules.push(module::build(workspace, name, image, &kernel)?);
        }
        Ok(kernel)
    }

    /// Makes a kernel ready for the tests, which want to see the module refused where the kernel
    /// has the kfuncs itself.
    pub(crate) fn fetch_for_tests(&self, workspace: &Workspace, source: &Source) -> Result<Kernel> {
        let mut kernel = self.fetch(workspace, source)?;
        kernel.selinux = source.selinux;
        if source.kfuncs == Kfuncs::Builtin {
            let (name, image) = self.image(source)?;
            kernel.test_modules.push(module::build(workspace, name, image, &kernel)?);
        }
        Ok(kernel)
    }

    /// What runs on a kernel: of `suites`, which are all there are, those that are chosen, each
    /// with every backend of the kernel or once.
    pub(crate) fn runs(
        &self,
        source: &Source,
        suites: &[String],
        choice: Choice<'_>,
    ) -> Result<Vec<Run>> {
        let mut named = self.each_backend.iter().chain(&self.under_selinux);
        if let Some(unknown) = named.find(|name| !suites.contains(name)) {
            bail!(
                "tests/kernels.toml names a suite {unknown:?}, but tests/vm has {}",
                suites.join(", ")
            );
        }
        let mut runs = Vec::new();
        for suite in suites {
            let is_named = choice.suite == Some(suite);
            if choice.suite.is_some() && !is_named {
                continue;
            }
            if self.under_selinux.contains(suite) && !source.selinux {
                continue;
            }
            if self.each_backend.contains(suite) {
                let backends = source.backends.iter();
                let backends = backends.filter(|b| choice.backend.is_none_or(|c| c == **b));
                runs.extend(backends.map(|b| Run::with_backend(suite, &b.to_string())));
            } else if is_named || choice.backend.is_none() {
                runs.push(Run::once(suite));
            }
        }
        Ok(runs)
    }

    /// The static busybox of the interactive VM.
    pub(crate) fn busybox(&self, workspace: &Workspace) -> Result<PathBuf> {
        let Busybox { suite, package, path } = &self.busybox;
        let parent = workspace.cache().join("busybox");
        let entry = match kernel::find(workspace, suite, |name| name == package) {
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

#[cfg(test)]
mod unit_tests {
    use super::*;

    const SUITES: &[&str] = &[
        "access", "caches", "device", "dump", "idle", "names", "parity", "sepolicy", "service",
        "size", "startup", "suspend",
    ];

    fn table() -> Table {
        Table::parse(include_str!("../../kernels.toml")).unwrap()
    }

    fn suites() -> Vec<String> {
        SUITES.iter().map(|suite| (*suite).to_owned()).collect()
    }

    /// The runs on a kernel in one line.
    fn runs(kernel: &str, choice: Choice<'_>) -> String {
        let table = table();
        let runs = table.runs(table.kernel(kernel).unwrap(), &suites(), choice).unwrap();
        runs.iter().map(Run::to_string).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn suites_run_with_each_backend_of_the_kernel_or_once() {
        let choice = Choice::default();
        let native = runs("native", choice);
        assert!(
            native.starts_with("access/load access/pinned access/sysfs caches/load"),
            "{native}"
        );
        assert!(native.ends_with("size/sysfs startup suspend"), "{native}");
        assert!(runs("module", choice).starts_with("access/load access/pinned caches/load"));
        assert!(runs("fallback", choice).starts_with("access/sysfs caches/sysfs"));
    }

    #[test]
    fn suites_that_need_selinux_run_where_it_is() {
        let choice = Choice { suite: Some("sepolicy"), ..Choice::default() };
        assert_eq!(runs("native", choice), "sepolicy");
        assert_eq!(runs("fallback", choice), "");
    }

    #[test]
    fn a_chosen_backend_leaves_out_what_has_none_but_not_what_is_named() {
        let pinned = Choice { backend: Some(Backend::Pinned), ..Choice::default() };
        assert_eq!(
            runs("module", pinned),
            "access/pinned caches/pinned device/pinned dump/pinned idle/pinned names/pinned \
             parity/pinned service/pinned size/pinned"
        );
        assert_eq!(runs("fallback", pinned), "");
        assert_eq!(runs("module", Choice { suite: Some("startup"), ..pinned }), "startup");
        assert_eq!(runs("module", Choice { suite: Some("parity"), ..pinned }), "parity/pinned");
        let suite = Choice { suite: Some("parity"), ..Choice::default() };
        assert_eq!(runs("native", suite), "parity/load parity/pinned parity/sysfs");
    }

    #[test]
    fn a_suite_that_is_not_there_is_an_error_that_lists_those_that_are() {
        let table = table();
        let native = table.kernel("native").unwrap();
        let error = table.runs(native, &["parity".to_owned()], Choice::default()).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("\"access\"") && error.contains("tests/vm has parity"), "{error}");
    }

    #[test]
    fn every_kernel_has_an_image_and_the_names_of_backends_are_those_of_the_command_line() {
        let table = table();
        for kernel in &table.kernels {
            assert!(table.image(kernel).is_ok(), "{}", kernel.name);
        }
        for backend in Backend::value_variants() {
            let value = backend.to_possible_value().unwrap();
            assert_eq!(value.get_name(), backend.to_string());
        }
    }

    #[test]
    fn an_unknown_kernel_is_an_error_that_lists_the_known() {
        let error = table().kernel("nativ").unwrap_err().to_string();
        assert!(error.contains("native, module, fallback"), "{error}");
    }
}
