// SPDX-License-Identifier: Apache-2.0
//! Pipes that do not do what pipes are for.

use std::os::fd::OwnedFd;

use anyhow::Result;
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::write;
use rustix::pipe::{PipeFlags, pipe_with};

/// The read end of a pipe that has no room left, and its write end: who writes to that waits until
/// somebody reads, or the read end is closed.
pub fn full() -> Result<(OwnedFd, OwnedFd)> {
    let (read_end, write_end) = pipe_with(PipeFlags::CLOEXEC)?;
    fcntl_setfl(&write_end, OFlags::NONBLOCK)?;
    while write(&write_end, &[b'x'; 4096]).is_ok() {}
    fcntl_setfl(&write_end, OFlags::empty())?;
    Ok((read_end, write_end))
}
