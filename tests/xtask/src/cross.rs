// SPDX-License-Identifier: Apache-2.0
//! What cargo needs to build static programs for another architecture than this machine's.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::arch::Arch;
use crate::workspace::Workspace;
use crate::{cache, deb, kernel, rust_std};

/// Debian 12, which this harness is for: its cross compiler's libc is what these are linked with.
const SUITE: &str = "bookworm";
/// What libbpf is linked with. This machine's dpkg knows nothing of another architecture, so they
/// are unpacked beside.
const LIBRARIES: &[&str] = &["libelf-dev", "zlib1g-dev"];

/// The parts, all there.
pub(crate) struct Cross {
    arch: Arch,
    /// Where Rust's standard library is, unless the toolchain has it.
    sysroot: Option<PathBuf>,
    /// Where the C libraries are, each below a root of its own.
    roots: Vec<PathBuf>,
}

impl Cross {
    /// Fetches what is missing; nothing for this machine's own architecture.
    pub(crate) fn fetch(workspace: &Workspace, arch: Arch) -> Result<Option<Self>> {
        if !arch.is_foreign() {
            return Ok(None);
        }
        let roots = LIBRARIES.iter().map(|name| library(workspace, arch, name));
        let roots = roots.collect::<Result<_>>()?;
        Ok(Some(Self { arch, sysroot: rust_std::fetch(workspace, arch)?, roots }))
    }

    /// The compiler's flag that it needs.
    pub(crate) fn rustflag(&self) -> Option<String> {
        self.sysroot.as_ref().map(|sysroot| format!("--sysroot={}", sysroot.display()))
    }

    /// Tells cargo and the build scripts. All of it is named after the target: what they build for
    /// this machine on the way is none of it.
    pub(crate) fn apply(&self, cargo: &mut Command) {
        let target = self.arch.target().replace('-', "_");
        let compiler = self.arch.tool("gcc");
        let each = |format: &dyn Fn(String) -> String| -> Vec<String> {
            self.roots.iter().map(|root| format(root.display().to_string())).collect()
        };
        let includes = each(&|root| format!("-I{root}/usr/include"));
        let libraries = each(&|root| format!("{root}/usr/lib/{}", self.arch.triplet()));
        cargo
            .env(format!("CARGO_TARGET_{}_LINKER", target.to_uppercase()), &compiler)
            .env(format!("CC_{target}"), &compiler)
            // As the build script of libbpf-sys wants them.
            .env(format!("CFLAGS_{target}"), includes.join(" "))
            .env(format!("LIBBPF_SYS_LIBRARY_PATH_{target}"), libraries.join(":"));
    }
}

/// A library's development package, unpacked in the cache.
fn library(workspace: &Workspace, arch: Arch, name: &str) -> Result<PathBuf> {
    let parent = workspace.cache().join(arch.cache_name("libraries")).join(name);
    match kernel::find_for(workspace, arch, SUITE, |found| found == name) {
        Ok((suite, package)) => {
            let entry = cache::entry_name(&package.name, &package.version);
            cache::entry(&parent, &entry, |directory| {
                let deb = suite.download(&package, directory)?;
                deb::unpack(&deb, directory)?;
                deb::remove(&deb)
            })
        }
        Err(error) => cache::newest(&parent, error),
    }
}

#[cfg(test)]
mod unit_tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn what_is_told_to_cargo_is_for_the_target_alone() {
        let roots = vec![PathBuf::from("/c/elf"), PathBuf::from("/c/z")];
        let cross = Cross { arch: Arch::Aarch64, sysroot: Some("/c/std".into()), roots };
        let mut cargo = Command::new("cargo");

        cross.apply(&mut cargo);

        let told: BTreeMap<_, _> = cargo
            .get_envs()
            .filter_map(|(name, value)| Some((name.to_str()?, value?.to_str()?)))
            .collect();
        let gcc = "aarch64-linux-gnu-gcc";
        let expected = [
            ("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", gcc),
            ("CC_aarch64_unknown_linux_gnu", gcc),
            ("CFLAGS_aarch64_unknown_linux_gnu", "-I/c/elf/usr/include -I/c/z/usr/include"),
            (
                "LIBBPF_SYS_LIBRARY_PATH_aarch64_unknown_linux_gnu",
                "/c/elf/usr/lib/aarch64-linux-gnu:/c/z/usr/lib/aarch64-linux-gnu",
            ),
        ];
        assert_eq!(told, BTreeMap::from(expected));
        assert_eq!(cross.rustflag().unwrap(), "--sysroot=/c/std");
    }
}
