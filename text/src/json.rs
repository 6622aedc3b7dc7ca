// SPDX-License-Identifier: Apache-2.0
//! JSON that a person may look at: in text what a terminal would not show is written as `\uXXXX`, also where
//! JSON need not have that. Who splits it at Unicode's line breaks gets one line, too.

use std::io;

use serde::Serialize;
use serde_json::Serializer;
use serde_json::ser::Formatter;

use crate::is_visible;

/// A document on one line.
pub fn line(document: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    document.serialize(&mut Serializer::with_formatter(&mut line, OnlyVisible))?;
    line.push(b'\n');
    Ok(line)
}

/// Compact, with escapes.
struct OnlyVisible;

impl Formatter for OnlyVisible {
    fn write_string_fragment<W>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()>
    where
        W: ?Sized + io::Write,
    {
        let mut rest = fragment;
        while let Some(char) = rest.chars().find(|&char| !is_visible(char)) {
            let (visible, after) = rest.split_once(char).unwrap_or((rest, ""));
            writer.write_all(visible.as_bytes())?;
            for unit in char.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = after;
        }
        writer.write_all(rest.as_bytes())
    }
}
