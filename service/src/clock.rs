// SPDX-License-Identifier: Apache-2.0
//! The clocks that the kernel's numbers are of, in nanoseconds.

use rustix::time::{ClockId, Timespec, clock_gettime};

/// CLOCK_MONOTONIC now.
pub fn monotonic_ns() -> i64 {
    now(ClockId::Monotonic)
}

/// CLOCK_BOOTTIME now.
pub fn boottime_ns() -> i64 {
    now(ClockId::Boottime)
}

fn now(clock: ClockId) -> i64 {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(clock);
    tv_sec.saturating_mul(1_000_000_000).saturating_add(tv_nsec)
}
