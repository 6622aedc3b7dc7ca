// SPDX-License-Identifier: Apache-2.0
//! The kernel's wakeup sources, from the BPF program's records to a binder reply.
//!
//! Data flows one way: [`load`] runs the program, [`walk`] gives it the room that it needs,
//! [`records`] decodes what it wrote into a [`model::Snapshot`], [`tracker`] compares that with the
//! former ones, [`query`] picks what a caller asked for, and [`reply`] or [`dump`] shows it.
//! [`reader`] is where all callers meet. Only `load` knows BPF; only [`binder`], `reply` and
//! [`access`] know binder.

pub mod access;
pub mod binder;
pub mod checkin;
pub mod csv;
pub mod dump;
pub mod json;
pub mod layout;
pub mod load;
pub mod model;
pub mod places;
pub mod query;
pub mod reader;
pub mod records;
pub mod reply;
pub mod report;
pub mod status;
pub mod table;
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
