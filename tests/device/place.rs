// SPDX-License-Identifier: Apache-2.0
//! All in which a device and the test VM differ to this test. AOSP's build system sets `soong`.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result};

/// Where this runs.
pub(crate) struct Place {
    /// What has the service dump itself, before options of the service's own.
    dump: &'static [&'static str],
    /// A uid that finds the service and has no permission to call it.
    pub(crate) stranger: u32,
}

/// AID_NOBODY, which holds no permission. What this test starts keeps its SELinux domain, `su`, which may
/// find every service.
const DEVICE: Place = Place { dump: &["/system/bin/dumpsys", "wakeupstats"], stranger: 9_999 };

/// AID_SHELL, which tests/hub.toml lets find the service and the daemon does not let in.
const VM: Place =
    Place { dump: &["/bin/rsb_service", "dump", "wakeupstats", "--"], stranger: 2_000 };

pub(crate) const HERE: Place = if cfg!(soong) { DEVICE } else { VM };

impl Place {
    /// What the service dumps with these options, for a user of this id.
    pub(crate) fn dump_as(&self, uid: u32, options: &[&str]) -> Result<Output> {
        let (program, arguments) = self.dump.split_first().context("no program")?;
        Command::new(program)
            .args(arguments)
            .args(options)
            .uid(uid)
            .gid(uid)
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("can't run {program}"))
    }
}

#[cfg(soong)]
mod service {
    use std::sync::{Mutex, MutexGuard, PoisonError};

    /// One test measures, so they take turns, as PID 1 of the VM has them do.
    static TURN: Mutex<()> = Mutex::new(());

    /// The service that init has started, for this test alone.
    pub(crate) struct Running {
        _turn: MutexGuard<'static, ()>,
    }

    /// It is there, or no test passes.
    pub(crate) fn running() -> Running {
        Running { _turn: TURN.lock().unwrap_or_else(PoisonError::into_inner) }
    }
}

#[cfg(not(soong))]
mod service {
    use std::thread;
    use std::time::Duration;

    use wakeupstats_vm::daemon::Daemon;
    use wakeupstats_vm::sources::{self, Sources};

    /// Of each kind: quiet with a history, and active.
    const SOURCES: usize = 30;

    /// A service that this test has started, and sources as a device has: by themselves those of the VM
    /// do nothing.
    pub(crate) struct Running {
        _daemon: Daemon,
        _sources: [Sources; 2],
    }

    /// Starts it, for the backend that the suite is run with.
    pub(crate) fn running() -> Running {
        let [quiet, active] = [(); 2].map(|()| sources::mixed(SOURCES).unwrap());
        for sources in [&quiet, &active] {
            sources.activate_all().unwrap();
        }
        thread::sleep(Duration::from_millis(30));
        quiet.relax_all().unwrap();
        Running { _daemon: Daemon::start().unwrap(), _sources: [quiet, active] }
    }
}

pub(crate) use service::running;
