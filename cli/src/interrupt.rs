// SPDX-License-Identifier: Apache-2.0
//! Signals that ask for an end: SIGINT, SIGTERM and SIGHUP.

use std::io;
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Calls this at each of them, in a thread of its own. From now on they end the process no more.
pub(crate) fn on_each(mut then: impl FnMut() + Send + 'static) -> io::Result<()> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
    thread::spawn(move || signals.forever().for_each(|_| then()));
    Ok(())
}
