// SPDX-License-Identifier: Apache-2.0
//! Generates the Rust bindings from the AIDL beside this file.

fn main() -> Result<(), rsbinder_aidl::AidlError> {
    rsbinder_aidl::Builder::new()
        .source("android/system/wakeupstats")
        .include_dir(".")
        .output("wakeupstats.rs")
        .generate()
}
