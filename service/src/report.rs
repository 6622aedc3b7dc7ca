// SPDX-License-Identifier: Apache-2.0
//! What a dump shows, field by field: the one description that JSON, CSV and checkin write out.

use std::borrow::Cow;

use serde::{Serialize, Serializer};

use crate::model::Walk;
use crate::status::Status;
use crate::tracker::Row;

/// The version of the machine formats. It rises when a field goes, moves or means something else.
/// New fields come without: in JSON anywhere, elsewhere at the end of a line.
pub const VERSION: u32 = 1;

/// An answer, as it is shown.
#[derive(Debug)]
pub struct Report<'a> {
    /// Of all sources together.
    pub header: Header,
    /// The sources, in the order in which they are shown.
    pub rows: Vec<&'a Row>,
    /// Of an incremental report: handles of what is gone.
    pub gone: &'a [i64],
    /// How many of all sources are active, shown or not.
    pub active: usize,
    /// How long ago the sources were read. Nanoseconds.
    pub age_ns: i64,
    /// How the service is doing, if that was asked for.
    pub status: Option<&'a Status>,
}

/// What is said once. Its fields are [`HEADER`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The life of the service that this is from.
    pub instance: i64,
    /// The number of the snapshot.
    pub sequence: i64,
    /// The sequence that was asked for.
    pub since: Option<i64>,
    /// Whether only what changed since then is shown.
    pub incremental: bool,
    /// The kernel's release, as `uname -r` says it.
    pub kernel: String,
    /// When and how well it was read.
    pub walk: Walk,
}

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Value<'a> {
    /// There is none.
    Nothing,
    /// True or false.
    Bool(bool),
    /// A number.
    Int(i64),
    /// A number that is never negative.
    Count(u64),
    /// Text that may hold any characters.
    Text(&'a str),
}

impl<'a> Value<'a> {
    /// As text, where `protect` keeps text from being taken for anything else.
    pub fn text(self, protect: impl Fn(&'a str) -> Cow<'a, str>) -> Cow<'a, str> {
        match self {
            Value::Nothing => "".into(),
            Value::Bool(value) => value.to_string().into(),
            Value::Int(value) => value.to_string().into(),
            Value::Count(value) => value.to_string().into(),
            Value::Text(value) => protect(value),
        }
    }
}

/// A field of a `T`.
#[derive(Debug)]
pub struct Field<T> {
    /// The key in JSON, and the header in CSV.
    pub name: &'static str,
    /// Its value.
    pub value: fn(&T) -> Value<'_>,
}

const fn field<T>(name: &'static str, value: fn(&T) -> Value<'_>) -> Field<T> {
    Field { name, value }
}

/// The fields of a [`Header`].
pub const HEADER: [Field<Header>; 12] = [
    field("instance", |header| Value::Int(header.instance)),
    field("sequence", |header| Value::Int(header.sequence)),
    field("since", |header| header.since.map_or(Value::Nothing, Value::Int)),
    field("incremental", |header| Value::Bool(header.incremental)),
    field("kernel", |header| Value::Text(&header.kernel)),
    field("backend", |header| Value::Text(header.walk.backend.name())),
    field("walks", |header| Value::Count(header.walk.walks.into())),
    field("monotonic_ns", |header| Value::Int(header.walk.monotonic_ns)),
    field("boottime_ns", |header| Value::Int(header.walk.boottime_ns)),
    field("duration_ns", |header| Value::Int(header.walk.duration_ns)),
    field("total", |header| Value::Count(header.walk.total.into())),
    field("complete", |header| Value::Bool(header.walk.complete)),
];

/// The fields of a source.
pub const SOURCE: [Field<Row>; 18] = [
    field("handle", |row| Value::Int(row.handle)),
    field("id", |row| Value::Count(row.source.id.into())),
    field("name", |row| Value::Text(&row.source.name)),
    field("name_truncated", |row| Value::Bool(row.source.name_truncated)),
    field("device", |row| Value::Text(&row.source.device)),
    field("active", |row| Value::Bool(row.source.active)),
    field("consistent", |row| Value::Bool(row.source.consistent)),
    field("active_count", |row| Value::Count(row.source.active_count)),
    field("event_count", |row| Value::Count(row.source.event_count)),
    field("wakeup_count", |row| Value::Count(row.source.wakeup_count)),
    field("expire_count", |row| Value::Count(row.source.expire_count)),
    field("relax_count", |row| Value::Count(row.source.relax_count)),
    field("active_time_ns", |row| Value::Int(row.source.active_time_ns)),
    field("total_time_ns", |row| Value::Int(row.source.total_time_ns)),
    field("max_time_ns", |row| Value::Int(row.source.max_time_ns)),
    field("last_change_ns", |row| Value::Int(row.source.last_change_ns)),
    field("prevent_suspend_time_ns", |row| Value::Int(row.source.prevent_suspend_time_ns)),
    field("changed", |row| Value::Int(row.changed)),
];

/// All fields of a `T`, as a map.
#[derive(Debug)]
pub struct Fields<'a, T>(pub &'a [Field<T>], pub &'a T);

impl<T> Serialize for Fields<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|field| (field.name, (field.value)(self.1))))
    }
}
