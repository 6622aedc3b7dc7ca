// SPDX-License-Identifier: Apache-2.0
#![cfg(test)]
//! What the service depends on, and itself, dies and comes back: clients that find it again go on, and nothing
//! is left over.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use init::RC_FILES;
use init::property::Properties;
use init::supervisor::Supervisor;
use rustix::process::{Pid, Signal, kill_process};
use wakeupstats::pins::{DEFAULT_DIR, Pins};
use wakeupstats_aidl::{Client, ClientError, SnapshotBackend, SnapshotQuery, Source, rows};
use wakeupstats_vm::binder_device;
use wakeupstats_vm::kept::{Kept, lost_nodes};
use wakeupstats_vm::pinning::{pinned, wait_for};
use wakeupstats_vm::report::show;
use wakeupstats_vm::services::{
    self, BPF_LOADED, DAEMON, SOON, Service, ShutDown, Stop, wait_until_registered,
};
use wakeupstats_vm::{backend, daemon, selinux, sources};

/// How often the daemon is killed.
const KILLS: usize = 50;

/// Clients that call all the time meanwhile.
const CLIENTS: usize = 3;

/// The longest that any of them may be without an answer: the daemon starts in about 0.3 s where QEMU emulates.
const GAP_LIMIT: Duration = Duration::from_secs(5);

/// How often pins are replaced, and removed.
const REPLACEMENTS: usize = 20;

/// How often the service manager is killed.
const MANAGERS: usize = 2;

/// Long enough after a start that init, with the shortest restart_period, starts a service again at once.
const SETTLED: Duration = Duration::from_millis(5_500);

fn kill(pid: i32) {
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
}

/// Kills the daemon, and has init start it as Android's service manager has when someone looks for a service
/// that is away: restart_period is for when nobody does.
fn kill_and_start(daemon: &Service) {
    kill(daemon.pid().unwrap());
    daemon.wait_for("restarting", SOON).unwrap();
    Properties::of_init().set("ctl.interface_start", "aidl/wakeupstats").unwrap();
    daemon.wait_for("running", SOON).unwrap();
}

/// A source without the times that run while it is active.
fn timeless(row: Source) -> Source {
    Source { active_time_ns: 0, total_time_ns: 0, max_time_ns: 0, ..row }
}

/// The copy that a client keeps must be what another gets in full, but for what runs on. Returns the instance.
fn assert_is_true_copy(client: &mut Client) -> i64 {
    let instance = client.update().unwrap().instance;
    let kept: Vec<Source> = client.sources().cloned().map(timeless).collect();
    let full = client.snapshot(&SnapshotQuery::default()).unwrap();
    assert_eq!(full.instance, instance);
    let full: Vec<Source> = rows(&full).unwrap().into_iter().map(timeless).collect();
    assert_eq!(kept, full);
    // Handles begin anew with each life: the oldest source has the first.
    let handles: Vec<i64> = kept.iter().map(|row| row.handle).collect();
    assert_eq!(handles, (1..=handles.len() as i64).rev().collect::<Vec<_>>());
    instance
}

/// What a client met.
#[derive(Debug, Default)]
struct Met {
    instances: BTreeSet<i64>,
    longest: Duration,
    calls: usize,
}

/// Keeps a copy up to date until told to stop. No call may fail.
fn keep_up(done: &AtomicBool, latest: &AtomicI64, living: usize) -> Met {
    let mut client = Client::connect(GAP_LIMIT).unwrap();
    let mut met = Met::default();
    let (mut instance, mut sequence) = (0, 0);
    while !done.load(Ordering::Relaxed) {
        let begin = Instant::now();
        let snapshot = client.update().unwrap();
        met.longest = met.longest.max(begin.elapsed());
        met.calls += 1;
        let is_new = snapshot.instance != instance;
        assert_eq!(met.instances.insert(snapshot.instance), is_new, "a life came back");
        assert_eq!(snapshot.incremental, !is_new);
        assert!(is_new || snapshot.sequence > sequence, "a sequence came twice");
        assert!(snapshot.complete && client.sources().count() >= living);
        (instance, sequence) = (snapshot.instance, snapshot.sequence);
        assert_eq!(client.restarts() as usize + 1, met.instances.len());
        latest.store(instance, Ordering::Relaxed);
    }
    met
}

#[test]
fn daemon_that_is_killed_fifty_times_costs_its_clients_a_moment_and_the_kernel_nothing() {
    let unload = pinned();
    let (daemon, _stop) = services::start_daemon().unwrap();
    let living = sources::mixed(60).unwrap();
    living.activate_all().unwrap();
    let mut own = Client::connect(GAP_LIMIT).unwrap();
    let mut lives = BTreeSet::from([assert_is_true_copy(&mut own)]);
    // With the first restart it is init's child by other ways than with the first start.
    kill_and_start(&daemon);
    lives.insert(assert_is_true_copy(&mut own));
    let before = Kept::now().unwrap();
    let done = AtomicBool::new(false);
    let latest = [const { AtomicI64::new(0) }; CLIENTS];

    let met: Vec<Met> = thread::scope(|scope| {
        let (done, living) = (&done, living.len());
        let client = |latest| scope.spawn(move || keep_up(done, latest, living));
        let clients: Vec<_> = latest.iter().map(client).collect();
        for kill in 0..=KILLS {
            if kill > 0 {
                kill_and_start(&daemon);
            }
            let instance = assert_is_true_copy(&mut own);
            assert_eq!(lives.insert(instance), kill > 0, "each start is another life");
            let begin = Instant::now();
            // A client that has failed has said so.
            while clients.iter().all(|it| !it.is_finished())
                && latest.iter().any(|it| it.load(Ordering::Relaxed) != instance)
            {
                assert!(begin.elapsed() < GAP_LIMIT, "a client got no answer from life {kill}");
                sleep(Duration::from_millis(1));
            }
        }
        done.store(true, Ordering::Relaxed);
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });

    for met in &met {
        assert_eq!(met.instances.len(), KILLS + 1, "each met each life: {met:?}");
        assert!(met.longest < GAP_LIMIT, "{:?}", met.longest);
    }
    assert_eq!(own.restarts() as usize, KILLS + 1);
    before.wait_until_again().unwrap();
    let backend = if unload.is_some() { SnapshotBackend::PINNED } else { SnapshotBackend::SYSFS };
    let status = own.status().unwrap();
    assert_eq!((status.backend, status.passedOver.is_empty()), (backend, unload.is_some()));
    let calls: usize = met.iter().map(|met| met.calls).sum();
    let longest = met.iter().map(|met| met.longest).max().unwrap();
    show(format_args!("{KILLS} kills: {calls} calls, none failed, the longest took {longest:.2?}"));
}

#[test]
fn client_says_what_to_do_and_looks_again_with_the_next_call() {
    let daemon = Service::new(Properties::of_init(), DAEMON);
    let _stop = Stop(vec![daemon.clone()]);
    let impatient = || Client::connect(Duration::ZERO);

    let begin = Instant::now();
    let error = impatient().unwrap_err();
    assert!(matches!(error, ClientError::NotRunning), "{error:?}");
    assert!(error.to_string().contains("start wakeupstatsd"), "{error}");
    let error = Client::connect(Duration::from_millis(300)).unwrap_err();
    assert!(matches!(error, ClientError::NotRunning), "{error:?}");
    assert!(begin.elapsed() >= Duration::from_millis(300));
    daemon.order("start").unwrap();
    wait_until_registered().unwrap();
    let mut client = impatient().unwrap();
    client.update().unwrap();
    let wrong = client.snapshot(&SnapshotQuery { limit: -1, ..SnapshotQuery::default() });
    assert!(matches!(&wrong, Err(ClientError::Query(why)) if why.contains("limit is -1")));

    kill(daemon.pid().unwrap());
    daemon.wait_for("restarting", SOON).unwrap();
    let error = client.update().unwrap_err();
    assert!(matches!(error, ClientError::Unreachable(_)), "{error:?}");
    Properties::of_init().set("ctl.interface_start", "aidl/wakeupstats").unwrap();
    wait_until_registered().unwrap();
    assert_eq!((client.update().unwrap().incremental, client.restarts()), (false, 1));
}

#[test]
fn pins_that_are_replaced_and_removed_twenty_times_cost_no_call() {
    let Some(_unload) = pinned() else { return };
    let (_daemon, _stop) = services::start_daemon().unwrap();
    let living = sources::mixed(60).unwrap();
    wait_for(SnapshotBackend::PINNED);
    let before = Kept::now().unwrap();
    let done = AtomicBool::new(false);
    let latest = [const { AtomicI64::new(0) }; CLIENTS];

    let met: Vec<Met> = thread::scope(|scope| {
        let (done, living) = (&done, living.len());
        let client = |latest| scope.spawn(move || keep_up(done, latest, living));
        let clients: Vec<_> = latest.iter().map(client).collect();
        for round in 0..REPLACEMENTS {
            // In one step; both at once; and one after the other, in sight of everybody.
            match round % 3 {
                0 => {}
                1 => backend::unload().unwrap(),
                _ => {
                    fs::remove_file(Pins::new(DEFAULT_DIR).map()).unwrap();
                    wait_for(SnapshotBackend::SYSFS);
                }
            }
            backend::load_and_pin().unwrap();
            wait_for(SnapshotBackend::PINNED);
        }
        done.store(true, Ordering::Relaxed);
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });

    for met in met {
        assert_eq!(met.instances.len(), 1);
        assert!(met.calls > REPLACEMENTS && met.longest < GAP_LIMIT, "{met:?}");
    }
    let after = Kept::now().unwrap();
    assert_ne!(before.programs, after.programs, "they were loaded anew");
    assert_eq!(before.programs.len(), 1);
    let values = |kept: &Kept| kept.maps.values().copied().collect::<Vec<_>>();
    let begin = Instant::now();
    while Kept::now().unwrap().programs.len() > 1 {
        assert!(begin.elapsed() < SOON, "{:?}", Kept::now());
        sleep(Duration::from_millis(50));
    }
    let after = Kept::now().unwrap();
    assert_eq!((values(&before), before.binder), (values(&after), after.binder));
}

/// Says what a program prints, line by line, as long as it lives.
fn lines_of(child: &mut Child) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    let output = BufReader::new(child.stdout.take().unwrap());
    thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|it| sender.send(it)));
    receiver
}

#[test]
fn service_manager_that_dies_takes_the_daemon_along_and_both_come_back() {
    let manager = match selinux::is_enforced() {
        true => "/bin/servicemanager",
        false => "/bin/rsb_hub --config /etc/rsbinder/hub.d",
    };
    let manager = format!("service servicemanager {manager}\n class main\n user root\n");
    // The shortest period that init takes; a device's daemon has mostly lived for longer than its own.
    let daemon = fs::read_to_string(format!("{RC_FILES}/wakeupstatsd.rc")).unwrap();
    let daemon = daemon.replace("restart_period 30", "restart_period 5");
    let files = [("manager".to_owned(), manager), ("daemon".to_owned(), daemon)];
    let properties = Properties::new("/run/init-test-manager");
    let [manager, daemon] =
        ["servicemanager", DAEMON].map(|name| Service::new(properties.clone(), name));

    binder_device::with_another(|| {
        let supervisor = Supervisor::new(properties.clone(), &files).unwrap();
        thread::scope(|scope| {
            let running = scope.spawn(|| supervisor.run());
            let shut_down = ShutDown(properties.clone());
            // The daemon may be the first: it waits.
            properties.set(BPF_LOADED, "1").unwrap();
            daemon.wait_for("running", SOON).unwrap();
            let mut watch = Command::new("/bin/client");
            let mut watch = watch.arg("watch").stdout(Stdio::piped()).spawn().unwrap();
            let lines = lines_of(&mut watch);
            let line = lines.recv_timeout(2 * SOON).unwrap();
            assert!(line.ends_with("restarts 0"), "{line}");

            for round in 1..=MANAGERS {
                sleep(SETTLED);
                let [former_manager, former] = [&manager, &daemon].map(|it| it.pid().unwrap());
                kill(former_manager);
                let line = lines.recv_timeout(2 * SOON).expect("the client finds the next daemon");
                assert!(line.ends_with(&format!("restarts {round}")), "{line}");
                assert_ne!(daemon.pid().unwrap(), former);
                assert_ne!(manager.pid().unwrap(), former_manager);
            }

            watch.kill().unwrap();
            watch.wait().unwrap();
            drop(shut_down);
            running.join().unwrap().unwrap();
        });
    });
    assert!(daemon::service().is_err(), "nothing of that was where others look");
}

#[test]
fn only_nodes_that_nobody_refers_to_and_that_have_less_than_none_are_lost() {
    let node = |id, counts| format!("  node {id}: u1 c0 hs 1 hw 1 {counts} tr 1\n");
    let dead = [
        node(1, "ls -1 lw 0 is 0 iw 0"),
        node(2, "ls 0 lw 0 is 1 iw 1 proc 44"),
        node(3, "ls -1 lw 0 is 1 iw 1 proc 44"),
        node(4, "ls -2 lw 0 is 0 iw 0"),
    ];
    let living = node(5, "ls -1 lw 0 is 0 iw 0");
    let state = format!("binder state:\ndead nodes:\n{}proc 44\n{living}", dead.concat());
    assert_eq!(lost_nodes(&state), 2);
    assert_eq!(lost_nodes(&format!("binder state:\nproc 44\n{living}")), 0);
}
