// SPDX-License-Identifier: Apache-2.0
//! The compiled programs of `bpf/`.

/// Aligned as libelf wants it.
#[repr(align(8))]
struct Aligned<T: ?Sized>(T);

macro_rules! object {
    ($name:literal) => {{
        static OBJECT: &Aligned<[u8]> =
            &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".bpf.o")));
        &OBJECT.0
    }};
}

/// The plainest walk of the list.
pub static WALK: &[u8] = object!("walk");

/// Wrong uses of the kfuncs, and the right one.
pub static REFUSED: &[u8] = object!("refused");

/// What looks like the project's program, but has another layout.
pub static OTHER_LAYOUT: &[u8] = object!("other_layout");

/// What has the layout, and claims more than there is.
pub static LIAR: &[u8] = object!("liar");

/// The project's program, which reads each source once, and marks what it can't read in one piece.
pub static ONE_READ: &[u8] = object!("one_read");

/// The project's program, whose walk ends after 64 sources.
pub static SHORT_LIST: &[u8] = object!("short_list");

/// A walk that sends a record for each source through a ring buffer.
pub static RINGBUF: &[u8] = object!("ringbuf");
