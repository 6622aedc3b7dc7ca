// SPDX-License-Identifier: Apache-2.0
#![cfg(test)]
//! The command `wakeupstats` against the real service, and on a terminal.

mod diff;
mod errors;
mod list;
mod manual;
mod plot;
mod record;
mod running;
mod status;
mod terminal;
mod top;
