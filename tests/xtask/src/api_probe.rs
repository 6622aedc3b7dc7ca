// SPDX-License-Identifier: Apache-2.0
//! Whether the compiler's word on an API can be relied on: changes of which the answer is known,
//! made to a copy of the project's own API.

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::aidl::{Answer, Level};
use crate::api::Snapshot;

/// Compares an old API with a new one.
pub(crate) type Judge<'a> = dyn Fn(Level, &Path, &Path) -> Result<Answer> + 'a;

/// A change, and whether the result should be to the API before what the level says.
struct Change {
    what: &'static str,
    level: Level,
    accepted: bool,
    snapshot: Snapshot,
}

/// Makes the changes to the API in `base` one by one, and returns what is wrong with the answers.
pub(crate) fn run(base: &Path, judge: &Judge<'_>) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for change in changes(&Snapshot::read(base)?)? {
        let Change { what, level, accepted, .. } = change;
        let directory = tempfile::tempdir().context("create a temporary directory")?;
        let new = directory.path().join("api");
        change.snapshot.write(&new)?;
        // What is not AIDL any more would be refused for that, and the answer mean nothing.
        if let Answer::No(text) = judge(Level::Equal, &new, &new)? {
            problems.push(format!("probe: with {what} the API is not equal to itself:\n{text}"));
            continue;
        }
        match (judge(level, base, &new)?, accepted) {
            (Answer::Yes, false) => problems.push(format!(
                "probe: the compiler calls an API with {what} {level}: its word is worth nothing"
            )),
            (Answer::No(text), true) => problems.push(format!(
                "probe: the compiler does not call an API with {what} {level}:\n{text}"
            )),
            (Answer::Yes, true) | (Answer::No(_), false) => {}
        }
    }
    Ok(problems)
}

/// The changes that this API can undergo.
fn changes(base: &Snapshot) -> Result<Vec<Change>> {
    let files = base.files.iter();
    let mut interfaces =
        files.clone().filter_map(|(name, text)| File::parse(name, text, INTERFACE));
    let interface = interfaces.find(|file| !file.members.is_empty());
    let interface = interface.context("the probe finds no interface with a method")?;
    // Not one of fixed size, to which nothing may ever be added.
    let parcelables = files.filter_map(|(name, text)| File::parse(name, text, PARCELABLE));
    let mut parcelables =
        parcelables.filter(|file| file.members.len() > 1 && !file.is_fixed_size());
    let (parcelable, retyped) = parcelables
        .find_map(|file| file.retyped().map(|retyped| (file, retyped)))
        .context("the probe finds no parcelable with two fields, one of them an int or a long")?;
    let (method, field) = ("  void probe(int probe);", "  @nullable String probe;");

    let mut changes = Vec::new();
    let mut change = |level, accepted, what, file: &File<'_>, lines: Vec<String>| {
        let mut snapshot = base.clone();
        let text = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
        snapshot.files.insert(file.name.to_owned(), text.into_bytes());
        changes.push(Change { what, level, accepted, snapshot });
    };
    let (yes, no) = (true, false);
    let level = Level::Compatible;
    change(level, yes, "a method added at the end", &interface, interface.appended(method));
    change(level, yes, "a nullable field added", &parcelable, parcelable.appended(field));
    change(level, no, "a method added before others", &interface, interface.prepended(method));
    change(level, no, "a method removed", &interface, interface.shortened());
    if interface.members.len() > 1 {
        change(level, no, "two methods swapped", &interface, interface.swapped());
    }
    change(level, no, "a field removed", &parcelable, parcelable.shortened());
    change(level, no, "two fields swapped", &parcelable, parcelable.swapped());
    change(level, no, "a field of another type", &parcelable, retyped);
    let level = Level::Equal;
    change(level, no, "a method added at the end", &interface, interface.appended(method));
    change(level, no, "two fields swapped", &parcelable, parcelable.swapped());
    Ok(changes)
}

/// What a file begins with that declares an interface, and what one with a parcelable.
const INTERFACE: &str = "interface ";
const PARCELABLE: &str = "parcelable ";

/// A file as the compiler dumps it: one member a line, those of nested types indented further.
struct File<'a> {
    name: &'a str,
    lines: Vec<&'a str>,
    /// The lines with a method of the interface, or with a field of the parcelable.
    members: Vec<usize>,
}

impl<'a> File<'a> {
    /// None if the file declares something else.
    fn parse(name: &'a str, text: &'a [u8], declares: &str) -> Option<Self> {
        let lines: Vec<&str> = std::str::from_utf8(text).ok()?.lines().collect();
        lines.iter().find(|line| line.starts_with(declares))?;
        let is_member = |line: &str| {
            let member = line.strip_prefix("  ").unwrap_or_default();
            let is_declaration = member.starts_with(|c: char| c.is_alphabetic() || c == '@');
            let is_method = member.ends_with(");");
            let is_constant = member.starts_with("const ");
            let is_wanted = is_method == (declares == INTERFACE);
            is_declaration && member.ends_with(';') && is_wanted && !is_constant
        };
        let members = (0..).zip(&lines).filter(|(_, line)| is_member(line)).map(|(n, _)| n);
        let members = members.collect();
        Some(Self { name, lines, members })
    }

    fn is_fixed_size(&self) -> bool {
        self.lines.iter().any(|line| line.contains("@FixedSize"))
    }

    fn copy(&self) -> Vec<String> {
        self.lines.iter().map(|line| (*line).to_owned()).collect()
    }

    fn appended(&self, member: &str) -> Vec<String> {
        let mut lines = self.copy();
        lines.insert(self.members.last().map_or(0, |last| last + 1), member.to_owned());
        lines
    }

    fn prepended(&self, member: &str) -> Vec<String> {
        let mut lines = self.copy();
        lines.insert(self.members.first().copied().unwrap_or_default(), member.to_owned());
        lines
    }

    /// Without the last member.
    fn shortened(&self) -> Vec<String> {
        let mut lines = self.copy();
        if let Some(last) = self.members.last() {
            lines.remove(*last);
        }
        lines
    }

    /// With the last two members swapped.
    fn swapped(&self) -> Vec<String> {
        let mut lines = self.copy();
        if let [.., a, b] = *self.members.as_slice() {
            lines.swap(a, b);
        }
        lines
    }

    /// With the first int (or array of them) a long, or the first long an int.
    fn retyped(&self) -> Option<Vec<String>> {
        let mut lines = self.copy();
        let other = |line: &str| {
            let retype = |from: &str, to: &str| {
                let rest = line.strip_prefix("  ")?.strip_prefix(from)?;
                rest.starts_with([' ', '[']).then(|| format!("  {to}{rest}"))
            };
            retype("int", "long").or_else(|| retype("long", "int"))
        };
        let line = self.members.iter().find_map(|&number| {
            let line = lines.get(number)?;
            Some((number, other(line)?))
        });
        let (number, other) = line?;
        *lines.get_mut(number)? = other;
        Some(lines)
    }
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    /// As the compiler dumps it.
    const API: &[(&str, &str)] = &[
        (
            "p/I.aidl",
            "// license\npackage p;\ninterface I {\n  p.P first();\n  /**\n   * @deprecated\n   */\n  \
             void second(in @nullable String[] s);\n  const int C = 1;\n}\n",
        ),
        ("p/F.aidl", "package p;\n@FixedSize\nparcelable F {\n  int a;\n  int b;\n}\n"),
        (
            "p/P.aidl",
            "package p;\nparcelable P {\n  @nullable String s;\n  long[] b;\n  parcelable N {\n    \
             int deep;\n  }\n  const int C = 1;\n}\n",
        ),
        ("p/E.aidl", "package p;\n@Backing(type=\"int\")\nenum E {\n  A = 1,\n}\n"),
    ];

    fn api(files: &[(&str, &str)]) -> Snapshot {
        let file = |(name, text): &(&str, &str)| ((*name).to_owned(), text.as_bytes().to_vec());
        Snapshot { files: files.iter().map(file).collect() }
    }

    /// What the probe says of a compiler that always gives the same answer.
    fn problems(answer: impl Fn() -> Answer) -> Vec<String> {
        let directory = tempfile::tempdir().unwrap();
        let base = directory.path().join("base");
        api(API).write(&base).unwrap();
        run(&base, &|_, _, _| Ok(answer())).unwrap()
    }

    #[test]
    fn a_compiler_that_says_yes_to_everything_is_found_out() {
        let problems = problems(|| Answer::Yes);
        assert_eq!(problems.len(), 8, "{problems:#?}");
        assert!(problems.iter().all(|problem| problem.contains("its word is worth nothing")));
    }

    #[test]
    fn a_compiler_that_says_no_to_everything_is_found_out() {
        assert_eq!(problems(|| Answer::No("no".to_owned())).len(), 10);
    }

    #[test]
    fn changes_are_made_to_members_alone() {
        let text = |what: &str, file: &str| {
            let changes = changes(&api(API)).unwrap();
            let change = changes.into_iter().find(|change| change.what == what).unwrap();
            String::from_utf8(change.snapshot.files.get(file).unwrap().clone()).unwrap()
        };
        let method = text("a method added before others", "p/I.aidl");
        assert!(method.contains("{\n  void probe(int probe);\n  p.P first();"), "{method}");
        let method = text("a method removed", "p/I.aidl");
        assert!(method.contains("first") && !method.contains("second"), "{method}");
        let field = text("a nullable field added", "p/P.aidl");
        assert!(field.contains("long[] b;\n  @nullable String probe;\n  parcelable N"), "{field}");
        let field = text("two fields swapped", "p/P.aidl");
        assert!(field.contains("  long[] b;\n  @nullable String s;\n"), "{field}");
        let field = text("a field of another type", "p/P.aidl");
        assert!(field.contains("  int[] b;\n") && field.contains("    int deep;"), "{field}");
    }

    #[test]
    fn an_api_that_can_not_be_changed_is_an_error() {
        let (interface, rest) = API.split_first().unwrap();
        assert!(changes(&api(rest)).is_err());
        assert!(changes(&api(&[*interface])).is_err());
    }
}
