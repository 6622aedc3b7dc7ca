// SPDX-License-Identifier: Apache-2.0
//! The policy with less: without each of the project's rules, and each word of a rule, in turn. Something must
//! fail with each of them, or the rule goes.

use std::fs;
use std::ops::Range;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use regex::Regex;

use crate::sepolicy::{ENGINEERING, PRIVATE, Sources, Target, te_files};
use crate::workspace::Workspace;

/// A policy with less.
pub(crate) struct Less {
    /// What it lacks, in a line.
    pub(crate) left_out: String,
    /// As the kernel takes it.
    pub(crate) policy: Vec<u8>,
}

/// All of them, for the VM.
pub(crate) fn policies(workspace: &Workspace) -> Result<Vec<Less>> {
    let mut policies = Vec::new();
    let mut files = te_files(workspace, PRIVATE)?;
    files.extend(te_files(workspace, ENGINEERING)?);
    files.push(Path::new(PRIVATE).join("genfs_contexts"));
    for path in files {
        let text = fs::read_to_string(workspace.root().join(&path))
            .with_context(|| format!("read {}", path.display()))?;
        for (left_out, text) in reductions(&text)? {
            let left_out = format!("{}: {left_out}", path.display());
            match Sources::with(&path, text).compile(workspace, Target::Vm)? {
                Ok(policy) => policies.push(Less { left_out, policy }),
                Err(text) => bail!("the policy does not compile without {left_out}: {text}"),
            }
        }
    }
    Ok(policies)
}

/// What is left out, and what is left, for each rule and macro of the text; for rules with several words in
/// one place, for each of these words.
fn reductions(text: &str) -> Result<Vec<(String, String)>> {
    let regex = |pattern: &str| Regex::new(pattern).context("compile a pattern");
    const SET: &str = r"\{[^}]*\}|[^\s:;]+";
    let rule = regex(&format!(r"(?m)^allow\s+({SET})\s+({SET}):({SET})\s+({SET});"))?;
    let other = regex(r"(?m)^(genfscon .*|[a-z_]+\([^)\n]*\))$")?;
    let word = regex(r"[^\s{}]+")?;
    let mut reductions = Vec::new();
    let mut leave_out = |what: String, range: Range<usize>| {
        let mut left = text.to_owned();
        left.replace_range(range, "");
        reductions.push((what, left));
    };
    for found in rule.captures_iter(text) {
        let sets = found.iter().skip(1).flatten().filter(|set| set.as_str().starts_with('{'));
        let words: Vec<_> = sets
            .filter_map(|set| {
                let words = word.find_iter(set.as_str());
                let words: Vec<_> = words
                    .map(|it| (set.start() + it.start()..set.start() + it.end(), it.as_str()))
                    .collect();
                (words.len() > 1).then_some(words)
            })
            .flatten()
            .collect();
        let Some(whole) = found.get(0) else { continue };
        let line = whole.as_str().split_whitespace().collect::<Vec<_>>().join(" ");
        if words.is_empty() {
            leave_out(line, whole.range());
        } else {
            for (range, word) in words {
                leave_out(format!("{word} of {line}"), range);
            }
        }
    }
    for found in other.find_iter(text) {
        leave_out(found.as_str().to_owned(), found.range());
    }
    Ok(reductions)
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn each_rule_and_each_word_of_a_set_is_left_out_once() {
        let text = "type a;\nallow a b:file read;\nallow { a c } b:{ file } { read write };\n\
                    neverallow a b:file write;\nbinder_use(a)\n# allow x y:z w;\n";

        let reductions = reductions(text).unwrap();

        let left_out: Vec<&str> = reductions.iter().map(|(what, _)| what.as_str()).collect();
        let rule = "of allow { a c } b:{ file } { read write };";
        let expected = [
            "allow a b:file read;".to_owned(),
            format!("a {rule}"),
            format!("c {rule}"),
            format!("read {rule}"),
            format!("write {rule}"),
            "binder_use(a)".to_owned(),
        ];
        assert_eq!(left_out, expected);
        assert!(reductions[0].1.starts_with("type a;\n\nallow { a c }"));
        assert!(reductions[3].1.contains("allow { a c } b:{ file } {  write };"));
    }
}
