// SPDX-License-Identifier: Apache-2.0
//! Sources and snapshots that targets begin with.

use std::collections::HashSet;

use arbitrary::{Arbitrary, Result, Unstructured};
use wakeupstats::layout::{WS_DEVICE_LEN, WS_NAME_LEN};
use wakeupstats::model::{Backend, Source, Walk};

/// A source of any values, but names as long as the model allows.
pub fn source(u: &mut Unstructured<'_>) -> Result<Source> {
    Ok(Source {
        id: u.int_in_range(0..=15)?,
        name: text(u, WS_NAME_LEN as usize)?,
        name_truncated: u.arbitrary()?,
        device: text(u, WS_DEVICE_LEN as usize)?,
        active: u.arbitrary()?,
        consistent: u.ratio(7, 8)?,
        active_count: count(u)?,
        event_count: count(u)?,
        wakeup_count: count(u)?,
        expire_count: count(u)?,
        relax_count: count(u)?,
        active_time_ns: time(u)?,
        total_time_ns: time(u)?,
        max_time_ns: time(u)?,
        last_change_ns: time(u)?,
        prevent_suspend_time_ns: time(u)?,
    })
}

/// Text as decoders make it of so many bytes.
pub fn text(u: &mut Unstructured<'_>, most: usize) -> Result<String> {
    let len = usize::from(u8::arbitrary(u)?).min(most).min(u.len());
    Ok(String::from_utf8_lossy(u.bytes(len)?).into_owned())
}

/// A count, most often a small one.
pub fn count(u: &mut Unstructured<'_>) -> Result<u64> {
    Ok(match u8::arbitrary(u)? {
        255 => u.arbitrary()?,
        small => small.into(),
    })
}

/// A time, most often one of a few milliseconds, to the nanosecond.
pub fn time(u: &mut Unstructured<'_>) -> Result<i64> {
    Ok(match u8::arbitrary(u)? {
        255 => u.arbitrary()?,
        small => i64::from(small) * 100_000,
    })
}

/// A walk of these sources, as long after the former one as `now_ns` says.
pub fn walk(u: &mut Unstructured<'_>, now_ns: i64, sources: &[Source]) -> Result<Walk> {
    let backend = *u.choose(&[Backend::Load, Backend::Pinned, Backend::Sysfs])?;
    let complete = u.ratio(3, 4)?;
    Ok(Walk {
        backend,
        walks: if u.ratio(7, 8)? { 1 } else { 2 },
        monotonic_ns: now_ns,
        boottime_ns: now_ns.saturating_add(time(u)?),
        duration_ns: time(u)?,
        total: u32::try_from(sources.len()).unwrap() + u32::from(!complete),
        complete,
    })
}

/// The sources without those whose id another before them has: an id is one's own as long as a source
/// is on the list.
pub fn each_id_once(sources: &mut Vec<Source>) {
    let mut ids = HashSet::new();
    sources.retain(|source| ids.insert(source.id));
}
