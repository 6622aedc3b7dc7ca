// SPDX-License-Identifier: Apache-2.0
//! The daemon as a child process, and its service as a client finds it.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use init::supervisor::keep_only;
use rsbinder::{ProcessState, Strong, hub};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use rustix::thread::{CapabilitySet, set_no_new_privs};
use wakeupstats::model::Backend;
use wakeupstats_aidl::{IWakeupStats, SERVICE_NAME};

use crate::backend;
use crate::selinux;

/// The daemon as it is off Android, with all it can do.
pub const PATH: &str = "/bin/wakeupstatsd";

/// The daemon as a device has it, without a loader.
pub const PATH_WITHOUT_LOADER: &str = "/system/bin/wakeupstatsd";

/// Android's uid and gid `system`.
pub const SYSTEM: u32 = 1_000;

/// Android's uid of adb's shell.
pub const SHELL: u32 = 2_000;

/// How long the daemon may take to register: it takes about 0.3 s where QEMU emulates.
const START_LIMIT: Duration = Duration::from_secs(20);

/// How long to wait before looking again whether it has.
const START_PAUSE: Duration = Duration::from_millis(2);

/// A running daemon, killed when this is dropped.
#[derive(Debug)]
pub struct Daemon(Child);

impl Daemon {
    /// Starts the daemon and waits until its service is registered.
    pub fn start() -> Result<Self> {
        Self::start_with(&[])
    }

    /// Starts the daemon with these options: for the backend that the suite is run with, with no
    /// more privilege than that takes; otherwise as root, and with all backends.
    pub fn start_with(options: &[&str]) -> Result<Self> {
        let given = backend::given();
        if given == Some(Backend::Pinned) {
            backend::load_and_pin()?;
        }
        match given {
            Some(it @ (Backend::Pinned | Backend::Sysfs)) => {
                Self::start_without_privilege(&[options, &["--backend", it.name()]].concat())
            }
            Some(it @ Backend::Load) => {
                Self::spawn(quiet(PATH).args(options).args(["--backend", it.name()]))
            }
            None => Self::spawn(quiet(PATH).args(options)),
        }
    }

    /// Starts the daemon as Android's build has it, without any privilege.
    pub fn start_without_privilege(options: &[&str]) -> Result<Self> {
        Self::start_as_system(PATH_WITHOUT_LOADER, options)
    }

    /// Starts the daemon likewise. What it logs is for [`Daemon::take_log`], and must be read.
    pub fn start_logging_without_privilege() -> Result<Self> {
        Self::spawn_as_system(Command::new(PATH_WITHOUT_LOADER).stderr(Stdio::piped()))
    }

    /// Starts this daemon as user and group system, with an empty capability set and no way to get
    /// another.
    pub fn start_as_system(path: &str, options: &[&str]) -> Result<Self> {
        Self::spawn_as_system(quiet(path).args(options))
    }

    fn spawn_as_system(command: &mut Command) -> Result<Self> {
        let start = || {
            // Of this thread, from which the daemon inherits it.
            set_no_new_privs(true).context("can't set no_new_privs")?;
            keep_only(CapabilitySet::empty());
            Self::spawn(command.uid(SYSTEM).gid(SYSTEM))
        };
        let started = thread::scope(|scope| scope.spawn(start).join());
        started.map_err(|_| anyhow::anyhow!("the thread that starts the daemon panicked"))?
    }

    /// Starts the daemon as root, and keeps what it logs.
    pub fn start_logging() -> Result<Self> {
        Self::spawn(Command::new(PATH).stderr(Stdio::piped()))
    }

    /// What the daemon logs, if that is kept.
    pub fn take_log(&mut self) -> Option<ChildStderr> {
        self.0.stderr.take()
    }

    /// Kills the daemon and returns what it has logged.
    pub fn kill_and_read_log(mut self) -> Result<String> {
        let mut log = self.0.stderr.take().context("its log is not kept")?;
        drop(self);
        let mut text = String::new();
        log.read_to_string(&mut text)?;
        Ok(text)
    }

    fn spawn(command: &mut Command) -> Result<Self> {
        let daemon = command.spawn();
        let mut daemon = Daemon(daemon.with_context(|| format!("can't start {command:?}"))?);
        let begin = Instant::now();
        while service().is_err() {
            if let Some(status) = daemon.0.try_wait()? {
                bail!("the daemon ended at its start: {status}");
            }
            if begin.elapsed() > START_LIMIT {
                bail!("{SERVICE_NAME} was not registered within {START_LIMIT:?}");
            }
            sleep(START_PAUSE);
        }
        Ok(daemon)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Stops it until what is returned is dropped. No thread of it runs any more when this returns.
    pub fn stop(&self) -> Result<Stopped> {
        let pid = Pid::from_child(&self.0);
        kill_process(pid, Signal::STOP)?;
        waitid(WaitId::Pid(pid), WaitIdOptions::STOPPED | WaitIdOptions::NOWAIT)?;
        Ok(Stopped(pid))
    }
}
/// A daemon that does nothing for now.
#[derive(Debug)]
pub struct Stopped(Pid);

impl Drop for Stopped {
    fn drop(&mut self) {
        // It may have been killed meanwhile.
        let _ = kill_process(self.0, Signal::CONT);
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

/// A daemon whose progress does not stand between the lines of the tests' report.
fn quiet(path: &str) -> Command {
    let mut command = Command::new(path);
    command.env("RUST_LOG", "error");
    command
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

/// The same as a user of this id, and in that user's domain.
pub fn dump_as(uid: u32, args: &[&str]) -> Result<Output> {
    let mut command = Command::new("/bin/rsb_service");
    // What follows is for the service, whatever it looks like.
    command.args(["dump", SERVICE_NAME, "--"]).args(args);
    output_as(uid, &mut command).context("can't run rsb_service")
}

/// What the program `client` says of a call of `method` by a user of this id, in that user's domain.
pub fn call_as(uid: u32, method: &str) -> Result<String> {
    let output = output_as(uid, Command::new("/bin/client").arg(method));
    Ok(String::from_utf8(output.context("can't run the client")?.stdout)?)
}

/// Runs a program as a user of this id, and in the domain that such a user has on a device.
pub fn spawn_as(uid: u32, command: &mut Command) -> Result<Child> {
    let domain = match uid {
        _ if !selinux::is_enforced() => None,
        0 => None,
        SYSTEM => Some("system_server"),
        SHELL => Some("shell"),
        _ => Some("untrusted_app"),
    };
    selinux::spawn_in(domain, command.uid(uid))
}

fn output_as(uid: u32, command: &mut Command) -> Result<Output> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Ok(spawn_as(uid, command)?.wait_with_output()?)
}
