// SPDX-License-Identifier: Apache-2.0
//! `cargo xtask story`, the part inside the VM: a source that keeps the device awake, and how the command
//! `wakeupstats` finds it. The picture goes to the harness, line by line.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use init::FILE as PREFIX;
use pty_process::Size;
use pty_process::blocking;
use vt100::Parser;
use wakeupstats_vm::backend;
use wakeupstats_vm::daemon::{self, Daemon};
use wakeupstats_vm::sources::{self, Sources};

const WAKEUPSTATS: &str = "/bin/wakeupstats";

/// Sources that do nothing.
const QUIET: usize = 140;

/// Sources that do what drivers' sources do: hold the device awake for a moment, again and again.
const HABITS: &[Habit] = &[
    Habit { name: "modem_ipc", pause_ms: 2_900, held_ms: 140 },
    Habit { name: "wlan_rx", pause_ms: 900, held_ms: 40 },
    Habit { name: "touchscreen", pause_ms: 7_300, held_ms: 350 },
    Habit { name: "charger", pause_ms: 9_700, held_ms: 90 },
    Habit { name: CULPRIT, pause_ms: 1_900, held_ms: 60 },
];

/// The one that goes wrong, ...
const CULPRIT: &str = "sensor_hub";

/// ... from this time on: it is let go again only now and then.
const GOES_WRONG: Duration = Duration::from_secs(20);
const WRONG: Habit = Habit { name: CULPRIT, pause_ms: 250, held_ms: 3_600 };

/// How long it is recorded, and when somebody looks.
const RECORDED: &str = "60s";
const END: Duration = Duration::from_secs(62);
const LOOK: Duration = Duration::from_secs(40);

const RECORDING: &str = "/tmp/drain";
const PICTURE: &str = "/tmp/drain.svg";

/// Lines and columns of a terminal over adb.
const SIZE: (u16, u16) = (24, 80);

#[derive(Clone, Copy)]
struct Habit {
    name: &'static str,
    pause_ms: u64,
    held_ms: u64,
}

fn main() -> Result<()> {
    backend::load_and_pin()?;
    let _daemon = Daemon::start_as_system(daemon::PATH, &[])?;
    let _quiet = sources::mixed(QUIET)?;
    let begin = Instant::now();
    for habit in HABITS {
        let mut sources = Sources::new()?;
        sources.add_fifo(OsStr::new(habit.name))?;
        thread::spawn(move || -> Result<()> {
            loop {
                let is_wrong = habit.name == CULPRIT && begin.elapsed() > GOES_WRONG;
                live(&sources, if is_wrong { &WRONG } else { habit })?;
            }
        });
    }
    let args = ["record", "--interval", "500ms", "--for", RECORDED, "--out", RECORDING];
    said(&args);
    let recorder = Command::new(WAKEUPSTATS).args(args).stdin(Stdio::null()).spawn()?;

    sleep(LOOK.saturating_sub(begin.elapsed()));
    said(&["top"]);
    top()?.lines().for_each(|line| println!("{}", line.trim_end()));
    let args = ["diff", "--seconds", "10"];
    said(&args);
    succeed(Command::new(WAKEUPSTATS).args(args).stdin(Stdio::null()).spawn()?)?;

    sleep(END.saturating_sub(begin.elapsed()));
    succeed(recorder)?;
    let args = ["plot", RECORDING, "--out", PICTURE];
    said(&args);
    succeed(Command::new(WAKEUPSTATS).args(args).stdin(Stdio::null()).spawn()?)?;
    for line in fs::read_to_string(PICTURE)?.lines() {
        println!("{PREFIX}drain.svg {line}");
    }
    Ok(())
}

/// Holds the device awake once, and lets it go.
fn live(sources: &Sources, habit: &Habit) -> Result<()> {
    sleep(Duration::from_millis(habit.pause_ms));
    sources.activate(0)?;
    sleep(Duration::from_millis(habit.held_ms));
    sources.relax(0)
}

fn said(args: &[&str]) {
    println!("\n$ wakeupstats {}", args.join(" "));
}

fn succeed(mut child: Child) -> Result<()> {
    ensure!(child.wait()?.success(), "the command failed, see above");
    Ok(())
}

/// What the terminal shows of `wakeupstats top` after some seconds.
fn top() -> Result<String> {
    let (lines, columns) = SIZE;
    let (pty, pts) = blocking::open()?;
    pty.resize(Size::new(lines, columns))?;
    let child = blocking::Command::new(WAKEUPSTATS).arg("top").spawn(pts)?;
    let pty = Arc::new(pty);
    let parser = Arc::new(Mutex::new(Parser::new(lines, columns, 0)));
    let (shown, written) = (Arc::clone(&parser), Arc::clone(&pty));
    thread::spawn(move || {
        let mut bytes = [0; 4096];
        // Fails when the command has ended.
        while let Ok(count @ 1..) = (&*written).read(&mut bytes) {
            let Ok(mut shown) = shown.lock() else { return };
            shown.process(bytes.get(..count).unwrap_or_default());
        }
    });
    sleep(Duration::from_millis(4_500));
    let screen = parser.lock().ok().context("the terminal's reader panicked")?.screen().contents();
    (&*pty).write_all(b"q")?;
    succeed(child)?;
    Ok(screen)
}
