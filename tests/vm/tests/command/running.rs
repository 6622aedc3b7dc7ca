// SPDX-License-Identifier: Apache-2.0
//! The command, run and waited for, and what it finds.

use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use wakeupstats_vm::daemon::spawn_as;
use wakeupstats_vm::sources::{Sources, file_name};

/// Where it is in the guest.
pub(crate) const PATH: &str = "/bin/wakeupstats";

/// The name of the source that keeps the device awake.
pub(crate) const CULPRIT: &str = "culprit";

/// How long something may take that takes no time.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// What it said, and its exit status.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) status: Option<i32>,
}

/// Runs it with these arguments.
pub(crate) fn run(args: &[&str]) -> Said {
    run_as(0, args)
}

/// Runs it as this user, in that one's domain.
pub(crate) fn run_as(uid: u32, args: &[&str]) -> Said {
    let mut command = command(args);
    said(spawn_as(uid, command.stdout(Stdio::piped()).stderr(Stdio::piped())).unwrap())
}

/// The same, to be started.
pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(PATH);
    command.args(args).stdin(Stdio::null());
    command
}

/// What it said, at its end.
pub(crate) fn said(child: std::process::Child) -> Said {
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said { out: text(output.stdout), err: text(output.stderr), status: output.status.code() }
}

/// What it said on standard output, where all went well.
pub(crate) fn output(args: &[&str]) -> String {
    let said = run(args);
    assert!(said.status == Some(0) && said.err.is_empty(), "{args:?}: {said:?}");
    said.out
}

/// Two quiet sources, and between them one that keeps the device awake until this is dropped.
pub(crate) fn drain() -> Sources {
    let mut sources = Sources::new().unwrap();
    for name in ["innocent", CULPRIT, "bystander"] {
        sources.add_fifo(&file_name(name.as_bytes())).unwrap();
    }
    sources.activate(1).unwrap();
    sources
}

/// Waits until something is so, and fails with what `seen` says if it never is.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool, seen: impl Fn() -> String) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < SOON, "{what}: {}", seen());
        sleep(Duration::from_millis(20));
    }
}
