// SPDX-License-Identifier: Apache-2.0
//! Files that are laid out as the kernel lays out sysfs.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};

use tempfile::TempDir;

use super::super::*;

/// A source with a value of its own in each attribute: active for 20 ms.
pub(super) const ATTRIBUTES: [(&str, &str); 11] = [
    ("name", "alarmtimer\n"),
    ("active_count", "3\n"),
    ("event_count", "9\n"),
    ("wakeup_count", "4\n"),
    ("expire_count", "1\n"),
    ("relax_count", "2\n"),
    ("active_time_ms", "20\n"),
    ("total_time_ms", "70\n"),
    ("max_time_ms", "30\n"),
    ("last_change_ms", "50\n"),
    ("prevent_suspend_time_ms", "5\n"),
];

/// The same in a snapshot.
pub(super) fn shown(id: u32) -> Source {
    Source {
        id,
        name: "alarmtimer".into(),
        name_truncated: false,
        device: String::new(),
        active: true,
        consistent: true,
        active_count: 3,
        event_count: 9,
        wakeup_count: 4,
        expire_count: 1,
        relax_count: 2,
        active_time_ns: 20_000_000,
        total_time_ns: 70_000_000,
        max_time_ns: 30_000_000,
        last_change_ns: 50_000_000,
        prevent_suspend_time_ns: 5_000_000,
    }
}

/// A directory that looks like `/sys`.
pub(super) struct Tree(TempDir);

impl Tree {
    pub(super) fn new() -> Self {
        let tree = Tree(TempDir::new().unwrap());
        fs::create_dir_all(tree.class()).unwrap();
        fs::create_dir_all(tree.devices()).unwrap();
        tree
    }

    /// A tree with these sources.
    pub(super) fn of(ids: impl IntoIterator<Item = u32>) -> Self {
        let tree = Tree::new();
        ids.into_iter().for_each(|id| tree.add(id));
        tree
    }

    pub(super) fn class(&self) -> PathBuf {
        self.0.path().join("class/wakeup")
    }

    pub(super) fn devices(&self) -> PathBuf {
        self.0.path().join("devices/virtual/wakeup")
    }

    pub(super) fn node(&self, id: u32) -> PathBuf {
        self.devices().join(format!("wakeup{id}"))
    }

    pub(super) fn link(&self, id: u32) -> PathBuf {
        self.class().join(format!("wakeup{id}"))
    }

    pub(super) fn add(&self, id: u32) {
        fs::create_dir(self.node(id)).unwrap();
        ATTRIBUTES.iter().for_each(|(attribute, text)| self.set(id, attribute, text));
        let target = format!("../../devices/virtual/wakeup/wakeup{id}");
        symlink(target, self.link(id)).unwrap();
    }

    pub(super) fn set(&self, id: u32, attribute: &str, text: impl AsRef<[u8]>) {
        fs::write(self.node(id).join(attribute), text).unwrap();
    }

    pub(super) fn unset(&self, id: u32, attribute: &str) {
        fs::remove_file(self.node(id).join(attribute)).unwrap();
    }

    pub(super) fn listed(&self, id: u32) -> Listed {
        Listed { ino: fs::symlink_metadata(self.link(id)).unwrap().ino(), id }
    }

    pub(super) fn sysfs(&self) -> Sysfs {
        Sysfs::open(self.0.path()).unwrap()
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        self.sysfs().snapshot().unwrap().clone()
    }

    /// The only source, in a complete snapshot.
    pub(super) fn one(&self) -> Source {
        let Snapshot { walk, mut sources, .. } = self.snapshot();
        assert_eq!((walk.total, walk.complete, sources.len()), (1, true, 1));
        sources.remove(0)
    }
}
