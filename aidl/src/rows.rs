// SPDX-License-Identifier: Apache-2.0
//! From a reply's columns to plain rows.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rsbinder::StatusCode;
use thiserror::Error;

use crate::{FLAG_ACTIVE, FLAG_INCONSISTENT, FLAG_NAME_TRUNCATED, WakeupSnapshot, WakeupSources};

/// The largest file of sources that is read: some 200,000 sources. Bytes.
const MAX_FILE: u64 = 64 << 20;

/// A reply that does not keep to the AIDL's words.
#[derive(Debug, Error)]
pub enum Malformed {
    /// The file of a large reply could not be read.
    #[error("the file with the sources can't be read")]
    File(#[from] io::Error),
    /// The file holds something else.
    #[error("the file with the sources holds no parcel of sources: {0:?}")]
    Parcel(StatusCode),
    /// The columns do not fit together.
    #[error("the columns of source {0} do not fit together")]
    Columns(usize),
    /// A name was left out that the client never got.
    #[error("the source with handle {0} came without a name, and it has none from before")]
    UnknownName(i64),
}

/// One wakeup source. `WakeupSources.aidl` has the meaning, unit and origin of each field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "one documentation is enough: that of the AIDL")]
pub struct Source {
    pub handle: i64,
    pub id: i32,
    /// The name; none where the query said that the client has it.
    pub name: Option<String>,
    /// The owner's name, empty if no device owns the source; none as with `name`.
    pub device: Option<String>,
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

/// The sources of a snapshot, wherever the reply has them.
pub fn rows(snapshot: &WakeupSnapshot) -> Result<Vec<Source>, Malformed> {
    match &snapshot.largeSources {
        None => columns(&snapshot.sources),
        Some(file) => {
            let file = File::from(file.as_ref().try_clone()?);
            let size = file.metadata()?.len().min(MAX_FILE);
            // By offset: the file's own is shared with every other descriptor of it.
            let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
            file.read_exact_at(&mut bytes, 0)?;
            columns(&rsbinder::from_bytes(&bytes).map_err(Malformed::Parcel)?)
        }
    }
}

/// The rows of columns.
pub fn columns(columns: &WakeupSources) -> Result<Vec<Source>, Malformed> {
    let mut names = columns.names.as_slice();
    let mut rows = Vec::with_capacity(columns.handles.len());
    for index in 0..columns.handles.len() {
        rows.push(row(columns, index, &mut names).ok_or(Malformed::Columns(index))?);
    }
    Ok(rows)
}

fn row(columns: &WakeupSources, index: usize, names: &mut &[u8]) -> Option<Source> {
    let at = |column: &Vec<i64>| column.get(index).copied();
    let flags = i32::from(*columns.flags.get(index)?);
    Some(Source {
        handle: at(&columns.handles)?,
        id: *columns.ids.get(index)?,
        name: take(names, *columns.nameLengths.get(index)?)?,
        device: take(names, *columns.deviceLengths.get(index)?)?,
        active: flags & FLAG_ACTIVE != 0,
        consistent: flags & FLAG_INCONSISTENT == 0,
        name_truncated: flags & FLAG_NAME_TRUNCATED != 0,
        active_count: at(&columns.activeCounts)?,
        event_count: at(&columns.eventCounts)?,
        wakeup_count: at(&columns.wakeupCounts)?,
        expire_count: at(&columns.expireCounts)?,
        relax_count: at(&columns.relaxCounts)?,
        active_time_ns: at(&columns.activeTimesNs)?,
        total_time_ns: at(&columns.totalTimesNs)?,
        max_time_ns: at(&columns.maxTimesNs)?,
        last_change_ns: at(&columns.lastChangesNs)?,
        prevent_suspend_time_ns: at(&columns.preventSuspendTimesNs)?,
    })
}

/// Takes a string of so many bytes off the front, or nothing where the length is -1.
#[expect(clippy::option_option, reason = "absent and malformed are two things")]
fn take(names: &mut &[u8], length: i32) -> Option<Option<String>> {
    if length == -1 {
        return Some(None);
    }
    let (name, rest) = names.split_at_checked(usize::try_from(length).ok()?)?;
    *names = rest;
    Some(Some(str::from_utf8(name).ok()?.to_owned()))
}
