// SPDX-License-Identifier: Apache-2.0
//! `wakeupstats status`: how the service is doing.

use clap::Args;
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;
use wakeupstats_aidl::{Client, INTERFACE_VERSION, ServiceStatus, SnapshotBackend};
use wakeupstats_text::{escape, line};

use crate::output::print;

/// The version of the JSON. It rises when a field goes, or means something else.
const VERSION: u32 = 1;

#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Write JSON: one document on one line
    #[arg(long)]
    json: bool,
}

/// What is shown. Times are CLOCK_MONOTONIC in nanoseconds.
#[derive(Serialize)]
struct Status {
    version: u32,
    interface_version: i32,
    client_interface_version: i32,
    now_ns: i64,
    backend: &'static str,
    backend_since_ns: i64,
    passed_over: Vec<PassedOver>,
    kernel: String,
    instance: i64,
    sequence: i64,
    walks: i64,
    last_snapshot_ns: i64,
    sources: i32,
    room_bytes: i64,
    last_error: Option<String>,
    last_error_ns: i64,
}

#[derive(Serialize)]
struct PassedOver {
    backend: &'static str,
    reason: String,
}

impl Options {
    /// Shows it.
    pub(crate) fn run(&self, mut client: Client) -> anyhow::Result<()> {
        let interface_version = client.interface_version()?;
        let status = Status::new(client.status()?, interface_version);
        let text = if self.json { line(&status)? } else { status.text().into_bytes() };
        print(&text)
    }
}

impl Status {
    fn new(status: ServiceStatus, interface_version: i32) -> Self {
        let passed_over = status.passedOver.into_iter();
        Status {
            version: VERSION,
            interface_version,
            client_interface_version: INTERFACE_VERSION,
            now_ns: monotonic_ns(),
            backend: name(status.backend),
            backend_since_ns: status.backendSinceNs,
            passed_over: passed_over
                .map(|it| PassedOver { backend: name(it.backend), reason: it.reason })
                .collect(),
            kernel: status.kernelRelease,
            instance: status.instance,
            sequence: status.sequence,
            walks: status.walks,
            last_snapshot_ns: status.lastSnapshotNs,
            sources: status.totalSources,
            room_bytes: status.roomBytes,
            last_error: Some(status.lastError).filter(|it| !it.is_empty()),
            last_error_ns: status.lastErrorNs,
        }
    }

    fn text(&self) -> String {
        let ago = |then: i64| self.now_ns.saturating_sub(then) / 1_000_000_000;
        let mut lines = vec![
            ("interface", self.interface()),
            ("backend", format!("{}, for {} s", self.backend, ago(self.backend_since_ns))),
        ];
        let passed_over = self.passed_over.iter();
        lines.extend(passed_over.map(|PassedOver { backend, reason }| {
            ("passed over", format!("{backend}: {}", escape(reason)))
        }));
        lines.extend([
            ("kernel", escape(&self.kernel)),
            ("instance", self.instance.to_string()),
            ("snapshots", format!("{} in {} walks", self.sequence, self.walks)),
            (
                "last snapshot",
                match self.last_snapshot_ns {
                    0 => "-".to_owned(),
                    then => format!("{} s ago, {} sources", ago(then), self.sources),
                },
            ),
            ("kernel memory", format!("{} bytes", self.room_bytes)),
            (
                "last error",
                match &self.last_error {
                    None => "-".to_owned(),
                    Some(error) => format!("{} s ago: {}", ago(self.last_error_ns), escape(error)),
                },
            ),
        ]);
        lines.iter().map(|(title, text)| format!("{:<15}{text}\n", format!("{title}:"))).collect()
    }

    /// The versions, and what follows from them.
    fn interface(&self) -> String {
        let (theirs, ours) = (self.interface_version, self.client_interface_version);
        let advice = match theirs.cmp(&ours) {
            std::cmp::Ordering::Less => {
                ": the service is older than this command, which shows as empty what that does not \
                 know; update wakeupstatsd"
            }
            std::cmp::Ordering::Equal => "",
            std::cmp::Ordering::Greater => {
                ": this command is older than the service, and does not show all that it has; \
                 update wakeupstats"
            }
        };
        format!("version {theirs}, and {ours} of this command{advice}")
    }
}

fn name(backend: SnapshotBackend) -> &'static str {
    match backend {
        SnapshotBackend::NONE => "none",
        SnapshotBackend::PINNED => "pinned",
        SnapshotBackend::LOAD => "load",
        SnapshotBackend::SYSFS => "sysfs",
        _ => "one that this command does not know",
    }
}

fn monotonic_ns() -> i64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.saturating_mul(1_000_000_000).saturating_add(now.tv_nsec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_version_is_named_with_what_to_do() {
        let interface = |theirs| Status::new(ServiceStatus::default(), theirs).interface();

        assert_eq!(interface(INTERFACE_VERSION), "version 1, and 1 of this command");
        assert!(interface(INTERFACE_VERSION - 1).ends_with("update wakeupstatsd"));
        assert!(interface(INTERFACE_VERSION + 1).ends_with("update wakeupstats"));
    }

    #[test]
    fn text_has_a_line_for_each_matter_and_escapes_what_the_service_says() {
        let status = ServiceStatus { lastError: "a\nb".to_owned(), ..ServiceStatus::default() };

        let text = Status::new(status, INTERFACE_VERSION).text();

        assert!(text.contains("\nbackend:       none, for "), "{text}");
        assert!(text.contains("\nlast snapshot: -\n") && text.contains(r"a\nb"), "{text}");
        assert_eq!(text.lines().count(), 8, "{text}");
    }
}
