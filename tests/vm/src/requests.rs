// SPDX-License-Identifier: Apache-2.0
//! Binder transactions of any content, also such as no binder library would send: the bytes, and the
//! places where the kernel is told to find objects in them.

use std::os::fd::{AsRawFd, OwnedFd};

use anyhow::{Context, Result};
use rsbinder::{Parcel, ProxyHandle, TransactionCode, TransactionFlags};
use wakeupstats_aidl::SnapshotQuery;

/// Types of objects, in include/uapi/linux/android/binder.h
pub const BINDER: u32 = pack(b"sb*\x85");
/// Likewise.
pub const WEAK_BINDER: u32 = pack(b"wb*\x85");
/// Likewise.
pub const HANDLE: u32 = pack(b"sh*\x85");
/// Likewise.
pub const WEAK_HANDLE: u32 = pack(b"wh*\x85");
/// Likewise.
pub const FD: u32 = pack(b"fd*\x85");
/// Likewise.
pub const FD_ARRAY: u32 = pack(b"fda\x85");
/// Likewise.
pub const POINTER: u32 = pack(b"pt*\x85");

/// What an object takes in a parcel: its type, flags, a handle in 8 bytes, and a cookie.
pub const OBJECT_BYTES: usize = 24;

const fn pack(characters: &[u8; 4]) -> u32 {
    u32::from_be_bytes(*characters)
}

/// What is sent.
#[derive(Debug, Default)]
pub struct Request {
    /// The data.
    pub bytes: Vec<u8>,
    /// Where in it objects are said to be.
    pub objects: Vec<u64>,
    /// What has to stay open until it is sent.
    fds: Vec<OwnedFd>,
}

impl Request {
    /// These bytes and no objects.
    pub fn of(bytes: &[u8]) -> Self {
        Request { bytes: bytes.to_owned(), ..Request::default() }
    }

    /// What every call of the interface begins with.
    pub fn header(proxy: &ProxyHandle) -> Result<Self> {
        let parcel = proxy.prepare_transact(true).context("no parcel can be made")?;
        Ok(Request::of(&bytes_of(parcel)?))
    }

    /// The same with another interface's name.
    pub fn header_of(proxy: &ProxyHandle, descriptor: &str) -> Result<Self> {
        let own = bytes_of(proxy.prepare_transact(true)?)?;
        // Strict mode's policy, the work source, and the mark of an interface's name.
        let mut request = Request::of(own.get(..12).context("a header without a name")?);
        request.push_string(&descriptor.encode_utf16().collect::<Vec<_>>());
        Ok(request)
    }

    /// A call of `getSnapshot` with this query.
    pub fn query(proxy: &ProxyHandle, query: &SnapshotQuery) -> Result<Self> {
        let mut parcel = proxy.prepare_transact(true)?;
        parcel.write(query)?;
        Ok(Request::of(&bytes_of(parcel)?))
    }

    /// A dump to `file` with these arguments, in UTF-16 of any kind.
    pub fn dump<'a>(file: OwnedFd, args: impl IntoIterator<Item = &'a [u16]>) -> Self {
        let mut request = Request::default();
        request.push_fd(file);
        let count_at = request.bytes.len();
        request.push_i32(0);
        let mut count = 0;
        for arg in args {
            request.push_string(arg);
            count += 1;
        }
        request.set_i32(count_at, count);
        request
    }

    /// Appends a number.
    pub fn push_i32(&mut self, value: i32) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// Puts a number in place of what is at `position`, if all of that is there.
    pub fn set_i32(&mut self, position: usize, value: i32) {
        if let Some(word) = self.bytes.get_mut(position..position + 4) {
            word.copy_from_slice(&value.to_le_bytes());
        }
    }

    /// Appends a string.
    pub fn push_string(&mut self, units: &[u16]) {
        self.push_i32(i32::try_from(units.len()).unwrap_or(i32::MAX));
        self.bytes.extend(units.iter().chain([&0]).flat_map(|unit| unit.to_le_bytes()));
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// Appends an object.
    pub fn push_object(&mut self, kind: u32, handle: u64, cookie: u64) {
        self.objects.push(self.bytes.len() as u64);
        self.bytes.extend_from_slice(&kind.to_le_bytes());
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&handle.to_le_bytes());
        self.bytes.extend_from_slice(&cookie.to_le_bytes());
    }

    /// Appends a file, of which the daemon gets a descriptor.
    pub fn push_fd(&mut self, file: OwnedFd) {
        self.push_object(FD, u64::from(file.as_raw_fd().unsigned_abs()), 0);
        self.fds.push(file);
    }

    /// Appends the same file so many times.
    pub fn push_fds(&mut self, file: OwnedFd, count: usize) {
        for _ in 0..count {
            self.push_object(FD, u64::from(file.as_raw_fd().unsigned_abs()), 0);
        }
        self.fds.push(file);
    }

    /// Sends it, and waits for the reply, unless `flags` say that there is none.
    pub fn send(
        &mut self,
        proxy: &ProxyHandle,
        code: TransactionCode,
        flags: TransactionFlags,
    ) -> rsbinder::Result<Option<Parcel>> {
        let (bytes, objects) = (&mut self.bytes, &mut self.objects);
        // SAFETY: Both buffers are this request's, which nobody else has or moves until the parcel is
        // dropped at the end of this function. Nobody reads an object from the parcel, by which the
        // file descriptors of objects would have to be open: it is handed to the kernel, which takes
        // nothing on trust.
        #[expect(unsafe_code, reason = "a parcel's own methods write nothing that is malformed")]
        let parcel = unsafe {
            Parcel::from_ipc_parts(
                bytes.as_mut_ptr(),
                bytes.len(),
                objects.as_mut_ptr(),
                objects.len(),
                |_, _, _, _, _| Ok(()),
            )
        };
        proxy.submit_transact(code, &parcel, flags)
    }
}

/// What was written to a parcel, all of it in words of 4 bytes.
fn bytes_of(mut parcel: Parcel) -> Result<Vec<u8>> {
    parcel.set_data_position(0);
    let mut bytes = Vec::with_capacity(parcel.data_size());
    while parcel.data_avail() > 0 {
        bytes.extend_from_slice(&parcel.read_i32()?.to_le_bytes());
    }
    Ok(bytes)
}
