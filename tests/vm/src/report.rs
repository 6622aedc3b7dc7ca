// SPDX-License-Identifier: Apache-2.0
//! What a test has measured, for a person to read.

use std::fmt;
use std::io::Write;

/// Shows a text, also of a test that passes: past libtest, which keeps what a test prints, and on a
/// line of its own, after the test's name.
pub fn show(text: fmt::Arguments<'_>) {
    // Nobody to tell is no reason to fail.
    let _ = writeln!(std::io::stdout(), "\n{text}");
}
