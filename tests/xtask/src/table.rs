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

use crate::arch::Arch;
use crate::kernel::{self, Image, Kernel};
use crate::vm::PROCESSORS;
use crate::workspace::Workspace;
use crate::{cache, deb, module};

/// The file; it explains its keys.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Table {
    each_backend: Vec<String>,
    under_selinux: Vec<String>,
    one_processor: Vec<String>,
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
    #[serde(default)]
    pub(crate) arch: Arch,
    image: String,
    pub(crate) kfuncs: Kfuncs,
    backends: Vec<Backend>,
    #[serde(default)]
    selinux: bool,
    #[serde(default)]
    except: Vec<String>,
    #[serde(default)]
    smoke: Vec<String>,
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
    pub(crate) arch: Option<Arch>,
    pub(crate) kernel: Option<&'a str>,
    pub(crate) suite: Option<&'a str>,
    pub(crate) backend: Option<Backend>,
}

impl Choice<'_> {
    /// What is left of all the runs on a kernel.
    fn of(&self, source: &Source, all: Vec<Run>) -> Vec<Run> {
        let is_asked_for = self.arch.is_some() || self.kernel.is_some();
        let is_whole = self.suite.is_none() && self.backend.is_none();
        if !is_asked_for && is_whole && !source.smoke.is_empty() {
            return source.smoke.iter().map(|run| Run::from(run.as_str())).collect();
        }
        if !is_asked_for && source.arch.is_foreign() {
            // Whoever looks at one suite or backend would wait for the cross build longer than for
            // the rest.
            return Vec::new();
        }
        let is_chosen = |run: &Run| {
            self.suite.is_none_or(|suite| suite == run.suite())
                && match (self.backend, run.backend()) {
                    (None, _) => true,
                    (Some(chosen), Some(backend)) => chosen.to_string() == backend,
                    // A suite that has no backend is left out, unless it is named.
                    (Some(_), None) => self.suite.is_some(),
                }
        };
        all.into_iter().filter(is_chosen).collect()
    }
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
        let mut kernel = image.fetch(workspace, name, source)?;
        if source.kfuncs == Kfuncs::Module {
            kernel.modules.push(module::build(workspace, name, image, &kernel)?);
        }
        Ok(kernel)
    }

    /// Makes a kernel ready for the tests, which want to see the module refused where the kernel
    /// has the kfuncs itself and the module can be built.
    pub(crate) fn fetch_for_tests(&self, workspace: &Workspace, source: &Source) -> Result<Kernel> {
        let mut kernel = self.fetch(workspace, source)?;
        kernel.selinux = source.selinux;
        let (name, image) = self.image(source)?;
        if source.kfuncs == Kfuncs::Builtin && image.headers.is_some() {
            kernel.test_modules.push(module::build(workspace, name, image, &kernel)?);
        }
        Ok(kernel)
    }

    /// What runs on which kernel: of `suites`, which are all there are, those that are chosen. Kernels
    /// on which nothing runs are left out.
    pub(crate) fn plan(
        &self,
        suites: &[String],
        choice: Choice<'_>,
    ) -> Result<Vec<(&Source, Vec<Run>)>> {
        let named = choice.kernel.map(|name| self.kernel(name)).transpose()?;
        let mut plan = Vec::new();
        for source in &self.kernels {
            let all = self.runs(source, suites)?;
            if named.is_none_or(|named| named.name == source.name)
                && choice.arch.is_none_or(|arch| arch == source.arch)
            {
                let runs = choice.of(source, all);
                plan.extend((!runs.is_empty()).then_some((source, runs)));
            }
        }
        if plan.is_empty() {
            bail!(
                "nothing runs on the chosen kernel with the chosen suite and backend; see \
                 tests/kernels.toml"
            );
        }
        Ok(plan)
    }

    /// The VMs for what runs on a kernel, each with its number of processors.
    pub(crate) fn vms(&self, runs: &[Run]) -> Vec<(u8, Vec<Run>)> {
        let wants_one = |run: &Run| self.one_processor.iter().any(|suite| suite == run.suite());
        let (one, two) = runs.iter().cloned().partition::<Vec<_>, _>(wants_one);
        [(PROCESSORS, two), (1, one)].into_iter().filter(|(_, runs)| !runs.is_empty()).collect()
    }

    /// All that runs on a kernel: each suite with every backend of the kernel or once, except what
    /// can't.
    fn runs(&self, source: &Source, suites: &[String]) -> Result<Vec<Run>> {
        let named = [
            ("each_backend", &self.each_backend),
            ("under_selinux", &self.under_selinux),
            ("one_processor", &self.one_processor),
        ];
        for (list, named) in named {
            if let Some(unknown) = named.iter().find(|name| !suites.contains(name)) {
                bail!(
                    "tests/kernels.toml has {unknown:?} in {list}, but tests/vm has {}",
                    suites.join(", ")
                );
            }
        }
        let mut runs = Vec::new();
        for suite in suites {
            if self.under_selinux.contains(suite) && !source.selinux {
                continue;
            }
            if self.each_backend.contains(suite) {
                let backends = source.backends.iter();
                runs.extend(backends.map(|b| Run::with_backend(suite, &b.to_string())));
            } else {
                runs.push(Run::once(suite));
            }
        }
        // What is not there would leave out, or run, less than whoever wrote it believes.
        let absence = |key: &str, what: &str, runs: &[Run]| {
            let (kernel, runs) = (&source.name, list(runs));
            format!("tests/kernels.toml has {what:?} in {key} of {kernel}, which could run {runs}")
        };
        for except in &source.except {
            let is_meant = |run: &Run| run.suite() == except || run.to_string() == *except;
            if !runs.iter().any(is_meant) {
                bail!(absence("except", except, &runs));
            }
            runs.retain(|run| !is_meant(run));
        }
        for smoke in &source.smoke {
            if !runs.contains(&Run::from(smoke.as_str())) {
                bail!(absence("smoke", smoke, &runs));
            }
        }
        Ok(runs)
    }

    /// The static busybox of the interactive VM.
    pub(crate) fn busybox(&self, workspace: &Workspace, arch: Arch) -> Result<PathBuf> {
        let Busybox { suite, package, path } = &self.busybox;
        let parent = workspace.cache().join(arch.cache_name("busybox"));
        let entry = match kernel::find_for(workspace, arch, suite, |name| name == package) {
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

/// Runs in one line.
fn list(runs: &[Run]) -> String {
    runs.iter().map(Run::to_string).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    fn table() -> Table {
        Table::parse(include_str!("../../kernels.toml")).unwrap()
    }

    /// Those of tests/vm: each is a file or a folder.
    fn suites() -> Vec<String> {
        let entries = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../vm/tests")).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        let name = |path: PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
        let mut suites: Vec<_> = paths.map(name).collect();
        suites.push("device".to_owned());
        suites.sort();
        suites
    }

    /// The runs on a kernel in one line.
    fn runs(kernel: &str, choice: Choice<'_>) -> String {
        let table = table();
        let source = table.kernel(kernel).unwrap();
        list(&choice.of(source, table.runs(source, &suites()).unwrap()))
    }

    /// The kernels on which something runs, and what.
    fn plan(table: &Table, choice: Choice<'_>) -> Vec<String> {
        let plan = table.plan(&suites(), choice).unwrap();
        plan.iter().map(|(source, runs)| format!("{}: {}", source.name, list(runs))).collect()
    }

    #[test]
    fn suites_run_with_each_backend_of_the_kernel_or_once() {
        let choice = Choice::default();
        let native = runs("native", choice);
        assert!(
            native.starts_with("access/load access/pinned access/sysfs backends caches/load"),
            "{native}"
        );
        assert!(native.ends_with("size/sysfs startup suspend torn"), "{native}");
        let whole = |kernel| runs(kernel, Choice { kernel: Some(kernel), ..choice });
        assert!(whole("module").starts_with("access/load access/pinned backends caches/load"));
        assert!(whole("fallback").starts_with("access/sysfs backends caches/sysfs"));
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
            "access/pinned caches/pinned churn/pinned device/pinned dump/pinned idle/pinned \
             names/pinned parity/pinned service/pinned size/pinned"
        );
        assert_eq!(runs("fallback", pinned), "");
        assert_eq!(runs("module", Choice { suite: Some("startup"), ..pinned }), "startup");
        assert_eq!(runs("module", Choice { suite: Some("parity"), ..pinned }), "parity/pinned");
        let suite = Choice { suite: Some("parity"), ..Choice::default() };
        assert_eq!(runs("native", suite), "parity/load parity/pinned parity/sysfs");
    }

    #[test]
    fn without_a_choice_a_kernel_that_has_smoke_suites_runs_them_alone() {
        let table = table();
        let plan = plan(&table, Choice::default());
        let names: Vec<_> = plan.iter().filter_map(|line| line.split(':').next()).collect();
        assert_eq!(names, ["native", "module", "fallback", "arm64"]);
        assert!(plan[0].contains("access/sysfs") && !plan[1].contains("access"), "{plan:?}");
        assert_eq!(plan[3], "arm64: parity/load startup");
        for source in table.kernels.iter().filter(|source| source.arch.is_foreign()) {
            assert!(!source.smoke.is_empty(), "{} never runs in CI", source.name);
        }
    }

    #[test]
    fn what_wants_one_processor_has_a_vm_of_its_own() {
        let run = |text: &&str| Run::from(*text);
        let vms = |texts: &[&str]| table().vms(&texts.iter().map(run).collect::<Vec<_>>());
        assert_eq!(
            vms(&["parity/load", "suspend", "torn"]),
            [(2, vec![Run::from("parity/load"), Run::from("torn")]), (1, vec![run(&"suspend")])]
        );
        assert_eq!(vms(&["torn"]), [(2, vec![run(&"torn")])]);
    }

    #[test]
    fn a_chosen_architecture_or_kernel_runs_all_that_it_can() {
        let table = table();
        let arch = |arch| plan(&table, Choice { arch: Some(arch), ..Choice::default() });
        let own = arch(Arch::X86_64);
        assert_eq!(own.len(), 3, "{own:?}");
        let foreign = arch(Arch::Aarch64);
        assert_eq!(foreign.len(), 1, "{foreign:?}");
        let mut all = runs("native", Choice::default());
        for left_out in [" module", " sepolicy", " suspend"] {
            all = all.replace(left_out, "");
        }
        assert_eq!(foreign[0], format!("arm64: {all}"));
        assert_eq!(plan(&table, Choice { kernel: Some("arm64"), ..Choice::default() }), foreign);
        let both =
            Choice { kernel: Some("native"), arch: Some(Arch::Aarch64), ..Choice::default() };
        assert!(table.plan(&suites(), both).is_err());
    }

    #[test]
    fn a_chosen_suite_or_backend_stays_with_this_machines_architecture() {
        let table = table();
        for choice in [
            Choice { suite: Some("parity"), ..Choice::default() },
            Choice { backend: Some(Backend::Load), ..Choice::default() },
        ] {
            let plan = plan(&table, choice);
            assert!(plan.iter().all(|line| !line.starts_with("arm64")), "{plan:?}");
        }
        let suite = Choice { suite: Some("module"), ..Choice::default() };
        let error = table.plan(&suites(), Choice { arch: Some(Arch::Aarch64), ..suite });
        assert!(error.unwrap_err().to_string().contains("nothing runs"));
    }

    #[test]
    fn what_is_left_out_is_left_out_for_a_reason() {
        let table = table();
        for source in &table.kernels {
            let (_, image) = table.image(source).unwrap();
            let without_module = image.headers.is_none();
            let excepted = source.except.iter().any(|suite| suite == "module");
            assert_eq!(without_module, excepted, "{}", source.name);
        }
    }

    #[test]
    fn a_suite_that_is_not_there_is_an_error_that_lists_those_that_are() {
        let error = |table: &Table, suites: &[String]| {
            table.plan(suites, Choice::default()).unwrap_err().to_string()
        };
        let message = error(&table(), &["parity".to_owned()]);
        assert!(message.contains("\"access\" in each_backend"), "{message}");
        assert!(message.contains("tests/vm has parity"), "{message}");

        let mut odd = table();
        odd.kernels[0].except = vec!["dump/slow".to_owned()];
        let message = error(&odd, &suites());
        assert!(message.contains("\"dump/slow\" in except of native"), "{message}");

        let mut odd = table();
        odd.kernels[3].smoke = vec!["parity".to_owned()];
        let message = error(&odd, &suites());
        assert!(message.contains("\"parity\" in smoke of arm64"), "{message}");
        assert!(message.contains("parity/load"), "{message}");
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
        assert!(error.contains("native, module, fallback, arm64"), "{error}");
    }
}
