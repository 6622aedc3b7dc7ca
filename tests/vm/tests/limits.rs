// SPDX-License-Identifier: Apache-2.0
#![cfg(test)]
//! A service that is short of what it needs, threads, open files or memory: what can't be done fails as the
//! interface says, the rest goes on, and all of it does when there is enough again.

use std::fs;
use std::os::unix::fs::chown;
use std::process::{Child, Command, Stdio};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use init::RC_FILES;
use init::property::Properties;
use init::supervisor::Supervisor;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit};
use wakeupstats_aidl::{
    Client, ClientError, ERROR_READ_FAILED, ERROR_REPLY_FAILED, SnapshotQuery, Source, rows,
};
use wakeupstats_vm::daemon::{self, Daemon, SHELL, SYSTEM};
use wakeupstats_vm::kept::Kept;
use wakeupstats_vm::pinning::pinned;
use wakeupstats_vm::report::show;
use wakeupstats_vm::services::{self, BPF_LOADED, DAEMON, SOON, Service, ShutDown};
use wakeupstats_vm::sources;

/// As many sources as do not fit into a reply.
const MANY: usize = 2_500;

/// How long a client waits for an answer, at the most, while others are at their worst: all share two processors
/// that QEMU emulates.
const BUSY_LIMIT: Duration = Duration::from_secs(10);

/// And when they have gone, and what they left has been done.
const QUIET_LIMIT: Duration = Duration::from_secs(1);

/// Until then.
const RECOVERY_LIMIT: Duration = Duration::from_secs(30);

/// Calls of whoever does nothing wrong.
const CALLS: usize = 30;

/// What the daemon may take with [`MANY`] sources, whoever calls. Bytes.
const MEMORY_LIMIT: u64 = 16 << 20;

/// Clients that ask for everything at once.
const CLIENTS: usize = 12;

/// More files than the backend sysfs opens at a time.
const MOST_FILES: usize = 12;

fn everything() -> SnapshotQuery {
    SnapshotQuery::default()
}

/// A query whose answer is small.
fn little() -> SnapshotQuery {
    SnapshotQuery { limit: 5, ..everything() }
}

fn client() -> Client {
    Client::connect(Duration::ZERO).unwrap()
}

/// The longest of some calls, of which none may fail.
fn longest_of(calls: usize, client: &mut Client) -> Duration {
    let each = (0..calls).map(|_| {
        let begin = Instant::now();
        assert!(client.update().unwrap().complete);
        begin.elapsed()
    });
    each.max().unwrap_or_default()
}

/// Processes that are killed when this is dropped.
struct Others(Vec<Child>);

impl Others {
    fn add(&mut self, uid: u32, program: &str, arguments: &[&str], stdout: Stdio) -> i32 {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(stdout).stderr(Stdio::null());
        let child = daemon::spawn_as(uid, &mut command).unwrap();
        let pid = child.id() as i32;
        self.0.push(child);
        pid
    }
}

impl Drop for Others {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn clients_that_do_not_read_and_do_not_wait_hold_up_others_for_a_moment() {
    let _unload = pinned();
    let (daemon, _stop) = services::start_daemon().unwrap();
    let _sources = sources::eventfds(MANY).unwrap();
    let mut client = client();
    let before_others = longest_of(CALLS, &mut client);
    client.snapshot(&little()).unwrap();
    let files = open_files(daemon.pid().unwrap());
    let kept = Kept::now().unwrap();
    let mut others = Others(Vec::new());
    let mut pipes = Vec::new();

    // Dumps of those who may, and of those who may not, that nobody reads;
    for uid in [0, 0, 0, 0, 0, 0, SHELL, SHELL, SHELL, SHELL] {
        let (read_end, write_end) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        pipes.push(read_end);
        others.add(uid, "/bin/rsb_service", &["dump", "wakeupstats"], write_end.into());
    }
    // clients that stop amid large replies;
    for _ in 0..4 {
        let pid = others.add(0, "/bin/client", &["snapshots"], Stdio::null());
        sleep(Duration::from_millis(300));
        kill_process(Pid::from_raw(pid).unwrap(), Signal::STOP).unwrap();
    }
    // and those that ask on and on, and wait for no answer.
    for _ in 0..2 {
        others.add(0, "/bin/client", &["flood"], Stdio::null());
    }
    sleep(Duration::from_secs(1));
    let during = longest_of(CALLS, &mut client);
    let status = Instant::now();
    client.status().unwrap();
    let status = status.elapsed();

    drop((others, pipes));
    let gone = Instant::now();
    while longest_of(3, &mut client) > QUIET_LIMIT {
        assert!(gone.elapsed() < RECOVERY_LIMIT, "what was asked for is still being done");
    }
    let recovery = gone.elapsed();
    while Kept::now().unwrap() != kept {
        assert!(gone.elapsed() < RECOVERY_LIMIT, "{kept:?} {:?}", Kept::now());
        sleep(Duration::from_millis(50));
    }
    let all_done = gone.elapsed();
    let after = longest_of(CALLS, &mut client);
    show(format_args!(
        "longest call before {before_others:.2?}, during {during:.2?} (status {status:.2?}), \
         after {after:.2?}; as before after {recovery:.2?}, and nothing left after {all_done:.2?}"
    ));
    assert!(during < BUSY_LIMIT && status < BUSY_LIMIT, "{during:?} {status:?}");
    assert!(after < QUIET_LIMIT, "{after:?}");
    assert_eq!(client.restarts(), 0);
    wait_until_open(daemon.pid().unwrap(), &files);
    assert!(daemon::dump(&[]).unwrap().stdout.starts_with(b"wakeupstats: "));
}

/// The numbers of a process's open files.
fn open_files(pid: i32) -> Vec<u64> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let number = |name: &std::ffi::OsStr| name.to_str().unwrap().parse().unwrap();
    let mut files: Vec<u64> = entries.map(|it| number(&it.unwrap().file_name())).collect();
    files.sort_unstable();
    files
}

/// Waits until those are open again: a large reply's is closed a little after it was sent.
fn wait_until_open(pid: i32, files: &[u64]) {
    let begin = Instant::now();
    while open_files(pid) != files {
        assert!(begin.elapsed() < SOON, "{:?}, not {files:?}", open_files(pid));
        sleep(Duration::from_millis(10));
    }
}

/// Lets a process open so many more files than it has open.
fn leave_free(pid: i32, free: usize) {
    let files = open_files(pid);
    // The limit is one of numbers: those that are open above it stay open.
    let limit = (0..).filter(|number| !files.contains(number)).nth(free);
    set_limit(pid, limit);
}

/// Lets it open so many, or as many as this process, whose limit PID 1 has set for all.
fn set_limit(pid: i32, limit: Option<u64>) {
    let own = getrlimit(Resource::Nofile);
    let limit = Rlimit { current: limit.or(own.current), maximum: own.maximum };
    prlimit(Pid::from_raw(pid), Resource::Nofile, limit).unwrap();
}

/// The code of a service-specific error, and its message.
#[track_caller]
fn failed<T: std::fmt::Debug>(result: Result<T, ClientError>) -> (i32, String) {
    match result {
        Err(ClientError::Failed(code, message)) => (code, message),
        other => panic!("not a declared error: {other:?}"),
    }
}

#[test]
fn without_a_file_for_a_large_reply_small_ones_go_on() {
    let unload = pinned();
    let (daemon, _stop) = services::start_daemon().unwrap();
    let pid = daemon.pid().unwrap();
    let _sources = sources::eventfds(MANY).unwrap();
    let mut client = client();
    client.snapshot(&little()).unwrap();
    let files = open_files(pid);
    let first = client.snapshot(&everything()).unwrap();
    assert!(first.largeSources.is_some());
    wait_until_open(pid, &files);
    let is_sysfs = unload.is_none();

    leave_free(pid, 0);
    for _ in 0..3 {
        let (code, message) = failed(client.snapshot(&everything()));
        if is_sysfs {
            // Which opens a file for each value.
            assert_eq!(code, ERROR_READ_FAILED, "{message}");
            continue;
        }
        assert_eq!(code, ERROR_REPLY_FAILED, "{message}");
        assert!(message.contains("no file can be made for the"), "{message}");
        assert!(message.contains("Too many open files"), "{message}");
        assert_eq!(rows(&client.snapshot(&little()).unwrap()).unwrap().len(), 5);
        client.status().unwrap();
    }
    set_limit(pid, None);

    let again = client.snapshot(&everything()).unwrap();
    assert!(again.largeSources.is_some() && again.complete);
    let handles = |snapshot| -> Vec<i64> {
        rows(snapshot).unwrap().into_iter().map(|row: Source| row.handle).collect()
    };
    assert_eq!(handles(&again), handles(&first), "no source was taken for another");
    assert_eq!(client.restarts(), 0);
    wait_until_open(pid, &files);
}

#[test]
fn sysfs_with_too_few_files_gives_all_or_says_that_it_can_not() {
    let daemon = Daemon::start_without_privilege(&["--backend", "sysfs"]).unwrap();
    let pid = daemon.pid() as i32;
    let living = sources::mixed(20).unwrap();
    living.activate_all().unwrap();
    living.relax_all().unwrap();
    let mut client = client();
    let values = |client: &mut Client| {
        client.snapshot(&everything()).map(|snapshot| {
            assert!(snapshot.complete);
            rows(&snapshot).unwrap()
        })
    };
    let all = values(&mut client).unwrap();
    assert!(all.len() > 20);
    let files = open_files(pid);

    let mut answers = Vec::new();
    // A node takes its directory, six files that stay open while it is read, and others one at a time.
    for free in 0..=MOST_FILES {
        leave_free(pid, free);
        match values(&mut client) {
            Ok(rows) => {
                assert_eq!(rows, all, "with {free}");
                answers.push(free);
            }
            error => {
                let (code, message) = failed(error);
                assert_eq!(code, ERROR_READ_FAILED, "with {free}: {message}");
                assert!(message.contains("Too many open files"), "with {free}: {message}");
            }
        }
    }
    set_limit(pid, None);

    let least = answers.first().copied().unwrap_or_default();
    assert!(least > 2, "{answers:?}");
    assert_eq!(
        answers,
        (least..=MOST_FILES).collect::<Vec<_>>(),
        "enough once is enough with more"
    );
    assert_eq!(values(&mut client).unwrap(), all, "no source was taken for another");
    assert_eq!(client.restarts(), 0);
    wait_until_open(pid, &files);
}

/// A control group with limited memory for the daemon, and one beside it for this process, so that who runs as
/// system may go from one to the other.
const CGROUPS: &str = "/sys/fs/cgroup/limits";

fn cgroup(name: &str) -> String {
    format!("{CGROUPS}/{name}")
}

#[test]
fn memory_is_bounded_and_who_is_killed_for_it_comes_back() {
    fs::write("/sys/fs/cgroup/cgroup.subtree_control", "+memory").unwrap();
    for name in ["", "tests", "daemon"] {
        fs::create_dir(cgroup(name)).unwrap();
    }
    fs::write(cgroup("cgroup.subtree_control"), "+memory").unwrap();
    fs::write(cgroup("tests/cgroup.procs"), "0").unwrap();
    for name in ["cgroup.procs", "daemon/cgroup.procs"] {
        chown(cgroup(name), Some(SYSTEM), None).unwrap();
    }
    let memory_max = cgroup("daemon/memory.max");
    fs::write(&memory_max, MEMORY_LIMIT.to_string()).unwrap();
    let events = || fs::read_to_string(cgroup("daemon/memory.events")).unwrap();
    let _unload = pinned();
    let text = fs::read_to_string(format!("{RC_FILES}/wakeupstatsd.rc")).unwrap();
    let enter = format!("/bin/client enter {} {}", cgroup("daemon"), daemon::PATH_WITHOUT_LOADER);
    let text = text.replace(daemon::PATH_WITHOUT_LOADER, &enter);
    let properties = Properties::new("/run/init-test-memory");
    let supervisor = Supervisor::new(properties.clone(), &[("a file".to_owned(), text)]).unwrap();
    let running = thread::spawn(|| supervisor.run());
    let shut_down = ShutDown(properties.clone());
    let daemon = Service::new(properties.clone(), DAEMON);
    properties.set(BPF_LOADED, "1").unwrap();
    let _sources = sources::eventfds(MANY).unwrap();

    let many_calls = || {
        let mut client = Client::connect(SOON).unwrap();
        for _ in 0..5 {
            let snapshot = client.snapshot(&everything()).unwrap();
            assert!(rows(&snapshot).unwrap().len() > MANY);
            client.update().unwrap();
        }
        assert_eq!(client.restarts(), 0);
    };
    thread::scope(|scope| {
        (0..CLIENTS).for_each(|_| drop(scope.spawn(many_calls)));
        for _ in 0..5 {
            let dump = daemon::dump(&["--json"]).unwrap().stdout;
            assert!(dump.is_empty() || dump.starts_with(b"{"));
        }
    });
    let peak: u64 =
        fs::read_to_string(cgroup("daemon/memory.peak")).unwrap().trim().parse().unwrap();
    show(format_args!("{MANY} sources, {CLIENTS} clients: at most {} KiB", peak / 1024));
    let processes = fs::read_to_string(cgroup("daemon/cgroup.procs")).unwrap();
    assert_eq!(processes.trim(), daemon.pid().unwrap().to_string(), "it is limited");
    for line in ["oom 0", "oom_kill 0"] {
        assert!(events().contains(line), "{}", events());
    }

    let mut client = Client::connect(SOON).unwrap();
    client.update().unwrap();
    let former = daemon.pid().unwrap();
    fs::write(&memory_max, "65536").unwrap();
    daemon.wait_for("restarting", SOON).unwrap();
    assert!(events().contains("oom_kill 1"), "{}", events());
    fs::write(&memory_max, MEMORY_LIMIT.to_string()).unwrap();
    properties.set("ctl.interface_start", "aidl/wakeupstats").unwrap();
    daemon.wait_for("running", SOON).unwrap();
    let mut patient = Client::connect(SOON).unwrap();
    assert!(patient.update().unwrap().complete);
    assert!(!client.update().unwrap().incremental);
    assert_eq!(client.restarts(), 1);
    assert_ne!(daemon.pid().unwrap(), former);

    drop(shut_down);
    running.join().unwrap().unwrap();
}
