// SPDX-License-Identifier: Apache-2.0
//! What the daemon is told, and where its words go.

use std::io;
use std::path::PathBuf;

#[cfg(feature = "load")]
use clap::Subcommand;
use clap::{Args, Parser, ValueEnum};
#[cfg(feature = "load")]
use log::info;
use log::{LevelFilter, Log, Metadata};
use rustix::rand::{GetRandomFlags, getrandom};
use wakeupstats::access::Access;
use wakeupstats::backends::Open;
use wakeupstats::pins::{self, Pins};
use wakeupstats::throttle::Throttled;
use wakeupstats::{load, pinned, sysfs};

/// Serves the kernel's wakeup sources over binder, as service "wakeupstats".
///
/// Runs in the foreground until it is killed. Needs a binder device and a service manager, and reads
/// the sources in the best way that the device allows: without any privilege by a BPF program that is
/// pinned (by Android's bpfloader, or by `wakeupstatsd load`), by one that it loads itself (with
/// CAP_BPF and CAP_PERFMON), or slowly from /sys/class/wakeup.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
pub(crate) struct Options {
    #[cfg(feature = "load")]
    #[command(subcommand)]
    command: Option<Command>,
    /// Whom to let in.
    #[arg(long, value_enum, default_value_t = DEFAULT_RULE)]
    access: Rule,
    /// With --access uids: also lets in this uid. May be given several times.
    #[arg(long, value_name = "UID")]
    allow_uid: Vec<u32>,
    /// How the sources may be read: a comma-separated list, of which the best that works is taken.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "pinned,load,sysfs")]
    backend: Vec<Backend>,
    #[command(flatten)]
    pins: PinsDir,
}

#[derive(Args)]
struct PinsDir {
    /// The directory of the pinned BPF program and its map.
    #[arg(long = "pins", value_name = "DIR", default_value = pins::DEFAULT_DIR)]
    dir: PathBuf,
}

impl PinsDir {
    fn pins(&self) -> Pins {
        Pins::new(&self.dir)
    }
}

/// Instead of serving.
#[cfg(feature = "load")]
#[derive(Subcommand)]
enum Command {
    /// Loads the BPF program and pins it for a service without privilege, and exits.
    ///
    /// Does what bpfloader does at the boot of an Android device. Needs CAP_BPF, CAP_PERFMON and
    /// CAP_CHOWN (or root). What is pinned already is replaced in one step, and a running service
    /// takes the new program.
    Load {
        /// The uid that may then run the program: the service's.
        #[arg(long, default_value_t = AID_SYSTEM)]
        uid: u32,
        /// The gid likewise.
        #[arg(long, default_value_t = AID_SYSTEM)]
        gid: u32,
        #[command(flatten)]
        pins: PinsDir,
    },
    /// Removes the pins that `load` made, and exits. A running service changes to another backend.
    Unload {
        #[command(flatten)]
        pins: PinsDir,
    },
}

/// Android's `system`, in system/core/libcutils/include/private/android_filesystem_config.h
#[cfg(feature = "load")]
const AID_SYSTEM: u32 = 1_000;

/// The backends, in the order of preference.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Backend {
    /// A BPF program that someone else has loaded and pinned
    Pinned,
    /// A BPF program that this process loads
    Load,
    /// /sys/class/wakeup
    Sysfs,
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
    /// Runs the command, and says whether there was one.
    #[cfg(feature = "load")]
    pub(crate) fn run_command(&self) -> Result<bool, wakeupstats::pin::Error> {
        use wakeupstats::pin::{self, Outcome, Owner};
        match &self.command {
            None => return Ok(false),
            Some(Command::Load { uid, gid, pins }) => {
                let owner = Owner { uid: *uid, gid: *gid };
                let dir = pins.dir.display();
                let done = match pin::load(&pins.pins(), owner)? {
                    Outcome::Pinned => "pinned",
                    Outcome::Replaced => "replaced",
                };
                info!("{done} the program in {dir}, for {owner}");
            }
            Some(Command::Unload { pins }) => {
                let dir = pins.dir.display();
                if pin::unload(&pins.pins())? {
                    info!("removed the program from {dir}");
                } else {
                    info!("no program is in {dir}");
                }
            }
        }
        Ok(true)
    }

    /// This build has none.
    #[cfg(not(feature = "load"))]
    pub(crate) fn run_command(&self) -> Result<bool, std::convert::Infallible> {
        Ok(false)
    }

    /// What may be opened to read the sources, the best first.
    pub(crate) fn openers(&self) -> Vec<Box<dyn Open>> {
        let mut backends = self.backend.clone();
        backends.sort_unstable();
        backends.dedup();
        let opener = |backend| -> Box<dyn Open> {
            match backend {
                Backend::Pinned => Box::new(pinned::Opener::new(self.pins.pins())),
                Backend::Load => Box::new(load::Opener),
                Backend::Sysfs => Box::new(sysfs::Opener::new("/sys")),
            }
        };
        backends.into_iter().map(opener).collect()
    }

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

/// What is logged. Not what rsbinder has to say, which is of what callers send: they could fill the log
/// with it, and write there what they like. What ends the service comes as our own error.
const FILTER: &str = "warn,rsbinder=off,wakeupstats=info,wakeupstatsd=info";

/// Sends the log to logcat.
#[cfg(target_os = "android")]
pub(crate) fn log() {
    let filter = android_logger::FilterBuilder::new().parse(FILTER).build();
    let level = filter.filter();
    let config = android_logger::Config::default().with_tag("wakeupstatsd").with_max_level(level);
    begin(android_logger::AndroidLogger::new(config), move |line| filter.enabled(line), level);
    // Init gives its services no standard error, and rsbinder catches a panic in a call.
    std::panic::set_hook(Box::new(|panic| log::error!("{panic}")));
}

/// Sends the log to standard error, as `RUST_LOG` has it.
#[cfg(not(target_os = "android"))]
pub(crate) fn log() {
    let env = env_logger::Env::default().default_filter_or(FILTER);
    let logger = env_logger::Builder::from_env(env).build();
    let level = logger.filter();
    // It filters by itself.
    begin(logger, |_| true, level);
}

/// From here on there is a log, for what is wanted. If there was one before, that stays.
fn begin(
    logger: impl Log + 'static,
    is_wanted: impl Fn(&Metadata<'_>) -> bool + Send + Sync + 'static,
    level: LevelFilter,
) {
    if log::set_boxed_logger(Box::new(Throttled::new(logger, is_wanted))).is_ok() {
        log::set_max_level(level);
    }
}
