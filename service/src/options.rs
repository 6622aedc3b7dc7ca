// SPDX-License-Identifier: Apache-2.0
//! What the daemon is told, and where its words go.

use std::io;

use clap::{Parser, ValueEnum};
use rustix::rand::{GetRandomFlags, getrandom};
use wakeupstats::access::Access;

/// Serves the kernel's wakeup sources over binder, as service "wakeupstats".
///
/// Runs in the foreground until it is killed. Needs a kernel with BTF and the wakeup source kfuncs
/// (Linux 7.2), CAP_BPF and CAP_PERFMON, a binder device and a service manager.
#[derive(Parser)]
#[command(version)]
pub(crate) struct Options {
    /// Whom to let in.
    #[arg(long, value_enum, default_value_t = DEFAULT_RULE)]
    access: Rule,
    /// With --access uids: also lets in this uid. May be given several times.
    #[arg(long, value_name = "UID")]
    allow_uid: Vec<u32>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Rule {
    /// Who holds android.permission.BATTERY_STATS (DUMP for the dump), by the service "permission"
    Permissions,
    /// Root, the daemon's own uid, and those of --allow-uid
    Uids,
}

/// Android has the service "permission"; elsewhere it would be away, and everybody turned away.
const DEFAULT_RULE: Rule = if cfg!(target_os = "android") { Rule::Permissions } else { Rule::Uids };

/// The options of the command line. A wrong one ends the process with status 2 and the usage.
pub(crate) fn parse() -> Options {
    Options::parse()
}

impl Options {
    /// The rule by which callers are let in.
    pub(crate) fn access(&self) -> Access {
        match self.access {
            Rule::Permissions => Access::permissions(),
            Rule::Uids => Access::uids(self.allow_uid.iter().copied()),
        }
    }
}

/// A number for this life of the service, unlike those of its former lives: random, and not 0.
pub(crate) fn new_instance() -> io::Result<i64> {
    let mut bytes = [0; 8];
    getrandom(&mut bytes, GetRandomFlags::empty())?;
    Ok((i64::from_ne_bytes(bytes) & i64::MAX).max(1))
}

/// Sends the log to logcat.
#[cfg(target_os = "android")]
pub(crate) fn log() {
    let config = android_logger::Config::default().with_tag("wakeupstatsd");
    android_logger::init_once(config.with_max_level(log::LevelFilter::Info));
}

/// Sends the log to standard error, as `RUST_LOG` has it.
#[cfg(not(target_os = "android"))]
pub(crate) fn log() {
    // What rsbinder says of a missing service manager is in our own error.
    const FILTER: &str = "warn,rsbinder::hub=off,wakeupstats=info,wakeupstatsd=info";
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or(FILTER)).init();
}
