// SPDX-License-Identifier: Apache-2.0
//! Where this kernel has its wakeup source kfuncs from.

use std::env;

/// As tests/kernels.toml says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kfuncs {
    /// They are part of the kernel.
    Builtin,
    /// They are in the module in kernel/.
    Module,
    /// There are none: BPF can't walk the list.
    None,
}

impl Kfuncs {
    /// Those of this kernel.
    ///
    /// # Panics
    ///
    /// If the harness does not say.
    #[expect(clippy::panic, reason = "for tests, which can't go on without")]
    pub fn of_this_kernel() -> Self {
        match env::var("WAKEUPSTATS_KFUNCS").as_deref() {
            Ok("builtin") => Kfuncs::Builtin,
            Ok("module") => Kfuncs::Module,
            Ok("none") => Kfuncs::None,
            other => panic!("WAKEUPSTATS_KFUNCS is {other:?}"),
        }
    }

    /// Whether there are any.
    pub fn exist(self) -> bool {
        self != Kfuncs::None
    }
}
