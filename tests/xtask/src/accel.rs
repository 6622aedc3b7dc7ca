// SPDX-License-Identifier: Apache-2.0
//! Which of QEMU's accelerators runs the guest here. A `/dev/kvm` that exists may still not run a
//! kernel (nested, or restricted), so KVM is tried once and the outcome kept until the next boot.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::path::Path;

use crate::arch::Arch;

/// A way to run the guest's processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accel {
    /// In hardware.
    Kvm,
    /// By translation, everywhere, some ten times slower.
    Tcg,
    /// The same on one processor, whose clock is the number of instructions that it has executed: each
    /// takes a nanosecond, whatever the host does meanwhile.
    Icount,
}

impl fmt::Display for Accel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kvm => "KVM",
            Self::Tcg => "TCG",
            Self::Icount => "TCG, counting instructions",
        })
    }
}

const FILE: &str = "accel";
/// Changes with every boot, so with every change of machine too.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The accelerators to try, in this order. One alone is known to work, or the only one there is.
pub(crate) fn candidates(cache: &Path, arch: Arch) -> Vec<Accel> {
    // Hardware runs no other architecture than its own.
    if arch.is_foreign() || OpenOptions::new().read(true).write(true).open("/dev/kvm").is_err() {
        return vec![Accel::Tcg];
    }
    let known = fs::read_to_string(cache.join(FILE)).unwrap_or_default();
    parse(&known, &boot_id()).map_or_else(|| vec![Accel::Kvm, Accel::Tcg], |accel| vec![accel])
}

/// Keeps what worked. If it can't be kept, the next run tries again, which is only slower.
pub(crate) fn remember(cache: &Path, accel: Accel) {
    let _ = fs::write(cache.join(FILE), format!("{} {accel}\n", boot_id()));
}

fn parse(known: &str, boot_id: &str) -> Option<Accel> {
    match known.trim().split_once(' ') {
        Some((boot, "KVM")) if boot == boot_id => Some(Accel::Kvm),
        Some((boot, "TCG")) if boot == boot_id => Some(Accel::Tcg),
        _ => None,
    }
}

fn boot_id() -> String {
    fs::read_to_string(BOOT_ID).unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn another_architecture_is_emulated_and_nothing_is_tried() {
        let cache = tempfile::tempdir().unwrap();
        remember(cache.path(), Accel::Kvm);
        assert_eq!(candidates(cache.path(), Arch::Aarch64), [Accel::Tcg]);
    }

    #[test]
    fn what_worked_counts_until_the_next_boot() {
        assert_eq!(parse("b1 TCG\n", "b1"), Some(Accel::Tcg));
        assert_eq!(parse("b1 KVM\n", "b1"), Some(Accel::Kvm));
        assert_eq!(parse("b1 TCG\n", "b2"), None);
        assert_eq!(parse("", "b1"), None);
    }
}
