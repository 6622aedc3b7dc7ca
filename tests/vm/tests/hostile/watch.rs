// SPDX-License-Identifier: Apache-2.0
//! A daemon under the eyes of a test.

use std::fs;
use std::io;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rsbinder::{Interface, ProxyHandle, SIBinder, Strong};
use wakeupstats_aidl::{IWakeupStats, SnapshotQuery, rows};
use wakeupstats_vm::backend;
use wakeupstats_vm::daemon::{self, Daemon};
use wakeupstats_vm::report::show;
use wakeupstats_vm::selinux;
use wakeupstats_vm::sources::{Sources, file_name};

/// A source that every daemon must find, whatever was tried with it.
const WITNESS: &str = "witness";

/// Binder's 15 threads and the main one. (The permission service is not asked here.)
const MAX_THREADS: u64 = 16;

/// By how much the daemon's memory may grow at the most, of which each thread keeps what its largest
/// parcel took. KiB.
const MAX_GROWTH: u64 = 24 * 1024;

/// What the daemon logs of itself at its start: which backend it takes, and why not a better one.
const MAX_LOG_LINES: usize = 4;

/// So old an answer will do, as thousands are asked for, and sysfs takes its time for each.
const MAX_AGE_MS: i32 = 100;

/// How long a oneway call may take.
const SETTLE_LIMIT: Duration = Duration::from_secs(2);

/// What a process has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Footprint {
    pub(crate) fds: u64,
    pub(crate) threads: u64,
    /// KiB, now and at the most so far.
    pub(crate) memory: u64,
    pub(crate) peak: u64,
}

impl Footprint {
    fn of(pid: u32) -> Self {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let number = |label: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(label)).unwrap();
            line.split_whitespace().next().unwrap().parse().unwrap()
        };
        Footprint {
            fds: files_of(pid),
            threads: number("Threads:"),
            memory: number("VmRSS:"),
            peak: number("VmHWM:"),
        }
    }
}

/// How many files a process has open (since Linux 6.2).
fn files_of(pid: u32) -> u64 {
    fs::metadata(format!("/proc/{pid}/fd")).unwrap().len()
}

/// A daemon as a device has it, and what it was like before anything was tried.
pub(crate) struct Watch {
    daemon: Daemon,
    log: JoinHandle<String>,
    service: Strong<dyn IWakeupStats>,
    binder: SIBinder,
    instance: i64,
    begin: Footprint,
    _witness: Sources,
}

impl Watch {
    pub(crate) fn begin() -> Self {
        if fs::exists("/sys/kernel/btf/vmlinux").unwrap() && selinux::is_enforced() {
            backend::load_and_pin().unwrap();
        }
        let mut daemon = Daemon::start_logging_without_privilege().unwrap();
        let log = daemon.take_log().unwrap();
        let log = thread::spawn(|| io::read_to_string(log).unwrap());
        let mut witness = Sources::new().unwrap();
        witness.add_fifo(&file_name(WITNESS.as_bytes())).unwrap();
        let service = daemon::service().unwrap();
        let instance = service.getStatus().unwrap().instance;
        let binder = service.as_binder();
        // A first call makes what all calls need.
        service.getSnapshot(&SnapshotQuery::default()).unwrap();
        let begin = Footprint::of(daemon.pid());
        Watch { daemon, log, service, binder, instance, begin, _witness: witness }
    }

    pub(crate) fn service(&self) -> &Strong<dyn IWakeupStats> {
        &self.service
    }

    pub(crate) fn proxy(&self) -> &ProxyHandle {
        self.binder.as_proxy().unwrap()
    }

    pub(crate) fn footprint(&self) -> Footprint {
        Footprint::of(self.daemon.pid())
    }

    /// The same daemon still answers, and has no more than it should.
    pub(crate) fn assert_well(&self, after: &str) {
        self.assert_at_work(after);
        let now = self.footprint();
        assert!(now.threads <= MAX_THREADS, "{} threads after {after}", now.threads);
        let growth = now.memory.saturating_sub(self.begin.memory);
        assert!(growth <= MAX_GROWTH, "{growth} KiB more after {after}");
    }

    /// The same daemon still answers, and has no file open that it had not. That is told in less time.
    pub(crate) fn assert_at_work(&self, after: &str) {
        self.assert_answers(after);
        let files = || files_of(self.daemon.pid());
        let begin = Instant::now();
        // What was oneway may be at work yet.
        while files() != self.begin.fds && begin.elapsed() < SETTLE_LIMIT {
            thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(files(), self.begin.fds, "files open after {after}");
    }

    /// The same daemon still answers.
    pub(crate) fn assert_answers(&self, after: &str) {
        let query = SnapshotQuery {
            names: vec![WITNESS.to_owned()],
            maxAgeMs: MAX_AGE_MS,
            ..SnapshotQuery::default()
        };
        let reply = self.service.getSnapshot(&query);
        let reply = reply.unwrap_or_else(|error| panic!("after {after}: {error:?}"));
        let rows = rows(&reply).unwrap();
        assert_eq!(reply.instance, self.instance, "after {after} it is another daemon");
        let names: Vec<_> = rows.iter().map(|row| row.name.as_deref()).collect();
        assert_eq!(names, [Some(WITNESS)], "after {after}");
    }

    /// What it had before anything was tried.
    pub(crate) fn begin_footprint(&self) -> Footprint {
        self.begin
    }

    /// Says how it went, for a person to read, also of a test that passes.
    pub(crate) fn say(&self, what: &str) {
        let (begin, now) = (self.begin, self.footprint());
        show(format_args!(
            "{what}: 0 deaths; files {} -> {}, threads {} -> {}, memory {} -> {} KiB (peak {} -> {})",
            begin.fds,
            now.fds,
            begin.threads,
            now.threads,
            begin.memory,
            now.memory,
            begin.peak,
            now.peak
        ));
    }

    /// Kills it. Nothing that was sent to it may be in its log, which would let a caller fill it, and
    /// write there what it likes. Says what is there.
    pub(crate) fn assert_kept_to_itself(self) {
        let Watch { daemon, log, .. } = self;
        drop(daemon);
        let log = log.join().unwrap();
        let lines = log.lines().count();
        let first: Vec<&str> = log.lines().take(10).collect();
        assert!(lines <= MAX_LOG_LINES, "{lines} lines are in the log: {first:#?}");
    }
}
