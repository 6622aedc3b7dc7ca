// SPDX-License-Identifier: Apache-2.0
#![cfg(test)]
//! Who is let in, and who is turned away with what words.

use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use wakeupstats_vm::daemon::{self, Daemon, SHELL, call_as, dump_as, spawn_as};
use wakeupstats_vm::permission;
use wakeupstats_vm::pipes;

/// A uid that the service manager's policy does not know; with SELinux it is an application's.
const STRANGER: u32 = 9_999;

/// A refusal must come within the service's limit for the permission service, 1 s, and some.
const REFUSAL_LIMIT: Duration = Duration::from_secs(3);

/// Longer than any refusal may take.
const HANG: Duration = Duration::from_secs(6);

/// How many refusals of a dump the service writes at a time (`binder.rs`), ...
const MAX_REFUSALS: usize = 2;

/// ... and more than that.
const REFUSED: usize = 8;

const BATTERY_STATS: &str = "android.permission.BATTERY_STATS";

fn dumped(uid: u32) -> String {
    String::from_utf8(dump_as(uid, &[]).unwrap().stdout).unwrap()
}

#[test]
fn by_uid_root_is_let_in_and_others_are_not() {
    let _daemon = Daemon::start().unwrap();

    assert_eq!(call_as(0, "getSnapshot").unwrap(), "ok\n");
    assert_eq!(call_as(0, "getStatus").unwrap(), "ok\n");
    assert!(dumped(0).starts_with("wakeupstats: backend"));
    for method in ["getSnapshot", "getStatus"] {
        let refusal = call_as(SHELL, method).unwrap();
        let wanted =
            format!("Security: uid {SHELL} may not do this, which needs {BATTERY_STATS}: ");
        assert!(refusal.starts_with(&wanted), "{refusal}");
        assert!(refusal.contains("--allow-uid"), "{refusal}");
    }
    let refusal = dumped(SHELL);
    assert!(refusal.contains("uid 2000 may not do this"), "{refusal}");
    assert!(refusal.contains("android.permission.DUMP"), "{refusal}");
}

#[test]
fn allowed_uid_is_let_in() {
    let _daemon = Daemon::start_with(&["--allow-uid", "2000"]).unwrap();

    assert_eq!(call_as(SHELL, "getSnapshot").unwrap(), "ok\n");
    assert!(dumped(SHELL).starts_with("wakeupstats: backend"));
}

#[test]
fn stranger_does_not_even_find_the_service() {
    let _daemon = Daemon::start_with(&["--allow-uid", "9999"]).unwrap();

    let refusal = call_as(STRANGER, "getSnapshot").unwrap();

    assert!(refusal.starts_with("not found: "), "{refusal}");
}

#[test]
fn without_a_permission_service_nobody_is_let_in() {
    let _daemon = Daemon::start_with(&["--access", "permissions"]).unwrap();
    let begin = Instant::now();

    let refusal = call_as(0, "getSnapshot").unwrap();

    assert!(refusal.starts_with("Security: uid 0 may not do this, which needs android.permission.BATTERY_STATS: the permission service is away"));
    assert!(dumped(0).contains("the permission service is away"));
    assert!(begin.elapsed() < REFUSAL_LIMIT);
}

#[test]
fn refused_dumps_that_nobody_reads_keep_nobody_else_from_dumping() {
    let _daemon = Daemon::start().unwrap();
    let mut refused = Vec::new();
    for _ in 0..REFUSED {
        let (read_end, write_end) = pipes::full().unwrap();
        let mut command = Command::new("/bin/rsb_service");
        command.args(["dump", "wakeupstats"]).stdout(write_end).stderr(Stdio::null());
        refused.push((spawn_as(SHELL, &mut command).unwrap(), read_end));
    }
    let begin = Instant::now();
    let mut waiting = REFUSED;
    while waiting > MAX_REFUSALS && begin.elapsed() < Duration::from_secs(10) {
        thread::sleep(Duration::from_millis(20));
        let ended = refused.iter_mut().filter_map(|(child, _)| child.try_wait().unwrap());
        waiting = REFUSED - ended.count();
    }

    let dumped = dumped(0);

    assert_eq!(waiting, MAX_REFUSALS, "as many as may wait with a refusal");
    assert!(dumped.starts_with("wakeupstats: backend"), "{dumped}");
    for (mut child, read_end) in refused {
        drop(read_end);
        child.wait().unwrap();
    }
}

/// The shell may read battery statistics, and only that.
fn decide(permission: &str, pid: i32, uid: i32) -> bool {
    if permission == "android.permission.DUMP" {
        thread::sleep(HANG);
    }
    assert!(pid > 0);
    permission == BATTERY_STATS && uid == 2_000
}

#[test]
fn zz_permission_service_decides_and_may_not_keep_anyone_waiting() {
    // Last by its name, as the stand-in stays registered for as long as this process lives.
    let daemon = Daemon::start_with(&["--access", "permissions"]).unwrap();
    let _ = daemon::service();
    permission::serve(decide).unwrap();

    assert_eq!(call_as(SHELL, "getSnapshot").unwrap(), "ok\n");
    let refusal = call_as(0, "getSnapshot").unwrap();
    let wanted = format!(
        "Security: uid 0 may not do this, which needs {BATTERY_STATS}: the permission service says no\n"
    );
    assert_eq!(refusal, wanted);
    let begin = Instant::now();
    let refusal = dumped(SHELL);
    assert!(refusal.contains("did not answer within 1s, so no"), "{refusal}");
    assert!(begin.elapsed() < REFUSAL_LIMIT);
    drop(daemon);
}
