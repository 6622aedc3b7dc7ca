// SPDX-License-Identifier: Apache-2.0
//! What the command says where it gets no answer: in one line, with what to do.

use std::fs::OpenOptions;
use std::process::Stdio;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use wakeupstats_vm::binder_device::with_another;
use wakeupstats_vm::daemon::{Daemon, SHELL};
use wakeupstats_vm::selinux;

use crate::running::{Said, command, output, run, run_as, said};

/// A uid that the service manager's policy does not know; with SELinux it is an application's.
const STRANGER: u32 = 9_999;

fn assert_failed(said: &Said, why: &str) {
    assert_eq!((said.status, said.out.as_str()), (Some(1), ""), "{said:?}");
    assert!(said.err.starts_with("wakeupstats: ") && said.err.contains(why), "{said:?}");
    assert_eq!(said.err.lines().count(), 1, "{said:?}");
}

#[test]
fn service_that_is_away_is_named_and_waited_for_if_one_likes() {
    for args in [&["list"][..], &["status"], &["diff"]] {
        assert_failed(&run(args), "is not running");
    }
    let begin = Instant::now();
    assert_failed(&run(&["status", "--wait", "1"]), "start wakeupstatsd");
    assert!(begin.elapsed() >= Duration::from_secs(1));

    let waiting = thread::spawn(|| output(&["--wait", "20", "status"]));
    sleep(Duration::from_millis(300));
    let _daemon = Daemon::start().unwrap();

    assert!(waiting.join().unwrap().contains("backend:"));
}

#[test]
fn without_a_service_manager_it_says_which_to_start() {
    let said = with_another(|| run(&["status"]));

    assert_failed(&said, "no service manager answers on binder: start it");
}

#[test]
fn who_may_not_is_told_so() {
    let _daemon = Daemon::start().unwrap();

    for args in [&["status"][..], &["diff"]] {
        let said = run_as(SHELL, args);
        assert_failed(&said, "not permitted: uid 2000 may not do this");
        assert!(said.err.contains("--allow-uid"), "{said:?}");
    }
    if selinux::is_enforced() {
        assert_failed(&run_as(STRANGER, &["status"]), "this process may not find it");
    }
}

#[test]
fn output_that_can_not_be_written_is_an_error() {
    let _daemon = Daemon::start().unwrap();
    let full = || OpenOptions::new().write(true).open("/dev/full").unwrap();

    for args in [&["list"][..], &["status"], &["diff", "--seconds", "1"], &["man"]] {
        let child = command(args).stdout(full()).stderr(Stdio::piped()).spawn().unwrap();
        assert_failed(&said(child), "standard output can't be written: No space left on device");
    }
}

#[test]
fn service_that_dies_during_a_list_leaves_no_half_of_one() {
    let daemon = Daemon::start().unwrap();
    let _stopped = daemon.stop().unwrap();

    let child = command(&["list"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    sleep(Duration::from_millis(500));
    drop(daemon);

    assert_failed(&said(child), "it died");
}
