// SPDX-License-Identifier: Apache-2.0
//! SELinux, where the harness has put a policy into the initramfs: loads it, gives each file its context, goes
//! on in init's own domain, and finds out what was denied.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use init::denials::Denials;
use init::selinux::{CONTEXTS, POLICY};
use rustix::fs::{XattrFlags, lsetxattr};
use rustix::io::Errno;
use rustix::mount::{MountFlags, mount};

const SELINUXFS: &str = "/sys/fs/selinux";
const DOMAIN: &str = "u:r:init:s0";
/// Tests run clients in this domain to see them turned away; what it is denied, it was meant to be.
const STRANGER: &str = "scontext=u:r:untrusted_app:s0";

/// Whether there is a policy to be enforced.
pub(crate) fn is_wanted() -> bool {
    Path::new(POLICY).exists()
}

/// Loads the policy, labels the files, and becomes init.
pub(crate) fn enforce() -> Result<()> {
    if !is_wanted() {
        return Ok(());
    }
    mount("selinuxfs", SELINUXFS, "selinuxfs", MountFlags::empty(), None)
        .context("mount selinuxfs: is the kernel's command line without lsm=selinux?")?;
    let policy = fs::read(POLICY).with_context(|| format!("read {POLICY}"))?;
    // In one write.
    fs::write(format!("{SELINUXFS}/load"), policy).context("load the policy")?;
    // Each denial counts, however many there are.
    fs::write("/proc/sys/kernel/printk_ratelimit", "0").context("lift the log's limit")?;
    label()?;
    // Not to be created, which the policy would be asked about.
    let current = OpenOptions::new().write(true).open("/proc/self/attr/current");
    current
        .and_then(|mut it| it.write_all(DOMAIN.as_bytes()))
        .with_context(|| format!("enter {DOMAIN}"))
}

/// Lets PID 1 look into every process, when nothing is left to be enforced.
pub(crate) fn give_up() -> Result<()> {
    if !is_wanted() {
        return Ok(());
    }
    fs::write(format!("{SELINUXFS}/enforce"), "0").context("enforce the policy no longer")
}

/// Gives each file its context that is there by now.
pub(crate) fn label() -> Result<()> {
    if !is_wanted() {
        return Ok(());
    }
    let contexts = fs::read_to_string(CONTEXTS).with_context(|| format!("read {CONTEXTS}"))?;
    for (context, path) in contexts.lines().filter_map(|line| line.split_once(' ')) {
        match lsetxattr(path, "security.selinux", context.as_bytes(), XattrFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error).with_context(|| format!("label {path} {context}")),
        }
    }
    Ok(())
}

/// What was denied since the last look, and was not meant to be.
pub(crate) fn unexpected(denials: &mut Denials) -> Result<Vec<String>> {
    let mut denied = denials.take()?;
    denied.retain(|denial| !denial.contains(STRANGER));
    Ok(denied)
}

/// For who looks for the reason of a failure.
pub(crate) fn denials_since_boot() -> Vec<String> {
    let denials = is_wanted().then(|| Denials::since_boot()?.take());
    denials.and_then(Result::ok).unwrap_or_default()
}
