// SPDX-License-Identifier: Apache-2.0
//! bpf(2), as far as it takes no privilege: opens what others have pinned, runs a program, and reads an
//! array. No libbpf: this is what an Android build has.
//!
//! The layouts are those of `union bpf_attr`, `struct bpf_prog_info` and `struct bpf_map_info` in the
//! kernel's include/uapi/linux/bpf.h, as far as they are used: the kernel takes a shorter `bpf_attr`
//! as one whose rest is 0, and fills no more of an info than there is room for.

#![expect(unsafe_code, reason = "bpf(2) takes and fills memory by address")]

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use thiserror::Error;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

/// `enum bpf_cmd`
const BPF_OBJ_GET: u32 = 7;
const BPF_PROG_TEST_RUN: u32 = 10;
const BPF_OBJ_GET_INFO_BY_FD: u32 = 15;
const BPF_MAP_LOOKUP_BATCH: u32 = 24;

/// Opens a map for reading only, a program for running: all that a pin of mode 0440 allows.
const BPF_F_RDONLY: u32 = 1 << 3;

/// `BPF_PROG_TYPE_SYSCALL`
const SYSCALL: u32 = 31;

/// `BPF_MAP_TYPE_ARRAY`
const ARRAY: u32 = 2;

/// Why something pinned can't be used.
#[derive(Debug, Error)]
pub enum Error {
    /// It can't be opened.
    #[error("{0} can't be opened: {reason}", reason = why_not(.1))]
    Open(PathBuf, #[source] io::Error),
    /// The kernel does not describe it.
    #[error("the kernel does not say what {0} is")]
    Describe(PathBuf, #[source] io::Error),
    /// It is something else.
    #[error("{path} is not what this service looks for: {found}, instead of {wanted}")]
    Other {
        /// Where it is.
        path: PathBuf,
        /// What it is.
        found: String,
        /// What it should be.
        wanted: String,
    },
}

fn why_not(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "nothing is pinned there",
        io::ErrorKind::PermissionDenied => {
            "this process may not read it (it should belong to this uid or gid, with mode 0440, and \
             policy allow it), or it is no BPF object"
        }
        _ => "the kernel refuses",
    }
}

/// A program of type syscall.
#[derive(Debug)]
pub struct Program {
    fd: OwnedFd,
    maps: Vec<u32>,
}

impl Program {
    /// Opens the program that is pinned at `path`, which must have this name.
    pub fn open(path: &Path, name: &str) -> Result<Self, Error> {
        let fd = open(path, "bpf-prog")?;
        let (info, maps) =
            program_info(fd.as_fd()).map_err(|error| Error::Describe(path.to_owned(), error))?;
        check(
            path,
            describe_program(info.kind, &info.name),
            describe_program(SYSCALL, &padded(name)),
        )?;
        Ok(Program { fd, maps })
    }

    /// Whether the program uses this map.
    pub fn uses(&self, map: &Array) -> bool {
        self.maps.contains(&map.id)
    }

    /// The same as [`run`].
    pub fn run(&self, context: &mut (impl FromBytes + IntoBytes)) -> io::Result<i32> {
        run(self.fd.as_fd(), context)
    }
}

/// Runs a program of type syscall, which changes `context` as it likes. Returns what it returned.
pub fn run(program: BorrowedFd<'_>, context: &mut (impl FromBytes + IntoBytes)) -> io::Result<i32> {
    let context = context.as_mut_bytes();
    let mut attr = TestRun {
        prog_fd: number(program.as_raw_fd()),
        ctx_size_in: length(context.len())?,
        ctx_in: context.as_mut_ptr() as u64,
        ..TestRun::new_zeroed()
    };
    // SAFETY: `ctx_in` is the address of `ctx_size_in` bytes that are borrowed mutably for the call
    // and may take any value. The kernel copies the context in, and out again to the same place. All
    // other addresses are null, which stands for nothing.
    unsafe { bpf(BPF_PROG_TEST_RUN, &mut attr) }?;
    Ok(attr.retval.cast_signed())
}

/// An array whose values have a size that is known.
#[derive(Debug)]
pub struct Array {
    fd: OwnedFd,
    id: u32,
    value_size: u32,
    len: u32,
}

impl Array {
    /// Opens the array that is pinned at `path`, which must have this name, and values of this size.
    pub fn open(path: &Path, name: &str, value_size: usize) -> Result<Self, Error> {
        let fd = open(path, "bpf-map")?;
        let describe = |error| Error::Describe(path.to_owned(), error);
        let wanted_size = length(value_size).map_err(describe)?;
        let mut info = MapInfo::new_zeroed();
        // SAFETY: there is no address in it.
        unsafe { fill_info(fd.as_fd(), &mut info) }.map_err(describe)?;
        check(
            path,
            describe_map(info.kind, &info.name, info.key_size, info.value_size),
            describe_map(ARRAY, &padded(name), size_of::<u32>() as u32, wanted_size),
        )?;
        Ok(Array { fd, id: info.id, value_size: info.value_size, len: info.max_entries })
    }

    /// How many elements it has.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Copies as many elements from the first on as there is room for in `values`.
    pub fn read<T: FromBytes + IntoBytes>(&self, values: &mut [T]) -> io::Result<()> {
        let count = length(values.len())?;
        if count > self.len || size_of::<T>() != self.value_size as usize {
            return Err(io::Error::other(format!(
                "{count} elements of {} bytes were asked of a map that has {} of {} bytes",
                size_of::<T>(),
                self.len,
                self.value_size
            )));
        }
        if count == 0 {
            return Ok(());
        }
        let mut keys = vec![0u32; values.len()];
        let mut last_key = 0u32;
        let mut attr = Batch {
            in_batch: 0,
            out_batch: (&raw mut last_key) as u64,
            keys: keys.as_mut_ptr() as u64,
            values: values.as_mut_bytes().as_mut_ptr() as u64,
            count,
            map_fd: number(self.fd.as_raw_fd()),
            ..Batch::new_zeroed()
        };
        // SAFETY: the kernel writes at most `count` keys of 4 bytes to `keys`, `count` values of
        // `value_size` bytes to `values`, and a key to `out_batch`. Each is memory of that size,
        // as was checked when the map was opened and just now, it may take any value, and nothing
        // else refers to it during the call. Null for `in_batch` stands for the beginning.
        unsafe { bpf(BPF_MAP_LOOKUP_BATCH, &mut attr) }?;
        if attr.count == count {
            Ok(())
        } else {
            Err(io::Error::other(format!("the map gave {} elements of {count}", attr.count)))
        }
    }
}

fn open(path: &Path, kind: &str) -> Result<OwnedFd, Error> {
    let open = || {
        let path = CString::new(path.as_os_str().as_bytes())?;
        let mut attr =
            ObjGet { pathname: path.as_ptr() as u64, bpf_fd: 0, file_flags: BPF_F_RDONLY };
        // SAFETY: `pathname` is the address of a string that ends with a NUL and outlives the call.
        let fd = unsafe { bpf(BPF_OBJ_GET, &mut attr) }?;
        // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    };
    let fd: OwnedFd = open().map_err(|error| Error::Open(path.to_owned(), error))?;
    // Of programs, maps and links the same command asks for a description, and each has another
    // layout, so what it is must be known before. The kernel says it in the file's name only.
    let describe = |error| Error::Describe(path.to_owned(), error);
    let link = format!("/proc/self/fd/{}", fd.as_raw_fd());
    let found = std::fs::read_link(link).map_err(describe)?;
    let found = found.to_string_lossy().replace("anon_inode:", "").replace(['[', ']'], "");
    check(path, found, kind.to_owned())?;
    Ok(fd)
}

fn check(path: &Path, found: String, wanted: String) -> Result<(), Error> {
    if found == wanted {
        Ok(())
    } else {
        Err(Error::Other { path: path.to_owned(), found, wanted })
    }
}

fn describe_program(kind: u32, name: &[u8; NAME_LEN]) -> String {
    format!("a program {:?} of type {kind}", text(name))
}

fn describe_map(kind: u32, name: &[u8; NAME_LEN], key_size: u32, value_size: u32) -> String {
    let name = text(name);
    format!(
        "a map {name:?} of type {kind} with keys of {key_size} and values of {value_size} bytes"
    )
}

/// A name as the kernel keeps it: what is too long is cut, the rest is NULs.
fn padded(name: &str) -> [u8; NAME_LEN] {
    let mut padded = [0; NAME_LEN];
    let room = padded.iter_mut().take(NAME_LEN - 1);
    room.zip(name.bytes()).for_each(|(to, byte)| *to = byte);
    padded
}

fn text(name: &[u8; NAME_LEN]) -> String {
    String::from_utf8_lossy(name).trim_end_matches('\0').to_owned()
}

/// What the kernel says of a program, and the ids of the first maps that it uses.
fn program_info(fd: BorrowedFd<'_>) -> io::Result<(ProgramInfo, Vec<u32>)> {
    let mut maps = vec![0u32; MAX_MAPS];
    let mut info = ProgramInfo {
        nr_map_ids: length(maps.len())?,
        map_ids: maps.as_mut_ptr() as u64,
        ..ProgramInfo::new_zeroed()
    };
    // SAFETY: `map_ids` is the address of `nr_map_ids` numbers that may take any value, and to which
    // nothing else refers during the call. All other addresses are null.
    unsafe { fill_info(fd, &mut info) }?;
    maps.truncate(info.nr_map_ids as usize);
    Ok((info, maps))
}

/// Has the kernel describe what `fd` is.
///
/// # Safety
///
/// Each address in `info` must be null or of as much memory as `info` says, which the kernel may write
/// to.
unsafe fn fill_info(fd: BorrowedFd<'_>, info: &mut (impl FromBytes + IntoBytes)) -> io::Result<()> {
    let bytes = info.as_mut_bytes();
    let mut attr = InfoByFd {
        bpf_fd: number(fd.as_raw_fd()),
        info_len: length(bytes.len())?,
        info: bytes.as_mut_ptr() as u64,
    };
    // SAFETY: `info` is the address of `info_len` bytes that are borrowed mutably for the call and
    // may take any value. For the addresses in it the caller has promised.
    unsafe { bpf(BPF_OBJ_GET_INFO_BY_FD, &mut attr) }?;
    Ok(())
}

/// The system call.
///
/// # Safety
///
/// `attr` must be the variant of `union bpf_attr` that belongs to `command`, and each address in it
/// be null or of memory as large as the variant says, which the kernel may write to.
unsafe fn bpf(command: u32, attr: &mut (impl FromBytes + IntoBytes)) -> io::Result<RawFd> {
    let bytes = attr.as_mut_bytes();
    // SAFETY: the address and size are those of `attr`, which the kernel copies and of which it
    // changes single fields; the rest is the caller's promise.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, bytes.as_mut_ptr(), bytes.len()) };
    match RawFd::try_from(result) {
        Ok(result @ 0..) => Ok(result),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A descriptor as `union bpf_attr` has it.
fn number(fd: RawFd) -> u32 {
    fd.cast_unsigned()
}

fn length(len: usize) -> io::Result<u32> {
    u32::try_from(len).map_err(io::Error::other)
}

/// `BPF_OBJ_NAME_LEN`
const NAME_LEN: usize = 16;

/// More maps than any program of ours has.
const MAX_MAPS: usize = 8;

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct ObjGet {
    pathname: u64,
    bpf_fd: u32,
    file_flags: u32,
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct TestRun {
    prog_fd: u32,
    retval: u32,
    data_size_in: u32,
    data_size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
    ctx_size_in: u32,
    ctx_size_out: u32,
    ctx_in: u64,
    ctx_out: u64,
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Batch {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    elem_flags: u64,
    flags: u64,
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct InfoByFd {
    bpf_fd: u32,
    info_len: u32,
    info: u64,
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct ProgramInfo {
    kind: u32,
    id: u32,
    tag: [u8; 8],
    jited_prog_len: u32,
    xlated_prog_len: u32,
    jited_prog_insns: u64,
    xlated_prog_insns: u64,
    load_time: u64,
    created_by_uid: u32,
    nr_map_ids: u32,
    map_ids: u64,
    name: [u8; NAME_LEN],
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct MapInfo {
    kind: u32,
    id: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    map_flags: u32,
    name: [u8; NAME_LEN],
}
