// SPDX-License-Identifier: Apache-2.0
#![cfg(test)]
//! Input that means harm: whatever comes over binder, the daemon lives, answers, and does not grow.

mod dumps;
mod holders;
mod names;
mod queries;
mod transactions;
mod watch;
