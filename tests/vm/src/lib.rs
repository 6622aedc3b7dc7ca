// SPDX-License-Identifier: Apache-2.0
//! What the guest's test suites stand on: real wakeup sources to read, sysfs to compare with, the
//! daemon to call, and the kernel's power management to make sources do what only it can.

pub mod backend;
pub mod bench;
pub mod binder_device;
pub mod checking;
pub mod churn;
pub mod daemon;
pub mod guarded;
pub mod hostile;
pub mod kept;
pub mod kfuncs;
pub mod many;
pub mod meanwhile;
pub mod objects;
pub mod permission;
pub mod pinning;
pub mod pipes;
pub mod power;
pub mod raw;
pub mod report;
pub mod requests;
pub mod selinux;
pub mod services;
pub mod sources;
#[path = "../../device/sysfs.rs"]
pub mod sysfs;
