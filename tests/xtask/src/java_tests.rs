// SPDX-License-Identifier: Apache-2.0
//! The tests of the client in Java. They run on this machine's JVM, so Android's classes, of which
//! an android.jar has no more than the names, are replaced by such as work: tests/android/java/jvm.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use regex::Regex;

use crate::android::MIN_API_LEVEL;
use crate::java::{self, CLIENT, HIDDEN};
use crate::packages;
use crate::tally::Count;
use crate::workspace::Workspace;

const TESTS: &str = "java/tests/src";
const JVM: &str = "tests/android/java/jvm";
/// What the tests read is named relative to this.
const RESOURCES: &str = "java";
/// Where Debian's packages have their jars.
const JARS: &[&str] = &["junit4.jar", "hamcrest.jar", "gson.jar"];
const JAR_DIRECTORY: &str = "/usr/share/java";
/// How the names of test classes end.
const SUFFIX: &str = "Test";

/// Compiles and runs them all.
pub(crate) fn test(workspace: &Workspace) -> Result<Count> {
    packages::ensure(&[packages::AIDL, packages::JAVA, packages::JAVA_TESTS])?;
    let directory = tempfile::tempdir().context("create a temporary directory")?;
    let bindings = directory.path().join("bindings");
    ensure!(java::generate(workspace, MIN_API_LEVEL, &bindings)?, "there are no bindings");
    let tests = java::client_files(workspace, &[TESTS])?;
    let mut sources = java::java_files(&bindings)?;
    sources.extend(java::client_files(workspace, &[CLIENT, HIDDEN, JVM])?);
    sources.extend(tests.iter().cloned());
    let mut class_path: Vec<PathBuf> =
        JARS.iter().map(|jar| Path::new(JAR_DIRECTORY).join(jar)).collect();
    let classes = directory.path().join("classes");
    if let Some(text) = java::compile(&sources, &class_path, &classes)? {
        println!("{text}");
        return Ok(Count { passed: 0, failed: 1 });
    }
    class_path.extend([classes, workspace.root().join(RESOURCES)]);
    let output = Command::new("java")
        .args(["-XX:+UseSerialGC", "-classpath"])
        .arg(java::class_path(&class_path)?)
        .arg("org.junit.runner.JUnitCore")
        .args(class_names(&workspace.root().join(TESTS), &tests))
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("run java")?;
    let text = String::from_utf8_lossy(&output.stdout);
    print!("{text}");
    let count = parse(&text)?;
    ensure!(output.status.success() == (count.failed == 0), "JUnit: {}", output.status);
    Ok(count)
}

/// The test classes among these files.
fn class_names(root: &Path, files: &[PathBuf]) -> Vec<String> {
    let name = |file: &PathBuf| {
        let path = file.strip_prefix(root).ok()?.with_extension("");
        let name = path.to_str()?.replace('/', ".");
        name.ends_with(SUFFIX).then_some(name)
    };
    files.iter().filter_map(name).collect()
}

/// JUnit's last words: `OK (12 tests)`, or `Tests run: 12,  Failures: 2`.
fn parse(text: &str) -> Result<Count> {
    let ends = Regex::new(r"(?m)^(?:OK \((\d+) tests?\)|Tests run: (\d+),\s+Failures: (\d+))$");
    let ends = ends.context("compile a pattern")?;
    let end = ends.captures_iter(text).last().context("JUnit did not come to an end")?;
    let number = |index| end.get(index).map_or(Ok(0), |it| it.as_str().parse::<u64>());
    let (passed, run, failed) = (number(1)?, number(2)?, number(3)?);
    Ok(Count { passed: passed + run.saturating_sub(failed), failed })
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn junits_words_are_counted() {
        assert_eq!(parse("..\n\nOK (2 tests)\n").unwrap(), Count { passed: 2, failed: 0 });
        assert_eq!(parse("OK (1 test)\n").unwrap(), Count { passed: 1, failed: 0 });
        let failed = "There were 2 failures:\n\nFAILURES!!!\nTests run: 12,  Failures: 2\n";
        assert_eq!(parse(failed).unwrap(), Count { passed: 10, failed: 2 });
        assert!(parse("JUnit version 4.13.2\n").is_err());
    }

    #[test]
    fn only_tests_are_run() {
        let files = ["/r/a/b/OneTest.java", "/r/a/b/Helper.java"].map(PathBuf::from);
        assert_eq!(class_names(Path::new("/r"), &files), ["a.b.OneTest"]);
    }
}
