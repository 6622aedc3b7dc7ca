// SPDX-License-Identifier: Apache-2.0
//! A binder device of its own for a test: each has its own service manager.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::thread;

use rustix::fs::{CWD, FileType, Mode, XattrFlags, lsetxattr, mknodat};
use rustix::mount::{MountPropagationFlags, mount_bind, mount_change};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use crate::selinux;

/// What all look for.
const BINDER: &str = "/dev/binder";

/// A binder device like that, which nobody manages.
const OTHER: &str = "/dev/hwbinder";

/// The same device as a file of its own.
const NODE: &str = "/tmp/another-binder";

/// Runs `test` in a thread for which, and for whom it starts, another device is in the place of `/dev/binder`.
///
/// # Panics
///
/// If that can't be had, or the test panics.
#[expect(clippy::unwrap_used, reason = "for tests, which can't go on without")]
pub fn with_another<R: Send>(test: impl FnOnce() -> R + Send) -> R {
    let in_place = || {
        // SAFETY: the file table stays shared; only this thread's mounts become its own.
        #[expect(unsafe_code, reason = "rustix can't rule out UnshareFlags::FILES")]
        unsafe { unshare_unsafe(UnshareFlags::NEWNS) }.unwrap();
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
        let device = fs::metadata(OTHER).unwrap().rdev();
        mknodat(CWD, NODE, FileType::CharacterDevice, Mode::RUSR, device).unwrap();
        fs::set_permissions(NODE, Permissions::from_mode(0o666)).unwrap();
        if selinux::is_enforced() {
            let context = b"u:object_r:binder_device:s0";
            lsetxattr(NODE, "security.selinux", context, XattrFlags::empty()).unwrap();
        }
        mount_bind(NODE, BINDER).unwrap();
        fs::remove_file(NODE).unwrap();
        test()
    };
    // A thread of its own, as the namespace lasts as long as the thread.
    let ran = thread::scope(|scope| scope.spawn(in_place).join());
    ran.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
