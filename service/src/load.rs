// SPDX-License-Identifier: Apache-2.0
//! The backend `load`: this process loads the embedded BPF program, and maps its records.
//!
//! The only module that knows libbpf.

#![expect(unsafe_code, reason = "a map is read through a memory mapping")]

use std::fs;
use std::io;
use std::ops::RangeInclusive;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use libbpf_rs::{ErrorKind, MapCore, Object, ObjectBuilder, PrintLevel, ProgramMut};
use memmap2::{Mmap, MmapOptions};
use rustix::thread::{CapabilitySet, capabilities};
use thiserror::Error;
use zerocopy::FromBytes;

use crate::backends::{Failure, Open, TakeSnapshot};
use crate::bpf;
use crate::layout::{WS_CHUNKS, ws_args, ws_chunk};
use crate::model::Backend;
use crate::pins::{MAP_NAME, PROGRAM_NAME};
use crate::walk::{self, Limits, Program, Walker};

/// Where the kernel shows its own type information.
const KERNEL_BTF: &str = "/sys/kernel/btf/vmlinux";

/// Where it shows that of its modules, too.
const BTF_DIR: &str = "/sys/kernel/btf";

/// The first of the three kfuncs: a kernel has all of them or none.
const KFUNC: &str = "bpf_wakeup_sources_read_lock";

/// The compiled `bpf/wakeupSources.bpf.c`, aligned as libelf wants it.
static OBJECT: &Aligned<[u8]> =
    &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/wakeupSources.bpf")));

/// The object file with the program, for who loads it in another way than [`Loaded`].
pub fn object() -> &'static [u8] {
    &OBJECT.0
}

#[repr(align(8))]
struct Aligned<T: ?Sized>(T);

/// Why the program could not be loaded, and what to do about it.
#[derive(Debug, Error)]
pub enum Error {
    /// No type information, without which no program can be fitted to the kernel.
    #[error(
        "this kernel has no BTF ({KERNEL_BTF} is missing): it must be built with \
         CONFIG_DEBUG_INFO_BTF=y, and /sys must be mounted"
    )]
    NoBtf,
    /// No kfuncs to walk the list with.
    #[error(
        "this kernel has no kfunc {KFUNC}: it must be Linux 7.2 or later, have upstream commit \
         5ff44955447e, or have the module in kernel/ loaded"
    )]
    NoKfunc,
    /// The process may not load programs.
    #[error(
        "this process may not load BPF programs: it needs CAP_BPF and CAP_PERFMON (or root), and \
         on Android the domain of bpfloader"
    )]
    NotPermitted(#[source] libbpf_rs::Error),
    /// The process has the capabilities, but the program may not be loaded.
    #[error(
        "the BPF program is refused by the kernel's verifier, whose words are in the log at level \
         debug, or by a security policy (on Android only the domain of bpfloader may load programs)"
    )]
    Refused(#[source] libbpf_rs::Error),
    /// Anything else, in the words of libbpf. The log at level debug has the verifier's.
    #[error("the BPF program can't be loaded")]
    Load(#[source] libbpf_rs::Error),
    /// The object file is not the one this module was written for.
    #[error("the embedded BPF object has no {0}")]
    Incomplete(&'static str),
    /// The program or its map can't be pinned.
    #[error("can't pin {}", .0.display())]
    Pin(PathBuf, #[source] libbpf_rs::Error),
    /// The program's descriptor can't be duplicated.
    #[error("the BPF program can't be kept open")]
    Descriptor(#[source] io::Error),
    /// The records can't be mapped.
    #[error("the records of the BPF program can't be mapped")]
    Map(#[source] io::Error),
}

/// The loaded program and its mapped records. Of libbpf's object, which has the kernel's types in
/// memory, nothing is kept.
#[derive(Debug)]
pub struct Loaded {
    program: OwnedFd,
    records: Mmap,
    chunks: u32,
}

impl Loaded {
    /// Loads the program with the room for sources that the object file declares, 128 KiB.
    pub fn load() -> Result<Self, Error> {
        Self::load_with_room(WS_CHUNKS)
    }

    /// Loads the program with room for `chunks` chunks of 4 KiB.
    pub fn load_with_room(chunks: u32) -> Result<Self, Error> {
        let object = open_and_load(chunks)?;
        let map = object.maps().find(|map| map.name() == MAP_NAME);
        let map = map.ok_or(Error::Incomplete(MAP_NAME))?;
        let program = program(&object)?.as_fd().try_clone_to_owned().map_err(Error::Descriptor)?;
        // SAFETY: the mapping stays valid whatever happens to the file, as it is of kernel memory
        // that lives as long as the mapping. Its bytes are changed by the program only, of which
        // this process holds the only reference: it runs in `run`, which borrows `self` mutably,
        // so no reference into the mapping is alive then.
        let records = unsafe {
            MmapOptions::new().len(chunks as usize * size_of::<ws_chunk>()).map(&map.as_fd())
        };
        let records = records.map_err(Error::Map)?;
        Ok(Loaded { program, records, chunks })
    }
}

/// The loaded program and its map, to be pinned.
#[derive(Debug)]
pub struct Pinnable(Object);

impl Pinnable {
    /// Loads the program with room for `chunks` chunks.
    pub fn load(chunks: u32) -> Result<Self, Error> {
        Ok(Pinnable(open_and_load(chunks)?))
    }

    /// Pins both at these paths.
    pub fn pin(mut self, program_pin: &Path, map_pin: &Path) -> Result<(), Error> {
        let failed = |path: &Path, error| Error::Pin(path.to_owned(), error);
        program(&self.0)?.pin(program_pin).map_err(|error| failed(program_pin, error))?;
        let records = self.0.maps_mut().find(|map| map.name() == MAP_NAME);
        let mut records = records.ok_or(Error::Incomplete(MAP_NAME))?;
        records.pin(map_pin).map_err(|error| failed(map_pin, error))
    }
}

fn program(object: &Object) -> Result<ProgramMut<'_>, Error> {
    let program = object.progs_mut().find(|program| program.name() == PROGRAM_NAME);
    program.ok_or(Error::Incomplete(PROGRAM_NAME))
}

impl Program for Loaded {
    const BACKEND: Backend = Backend::Load;

    fn run(&mut self, ids: RangeInclusive<u32>) -> io::Result<ws_args> {
        let mut args = walk::args(ids);
        walk::returned(bpf::run(self.program.as_fd(), &mut args)?)?;
        Ok(args)
    }

    fn chunks(&self, count: u32) -> io::Result<&[ws_chunk]> {
        let (chunks, _) =
            <[ws_chunk]>::ref_from_prefix_with_elems(&self.records, count as usize)
                .map_err(|_| io::Error::other(format!("the map has no {count} chunks")))?;
        Ok(chunks)
    }

    fn room(&self) -> u32 {
        self.chunks
    }

    /// An array can't be resized, so the program is loaded anew with a larger one.
    fn grow(&mut self, chunks: u32) -> io::Result<()> {
        *self = Self::load_with_room(chunks).map_err(io::Error::other)?;
        Ok(())
    }
}

/// Loads the program when it is wanted.
#[derive(Debug)]
pub struct Opener;

impl Open for Opener {
    fn backend(&self) -> Backend {
        Backend::Load
    }

    fn open(&mut self) -> Result<Box<dyn TakeSnapshot>, Failure> {
        Ok(Box::new(Walker::new(Loaded::load()?, Limits::default())))
    }
}

fn open_and_load(chunks: u32) -> Result<Object, Error> {
    libbpf_rs::set_print(Some((PrintLevel::Debug, log_libbpf)));
    let mut object = ObjectBuilder::default().open_memory(&OBJECT.0).map_err(Error::Load)?;
    let map = object.maps_mut().find(|map| map.name() == MAP_NAME);
    let mut map = map.ok_or(Error::Incomplete(MAP_NAME))?;
    map.set_max_entries(chunks).map_err(Error::Load)?;
    object.load().map_err(diagnose)
}

/// What libbpf's error means here: it names a symptom, and the cause is to be looked for.
fn diagnose(error: libbpf_rs::Error) -> Error {
    if !Path::new(KERNEL_BTF).exists() {
        Error::NoBtf
    } else if error.kind() == ErrorKind::PermissionDenied {
        if is_capable() { Error::Refused(error) } else { Error::NotPermitted(error) }
    } else if has_kfunc() == Some(false) {
        Error::NoKfunc
    } else {
        Error::Load(error)
    }
}

/// Whether this process holds what loading a program takes.
fn is_capable() -> bool {
    capabilities(None).is_ok_and(|held| {
        held.effective.contains(CapabilitySet::SYS_ADMIN)
            || held.effective.contains(CapabilitySet::BPF | CapabilitySet::PERFMON)
    })
}

/// Whether the kernel or one of its modules has the kfuncs. None if their BTF can't be read.
fn has_kfunc() -> Option<bool> {
    // BTF has each name once among its strings, with a NUL behind it.
    let name = [KFUNC.as_bytes(), b"\0"].concat();
    for btf in fs::read_dir(BTF_DIR).ok()? {
        let btf = fs::read(btf.ok()?.path()).ok()?;
        if memchr::memmem::find(&btf, &name).is_some() {
            return Some(true);
        }
    }
    Some(false)
}

fn log_libbpf(level: PrintLevel, message: String) {
    // Failures are reported by what returns them; libbpf's own words are for who looks closer.
    log::debug!("libbpf ({level:?}): {}", message.trim_end());
}
