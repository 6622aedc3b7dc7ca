// SPDX-License-Identifier: Apache-2.0
//! The daemon as a child process, and its service as a client finds it.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rsbinder::{ProcessState, Strong, hub};
use wakeupstats_aidl::{IWakeupStats, SERVICE_NAME};

/// The daemon's path in the guest.
pub const PATH: &str = "/bin/wakeupstatsd";

/// How long the daemon may take to register: it takes about 0.3 s where QEMU emulates.
const START_LIMIT: Duration = Duration::from_secs(20);

/// A running daemon, killed when this is dropped.
#[derive(Debug)]
pub struct Daemon(Child);

impl Daemon {
    /// Starts the daemon and waits until its service is registered.
    pub fn start() -> Result<Self> {
        Self::start_with(&[])
    }

    /// Starts the daemon with these options.
    pub fn start_with(options: &[&str]) -> Result<Self> {
        // Its progress would stand between the lines of the tests' report.
        let daemon = Command::new(PATH).args(options).env("RUST_LOG", "error").spawn();
        let mut daemon = Daemon(daemon.with_context(|| format!("can't start {PATH}"))?);
        let begin = Instant::now();
        while service().is_err() {
            if let Some(status) = daemon.0.try_wait()? {
                bail!("the daemon ended at its start: {status}");
            }
            if begin.elapsed() > START_LIMIT {
                bail!("{SERVICE_NAME} was not registered within {START_LIMIT:?}");
            }
            sleep(Duration::from_millis(20));
        }
        Ok(daemon)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
        // The service manager learns of the death a little later; the next daemon is then alone.
        let begin = Instant::now();
        while service().is_ok() && begin.elapsed() < START_LIMIT {
            sleep(Duration::from_millis(5));
        }
    }
}

/// The registered service, as a proxy over the binder driver.
pub fn service() -> Result<Strong<dyn IWakeupStats>> {
    let opened = ProcessState::init_default();
    opened.map_err(|error| anyhow::anyhow!("can't open binder: {error}"))?;
    Ok(hub::check_interface::<dyn IWakeupStats>(SERVICE_NAME)?)
}

/// What `rsb_service dump wakeupstats ARGS` does: its output, whole.
pub fn dump(args: &[&str]) -> Result<Output> {
    dump_as(0, args)
}

/// The same as a user of this id.
pub fn dump_as(uid: u32, args: &[&str]) -> Result<Output> {
    Command::new("/bin/rsb_service")
        // What follows is for the service, whatever it looks like.
        .args(["dump", SERVICE_NAME, "--"])
        .args(args)
        .uid(uid)
        .stdin(Stdio::null())
        .output()
        .context("can't run rsb_service")
}

/// What the program `client` says of a call of `method` by a user of this id.
pub fn call_as(uid: u32, method: &str) -> Result<String> {
    let output = Command::new("/bin/client").arg(method).uid(uid).stdin(Stdio::null()).output();
    let output = output.context("can't run the client")?;
    Ok(String::from_utf8(output.stdout)?)
}
