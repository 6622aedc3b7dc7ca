// SPDX-License-Identifier: Apache-2.0
//! The sources at one moment, from the service or from what `list --json` wrote.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};
use serde::Deserialize;
use wakeupstats_aidl::{Client, ClientError, Source};

/// The version of the dump's JSON, as dump.schema.json has it.
const VERSION: u32 = 1;

/// All sources at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Moment {
    /// The life of the service that the handles are of.
    pub(crate) instance: i64,
    /// CLOCK_MONOTONIC, which does not count suspended time. Nanoseconds.
    pub(crate) monotonic_ns: i64,
    /// CLOCK_BOOTTIME, which does. Nanoseconds.
    pub(crate) boottime_ns: i64,
    /// By their handles.
    pub(crate) sources: BTreeMap<i64, Reading>,
}

/// What one source had come to. The fields are those of the dump's JSON.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) handle: i64,
    pub(crate) id: i64,
    pub(crate) name: String,
    pub(crate) device: String,
    pub(crate) active: bool,
    pub(crate) active_count: u64,
    pub(crate) event_count: u64,
    pub(crate) wakeup_count: u64,
    pub(crate) expire_count: u64,
    pub(crate) total_time_ns: i64,
    pub(crate) last_change_ns: i64,
}

impl From<&Source> for Reading {
    fn from(source: &Source) -> Self {
        let count = |count: i64| u64::try_from(count).unwrap_or_default();
        Reading {
            handle: source.handle,
            id: source.id.into(),
            name: source.name.clone().unwrap_or_default(),
            device: source.device.clone().unwrap_or_default(),
            active: source.active,
            active_count: count(source.active_count),
            event_count: count(source.event_count),
            wakeup_count: count(source.wakeup_count),
            expire_count: count(source.expire_count),
            total_time_ns: source.total_time_ns,
            last_change_ns: source.last_change_ns,
        }
    }
}

/// What is read of such a document.
#[derive(Deserialize)]
struct Document {
    version: u32,
    instance: i64,
    incremental: bool,
    monotonic_ns: i64,
    boottime_ns: i64,
    total: usize,
    complete: bool,
    sources: Vec<Reading>,
}

impl Moment {
    /// Now, by the service.
    pub(crate) fn now(client: &mut Client) -> Result<Self, ClientError> {
        let snapshot = client.update()?;
        Ok(Moment {
            instance: snapshot.instance,
            monotonic_ns: snapshot.monotonicNs,
            boottime_ns: snapshot.boottimeNs,
            sources: by_handle(client.sources().map(Reading::from)),
        })
    }

    /// As it was when this file was written.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let name = path.display();
        let text = fs::read(path).with_context(|| format!("{name} can't be read"))?;
        Self::parse(&text).with_context(|| format!("{name} can't be compared"))
    }

    fn parse(text: &[u8]) -> anyhow::Result<Self> {
        let document: Document = serde_json::from_slice(text)
            .context("it is not what `wakeupstats list --json` writes")?;
        let Document { version, instance, monotonic_ns, boottime_ns, total, sources, .. } =
            document;
        ensure!(
            version == VERSION,
            "it is of version {version}, and this command knows {VERSION}: use the one that wrote it"
        );
        let shown = sources.len();
        let sources = by_handle(sources);
        ensure!(
            !document.incremental
                && sources.len() == shown
                && (shown == total || !document.complete),
            "it has {shown} of {total} sources: write it by `wakeupstats list --json` with no other option"
        );
        Ok(Moment { instance, monotonic_ns, boottime_ns, sources })
    }
}

fn by_handle(readings: impl IntoIterator<Item = Reading>) -> BTreeMap<i64, Reading> {
    readings.into_iter().map(|reading| (reading.handle, reading)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A real one, with four sources.
    const DUMP: &str = include_str!("../../service/tests/golden/dump.json");

    #[test]
    fn dump_of_the_service_is_read() {
        let moment = Moment::parse(DUMP.as_bytes()).unwrap();

        assert_eq!(moment.monotonic_ns, 600_000_000_000);
        assert_eq!(moment.boottime_ns, 900_000_000_000);
        assert_eq!(moment.sources.len(), 4);
        let source = &moment.sources[&4];
        assert_eq!((source.name.as_str(), source.total_time_ns), ("[timerfd]", 3_000_000_000));
        assert_eq!(moment.sources[&1].event_count, u64::MAX);
    }

    #[test]
    fn document_without_all_sources_is_refused() {
        let wrong = [
            (r#""total":4"#, r#""total":5"#, "it has 4 of 5 sources"),
            (r#""incremental":false"#, r#""incremental":true"#, "with no other option"),
            (r#"{"handle":4"#, r#"{"handle":3"#, "with no other option"),
            (r#"{"version":1"#, r#"{"version":2"#, "it is of version 2"),
            (r#""sources""#, r#""sinks""#, "it is not what"),
        ];
        for (from, to, why) in wrong {
            let error = Moment::parse(DUMP.replace(from, to).as_bytes()).unwrap_err();
            assert!(error.to_string().contains(why), "{error:#}");
        }
    }
}
