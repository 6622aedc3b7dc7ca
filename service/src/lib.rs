// SPDX-License-Identifier: Apache-2.0
//! The kernel's wakeup sources, from the BPF program's records to a binder reply.
//!
//! Data flows one way. [`backends`] takes the best way to read that works: [`pinned`] and [`load`] run
//! the program, for which [`walk`] sees to the room that it needs and [`records`] decodes what it
//! wrote; [`sysfs`] does without it. Each makes a [`model::Snapshot`]. [`tracker`] compares that with
//! the former ones, [`query`] picks what a caller asked for, and [`reply`] or [`dump`] shows it.
//! [`reader`] is where all callers meet. Only `load`, `pin` and [`bpf`] know BPF; only [`binder`],
//! `reply` and [`access`] know binder.

pub mod access;
pub mod backends;
pub mod binder;
pub mod bpf;
pub mod checkin;
pub mod clock;
pub mod csv;
pub mod dump;
pub mod gate;
pub mod glob;
pub mod json;
pub mod layout;
#[cfg_attr(not(feature = "load"), path = "no_load.rs")]
pub mod load;
pub mod model;
#[cfg(feature = "load")]
pub mod pin;
pub mod pinned;
pub mod pins;
pub mod places;
pub mod query;
pub mod reader;
pub mod records;
pub mod reply;
pub mod report;
pub mod status;
pub mod sysfs;
pub mod table;
pub mod throttle;
pub mod tracker;
pub mod walk;

use std::error::Error;

/// An error with its causes, for a person to read.
pub fn chain(error: &dyn Error) -> String {
    std::iter::successors(error.source(), |&cause| cause.source())
        .fold(error.to_string(), |message, cause| {
            format!("{message}: {}", cause.to_string().trim())
        })
}
