// SPDX-License-Identifier: Apache-2.0
//! What must agree for a device to work: what a product installs, who starts it, the test's
//! configuration, the frozen AIDL, and the names by which the service finds the program.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use init::rc;
use regex::Regex;

use crate::bp_modules::{Module, Tree};
use crate::workspace::Workspace;

/// The makefile that a product includes, and where the project is in AOSP.
const MAKEFILE: &str = "wakeupstats.mk";
const PLACE: &str = "system/wakeupstats/";
/// Where Soong installs what `rust_binary` makes.
const BINARIES: &str = "/system/bin";
/// Where it installs what `libbpf_prog` makes.
const OBJECTS: &str = "/system/etc/bpf";
/// What people start, and no rc file.
const COMMAND: &str = "wakeupstats";
/// Which names the service looks for.
const PINS: &str = "service/src/pins.rs";
const GUIDE: &str = "docs/android.md";

/// What does not fit.
pub(crate) fn problems(workspace: &Workspace, tree: &Tree) -> Result<Vec<String>> {
    let root = workspace.root();
    let read = |path: &Path| {
        fs::read_to_string(root.join(path)).with_context(|| format!("read {}", path.display()))
    };
    let mut problems = makefile_problems(tree, &read(Path::new(MAKEFILE))?, root);
    for module in tree.of_kind("rust_binary").filter(|module| module.name != COMMAND) {
        problems.extend(match rc_file(tree, module) {
            Some(file) => rc_problems(module, &read(Path::new(&file))?),
            None => vec![format!("{}: no rc file starts it", module.label())],
        });
    }
    for module in tree.of_kind("rust_test") {
        for config in module.own("test_config") {
            let text = read(&module.directory.join(config))?;
            problems.extend(test_problems(module, &text)?);
        }
    }
    for module in tree.of_kind("aidl_interface") {
        problems.extend(aidl_problems(root, module)?);
    }
    let (pins, guide) = (read(Path::new(PINS))?, read(Path::new(GUIDE))?);
    for module in tree.of_kind("libbpf_prog") {
        problems.extend(pin_problems(tree, module, &pins, &guide)?);
    }
    Ok(problems)
}

/// The words that a makefile adds to each variable.
fn additions(makefile: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut variables: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in makefile.replace("\\\n", " ").lines() {
        if let Some((name, words)) = line.split_once("+=") {
            let words = words.split_whitespace().map(str::to_owned);
            variables.entry(name.trim().to_owned()).or_default().extend(words);
        }
    }
    variables
}

/// What is installed by its name is all that a device needs, and is there.
fn makefile_problems(tree: &Tree, makefile: &str, root: &Path) -> Vec<String> {
    let variables = additions(makefile);
    let words = |name: &str| variables.get(name).cloned().unwrap_or_default();
    let packages = words("PRODUCT_PACKAGES");
    let binaries = tree.of_kind("rust_binary").chain(tree.of_kind("libbpf_prog"));
    let installed: BTreeSet<String> = binaries.map(|module| module.name.clone()).collect();
    let mut problems = Vec::new();
    for name in packages.difference(&installed) {
        problems.push(format!("{MAKEFILE}: {name} is no module that is installed"));
    }
    for name in installed.difference(&packages) {
        problems.push(format!("{MAKEFILE}: {name} is missing"));
    }
    let directories = words("SYSTEM_EXT_PRIVATE_SEPOLICY_DIRS");
    if directories.is_empty() {
        problems.push(format!("{MAKEFILE}: no policy"));
    }
    for directory in directories {
        let is_there = directory.strip_prefix(PLACE).is_some_and(|it| root.join(it).is_dir());
        if !is_there {
            problems.push(format!("{MAKEFILE}: there is no {directory}"));
        }
    }
    problems
}

/// The rc file of a binary, which is in a filegroup.
fn rc_file(tree: &Tree, module: &Module) -> Option<String> {
    let group = tree.module(tree.one(module, "init_rc")?.strip_prefix(':')?)?;
    let file = group.directory.join(group.own("srcs").first()?);
    Some(file.to_str()?.to_owned())
}

/// An rc file starts the binary that brings it, and no other.
fn rc_problems(module: &Module, text: &str) -> Vec<String> {
    let path = format!("{BINARIES}/{}", module.name);
    // Whether init would take it is another check's.
    let sections = rc::parse(text).unwrap_or_default();
    let services = sections.iter().filter_map(|section| match section.head.words.as_slice() {
        [service, _, program, ..] if service == "service" => Some(program),
        _ => None,
    });
    let programs: Vec<&String> = services.collect();
    if programs == [&path] {
        return Vec::new();
    }
    vec![format!("{}: its rc file starts {programs:?}, not {path}", module.label())]
}

/// A test's configuration pushes and starts the test that it belongs to.
fn test_problems(module: &Module, text: &str) -> Result<Vec<String>> {
    let document = roxmltree::Document::parse(text)
        .with_context(|| format!("read the configuration of {}", module.name))?;
    let value = |name: &str| {
        let mut options = document.descendants().filter(|node| node.has_tag_name("option"));
        options.find(|node| node.attribute("name") == Some(name))?.attribute("value")
    };
    let name = &module.name;
    let place = value("test-device-path").unwrap_or_default();
    let wanted = [("module-name", name.clone()), ("push", format!("{name}->{place}/{name}"))];
    let wrong = wanted.iter().filter(|(option, it)| value(option) != Some(it));
    let label = module.label();
    Ok(wrong.map(|(option, it)| format!("{label}: its {option} is not {it}")).collect())
}

/// The frozen versions are those that are there, and the sources are the newest.
fn aidl_problems(root: &Path, module: &Module) -> Result<Vec<String>> {
    let api = module.directory.join("aidl_api").join(&module.name);
    let mut versions: Vec<u32> = Vec::new();
    for entry in fs::read_dir(root.join(&api)).with_context(|| format!("list {}", api.display()))? {
        let name = entry.with_context(|| format!("list {}", api.display()))?.file_name();
        versions.extend(name.to_str().and_then(|name| name.parse::<u32>().ok()));
    }
    versions.sort_unstable();
    let there: Vec<String> = versions.iter().map(u32::to_string).collect();
    let listed = module.own("versions_with_info.version");
    let mut problems = Vec::new();
    let mut problem = |what: String| problems.push(format!("{}: {what}", module.label()));
    if listed != there {
        problem(format!("versions {listed:?}; aidl_api has {there:?}"));
    }
    let Some(newest) = there.last() else { return Ok(problems) };
    let is_newest = same_files(&root.join(&api).join(newest), &root.join(&api).join("current"))?;
    if (module.own("frozen") == ["true"]) != is_newest {
        problem(format!("frozen is to say whether the sources are version {newest}"));
    }
    // What clients are told, and by which hash.
    let generator = fs::read_to_string(root.join(&module.directory).join("build.rs"))
        .context("read the generator of the bindings")?;
    if !generator.contains(&format!("const VERSION: i32 = {newest};")) {
        problem(format!("build.rs does not have version {newest}"));
    }
    Ok(problems)
}

/// Whether two directories have the same AIDL files.
fn same_files(one: &Path, other: &Path) -> Result<bool> {
    let read = |directory: &Path| -> Result<BTreeMap<String, Vec<u8>>> {
        let mut files = BTreeMap::new();
        for entry in ignore::WalkBuilder::new(directory).build() {
            let path = entry.context("list a version of the AIDL")?.into_path();
            if path.extension().is_some_and(|it| it == "aidl") {
                let name = path.strip_prefix(directory).context("leave a directory off a path")?;
                let bytes = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
                files.insert(name.display().to_string(), bytes);
            }
        }
        Ok(files)
    };
    Ok(read(one)? == read(other)?)
}

/// bpfloader names pins by the object's file, which Soong names by the source; and the guide has the file
/// in what it adds to bpfloader's table.
fn pin_problems(tree: &Tree, module: &Module, pins: &str, guide: &str) -> Result<Vec<String>> {
    let constant = Regex::new(r#"const (\w+): &str = "([^"]*)";"#).context("compile a pattern")?;
    let constants: BTreeMap<&str, &str> = constant
        .captures_iter(pins)
        .filter_map(|it| Some((it.get(1)?.as_str(), it.get(2)?.as_str())))
        .collect();
    let constant = |name: &str| constants.get(name).copied().unwrap_or_default();
    let mut problems = Vec::new();
    let mut problem = |what: String| problems.push(format!("{}: {what}", module.label()));
    let prefix = module.own("relative_install_path").first().map_or("", String::as_str);
    if format!("/sys/fs/bpf/{prefix}") != constant("DEFAULT_DIR") {
        problem(format!("{prefix} is not where {PINS} looks"));
    }
    for source in module.own("srcs") {
        let rule = source.strip_prefix(':').and_then(|name| tree.module(name));
        let file = rule.and_then(|rule| rule.own("out").first()).unwrap_or(source);
        // As Soong does: what follows the last dot.
        let stem = file.rsplit_once('.').map_or(&**file, |(stem, _)| stem);
        if stem.contains(['_', '.']) {
            problem(format!("Soong or bpfloader change or refuse the name {stem}"));
        }
        for (kind, pin, name) in
            [("prog", "PROGRAM_PIN", "PROGRAM_NAME"), ("map", "MAP_PIN", "MAP_NAME")]
        {
            let made = format!("{kind}_{stem}_{}", constant(name));
            if made != constant(pin) {
                problem(format!("bpfloader would pin {made}; {PINS} has {}", constant(pin)));
            }
        }
        let installed = format!("\"{OBJECTS}/{prefix}/{stem}.bpf\"");
        let entry = [installed, format!("\"{prefix}/\"")];
        let names = ["MAP_NAME", "PROGRAM_NAME"].map(|name| format!("\"{}\"", constant(name)));
        for text in entry.iter().chain(&names).filter(|text| !guide.contains(*text)) {
            problem(format!("{GUIDE} has no {text} in what it adds to bpfloader"));
        }
    }
    Ok(problems)
}

#[cfg(test)]
mod unit_tests {
    use super::*;
    use crate::bp_modules::unit_tests::tree;

    const PINS: &str = r#"const DEFAULT_DIR: &str = "/sys/fs/bpf/p";
        const PROGRAM_NAME: &str = "run"; const MAP_NAME: &str = "data";
        const PROGRAM_PIN: &str = "prog_a_run"; const MAP_PIN: &str = "map_a_data";"#;
    const GUIDE: &str = r#""/system/etc/bpf/p/a.bpf" "p/" "run" "data""#;

    #[test]
    fn makefile_installs_what_there_is() {
        let tree = tree("", r#"rust_binary { name: "a" } libbpf_prog { name: "b" }"#);
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("policy")).unwrap();
        let policy = "SYSTEM_EXT_PRIVATE_SEPOLICY_DIRS += system/wakeupstats/policy\n";
        let count = |text: &str| makefile_problems(&tree, text, root.path()).len();
        assert_eq!(count(&format!("PRODUCT_PACKAGES += \\\n  a \\\n  b \\\n\n{policy}")), 0);
        assert_eq!(count(&format!("PRODUCT_PACKAGES += a\n{policy}")), 1);
        assert_eq!(count(&format!("PRODUCT_PACKAGES += a b c\n{policy}")), 1);
        assert_eq!(count("PRODUCT_PACKAGES += a b\n"), 1);
        assert_eq!(count(&format!("PRODUCT_PACKAGES += a b\n{policy}{}/x", policy.trim())), 1);
    }

    #[test]
    fn rc_file_starts_its_binary() {
        let tree = tree("", r#"rust_binary { name: "a" }"#);
        let count = |text: &str| rc_problems(tree.module("a").unwrap(), text).len();
        assert_eq!(count("service x /system/bin/a load\n    user root\n"), 0);
        assert_eq!(count("service x /system/bin/b\n    user root\n"), 1);
        assert_eq!(count("on boot\n    start x\n"), 1);
    }

    #[test]
    fn test_is_pushed_and_started_by_its_name() {
        let tree = tree("", r#"rust_test { name: "a" }"#);
        let problems = |push: &str, name: &str| {
            let text = format!(
                r#"<configuration><x><option name="push" value="{push}" /></x>
                   <option name="test-device-path" value="/d" />
                   <option name="module-name" value="{name}" /></configuration>"#
            );
            test_problems(tree.module("a").unwrap(), &text).unwrap().len()
        };
        assert_eq!(problems("a->/d/a", "a"), 0);
        assert_eq!(problems("a->/e/a", "a"), 1);
        assert_eq!(problems("b->/d/b", "b"), 2);
        assert!(test_problems(tree.module("a").unwrap(), "<configuration>").is_err());
    }

    #[test]
    fn frozen_versions_are_those_that_are_there() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("aidl_api/i/1/I.aidl", "interface I {}");
        write("aidl_api/i/current/I.aidl", "interface I {}");
        write("build.rs", "const VERSION: i32 = 1;");
        let count = |versions: &str, frozen: &str| {
            let text = format!(
                r#"aidl_interface {{ name: "i", frozen: {frozen}, versions_with_info: [{versions}] }}"#
            );
            let tree = tree("", &text);
            aidl_problems(root.path(), tree.module("i").unwrap()).unwrap().len()
        };
        assert_eq!(count(r#"{version: "1"}"#, "true"), 0);
        assert_eq!(count("", "true"), 1);
        assert_eq!(count(r#"{version: "1"}"#, "false"), 1);
        write("aidl_api/i/current/I.aidl", "interface I { void go(); }");
        assert_eq!(count(r#"{version: "1"}"#, "true"), 1);
        assert_eq!(count(r#"{version: "1"}"#, "false"), 0);
        write("build.rs", "const VERSION: i32 = 2;");
        assert_eq!(count(r#"{version: "1"}"#, "false"), 1);
    }

    #[test]
    fn pins_have_the_names_that_bpfloader_gives() {
        let count = |source: &str, path: &str, guide: &str| {
            let text = format!(
                r#"libbpf_prog {{ name: "b", srcs: ["{source}"], relative_install_path: "{path}" }}
                   genrule {{ name: "made", out: ["a.c"] }}"#
            );
            let tree = tree("", &text);
            pin_problems(&tree, tree.module("b").unwrap(), PINS, guide).unwrap().len()
        };
        assert_eq!(count(":made", "p", GUIDE), 0);
        assert_eq!(count("a.c", "p", GUIDE), 0);
        // The name has a dot, so neither pin nor file is where it is looked for.
        assert_eq!(count("a.bpf.c", "p", GUIDE), 4);
        assert_eq!(count("a.c", "p", ""), 4);
        assert!(count("a.c", "q", GUIDE) > 0);
    }
}
