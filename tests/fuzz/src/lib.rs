// SPDX-License-Identifier: Apache-2.0
//! What the fuzz targets do with their bytes, and what must hold whatever the bytes are.
//!
//! Each module takes in what comes from somebody else: [`parcel`] a client's query, [`dump`] a
//! caller's arguments and anybody's names, [`records`] what a pinned program wrote, [`sysfs`] what is
//! in the files of a node. [`tracker`] has sources do what no kernel would, and clients follow.
//!
//! A target's corpus is in `corpus/`; the test `corpus` runs it with every `cargo test`, and so keeps
//! what was found once from coming back.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a target that panics has found something: that is what they are for"
)]

pub mod dump;
pub mod parcel;
pub mod records;
pub mod sources;
pub mod sysfs;
pub mod tracker;

/// A fuzz target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name, which is that of its corpus, too.
    pub name: &'static str,
    /// What it does with an input.
    pub run: fn(&[u8]),
}

/// All targets.
pub const TARGETS: [Target; 5] = [
    Target { name: "dump", run: dump::run },
    Target { name: "parcel", run: parcel::run },
    Target { name: "records", run: records::run },
    Target { name: "sysfs", run: sysfs::run },
    Target { name: "tracker", run: tracker::run },
];
