// SPDX-License-Identifier: Apache-2.0
//! The modules of the project's Android.bp files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use android_bp::{BluePrint, Module as Parsed, Value};
use anyhow::{Context as _, Result, bail};

use crate::tidy;
use crate::workspace::Workspace;

/// A module, with nested properties by their whole name (`backend.rust.enabled`) and each value as a
/// list of texts. The same name in several elements of a list has the values of all.
#[derive(Debug)]
pub(crate) struct Module {
    /// The directory of its Android.bp, relative to the root.
    pub(crate) directory: PathBuf,
    pub(crate) kind: String,
    /// Empty for `package`, which has none.
    pub(crate) name: String,
    pub(crate) own: BTreeMap<String, Vec<String>>,
}

/// All of them.
pub(crate) struct Tree {
    pub(crate) modules: Vec<Module>,
}

impl Module {
    /// The values of a property, without those of its defaults.
    pub(crate) fn own(&self, property: &str) -> &[String] {
        self.own.get(property).map_or(&[], Vec::as_slice)
    }

    /// How it is called in what is said about it.
    pub(crate) fn label(&self) -> String {
        let file = self.directory.join("Android.bp");
        format!("{}: {} {}", file.display(), self.kind, self.name)
    }
}

impl Tree {
    /// Reads every Android.bp; returns what is wrong with them, too.
    pub(crate) fn load(workspace: &Workspace) -> Result<(Self, Vec<String>)> {
        let files = tidy::files(workspace, &["bp"])?;
        if files.is_empty() {
            bail!("there is no Android.bp");
        }
        let mut modules = Vec::new();
        let mut problems = Vec::new();
        for file in files {
            let path = workspace.root().join(&file);
            let text =
                fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
            let directory = file.parent().unwrap_or(Path::new(""));
            match parse(directory, &text) {
                Ok(some) => modules.extend(some),
                Err(problem) => problems.push(format!("{}: {problem}", file.display())),
            }
        }
        Ok((Self { modules }, problems))
    }

    /// The module of this name.
    pub(crate) fn module(&self, name: &str) -> Option<&Module> {
        self.modules.iter().find(|module| module.name == name && !name.is_empty())
    }

    /// The modules of this kind.
    pub(crate) fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Module> {
        self.modules.iter().filter(move |module| module.kind == kind)
    }

    /// The values of a property, with those of all defaults. What defaults have comes first, so the
    /// last value is the one that counts where there can be only one.
    pub(crate) fn all<'a>(&'a self, module: &'a Module, property: &str) -> Vec<&'a str> {
        let mut values = Vec::new();
        for name in module.own("defaults") {
            // One that is not there has been named by then.
            let Some(defaults) = self.module(name) else { continue };
            values.extend(self.all(defaults, property));
        }
        values.extend(module.own(property).iter().map(String::as_str));
        values
    }

    /// The one value of a property.
    pub(crate) fn one<'a>(&'a self, module: &'a Module, property: &str) -> Option<&'a str> {
        self.all(module, property).pop()
    }
}

fn parse(directory: &Path, text: &str) -> Result<Vec<Module>, String> {
    let file = BluePrint::parse(text)?;
    if !file.variables.is_empty() {
        return Err("has variables, which this check does not evaluate".to_owned());
    }
    file.modules.into_iter().map(|module| flat(directory, module)).collect()
}

fn flat(directory: &Path, parsed: Parsed) -> Result<Module, String> {
    let mut own = BTreeMap::new();
    for (name, value) in parsed.entries {
        collect(&name, value, &mut own)?;
    }
    let name = own.get("name").and_then(|names: &Vec<String>| names.last());
    let name = name.cloned().unwrap_or_default();
    if name.is_empty() && parsed.typ != "package" {
        return Err(format!("a {} has no name", parsed.typ));
    }
    Ok(Module { directory: directory.to_owned(), kind: parsed.typ, name, own })
}

fn collect(
    name: &str,
    value: Value,
    properties: &mut BTreeMap<String, Vec<String>>,
) -> Result<(), String> {
    let mut add = |text| properties.entry(name.to_owned()).or_default().push(text);
    match value {
        Value::String(text) => add(text),
        Value::Integer(number) => add(number.to_string()),
        Value::Boolean(is) => add(is.to_string()),
        // A list that is there and empty is not one that is not there.
        Value::Array(values) if values.is_empty() => {
            properties.entry(name.to_owned()).or_default();
        }
        Value::Array(values) => {
            for value in values {
                collect(name, value, properties)?;
            }
        }
        Value::Map(map) => {
            for (inner, value) in map.0 {
                collect(&format!("{name}.{inner}"), value, properties)?;
            }
        }
        Value::Ident(_) | Value::ConcatExpr(_) | Value::Function(_) => {
            return Err(format!("{name} is an expression, which this check does not evaluate"));
        }
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod unit_tests {
    use super::*;

    /// The tree of this one file.
    pub(crate) fn tree(directory: &str, text: &str) -> Tree {
        Tree { modules: parse(Path::new(directory), text).unwrap() }
    }

    #[test]
    fn nested_properties_and_lists_are_flat() {
        let text = r#"
            aidl_interface {
                name: "it",
                backend: { rust: { enabled: true } },
                versions_with_info: [ { version: "1", imports: [] }, { version: "2" } ],
                cmd: "one " + "two",
            }"#;
        let tree = tree("aidl", text);
        let module = tree.module("it").unwrap();
        assert_eq!(module.own("backend.rust.enabled"), ["true"]);
        assert_eq!(module.own("versions_with_info.version"), ["1", "2"]);
        assert!(module.own.contains_key("versions_with_info.imports"));
        assert_eq!(module.own("cmd"), ["one two"]);
        assert_eq!(module.label(), "aidl/Android.bp: aidl_interface it");
    }

    #[test]
    fn defaults_come_first_also_those_of_defaults() {
        let text = r#"
            rust_defaults { name: "a", rustlibs: ["libx"], edition: "2021" }
            rust_defaults { name: "b", defaults: ["a"], rustlibs: ["liby"] }
            rust_library { name: "libz", defaults: ["b"], edition: "2024" }"#;
        let tree = tree("", text);
        let module = tree.module("libz").unwrap();
        assert_eq!(tree.all(module, "rustlibs"), ["libx", "liby"]);
        assert_eq!(tree.one(module, "edition"), Some("2024"));
        assert_eq!(tree.one(module, "features"), None);
    }

    #[test]
    fn what_can_not_be_evaluated_is_said() {
        for text in ["x = 1", r#"rust_library { name: y }"#, "rust_library { }", "rust_library {"] {
            assert!(parse(Path::new(""), text).is_err(), "{text}");
        }
    }
}
