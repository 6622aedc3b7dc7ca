// SPDX-License-Identifier: Apache-2.0
#![cfg(test)]
//! The machine is suspended to memory and wakes up again, really: what the service then says of times, of what
//! woke it, and of what kept it awake.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::thread::sleep;
use std::time::Duration;

use rustix::io::Errno;
use rustix::time::{ClockId, Timespec, clock_gettime, clock_settime};
use wakeupstats_aidl::{Client, SnapshotBackend, SnapshotQuery, Source, WakeupSnapshot, rows};
use wakeupstats_vm::daemon::Daemon;
use wakeupstats_vm::power::count_wakeups;
use wakeupstats_vm::report::show;
use wakeupstats_vm::sources::{Sources, file_name};

/// When the clock is to wake the machine.
const ALARM: &str = "/sys/class/rtc/rtc0/wakealarm";

/// Links to the clock's device, which has the wakeup source.
const CLOCK: &str = "/sys/class/rtc/rtc0/device";

/// When the alarm comes after it was set. The machine must sleep by then, or would not wake up. Seconds.
const SLEEP: i64 = 5;

/// The two clocks are read one after the other, which takes less than this where QEMU emulates. Nanoseconds.
const CLOCK_GAP_NS: i64 = 20_000_000;

const NS_PER_S: i64 = 1_000_000_000;

/// By how much the wall clock is put on and back.
const STEP: i64 = 86_400;

/// Writes to a file that is there: the policy would be asked about one that might have to be made.
fn write(path: &str, text: &str) -> io::Result<()> {
    OpenOptions::new().write(true).open(path)?.write_all(text.as_bytes())
}

/// Suspends the machine, for which the clock's alarm is set before.
fn suspend() -> io::Result<()> {
    write(ALARM, "0").unwrap();
    write(ALARM, &format!("+{SLEEP}")).unwrap();
    let suspended = write("/sys/power/state", "mem");
    write(ALARM, "0").unwrap();
    suspended
}

fn ns(clock: ClockId) -> i64 {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(clock);
    tv_sec * NS_PER_S + tv_nsec
}

/// By how much CLOCK_BOOTTIME is ahead of CLOCK_MONOTONIC: how long the machine was ever suspended.
fn suspended_ns() -> i64 {
    ns(ClockId::Boottime) - ns(ClockId::Monotonic)
}

/// The same, as a snapshot has it.
fn suspended_ns_by(snapshot: &WakeupSnapshot) -> i64 {
    snapshot.boottimeNs - snapshot.monotonicNs
}

fn by_handle(rows: impl IntoIterator<Item = Source>) -> BTreeMap<i64, Source> {
    rows.into_iter().map(|row| (row.handle, row)).collect()
}

fn kept(client: &Client) -> BTreeMap<i64, Source> {
    by_handle(client.sources().cloned())
}

/// Sources with names of their own, of which the first is active.
fn active_and_quiet() -> Sources {
    let mut sources = Sources::new().unwrap();
    for name in ["holder", "quiet"] {
        sources.add_fifo(&file_name(name.as_bytes())).unwrap();
    }
    sources.activate_all().unwrap();
    sleep(Duration::from_millis(20));
    sources.relax(1).unwrap();
    sources
}

fn named<'a>(rows: &'a BTreeMap<i64, Source>, name: &str) -> &'a Source {
    rows.values().find(|row| row.name.as_deref() == Some(name)).unwrap()
}

#[test]
fn time_that_the_machine_sleeps_is_boot_time_and_nobody_s_active_time() {
    let _daemon = Daemon::start().unwrap();
    let _sources = active_and_quiet();
    let mut client = Client::connect(Duration::ZERO).unwrap();
    let first = client.update().unwrap();
    let before = kept(&client);
    let slept_before_ns = suspended_ns();

    suspend().unwrap();

    let slept_ns = suspended_ns() - slept_before_ns;
    let second = client.update().unwrap();
    let after = kept(&client);
    // It slept, from some time after the alarm was set until it came.
    assert!(slept_ns > NS_PER_S / 2 && slept_ns < (SLEEP + 1) * NS_PER_S, "{slept_ns}");
    let by_snapshots_ns = suspended_ns_by(&second) - suspended_ns_by(&first);
    assert!((by_snapshots_ns - slept_ns).abs() < CLOCK_GAP_NS, "{by_snapshots_ns} {slept_ns}");
    // What changed since is asked for as if nothing had happened.
    assert!(second.incremental && second.complete);
    assert_eq!((second.instance, client.restarts()), (first.instance, 0));
    let full =
        client.snapshot(&SnapshotQuery { maxAgeMs: 60_000, ..SnapshotQuery::default() }).unwrap();
    assert_eq!(full.sequence, second.sequence);
    assert_eq!(by_handle(rows(&full).unwrap()), after);

    let awake_ns = second.monotonicNs - first.monotonicNs;
    let (old, new) = (named(&before, "holder"), named(&after, "holder"));
    assert!(new.active && new.handle == old.handle);
    assert_eq!((new.active_count, new.last_change_ns), (old.active_count, old.last_change_ns));
    let grown = [new.active_time_ns - old.active_time_ns, new.total_time_ns - old.total_time_ns];
    if first.backend == SnapshotBackend::SYSFS {
        // Which has each source as of its own moment.
        assert!(grown.iter().all(|it| (it - awake_ns).abs() < NS_PER_S / 10), "{grown:?}");
    } else {
        assert_eq!(grown, [awake_ns; 2], "it slept {slept_ns}");
    }
    assert_eq!(named(&before, "quiet"), named(&after, "quiet"));

    // The clock's interrupt is what woke it. (Not in wakeup_count, which the kernel has stopped to count in by
    // the time it handles that.)
    let clock = fs::read_link(CLOCK).unwrap();
    let clock = clock.file_name().unwrap().to_str();
    let of_clock = |rows: &BTreeMap<i64, Source>| -> Vec<(i64, i64)> {
        let ours = rows.values().filter(|row| row.device.as_deref() == clock);
        ours.map(|row| (row.handle, row.event_count)).collect()
    };
    let events = |rows| of_clock(rows).into_iter().map(|(_, events)| events).sum::<i64>();
    assert!(!of_clock(&before).is_empty(), "{before:?}");
    assert_eq!(events(&after), events(&before) + 1, "{after:?}");
    show(format_args!("slept for {slept_ns} ns, by the snapshots {by_snapshots_ns} ns"));
}

#[test]
fn source_that_refuses_a_suspend_is_named() {
    let _daemon = Daemon::start().unwrap();
    let sources = active_and_quiet();
    sources.relax_all().unwrap();
    let mut client = Client::connect(Duration::ZERO).unwrap();
    client.update().unwrap();
    let before = kept(&client);
    let slept_before_ns = suspended_ns();

    // As Android's suspend service does: what happens after this was read refuses the suspend.
    count_wakeups().unwrap();
    sources.activate(0).unwrap();
    let refused = suspend().unwrap_err();

    client.update().unwrap();
    let after = kept(&client);
    assert_eq!(Errno::from_io_error(&refused), Some(Errno::BUSY), "{refused}");
    assert!((suspended_ns() - slept_before_ns).abs() < CLOCK_GAP_NS, "it did not sleep");
    let (old, new) = (named(&before, "holder"), named(&after, "holder"));
    assert!(new.active);
    assert_eq!(new.wakeup_count, old.wakeup_count + 1);
    let is_active = |row: &&Source| row.active && row.device.as_deref() == Some("");
    let active: Vec<_> = after.values().filter(is_active).map(|row| row.name.clone()).collect();
    assert_eq!(active, [Some("holder".to_owned())]);
    assert_eq!(named(&before, "quiet").wakeup_count, named(&after, "quiet").wakeup_count);
}

#[test]
fn wall_clock_that_is_set_changes_nothing() {
    let _daemon = Daemon::start().unwrap();
    let _sources = active_and_quiet();
    let mut client = Client::connect(Duration::ZERO).unwrap();
    let first = client.update().unwrap();
    let before = kept(&client);

    for step in [STEP, -2 * STEP, STEP] {
        let Timespec { tv_sec, tv_nsec } = clock_gettime(ClockId::Realtime);
        clock_settime(ClockId::Realtime, Timespec { tv_sec: tv_sec + step, tv_nsec }).unwrap();
        let then = client.update().unwrap();
        let elapsed_ns = then.monotonicNs - first.monotonicNs;
        assert!((0..60 * NS_PER_S).contains(&elapsed_ns), "{elapsed_ns}");
        assert!((suspended_ns_by(&then) - suspended_ns_by(&first)).abs() < CLOCK_GAP_NS);
        assert!(then.incremental);
        let after = kept(&client);
        assert_eq!(named(&before, "quiet"), named(&after, "quiet"));
        let (old, new) = (named(&before, "holder"), named(&after, "holder"));
        assert_eq!((new.handle, new.last_change_ns), (old.handle, old.last_change_ns));
        let grown_ns = new.total_time_ns - old.total_time_ns;
        assert!((grown_ns - elapsed_ns).abs() < NS_PER_S / 10, "{grown_ns} {elapsed_ns}");
    }
}
