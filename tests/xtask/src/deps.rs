// SPDX-License-Identifier: Apache-2.0
//! The crates that the project depends on, held to `tests/deps.toml`: licenses, versions, where they come
//! from, and that the daemon on a device needs no C library for them.
//!
//! cargo-deny does that, too. What it has beside are advisories, and their database can't be had without a
//! network: no registry has it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context as _, Result};
use cargo_metadata::Package;
use serde::Deserialize;
use spdx::{Expression, ParseMode};

use crate::apt::succeeded;
use crate::guest::DAEMON;
use crate::progress::say;
use crate::workspace::Workspace;

/// The file; it explains its keys. Values are reasons.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Allowed {
    licenses: BTreeMap<String, String>,
    duplicates: BTreeMap<String, String>,
    native: BTreeMap<String, String>,
}

/// Says what does not keep to the file; false if anything does not.
pub(crate) fn check(workspace: &Workspace) -> Result<bool> {
    let path = workspace.tests_file("deps.toml");
    let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    let allowed: Allowed =
        toml::from_str(&text).with_context(|| format!("understand {}", path.display()))?;
    let packages = workspace.packages();
    let mut problems = license_problems(packages, &allowed)?;
    problems.extend(duplicate_problems(packages, &allowed));
    problems.extend(source_problems(workspace)?);
    problems.extend(native_problems(packages, &on_device(workspace)?, &allowed));
    for problem in &problems {
        say(problem);
    }
    Ok(problems.is_empty())
}

fn license_problems(packages: &[Package], allowed: &Allowed) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    let mut used = BTreeSet::new();
    for package in packages {
        let Some(license) = &package.license else {
            problems.push(format!("{} does not say its license", package.name));
            continue;
        };
        let expression = Expression::parse_mode(license, ParseMode::LAX)
            .map_err(|error| anyhow::anyhow!("{}: {error}", package.name))?;
        let is_fine = expression.evaluate(|wanted| {
            let wanted = wanted.to_string();
            let is_allowed = allowed.licenses.contains_key(&wanted);
            if is_allowed {
                used.insert(wanted);
            }
            is_allowed
        });
        if !is_fine {
            problems.push(format!("{}: no license of {license} is allowed", package.name));
        }
    }
    let unused = allowed.licenses.keys().filter(|license| !used.contains(*license));
    problems.extend(unused.map(|license| format!("no crate wants {license} to be allowed")));
    Ok(problems)
}

fn duplicate_problems(packages: &[Package], allowed: &Allowed) -> Vec<String> {
    let mut versions: BTreeMap<&str, BTreeSet<_>> = BTreeMap::new();
    for package in packages {
        versions.entry(&package.name).or_default().insert(&package.version);
    }
    let mut older = BTreeSet::new();
    for (name, versions) in versions {
        // What is compatible cargo takes one of, so the numbers that tell them apart are few.
        let number = |version: &cargo_metadata::semver::Version| match version.major {
            0 => format!("0.{}", version.minor),
            major => major.to_string(),
        };
        let count = versions.len();
        let but_the_newest = versions.into_iter().take(count - 1);
        older.extend(but_the_newest.map(|version| format!("{name} {}", number(version))));
    }
    let listed = |crate_version: &String| allowed.duplicates.contains_key(crate_version);
    let more = older.iter().filter(|it| !listed(it));
    let mut problems: Vec<_> =
        more.map(|it| format!("{it} is there besides a newer version")).collect();
    let fewer = allowed.duplicates.keys().filter(|it| !older.contains(*it));
    problems.extend(fewer.map(|it| format!("{it} is not there any more, or alone")));
    problems
}

/// All crates but the project's own are of the registry, by checksum.
fn source_problems(workspace: &Workspace) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for package in workspace.packages() {
        let inside = package.manifest_path.starts_with(workspace.root());
        let registry = package.source.as_ref().is_some_and(|source| source.is_crates_io());
        if !(registry || inside && package.source.is_none()) {
            problems.push(format!("{} comes from elsewhere than the registry", package.name));
        }
        let of_registry = package.dependencies.iter().filter(|it| it.path.is_none() && inside);
        let any = of_registry.filter(|dependency| dependency.req.to_string() == "*");
        problems.extend(any.map(|it| format!("{} takes {} of any version", package.name, it.name)));
    }
    let path = workspace.root().join("Cargo.lock");
    let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    let lock: Lock = toml::from_str(&text).context("understand Cargo.lock")?;
    let unchecked = lock.package.iter().filter(|it| it.source.is_some() && it.checksum.is_none());
    problems.extend(unchecked.map(|it| format!("Cargo.lock has no checksum of {}", it.name)));
    Ok(problems)
}

/// What is read of Cargo.lock.
#[derive(Deserialize)]
struct Lock {
    package: Vec<Locked>,
}

#[derive(Deserialize)]
struct Locked {
    name: String,
    source: Option<String>,
    checksum: Option<String>,
}

/// The crates that the daemon on a device consists of.
fn on_device(workspace: &Workspace) -> Result<BTreeSet<String>> {
    let output = workspace
        .cargo()
        .args(["tree", "--package", DAEMON, "--no-default-features", "--edges", "normal"])
        .args(["--target", "aarch64-linux-android", "--prefix", "none", "--format", "{p}"])
        .output()
        .context("run cargo tree")?;
    succeeded(&output).context("run cargo tree")?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect())
}

fn native_problems(
    packages: &[Package],
    on_device: &BTreeSet<String>,
    allowed: &Allowed,
) -> Vec<String> {
    let linking = packages.iter().filter(|package| package.links.is_some());
    let linking = linking.filter(|package| on_device.contains(package.name.as_str()));
    let linking: BTreeSet<&str> = linking.map(|package| package.name.as_str()).collect();
    let more = linking.iter().filter(|name| !allowed.native.contains_key(**name));
    let mut problems: Vec<_> =
        more.map(|name| format!("{name} links a C library, on a device, too")).collect();
    let fewer = allowed.native.keys().filter(|name| !linking.contains(name.as_str()));
    problems.extend(fewer.map(|name| format!("{name} links no C library on a device any more")));
    problems
}

#[cfg(test)]
mod unit_tests {
    use serde_json::json;

    use super::*;

    /// A crate as cargo describes it.
    fn package(name: &str, version: &str, license: &str, links: Option<&str>) -> Package {
        let description = json!({
            "name": name, "version": version, "id": format!("{name}@{version}"),
            "license": license, "links": links, "dependencies": [], "targets": [],
            "features": {}, "manifest_path": "/Cargo.toml",
        });
        serde_json::from_value(description).unwrap()
    }

    fn allowed(text: &str) -> Allowed {
        toml::from_str(&format!("{text}\n")).unwrap()
    }

    const LISTED: &str =
        "licenses = { MIT = '' }\nduplicates = { 'a 0.1' = '' }\nnative = { c = '' }";

    #[test]
    fn of_the_licenses_one_must_be_allowed_and_each_allowed_be_needed() {
        let problems = |license: &str| {
            license_problems(&[package("a", "0.1.0", license, None)], &allowed(LISTED)).unwrap()
        };
        assert!(problems("MIT").is_empty() && problems("GPL-2.0-only OR MIT").is_empty());
        assert!(problems("Apache-2.0/MIT").is_empty());
        assert_eq!(problems("GPL-2.0-only").len(), 2);
        assert_eq!(problems("GPL-2.0-only AND MIT").len(), 1);
    }

    #[test]
    fn older_versions_are_those_that_are_listed_and_no_other() {
        let a = |version| package("a", version, "MIT", None);
        let problems =
            |packages: &[Package]| duplicate_problems(packages, &allowed(LISTED)).join("; ");
        assert_eq!(problems(&[a("0.1.4"), a("0.2.0")]), "");
        assert_eq!(problems(&[a("0.2.0")]), "a 0.1 is not there any more, or alone");
        let three = [a("0.1.4"), a("0.2.0"), a("1.0.0")];
        assert_eq!(problems(&three), "a 0.2 is there besides a newer version");
    }

    #[test]
    fn c_libraries_of_a_device_are_those_that_are_listed() {
        let packages =
            [package("b", "1.0.0", "MIT", Some("b")), package("c", "1.0.0", "MIT", Some("c"))];
        let problems = |on_device: &[&str]| {
            let on_device = on_device.iter().map(|&name| name.to_owned()).collect();
            native_problems(&packages, &on_device, &allowed(LISTED)).join("; ")
        };
        assert_eq!(problems(&["c"]), "");
        assert_eq!(problems(&["b", "c"]), "b links a C library, on a device, too");
        assert_eq!(problems(&[]), "c links no C library on a device any more");
    }
}
