// SPDX-License-Identifier: Apache-2.0
//! The architectures of kernels and guests, and what others call them.

use std::fmt;

use clap::ValueEnum;
use serde::Deserialize;

/// An architecture, by the kernel's name for it.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Arch {
    /// This machine's own.
    #[default]
    #[serde(rename = "x86_64")]
    #[value(name = "x86_64")]
    X86_64,
    /// Emulated here, and built for with a cross compiler.
    #[serde(rename = "aarch64")]
    #[value(name = "aarch64")]
    Aarch64,
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        })
    }
}

impl Arch {
    /// Whether it is not that of this machine.
    pub(crate) fn is_foreign(self) -> bool {
        self != Self::default()
    }

    /// Rust's target.
    pub(crate) fn target(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64-unknown-linux-gnu",
            Self::Aarch64 => "aarch64-unknown-linux-gnu",
        }
    }

    /// Debian's name for it.
    pub(crate) fn debian(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::Aarch64 => "arm64",
        }
    }

    /// What Debian's libraries are under, and what the names of a cross compiler's programs begin with.
    pub(crate) fn triplet(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64-linux-gnu",
            Self::Aarch64 => "aarch64-linux-gnu",
        }
    }

    /// A program of the tool chain, such as `strip`.
    pub(crate) fn tool(self, name: &str) -> String {
        if self.is_foreign() { format!("{}-{name}", self.triplet()) } else { name.to_owned() }
    }

    /// A name in the cache: each architecture has its own, this machine's the plain one.
    pub(crate) fn cache_name(self, name: &str) -> String {
        if self.is_foreign() { format!("{name}-{}", self.debian()) } else { name.to_owned() }
    }
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn the_command_line_has_the_names_that_the_table_has() {
        for arch in Arch::value_variants() {
            assert_eq!(arch.to_possible_value().unwrap().get_name(), arch.to_string());
            let table = format!("arch = \"{arch}\"");
            let table: std::collections::BTreeMap<String, Arch> = toml::from_str(&table).unwrap();
            assert_eq!(table["arch"], *arch);
        }
    }

    #[test]
    fn only_a_foreign_architecture_has_names_of_its_own() {
        assert_eq!(Arch::X86_64.cache_name("trixie"), "trixie");
        assert_eq!(Arch::Aarch64.cache_name("trixie"), "trixie-arm64");
        assert_eq!(Arch::X86_64.tool("strip"), "strip");
        assert_eq!(Arch::Aarch64.tool("strip"), "aarch64-linux-gnu-strip");
    }
}
