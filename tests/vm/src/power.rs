// SPDX-License-Identifier: Apache-2.0
//! What only the kernel's power management makes wakeup sources do: abort a suspend, and expire.

use std::fs;

use anyhow::{Result, bail};
use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

/// The source that [`expire_alarmtimer`] makes active.
pub const ALARMTIMER: &str = "alarmtimer";

/// Lets the kernel count in `wakeup_count` what happens from now on, as if a suspend were near
/// (`events_check_enabled`, until the next attempt). No source may be active.
pub fn count_wakeups() -> Result<()> {
    let count = fs::read("/sys/power/wakeup_count")?;
    Ok(fs::write("/sys/power/wakeup_count", count)?)
}

/// Makes the source [`ALARMTIMER`] active for two seconds, at the end of which it expires: so it
/// refuses a suspend while an alarm is nearer than that (`alarmtimer_suspend`).
pub fn expire_alarmtimer() -> Result<()> {
    let alarm = timerfd_create(TimerfdClockId::BoottimeAlarm, TimerfdFlags::CLOEXEC)?;
    let never = Timespec { tv_sec: 0, tv_nsec: 0 };
    let near = Timespec { tv_sec: 1, tv_nsec: 950_000_000 };
    let timer = Itimerspec { it_interval: never, it_value: near };
    timerfd_settime(&alarm, TimerfdTimerFlags::empty(), &timer)?;
    match fs::write("/sys/power/state", "mem") {
        Err(error) if Errno::from_io_error(&error) == Some(Errno::BUSY) => Ok(()),
        Err(error) => Err(error.into()),
        Ok(()) => bail!("the machine was suspended though an alarm was near"),
    }
}
