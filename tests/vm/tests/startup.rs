// SPDX-License-Identifier: Apache-2.0
#![cfg(test)]
//! The daemon on a machine that lacks something: one clear message, and an exit status that is not 0.
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

/// A uid that has no privilege.
const STRANGER: u32 = 9_999;

/// Runs the daemon, which must fail, where `hide` has changed what is mounted. Returns its output.
fn fails_where(hide: fn(), uid: u32) -> String {
    let daemon = || {
        let mut command = Command::new(daemon::PATH);
        command.uid(uid).stdin(Stdio::from(File::open("/dev/null").unwrap()));
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
    let message = fails_where(|| hide_with_tmpfs("/sys/kernel/btf"), 0);

    assert_says(&message, &["no BTF", "/sys/kernel/btf/vmlinux", "CONFIG_DEBUG_INFO_BTF=y"]);
}

#[test]
fn without_binder() {
    let message = fails_where(|| hide_with_tmpfs("/dev"), 0);

    assert_says(&message, &["no binder device", "/dev/binder", "CONFIG_ANDROID_BINDER_IPC"]);
}

#[test]
fn without_service_manager() {
    // hwbinder is a binder device like any other, but nobody manages it in the VM.
    let message = fails_where(|| mount_bind("/dev/hwbinder", "/dev/binder").unwrap(), 0);

    assert_says(&message, &["no service manager", "rsb_hub"]);
}

#[test]
fn without_permission() {
    let message = fails_where(|| (), STRANGER);

    assert_says(&message, &["may not load BPF programs", "CAP_BPF"]);
}

#[test]
fn daemon_starts_if_the_kernel_has_the_kfuncs_and_else_names_them() {
    let symbols = fs::read_to_string("/proc/kallsyms").unwrap();
    let has_kfuncs = symbols.contains(" bpf_wakeup_sources_read_lock\n");
    let expected = std::env::var("WAKEUPSTATS_KFUNCS").unwrap() == "yes";
    assert_eq!(has_kfuncs, expected, "tests/kernels.toml tells which kernel has them");

    if has_kfuncs {
        drop(Daemon::start().unwrap());
    } else {
        let message = fails_where(|| (), 0);
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
