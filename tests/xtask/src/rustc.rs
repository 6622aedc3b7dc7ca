// SPDX-License-Identifier: Apache-2.0
//! What the compiler that cargo uses says of itself.

use std::process::Command;

use anyhow::{Context as _, Result};

use crate::apt::succeeded;

/// What it prints for these arguments.
pub(crate) fn ask(arguments: &[&str]) -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).args(arguments).output().context("run rustc")?;
    succeeded(&output).with_context(|| format!("run rustc {}", arguments.join(" ")))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A field of what `rustc -vV` prints, such as its `release`.
pub(crate) fn field<'a>(text: &'a str, name: &str) -> Result<&'a str> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    value.with_context(|| format!("rustc does not say its {name}: {text}"))
}
