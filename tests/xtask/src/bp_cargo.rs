// SPDX-License-Identifier: Apache-2.0
//! What Android.bp files and Cargo.toml files both say: crates, their versions, editions, features.

use std::collections::BTreeSet;
use std::str::FromStr as _;

use anyhow::{Context as _, Result};
use cargo_metadata::cargo_platform::Cfg;
use cargo_metadata::semver::{Version, VersionReq};
use cargo_metadata::{Dependency, DependencyKind, Package, Target};

use crate::bp_modules::{Module, Tree};
use crate::bp_names::{self, Listed};
use crate::workspace::Workspace;

/// What rustc says of an Android device, as far as a Cargo.toml here asks.
const ANDROID: &[&str] = &["unix", "target_os=\"android\"", "target_family=\"unix\""];

/// Crates whose module is not called `lib` and their name.
const OTHER_NAMES: &[(&str, &str)] = &[("log", "liblog_rust")];

/// Modules that are together what cargo builds of a package: they must have all its dependencies of a
/// kind, and no other.
struct Build {
    modules: &'static [&'static str],
    package: &'static str,
    kind: DependencyKind,
    features: &'static [&'static str],
}

const BUILDS: &[Build] = &[
    Build {
        modules: &["libwakeupstats", "wakeupstatsd"],
        package: "wakeupstatsd",
        kind: DependencyKind::Normal,
        features: &[],
    },
    Build {
        modules: &["libwakeupstats_load", "wakeupstatsd-eng"],
        package: "wakeupstatsd",
        kind: DependencyKind::Normal,
        features: &["load"],
    },
    Build {
        modules: &["libwakeupstats_aidl"],
        package: "wakeupstats-aidl",
        kind: DependencyKind::Normal,
        features: &[],
    },
    Build {
        modules: &["libwakeupstats_text"],
        package: "wakeupstats-text",
        kind: DependencyKind::Normal,
        features: &[],
    },
    Build {
        modules: &["wakeupstats"],
        package: "wakeupstats",
        kind: DependencyKind::Normal,
        features: &[],
    },
    Build {
        modules: &["wakeupstats_aidl_generator"],
        package: "wakeupstats-aidl",
        kind: DependencyKind::Build,
        features: &[],
    },
];

/// Which package a module is of, by the directory of its Android.bp. Tests live with what they test.
const PACKAGES: &[(&str, &str)] = &[
    ("aidl", "wakeupstats-aidl"),
    ("cli", "wakeupstats"),
    ("service", "wakeupstatsd"),
    ("tests/device", "wakeupstats-vm"),
    ("text", "wakeupstats-text"),
];

/// What does not fit.
pub(crate) fn problems(workspace: &Workspace, tree: &Tree) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    for build in BUILDS {
        problems.extend(build_problems(tree, build, workspace.package(build.package)?)?);
    }
    for module in &tree.modules {
        let directory = module.directory.to_str().unwrap_or_default();
        let Some((_, package)) = PACKAGES.iter().find(|(place, _)| *place == directory) else {
            continue;
        };
        if module.kind.starts_with("rust_") && module.kind != "rust_defaults" {
            let package = workspace.package(package)?;
            problems.extend(crate_problems(workspace, tree, module, package)?);
        }
    }
    for listed in bp_names::listed(workspace)? {
        problems.extend(version_problem(workspace, &listed)?);
    }
    Ok(problems)
}

/// The module of a crate. One of the workspace goes by the name of its library.
fn module_of(crate_name: &str) -> String {
    let crate_name = if crate_name == "wakeupstatsd" { "wakeupstats" } else { crate_name };
    match OTHER_NAMES.iter().find(|(other, _)| *other == crate_name) {
        Some((_, module)) => (*module).to_owned(),
        None => format!("lib{}", crate_name.replace('-', "_")),
    }
}

/// The dependencies that cargo builds for Android with these features, besides the default ones, as
/// modules.
fn dependencies(
    package: &Package,
    kind: DependencyKind,
    features: &[&str],
) -> Result<BTreeSet<String>> {
    let cfgs: Result<Vec<Cfg>, _> = ANDROID.iter().map(|text| Cfg::from_str(text)).collect();
    let cfgs = cfgs.context("parse what rustc says of Android")?;
    let is_on = |dependency: &Dependency| {
        let switch = format!("dep:{}", dependency.name);
        let mut on = features.iter().filter_map(|feature| package.features.get(*feature)).flatten();
        !dependency.optional || on.any(|other| *other == switch)
    };
    let is_for_android = |dependency: &Dependency| {
        dependency.target.as_ref().is_none_or(|it| it.matches("aarch64-linux-android", &cfgs))
    };
    let of_kind = package.dependencies.iter().filter(|dependency| dependency.kind == kind);
    let built = of_kind.filter(|dependency| is_on(dependency) && is_for_android(dependency));
    Ok(built.map(|dependency| module_of(&dependency.name)).collect())
}

fn build_problems(tree: &Tree, build: &Build, package: &Package) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    let mut linked = BTreeSet::new();
    for name in build.modules {
        let Some(module) = tree.module(name) else {
            problems.push(format!("no Android.bp has {name}"));
            continue;
        };
        let features: BTreeSet<&str> = tree.all(module, "features").into_iter().collect();
        if features != build.features.iter().copied().collect() {
            problems.push(format!("{}: features {features:?}", module.label()));
        }
        linked.extend(tree.all(module, "rustlibs").into_iter().map(str::to_owned));
    }
    linked.retain(|name| !build.modules.contains(&&**name));
    let wanted = dependencies(package, build.kind, build.features)?;
    let modules = build.modules.join(" and ");
    for missing in wanted.difference(&linked) {
        problems.push(format!("{modules}: {missing} is in no rustlibs, but in {}", build.package));
    }
    for more in linked.difference(&wanted) {
        problems.push(format!("{modules}: {more} is in rustlibs, but not in {}", build.package));
    }
    Ok(problems)
}

/// Whether a module is what cargo makes of a target, and knows no other crates than it.
fn crate_problems(
    workspace: &Workspace,
    tree: &Tree,
    module: &Module,
    package: &Package,
) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    let mut problem = |what: String| problems.push(format!("{}: {what}", module.label()));
    let edition = package.edition.to_string();
    match tree.one(module, "edition") {
        Some(it) if it == edition => {}
        it => problem(format!("edition {it:?}; cargo has {edition}")),
    }
    let version = package.version.to_string();
    match tree.one(module, "cargo_pkg_version") {
        Some(it) if it != version => problem(format!("version {it}; cargo has {version}")),
        _ => {}
    }
    for feature in tree.all(module, "features") {
        if !package.features.contains_key(feature) {
            problem(format!("cargo knows no feature {feature}"));
        }
    }
    if tree.all(module, "srcs").first().is_none_or(|source| source.starts_with(':')) {
        problem("Soong wants the crate root first in srcs".to_owned());
    }
    let roots = tree.all(module, "srcs").into_iter().filter(|source| source.ends_with(".rs"));
    let roots: Vec<&str> = roots.filter(|source| !source.starts_with(':')).collect();
    let &[root] = roots.as_slice() else {
        problem(format!("Soong wants one crate root, and this has {roots:?}"));
        return Ok(problems);
    };
    let root = workspace.root().join(&module.directory).join(root);
    // Cargo leaves `..` in paths as it is.
    let is_root = |target: &&Target| target.src_path.canonicalize().is_ok_and(|it| it == root);
    let target = package.targets.iter().find(is_root);
    match target {
        None => problem(format!("cargo builds no target of {}", root.display())),
        Some(target) => {
            let name = target.name.replace('-', "_");
            let crate_name = tree.one(module, "crate_name");
            // Tests and host tools go by their module's name where that says more.
            let is_own = matches!(&*module.kind, "rust_library" | "rust_binary");
            if is_own && crate_name != Some(name.as_str()) {
                problem(format!("crate_name {crate_name:?}; cargo has {name}"));
            }
        }
    }
    if module.kind.starts_with("rust_test") {
        let mut known = dependencies(package, DependencyKind::Normal, &[])?;
        known.extend(dependencies(package, DependencyKind::Development, &[])?);
        known.insert(module_of(&package.name));
        for name in tree.all(module, "rustlibs") {
            if !known.contains(name) {
                problem(format!("{name} is in rustlibs, but not in {}", package.name));
            }
        }
    }
    Ok(problems)
}

/// The guide says of each crate which version is wanted, as the Cargo.toml files do, and which one AOSP
/// has: what is old there is to be imported.
fn version_problem(workspace: &Workspace, listed: &Listed) -> Result<Option<String>> {
    let Some((name, wanted)) = listed.what.split_once(' ') else { return Ok(None) };
    if module_of(name) != listed.module {
        return Ok(None);
    }
    let Ok(wanted) = VersionReq::parse(wanted) else { return Ok(None) };
    let problem = |what: String| Ok(Some(format!("docs/android.md: {}: {what}", listed.module)));
    let mut asked = false;
    for (_, package) in PACKAGES {
        for it in workspace.package(package)?.dependencies.iter().filter(|it| it.name == name) {
            asked = true;
            if it.req != wanted {
                return problem(format!("wants {wanted}, and {package} wants {}", it.req));
            }
        }
    }
    if !asked {
        // Of a dependency of a dependency: what is built is what is wanted.
        let version = &workspace.package(name)?.version;
        if !wanted.matches(version) {
            return problem(format!("wants {wanted}, and cargo builds {version}"));
        }
    }
    let Some(in_aosp) = &listed.in_aosp else {
        return if listed.is_imported { Ok(None) } else { problem("which version?".to_owned()) };
    };
    let version =
        Version::parse(in_aosp).with_context(|| format!("read {in_aosp} in the guide"))?;
    match (wanted.matches(&version), listed.is_imported) {
        (false, false) => problem(format!("{version} is not {wanted}, so it must be imported")),
        (true, true) => problem(format!("{version} is {wanted}, so why import it?")),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod unit_tests {
    use super::*;
    use crate::bp_modules::unit_tests::tree;

    const BUILD: Build = Build {
        modules: &["libwakeupstats", "wakeupstatsd"],
        package: "wakeupstatsd",
        kind: DependencyKind::Normal,
        features: &[],
    };

    /// What is wrong with modules that link these, of a package that cargo knows.
    fn problems_of(libs: &[&str]) -> Vec<String> {
        let workspace = Workspace::load().unwrap();
        let text = format!(
            r#"rust_library {{ name: "libwakeupstats", rustlibs: {libs:?} }}
               rust_binary {{ name: "wakeupstatsd", rustlibs: ["libwakeupstats"] }}"#
        );
        let package = workspace.package("wakeupstatsd").unwrap();
        build_problems(&tree("service", &text), &BUILD, package).unwrap()
    }

    #[test]
    fn rustlibs_are_the_dependencies_no_less_and_no_more() {
        let workspace = Workspace::load().unwrap();
        let package = workspace.package("wakeupstatsd").unwrap();
        let all = dependencies(package, DependencyKind::Normal, &[]).unwrap();
        assert!(all.contains("liblog_rust") && all.contains("libandroid_logger"), "{all:?}");
        assert!(!all.contains("libenv_logger") && !all.contains("liblibbpf_rs"), "{all:?}");
        let loading = dependencies(package, DependencyKind::Normal, &["load"]).unwrap();
        assert!(loading.contains("liblibbpf_rs"), "{loading:?}");

        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        assert_eq!(problems_of(&all), Vec::<String>::new());
        assert_eq!(problems_of(&all[1..]).len(), 1);
        assert_eq!(problems_of(&[&all[..], &["libmore"]].concat()).len(), 1);
    }

    #[test]
    fn what_is_old_in_aosp_is_imported_and_nothing_else() {
        let workspace = Workspace::load().unwrap();
        let listed = |what: &str, in_aosp: Option<&str>, is_imported| {
            let listed = Listed {
                module: module_of(what.split(' ').next().unwrap()),
                what: what.to_owned(),
                in_aosp: in_aosp.map(str::to_owned),
                is_imported,
                wanted_by: None,
            };
            version_problem(&workspace, &listed).unwrap().is_some()
        };
        assert!(!listed("memmap2 0.9", Some("0.8.0"), true));
        assert!(listed("memmap2 0.9", Some("0.8.0"), false));
        assert!(listed("memmap2 0.9", Some("0.9.5"), true));
        assert!(!listed("log 0.4", Some("0.4.26"), false));
        assert!(listed("log 0.5", Some("0.5.0"), false));
        assert!(listed("log 0.4", None, false));
        assert!(!listed("rsbinder =0.12.0", None, true));
    }
}
