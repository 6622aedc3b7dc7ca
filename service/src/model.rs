// SPDX-License-Identifier: Apache-2.0
//! The one model that feeds every reply and every dump.

use std::fmt;

use serde::Serialize;

/// A way to read the kernel's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// A BPF program that someone else loaded and pinned.
    Pinned,
    /// A BPF program that this process loaded.
    Load,
    /// `/sys/class/wakeup`.
    Sysfs,
}

impl Backend {
    /// Its name in dumps and in the log.
    pub fn name(self) -> &'static str {
        match self {
            Backend::Pinned => "pinned",
            Backend::Load => "load",
            Backend::Sysfs => "sysfs",
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How and when the kernel's list was read. Times are in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walk {
    /// How the list was read.
    pub backend: Backend,
    /// How often the list was walked: more than once only where the room may not grow. Each walk
    /// then contributed other ids, and the times in a row are as of its own walk.
    pub walks: u32,
    /// CLOCK_MONOTONIC as the first walk began. The rows are as of this moment, but for `Sysfs`.
    pub monotonic_ns: i64,
    /// CLOCK_BOOTTIME at the same moment.
    pub boottime_ns: i64,
    /// How long it took, over all walks. But for `Sysfs`, the kernel's list was locked for reading so
    /// long.
    pub duration_ns: i64,
    /// How many sources were on the list, in the last walk.
    pub total: u32,
    /// Whether each walk reached the end of the list and had room for all that it looked for.
    pub complete: bool,
}

/// The kernel's wakeup sources at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// How and when they were read.
    pub walk: Walk,
    /// The sources in the kernel's order, the youngest first; by walk where there were several.
    pub sources: Vec<Source>,
    /// Which of them may have changed; none where that is not known.
    pub changes: Option<Changes>,
}

/// Where a snapshot may differ from an earlier one of the same backend that had as many sources: in
/// all other places the sources are the same in everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// The earlier one's `monotonic_ns`.
    pub since_ns: i64,
    /// Places in `sources`, rising.
    pub places: Vec<usize>,
}

/// One wakeup source. Values are those of `/sys/class/wakeup/wakeupN`, but in nanoseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// N of `wakeupN`. The kernel gives it to another source after this one is gone.
    pub id: u32,
    /// The name; not unique. Bytes that are not UTF-8 are replaced by U+FFFD.
    pub name: String,
    /// Whether the name is longer than 255 bytes, of which the rest is missing.
    pub name_truncated: bool,
    /// Name of the device that owns the source, empty if none does.
    pub device: String,
    /// The kernel's active bit.
    pub active: bool,
    /// Whether all values are of one moment: false if the source changed during each read of it.
    /// Its times then leave out the stretch in which it is active.
    pub consistent: bool,
    /// Times it was activated.
    pub active_count: u64,
    /// Wakeup events it signalled.
    pub event_count: u64,
    /// Times it might have aborted a suspend.
    pub wakeup_count: u64,
    /// Times its timeout expired.
    pub expire_count: u64,
    /// Times it was deactivated.
    pub relax_count: u64,
    /// How long it has been active without a break, 0 if it is not.
    pub active_time_ns: i64,
    /// How long it has been active in all.
    pub total_time_ns: i64,
    /// The longest it has been active without a break.
    pub max_time_ns: i64,
    /// CLOCK_MONOTONIC when it last became active or inactive, 0 if it never did.
    pub last_change_ns: i64,
    /// How long it kept autosleep from suspending.
    pub prevent_suspend_time_ns: i64,
}
