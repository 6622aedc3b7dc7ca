// SPDX-License-Identifier: Apache-2.0
//! Generates the Rust bindings from the AIDL beside this file.

use std::error::Error;
use std::fs;

/// The newest frozen version of the API: what clients are told that the service speaks.
const VERSION: i32 = 1;

fn main() -> Result<(), Box<dyn Error>> {
    let hash = format!("aidl_api/android.system.wakeupstats/{VERSION}/.hash");
    println!("cargo::rerun-if-changed=android");
    println!("cargo::rerun-if-changed={hash}");
    let hash = fs::read_to_string(hash)?;
    rsbinder_aidl::Builder::new()
        .source("android/system/wakeupstats/IWakeupStats.aidl")
        .version(VERSION)
        .hash(hash.trim())
        .include_dir(".")
        .output("wakeupstats.rs")
        .generate()?;
    Ok(())
}
