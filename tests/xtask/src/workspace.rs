// SPDX-License-Identifier: Apache-2.0
//! Where things are: the sources, and what is built and kept below the target directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use cargo_metadata::{Metadata, MetadataCommand, Package, PackageId, TargetKind};

/// Moves what is downloaded out of the target directory, so that CI can keep it between runs.
const CACHE_VARIABLE: &str = "WAKEUPSTATS_CACHE";

/// The checkout as cargo sees it.
pub(crate) struct Workspace {
    metadata: Metadata,
    cache: PathBuf,
}

impl Workspace {
    /// Asks cargo, and makes the directories.
    pub(crate) fn load() -> Result<Self> {
        let metadata = MetadataCommand::new().exec().context("ask cargo for the workspace")?;
        let vm = metadata.target_directory.join("vm").into_std_path_buf();
        let cache = std::env::var_os(CACHE_VARIABLE).map_or_else(|| vm.clone(), PathBuf::from);
        // Programs are run from other directories, with paths of the cache as arguments.
        let cache = std::path::absolute(cache).context("make the cache's path absolute")?;
        for directory in [&vm, &cache] {
            fs::create_dir_all(directory)
                .with_context(|| format!("create {}", directory.display()))?;
        }
        Ok(Self { metadata, cache })
    }

    /// The root of the checkout.
    pub(crate) fn root(&self) -> &Path {
        self.metadata.workspace_root.as_std_path()
    }

    /// A file in `tests/`.
    pub(crate) fn tests_file(&self, name: &str) -> PathBuf {
        self.root().join("tests").join(name)
    }

    /// What is downloaded or built once; may be shared between checkouts.
    pub(crate) fn cache(&self) -> &Path {
        &self.cache
    }

    /// What one run leaves to be looked at: the initramfs and the console logs.
    pub(crate) fn runs(&self) -> PathBuf {
        self.metadata.target_directory.join("vm").into_std_path_buf()
    }

    /// Cargo's target directory for static guest programs, apart from the host's, whose artifacts
    /// other flags would otherwise replace at every turn.
    pub(crate) fn guest_target(&self) -> PathBuf {
        self.metadata.target_directory.join("guest").into_std_path_buf()
    }

    /// Cargo's target directory for an Android device: with it goes a standard library, and build
    /// scripts that would be built anew at every turn, as they ask which features a compiler has.
    pub(crate) fn android_target(&self) -> PathBuf {
        self.metadata.target_directory.join("android").into_std_path_buf()
    }

    /// Cargo's target directory for the fuzz targets, and what their runs leave.
    pub(crate) fn fuzz_target(&self) -> PathBuf {
        self.metadata.target_directory.join("fuzz").into_std_path_buf()
    }

    /// All packages of the dependency graph, the project's own among them.
    pub(crate) fn packages(&self) -> &[Package] {
        &self.metadata.packages
    }

    /// A package of the dependency graph, by its name.
    pub(crate) fn package(&self, name: &str) -> Result<&Package> {
        let package = self.metadata.packages.iter().find(|package| package.name == name);
        package.with_context(|| format!("{name} is not among the dependencies"))
    }

    /// The name of a package of the dependency graph.
    pub(crate) fn package_name(&self, id: &PackageId) -> Option<&str> {
        self.metadata.packages.iter().find(|package| package.id == *id).map(|p| p.name.as_str())
    }

    /// The test targets of a package of the workspace.
    pub(crate) fn test_targets(&self, package: &str) -> impl Iterator<Item = &str> {
        let packages = self.metadata.packages.iter().filter(move |p| p.name == package);
        let targets = packages.flat_map(|package| &package.targets);
        targets.filter(|target| target.is_kind(TargetKind::Test)).map(|t| t.name.as_str())
    }

    /// The version of rsbinder that the project is built with: its tools are taken from the same
    /// release, for before 1.0 neither promises to understand another.
    pub(crate) fn rsbinder_version(&self) -> Result<String> {
        Ok(self.package("rsbinder")?.version.to_string())
    }

    /// Cargo, run in this checkout; the cargo that runs this program where there is one.
    pub(crate) fn cargo(&self) -> Command {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.current_dir(self.root());
        command
    }
}
