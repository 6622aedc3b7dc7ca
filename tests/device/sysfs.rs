// SPDX-License-Identifier: Apache-2.0
//! `/sys/class/wakeup`, read as today's readers do: what the service is compared with.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use anyhow::{Context, Result};

/// Where the kernel shows its wakeup sources.
const CLASS: &str = "/sys/class/wakeup";

/// Longer than any attribute in the tests: a name has 255 bytes. The kernel's limit is a page.
const MAX_ATTRIBUTE: usize = 512;

/// One `/sys/class/wakeup/wakeupN`. Times are in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The raw bytes of the name.
    pub name: Vec<u8>,
    /// The name of the owning device, if any.
    pub device: Option<String>,
    /// `active_count`
    pub active_count: u64,
    /// `event_count`
    pub event_count: u64,
    /// `wakeup_count`
    pub wakeup_count: u64,
    /// `expire_count`
    pub expire_count: u64,
    /// `relax_count`, which kernels before 7.0 do not show.
    pub relax_count: Option<u64>,
    /// `active_time_ms`
    pub active_time_ms: i64,
    /// `total_time_ms`
    pub total_time_ms: i64,
    /// `max_time_ms`
    pub max_time_ms: i64,
    /// `last_change_ms`
    pub last_change_ms: i64,
    /// `prevent_suspend_time_ms`
    pub prevent_suspend_time_ms: i64,
}

impl Source {
    /// The fields that never decrease while a source lives.
    fn rising(&self) -> [(&'static str, i64); 9] {
        let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        [
            ("active_count", count(self.active_count)),
            ("event_count", count(self.event_count)),
            ("wakeup_count", count(self.wakeup_count)),
            ("expire_count", count(self.expire_count)),
            ("relax_count", count(self.relax_count.unwrap_or(0))),
            ("total_time_ms", self.total_time_ms),
            ("max_time_ms", self.max_time_ms),
            ("last_change_ms", self.last_change_ms),
            ("prevent_suspend_time_ms", self.prevent_suspend_time_ms),
        ]
    }

    /// What of this is not between two readings, one before and one after it, if anything.
    ///
    /// Sysfs adds up a time without the source's lock: read while that changes, it may show too much, and then
    /// run backwards. Such a pair bounds nothing.
    pub fn out_of(&self, before: &Self, after: &Self) -> Option<String> {
        let fields = before.rising().into_iter().zip(self.rising()).zip(after.rising());
        fields.into_iter().find_map(|(((field, low), (_, value)), (_, high))| {
            let is_off = low <= high && !(low..=high).contains(&value);
            is_off.then(|| format!("{field}: {value} is not within {low}..={high}"))
        })
    }
}

/// All sources by their id, but for those that go meanwhile.
pub fn read() -> Result<BTreeMap<u32, Source>> {
    fs::read_dir(CLASS)
        .with_context(|| format!("can't list {CLASS}"))?
        .map(|entry| {
            let entry = entry?;
            let node = entry.file_name().into_string().ok().context("a node with an odd name")?;
            let id = node.strip_prefix("wakeup").and_then(|id| id.parse().ok());
            let id = id.with_context(|| format!("{node} is no wakeupN"))?;
            match source(&entry.path()) {
                Err(error) if is_gone(&error) => Ok(None),
                read => Ok(Some((id, read.with_context(|| format!("can't read {node}"))?))),
            }
        })
        .filter_map(Result::transpose)
        .collect()
}

/// Whether a file was not there, or its source no more.
fn is_gone(error: &anyhow::Error) -> bool {
    const ENODEV: i32 = 19;
    error.downcast_ref::<io::Error>().is_some_and(|error| {
        error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(ENODEV)
    })
}

fn source(node: &Path) -> Result<Source> {
    let device = fs::read_link(node.join("device")).ok();
    let mut name = attribute_text(node, "name")?;
    name.pop(); // the newline that sysfs ends it with
    Ok(Source {
        name,
        device: device.and_then(|path| Some(path.file_name()?.to_str()?.to_owned())),
        active_count: number(node, "active_count")?,
        event_count: number(node, "event_count")?,
        wakeup_count: number(node, "wakeup_count")?,
        expire_count: number(node, "expire_count")?,
        relax_count: number(node, "relax_count").ok(),
        active_time_ms: number(node, "active_time_ms")?,
        total_time_ms: number(node, "total_time_ms")?,
        max_time_ms: number(node, "max_time_ms")?,
        last_change_ms: number(node, "last_change_ms")?,
        prevent_suspend_time_ms: number(node, "prevent_suspend_time_ms")?,
    })
}

fn number<T: std::str::FromStr>(node: &Path, attribute: &str) -> Result<T> {
    let text = attribute_text(node, attribute)?;
    let text = str::from_utf8(text.as_slice()).unwrap_or_default().trim();
    text.parse().ok().with_context(|| format!("{attribute} is no number: {text:?}"))
}

/// An attribute's text, with three system calls: the least that naive sysfs can do.
fn attribute_text(node: &Path, attribute: &str) -> Result<Vec<u8>> {
    let mut text = vec![0; MAX_ATTRIBUTE];
    let file = File::open(node.join(attribute));
    let len = file.and_then(|mut file| file.read(&mut text));
    text.truncate(len.with_context(|| format!("can't read {attribute}"))?);
    Ok(text)
}

/// The name as the service gives it.
pub fn name(source: &Source) -> String {
    String::from_utf8_lossy(&source.name).into_owned()
}
