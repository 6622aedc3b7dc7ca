// SPDX-License-Identifier: Apache-2.0
//! Compiles the BPF programs of the tests, and the AIDL of the benchmark.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use libbpf_cargo::SkeletonBuilder;

fn main() -> Result<()> {
    println!("cargo::rerun-if-changed=aidl");
    println!("cargo::rerun-if-changed=bpf");
    println!("cargo::rerun-if-changed=../../bpf");
    let out = PathBuf::from(env::var_os("OUT_DIR").context("cargo sets OUT_DIR")?);

    for name in ["walk", "refused", "other_layout", "liar", "one_read", "ringbuf", "short_list"] {
        SkeletonBuilder::new()
            .source(Path::new("bpf").join(format!("{name}.bpf.c")))
            // The same as in service/build.rs.
            .clang_args(["-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter", "-mcpu=v3"])
            .obj(out.join(format!("{name}.bpf.o")))
            .build()
            .with_context(|| format!("{name}.bpf.c does not build; it needs clang"))?;
    }
    rsbinder_aidl::Builder::new()
        .source("aidl/wakeupstats/bench/IWakeLockStats.aidl")
        .include_dir("aidl")
        .output("bench.rs")
        .generate()
        .map_err(|error| anyhow::anyhow!("the benchmark's AIDL: {error}"))
}
