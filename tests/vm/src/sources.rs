// SPDX-License-Identifier: Apache-2.0
//! Real wakeup sources, made by watching files with `EPOLLWAKEUP`.
//!
//! The kernel registers one source for an epoll instance, "eventpoll", and one for each file that
//! is watched, named after its directory entry (`ep_create_wakeup_source`, fs/eventpoll.c). An event
//! on the file makes the latter active until `epoll_wait` has delivered it.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::fs::{CWD, Mode, OFlags, mkfifoat, open};
use rustix::io::{read, write};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

/// include/uapi/linux/eventpoll.h
const EPOLLWAKEUP: EventFlags = EventFlags::from_bits_retain(1 << 29);

/// The name of the source of an eventfd.
pub const EVENTFD: &str = "[eventfd]";

/// The name of the source of a timerfd.
pub const TIMERFD: &str = "[timerfd]";

/// What a source watches.
#[derive(Debug)]
enum Watched {
    Event(OwnedFd),
    Timer(OwnedFd),
    Fifo(OwnedFd),
}

impl AsFd for Watched {
    fn as_fd(&self) -> rustix::fd::BorrowedFd<'_> {
        match self {
            Watched::Event(fd) | Watched::Timer(fd) | Watched::Fifo(fd) => fd.as_fd(),
        }
    }
}

/// An epoll instance and the wakeup sources that it watches. All go when this is dropped.
#[derive(Debug)]
pub struct Sources {
    epoll: OwnedFd,
    watched: Vec<Watched>,
    dir: PathBuf,
}

impl Sources {
    /// An epoll instance that watches nothing yet: the kernel registers "eventpoll" with the first.
    pub fn new() -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = PathBuf::from(format!("/tmp/fifos-{}-{count}", std::process::id()));
        std::fs::create_dir(&dir).with_context(|| format!("can't make {}", dir.display()))?;
        Ok(Sources { epoll: epoll::create(CreateFlags::CLOEXEC)?, watched: Vec::new(), dir })
    }

    /// How many files are watched: the sources but for "eventpoll".
    pub fn len(&self) -> usize {
        self.watched.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.watched.is_empty()
    }

    /// Adds a source named [`EVENTFD`].
    pub fn add_eventfd(&mut self) -> Result<()> {
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        self.watch(Watched::Event(fd))
    }

    /// Adds a source named [`TIMERFD`].
    pub fn add_timerfd(&mut self) -> Result<()> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        self.watch(Watched::Timer(timerfd_create(TimerfdClockId::Monotonic, flags)?))
    }

    /// Adds a source with this name, which must be one that a file can have.
    pub fn add_fifo(&mut self, name: &OsStr) -> Result<()> {
        let path = self.dir.join(name);
        mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR)
            .with_context(|| format!("can't make {}", path.display()))?;
        let fd = open(&path, OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())?;
        self.watch(Watched::Fifo(fd))
    }

    fn watch(&mut self, watched: Watched) -> Result<()> {
        let data = EventData::new_u64(self.watched.len() as u64);
        epoll::add(&self.epoll, &watched, data, EventFlags::IN | EPOLLWAKEUP)
            .context("can't watch a file with EPOLLWAKEUP")?;
        self.watched.push(watched);
        Ok(())
    }

    /// Takes the source away that was added last, active or not: the kernel unregisters it before this
    /// returns.
    pub fn remove_last(&mut self) -> Result<()> {
        let watched = self.watched.pop().context("no source is left")?;
        epoll::delete(&self.epoll, &watched).context("can't stop watching a file")
    }

    /// Makes source `index` active. It is when this returns: a timer's, which expires in 1 µs, is waited for.
    pub fn activate(&self, index: usize) -> Result<()> {
        match self.watched.get(index).context("no such source")? {
            Watched::Event(fd) => write(fd, &1u64.to_ne_bytes()).map(drop)?,
            Watched::Fifo(fd) => write(fd, b"x").map(drop)?,
            Watched::Timer(fd) => {
                let soon = Timespec { tv_sec: 0, tv_nsec: 1_000 };
                let never = Timespec { tv_sec: 0, tv_nsec: 0 };
                let timer = Itimerspec { it_interval: never, it_value: soon };
                timerfd_settime(fd, TimerfdTimerFlags::empty(), &timer)?;
                // Readable under the lock under which it has woken epoll (timerfd_poll, timerfd_tmrproc).
                poll(&mut [PollFd::new(fd, PollFlags::IN)], None)?;
            }
        }
        Ok(())
    }

    /// Makes all sources active.
    pub fn activate_all(&self) -> Result<()> {
        (0..self.len()).try_for_each(|index| self.activate(index))
    }

    /// Lets all sources relax, each once.
    pub fn relax_all(&self) -> Result<()> {
        (0..self.len()).try_for_each(|index| self.take_event(index))?;
        self.notice()
    }

    /// Lets source `index` relax: takes its event away, and makes epoll notice. Others of this
    /// instance that are active relax and become active again meanwhile.
    pub fn relax(&self, index: usize) -> Result<()> {
        self.take_event(index)?;
        self.notice()
    }

    fn take_event(&self, index: usize) -> Result<()> {
        let watched = self.watched.get(index).context("no such source")?;
        match read(watched, &mut [0; 8]) {
            Ok(_) | Err(rustix::io::Errno::AGAIN) => Ok(()),
            Err(error) => Err(error).context("can't take an event away"),
        }
    }

    /// Level-triggered, epoll relaxes a source when it finds that its file is no longer ready.
    fn notice(&self) -> Result<()> {
        let mut events = Vec::with_capacity(self.watched.len().max(1));
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&now))?;
        Ok(())
    }
}

impl Drop for Sources {
    fn drop(&mut self) {
        // In a directory of its own under /tmp, which goes with the VM: nothing is lost if it stays.
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// `count` sources, by turns on eventfds, timerfds and FIFOs named `fifo-N`.
pub fn mixed(count: usize) -> Result<Sources> {
    let mut sources = Sources::new()?;
    for index in 0..count {
        match index % 3 {
            0 => sources.add_eventfd()?,
            1 => sources.add_timerfd()?,
            _ => sources.add_fifo(&OsString::from(format!("fifo-{index}")))?,
        }
    }
    Ok(sources)
}

/// `count` sources on eventfds.
pub fn eventfds(count: usize) -> Result<Sources> {
    let mut sources = Sources::new()?;
    (0..count).try_for_each(|_| sources.add_eventfd())?;
    Ok(sources)
}

/// A file name of these bytes.
pub fn file_name(bytes: &[u8]) -> OsString {
    OsStr::from_bytes(bytes).to_owned()
}
