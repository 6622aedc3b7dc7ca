// SPDX-License-Identifier: Apache-2.0
//! Thousands of sources, which take seconds to make: all tests of a suite share them.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use wakeupstats::model::Snapshot;

use crate::sources::Sources;

static SHARED: Mutex<Option<Sources>> = Mutex::new(None);

/// At least `count` sources.
///
/// # Panics
///
/// If the kernel won't make as many.
#[expect(clippy::expect_used, reason = "for tests, which can't go on without")]
pub fn shared(count: usize) -> MutexGuard<'static, Option<Sources>> {
    let mut guard = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    let sources = guard.get_or_insert_with(|| Sources::new().expect("an epoll instance"));
    while sources.len() < count {
        sources.add_eventfd().expect("another eventfd");
    }
    guard
}

/// The ids that the kernel shows in sysfs, by a listing alone.
///
/// # Panics
///
/// If sysfs can't be listed, or has something else than `wakeupN`.
#[expect(clippy::expect_used, reason = "for tests, which can't go on without")]
pub fn ids_in_sysfs() -> BTreeSet<u32> {
    let nodes = std::fs::read_dir("/sys/class/wakeup").expect("a listing");
    let id = |node: String| node.strip_prefix("wakeup")?.parse().ok();
    nodes
        .map(|node| node.expect("a node").file_name())
        .map(|name| id(name.to_string_lossy().into_owned()).expect("an id"))
        .collect()
}

/// Each source must be in the snapshot, and none twice.
///
/// # Panics
///
/// If that is not so.
pub fn assert_each_once(snapshot: &Snapshot) {
    let ids: BTreeSet<u32> = snapshot.sources.iter().map(|source| source.id).collect();
    assert_eq!(ids.len(), snapshot.sources.len(), "a source came twice");
    assert_eq!(ids, ids_in_sysfs());
    assert_eq!(snapshot.sources.len(), snapshot.walk.total as usize);
    assert!(snapshot.walk.complete);
}
