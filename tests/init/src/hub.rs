// SPDX-License-Identifier: Apache-2.0
//! The service manager, started with the policy of the tests and awaited before anything else.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::selinux;

const PROGRAM: &str = "/bin/rsb_hub";
/// In its place where SELinux decides: rsb_hub goes by uids alone.
const SELINUX_PROGRAM: &str = "/bin/servicemanager";
const POLICY: &str = "/etc/rsbinder/hub.d";
/// Where `sd_notify(3)` words arrive: the hub says `READY=1` once it is the context manager.
const NOTIFY: &str = "/run/hub.notify";
/// Far more than it ever took (some tens of milliseconds, emulated).
const READY_WITHIN: Duration = Duration::from_secs(30);

/// Starts the service manager and returns once it serves. With `may_take_over`, a service may be
/// registered under the name of one that another user has registered: the first stays in use by
/// those who have found it.
pub(crate) fn start(may_take_over: bool) -> Result<Child> {
    let socket = UnixDatagram::bind(NOTIFY).with_context(|| format!("bind {NOTIFY}"))?;
    socket.set_read_timeout(Some(Duration::from_millis(100))).context("set a socket timeout")?;
    // Its words go with the kernel's, into the console log: they are no output of a test.
    let log = OpenOptions::new().write(true).open("/dev/console").context("open /dev/console")?;
    let program = if selinux::is_wanted() { SELINUX_PROGRAM } else { PROGRAM };
    let mut command = Command::new(program);
    if !selinux::is_wanted() {
        command.args(["--config", POLICY]);
        command.args(may_take_over.then_some("--allow-cross-uid-overwrite"));
    }
    let mut hub = command
        .env("NOTIFY_SOCKET", NOTIFY)
        .stdout(log.try_clone().context("duplicate the console")?)
        .stderr(log)
        .spawn()
        .with_context(|| format!("start {program}"))?;

    let started = Instant::now();
    let mut datagram = [0; 512];
    while started.elapsed() < READY_WITHIN {
        match socket.recv(&mut datagram) {
            Ok(length) => {
                let text = String::from_utf8_lossy(datagram.get(..length).unwrap_or_default());
                if text.lines().any(|line| line == "READY=1") {
                    return Ok(hub);
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if let Some(status) = hub.try_wait().context("look after the service manager")? {
                    bail!(
                        "{program} ended at its start ({status}); its words are in the console log"
                    );
                }
            }
            Err(error) => return Err(error).context("wait for the service manager"),
        }
    }
    bail!("{program} was not ready within {} s", READY_WITHIN.as_secs())
}
