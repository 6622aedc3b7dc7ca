// SPDX-License-Identifier: Apache-2.0
//! Memory with an end: behind its last byte is a page that nobody may touch. The kernel, which no sanitizer
//! watches, then fails with `EFAULT` when it is made to write a byte too many.

#![expect(unsafe_code, reason = "memory is mapped, and partly closed, by address")]

use std::ffi::c_void;
use std::ptr::null_mut;
use std::slice::from_raw_parts_mut;

use anyhow::{Context, Result};
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect, munmap};
use rustix::param::page_size;

/// So many bytes, and no more.
#[derive(Debug)]
pub struct Guarded {
    mapping: *mut c_void,
    /// Bytes of the mapping before the closed page.
    open: usize,
    len: usize,
}

impl Guarded {
    /// `len` bytes, all 0. They are aligned as far as `len` is.
    pub fn new(len: usize) -> Result<Self> {
        let open = len.next_multiple_of(page_size());
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping, wherever the kernel likes, overlaps nothing that is in use.
        let mapping = unsafe {
            mmap_anonymous(null_mut(), open + page_size(), protection, MapFlags::PRIVATE)
        };
        let guarded = Guarded { mapping: mapping.context("can't map memory")?, open, len };
        // SAFETY: the mapping has a page behind the first `open` bytes, to which nothing refers.
        unsafe { mprotect(guarded.mapping.byte_add(open), page_size(), MprotectFlags::empty()) }
            .context("can't close a page")?;
        Ok(guarded)
    }

    /// The bytes.
    pub fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: they are the last of the open part of the mapping, which lives as long as `self`, is
        // borrowed mutably with it, and was 0 at first.
        unsafe { from_raw_parts_mut(self.mapping.cast::<u8>().add(self.open - self.len), self.len) }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // SAFETY: the whole mapping is this one's, and nothing refers to it any more. If it stays, then
        // until the process ends.
        let _ = unsafe { munmap(self.mapping, self.open + page_size()) };
    }
}
