// SPDX-License-Identifier: Apache-2.0
//! `wakeupstatsd load` and `unload`: does with privilege what AOSP's bpfloader does at boot, so that
//! the service needs none.

use std::fmt;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FlockOperation, Gid, Mode, OFlags, RenameFlags, Uid, chmod, chownat, flock,
    fstatfs, open, renameat_with,
};
use rustix::io::Errno;
use thiserror::Error;

use crate::load::{self, Loaded};
use crate::pinned::Pinned;
use crate::pins::{MAP_PIN, PROGRAM_PIN, Pins};
use crate::walk::Program;

/// `BPF_FS_MAGIC`, include/uapi/linux/magic.h
const BPF_FS_MAGIC: u64 = 0xcafe_4a11;

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
    /// The same program was there, and was left alone.
    Kept,
}

/// Loads the program and pins it for `owner`. Where other pins are there already, they are replaced
/// at once, both together; a service that has them open notices and opens the new ones.
pub fn load(pins: &Pins, owner: Owner) -> Result<Outcome, Error> {
    let stage = Stage::enter(pins)?;
    let mut loaded = Loaded::load()?;
    if is_pinned(&loaded, pins) {
        give(pins, owner)?;
        return Ok(Outcome::Kept);
    }
    let new = Pins::new(&stage.dir);
    stage.clear()?;
    attempt(&stage.dir, "make", rustix::fs::mkdir(&stage.dir, DIR_MODE))?;
    // Whatever the umask is.
    attempt(&stage.dir, "set the mode of", chmod(&stage.dir, DIR_MODE))?;
    loaded.pin(&new.program(), &new.map())?;
    give(&new, owner)?;
    let outcome = stage.swap()?;
    stage.clear()?;
    Ok(outcome)
}

/// Removes the pins. Says whether there were any.
pub fn unload(pins: &Pins) -> Result<bool, Error> {
    let stage = Stage::enter(pins)?;
    stage.clear()?;
    clear(pins.dir())
}

/// Whether what is pinned is this program, and a map as large as its own.
fn is_pinned(loaded: &Loaded, pins: &Pins) -> bool {
    let (Ok(pinned), Ok(tag)) = (Pinned::open(pins), loaded.tag()) else { return false };
    pinned.tag() == tag && pinned.room() == loaded.room()
}

/// Sets who may read the pins.
fn give(pins: &Pins, owner: Owner) -> Result<(), Error> {
    let (uid, gid) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
    for path in [pins.program(), pins.map()] {
        let result = chownat(CWD, &path, Some(uid), Some(gid), AtFlags::empty());
        attempt(&path, "set the owner of", result)?;
        attempt(&path, "set the mode of", chmod(&path, MODE))?;
    }
    Ok(())
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
    fn enter(pins: &'a Pins) -> Result<Self, Error> {
        let parent = pins.dir().parent().unwrap_or(Path::new("/"));
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = attempt(parent, "open", open(parent, flags, Mode::empty()))?;
        let kind = attempt(parent, "look at", fstatfs(&fd))?.f_type;
        if kind as u64 != BPF_FS_MAGIC {
            return Err(Error::NoBpfFs(parent.to_owned()));
        }
        attempt(parent, "lock", flock(&fd, FlockOperation::LockExclusive))?;
        let mut dir = pins.dir().as_os_str().to_owned();
        // No dots: BPF file systems reserve them.
        dir.push("_new");
        Ok(Stage { pins, dir: dir.into(), _parent: fd })
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

    /// Removes what is here, also what an interrupted attempt has left.
    fn clear(&self) -> Result<bool, Error> {
        clear(&self.dir)
    }
}

/// Removes a directory of pins. Says whether it was there.
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
        result => result.map(|()| true).map_err(|error| file_error(dir, "remove", error)),
    }
}

fn attempt<T>(path: &Path, what: &'static str, result: Result<T, Errno>) -> Result<T, Error> {
    result.map_err(|error| file_error(path, what, error.into()))
}

fn file_error(path: &Path, what: &'static str, source: io::Error) -> Error {
    Error::File { what, path: path.to_owned(), source }
}
