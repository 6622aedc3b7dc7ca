// SPDX-License-Identifier: Apache-2.0
//! What SELinux denied, by the log of the kernel, in which the service manager of the VM has its denials, too.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::fs::OFlags;

const KMSG: &str = "/dev/kmsg";

/// The longest record of the log.
const RECORD_BYTES: usize = 8192;

/// The kernel writes denials a little later, in a thread of its own: the log must be quiet for so long.
const QUIET: Duration = Duration::from_millis(100);

/// A place in the log.
#[derive(Debug)]
pub struct Denials(File);

impl Denials {
    /// At the begin of what the log has.
    pub fn since_boot() -> Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(OFlags::NONBLOCK.bits() as i32);
        Ok(Self(options.open(KMSG).with_context(|| format!("open {KMSG}"))?))
    }

    /// At its end.
    pub fn from_now() -> Result<Self> {
        let mut denials = Self::since_boot()?;
        denials.0.seek(SeekFrom::End(0)).with_context(|| format!("go to the end of {KMSG}"))?;
        Ok(denials)
    }

    /// The records of denials, and of denials that were lost, up to the log's present end.
    pub fn take(&mut self) -> Result<Vec<String>> {
        let mut denials = Vec::new();
        let mut record = [0; RECORD_BYTES];
        let mut is_quiet = false;
        loop {
            match self.0.read(&mut record) {
                Ok(length) => {
                    is_quiet = false;
                    let text = String::from_utf8_lossy(record.get(..length).unwrap_or_default());
                    if text.contains("avc:  denied") || text.contains("audit_lost") {
                        denials.push(text.trim_end().to_owned());
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if is_quiet {
                        return Ok(denials);
                    }
                    is_quiet = true;
                    sleep(QUIET);
                }
                Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                    denials.push("records of the kernel's log were lost".to_owned());
                }
                Err(error) => return Err(error).with_context(|| format!("read {KMSG}")),
            }
        }
    }
}
