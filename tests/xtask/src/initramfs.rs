// SPDX-License-Identifier: Apache-2.0
//! Packs what the guest needs into an initramfs, in the kernel's newc format.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context as _, Result};
use cpio::newc::{Builder, ModeFileType, trailer};
use init::{Run, selinux};

use crate::guest::Programs;
use crate::kernel::Kernel;
use crate::sepolicy::{self, Target};
use crate::sepolicy_less::Less;
use crate::tidy;
use crate::workspace::Workspace;

/// rsb_hub looks callers' groups up; names make `id` and `ls` readable in the shell.
const PASSWD: &str = "root:x:0:0::/:/bin/sh\nsystem:x:1000:1000::/:/bin/sh\n\
                      shell:x:2000:2000::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n";
const GROUP: &str = "root:x:0:\nsystem:x:1000:\nshell:x:2000:\nnogroup:x:65534:\n";
/// A static libc can only read files.
const NSSWITCH: &str = "passwd: files\ngroup: files\n";

/// Devices, and directories of /dev, that not only tests use, and so need a context of their own.
const DEVICES: &[&str] = &[
    "__properties__",
    "binder",
    "console",
    "hwbinder",
    "kmsg",
    "null",
    "random",
    "ttyS0",
    "ttyS1",
    "urandom",
    "zero",
];

/// What goes in: file contents by path, without the leading slash.
pub(crate) struct Initramfs {
    files: BTreeMap<String, (Vec<u8>, u32)>,
}

impl Initramfs {
    /// PID 1 and what it reads, the programs, the kernel's modules and the service manager's policy.
    pub(crate) fn new(workspace: &Workspace, programs: &Programs, kernel: &Kernel) -> Result<Self> {
        let mut initramfs = Self { files: BTreeMap::new() };
        for (inside, path) in &programs.binaries {
            initramfs.add_program(inside, path)?;
        }
        for (number, path) in kernel.modules.iter().enumerate() {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            // PID 1 loads them in name order.
            let inside = format!("lib/modules/{number:02}-{name}");
            initramfs.add(&inside, read(path)?, 0o644);
        }
        for path in &kernel.test_modules {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            initramfs.add(&format!("lib/modules-test/{name}"), read(path)?, 0o644);
        }
        let policy = read(&workspace.tests_file("hub.toml"))?;
        initramfs.add("etc/rsbinder/hub.d/wakeupstats.toml", policy, 0o644);
        for file in tidy::files(workspace, &["rc"])? {
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            let inside = format!("{}/{name}", init::RC_FILES.trim_start_matches('/'));
            initramfs.add(&inside, read(&workspace.root().join(&file))?, 0o644);
        }
        for (inside, text) in
            [("etc/passwd", PASSWD), ("etc/group", GROUP), ("etc/nsswitch.conf", NSSWITCH)]
        {
            initramfs.add(inside, text.as_bytes().to_vec(), 0o644);
        }
        Ok(initramfs)
    }

    /// Adds an executable.
    pub(crate) fn add_program(&mut self, inside: &str, path: &Path) -> Result<()> {
        self.add(inside, read(path)?, 0o755);
        Ok(())
    }

    /// Adds to the service manager's policy.
    pub(crate) fn add_policy(&mut self, name: &str, path: &Path) -> Result<()> {
        self.add(&format!("etc/rsbinder/hub.d/{name}.toml"), read(path)?, 0o644);
        Ok(())
    }

    /// Adds the SELinux policy, for PID 1 to have it enforced, and those with less.
    pub(crate) fn add_sepolicy(&mut self, workspace: &Workspace, less: &[Less]) -> Result<()> {
        let mut add = |path: &str, bytes: Vec<u8>| {
            self.add(path.trim_start_matches('/'), bytes, 0o644);
        };
        add(selinux::POLICY, sepolicy::policy(workspace, Target::Vm)?);
        add(selinux::SERVICE_CONTEXTS, sepolicy::service_contexts(workspace)?.into_bytes());
        let mut left_out = String::new();
        for (number, less) in less.iter().enumerate() {
            left_out += &format!("{}\n", less.left_out);
            add(&format!("{}/{number}", selinux::LESS), less.policy.clone());
        }
        add(&format!("{}/{}", selinux::LESS, selinux::LEFT_OUT), left_out.into_bytes());
        let files = self.files.keys().map(|path| format!("/{path}"));
        let directories = self.files.keys().flat_map(|path| parents(path));
        let directories = directories.map(|path| format!("/{path}")).chain(["/".to_owned()]);
        let devices = DEVICES.iter().map(|device| format!("/dev/{device}"));
        let paths: BTreeSet<String> = files.chain(directories).chain(devices).collect();
        let paths: Vec<String> = paths.into_iter().collect();
        let contexts = sepolicy::contexts(workspace, &paths)?;
        self.add(selinux::CONTEXTS.trim_start_matches('/'), contexts.into_bytes(), 0o644);
        Ok(())
    }

    /// Adds the list of what PID 1 runs.
    pub(crate) fn add_runs(&mut self, runs: &[Run]) {
        let lines: String = runs.iter().map(|run| format!("{run}\n")).collect();
        self.add(init::RUNS.trim_start_matches('/'), lines.into_bytes(), 0o644);
    }

    fn add(&mut self, inside: &str, bytes: Vec<u8>, mode: u32) {
        self.files.insert(inside.to_owned(), (bytes, mode));
    }

    /// Writes the archive.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let describe = || format!("write {}", path.display());
        let mut out = BufWriter::new(File::create(path).with_context(describe)?);
        self.pack(&mut out).with_context(describe)?;
        out.flush().with_context(describe)
    }

    /// Not compressed: QEMU hands it over by DMA, and the guest would unpack it under emulation.
    fn pack(&self, mut out: impl Write) -> Result<()> {
        // The kernel makes no missing directories; a set has each before what is in it.
        // The root is among them: the kernel's own is writable by all, which rsb_hub refuses.
        let directories: BTreeSet<&str> =
            ["."].into_iter().chain(self.files.keys().flat_map(|path| parents(path))).collect();
        let directories = directories.into_iter().map(|path| (path, &[][..], 0o755, true));
        let files =
            self.files.iter().map(|(p, (bytes, mode))| (p.as_str(), &bytes[..], *mode, false));
        for (number, (path, bytes, mode, is_directory)) in (1..).zip(directories.chain(files)) {
            let kind = if is_directory { ModeFileType::Directory } else { ModeFileType::Regular };
            let size = u32::try_from(bytes.len()).context("a file is larger than newc allows")?;
            let builder = Builder::new(path).ino(number).mode(mode).set_mode_file_type(kind);
            let mut entry = builder.write(&mut out, size);
            entry.write_all(bytes)?;
            entry.finish()?;
        }
        trailer(out)?;
        Ok(())
    }
}

/// The directories above a path, outermost first.
fn parents(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').filter_map(move |(end, _)| path.get(..end))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("read {}", path.display()))
}

#[cfg(test)]
mod unit_tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn directories_come_before_their_files_and_contents_survive() {
        let mut initramfs = Initramfs { files: BTreeMap::new() };
        initramfs.add("bin/demo", b"program".to_vec(), 0o755);
        initramfs.add("init", b"pid 1".to_vec(), 0o755);
        initramfs.add("etc/rsbinder/hub.d/a.toml", b"x".to_vec(), 0o644);
        let mut archive = Vec::new();
        initramfs.pack(&mut archive).unwrap();

        let mut seen = Vec::new();
        let mut rest = archive.as_slice();
        loop {
            let mut reader = cpio::newc::Reader::new(rest).unwrap();
            if reader.entry().is_trailer() {
                break;
            }
            let name = format!("{} {:o}", reader.entry().name(), reader.entry().mode());
            let mut text = String::new();
            reader.read_to_string(&mut text).unwrap();
            seen.push(format!("{name} {text}").trim_end().to_owned());
            rest = reader.finish().unwrap();
        }
        let expected = [
            ". 40755",
            "bin 40755",
            "etc 40755",
            "etc/rsbinder 40755",
            "etc/rsbinder/hub.d 40755",
            "bin/demo 100755 program",
            "etc/rsbinder/hub.d/a.toml 100644 x",
            "init 100755 pid 1",
        ];
        assert_eq!(seen, expected);
    }
}
