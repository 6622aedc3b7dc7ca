// SPDX-License-Identifier: Apache-2.0
//! The files of one node: `/sys/class/wakeup/wakeupN`.

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags, openat, readlinkat_raw};
use rustix::io::{Errno, pread};
use thiserror::Error;

use super::NS_PER_MS;
use super::reading::{Attributes, Marks, Times, Value};
use crate::clock;
use crate::layout::{WS_DEVICE_LEN, WS_NAME_LEN};

const NAME: &str = "name";

/// In the order of [`Marks`].
const MARKS: [&str; 6] = [
    "active_count",
    "event_count",
    "wakeup_count",
    "expire_count",
    "relax_count",
    "last_change_ms",
];

/// In the order of [`Times`].
const TIMES: [&str; 4] =
    ["active_time_ms", "total_time_ms", "max_time_ms", "prevent_suspend_time_ms"];

/// The most milliseconds that the kernel's count of nanoseconds can hold.
const MAX_MS: u64 = (i64::MAX / NS_PER_MS).cast_unsigned();

/// An attribute that can't be used.
#[derive(Clone, Copy, Debug, Error)]
#[error("{attribute}: {reason}")]
pub struct Problem {
    attribute: &'static str,
    reason: Reason,
}

#[derive(Clone, Copy, Debug, Error)]
enum Reason {
    #[error(transparent)]
    Unreadable(#[from] Errno),
    #[error("it is empty")]
    Empty,
    #[error("it holds no number")]
    NoNumber,
}

impl Problem {
    pub(super) fn new(attribute: &'static str, errno: Errno) -> Self {
        Problem { attribute, reason: errno.into() }
    }

    /// Whether it lies with this process, or the system, and not with the attribute.
    pub(super) fn is_want(self) -> bool {
        matches!(self.reason, Reason::Unreadable(Errno::MFILE | Errno::NFILE | Errno::NOMEM))
    }

    /// Whether there is no such attribute at all.
    pub(super) fn is_missing(self) -> bool {
        matches!(self.reason, Reason::Unreadable(Errno::NOENT))
    }
}

/// One node, held by its directory, so that all its files are those of one source though another
/// may get the id meanwhile.
#[derive(Debug)]
pub(super) struct Node<'a> {
    dir: OwnedFd,
    marks: [Option<OwnedFd>; MARKS.len()],
    buffer: &'a mut [u8],
    problem: Option<Problem>,
}

impl<'a> Node<'a> {
    /// The node that `link` in `class` points to.
    pub(super) fn open(class: impl AsFd, link: &str, buffer: &'a mut [u8]) -> Result<Self, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = openat(class, link, flags, Mode::empty())?;
        Ok(Node { dir, marks: [const { None }; MARKS.len()], buffer, problem: None })
    }

    /// The first of the attributes that are there but can't be used, if any.
    pub(super) fn problem(&self) -> Option<Problem> {
        self.problem
    }

    /// The name as the other backends give it, and whether it was cut.
    pub(super) fn name(&mut self) -> Result<(String, bool), Problem> {
        let unreadable = |errno| Problem::new(NAME, errno);
        let file = open(&self.dir, NAME).map_err(unreadable)?;
        let text = read(&file, self.buffer).map_err(unreadable)?;
        if text.is_empty() {
            return Err(Problem { attribute: NAME, reason: Reason::Empty });
        }
        let name = text.strip_suffix(b"\n").unwrap_or(text);
        let (kept, truncated) = cut(name, WS_NAME_LEN as usize);
        Ok((String::from_utf8_lossy(kept).into_owned(), truncated))
    }

    /// The name of the device that owns the source, empty if none does.
    pub(super) fn device(&mut self) -> String {
        const DEVICE: &str = "device";
        match readlinkat_raw(&self.dir, DEVICE, &mut *self.buffer) {
            Ok(len) => {
                let path = self.buffer.get(..len).unwrap_or_default();
                let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
                String::from_utf8_lossy(cut(name, WS_DEVICE_LEN as usize).0).into_owned()
            }
            Err(errno) => {
                if errno != Errno::NOENT {
                    self.problem.get_or_insert(Problem::new(DEVICE, errno));
                }
                String::new()
            }
        }
    }

    /// What an attribute holds, a number of at most `max`.
    fn value(
        &mut self,
        attribute: &'static str,
        file: Result<impl AsFd, Errno>,
        max: u64,
    ) -> Value {
        let text = file.and_then(|file| read(&file, self.buffer));
        let problem = match text.map(|text| number(text, max)) {
            Ok(Some(number)) => return Value::Number(number),
            Err(Errno::NOENT) => return Value::Missing,
            Ok(None) => Problem { attribute, reason: Reason::NoNumber },
            Err(errno) => Problem::new(attribute, errno),
        };
        self.problem.get_or_insert(problem);
        Value::Unknown
    }
}

impl Attributes for Node<'_> {
    /// The files stay open: reading one again from its start costs no more than that.
    fn marks(&mut self) -> Marks {
        let mut files = std::mem::take(&mut self.marks);
        let mut attributes = MARKS.iter().zip(&mut files);
        let mut next = |max| {
            let Some((attribute, slot)) = attributes.next() else { return Value::Missing };
            let file = match slot {
                Some(file) => Ok(&*file),
                None => open(&self.dir, attribute).map(|file| &*slot.insert(file)),
            };
            self.value(attribute, file, max)
        };
        let marks = Marks {
            active_count: next(u64::MAX),
            event_count: next(u64::MAX),
            wakeup_count: next(u64::MAX),
            expire_count: next(u64::MAX),
            relax_count: next(u64::MAX),
            last_change_ms: next(MAX_MS),
        };
        self.marks = files;
        marks
    }

    fn times(&mut self) -> Times {
        let [active, total, max, prevent_suspend] =
            TIMES.map(|attribute| self.value(attribute, open(&self.dir, attribute), MAX_MS));
        Times { active, total, max, prevent_suspend }
    }

    fn now_ms(&mut self) -> u64 {
        (clock::monotonic_ns() / NS_PER_MS).cast_unsigned()
    }
}

fn open(dir: &OwnedFd, attribute: &str) -> Result<OwnedFd, Errno> {
    openat(dir, attribute, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
}

/// The text of an attribute, which the kernel gives whole to one read from the start.
fn read(file: impl AsFd, buffer: &mut [u8]) -> Result<&[u8], Errno> {
    let len = pread(file, &mut *buffer, 0)?;
    Ok(buffer.get(..len).unwrap_or_default())
}

/// The number that a text consists of, as the kernel writes it: digits and a newline.
fn number(text: &[u8], max: u64) -> Option<u64> {
    let digits = text.strip_suffix(b"\n")?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    str::from_utf8(digits).ok()?.parse().ok().filter(|&number| number <= max)
}

/// The first `most` bytes, and whether there are more.
fn cut(bytes: &[u8], most: usize) -> (&[u8], bool) {
    bytes.split_at_checked(most).map_or((bytes, false), |(kept, rest)| (kept, !rest.is_empty()))
}
