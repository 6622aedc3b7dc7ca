// SPDX-License-Identifier: Apache-2.0
//! `cargo xtask demo`, the part inside the VM: 150 wakeup sources, read by the service and by sysfs.

use std::collections::BTreeMap;
use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rsbinder::Strong;
use wakeupstats_aidl::{IWakeupStats, SnapshotBackend, SnapshotQuery, Source, rows};
use wakeupstats_vm::backend;
use wakeupstats_vm::daemon::{self, Daemon};
use wakeupstats_vm::sources;
use wakeupstats_vm::sysfs;

/// As many as a phone has, ...
const SOURCES: usize = 150;

/// ... and how many of these are active while the demo looks.
const ACTIVE: usize = 10;

/// Readings by either way, of which the median counts.
const ROUNDS: usize = 25;

const NS_PER_MS: i64 = 1_000_000;

fn main() -> Result<()> {
    println!("Making {SOURCES} wakeup sources with EPOLLWAKEUP, and {ACTIVE} of them active.");
    let quiet = sources::mixed(SOURCES - ACTIVE)?;
    let active = sources::mixed(ACTIVE)?;
    quiet.activate_all()?;
    thread::sleep(Duration::from_millis(20));
    quiet.relax_all()?;
    active.activate_all()?;

    println!(
        "Pinning the BPF program. Starting wakeupstatsd as user system, without capabilities."
    );
    backend::load_and_pin()?;
    let _daemon = Daemon::start_as_system(daemon::PATH, &[])?;

    println!("\n# rsb_service dump wakeupstats");
    let dump = daemon::dump(&[])?;
    ensure!(dump.status.success(), "the dump failed: {}", String::from_utf8_lossy(&dump.stderr));
    std::io::stdout().write_all(&dump.stdout)?;

    let service = daemon::service()?;
    let by_service = rows(&service.getSnapshot(&SnapshotQuery::default())?)?;
    let by_sysfs = sysfs::read()?;
    println!("\n# The active ones, side by side");
    side_by_side(&by_service, &by_sysfs)?;

    let (sysfs_ms, service_ms) = medians(&service)?;
    let backend = service.getStatus()?.backend;
    ensure!(backend == SnapshotBackend::PINNED, "the service reads by another backend");
    println!(
        "demo: {} sources, backend pinned, sysfs {sysfs_ms:.2} ms, wakeupstats {service_ms:.2} ms, \
         {:.0} times faster",
        by_service.len(),
        sysfs_ms / service_ms
    );
    Ok(())
}

/// Prints the active sources by both readings. All must be in both, with equal counts.
fn side_by_side(sources: &[Source], sysfs: &BTreeMap<u32, sysfs::Source>) -> Result<()> {
    println!("{:<12} {:<12} {:>34} {:>34}", "", "", "wakeupstats", "sysfs, a moment later");
    println!(
        "{:<12} {:<12} {:>6} {:>13} {:>13} {:>6} {:>13} {:>13}",
        "NODE", "NAME", "COUNT", "ACTIVE ms", "TOTAL ms", "COUNT", "ACTIVE ms", "TOTAL ms"
    );
    ensure!(sources.len() == sysfs.len(), "the service and sysfs differ in their number");
    for row in sources {
        let id = u32::try_from(row.id)?;
        let node = sysfs.get(&id).with_context(|| format!("wakeup{id} is not in sysfs"))?;
        ensure!(
            row.active_count == i64::try_from(node.active_count)?,
            "wakeup{id}'s counts differ"
        );
        if row.active {
            println!("{}", pair(row, node));
        } else {
            let same = row.total_time_ns / NS_PER_MS == node.total_time_ms
                && row.last_change_ns / NS_PER_MS == node.last_change_ms;
            ensure!(same, "wakeup{id}'s times differ");
        }
    }
    println!("The other {} are equal, too.\n", sources.iter().filter(|row| !row.active).count());
    Ok(())
}

fn pair(row: &Source, node: &sysfs::Source) -> String {
    format!(
        "{:<12} {:<12} {:>6} {:>13.6} {:>13.6} {:>6} {:>13} {:>13}",
        format!("wakeup{}", row.id),
        row.name.as_deref().unwrap_or_default(),
        row.active_count,
        ms(row.active_time_ns),
        ms(row.total_time_ns),
        node.active_count,
        node.active_time_ms,
        node.total_time_ms
    )
}

fn ms(ns: i64) -> f64 {
    ns as f64 / NS_PER_MS as f64
}

/// Milliseconds that a reading takes by sysfs and by a call of the service: the median of each.
fn medians(service: &Strong<dyn IWakeupStats>) -> Result<(f64, f64)> {
    let mut sysfs_ms = Vec::new();
    let mut service_ms = Vec::new();
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        sysfs::read()?;
        sysfs_ms.push(begin.elapsed().as_secs_f64() * 1e3);

        let begin = Instant::now();
        rows(&service.getSnapshot(&SnapshotQuery::default())?)?;
        service_ms.push(begin.elapsed().as_secs_f64() * 1e3);
    }
    Ok((median(sysfs_ms)?, median(service_ms)?))
}

fn median(mut values: Vec<f64>) -> Result<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().context("no rounds")
}
