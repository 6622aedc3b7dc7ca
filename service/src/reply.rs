// SPDX-License-Identifier: Apache-2.0
//! Between the core's types and those of the AIDL.

use std::borrow::Cow;
use std::io::{self, Seek, Write};
use std::time::Duration;

use rsbinder::{ParcelFileDescriptor, StatusCode};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use thiserror::Error;
use wakeupstats_aidl::{
    FLAG_ACTIVE, FLAG_INCONSISTENT, FLAG_NAME_TRUNCATED, MAX_FILE_BYTES, PassedOverBackend,
    ServiceStatus, SnapshotBackend, SnapshotOrder, SnapshotQuery, WakeupSnapshot, WakeupSources,
};

use crate::model::{Backend, Source};
use crate::query::{self, Answer, Order, Query};
use crate::status::{PassedOver, Status};
use crate::tracker::{Row, Since, Tracker};

/// The most that goes into a reply itself. A reply lands in a mapping of 1 MiB that the client
/// process has for all that its threads receive at a time, so a quarter of it is enough for one.
const MAX_INLINE: usize = 256 * 1024;

/// What a row takes in the columns beside its names, if none is left out. Bytes.
const ROW_BYTES: usize = 8 + 4 + 1 + 10 * 8 + 2 * 4;

/// More than the parcel of the columns has beside what is in them: sizes and padding.
const PARCEL_BYTES: usize = 1024;

/// A reply that could not be made.
#[derive(Debug, Error)]
pub enum Error {
    /// Clients take no larger file.
    #[error(
        "the sources take {0} bytes, and {MAX_FILE_BYTES} is the most that goes to a client: ask for \
         fewer, by names, globs or a limit"
    )]
    TooLarge(usize),
    /// The sources do not fit into the reply, nor could a file be made for them.
    #[error("no file can be made for the {0} bytes of a large reply")]
    File(usize, #[source] io::Error),
    /// The sources can't be written as a parcel.
    #[error("{0} sources can't be written as a parcel: {1:?}")]
    Parcel(usize, StatusCode),
}

/// What a client's query asks for, and how old the answer may be.
pub fn query(query: &SnapshotQuery) -> Result<(Query, Duration), query::Error> {
    let max_age = natural("maxAgeMs", query.maxAgeMs)?;
    let limit = natural("limit", query.limit)?;
    let core = Query::default()
        .since(Since { instance: query.instance, sequence: query.sinceSequence })
        .named(&query.names, &query.globs)?
        .active_only(query.activeOnly)
        .merged(query.mergeByName)
        .ordered(order(query.order)?)
        .limited(limit as usize);
    Ok((core, Duration::from_millis(max_age.into())))
}

fn natural(field: &'static str, value: i32) -> Result<u32, query::Error> {
    u32::try_from(value).map_err(|_| query::Error::Negative { field, value: value.into() })
}

fn order(order: SnapshotOrder) -> Result<Order, query::Error> {
    Ok(match order {
        SnapshotOrder::KERNEL => Order::Kernel,
        SnapshotOrder::NAME => Order::Name,
        SnapshotOrder::ACTIVE_TIME => Order::ActiveTime,
        SnapshotOrder::TOTAL_TIME => Order::TotalTime,
        SnapshotOrder::MAX_TIME => Order::MaxTime,
        SnapshotOrder::LAST_CHANGE => Order::LastChange,
        SnapshotOrder::PREVENT_SUSPEND_TIME => Order::PreventSuspendTime,
        SnapshotOrder::ACTIVE_COUNT => Order::ActiveCount,
        SnapshotOrder::EVENT_COUNT => Order::EventCount,
        SnapshotOrder::WAKEUP_COUNT => Order::WakeupCount,
        SnapshotOrder::EXPIRE_COUNT => Order::ExpireCount,
        SnapshotOrder(other) => return Err(query::Error::UnknownOrder(other)),
    })
}

/// The reply to a query, as yet with all sources in it: [`move_large_sources`] comes after.
pub fn snapshot(query: &SnapshotQuery, answer: &Answer<'_>) -> WakeupSnapshot {
    let tracker: &Tracker = answer.tracker;
    let known = if query.instance == tracker.instance() { query.knownHandle } else { 0 };
    let mut reply = WakeupSnapshot {
        instance: tracker.instance(),
        sequence: tracker.sequence(),
        incremental: answer.incremental,
        goneHandles: answer.gone.clone(),
        sources: columns(&answer.rows, known),
        ..WakeupSnapshot::default()
    };
    if let Some(walk) = tracker.walk() {
        reply.backend = backend(walk.backend);
        reply.walks = int(walk.walks);
        reply.monotonicNs = walk.monotonic_ns;
        reply.boottimeNs = walk.boottime_ns;
        reply.walkDurationNs = walk.duration_ns;
        reply.totalSources = int(walk.total);
        reply.complete = walk.complete;
    }
    reply
}

/// How the service is doing.
pub fn status(status: Status) -> ServiceStatus {
    let passed_over = |passed: PassedOver| PassedOverBackend {
        backend: backend(passed.backend),
        reason: passed.reason,
    };
    let (error, error_ns) =
        status.last_error.map_or((String::new(), 0), |error| (error.message, error.monotonic_ns));
    ServiceStatus {
        backend: backend(status.backend),
        backendSinceNs: status.backend_since_ns,
        passedOver: status.passed_over.into_iter().map(passed_over).collect(),
        kernelRelease: status.kernel,
        instance: status.instance,
        sequence: status.sequence,
        walks: long(status.walks),
        lastSnapshotNs: status.last_snapshot_ns,
        totalSources: int(status.sources),
        roomBytes: long(status.room_bytes),
        lastError: error,
        lastErrorNs: error_ns,
    }
}

fn backend(backend: Backend) -> SnapshotBackend {
    match backend {
        Backend::Pinned => SnapshotBackend::PINNED,
        Backend::Load => SnapshotBackend::LOAD,
        Backend::Sysfs => SnapshotBackend::SYSFS,
    }
}

/// Moves sources that are too many for a reply to a file.
pub fn move_large_sources(reply: &mut WakeupSnapshot) -> Result<(), Error> {
    let count = reply.sources.handles.len();
    let size = count * ROW_BYTES + reply.sources.names.len();
    if size <= MAX_INLINE {
        return Ok(());
    }
    if (size + PARCEL_BYTES) as u64 > MAX_FILE_BYTES {
        return Err(Error::TooLarge(size));
    }
    let sources = std::mem::take(&mut reply.sources);
    let bytes = rsbinder::to_bytes(&sources).map_err(|error| Error::Parcel(count, error))?;
    let file = sealed_file(&bytes).map_err(|error| Error::File(bytes.len(), error))?;
    reply.largeSources = Some(file);
    Ok(())
}

/// A file in memory that nobody can change, not even the service.
fn sealed_file(bytes: &[u8]) -> io::Result<ParcelFileDescriptor> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut file = std::fs::File::from(memfd_create("wakeup-sources", flags)?);
    file.write_all(bytes)?;
    file.rewind()?;
    fcntl_add_seals(
        &file,
        SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL,
    )?;
    Ok(file.into())
}

fn columns(rows: &[Cow<'_, Row>], known: i64) -> WakeupSources {
    let (names, name_lengths, device_lengths) = names(rows, known);
    WakeupSources {
        handles: rows.iter().map(|row| row.handle).collect(),
        ids: column(rows, |source| int(source.id)),
        flags: column(rows, flags),
        activeCounts: column(rows, |source| long(source.active_count)),
        eventCounts: column(rows, |source| long(source.event_count)),
        wakeupCounts: column(rows, |source| long(source.wakeup_count)),
        expireCounts: column(rows, |source| long(source.expire_count)),
        relaxCounts: column(rows, |source| long(source.relax_count)),
        activeTimesNs: column(rows, |source| source.active_time_ns),
        totalTimesNs: column(rows, |source| source.total_time_ns),
        maxTimesNs: column(rows, |source| source.max_time_ns),
        lastChangesNs: column(rows, |source| source.last_change_ns),
        preventSuspendTimesNs: column(rows, |source| source.prevent_suspend_time_ns),
        names,
        nameLengths: name_lengths,
        deviceLengths: device_lengths,
    }
}

/// A value of each row; nothing where all are 0.
fn column<T: Default + PartialEq>(rows: &[Cow<'_, Row>], value: impl Fn(&Source) -> T) -> Vec<T> {
    let values = || rows.iter().map(|row| value(&row.source));
    if values().all(|value| value == T::default()) { Vec::new() } else { values().collect() }
}

/// The names of all rows whose handle is above `known`, and the lengths of each.
fn names(rows: &[Cow<'_, Row>], known: i64) -> (Vec<u8>, Vec<i32>, Vec<i32>) {
    let mut names = Vec::with_capacity(rows.len() * 16);
    let (mut name_lengths, mut device_lengths) =
        (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
    for row in rows {
        // A merged row has no handle of its own, so nobody can know its name by one.
        let is_known = (1..=known).contains(&row.handle);
        let mut length = |name: &str| if is_known { -1 } else { append(&mut names, name) };
        name_lengths.push(length(&row.source.name));
        device_lengths.push(length(&row.source.device));
    }
    if device_lengths.iter().all(|&length| length == 0) {
        device_lengths.clear();
    }
    (names, name_lengths, device_lengths)
}

fn flags(source: &Source) -> u8 {
    let flag = |set: bool, flag: i32| if set { flag } else { 0 };
    let flags = flag(source.active, FLAG_ACTIVE)
        | flag(!source.consistent, FLAG_INCONSISTENT)
        | flag(source.name_truncated, FLAG_NAME_TRUNCATED);
    flags as u8
}

/// Appends a name, of which the kernel's have 255 bytes at the most. Says how long it is.
fn append(names: &mut Vec<u8>, name: &str) -> i32 {
    names.extend_from_slice(name.as_bytes());
    i32::try_from(name.len()).unwrap_or(i32::MAX)
}

/// AIDL has no unsigned numbers; the kernel's ids and counts stay far below the limit.
fn int(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

fn long(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Backend, Snapshot, Walk};

    /// Two sources of which one had an event, and neither anything else.
    fn tracker() -> Tracker {
        let source = |id, event_count| Source {
            id,
            name: "s".into(),
            consistent: true,
            event_count,
            ..Source::default()
        };
        let walk = Walk {
            backend: Backend::Load,
            walks: 1,
            monotonic_ns: 1,
            boottime_ns: 1,
            duration_ns: 1,
            total: 2,
            complete: true,
        };
        let mut tracker = Tracker::new(1);
        let sources = vec![source(1, 0), source(0, 7)];
        tracker.update(&Snapshot { walk, sources, changes: None });
        tracker
    }

    fn reply(query: &SnapshotQuery) -> WakeupSources {
        let tracker = tracker();
        let (core, _) = super::query(query).unwrap();
        snapshot(query, &core.answer(&tracker)).sources
    }

    #[test]
    fn column_is_left_out_where_all_is_zero_and_only_there() {
        let columns = reply(&SnapshotQuery::default());

        assert_eq!(columns.eventCounts, [0, 7]);
        assert_eq!(columns.ids, [1, 0]);
        assert_eq!((columns.names.as_slice(), columns.nameLengths), (&b"ss"[..], vec![1, 1]));
        assert_eq!((columns.flags, columns.deviceLengths), (Vec::new(), Vec::new()));
        assert_eq!((columns.activeCounts, columns.totalTimesNs), (Vec::new(), Vec::new()));
    }

    #[test]
    fn handles_are_there_even_where_all_are_zero() {
        let columns = reply(&SnapshotQuery { mergeByName: true, ..SnapshotQuery::default() });

        assert_eq!((columns.handles, columns.ids), (vec![0], Vec::new()));
    }

    #[test]
    fn file_that_no_client_would_read_is_not_made() {
        let mut reply = WakeupSnapshot::default();
        let size = MAX_FILE_BYTES as usize - PARCEL_BYTES + 1;
        reply.sources.names = vec![0; size];

        let error = move_large_sources(&mut reply).unwrap_err();

        assert!(matches!(error, Error::TooLarge(it) if it == size), "{error}");
        assert_eq!(reply.sources.names.len(), size, "nothing is lost");
    }

    #[test]
    fn names_that_are_known_are_left_out_and_said_to_be() {
        let query = SnapshotQuery { instance: 1, knownHandle: 1, ..SnapshotQuery::default() };

        let columns = reply(&query);

        assert_eq!((columns.handles, columns.names), (vec![2, 1], b"s".to_vec()));
        assert_eq!((columns.nameLengths, columns.deviceLengths), (vec![1, -1], vec![0, -1]));
    }
}
