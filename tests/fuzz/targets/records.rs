// SPDX-License-Identifier: Apache-2.0
//! See `wakeupstats_fuzz::records`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wakeupstats_fuzz::records::run(data));
