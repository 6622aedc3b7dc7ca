// SPDX-License-Identifier: Apache-2.0
//! The lines of a recording. `docs/recording.md` has the format for who reads it without this command.

use std::rc::Rc;

use serde::{Deserialize, Serialize};
use wakeupstats_aidl::{FLAG_ACTIVE, FLAG_INCONSISTENT, FLAG_NAME_TRUNCATED, Source};

/// The version of the format that is written, and the newest that can be read.
pub(crate) const VERSION: u32 = 1;

/// A source of a recording. Its handle is the recording's.
pub(crate) type Recorded = Source<Rc<str>>;

/// A line: JSON, of one key.
#[derive(Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Line {
    /// The first line, and only that.
    Header(Header),
    /// Until the next tick nobody looked.
    Away(Away),
    /// What changed since the last tick.
    Tick(Tick),
}

/// What was recorded, and where all clocks begin.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Header {
    /// The version of the format.
    pub(crate) version: u32,
    /// The kernel's release.
    pub(crate) kernel: String,
    /// How the service read the kernel's list then.
    pub(crate) backend: String,
    /// The service's life.
    pub(crate) instance: i64,
    /// The time between two ticks.
    pub(crate) interval_ns: i64,
    /// CLOCK_MONOTONIC of the first tick.
    pub(crate) monotonic_ns: i64,
    /// CLOCK_BOOTTIME of the first tick.
    pub(crate) boottime_ns: i64,
    /// CLOCK_REALTIME of the first tick.
    pub(crate) realtime_ns: i64,
}

/// Why nobody looked.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Away {
    /// For a person to read.
    pub(crate) reason: String,
}

/// A snapshot, as what can't be foretold from the last tick.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Tick {
    /// What CLOCK_MONOTONIC went on by.
    #[serde(rename = "m")]
    pub(crate) monotonic_ns: i64,
    /// What CLOCK_BOOTTIME went on by beyond that: the device was suspended so long.
    #[serde(rename = "z", default, skip_serializing_if = "is_zero")]
    pub(crate) suspended_ns: i64,
    /// The service's life, if it is another than before.
    #[serde(rename = "i", default, skip_serializing_if = "Option::is_none")]
    pub(crate) instance: Option<i64>,
    /// The sources that are new, or did not as was to be expected.
    #[serde(rename = "s", default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) rows: Vec<Row>,
    /// The handles of those that are gone.
    #[serde(rename = "g", default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) gone: Vec<i64>,
}

/// A source: what it was raised by since the last tick, or, if it is new, since zero.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub(crate) struct Row {
    #[serde(rename = "h")]
    handle: i64,
    /// Of a new source: who it is.
    #[serde(rename = "n", default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(rename = "d", default, skip_serializing_if = "Option::is_none")]
    device: Option<String>,
    #[serde(rename = "i", default, skip_serializing_if = "is_zero_id")]
    id: i32,
    /// A sum of the AIDL's FLAG constants; not what it was raised by.
    #[serde(rename = "f", default, skip_serializing_if = "is_zero_id")]
    flags: i32,
    #[serde(rename = "a", default, skip_serializing_if = "is_zero")]
    active_count: i64,
    #[serde(rename = "e", default, skip_serializing_if = "is_zero")]
    event_count: i64,
    #[serde(rename = "w", default, skip_serializing_if = "is_zero")]
    wakeup_count: i64,
    #[serde(rename = "x", default, skip_serializing_if = "is_zero")]
    expire_count: i64,
    #[serde(rename = "r", default, skip_serializing_if = "is_zero")]
    relax_count: i64,
    #[serde(rename = "t", default, skip_serializing_if = "is_zero")]
    total_time_ns: i64,
    #[serde(rename = "m", default, skip_serializing_if = "is_zero")]
    max_time_ns: i64,
    #[serde(rename = "l", default, skip_serializing_if = "is_zero")]
    last_change_ns: i64,
    #[serde(rename = "p", default, skip_serializing_if = "is_zero")]
    prevent_suspend_time_ns: i64,
    /// Its active time, where that is not the time since its last change; not what it was raised by.
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    active_time_ns: Option<i64>,
}

impl Row {
    /// What has become of a source at this time of CLOCK_MONOTONIC, if that was not to be expected. A
    /// new one is compared with [`nothing`].
    pub(crate) fn between(former: &Recorded, source: &Recorded, monotonic_ns: i64) -> Option<Row> {
        if *source == expected(former, monotonic_ns) {
            return None;
        }
        let is_new = former.name.is_none();
        let active_time_ns = source.active_time_ns;
        let since_change = since_change(source, monotonic_ns);
        Some(Row {
            handle: source.handle,
            name: source.name.as_deref().filter(|_| is_new).map(str::to_owned),
            device: source
                .device
                .as_deref()
                .filter(|device| is_new && !device.is_empty())
                .map(str::to_owned),
            id: if is_new { source.id } else { 0 },
            flags: flags(source),
            active_count: source.active_count.wrapping_sub(former.active_count),
            event_count: source.event_count.wrapping_sub(former.event_count),
            wakeup_count: source.wakeup_count.wrapping_sub(former.wakeup_count),
            expire_count: source.expire_count.wrapping_sub(former.expire_count),
            relax_count: source.relax_count.wrapping_sub(former.relax_count),
            total_time_ns: source.total_time_ns.wrapping_sub(former.total_time_ns),
            max_time_ns: source.max_time_ns.wrapping_sub(former.max_time_ns),
            last_change_ns: source.last_change_ns.wrapping_sub(former.last_change_ns),
            prevent_suspend_time_ns: source
                .prevent_suspend_time_ns
                .wrapping_sub(former.prevent_suspend_time_ns),
            active_time_ns: (active_time_ns != since_change).then_some(active_time_ns),
        })
    }

    /// The source that it is about.
    pub(crate) fn handle(&self) -> i64 {
        self.handle
    }

    /// Whether it says who the source is, and so begins a new one.
    pub(crate) fn is_new(&self) -> bool {
        self.name.is_some()
    }

    /// The source after this: the reverse of [`Row::between`].
    pub(crate) fn applied_to(&self, former: &Recorded, monotonic_ns: i64) -> Recorded {
        let (id, name, device) = match &self.name {
            Some(name) => {
                let device = self.device.as_deref().unwrap_or_default();
                (self.id, Some(Rc::from(name.as_str())), Some(Rc::from(device)))
            }
            None => (former.id, former.name.clone(), former.device.clone()),
        };
        let mut source = Recorded {
            handle: self.handle,
            id,
            name,
            device,
            active: self.flags & FLAG_ACTIVE != 0,
            consistent: self.flags & FLAG_INCONSISTENT == 0,
            name_truncated: self.flags & FLAG_NAME_TRUNCATED != 0,
            active_count: former.active_count.wrapping_add(self.active_count),
            event_count: former.event_count.wrapping_add(self.event_count),
            wakeup_count: former.wakeup_count.wrapping_add(self.wakeup_count),
            expire_count: former.expire_count.wrapping_add(self.expire_count),
            relax_count: former.relax_count.wrapping_add(self.relax_count),
            active_time_ns: 0,
            total_time_ns: former.total_time_ns.wrapping_add(self.total_time_ns),
            max_time_ns: former.max_time_ns.wrapping_add(self.max_time_ns),
            last_change_ns: former.last_change_ns.wrapping_add(self.last_change_ns),
            prevent_suspend_time_ns: former
                .prevent_suspend_time_ns
                .wrapping_add(self.prevent_suspend_time_ns),
        };
        source.active_time_ns =
            self.active_time_ns.unwrap_or_else(|| since_change(&source, monotonic_ns));
        source
    }
}

/// What a new source is compared with.
pub(crate) fn nothing() -> Recorded {
    Recorded::default()
}

/// The source at a later time, if nothing happens to it: while it is active, its times go on.
pub(crate) fn expected(former: &Recorded, monotonic_ns: i64) -> Recorded {
    let active_time_ns = since_change(former, monotonic_ns);
    let more = active_time_ns.wrapping_sub(former.active_time_ns);
    Recorded {
        active_time_ns,
        total_time_ns: former.total_time_ns.wrapping_add(if former.active { more } else { 0 }),
        max_time_ns: former.max_time_ns.max(active_time_ns),
        ..former.clone()
    }
}

fn since_change(source: &Recorded, monotonic_ns: i64) -> i64 {
    if source.active { monotonic_ns.wrapping_sub(source.last_change_ns) } else { 0 }
}

fn flags(source: &Recorded) -> i32 {
    let flag = |is_set, flag| if is_set { flag } else { 0 };
    flag(source.active, FLAG_ACTIVE)
        | flag(!source.consistent, FLAG_INCONSISTENT)
        | flag(source.name_truncated, FLAG_NAME_TRUNCATED)
}

fn is_zero(value: &i64) -> bool {
    *value == 0
}

fn is_zero_id(value: &i32) -> bool {
    *value == 0
}
