// SPDX-License-Identifier: Apache-2.0
#![cfg(test)]
//! The daemon on a machine that lacks what it can't do without: one clear message, and an exit status
//! that is not 0.
//!
//! What is missing is missing for real: hidden in a mount namespace of the daemon's own, taken away
//! with its privilege, or never there in the VM's kernel.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::thread;

use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_bind, mount_change};
use rustix::thread::{UnshareFlags, unshare_unsafe};
use wakeupstats_vm::daemon::{self, Daemon};
use wakeupstats_vm::kfuncs::Kfuncs;

/// A uid that has no privilege.
const STRANGER: u32 = 9_999;

/// What the daemon has without the option.
const ALL: &str = "pinned,load,sysfs";

/// Runs the daemon with these backends only, which must fail where `hide` has changed what is mounted.
/// Returns what it says.
fn fails_where(hide: fn(), uid: u32, backends: &str) -> String {
    let daemon = || {
        let mut command = Command::new(daemon::PATH);
        command
            .args(["--backend", backends])
            .uid(uid)
            .stdin(Stdio::from(File::open("/dev/null").unwrap()));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        // SAFETY: the file table stays shared; only this thread's mounts become its own.
        #[expect(unsafe_code, reason = "rustix can't rule out UnshareFlags::FILES")]
        unsafe { unshare_unsafe(UnshareFlags::NEWNS) }.unwrap();
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        mount_change("/", private).unwrap();
        hide();
        command.spawn().unwrap().wait_with_output().unwrap()
    };
    // A thread of its own, as the namespace lasts as long as the thread.
    let output = thread::scope(|scope| scope.spawn(daemon).join().unwrap());
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(output.stdout, b"");
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(message.lines().count(), 1, "one message: {message}");
    message
}

fn hide_with_tmpfs(path: &str) {
    mount("tmpfs", path, "tmpfs", MountFlags::empty(), None).unwrap();
}

#[track_caller]
fn assert_says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
}

#[test]
fn without_btf() {
    let message = fails_where(|| hide_with_tmpfs("/sys/kernel/btf"), 0, "load");

    assert_says(&message, &["no BTF", "/sys/kernel/btf/vmlinux", "CONFIG_DEBUG_INFO_BTF=y"]);
}

#[test]
fn without_binder() {
    let message = fails_where(|| hide_with_tmpfs("/dev"), 0, ALL);

    assert_says(&message, &["no binder device", "/dev/binder", "CONFIG_ANDROID_BINDER_IPC"]);
}

#[test]
fn without_service_manager() {
    // hwbinder is a binder device like any other, but nobody manages it in the VM.
    let message = fails_where(|| mount_bind("/dev/hwbinder", "/dev/binder").unwrap(), 0, ALL);

    assert_says(&message, &["no service manager", "rsb_hub"]);
}

#[test]
fn without_permission() {
    let message = fails_where(|| (), STRANGER, "load");

    assert_says(&message, &["may not load BPF programs", "CAP_BPF"]);
}

#[test]
fn without_a_mounted_sysfs() {
    let message = fails_where(|| hide_with_tmpfs("/sys/class"), 0, "sysfs");

    assert_says(&message, &["/sys/class/wakeup can't be listed", "sysfs must be mounted"]);
}

#[test]
fn without_any_backend_each_says_why() {
    let message = fails_where(|| hide_with_tmpfs("/sys"), 0, ALL);

    assert_says(&message, &["can't be read in any way", "pinned (", "load (", "sysfs ("]);
}

#[test]
fn program_can_be_loaded_if_there_are_kfuncs_and_else_they_are_named() {
    let symbols = fs::read_to_string("/proc/kallsyms").unwrap();
    let symbol = " bpf_wakeup_sources_read_lock";
    let found = symbols.lines().find_map(|line| line.split_once(symbol));
    // After a module's symbol there is its name.
    let found = found.map(|(_, module)| module);
    let expected = match Kfuncs::of_this_kernel() {
        Kfuncs::Builtin => Some(""),
        Kfuncs::Module => Some("\t[wakeup_sources_kfuncs]"),
        Kfuncs::None => None,
    };
    assert_eq!(found, expected, "tests/kernels.toml tells which kernel has them");

    if expected.is_some() {
        drop(Daemon::start_with(&["--backend", "load"]).unwrap());
    } else {
        let message = fails_where(|| (), 0, "load");
        assert_says(&message, &["no kfunc bpf_wakeup_sources_read_lock", "Linux 7.2"]);
    }
}

#[test]
fn unknown_argument_is_refused_with_the_usage() {
    let output = Command::new(daemon::PATH).arg("--nonsense").output().unwrap();

    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_says(&message, &["--nonsense", "Usage: wakeupstatsd"]);
}
