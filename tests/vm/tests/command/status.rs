// SPDX-License-Identifier: Apache-2.0
//! `wakeupstats status`.

use serde_json::Value;
use wakeupstats_vm::daemon::{Daemon, SHELL};

use crate::running::{output, run_as};

#[test]
fn status_says_the_backend_and_the_versions() {
    let _daemon = Daemon::start_with(&["--backend", "sysfs", "--allow-uid", "2000"]).unwrap();

    let text = output(&["status"]);
    let json: Value = serde_json::from_str(&output(&["status", "--json"])).unwrap();
    let by_shell = run_as(SHELL, &["status"]);

    assert!(text.starts_with("interface:     version 1, and 1 of this command\n"), "{text}");
    assert!(text.contains("\nbackend:       sysfs, for "), "{text}");
    assert_eq!(json["backend"], "sysfs");
    assert_eq!(json["interface_version"], json["client_interface_version"]);
    assert!(json["now_ns"].as_i64() > json["backend_since_ns"].as_i64(), "{json}");
    assert_eq!(by_shell.status, Some(0), "{by_shell:?}");
}
