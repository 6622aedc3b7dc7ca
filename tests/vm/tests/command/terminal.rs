// SPDX-License-Identifier: Apache-2.0
//! A terminal in which the command runs, and what it shows.

use std::io::{Read, Write};
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Mutex};
use std::thread;

use pty_process::Size;
use pty_process::blocking::{Command, Pty};
use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::{LocalModes, tcgetattr};
use vt100::{Parser, Screen};

use crate::running::{PATH, wait_until};

/// A terminal's usual size, which is also adb's if nothing is said: lines and columns.
pub(crate) const SIZE: (u16, u16) = (24, 80);

/// A running command, killed when this is dropped, and its terminal.
pub(crate) struct Terminal {
    child: Child,
    pty: Arc<Pty>,
    parser: Arc<Mutex<Parser>>,
}

impl Terminal {
    /// Starts it with these arguments.
    pub(crate) fn start(args: &[&str]) -> Self {
        let (pty, pts) = pty_process::blocking::open().unwrap();
        let (lines, columns) = SIZE;
        pty.resize(Size::new(lines, columns)).unwrap();
        let child = Command::new(PATH).args(args).spawn(pts).unwrap();
        let pty = Arc::new(pty);
        let parser = Arc::new(Mutex::new(Parser::new(lines, columns, 0)));
        let (shown, written) = (Arc::clone(&parser), Arc::clone(&pty));
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            // Fails when the command has ended.
            while let Ok(count @ 1..) = (&*written).read(&mut bytes) {
                shown.lock().unwrap().process(&bytes[..count]);
            }
        });
        Terminal { child, pty, parser }
    }

    /// Presses keys.
    pub(crate) fn press(&self, keys: &str) {
        (&*self.pty).write_all(keys.as_bytes()).unwrap();
    }

    /// Gives it another size.
    pub(crate) fn resize(&self, lines: u16, columns: u16) {
        self.parser.lock().unwrap().screen_mut().set_size(lines, columns);
        self.pty.resize(Size::new(lines, columns)).unwrap();
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Something of what is on the screen.
    pub(crate) fn see<T>(&self, what: impl Fn(&Screen) -> T) -> T {
        what(self.parser.lock().unwrap().screen())
    }

    /// The screen's lines, each without the spaces at its end.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.see(|screen| {
            let lines = screen.rows(0, screen.size().1);
            lines.map(|line| line.trim_end().to_owned()).collect()
        })
    }

    /// Waits until the lines are so.
    pub(crate) fn wait_for(&self, what: &str, is_so: impl Fn(&[String]) -> bool) -> Vec<String> {
        wait_until(what, || is_so(&self.lines()), || format!("{:#?}", self.lines()));
        self.lines()
    }

    /// Waits for its end, and whether the terminal is then as it was: it shows the cursor and what is typed, and
    /// its usual screen.
    pub(crate) fn end(mut self) -> (ExitStatus, bool) {
        let status = self.child.wait().unwrap();
        let is_restored = || {
            let modes = tcgetattr(&*self.pty).unwrap().local_modes;
            modes.contains(LocalModes::ECHO | LocalModes::ICANON)
                && self.see(|screen| !screen.alternate_screen() && !screen.hide_cursor())
        };
        // Its last words may be on their way.
        wait_until("the terminal's old state", is_restored, || format!("{:#?}", self.lines()));
        (status, is_restored())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
