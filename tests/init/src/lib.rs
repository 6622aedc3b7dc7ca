// SPDX-License-Identifier: Apache-2.0
//! What PID 1 of the test VM and the harness on the host say to each other, in the one place that
//! both read. What the harness has to say is in the initramfs.
//!
//! PID 1's words, and what the benchmark measured, travel on the serial port that also carries the
//! output of the tests, one message per line.

use std::fmt;
use std::str::FromStr;

pub mod bench;
pub mod denials;
pub mod property;
pub mod rc;
pub mod supervisor;

/// Where the harness puts what SELinux is to enforce. Without it PID 1 leaves SELinux alone.
pub mod selinux {
    /// The policy, as the kernel takes it.
    pub const POLICY: &str = "/etc/selinux/policy";
    /// Files and their contexts, a line each: the context, a space, the path.
    pub const CONTEXTS: &str = "/etc/selinux/contexts";
    /// Services and their contexts, as Android's service manager reads them.
    pub const SERVICE_CONTEXTS: &str = "/etc/selinux/service_contexts";
    /// Policies with less than that, a directory of them, and [`LEFT_OUT`].
    pub const LESS: &str = "/etc/selinux/less";
    /// What each of them lacks: a line for each, in the order of their numbers.
    pub const LEFT_OUT: &str = "left_out";
}

use bench::{Footprint, Row};

/// Begins every line that is meant for the harness and not for the person who reads the output.
pub const PREFIX: &str = "wakeupstats-vm: ";

/// Begins a line of a file that the harness is to keep: after this comes its name, a space, and the line.
pub const FILE: &str = "file: ";

/// The directory of the rc files that PID 1 reads.
pub const RC_FILES: &str = "/system/etc/init";

/// The file with what PID 1 runs, one [`Run`] per line.
pub const RUNS: &str = "/etc/wakeupstats/runs";

/// The variable, set on the kernel's command line, with the name of the serial port in `/dev` that
/// PID 1 is to use.
pub const PORT: &str = "WAKEUPSTATS_PORT";

/// The variable, set on the kernel's command line, that says how long the suite `churn` is to go on.
pub const SOAK_MINUTES: &str = "WAKEUPSTATS_SOAK_MINUTES";

/// One run of a suite. As text it is `SUITE` or `SUITE/BACKEND`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    suite: String,
    backend: Option<String>,
}

impl Run {
    /// The only run of a suite, to which backends are nothing or its own matter.
    pub fn once(suite: &str) -> Self {
        Self { suite: suite.to_owned(), backend: None }
    }

    /// The run of a suite in which the daemon has this backend.
    pub fn with_backend(suite: &str, backend: &str) -> Self {
        Self { suite: suite.to_owned(), backend: Some(backend.to_owned()) }
    }

    /// The name of the test executable.
    pub fn suite(&self) -> &str {
        &self.suite
    }

    /// The name of the backend.
    pub fn backend(&self) -> Option<&str> {
        self.backend.as_deref()
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.suite)?;
        self.backend.iter().try_for_each(|backend| write!(f, "/{backend}"))
    }
}

impl From<&str> for Run {
    fn from(text: &str) -> Self {
        match text.split_once('/') {
            Some((suite, backend)) => Self::with_backend(suite, backend),
            None => Self::once(text),
        }
    }
}

/// One message from PID 1, or from the program that it runs.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// PID 1 runs, on this kernel release: the sign of life that a boot is judged by.
    Up(String),
    /// What the benchmark measured of one contender.
    Measured(Row),
    /// What a daemon takes beside time.
    Footprint(Footprint),
    /// What the guest was asked to do is over. A run that never says this has failed.
    Verdict(Verdict),
}

/// How a run ended, as seen from inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every program that was run exited with status 0.
    Pass,
    /// These did not: programs by name, suites as [`Run`] has it.
    Fail(Vec<String>),
    /// PID 1 could not do its own work; the text is the whole chain of errors.
    Error(String),
}

/// A line that begins with [`PREFIX`] but that no known message has.
#[derive(Debug, PartialEq, Eq)]
pub struct UnknownMessage(pub String);

impl fmt::Display for UnknownMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PID 1 sent a message that this harness does not know: {:?}", self.0)
    }
}

impl std::error::Error for UnknownMessage {}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        match self {
            Self::Up(release) => write!(f, "up {release}"),
            Self::Measured(row) => {
                let row = serde_json::to_string(row).map_err(|_| fmt::Error)?;
                write!(f, "measured {row}")
            }
            Self::Footprint(footprint) => {
                let footprint = serde_json::to_string(footprint).map_err(|_| fmt::Error)?;
                write!(f, "footprint {footprint}")
            }
            Self::Verdict(Verdict::Pass) => f.write_str("verdict pass"),
            Self::Verdict(Verdict::Fail(names)) => write!(f, "verdict fail {}", names.join(" ")),
            // One message is one line, whatever the error's text has in it.
            Self::Verdict(Verdict::Error(text)) => {
                write!(f, "verdict error {}", text.replace(['\n', '\r'], " "))
            }
        }
    }
}

impl FromStr for Message {
    type Err = UnknownMessage;

    fn from_str(line: &str) -> Result<Self, UnknownMessage> {
        let unknown = || UnknownMessage(line.to_owned());
        let words = line.trim_end().strip_prefix(PREFIX).ok_or_else(unknown)?;
        if let Some(release) = words.strip_prefix("up ") {
            return Ok(Self::Up(release.to_owned()));
        }
        if let Some(row) = words.strip_prefix("measured ") {
            return serde_json::from_str(row).map(Self::Measured).map_err(|_| unknown());
        }
        if let Some(footprint) = words.strip_prefix("footprint ") {
            return serde_json::from_str(footprint).map(Self::Footprint).map_err(|_| unknown());
        }
        match words.strip_prefix("verdict ").ok_or_else(unknown)?.split_once(' ') {
            None if words == "verdict pass" => Ok(Self::Verdict(Verdict::Pass)),
            Some(("fail", names)) => Ok(Self::Verdict(Verdict::Fail(
                names.split_whitespace().map(str::to_owned).collect(),
            ))),
            Some(("error", text)) => Ok(Self::Verdict(Verdict::Error(text.to_owned()))),
            _ => Err(unknown()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::Quartiles;

    #[test]
    fn every_message_reads_back_as_it_was_written() {
        for message in [
            Message::Up("7.3.4+deb13-amd64".to_owned()),
            Message::Measured(Row {
                sources: 150,
                contender: "sysfs".to_owned(),
                wall_ms: Quartiles { median: 45.25, q1: 44.0, q3: 47.125 },
                cpu_ms: Quartiles { median: 45.0, q1: 43.5, q3: 46.0 },
            }),
            Message::Footprint(Footprint { daemon: "pinned".to_owned(), ..Footprint::default() }),
            Message::Verdict(Verdict::Pass),
            Message::Verdict(Verdict::Fail(vec!["parity/load".to_owned(), "names".to_owned()])),
            Message::Verdict(Verdict::Error("mount proc on /proc".to_owned())),
        ] {
            assert_eq!(message.to_string().parse(), Ok(message));
        }
    }

    #[test]
    fn a_run_reads_back_as_it_was_written() {
        for run in [Run::once("startup"), Run::with_backend("parity", "pinned")] {
            assert_eq!(Run::from(&*run.to_string()), run);
        }
        assert_eq!(Run::with_backend("parity", "pinned").to_string(), "parity/pinned");
    }

    #[test]
    fn an_error_of_several_lines_stays_one_line() {
        let message = Message::Verdict(Verdict::Error("one\ntwo\r\n".to_owned()));
        assert_eq!(message.to_string().lines().count(), 1);
    }

    #[test]
    fn other_lines_are_no_messages() {
        for line in [
            "verdict pass",
            "wakeupstats-vm: verdict",
            "wakeupstats-vm: verdict passed",
            "wakeupstats-vm: measured {\"sources\":150}",
        ] {
            assert_eq!(line.parse::<Message>(), Err(UnknownMessage(line.to_owned())));
        }
    }
}
