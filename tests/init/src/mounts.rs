// SPDX-License-Identifier: Apache-2.0
//! The file systems a guest program may count on.

use anyhow::{Context as _, Result};
use rustix::mount::{MountFlags, mount};

/// One file system and why the guest has it.
struct Mount {
    kind: &'static str,
    target: &'static str,
    /// Options in the file system's own words, or none.
    data: Option<&'static std::ffi::CStr>,
    /// Read by people only.
    #[expect(dead_code, reason = "the table is where the reason is looked for")]
    reason: &'static str,
}

/// In this order: a later target lies inside an earlier one.
const MOUNTS: &[Mount] = &[
    Mount { kind: "proc", target: "/proc", data: None, reason: "std, sysctls, sysrq" },
    Mount { kind: "sysfs", target: "/sys", data: None, reason: "/sys/class/wakeup, BTF" },
    Mount { kind: "devtmpfs", target: "/dev", data: None, reason: "serial ports, binder" },
    Mount { kind: "devpts", target: "/dev/pts", data: None, reason: "terminals in the shell" },
    Mount { kind: "tmpfs", target: "/dev/shm", data: Some(c"mode=1777"), reason: "POSIX memory" },
    Mount { kind: "tmpfs", target: "/run", data: Some(c"mode=755"), reason: "sockets, logs" },
    Mount { kind: "tmpfs", target: "/tmp", data: Some(c"mode=1777"), reason: "FIFOs of tests" },
    Mount { kind: "bpf", target: "/sys/fs/bpf", data: None, reason: "pinned programs and maps" },
    Mount { kind: "debugfs", target: "/sys/kernel/debug", data: None, reason: "wakeup_sources" },
    Mount { kind: "tracefs", target: "/sys/kernel/tracing", data: None, reason: "power events" },
    Mount { kind: "cgroup2", target: "/sys/fs/cgroup", data: None, reason: "memory limits" },
];

/// Mounts the whole table.
pub(crate) fn mount_all() -> Result<()> {
    for Mount { kind, target, data, .. } in MOUNTS {
        std::fs::create_dir_all(target).with_context(|| format!("create directory {target}"))?;
        mount(*kind, *target, *kind, MountFlags::empty(), *data)
            .with_context(|| format!("mount {kind} on {target}"))?;
    }
    Ok(())
}
