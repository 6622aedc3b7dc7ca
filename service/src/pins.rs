// SPDX-License-Identifier: Apache-2.0
//! Where the program and its map are pinned for a service without privilege.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

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

/// Tells a pin from one that had its place before, or another owner: device, inode, and the time when
/// its inode last changed, in seconds and nanoseconds.
type PinIdentity = (u64, u64, i64, i64);

/// Tells both pins from former ones.
pub type Identity = [PinIdentity; 2];

impl Pins {
    /// The pins in this directory.
    pub fn new(dir: impl AsRef<Path>) -> Self {
        // Without a slash at its end, which shells add.
        Pins { dir: dir.as_ref().components().collect() }
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
        let pin = |path: PathBuf| -> Option<PinIdentity> {
            let it = fs::metadata(path).ok()?;
            Some((it.dev(), it.ino(), it.ctime(), it.ctime_nsec()))
        };
        Some([pin(self.program())?, pin(self.map())?])
    }
}
