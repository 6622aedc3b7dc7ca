// SPDX-License-Identifier: Apache-2.0
#![cfg(test)]
//! Which backend the daemon takes, what it says of the others, and that no call is lost when pins go,
//! come back, and turn into something else.
//!
//! Where the kernel has no kfuncs nothing can be pinned: each test of pins shows that, and why.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use wakeupstats::pin::{self, Owner};
use wakeupstats::pins::{DEFAULT_DIR, Pins};
use wakeupstats_aidl::{SnapshotBackend, SnapshotQuery, Source, rows};
use wakeupstats_vm::daemon::{self, Daemon};
use wakeupstats_vm::kfuncs::Kfuncs;
use wakeupstats_vm::pinning::{NOTICE_LIMIT, passed_over, pinned, status, wait_for};
use wakeupstats_vm::{backend, sources};

/// Clients that call all the time while pins come and go.
const CLIENTS: usize = 4;

/// How often they do.
const ROUNDS: usize = 5;

#[test]
fn without_pins_who_may_loads_and_others_read_sysfs() {
    let as_root = {
        let _daemon = Daemon::start().unwrap();
        (status().backend, passed_over())
    };
    let without_privilege = {
        let _daemon = Daemon::start_without_privilege(&[]).unwrap();
        let dump = daemon::dump(&["--backend"]).unwrap().stdout;
        (status().backend, passed_over(), String::from_utf8(dump).unwrap())
    };

    let (backend, reasons) = as_root;
    assert_eq!(reasons[0].0, SnapshotBackend::PINNED);
    assert!(reasons[0].1.contains("nothing is pinned there"), "{reasons:?}");
    if Kfuncs::of_this_kernel().exist() {
        assert_eq!((backend, reasons.len()), (SnapshotBackend::LOAD, 1));
    } else {
        assert_eq!((backend, reasons.len()), (SnapshotBackend::SYSFS, 2));
        assert_eq!(reasons[1].0, SnapshotBackend::LOAD);
        assert!(reasons[1].1.contains("no kfunc"), "{reasons:?}");
    }
    let (backend, reasons, dump) = without_privilege;
    assert_eq!((backend, reasons.len()), (SnapshotBackend::SYSFS, 2));
    assert!(reasons[1].1.contains("does not load programs"), "{reasons:?}");
    assert!(dump.starts_with("backend:       sysfs, for "), "{dump}");
    assert!(dump.contains("\npassed over:   pinned: /sys/fs/bpf/wakeupstats/prog_"), "{dump}");
    assert!(dump.contains("\npassed over:   load: this build"), "{dump}");
}

#[test]
fn choice_is_in_the_log_once_with_its_reasons() {
    let Some(_unload) = pinned() else { return };
    let daemon = Daemon::start_logging().unwrap();
    let call = || drop(daemon::service().unwrap().getSnapshot(&SnapshotQuery::default()).unwrap());
    (0..3).for_each(|_| call());
    backend::unload().unwrap();
    (0..3).for_each(|_| call());

    let log = daemon.kill_and_read_log().unwrap();

    let lines: Vec<&str> = log.lines().filter(|line| line.contains("backend")).collect();
    assert_eq!(lines.len(), 2, "{log}");
    assert!(lines[0].contains("INFO") && lines[0].ends_with("backend pinned is in use"), "{log}");
    let step = "backend load takes over from pinned, as better ones can't be used: pinned (";
    assert!(lines[1].contains("WARN") && lines[1].contains(step), "{log}");
    assert!(lines[1].contains("nothing is pinned there"), "{log}");
}

#[test]
fn pinned_program_is_run_without_any_privilege() {
    let Some(_unload) = pinned() else { return };
    // Nobody without a capability may create anything of BPF.
    fs::write("/proc/sys/kernel/unprivileged_bpf_disabled", "2").unwrap();
    let _sources = sources::eventfds(100).unwrap();
    let daemon = Daemon::start_without_privilege(&[]).unwrap();

    let reply = daemon::service().unwrap().getSnapshot(&SnapshotQuery::default()).unwrap();

    assert_eq!((reply.backend, passed_over().len()), (SnapshotBackend::PINNED, 0));
    assert!(reply.complete && rows(&reply).unwrap().len() > 100);
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(field("Uid:"), "1000 1000 1000 1000");
    assert_eq!(field("Gid:"), "1000 1000 1000 1000");
    assert_eq!(field("Groups:"), "");
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        assert_eq!(field(set), "0000000000000000", "{set}");
    }
    assert_eq!(field("NoNewPrivs:"), "1");
}

#[test]
fn pins_of_others_are_refused_to_whom_they_do_not_belong() {
    let Some(_unload) = pinned() else { return };
    pin::load(&Pins::new(DEFAULT_DIR), Owner { uid: 0, gid: 0 }).unwrap();

    let _daemon = Daemon::start_without_privilege(&[]).unwrap();

    assert_eq!(status().backend, SnapshotBackend::SYSFS);
    let reasons = passed_over();
    assert!(reasons[0].1.contains("this process may not read it"), "{reasons:?}");
    // The same pins, but now the service's.
    backend::load_and_pin().unwrap();
    wait_for(SnapshotBackend::PINNED);
}

/// Calls until told to stop. Each call must succeed, and what lives throughout must be in each reply
/// with its handle, and no count ever fall.
fn call_all_the_time(done: &AtomicBool, living: usize) -> usize {
    let service = daemon::service().unwrap();
    let mut former: BTreeMap<i64, Source> = BTreeMap::new();
    let mut calls = 0;
    while !done.load(Ordering::Relaxed) {
        let reply = service.getSnapshot(&SnapshotQuery::default()).unwrap();
        calls += 1;
        assert!(reply.complete && !reply.incremental);
        let rows: BTreeMap<i64, Source> =
            rows(&reply).unwrap().into_iter().map(|row| (row.handle, row)).collect();
        assert!(rows.len() >= living, "{} of {living} sources", rows.len());
        for (handle, old) in &former {
            let new = &rows[handle];
            assert!(new.event_count >= old.event_count, "{old:?} {new:?}");
            assert!(new.total_time_ns >= old.total_time_ns, "{old:?} {new:?}");
            assert!(new.last_change_ns >= old.last_change_ns, "{old:?} {new:?}");
        }
        former = rows;
    }
    calls
}

/// Runs `change` while clients call. Returns how many calls there were.
fn with_clients(change: impl FnOnce()) -> usize {
    let living = sources::mixed(60).unwrap();
    living.activate_all().unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let client = || scope.spawn(|| call_all_the_time(&done, living.len()));
        let clients: Vec<_> = (0..CLIENTS).map(|_| client()).collect();
        change();
        done.store(true, Ordering::Relaxed);
        clients.into_iter().map(|client| client.join().unwrap()).sum()
    })
}

#[test]
fn pins_that_are_deleted_and_made_anew_cost_no_call() {
    let Some(_unload) = pinned() else { return };
    let _daemon = Daemon::start_without_privilege(&[]).unwrap();
    let pins = Pins::new(DEFAULT_DIR);

    let calls = with_clients(|| {
        for _ in 0..ROUNDS {
            wait_for(SnapshotBackend::PINNED);
            // Not as `unload` does: one by one, in sight of everybody.
            fs::remove_file(pins.program()).unwrap();
            wait_for(SnapshotBackend::SYSFS);
            assert!(passed_over()[0].1.contains("nothing is pinned there"));
            fs::remove_file(pins.map()).unwrap();
            backend::load_and_pin().unwrap();
        }
        wait_for(SnapshotBackend::PINNED);
    });

    assert!(calls > CLIENTS * ROUNDS, "{calls}");
    assert!(passed_over().is_empty());
}

#[test]
fn pins_that_stay_gone_cost_no_call() {
    let Some(unload) = pinned() else { return };
    let _daemon = Daemon::start_without_privilege(&[]).unwrap();
    wait_for(SnapshotBackend::PINNED);
    let before = status();

    let calls = with_clients(|| {
        drop(unload);
        wait_for(SnapshotBackend::SYSFS);
        (0..ROUNDS).for_each(|_| wait_for(SnapshotBackend::SYSFS));
    });

    let after = status();
    assert!(calls > CLIENTS, "{calls}");
    assert_eq!((after.backend, after.roomBytes), (SnapshotBackend::SYSFS, 0));
    assert!(after.backendSinceNs > before.backendSinceNs);
    assert_eq!(after.instance, before.instance);
    // Nobody holds the program any more, so the kernel has let go of it.
    let begin = Instant::now();
    while libbpf_rs::query::ProgInfoIter::default().any(|it| it.name == "snapshot") {
        assert!(begin.elapsed() < NOTICE_LIMIT, "the program is still there");
        thread::sleep(Duration::from_millis(10));
    }
}
