// SPDX-License-Identifier: Apache-2.0
//! Where the program and its map are pinned for a service without privilege.

use std::path::{Path, PathBuf};

use rustix::fs::stat;

/// Below which AOSP's bpfloader pins them for an object `wakeupSources` with prefix `wakeupstats/`.
pub const DEFAULT_DIR: &str = "/sys/fs/bpf/wakeupstats";

/// The program's name in the object `wakeupSources` and in the kernel, ...
pub const PROGRAM_NAME: &str = "snapshot";

/// ... and its map's.
pub const MAP_NAME: &str = "records";

/// The names of their pins, as bpfloader makes them of these.
pub const PROGRAM_PIN: &str = "prog_wakeupSources_snapshot";

/// Likewise.
pub const MAP_PIN: &str = "map_wakeupSources_records";

/// A directory in a BPF file system that has both pins, or may have.
#[derive(Clone, Debug)]
pub struct Pins {
    dir: PathBuf,
}

/// Tells pins from those that had their place before: device and inode of both.
pub type Identity = [(u64, u64); 2];

impl Pins {
    /// The pins in this directory.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Pins { dir: dir.into() }
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The program's path.
    pub fn program(&self) -> PathBuf {
        self.dir.join(PROGRAM_PIN)
    }

    /// The map's path.
    pub fn map(&self) -> PathBuf {
        self.dir.join(MAP_PIN)
    }

    /// Which pins these are now; none unless both are there.
    pub fn identity(&self) -> Option<Identity> {
        let inode = |path: PathBuf| stat(&path).map(|it| (it.st_dev, it.st_ino)).ok();
        Some([inode(self.program())?, inode(self.map())?])
    }
}
