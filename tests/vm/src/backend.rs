// SPDX-License-Identifier: Apache-2.0
//! The backend that a suite is run with, and all in which one differs from another to a test.

use std::env;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use wakeupstats::backends::{Open, TakeSnapshot};
use wakeupstats::model::Backend;
use wakeupstats::pins::{DEFAULT_DIR, Pins};
use wakeupstats::{load, pinned, sysfs};
use wakeupstats_aidl::SnapshotBackend;

/// Stands in for Android's bpfloader.
const LOADER: &str = "/system/bin/bpfloader";

/// Set by PID 1 to what tests/kernels.toml says; not for suites that are run once per kernel.
const VARIABLE: &str = "WAKEUPSTATS_BACKEND";

/// The backend that this suite is run with, if it is run with each.
pub fn given() -> Option<Backend> {
    let name = env::var(VARIABLE).ok()?;
    [Backend::Pinned, Backend::Load, Backend::Sysfs].into_iter().find(|it| it.name() == name)
}

/// The backend that this suite is run with.
///
/// # Panics
///
/// If it is run with none: tests/kernels.toml must have the suite in `each_backend`.
#[expect(clippy::panic, reason = "for tests, and it is they that are wrong")]
pub fn current() -> Backend {
    given().unwrap_or_else(|| panic!("{VARIABLE} names no backend"))
}

/// The same, as the service says it.
pub fn in_replies() -> SnapshotBackend {
    match current() {
        Backend::Pinned => SnapshotBackend::PINNED,
        Backend::Load => SnapshotBackend::LOAD,
        Backend::Sysfs => SnapshotBackend::SYSFS,
    }
}

/// Whether times are in nanoseconds and all as of one moment, and not in milliseconds, each as of
/// its own reading.
pub fn is_exact() -> bool {
    current() != Backend::Sysfs
}

/// Whether one walk is enough also for sources that don't fit into a map of the usual size: who has
/// loaded the program can have a larger one, and sysfs needs none.
pub fn takes_one_walk_of_many() -> bool {
    current() != Backend::Pinned
}

/// Whether it makes the map larger for them.
pub fn grows() -> bool {
    current() == Backend::Load
}

/// Kernel memory of the map.
pub fn room_bytes() -> i64 {
    if current() == Backend::Sysfs { 0 } else { 128 * 1024 }
}

/// Opens the backend in this process.
pub fn open() -> Result<Box<dyn TakeSnapshot>> {
    let opened = match current() {
        Backend::Pinned => {
            load_and_pin()?;
            pinned::Opener::new(Pins::new(DEFAULT_DIR)).open()
        }
        Backend::Load => load::Opener.open(),
        Backend::Sysfs => sysfs::Opener::new(Path::new("/sys")).open(),
    };
    opened.map_err(|error| anyhow::anyhow!(wakeupstats::chain(&*error)))
}

/// Pins the program for the service without privilege, as bpfloader does on a device.
pub fn load_and_pin() -> Result<()> {
    run_loader(&["load"])
}

/// Removes the pins.
pub fn unload() -> Result<()> {
    run_loader(&["unload"])
}

fn run_loader(args: &[&str]) -> Result<()> {
    let output = Command::new(LOADER).args(args).output();
    let output = output.with_context(|| format!("can't run {LOADER}"))?;
    ensure!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
