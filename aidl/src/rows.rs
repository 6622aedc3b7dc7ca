// SPDX-License-Identifier: Apache-2.0
//! From a reply's columns to plain rows.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rsbinder::StatusCode;
use thiserror::Error;

use crate::{FLAG_ACTIVE, FLAG_INCONSISTENT, FLAG_NAME_TRUNCATED, WakeupSnapshot, WakeupSources};

/// The largest file of sources that the service writes and a client reads: some 500,000 sources of a
/// usual device. Bytes.
pub const MAX_FILE_BYTES: u64 = 64 << 20;

/// A reply that does not keep to the AIDL's words.
#[derive(Debug, Error)]
pub enum Malformed {
    /// The file of a large reply could not be read.
    #[error("the file with the sources can't be read")]
    File(#[from] io::Error),
    /// The file holds something else.
    #[error("the file with the sources holds no parcel of sources: {0:?}")]
    Parcel(StatusCode),
    /// A column has neither an element for each source nor none.
    #[error("the columns have not the same length")]
    Lengths,
    /// The names are not UTF-8, or not as long as their lengths say.
    #[error("the names do not fit their lengths, or are not UTF-8")]
    Names,
    /// A name was left out that the client never got.
    #[error("the source with handle {0} came without a name, and it has none from before")]
    UnknownName(i64),
}

/// One wakeup source. `WakeupSources.aidl` has the meaning, unit and origin of each field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "one documentation is enough: that of the AIDL")]
pub struct Source<Name = String> {
    pub handle: i64,
    pub id: i32,
    /// The name; none where the query said that the client has it.
    pub name: Option<Name>,
    /// The owner's name, empty if no device owns the source; none as with `name`.
    pub device: Option<Name>,
    pub active: bool,
    pub consistent: bool,
    pub name_truncated: bool,
    pub active_count: i64,
    pub event_count: i64,
    pub wakeup_count: i64,
    pub expire_count: i64,
    pub relax_count: i64,
    pub active_time_ns: i64,
    pub total_time_ns: i64,
    pub max_time_ns: i64,
    pub last_change_ns: i64,
    pub prevent_suspend_time_ns: i64,
}

impl<Name> Source<Name> {
    /// The same source with other names.
    pub(crate) fn named<Other>(self, name: Option<Other>, device: Option<Other>) -> Source<Other> {
        Source {
            handle: self.handle,
            id: self.id,
            name,
            device,
            active: self.active,
            consistent: self.consistent,
            name_truncated: self.name_truncated,
            active_count: self.active_count,
            event_count: self.event_count,
            wakeup_count: self.wakeup_count,
            expire_count: self.expire_count,
            relax_count: self.relax_count,
            active_time_ns: self.active_time_ns,
            total_time_ns: self.total_time_ns,
            max_time_ns: self.max_time_ns,
            last_change_ns: self.last_change_ns,
            prevent_suspend_time_ns: self.prevent_suspend_time_ns,
        }
    }
}

impl Source<&str> {
    /// With names of its own.
    pub fn into_owned(self) -> Source {
        self.named(self.name.map(str::to_owned), self.device.map(str::to_owned))
    }
}

/// The sources of a snapshot, wherever the reply has them. For who has no use for the reply itself;
/// [`Columns`] spares the copies of all names.
pub fn rows(snapshot: &WakeupSnapshot) -> Result<Vec<Source>, Malformed> {
    Ok(Columns::of(snapshot)?.rows()?.into_iter().map(Source::into_owned).collect())
}

/// The columns of a snapshot, wherever the reply has them.
#[derive(Debug)]
pub enum Columns<'a> {
    /// In the reply itself.
    InReply(&'a WakeupSources),
    /// In a file that came with it.
    FromFile(Box<WakeupSources>),
}

impl<'a> Columns<'a> {
    /// Those of this snapshot, which are read if they are in a file. Copies nothing otherwise.
    pub fn of(snapshot: &'a WakeupSnapshot) -> Result<Self, Malformed> {
        let Some(file) = &snapshot.largeSources else {
            return Ok(Columns::InReply(&snapshot.sources));
        };
        let file = File::from(file.as_ref().try_clone()?);
        let size = file.metadata()?.len().min(MAX_FILE_BYTES);
        // By offset: the file's own is shared with every other descriptor of it.
        let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(Columns::FromFile(rsbinder::from_bytes(&bytes).map_err(Malformed::Parcel)?))
    }

    /// The rows, with names that are the reply's.
    pub fn rows(&self) -> Result<Vec<Source<&str>>, Malformed> {
        let columns = match self {
            Columns::InReply(columns) => columns,
            Columns::FromFile(columns) => &**columns,
        };
        let len = columns.handles.len();
        if !fit(columns, len) {
            return Err(Malformed::Lengths);
        }
        // One check for all.
        let mut names = str::from_utf8(&columns.names).map_err(|_| Malformed::Names)?;
        let mut rows = Vec::with_capacity(len);
        for (index, &handle) in columns.handles.iter().enumerate() {
            let mut take = |lengths| take(&mut names, at(lengths, index)).ok_or(Malformed::Names);
            let name = take(&columns.nameLengths)?;
            let device = take(&columns.deviceLengths)?;
            if name.is_some() != device.is_some() {
                return Err(Malformed::Names);
            }
            let flags = i32::from(at(&columns.flags, index));
            rows.push(Source {
                handle,
                id: at(&columns.ids, index),
                name,
                device,
                active: flags & FLAG_ACTIVE != 0,
                consistent: flags & FLAG_INCONSISTENT == 0,
                name_truncated: flags & FLAG_NAME_TRUNCATED != 0,
                active_count: at(&columns.activeCounts, index),
                event_count: at(&columns.eventCounts, index),
                wakeup_count: at(&columns.wakeupCounts, index),
                expire_count: at(&columns.expireCounts, index),
                relax_count: at(&columns.relaxCounts, index),
                active_time_ns: at(&columns.activeTimesNs, index),
                total_time_ns: at(&columns.totalTimesNs, index),
                max_time_ns: at(&columns.maxTimesNs, index),
                last_change_ns: at(&columns.lastChangesNs, index),
                prevent_suspend_time_ns: at(&columns.preventSuspendTimesNs, index),
            });
        }
        if names.is_empty() { Ok(rows) } else { Err(Malformed::Names) }
    }
}

/// Whether each column has all elements, or none, which stands for zeros.
fn fit(columns: &WakeupSources, len: usize) -> bool {
    [
        columns.ids.len(),
        columns.flags.len(),
        columns.activeCounts.len(),
        columns.eventCounts.len(),
        columns.wakeupCounts.len(),
        columns.expireCounts.len(),
        columns.relaxCounts.len(),
        columns.activeTimesNs.len(),
        columns.totalTimesNs.len(),
        columns.maxTimesNs.len(),
        columns.lastChangesNs.len(),
        columns.preventSuspendTimesNs.len(),
        columns.nameLengths.len(),
        columns.deviceLengths.len(),
    ]
    .into_iter()
    .all(|column| column == 0 || column == len)
}

/// An element of a column that has all, or none.
fn at<T: Copy + Default>(column: &[T], index: usize) -> T {
    column.get(index).copied().unwrap_or_default()
}

/// Takes a string of so many bytes off the front, or nothing where the length is -1.
#[expect(clippy::option_option, reason = "absent and malformed are two things")]
fn take<'a>(names: &mut &'a str, length: i32) -> Option<Option<&'a str>> {
    if length == -1 {
        return Some(None);
    }
    let (name, rest) = names.split_at_checked(usize::try_from(length).ok()?)?;
    *names = rest;
    Some(Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two sources, of which the second has an owner, and nothing else is known but events.
    fn reply() -> WakeupSnapshot {
        let sources = WakeupSources {
            handles: vec![2, 1],
            eventCounts: vec![0, 5],
            names: b"alarmtimer\xc3\xa9rtc0".to_vec(),
            nameLengths: vec![10, 2],
            deviceLengths: vec![0, 4],
            ..WakeupSources::default()
        };
        WakeupSnapshot { sources, ..WakeupSnapshot::default() }
    }

    #[test]
    fn empty_column_stands_for_zeros() {
        let rows = rows(&reply()).unwrap();

        let expected = Source { consistent: true, ..Source::default() };
        let named = |name: &str, device: &str| (Some(name.to_owned()), Some(device.to_owned()));
        let (name, device) = named("alarmtimer", "");
        assert_eq!(rows[0], Source { handle: 2, name, device, ..expected.clone() });
        let (name, device) = named("é", "rtc0");
        assert_eq!(rows[1], Source { handle: 1, name, device, event_count: 5, ..expected });
    }

    #[test]
    fn name_that_is_left_out_is_none_and_one_without_bytes_is_empty() {
        let mut reply = reply();
        reply.sources.names = Vec::new();
        reply.sources.nameLengths = vec![-1, 0];
        reply.sources.deviceLengths = vec![-1, 0];

        let rows = rows(&reply).unwrap();

        assert_eq!((rows[0].name.as_deref(), rows[0].device.as_deref()), (None, None));
        assert_eq!((rows[1].name.as_deref(), rows[1].device.as_deref()), (Some(""), Some("")));
    }

    #[test]
    fn columns_of_another_length_are_malformed() {
        type Spoil = fn(&mut WakeupSources);
        let spoilt: [Spoil; 2] = [|it| it.eventCounts = vec![1], |it| it.flags = vec![0; 3]];
        for spoil in spoilt {
            let mut reply = reply();
            spoil(&mut reply.sources);
            assert!(matches!(rows(&reply), Err(Malformed::Lengths)));
        }
    }

    #[test]
    fn names_that_do_not_fit_are_malformed() {
        type Spoil = fn(&mut WakeupSources);
        let spoilt: [(&str, Spoil); 8] = [
            ("names without lengths", |it| it.nameLengths = Vec::new()),
            ("more names than lengths", |it| it.names.push(b'x')),
            ("a name without an owner's", |it| it.deviceLengths = vec![-1, 4]),
            ("an owner's name without a name", |it| it.nameLengths = vec![-1, 12]),
            ("a name longer than all names", |it| it.nameLengths = vec![17, 0]),
            ("a name that ends within a character", |it| it.nameLengths = vec![11, 1]),
            ("a negative length", |it| it.nameLengths = vec![-2, 0]),
            ("names that are not UTF-8", |it| it.names = vec![0xff; 16]),
        ];

        for (what, spoil) in spoilt {
            let mut reply = reply();
            spoil(&mut reply.sources);
            assert!(matches!(rows(&reply), Err(Malformed::Names)), "{what}");
        }
    }
}
