// SPDX-License-Identifier: Apache-2.0
//! wakeupstatsd: serves the kernel's wakeup sources over binder.

use std::error::Error;
use std::process::ExitCode;

use log::error;
use wakeupstats::backends::Backends;
use wakeupstats::binder::{self, WakeupStats};
use wakeupstats::reader::Reader;

mod options;

use options::Options;

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

fn try_main(options: Options) -> Result<(), Box<dyn Error>> {
    if options.run_command()? {
        return Ok(());
    }
    binder::open()?;
    let backends = Backends::choose(options.openers())?;
    let reader = Reader::new(backends, options::new_instance()?);
    Ok(WakeupStats::new(reader, options.access()).serve()?)
}
