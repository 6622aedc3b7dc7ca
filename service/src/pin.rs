// SPDX-License-Identifier: Apache-2.0
//! `wakeupstatsd load` and `unload`: does with privilege what AOSP's bpfloader does at boot, so that
//! the service needs none.

use std::fmt;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::{
    AtFlags, CWD, FlockOperation, Gid, Mode, OFlags, RenameFlags, Uid, chmod, chownat, flock,
    fstatfs, mkdir, open, renameat_with,
};
use rustix::io::Errno;
use thiserror::Error;

use crate::layout::WS_CHUNKS;
use crate::load::{self, Pinnable};
use crate::pins::{MAP_PIN, PROGRAM_PIN, Pins};

/// `BPF_FS_MAGIC`, include/uapi/linux/magic.h
const BPF_FS_MAGIC: u32 = 0xcafe_4a11;

/// How long another `load` may take, and the pause between looks whether it has ended.
const LOCK_LIMIT: Duration = Duration::from_secs(10);
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Read by its owner and group, as bpfloader has it: enough to run the program and read the map.
const MODE: Mode = Mode::from_raw_mode(0o440);

/// Searched by all.
const DIR_MODE: Mode = Mode::from_raw_mode(0o755);

/// Why nothing was pinned, or not unpinned.
#[derive(Debug, Error)]
pub enum Error {
    /// The program can't be loaded.
    #[error(transparent)]
    Load(#[from] load::Error),
    /// There is no BPF file system.
    #[error("{} is no directory of a BPF file system: mount one (mount -t bpf bpf /sys/fs/bpf)", .0.display())]
    NoBpfFs(PathBuf),
    /// The directory has something else in it.
    #[error("{} is not this service's: move it away, as its directory is replaced", .0.display())]
    NotOurs(PathBuf),
    /// Somebody holds the lock.
    #[error("someone else has {} locked: another load, or what does not belong there", .0.display())]
    Locked(PathBuf),
    /// Something about files.
    #[error("can't {what} {}", path.display())]
    File {
        /// What should have been done to it.
        what: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why it was not.
        #[source]
        source: io::Error,
    },
}

/// Whom the pins belong to.
#[derive(Clone, Copy, Debug)]
pub struct Owner {
    /// The uid that may run the program.
    pub uid: u32,
    /// The gid likewise.
    pub gid: u32,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "uid {} and gid {}", self.uid, self.gid)
    }
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing was there before.
    Pinned,
    /// What was there was replaced.
    Replaced,
}

/// Loads the program and pins it for `owner`. Where other pins are there already, they are replaced
/// at once, both together; a service that has them open notices and opens the new ones.
pub fn load(pins: &Pins, owner: Owner) -> Result<Outcome, Error> {
    let stage = Stage::enter(pins)?;
    refuse_what_is_not_ours(pins.dir())?;
    let loaded = Pinnable::load(WS_CHUNKS)?;
    let new = Pins::new(&stage.dir);
    attempt(&stage.dir, "make", mkdir(&stage.dir, DIR_MODE))?;
    // Whatever the umask is.
    attempt(&stage.dir, "set the mode of", chmod(&stage.dir, DIR_MODE))?;
    loaded.pin(&new.program(), &new.map())?;
    for path in [new.program(), new.map()] {
        // The mode first: of what belongs to another it takes one capability more.
        attempt(&path, "set the mode of", chmod(&path, MODE))?;
        let (uid, gid) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
        let result = chownat(CWD, &path, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW);
        attempt(&path, "set the owner of", result)?;
    }
    let outcome = stage.swap()?;
    clear(&stage.dir)?;
    Ok(outcome)
}

/// Removes the pins. Says whether there were any.
pub fn unload(pins: &Pins) -> Result<bool, Error> {
    let _stage = Stage::enter(pins)?;
    clear(pins.dir())
}

/// The directory beside that of the pins in which new ones are made, so that they can take the place
/// of the old ones in one step. On Android its label is that of the pins, as policy has it for all
/// paths that begin like theirs.
struct Stage<'a> {
    pins: &'a Pins,
    dir: PathBuf,
    /// The directory of both, locked against others who do the same.
    _parent: OwnedFd,
}

impl<'a> Stage<'a> {
    /// Locks, and removes what an interrupted attempt has left.
    fn enter(pins: &'a Pins) -> Result<Self, Error> {
        let (Some(parent), Some(name)) = (pins.dir().parent(), pins.dir().file_name()) else {
            return Err(Error::NoBpfFs(pins.dir().to_owned()));
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = attempt(parent, "open", open(parent, flags, Mode::empty()))?;
        let kind = attempt(parent, "look at", fstatfs(&fd))?.f_type;
        if kind as u32 != BPF_FS_MAGIC {
            return Err(Error::NoBpfFs(parent.to_owned()));
        }
        lock(&fd, parent)?;
        let mut name = name.to_owned();
        // No dots: BPF file systems reserve them.
        name.push("_new");
        let stage = Stage { pins, dir: parent.join(name), _parent: fd };
        clear(&stage.dir)?;
        Ok(stage)
    }

    /// Puts the new pins into the place of the old, which come here.
    fn swap(&self) -> Result<Outcome, Error> {
        let to = self.pins.dir();
        match renameat_with(CWD, &self.dir, CWD, to, RenameFlags::EXCHANGE) {
            Ok(()) => Ok(Outcome::Replaced),
            Err(Errno::NOENT) => {
                let result = renameat_with(CWD, &self.dir, CWD, to, RenameFlags::NOREPLACE);
                attempt(to, "make", result)?;
                Ok(Outcome::Pinned)
            }
            Err(error) => attempt(to, "replace", Err(error)),
        }
    }
}

/// Waits for others who load or unload, but not for ever: whoever can open the directory can lock it.
fn lock(fd: &OwnedFd, dir: &Path) -> Result<(), Error> {
    let begin = Instant::now();
    loop {
        match flock(fd, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) if begin.elapsed() < LOCK_LIMIT => sleep(LOCK_PAUSE),
            Err(Errno::WOULDBLOCK) => return Err(Error::Locked(dir.to_owned())),
            result => return attempt(dir, "lock", result),
        }
    }
}

/// What is in the directory beside the pins would go with them.
fn refuse_what_is_not_ours(dir: &Path) -> Result<(), Error> {
    let list = |error| file_error(dir, "list", error);
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        result => result.map_err(list)?,
    };
    for entry in entries {
        let entry = entry.map_err(list)?;
        if ![PROGRAM_PIN, MAP_PIN].iter().any(|&ours| entry.file_name() == ours) {
            return Err(Error::NotOurs(entry.path()));
        }
    }
    Ok(())
}

/// Removes the pins in a directory, and the directory unless it has something else in it. Says whether
/// it was there.
fn clear(dir: &Path) -> Result<bool, Error> {
    for name in [PROGRAM_PIN, MAP_PIN] {
        let path = dir.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => (),
            result => result.map_err(|error| file_error(&path, "remove", error))?,
        }
    }
    match fs::remove_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(true),
        result => result.map(|()| true).map_err(|error| file_error(dir, "remove", error)),
    }
}

fn attempt<T>(path: &Path, what: &'static str, result: Result<T, Errno>) -> Result<T, Error> {
    result.map_err(|error| file_error(path, what, error.into()))
}

fn file_error(path: &Path, what: &'static str, source: io::Error) -> Error {
    Error::File { what, path: path.to_owned(), source }
}
