// SPDX-License-Identifier: Apache-2.0
//! How text is shown that others chose: whoever can make a wakeup source chooses its name. For the service's
//! dump and for the command alike.

use std::borrow::Cow;

use unicode_width::UnicodeWidthChar;

mod json;

pub use json::line;

/// Text in which what would move a terminal's cursor, or shows nothing, is escaped.
pub fn escape(text: &str) -> String {
    text.chars().fold(String::new(), |mut escaped, char| {
        if is_visible(char) {
            escaped.push(char);
        } else {
            escaped.extend(char.escape_default());
        }
        escaped
    })
}

/// Whether it is neither without a width, nor what Unicode has for a control, a format or a separator: some of those
/// are said to have a width, as what breaks a line (U+2028).
pub fn is_visible(char: char) -> bool {
    let is_printable = matches!(char, '"' | '\'' | '\\') || char.escape_debug().len() == 1;
    is_printable && char.width().is_some_and(|width| width > 0)
}

/// The columns that visible text takes.
pub fn width(text: &str) -> usize {
    text.chars().filter_map(UnicodeWidthChar::width).sum()
}

/// Visible text in so many columns exactly; what does not fit, or was cut already, ends in an
/// ellipsis.
pub fn fit(text: &str, cut: bool, columns: usize) -> String {
    let cut = cut || width(text) > columns;
    let room = columns.saturating_sub(usize::from(cut));
    let mut cell = String::new();
    let mut used = 0;
    for char in text.chars() {
        used += char.width().unwrap_or(0);
        if used > room {
            break;
        }
        cell.push(char);
    }
    if cut {
        cell.push('…');
    }
    let padding = columns.saturating_sub(width(&cell));
    cell.extend(std::iter::repeat_n(' ', padding));
    cell
}

/// The largest number that a table shows as it is.
pub const MAX_NUMBER: u64 = 99_999_999;

/// A number in at most 8 digits and a suffix.
pub fn short(mut value: u64) -> String {
    let mut suffixes = ["", "k", "M", "G", "T"].into_iter();
    let mut suffix = suffixes.next();
    while value > MAX_NUMBER {
        value /= 1_000;
        suffix = suffixes.next();
    }
    format!("{value}{}", suffix.unwrap_or_default())
}

/// Text as a cell of a CSV file, which no spreadsheet takes for a formula.
///
/// Spreadsheets do that with text that begins with one of `= + - @`, a tab or a carriage return. Such text
/// gets a `'` in front, which they take for "this is text". Text that begins with a `'` gets one, too: who
/// needs the exact names drops one leading `'`, or reads the JSON.
pub fn protect(text: &str) -> Cow<'_, str> {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\'']) {
        format!("'{text}").into()
    } else {
        text.into()
    }
}
