// SPDX-License-Identifier: Apache-2.0
//! `/sys/class/wakeup`, read as C would.

use std::io;

use anyhow::{Context, Result};
use rustix::fd::OwnedFd;
use rustix::fs::{CWD, Mode, OFlags, RawDir, openat};
use rustix::io::{pread, read};

use super::attributes::{ATTRIBUTES, CLASS, Reading};
use super::{Contender, Seen};

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
const FILE: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC);

/// For a listing: some 1,000 entries at a time.
const LISTING: usize = 32 * 1024;

/// Calls `each` with the directory of each source.
fn for_each_source(
    listing: &mut Vec<u8>,
    mut each: impl FnMut(OwnedFd) -> io::Result<()>,
) -> io::Result<()> {
    let class = openat(CWD, CLASS, DIRECTORY, Mode::empty())?;
    let mut entries = RawDir::new(&class, listing.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let node = entry.file_name();
        if !node.to_bytes().starts_with(b".") {
            each(openat(&class, node, DIRECTORY, Mode::empty())?)?;
        }
    }
    Ok(())
}

fn seen(reading: &Reading) -> Seen {
    Seen::events(reading.sources().map(|(_, numbers)| numbers.event_count.cast_unsigned()))
}

/// Opens, reads and closes each attribute, by its name in the source's directory. By its path from
/// the class it would take half as long again, as each is then looked up through a link.
#[derive(Debug)]
pub struct Sysfs {
    listing: Vec<u8>,
    reading: Reading,
}

impl Default for Sysfs {
    fn default() -> Self {
        Sysfs { listing: Vec::with_capacity(LISTING), reading: Reading::default() }
    }
}

impl Contender for Sysfs {
    fn name(&self) -> &'static str {
        "sysfs"
    }

    fn call(&mut self) -> Result<()> {
        self.reading.clear();
        for_each_source(&mut self.listing, |source| {
            self.reading.add(|attribute, text| {
                let name = ATTRIBUTES.get(attribute).copied().unwrap_or_default();
                read(openat(&source, name, FILE, Mode::empty())?, text)
            })
        })?;
        Ok(())
    }

    fn seen(&self) -> Result<Seen> {
        Ok(seen(&self.reading))
    }
}

/// Keeps all attributes of all sources open, and reads each from its beginning: SystemSuspend's
/// fast path. It does not look for sources that came, and so does less than that.
#[derive(Debug, Default)]
pub struct SysfsCached {
    sources: Vec<[OwnedFd; ATTRIBUTES.len()]>,
    reading: Reading,
}

impl SysfsCached {
    /// Opens the sources that there are now.
    pub fn open() -> Result<Self> {
        let mut sources = Vec::new();
        for_each_source(&mut Vec::with_capacity(LISTING), |source| {
            let open = |name| openat(&source, name, FILE, Mode::empty());
            let opened = ATTRIBUTES.iter().map(|name| open(*name));
            let opened: Vec<OwnedFd> = opened.collect::<rustix::io::Result<_>>()?;
            sources.push(opened.try_into().map_err(|_| io::ErrorKind::InvalidData)?);
            Ok(())
        })
        .context("can't open the attributes of all sources")?;
        Ok(SysfsCached { sources, reading: Reading::default() })
    }

    /// Reads them all.
    pub fn read(&mut self) -> io::Result<&Reading> {
        self.reading.clear();
        for source in &self.sources {
            self.reading.add(|attribute, text| {
                let file = source.get(attribute).ok_or(rustix::io::Errno::BADF)?;
                pread(file, text, 0)
            })?;
        }
        Ok(&self.reading)
    }
}

impl Contender for SysfsCached {
    fn name(&self) -> &'static str {
        "sysfs_cached"
    }

    fn call(&mut self) -> Result<()> {
        self.read()?;
        Ok(())
    }

    fn seen(&self) -> Result<Seen> {
        Ok(seen(&self.reading))
    }
}
