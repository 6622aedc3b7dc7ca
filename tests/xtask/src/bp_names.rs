// SPDX-License-Identifier: Apache-2.0
//! What Android.bp files name: files and modules here, and modules of AOSP, which docs/android.md lists.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use regex::Regex;

use crate::bp_modules::{Module, Tree};
use crate::tidy;
use crate::workspace::Workspace;

/// The guide that lists AOSP's modules, ...
const GUIDE: &str = "docs/android.md";
/// ... where in it they are that AOSP has, ...
const IN_AOSP: &str = "### What AOSP has";
/// ... and those that have to be brought there.
const IMPORTED: &str = "### What to import";

/// The kinds of module whose properties are known here.
const KINDS: &[&str] = &[
    "aidl_interface",
    "filegroup",
    "genrule",
    "java_library",
    "java_test_host",
    "libbpf_prog",
    "license",
    "package",
    "rust_binary",
    "rust_binary_host",
    "rust_bindgen",
    "rust_defaults",
    "rust_library",
    "rust_test",
    "rust_test_host",
];

/// What stands in a property.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// Files, or with a colon before them modules that make some.
    Files,
    Modules,
    /// Nothing that is looked for.
    Words,
}

use Meaning::{Files, Modules, Words};

const PROPERTIES: &[(&str, Meaning)] = &[
    ("backend.cpp.enabled", Words),
    ("backend.java.enabled", Words),
    ("backend.ndk.enabled", Words),
    ("backend.rust.enabled", Words),
    ("bindgen_flags", Words),
    ("cargo_env_compat", Words),
    ("cargo_pkg_version", Words),
    ("cflags", Words),
    ("cmd", Words),
    ("crate_name", Words),
    ("default_applicable_licenses", Modules),
    ("default_visibility", Words),
    ("defaults", Modules),
    ("device_first_srcs", Files),
    ("edition", Words),
    ("features", Words),
    ("frozen", Words),
    ("host_supported", Words),
    ("init_rc", Files),
    ("java_resources", Files),
    ("license_kinds", Modules),
    ("license_text", Files),
    ("name", Words),
    ("out", Words),
    ("prefer_rlib", Words),
    ("relative_install_path", Words),
    ("required", Modules),
    ("rustlibs", Modules),
    ("source_stem", Words),
    ("srcs", Files),
    ("static_libs", Modules),
    ("test_config", Files),
    ("test_options.unit_test", Words),
    ("test_suites", Words),
    ("tool_files", Files),
    ("tools", Modules),
    ("versions_with_info.imports", Modules),
    ("versions_with_info.version", Words),
    ("visibility", Words),
    ("wrapper_src", Files),
];

/// A row of one of the guide's two tables.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) module: String,
    /// The crate and the version that is wanted, `clap 4`; or what else it is.
    pub(crate) what: String,
    /// The version that AOSP has, if any.
    pub(crate) in_aosp: Option<String>,
    pub(crate) is_imported: bool,
    /// Wanted by another that is listed, and not by an Android.bp here.
    pub(crate) wanted_by: Option<String>,
}

/// What the guide lists.
pub(crate) fn listed(workspace: &Workspace) -> Result<Vec<Listed>> {
    let path = workspace.root().join(GUIDE);
    let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    parse_guide(&text)
}

fn parse_guide(text: &str) -> Result<Vec<Listed>> {
    let row =
        Regex::new(r"^\| `([^`]+)` \| ([^|]+) \| ([^|]+) \| ([^|]*)\|$").context("compile")?;
    let wanted_by = Regex::new(r"^for `([^`]+)`").context("compile")?;
    let mut listed = Vec::new();
    let mut heading = "";
    for line in text.lines() {
        if line.starts_with('#') {
            heading = line;
        }
        if heading != IN_AOSP && heading != IMPORTED {
            continue;
        }
        let Some(cells) = row.captures(line) else { continue };
        let cell = |index| cells.get(index).map_or("", |cell| cell.as_str()).trim().to_owned();
        let (in_aosp, last) = (cell(3), cell(4));
        listed.push(Listed {
            module: cell(1),
            what: cell(2),
            in_aosp: (in_aosp != "-").then_some(in_aosp),
            is_imported: heading == IMPORTED,
            wanted_by: wanted_by
                .captures(&last)
                .and_then(|it| Some(it.get(1)?.as_str().to_owned())),
        });
    }
    if listed.is_empty() {
        bail!("{GUIDE} lists no module below {IN_AOSP:?} and {IMPORTED:?}");
    }
    Ok(listed)
}

/// What does not fit.
pub(crate) fn problems(workspace: &Workspace, tree: &Tree) -> Result<Vec<String>> {
    let files = tidy::walk(workspace)?;
    let files: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
    Ok(find(tree, &listed(workspace)?, &files))
}

fn find(tree: &Tree, listed: &[Listed], files: &[String]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut defined = BTreeSet::new();
    for module in &tree.modules {
        if !KINDS.contains(&&*module.kind) {
            problems.push(format!("{}: this check does not know the kind", module.label()));
        }
        for name in names_of(module) {
            if !defined.insert(name.clone()) {
                problems.push(format!("{}: {name} is defined twice", module.label()));
            }
        }
    }
    let mut wanted = BTreeSet::new();
    for module in &tree.modules {
        for (property, values) in &module.own {
            let Some((_, meaning)) = PROPERTIES.iter().find(|(name, _)| name == property) else {
                problems.push(format!("{}: this check does not know {property}", module.label()));
                continue;
            };
            for value in values {
                let Some(problem) = (match (meaning, value.strip_prefix(':')) {
                    (Words, _) => None,
                    (Files, None) => file_problem(&module.directory, value, files),
                    (Files, Some(name)) | (Modules, Some(name)) => {
                        want(name, &defined, &mut wanted)
                    }
                    (Modules, None) => want(value, &defined, &mut wanted),
                }) else {
                    continue;
                };
                problems.push(format!("{}: {property}: {problem}", module.label()));
            }
        }
        problems.extend(location_problems(module));
    }
    problems.extend(list_problems(listed, &defined, &wanted));
    problems
}

/// The names that a module defines.
fn names_of(module: &Module) -> Vec<String> {
    let mut names = Vec::new();
    if !module.name.is_empty() {
        names.push(module.name.clone());
    }
    if module.kind == "aidl_interface" {
        for version in module.own("versions_with_info.version") {
            for language in ["cpp", "java", "ndk", "rust"] {
                if module.own(&format!("backend.{language}.enabled")) == ["true"] {
                    names.push(format!("{}-V{version}-{language}", module.name));
                    names.push(format!("{}-V{version}-{language}-source", module.name));
                }
            }
        }
    }
    names
}

/// A module that is defined here is there; all others AOSP must have.
fn want(name: &str, defined: &BTreeSet<String>, wanted: &mut BTreeSet<String>) -> Option<String> {
    if !defined.contains(name) {
        wanted.insert(name.to_owned());
    }
    name.is_empty().then(|| "an empty name".to_owned())
}

/// Soong takes paths below the directory of the Android.bp only, and `*` for what has no slash.
fn file_problem(directory: &Path, value: &str, files: &[String]) -> Option<String> {
    if value.split('/').any(|part| part == "..") || value.starts_with('/') {
        return Some(format!("{value} is not below the directory of the Android.bp"));
    }
    let pattern = directory.join(value).display().to_string();
    let pattern = format!("^{}$", regex::escape(&pattern).replace(r"\*", "[^/]*"));
    let is_there = Regex::new(&pattern).is_ok_and(|it| files.iter().any(|file| it.is_match(file)));
    (!is_there).then(|| format!("there is no {value}"))
}

/// In a genrule's command `$(location x)` must be one of its tools or files.
fn location_problems(module: &Module) -> Vec<String> {
    let Ok(location) = Regex::new(r"\$\(locations? ([^)]+)\)") else { return Vec::new() };
    let known: Vec<&String> =
        ["tools", "tool_files", "srcs"].iter().flat_map(|name| module.own(name)).collect();
    let mut problems = Vec::new();
    for cmd in module.own("cmd") {
        for name in location.captures_iter(cmd).filter_map(|it| Some(it.get(1)?.as_str())) {
            if !known.iter().any(|known| *known == name) {
                problems.push(format!("{}: cmd: {name} is no tool of it", module.label()));
            }
        }
    }
    problems
}

fn list_problems(
    listed: &[Listed],
    defined: &BTreeSet<String>,
    wanted: &BTreeSet<String>,
) -> Vec<String> {
    let names: BTreeSet<&String> = listed.iter().map(|it| &it.module).collect();
    let mut problems: Vec<String> = wanted
        .iter()
        .filter(|name| !names.contains(name))
        .map(|name| format!("{name} is neither defined here nor listed in {GUIDE}"))
        .collect();
    for it in listed {
        let module = &it.module;
        if defined.contains(module) {
            problems.push(format!("{GUIDE} lists {module}, which is defined here"));
        }
        let is_wanted = match &it.wanted_by {
            Some(other) => names.contains(other),
            None => wanted.contains(module),
        };
        if !is_wanted {
            problems.push(format!("{GUIDE} lists {module}, which nobody wants"));
        }
    }
    problems
}

#[cfg(test)]
mod unit_tests {
    use super::*;
    use crate::bp_modules::unit_tests::tree;

    const FILES: &[&str] = &["a/src/lib.rs", "a/x.rc", "a/it/one.aidl", "b/other.rs"];

    /// What is wrong with this file in directory `a`, where AOSP has `liblog_rust`.
    fn problems_of(text: &str) -> Vec<String> {
        let guide = format!("{IN_AOSP}\n| `liblog_rust` | log 0.4 | 0.4.26 | |\n");
        let text =
            format!(r#"{text} rust_library {{ name: "libown", rustlibs: ["liblog_rust"] }}"#);
        let files: Vec<String> = FILES.iter().map(|&file| file.to_owned()).collect();
        find(&tree("a", &text), &parse_guide(&guide).unwrap(), &files)
    }

    fn assert_problem(text: &str, problem: &str) {
        let problems = problems_of(text);
        assert!(problems.len() == 1 && problems[0].contains(problem), "{problems:?}");
    }

    #[test]
    fn what_is_there_is_no_problem() {
        let text = r#"
            rust_library { name: "x", srcs: ["src/lib.rs", ":made"], rustlibs: ["libown", "liblog_rust"] }
            genrule { name: "made", tools: ["x"], srcs: ["it/*.aidl"], cmd: "$(location x)" }"#;
        assert_eq!(problems_of(text), Vec::<String>::new());
    }

    #[test]
    fn what_is_not_there_is_named() {
        assert_problem(r#"filegroup { name: "x", srcs: ["gone.rs"] }"#, "there is no gone.rs");
        assert_problem(r#"filegroup { name: "x", srcs: ["*/lib.c"] }"#, "there is no */lib.c");
        assert_problem(r#"filegroup { name: "x", srcs: ["src/*.aidl"] }"#, "no src/*.aidl");
        assert_problem(r#"filegroup { name: "x", srcs: ["../b/other.rs"] }"#, "is not below");
        assert_problem(r#"filegroup { name: "x", srcs: [":y"] }"#, "y is neither");
        assert_problem(r#"rust_library { name: "x", rustlibs: ["liby"] }"#, "liby is neither");
        assert_problem(r#"genrule { name: "x", cmd: "$(location y)" }"#, "y is no tool");
    }

    #[test]
    fn what_soong_would_not_take_is_named() {
        assert_problem(r#"rust_libary { name: "x" }"#, "does not know the kind");
        assert_problem(r#"rust_library { name: "x", rustlib: ["libown"] }"#, "not know rustlib");
        assert_problem(r#"filegroup { name: "libown" }"#, "defined twice");
    }

    #[test]
    fn bindings_of_an_interface_are_modules() {
        let interface = r#"aidl_interface { name: "i", versions_with_info: [{version: "1"}],
            backend: { rust: { enabled: true }, java: { enabled: false } } } "#;
        let client =
            |name| format!(r#"{interface} rust_library {{ name: "x", rustlibs: ["{name}"] }}"#);
        assert_eq!(problems_of(&client("i-V1-rust")), Vec::<String>::new());
        assert_eq!(problems_of(&client("i-V1-rust-source")), Vec::<String>::new());
        assert_problem(&client("i-V2-rust"), "i-V2-rust is neither");
        assert_problem(&client("i-V1-java"), "i-V1-java is neither");
    }

    #[test]
    fn list_has_nothing_that_nobody_wants() {
        let guide = format!(
            "{IN_AOSP}\n| `liba` | a 1 | 1.2 | |\n| Not | a | row | |\n{IMPORTED}\n\
             | `libb` | b =2 | - | |\n| `libc` | c 3 | 2.9 | for `libb`, and that |\n# End\n| `x` | y | z | |\n"
        );
        let listed = parse_guide(&guide).unwrap();
        assert_eq!(listed.len(), 3);
        assert_eq!(listed[0].in_aosp.as_deref(), Some("1.2"));
        assert!(!listed[0].is_imported && listed[1].is_imported && listed[1].in_aosp.is_none());
        assert_eq!(listed[2].wanted_by.as_deref(), Some("libb"));
        let text = r#"rust_library { name: "x", rustlibs: ["libb"] }"#;
        let problems = find(&tree("", text), &listed, &[]);
        assert_eq!(problems, [format!("{GUIDE} lists liba, which nobody wants")]);
    }
}
