// SPDX-License-Identifier: Apache-2.0
//! SELinux, where the harness has put a policy into the initramfs: loads it, gives each file its context, goes
//! on in init's own domain, and finds out what was denied.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use init::selinux::{CONTEXTS, POLICY};
use rustix::fs::{OFlags, XattrFlags, lsetxattr};
use rustix::io::Errno;
use rustix::mount::{MountFlags, mount};

const SELINUXFS: &str = "/sys/fs/selinux";
const DOMAIN: &str = "u:r:init:s0";
const KMSG: &str = "/dev/kmsg";

/// The longest record of the kernel's log.
const RECORD_BYTES: usize = 8192;

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

/// What the kernel, and the service manager in its log, say that was denied.
pub(crate) struct Denials(File);

/// For who looks for the reason of a failure.
pub(crate) fn denials_since_boot() -> Vec<String> {
    let denials = is_wanted().then(|| Denials::open()?.take());
    denials.and_then(Result::ok).unwrap_or_default()
}

impl Denials {
    /// From now on.
    pub(crate) fn watch() -> Result<Self> {
        let mut log = Self::open()?;
        log.0.seek(SeekFrom::End(0)).with_context(|| format!("go to the end of {KMSG}"))?;
        Ok(log)
    }

    /// All that the log has.
    fn open() -> Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(OFlags::NONBLOCK.bits() as i32);
        Ok(Self(options.open(KMSG).with_context(|| format!("open {KMSG}"))?))
    }

    /// Those since the last call.
    pub(crate) fn take(&mut self) -> Result<Vec<String>> {
        let mut denials = Vec::new();
        let mut record = [0; RECORD_BYTES];
        loop {
            match self.0.read(&mut record) {
                Ok(length) => {
                    let text = String::from_utf8_lossy(record.get(..length).unwrap_or_default());
                    let is_denial = text.contains("avc:  denied") && !text.contains(STRANGER);
                    if is_denial || text.contains("audit_lost") {
                        denials.push(text.trim_end().to_owned());
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(denials),
                Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                    denials.push("records of the kernel's log were lost".to_owned());
                }
                Err(error) => return Err(error).with_context(|| format!("read {KMSG}")),
            }
        }
    }
}
