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

/// A walk that sends a record for each source through a ring buffer.
pub static RINGBUF: &[u8] = object!("ringbuf");
