// SPDX-License-Identifier: Apache-2.0
//! Compiles the BPF program where it is embedded, and generates the Rust side of the layout that it shares with us.

use std::env;
use std::path::PathBuf;

use anyhow::{Context, Result};
use bindgen::callbacks::{DeriveInfo, ParseCallbacks};

/// Lets the structs be read from and written to bytes without unsafe code.
#[derive(Debug)]
struct ZerocopyDerives;

impl ParseCallbacks for ZerocopyDerives {
    fn add_derives(&self, _: &DeriveInfo<'_>) -> Vec<String> {
        ["FromBytes", "Immutable", "IntoBytes", "KnownLayout"]
            .map(|name| format!("zerocopy::{name}"))
            .into()
    }
}

fn main() -> Result<()> {
    println!("cargo::rerun-if-changed=../bpf");
    let out = PathBuf::from(env::var_os("OUT_DIR").context("cargo sets OUT_DIR")?);

    #[cfg(feature = "load")]
    libbpf_cargo::SkeletonBuilder::new()
        .source("../bpf/wakeupSources.bpf.c")
        // v3 has the atomic operations that return a value; each kernel with bpf_for() runs it.
        .clang_args(["-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter", "-mcpu=v3"])
        // As AOSP's build system calls it.
        .obj(out.join("wakeupSources.bpf"))
        .build()
        .context("the BPF program does not build; it needs clang (Debian: clang)")?;

    bindgen::builder()
        .header("../bpf/wakeupSources.h")
        .parse_callbacks(Box::new(ZerocopyDerives))
        .no_copy("ws_chunk")
        .derive_default(true)
        .no_default("ws_chunk")
        .generate()
        .context("no Rust layout from bpf/wakeupSources.h; it needs libclang (Debian: clang)")?
        .write_to_file(out.join("layout.rs"))
        .context("can't write the Rust layout")
}
