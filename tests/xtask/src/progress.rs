// SPDX-License-Identifier: Apache-2.0
//! What the person at the terminal sees while something takes long; all of it on standard error.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// How often a bar moves without news, so that it does not look dead.
const TICK: Duration = Duration::from_millis(120);

/// Says one thing.
pub(crate) fn say(text: &str) {
    eprintln!("{text}");
}

/// Says what failed, then why, from the outside in.
pub(crate) fn say_error(error: &anyhow::Error) {
    say(&format!("xtask: {error}"));
    for cause in error.chain().skip(1) {
        say(&format!("  because: {cause}"));
    }
}

/// A long step: a moving bar on a terminal, one line at its start and one at its end elsewhere.
pub(crate) struct Step {
    what: String,
    started: Instant,
    bar: Option<ProgressBar>,
}

impl Step {
    /// A step of unknown length.
    pub(crate) fn new(what: &str) -> Self {
        Self::start(what, ProgressBar::new_spinner, "{spinner} {msg} {elapsed}")
    }

    /// A step that handles `total` bytes.
    pub(crate) fn of_bytes(what: &str, total: u64) -> Self {
        let template = "{spinner} {msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec}";
        Self::start(what, || ProgressBar::new(total), template)
    }

    fn start(what: &str, bar: impl FnOnce() -> ProgressBar, template: &str) -> Self {
        let bar = is_interactive().then(|| {
            let bar = bar();
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style.progress_chars("=> "));
            }
            bar.set_message(what.to_owned());
            bar.enable_steady_tick(TICK);
            bar
        });
        if bar.is_none() {
            say(&format!("{what} …"));
        }
        Self { what: what.to_owned(), started: Instant::now(), bar }
    }

    /// Moves the bar to this many bytes.
    pub(crate) fn set(&self, bytes: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(bytes);
        }
    }

    /// Ends the step well, and says how long it took.
    pub(crate) fn done(self) {
        let text = format!("{}: {:.1} s", self.what, self.started.elapsed().as_secs_f64());
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        say(&text);
    }
}

impl Drop for Step {
    /// A step that failed leaves no bar behind to be mixed up with the error.
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Whether bars make sense: a log would keep every frame of them.
fn is_interactive() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("CI").is_none()
}
