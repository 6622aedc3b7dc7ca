// SPDX-License-Identifier: Apache-2.0
//! wakeupstatsd: serves the kernel's wakeup sources over binder.

use std::error::Error;
use std::process::ExitCode;

use clap::Parser;
use log::{error, info};
use wakeupstats::binder::{self, WakeupStats};
use wakeupstats::load::Loaded;
use wakeupstats::walk::{Limits, Walker};

/// Serves the kernel's wakeup sources over binder, as service "wakeupstats".
///
/// Runs in the foreground until it is killed. Needs a kernel with BTF and the wakeup source kfuncs
/// (Linux 7.2), CAP_BPF and CAP_PERFMON, a binder device and a service manager.
#[derive(Parser)]
#[command(version)]
struct Options {}

fn main() -> ExitCode {
    let Options {} = Options::parse();
    logging();
    match try_main() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("{}", binder::chain(&*error));
            ExitCode::FAILURE
        }
    }
}

fn try_main() -> Result<(), Box<dyn Error>> {
    binder::open()?;
    let program = Loaded::load()?;
    info!("backend load: the BPF program is loaded");
    Ok(WakeupStats::new(Walker::new(program, Limits::default())).serve()?)
}

#[cfg(target_os = "android")]
fn logging() {
    let config = android_logger::Config::default().with_tag("wakeupstatsd");
    android_logger::init_once(config.with_max_level(log::LevelFilter::Info));
}

#[cfg(not(target_os = "android"))]
fn logging() {
    // What rsbinder says of a missing service manager is in our own error.
    const FILTER: &str = "warn,rsbinder::hub=off,wakeupstats=info,wakeupstatsd=info";
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or(FILTER)).init();
}
