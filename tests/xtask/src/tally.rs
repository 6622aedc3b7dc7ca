// SPDX-License-Identifier: Apache-2.0
//! Sums up what libtest says at the end of each test executable.

use std::fmt;
use std::ops::AddAssign;

/// How many tests passed and failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

/// Reads along with a stream of test output.
#[derive(Default)]
pub(crate) struct Tally {
    line: Vec<u8>,
    count: Count,
    /// Executables that reported failed tests.
    failed_executables: u64,
}

impl Tally {
    /// Takes the next bytes of the stream in.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if byte == b'\n' {
                self.end_line();
            } else {
                self.line.push(byte);
            }
        }
    }

    /// The sum, where `failed_executables` did not succeed: one of them that reported no failed
    /// test crashed before it could, and counts as one.
    pub(crate) fn finish(mut self, failed_executables: u64) -> Count {
        self.end_line();
        self.count.failed += failed_executables.saturating_sub(self.failed_executables);
        self.count
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        if let Some(count) = parse(&String::from_utf8_lossy(&line)) {
            self.count += count;
            self.failed_executables += u64::from(count.failed > 0);
        }
    }
}

/// Reads `test result: ok. 3 passed; 0 failed; …`.
fn parse(line: &str) -> Option<Count> {
    let (_, numbers) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let number = |name: &str| {
        let field = numbers.split(';').find_map(|field| field.trim().strip_suffix(name))?;
        field.trim().parse().ok()
    };
    Some(Count { passed: number("passed")?, failed: number("failed")? })
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    const OUTPUT: &str = "running 2 tests\ntest a ... ok\n\
        test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 1 filtered out; finished in 1s\n\
        test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished\n";

    fn tally(output: &str, failed_executables: u64) -> Count {
        let mut tally = Tally::default();
        for chunk in output.as_bytes().chunks(7) {
            tally.feed(chunk);
        }
        tally.finish(failed_executables)
    }

    #[test]
    fn results_are_summed() {
        assert_eq!(tally(OUTPUT, 1), Count { passed: 5, failed: 2 });
    }

    #[test]
    fn an_executable_that_crashed_counts_as_one_failure() {
        assert_eq!(tally(OUTPUT, 2), Count { passed: 5, failed: 3 });
        assert_eq!(tally("", 1), Count { passed: 0, failed: 1 });
    }

    #[test]
    fn a_last_line_without_newline_counts() {
        let output = "test result: ok. 1 passed; 0 failed; 0 ignored";
        assert_eq!(tally(output, 0), Count { passed: 1, failed: 0 });
    }

    #[test]
    fn lines_that_look_alike_do_not_count() {
        for line in ["test result: ok", "note: test result: ok. 1 passed; 0 failed", "1 passed"] {
            assert_eq!(parse(line), None, "{line}");
        }
    }
}
