// SPDX-License-Identifier: Apache-2.0
//! The client in Java: whether it compiles with Android's classes, as Debian has them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use crate::aidl::{self, Answer, Compiler};
use crate::apt::{self, Suite};
use crate::progress::say;
use crate::workspace::Workspace;
use crate::{cache, deb, tidy};

/// The client.
pub(crate) const CLIENT: &str = "java/src";
/// What it calls of Android's hidden classes, which no android.jar shows.
pub(crate) const HIDDEN: &str = "tests/android/java/hidden";
/// The language that it is written in, and that Android 14 and later build.
const RELEASE: &str = "17";

/// Debian's only android.jar, ...
const PACKAGE: &str = "libandroid-23-java";
/// ... where it is in the package, ...
const JAR: &str = "usr/share/java/com.android.android-23.jar";
/// ... and the API level that it has. The bindings are generated for that.
const JAR_LEVEL: u32 = 23;
/// Where to look for it, in this order. Debian 12 has none.
const SUITES: &[&str] = &["sid", "bullseye"];

/// The check.
pub(crate) fn check(workspace: &Workspace) -> Result<bool> {
    let directory = tempfile::tempdir().context("create a temporary directory")?;
    let bindings = directory.path().join("bindings");
    if !generate(workspace, JAR_LEVEL, &bindings)? {
        return Ok(false);
    }
    let mut sources = java_files(&bindings)?;
    sources.extend(client_files(workspace, &[CLIENT, HIDDEN])?);
    let jar = android_jar(workspace)?;
    let report = compile(&sources, &[jar], &directory.path().join("classes"))?;
    if let Some(text) = &report {
        say(&format!("the client in Java does not compile:\n{text}"));
    }
    Ok(report.is_none())
}

/// Has AOSP's compiler make the bindings of the project's AIDL; false, and says why, if it does not.
pub(crate) fn generate(workspace: &Workspace, level: u32, out: &Path) -> Result<bool> {
    let sources = aidl::sources(workspace)?;
    let compiler = Compiler::fetch(workspace)?;
    match compiler.generate("java", level, workspace.root(), &sources, out)? {
        Answer::Yes => Ok(true),
        Answer::No(text) => {
            say(&format!("the AIDL does not compile for Java:\n{text}"));
            Ok(false)
        }
    }
}

/// The Java files in these directories of the project.
pub(crate) fn client_files(workspace: &Workspace, directories: &[&str]) -> Result<Vec<PathBuf>> {
    let mut files = tidy::files(workspace, &["java"])?;
    files.retain(|path| directories.iter().any(|directory| path.starts_with(directory)));
    Ok(files.into_iter().map(|path| workspace.root().join(path)).collect())
}

/// All Java files below a directory.
pub(crate) fn java_files(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in ignore::Walk::new(directory) {
        let path = entry.with_context(|| format!("walk {}", directory.display()))?.into_path();
        if path.extension().is_some_and(|extension| extension == "java") {
            files.push(path);
        }
    }
    Ok(files)
}

/// Compiles, without a warning of any kind; what javac says if that fails.
pub(crate) fn compile(
    sources: &[PathBuf],
    jars: &[PathBuf],
    classes: &Path,
) -> Result<Option<String>> {
    let output = Command::new("javac")
        .args(["-Xlint:all", "-Werror", "-proc:none", "-encoding", "UTF-8", "--release", RELEASE])
        .arg("-classpath")
        .arg(class_path(jars)?)
        .arg("-d")
        .arg(classes)
        .args(sources)
        .stdin(Stdio::null())
        .output()
        .context("run javac")?;
    if output.status.success() {
        return Ok(None);
    }
    Ok(Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}

/// As Java wants it.
pub(crate) fn class_path(entries: &[PathBuf]) -> Result<OsString> {
    std::env::join_paths(entries).context("join the class path")
}

/// Android's public classes: what they have, without what they do.
fn android_jar(workspace: &Workspace) -> Result<PathBuf> {
    let parent = workspace.cache().join("android-jar");
    // The package has not changed since 2020, and Debian drops it from suite after suite: it is asked for once.
    let entry = cache::entry(&parent, PACKAGE, |directory| {
        for name in SUITES {
            let suite = Suite::open(workspace.cache(), name)?;
            let Some(package) = apt::newest(suite.versions(PACKAGE)?)? else { continue };
            let deb = suite.download(&package, directory)?;
            deb::unpack_part(&deb, JAR, directory)?;
            return deb::remove(&deb);
        }
        bail!("no android.jar: Debian {} have no {PACKAGE}", SUITES.join(" and "));
    })?;
    Ok(entry.join(JAR))
}
