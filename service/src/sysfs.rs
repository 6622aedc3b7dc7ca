// SPDX-License-Identifier: Apache-2.0
//! The backend `sysfs`: reads `/sys/class/wakeup`, which every kernel from Linux 5.4 on has.
//!
//! It gives the same [`Snapshot`] as a walk of the kernel's list, as far as sysfs can: slower, in
//! whole milliseconds, and each source as of its own moment. What follows from the order in which
//! the kernel makes and removes a node (`device_add()`, `device_del()`):
//!
//! * The link in `class/wakeup` comes before the attributes and goes before them. So while the link
//!   that was listed is still there, what was read by it is of the source that was listed, though
//!   ids are used again, and what was not found there does not exist. If it is gone afterwards, so
//!   is the source, and whatever was read is dropped.
//! * While links go, a listing may pass over others that stay: up to Linux 6.14 the one after a
//!   link that goes just when it is listed (`kernfs_fop_readdir()` drops its lock there and finds
//!   its place again by hash). It may also list one twice. So if a listed link is gone
//!   afterwards, the ids that were not listed are looked up one by one, up to the highest that is
//!   known. They are few: the kernel always gives out the lowest id that is free. Only a source
//!   that no snapshot had yet, with an id above all others, may be missed, until the next one.
//! * A node that has no attributes yet is not on the kernel's list yet either. It doesn't count.
//! * Inode numbers of sysfs rise with each node that is made (`idr_alloc_cyclic()` in
//!   `__kernfs_new_node()`, its overflows counted in the upper half), and a link keeps its own. So
//!   the links by falling inode number are the sources from the youngest to the oldest: the order
//!   of the kernel's list, but for sources that two CPUs made at once, and those whose device was
//!   registered after them. 32-bit kernels, and Linux before 5.5, show the lower half only: there
//!   the order breaks once in some 2^31 nodes.

mod node;
mod reading;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use log::warn;
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, openat, statat};
use rustix::io::Errno;
use thiserror::Error;

use self::node::{Node, Problem};
use self::reading::{MS_UNTIL_SHOWN, Reading};
use crate::backends::{Failure, Open, TakeSnapshot};
use crate::clock;
use crate::model::{Backend, Snapshot, Source, Walk};

const NS_PER_MS: i64 = 1_000_000;

/// No attribute that is read is longer: a link has at most PATH_MAX bytes, and of a name 255 count.
const BUFFER_BYTES: usize = 4096;

/// Far more ids than any kernel gives out, but an end to looking them up whatever the tree has.
const MAX_ID: u32 = 1 << 20;

/// How often to look again at sources that have just changed. Those that do so in the order in which
/// they are read, and as fast, are found in the middle of it twice, but hardly more often.
const MAX_LOOKS_AGAIN: u32 = 4;

/// Why the sources can't be read from sysfs, and what to do about it.
#[derive(Debug, Error)]
pub enum Error {
    /// There is no such directory, or it is closed to this process.
    #[error(
        "{} can't be listed: sysfs must be mounted and readable, and the kernel must be Linux 5.4 \
         or later with CONFIG_PM_SLEEP=y",
        .path.display()
    )]
    Open {
        /// The directory.
        path: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
    /// The directory was there, but can't be listed now.
    #[error("the wakeup sources in sysfs can't be listed")]
    List(#[source] io::Error),
    /// It was listed, but what it takes to read all of it is not there: files or memory. To leave out what
    /// could not be read would be to say that it is gone.
    #[error("wakeup{0} in sysfs can't be read now: {1}")]
    Want(u32, Problem),
}

/// Reads `/sys/class/wakeup`.
#[derive(Debug)]
pub struct Sysfs {
    class: OwnedFd,
    buffer: Box<[u8; BUFFER_BYTES]>,
    /// The highest id of the last snapshot.
    highest_id: u32,
    /// What was read for the last snapshot.
    former: HashMap<Listed, Reading>,
    left_out: Warning,
    incomplete: Warning,
    last: Option<Snapshot>,
}

/// A node as it was listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Listed {
    id: u32,
    /// Inode number of the link.
    ino: u64,
}

/// What came of a look at a node.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all are rows")]
enum Look {
    /// Its source went meanwhile, or has not come yet.
    Gone,
    /// It is there, but does not say whose it is.
    LeftOut(u32, Problem),
    Row(Row),
}

/// A source as it was read.
#[derive(Debug)]
struct Row {
    listed: Listed,
    name: String,
    name_truncated: bool,
    device: String,
    reading: Reading,
    /// The first of the attributes that are there but can't be used.
    problem: Option<Problem>,
}

/// Opens sysfs.
#[derive(Debug)]
pub struct Opener {
    root: PathBuf,
}

impl Opener {
    /// `root` is where sysfs is mounted, `/sys` on a device.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Opener { root: root.into() }
    }
}

impl Open for Opener {
    fn backend(&self) -> Backend {
        Backend::Sysfs
    }

    fn open(&mut self) -> Result<Box<dyn TakeSnapshot>, Failure> {
        Ok(Box::new(Sysfs::open(&self.root)?))
    }
}

impl TakeSnapshot for Sysfs {
    fn snapshot(&mut self) -> Result<&Snapshot, Failure> {
        Ok(self.snapshot()?)
    }

    /// The kernel keeps nothing for it.
    fn room_bytes(&self) -> u64 {
        0
    }
}

impl Sysfs {
    /// `root` is where sysfs is mounted, `/sys` on a device.
    pub fn open(root: &Path) -> Result<Self, Error> {
        let path = root.join("class/wakeup");
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let class = openat(CWD, &path, flags, Mode::empty())
            .map_err(|error| Error::Open { path, source: error.into() })?;
        Ok(Sysfs {
            class,
            buffer: Box::new([0; BUFFER_BYTES]),
            highest_id: 0,
            former: HashMap::new(),
            left_out: Warning::new("wakeup sources left out of snapshots"),
            incomplete: Warning::new("wakeup sources with values missing"),
            last: None,
        })
    }

    /// Reads the wakeup sources now.
    pub fn snapshot(&mut self) -> Result<&Snapshot, Error> {
        let monotonic_ns = clock::monotonic_ns();
        let boottime_ns = clock::boottime_ns();
        let nodes = self.list().map_err(|error| Error::List(error.into()))?;
        let mut looks = self.look_at_all(&nodes);
        for _ in 0..MAX_LOOKS_AGAIN {
            if !self.look_again(&mut looks) {
                break;
            }
        }

        let mut rows = Vec::with_capacity(looks.len());
        let mut left_out = Vec::new();
        for look in looks {
            match look {
                Look::Gone => {}
                Look::LeftOut(id, problem) => left_out.push((id, problem)),
                Look::Row(row) => rows.push(row),
            }
        }
        for row in &mut rows {
            row.reading.compare_with_former(self.former.get(&row.listed));
        }
        self.former = rows.iter().map(|row| (row.listed, row.reading)).collect();
        rows.sort_by_key(|row| Reverse(row.listed.ino));
        let problem = |row: &Row| row.problem.map(|problem| (row.listed.id, problem));
        let incomplete: Vec<_> = rows.iter().filter_map(problem).collect();
        if let Some(&(id, problem)) = left_out.iter().chain(&incomplete).find(|it| it.1.is_want()) {
            return Err(Error::Want(id, problem));
        }
        let sources: Vec<Source> = rows.into_iter().map(Row::into_source).collect();
        self.highest_id = sources.iter().map(|source| source.id).max().unwrap_or(0);
        let messages = [self.left_out.message(&left_out), self.incomplete.message(&incomplete)];
        messages.iter().flatten().for_each(|message| warn!("{message}"));
        let walk = Walk {
            backend: Backend::Sysfs,
            walks: 1,
            monotonic_ns,
            boottime_ns,
            duration_ns: clock::monotonic_ns().saturating_sub(monotonic_ns),
            total: u32::try_from(sources.len() + left_out.len()).unwrap_or(u32::MAX),
            complete: left_out.is_empty(),
        };
        Ok(self.last.insert(Snapshot { walk, sources, changes: None }))
    }

    /// The nodes that are there.
    fn list(&self) -> Result<Vec<Listed>, Errno> {
        let mut nodes = Vec::new();
        for entry in Dir::read_from(&self.class)? {
            let entry = entry?;
            if let Some(id) = id(entry.file_name().to_bytes()) {
                nodes.push(Listed { ino: entry.ino(), id });
            }
        }
        Ok(each_once(nodes))
    }

    /// Reads the nodes that were listed, and those that the listing passed over.
    fn look_at_all(&mut self, nodes: &[Listed]) -> Vec<Look> {
        let mut looks: Vec<Look> = nodes.iter().map(|&listed| self.look(listed)).collect();
        if looks.iter().any(|look| matches!(look, Look::Gone)) {
            let passed_over = self.passed_over(nodes);
            looks.extend(passed_over.into_iter().map(|listed| self.look(listed)));
        }
        looks
    }

    /// The nodes that are there with an id that was not listed, but is no higher than the highest
    /// that was, now or for the last snapshot.
    fn passed_over(&self, nodes: &[Listed]) -> Vec<Listed> {
        let listed: HashSet<u32> = nodes.iter().map(|listed| listed.id).collect();
        let highest_id = listed.iter().copied().max().unwrap_or(0).max(self.highest_id).min(MAX_ID);
        (0..=highest_id)
            .filter(|id| !listed.contains(id))
            .filter_map(|id| Some(Listed { ino: self.ino(&link(id)).ok()?, id }))
            .collect()
    }

    /// Reads one node.
    fn look(&mut self, listed: Listed) -> Look {
        let link = link(listed.id);
        let look = match Node::open(&self.class, &link, &mut self.buffer[..]) {
            Ok(node) => look_at(listed, node),
            Err(Errno::NOENT) => return Look::Gone,
            Err(errno) => Look::LeftOut(listed.id, Problem::new("its directory", errno)),
        };
        if self.is_there(listed, &link) { look } else { Look::Gone }
    }

    /// Whether the link is the one that was listed.
    fn is_there(&self, listed: Listed, link: &str) -> bool {
        self.ino(link).map_or_else(|errno| errno != Errno::NOENT, |ino| ino == listed.ino)
    }

    /// The inode number of a link.
    fn ino(&self, link: &str) -> Result<u64, Errno> {
        Ok(statat(&self.class, link, AtFlags::SYMLINK_NOFOLLOW)?.st_ino)
    }

    /// Looks again at the sources of which too little is known because they have just changed, when
    /// it must show what they are. They are few: a wait of at most two milliseconds for all of them
    /// together buys a bit that is right. Says whether there were any.
    fn look_again(&mut self, looks: &mut [Look]) -> bool {
        let Some(changed_ms) = looks.iter().filter_map(Look::unsure_since_ms).max() else {
            return false;
        };
        let shown_ns = (changed_ms + MS_UNTIL_SHOWN).cast_signed().saturating_mul(NS_PER_MS);
        let wait_ns = shown_ns.saturating_sub(clock::monotonic_ns());
        thread::sleep(Duration::from_nanos(wait_ns.max(0).cast_unsigned()));
        for look in looks {
            if let Look::Row(first) = look
                && first.reading.unsure_since_ms().is_some()
            {
                let mut again = self.look(first.listed);
                if let Look::Row(row) = &mut again {
                    row.reading.compare_with_first(&first.reading);
                }
                *look = again;
            }
        }
        true
    }
}

impl Look {
    fn unsure_since_ms(&self) -> Option<u64> {
        match self {
            Look::Row(row) => row.reading.unsure_since_ms(),
            Look::Gone | Look::LeftOut(..) => None,
        }
    }
}

impl Row {
    fn into_source(self) -> Source {
        let Row { listed, name, name_truncated, device, reading, problem: _ } = self;
        Source { id: listed.id, name, name_truncated, device, ..reading.values() }
    }
}

/// Reads all of a node.
///
/// The attributes are made in the order of the kernel's array, in which the name is the first, and
/// go in that order. The name is read last: if it is missing then, but others were found, it is not
/// because the source is just coming.
fn look_at(listed: Listed, mut node: Node<'_>) -> Look {
    let device = node.device();
    let reading = reading::read(&mut node);
    match node.name() {
        Ok((name, name_truncated)) => {
            let problem = node.problem();
            Look::Row(Row { listed, name, name_truncated, device, reading, problem })
        }
        Err(problem) if problem.is_missing() && reading.has_nothing() => Look::Gone,
        Err(problem) => Look::LeftOut(listed.id, problem),
    }
}

/// The nodes without those that were listed before.
fn each_once(mut nodes: Vec<Listed>) -> Vec<Listed> {
    nodes.sort_unstable();
    nodes.dedup();
    nodes
}

/// The name of a node in `class/wakeup`.
fn link(id: u32) -> String {
    format!("wakeup{id}")
}

/// N of `wakeupN`.
fn id(name: &[u8]) -> Option<u32> {
    // Another spelling than the kernel's leads to the node that has the usual one, and there to
    // another inode number than was listed.
    str::from_utf8(name.strip_prefix(b"wakeup")?).ok()?.parse().ok()
}

/// What is said of nodes that have the same kind of problem: when there are more of them than ever
/// before, so that a reader who comes each second does not fill the log.
#[derive(Debug)]
struct Warning {
    about: &'static str,
    said_of: usize,
}

impl Warning {
    fn new(about: &'static str) -> Self {
        Warning { about, said_of: 0 }
    }

    fn message(&mut self, nodes: &[(u32, Problem)]) -> Option<String> {
        let (id, problem) = nodes.first()?;
        if nodes.len() <= self.said_of {
            return None;
        }
        self.said_of = nodes.len();
        Some(format!("{}: {}, the first is wakeup{id} ({problem})", self.about, nodes.len()))
    }
}
