// SPDX-License-Identifier: Apache-2.0
//! `cargo xtask`: builds, boots, tests and checks the project.
//!
//! Exit status: 0 when all is well, 1 when a test, the demo, a contender of the benchmark or a check
//! failed, 2 for a wrong command line, 3 when the harness itself failed, so that nothing can be said
//! about the project.

mod accel;
mod aidl;
mod android;
mod api;
mod api_probe;
mod apt;
mod arch;
mod bench;
mod bench_plot;
mod bench_report;
mod bench_table;
mod bp;
mod bp_cargo;
mod bp_device;
mod bp_format;
mod bp_modules;
mod bp_names;
mod bp_rules;
mod cache;
mod check;
mod cli;
mod console;
mod cross;
mod deb;
mod deps;
mod executable;
mod fuzz;
mod guest;
mod headers;
mod host;
mod initramfs;
mod java;
mod java_tests;
mod jobs;
mod kernel;
mod module;
mod packages;
mod perfetto;
mod progress;
mod qemu;
mod rc;
mod record;
mod relay;
mod rust_src;
mod rust_std;
mod rustc;
mod sepolicy;
mod sepolicy_check;
mod sepolicy_less;
mod symbols;
mod table;
mod tally;
mod tests;
mod tidy;
mod vm;
mod workspace;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    match cli::Arguments::parse().run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            progress::say_error(&error);
            ExitCode::from(3)
        }
    }
}
