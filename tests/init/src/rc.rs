// SPDX-License-Identifier: Apache-2.0
//! Files in Android's init language, as far as this project's need it (system/core/init/README.md in
//! AOSP): sections that begin with `service` or `on`, and below each a line for each option or command.
//!
//! [`parse`] tells sections and words apart; [`grammar`] says whether init would take them; [`service`]
//! has what they mean.

pub mod grammar;
pub mod service;

use std::fmt;

/// A line, without what is no word of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its number in the file, from 1 on.
    pub number: usize,
    /// Its words, at least one.
    pub words: Vec<String>,
}

/// What begins with `service` or `on`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// The line that it begins with.
    pub head: Line,
    /// The options of a service, the commands of an action.
    pub body: Vec<Line>,
}

/// A line that init, or this reader of its language, does not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Its number in the file.
    pub line: usize,
    /// What is wrong with it.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

impl std::error::Error for Problem {}

impl Line {
    fn problem(&self, what: impl Into<String>) -> Problem {
        Problem { line: self.number, what: what.into() }
    }

    /// Its first word, and the others.
    pub fn split(&self) -> (&str, &[String]) {
        self.words.split_first().map_or(("", &[]), |(first, rest)| (first, rest))
    }
}

/// The sections of a file.
pub fn parse(text: &str) -> Result<Vec<Section>, Problem> {
    let mut sections: Vec<Section> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let words = words(line).map_err(|what| Problem { line: number, what })?;
        let line = Line { number, words };
        match line.split().0 {
            "" => {}
            "service" | "on" => sections.push(Section { head: line, body: Vec::new() }),
            other => match sections.last_mut() {
                Some(section) => section.body.push(line),
                None => return Err(line.problem(format!("{other:?} before any section"))),
            },
        }
    }
    Ok(sections)
}

/// The words of a line, up to a comment. Of what init knows beside them, quotes, escapes, folded lines
/// and properties' values, this project uses nothing.
fn words(line: &str) -> Result<Vec<String>, String> {
    let line = line.split('#').next().unwrap_or_default();
    match line.chars().find(|character| "\"\\$".contains(*character)) {
        Some(character) => Err(format!("{character:?} is of the language, but not read here")),
        None => Ok(line.split_whitespace().map(str::to_owned).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_have_their_lines_and_comments_are_none() {
        let text =
            "# a file\n\nservice a /bin/a -x # runs\n    user system\n\non boot\n  start a\n";

        let sections = parse(text).unwrap();

        let lines = |section: &Section| -> Vec<String> {
            let lines = std::iter::once(&section.head).chain(&section.body);
            lines.map(|line| format!("{} {}", line.number, line.words.join(" "))).collect()
        };
        assert_eq!(
            sections.iter().map(lines).collect::<Vec<_>>(),
            [["3 service a /bin/a -x", "4 user system"], ["6 on boot", "7 start a"],]
        );
    }

    #[test]
    fn what_is_not_read_here_is_a_problem_that_names_the_line() {
        for (text, problem) in [
            ("user system\n", "line 1: \"user\" before any section"),
            (
                "service a /bin/a\n  setenv A \"b c\"\n",
                "line 2: '\"' is of the language, but not read here",
            ),
            ("on boot\n  start ${a}\n", "line 2: '$' is of the language, but not read here"),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), problem);
        }
    }
}
