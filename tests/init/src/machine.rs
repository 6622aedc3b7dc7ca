// SPDX-License-Identifier: Apache-2.0
//! The machine itself: limits, kernel modules, the binder device, power.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::system::{RebootCommand, finit_module, reboot, uname};

const MODULES: &str = "/lib/modules";
const BINDER: &str = "/dev/binder";

/// Open files a process may have: one wakeup source of a test is one file or two, and the largest
/// test makes 16,384 of them.
const OPEN_FILES: u64 = 65_536;

/// The kernel's release, as `uname -r` prints it.
pub(crate) fn release() -> String {
    uname().release().to_string_lossy().into_owned()
}

/// Raises the limits that the tests would meet before the kernel's own.
pub(crate) fn raise_limits() -> Result<()> {
    let limit = Rlimit { current: Some(OPEN_FILES), maximum: Some(OPEN_FILES) };
    setrlimit(Resource::Nofile, limit).context("raise the limit of open files")
}

/// Loads every module the harness put into the initramfs, in name order, which is load order.
pub(crate) fn load_modules() -> Result<()> {
    for path in files_in(Path::new(MODULES))? {
        let file = File::open(&path).with_context(|| format!("open {}", path.display()))?;
        let is_binder = path.to_string_lossy().ends_with("binder_linux.ko");
        // Without binderfs the driver makes the devices that this parameter names. As on a device
        // there is an hwbinder, too; nobody manages services on it.
        let parameters = if is_binder { c"devices=binder,hwbinder" } else { c"" };
        finit_module(&file, parameters, 0)
            .with_context(|| format!("load kernel module {}", path.display()))?;
    }
    Ok(())
}

/// Opens binder to every uid, and shows it where the rsbinder tools look, which is in binderfs.
///
/// Who may do what is then the service manager's policy alone, as on a device.
pub(crate) fn open_binder() -> Result<()> {
    fs::set_permissions(BINDER, Permissions::from_mode(0o666))
        .with_context(|| format!("set the mode of {BINDER}: is binder_linux loaded?"))?;
    fs::create_dir_all("/dev/binderfs").context("create /dev/binderfs")?;
    symlink(BINDER, "/dev/binderfs/binder").context("link /dev/binderfs/binder")
}

/// The files in a directory in name order.
pub(crate) fn files_in(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> = fs::read_dir(directory)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect())
        .with_context(|| format!("list {}", directory.display()))?;
    files.sort();
    Ok(files)
}

/// Switches the machine off, once what was printed has left the serial port.
pub(crate) fn power_off() {
    // Nothing is left to report an error to: the harness counts a run without an end as failed.
    let _ = rustix::termios::tcdrain(std::io::stdout());
    if reboot(RebootCommand::PowerOff).is_err() {
        println!("init: the machine cannot be switched off");
    }
}
