// SPDX-License-Identifier: Apache-2.0
#![cfg(test)]
//! Which backend the daemon takes, what it says of the others, and that no call is lost when pins go,
//! come back, and turn into something else.
//!
//! Where the kernel has no kfuncs nothing can be pinned: each test of pins shows that, and why.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use libbpf_rs::ObjectBuilder;
use wakeupstats::load::Loaded;
use wakeupstats::pin::{self, Outcome, Owner};
use wakeupstats::pinned::Pinned;
use wakeupstats::pins::{DEFAULT_DIR, Pins};
use wakeupstats::walk::Program;
use wakeupstats_aidl::{ServiceStatus, SnapshotBackend, SnapshotQuery, Source, rows};
use wakeupstats_vm::daemon::{self, Daemon, SYSTEM};
use wakeupstats_vm::kfuncs::Kfuncs;
use wakeupstats_vm::meanwhile::meanwhile;
use wakeupstats_vm::{backend, many, sources};

/// Clients that call all the time while pins come and go.
const CLIENTS: usize = 4;

/// How often they do.
const ROUNDS: usize = 5;

/// The service must notice with its next call; this is for many, on a busy machine.
const NOTICE_LIMIT: Duration = Duration::from_secs(30);

/// The compiled `bpf/walk.bpf.c` and `bpf/other_layout.bpf.c`, aligned as libelf wants them.
static WALK: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/walk.bpf.o")));
static OTHER_LAYOUT: &Aligned<[u8]> =
    &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/other_layout.bpf.o")));

#[repr(align(8))]
struct Aligned<T: ?Sized>(T);

/// Removes the pins when a test ends.
struct Unload;

impl Drop for Unload {
    fn drop(&mut self) {
        backend::unload().unwrap();
    }
}

/// Pins the program, or shows that it can't be.
fn pinned() -> Option<Unload> {
    if Kfuncs::of_this_kernel().exist() {
        backend::load_and_pin().unwrap();
        return Some(Unload);
    }
    let error = backend::load_and_pin().unwrap_err().to_string();
    assert!(error.contains("no kfunc bpf_wakeup_sources_read_lock"), "{error}");
    assert!(!fs::exists(DEFAULT_DIR).unwrap());
    None
}

fn status() -> ServiceStatus {
    daemon::service().unwrap().getStatus().unwrap()
}

/// The backends that were passed over, and why.
fn passed_over() -> Vec<(SnapshotBackend, String)> {
    status().passedOver.into_iter().map(|passed| (passed.backend, passed.reason)).collect()
}

/// Calls until the service reads by another backend than this one, or by this one.
fn wait_for(backend: SnapshotBackend, wanted: bool) {
    let begin = Instant::now();
    let service = daemon::service().unwrap();
    while (service.getSnapshot(&SnapshotQuery::default()).unwrap().backend == backend) != wanted {
        assert!(begin.elapsed() < NOTICE_LIMIT, "{:?}", status());
    }
}

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
    // Nobody without a capability may create anything of BPF, until the machine is started anew.
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
fn load_pins_as_bpfloader_does_and_again_changes_nothing() {
    let Some(_unload) = pinned() else { return };
    let pins = Pins::new(DEFAULT_DIR);
    let first = pins.identity().unwrap();
    let owner = Owner { uid: 1_001, gid: 1_002 };

    assert_eq!(pin::load(&pins, owner).unwrap(), Outcome::Kept);

    assert_eq!(pins.identity().unwrap(), first);
    for path in [pins.program(), pins.map()] {
        let it = fs::metadata(&path).unwrap();
        assert_eq!((it.mode() & 0o7777, it.uid(), it.gid()), (0o440, 1_001, 1_002));
    }
    assert_eq!(fs::read_dir("/sys/fs/bpf").unwrap().count(), 1, "nothing else is left there");
    let of_system = Owner { uid: SYSTEM, gid: SYSTEM };
    assert_eq!(pin::load(&pins, of_system).unwrap(), Outcome::Kept);
    assert_eq!(fs::metadata(pins.program()).unwrap().uid(), SYSTEM);
    assert!(pin::unload(&pins).unwrap());
    assert!(!pin::unload(&pins).unwrap(), "nothing is left to remove");
}

/// Pins a program that is not the usual one, as its map is larger, in the place of what is pinned.
fn pin_older() {
    let pins = Pins::new(DEFAULT_DIR);
    backend::unload().unwrap();
    fs::create_dir(pins.dir()).unwrap();
    Loaded::load_with_room(16).unwrap().pin(&pins.program(), &pins.map()).unwrap();
    for path in [pins.program(), pins.map()] {
        chown(&path, Some(SYSTEM), Some(SYSTEM)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o440)).unwrap();
    }
}

#[test]
fn older_pins_are_replaced_in_one_step_and_the_service_takes_the_new() {
    let Some(_unload) = pinned() else { return };
    let _daemon = Daemon::start_without_privilege(&[]).unwrap();
    let interrupted = format!("{DEFAULT_DIR}_new");
    let others = AtomicUsize::new(0);
    let watch = || {
        let service = daemon::service().unwrap();
        let reply = service.getSnapshot(&SnapshotQuery::default()).unwrap();
        let is_other = reply.backend != SnapshotBackend::PINNED;
        others.fetch_add(usize::from(is_other), Ordering::Relaxed);
    };

    for _ in 0..ROUNDS {
        pin_older();
        wait_for(SnapshotBackend::PINNED, true);
        assert_eq!(status().roomBytes, 16 * 16 * 1024);
        fs::create_dir(&interrupted).unwrap();
        others.store(0, Ordering::Relaxed);
        meanwhile(watch, || {
            let owner = Owner { uid: SYSTEM, gid: SYSTEM };
            let outcome = pin::load(&Pins::new(DEFAULT_DIR), owner).unwrap();
            assert_eq!(outcome, Outcome::Replaced);
            let begin = Instant::now();
            while status().roomBytes != 8 * 16 * 1024 {
                assert!(begin.elapsed() < NOTICE_LIMIT, "{:?}", status());
            }
        });
        assert_eq!(others.load(Ordering::Relaxed), 0, "calls that another backend answered");
        assert!(!fs::exists(&interrupted).unwrap());
    }
}

/// Why the service would not use what `pin` pins.
fn refusal(pin: impl FnOnce(&Pins)) -> String {
    let pins = Pins::new("/sys/fs/bpf/spare");
    fs::create_dir(pins.dir()).unwrap();
    pin(&pins);
    let error = Pinned::open(&pins).unwrap_err();
    for pin in fs::read_dir(pins.dir()).unwrap() {
        fs::remove_file(pin.unwrap().path()).unwrap();
    }
    fs::remove_dir(pins.dir()).unwrap();
    wakeupstats::chain(&error)
}

#[test]
fn what_is_not_the_services_own_is_refused_with_the_reason() {
    let Some(_unload) = pinned() else { return };
    let load = || Loaded::load().unwrap();

    let swapped = refusal(|pins| load().pin(&pins.map(), &pins.program()).unwrap());
    let map_only = refusal(|pins| {
        load().pin(&pins.dir().join("elsewhere"), &pins.map()).unwrap();
    });
    let strangers = refusal(|pins| {
        load().pin(&pins.program(), &pins.dir().join("elsewhere")).unwrap();
        load().pin(&pins.dir().join("another"), &pins.map()).unwrap();
    });
    let another_name = refusal(|pins| {
        load().pin(&pins.program(), &pins.map()).unwrap();
        fs::remove_file(pins.program()).unwrap();
        let object = ObjectBuilder::default().open_memory(&WALK.0).unwrap().load().unwrap();
        object.progs_mut().next().unwrap().pin(pins.program()).unwrap();
    });
    let another_layout = refusal(|pins| {
        let opened = ObjectBuilder::default().open_memory(&OTHER_LAYOUT.0).unwrap();
        let mut object = opened.load().unwrap();
        object.progs_mut().next().unwrap().pin(pins.program()).unwrap();
        object.maps_mut().next().unwrap().pin(pins.map()).unwrap();
    });

    assert!(swapped.contains("bpf-map, instead of bpf-prog"), "{swapped}");
    assert!(map_only.contains("nothing is pinned there"), "{map_only}");
    assert!(strangers.contains("does not write to the map that is pinned beside"), "{strangers}");
    assert!(another_name.contains("\"find\" of type 31, instead of"), "{another_name}");
    assert!(another_layout.contains("not as this service expects"), "{another_layout}");
    assert!(Pinned::open(&Pins::new(DEFAULT_DIR)).is_ok());
}

#[test]
fn pins_of_others_are_refused_to_whom_they_do_not_belong() {
    let Some(_unload) = pinned() else { return };
    pin::load(&Pins::new(DEFAULT_DIR), Owner { uid: 0, gid: 0 }).unwrap();

    let _daemon = Daemon::start_without_privilege(&[]).unwrap();

    assert_eq!(status().backend, SnapshotBackend::SYSFS);
    let reasons = passed_over();
    assert!(reasons[0].1.contains("this process may not read it"), "{reasons:?}");
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
            wait_for(SnapshotBackend::PINNED, true);
            // Not as `unload` does: one by one, in sight of everybody.
            fs::remove_file(pins.program()).unwrap();
            wait_for(SnapshotBackend::SYSFS, true);
            assert!(passed_over()[0].1.contains("nothing is pinned there"));
            fs::remove_file(pins.map()).unwrap();
            backend::load_and_pin().unwrap();
        }
        wait_for(SnapshotBackend::PINNED, true);
    });

    assert!(calls > CLIENTS * ROUNDS, "{calls}");
    assert!(passed_over().is_empty());
}

#[test]
fn pins_that_stay_gone_cost_no_call() {
    let Some(unload) = pinned() else { return };
    let _daemon = Daemon::start_without_privilege(&[]).unwrap();
    wait_for(SnapshotBackend::PINNED, true);
    let before = status();

    let calls = with_clients(|| {
        drop(unload);
        wait_for(SnapshotBackend::SYSFS, true);
        (0..ROUNDS).for_each(|_| wait_for(SnapshotBackend::SYSFS, true));
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

#[test]
fn readers_of_one_pinned_program_get_nothing_of_each_other() {
    let Some(_unload) = pinned() else { return };
    let _sources = sources::eventfds(600).unwrap();
    let ids = many::ids_in_sysfs();
    let halves = [0..=299, 300..=u32::MAX];
    let open = || Pinned::open(&Pins::new(DEFAULT_DIR)).unwrap();
    // Others who write other ids to the same places of the same map.
    let disturb = |half: usize| {
        let halves = halves.clone();
        move || {
            let mut other = open();
            for _ in 0..50 {
                other.run(halves[half].clone()).unwrap();
            }
        }
    };
    let mut walker = open().into_walker();

    meanwhile(disturb(0), || {
        meanwhile(disturb(1), || {
            for _ in 0..300 {
                let snapshot = walker.snapshot().unwrap();
                let read: BTreeSet<u32> = snapshot.sources.iter().map(|it| it.id).collect();
                assert_eq!((read.len(), &read), (snapshot.sources.len(), &ids));
            }
        });
    });
}

#[test]
fn command_line_says_what_load_does() {
    let help = Command::new(daemon::PATH).args(["load", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let nowhere = Command::new(daemon::PATH).args(["load", "--pins", "/tmp/x"]).output().unwrap();
    let nowhere = String::from_utf8(nowhere.stderr).unwrap();
    let left_out = Command::new(daemon::PATH_WITHOUT_LOADER).arg("load").output().unwrap();

    assert!(help.contains("--uid") && help.contains("[default: 1000]"), "{help}");
    assert!(nowhere.contains("/tmp is no directory of a BPF file system"), "{nowhere}");
    assert_eq!(left_out.status.code(), Some(2), "the build for Android has no such command");
}
