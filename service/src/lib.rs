// SPDX-License-Identifier: Apache-2.0
//! The kernel's wakeup sources, from the BPF program's records to a binder reply.
//!
//! Data flows one way: [`load`] runs the program, [`walk`] gives it the room that it needs,
//! [`records`] decodes what it wrote into a [`model::Snapshot`], and [`binder`] and [`table`] show
//! that to callers. Only `load` knows BPF, only `binder` knows binder.

pub mod binder;
pub mod layout;
pub mod load;
pub mod model;
pub mod records;
pub mod table;
pub mod walk;
