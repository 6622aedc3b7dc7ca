// SPDX-License-Identifier: Apache-2.0
//! wakeupstatsd: serves the kernel's wakeup sources over binder.

use std::error::Error;
use std::process::ExitCode;

use log::{error, info};
use wakeupstats::binder::{self, WakeupStats};
use wakeupstats::load::Loaded;
use wakeupstats::reader::Reader;
use wakeupstats::walk::{Limits, Walker};

mod options;

fn main() -> ExitCode {
    let options = options::parse();
    options::log();
    match try_main(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("{}", wakeupstats::chain(&*error));
            ExitCode::FAILURE
        }
    }
}

fn try_main(options: options::Options) -> Result<(), Box<dyn Error>> {
    binder::open()?;
    let program = Loaded::load()?;
    info!("backend load: the BPF program is loaded");
    let walker = Walker::new(program, Limits::default());
    let reader = Reader::new(walker, options::new_instance()?);
    Ok(WakeupStats::new(reader, options.access()).serve()?)
}
