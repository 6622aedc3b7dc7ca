// SPDX-License-Identifier: Apache-2.0
//! Callers that hold on to what a dump takes, by not reading it: binder frees what was sent with it,
//! and closes its files, only when it is done.

use std::thread;
use std::time::{Duration, Instant};

use rsbinder::{DUMP_TRANSACTION, FLAG_ONEWAY};
use rustix::fd::OwnedFd;
use wakeupstats_vm::pipes;
use wakeupstats_vm::requests::Request;

use crate::watch::Watch;

/// How many dumps the service writes at a time (`binder.rs`).
const MAX_DUMPS: usize = 4;

/// Files that a dump takes: the one that came, and a copy of it.
const FILES_OF_DUMP: u64 = 2;

/// What the kernel keeps at a time of all that is sent to a process: 1 MiB less two pages.
const BINDER_ROOM: usize = (1 << 20) - 2 * 4096;

/// What a dump with one argument takes beside its characters: an object and its offset, a count, a
/// length, and a NUL.
const OTHER_BYTES: usize = 24 + 8 + 4 + 4 + 4;

/// Longer than it takes the daemon to begin with what was sent.
const SETTLE: Duration = Duration::from_millis(500);

/// What has to be left over for others.
const ANSWER_LIMIT: Duration = Duration::from_secs(3);

/// Sends these at once, does something while nobody reads any, and then lets all come to their end.
fn while_held(watch: &Watch, requests: Vec<Request>, read_ends: Vec<OwnedFd>, test: impl FnOnce()) {
    thread::scope(|scope| {
        for mut request in requests {
            scope.spawn(move || drop(request.send(watch.proxy(), DUMP_TRANSACTION, 0)));
        }
        thread::sleep(SETTLE);
        let begin = Instant::now();
        let tested = std::panic::catch_unwind(std::panic::AssertUnwindSafe(test));
        let took = begin.elapsed();
        // Or the scope would never end.
        drop(read_ends);
        if let Err(panic) = tested {
            std::panic::resume_unwind(panic);
        }
        assert!(took < ANSWER_LIMIT, "{took:?}");
    });
}

#[test]
fn large_dumps_that_nobody_reads_leave_room_for_calls() {
    let watch = Watch::begin();
    let (mut requests, mut read_ends) = (Vec::new(), Vec::new());
    for _ in 0..MAX_DUMPS {
        let (read_end, write_end) = pipes::full().unwrap();
        let arg = vec![u16::from(b'a'); (BINDER_ROOM / MAX_DUMPS - OTHER_BYTES) / 2];
        requests.push(Request::dump(write_end, [arg.as_slice()]));
        read_ends.push(read_end);
    }

    while_held(&watch, requests, read_ends, || watch.assert_answers("large dumps"));

    watch.assert_well("large dumps");
    watch.say("dumps that nobody read");
    watch.assert_kept_to_itself();
}

#[test]
fn dumps_that_nobody_reads_hold_no_other_files() {
    let watch = Watch::begin();
    let (mut requests, mut read_ends) = (Vec::new(), Vec::new());
    for _ in 0..MAX_DUMPS {
        let (read_end, write_end) = pipes::full().unwrap();
        let other = write_end.try_clone().unwrap();
        let mut request = Request::dump(write_end, []);
        request.push_fds(other, 200);
        requests.push(request);
        read_ends.push(read_end);
    }
    let allowed = watch.begin_footprint().fds + MAX_DUMPS as u64 * FILES_OF_DUMP;

    while_held(&watch, requests, read_ends, || {
        let fds = watch.footprint().fds;
        assert!(fds <= allowed, "{fds} files are open, {allowed} may be");
        watch.assert_answers("dumps with many files");
    });

    watch.assert_well("dumps with many files");
    watch.say("dumps that nobody read");
    watch.assert_kept_to_itself();
}

#[test]
fn oneway_calls_behind_a_dump_that_nobody_reads_leave_room_for_calls() {
    let watch = Watch::begin();
    let (read_end, write_end) = pipes::full().unwrap();
    Request::dump(write_end, []).send(watch.proxy(), DUMP_TRANSACTION, FLAG_ONEWAY).unwrap();
    // Oneway calls of one service come one after the other, so these wait for that dump.
    let mut waiting = 0;
    while Request::of(&[0; 60_000]).send(watch.proxy(), 1, FLAG_ONEWAY).is_ok() {
        waiting += 1;
        assert!(waiting < 1_000, "there is no end to it");
    }

    watch.assert_answers("oneway calls");

    drop(read_end);
    thread::sleep(SETTLE);
    watch.assert_well("oneway calls");
    watch.say(&format!("{waiting} oneway calls"));
    watch.assert_kept_to_itself();
}
