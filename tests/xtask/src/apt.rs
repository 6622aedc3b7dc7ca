// SPDX-License-Identifier: Apache-2.0
//! Downloads packages of any Debian suite with apt, in a private state: the machine's own sources
//! are neither used nor changed, its mirror is. apt verifies Debian's signature and every hash.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, bail};

use crate::arch::Arch;
use crate::progress::{Step, say};

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// Suites change a few times a week; asking once a day is enough.
const INDEX_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// A package in a suite's index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Available {
    pub(crate) name: String,
    pub(crate) version: String,
    /// Bytes of the `.deb`.
    size: u64,
}

/// apt's state for one suite, for packages of one architecture.
pub(crate) struct Suite {
    name: String,
    arch: Arch,
    directory: PathBuf,
}

impl Suite {
    /// The suite's state below `cache`, with an index not older than a day.
    ///
    /// Without a network an older index serves; without any, this fails.
    pub(crate) fn open(cache: &Path, name: &str) -> Result<Self> {
        Self::open_for(cache, name, Arch::default())
    }

    /// The same, for packages of another architecture than this machine's.
    pub(crate) fn open_for(cache: &Path, name: &str, arch: Arch) -> Result<Self> {
        let directory = cache.join("apt").join(arch.cache_name(name));
        let suite = Self { name: name.to_owned(), arch, directory };
        let stamp = suite.directory.join("updated");
        if age(&stamp).is_some_and(|age| age < INDEX_AGE) {
            return Ok(suite);
        }
        if let Err(error) = suite.update() {
            if !stamp.exists() {
                return Err(error);
            }
            say(&format!("using an older index of {name}: {error:#}"));
            return Ok(suite);
        }
        fs::write(&stamp, "").with_context(|| format!("write {}", stamp.display()))?;
        Ok(suite)
    }

    fn update(&self) -> Result<()> {
        for directory in ["lists/partial", "archives/partial"] {
            let directory = self.directory.join(directory);
            fs::create_dir_all(&directory)
                .with_context(|| format!("create {}", directory.display()))?;
        }
        let source = format!("deb [signed-by={KEYRING}] {} {} main\n", mirror()?, self.name);
        fs::write(self.directory.join("sources.list"), source).context("write sources.list")?;
        // Instead of the machine's own dpkg state, which has no say in what another suite offers.
        fs::write(self.directory.join("status"), "").context("write an empty dpkg status")?;
        let step = Step::new(&format!("reading the index of Debian {}", self.name));
        // Without this, apt-get calls an index that could not be fetched a success.
        let output = self.apt("apt-get").args(["update", "--error-on=any"]).output();
        succeeded(&output.context("run apt-get")?).with_context(|| {
            format!("fetch the index of Debian {}; the first run needs the network", self.name)
        })?;
        step.done();
        Ok(())
    }

    /// Everything the suite offers.
    pub(crate) fn available(&self) -> Result<Vec<Available>> {
        let output = self.apt("apt-cache").arg("dumpavail").output().context("run apt-cache")?;
        succeeded(&output).with_context(|| format!("read the index of Debian {}", self.name))?;
        Ok(parse_index(&String::from_utf8_lossy(&output.stdout)))
    }

    /// Every version of one package that the suite offers, of which `available` has the newest.
    pub(crate) fn versions(&self, package: &str) -> Result<Vec<Available>> {
        if !self.available()?.iter().any(|available| available.name == package) {
            return Ok(Vec::new());
        }
        let output = self.apt("apt-cache").args(["show", "--all-versions", package]).output();
        let output = output.context("run apt-cache")?;
        succeeded(&output).with_context(|| format!("look up {package} in {}", self.name))?;
        Ok(parse_index(&String::from_utf8_lossy(&output.stdout)))
    }

    /// Downloads one package into `directory`, which should be empty, and returns its path.
    pub(crate) fn download(&self, package: &Available, directory: &Path) -> Result<PathBuf> {
        let what = format!("downloading {} {}", package.name, package.version);
        let step = Step::of_bytes(&what, package.size);
        let mut child = self
            .apt("apt-get")
            .arg("download")
            .arg(format!("{}={}", package.name, package.version))
            .current_dir(directory)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("run apt-get")?;
        while child.try_wait().context("wait for apt-get")?.is_none() {
            step.set(bytes_in(directory));
            std::thread::sleep(Duration::from_millis(100));
        }
        succeeded(&child.wait_with_output().context("wait for apt-get")?).context(what)?;
        step.done();
        let mut debs = fs::read_dir(directory)
            .with_context(|| format!("list {}", directory.display()))?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "deb"));
        debs.next().with_context(|| format!("apt-get left no package in {}", directory.display()))
    }

    fn apt(&self, program: &str) -> Command {
        let path = |name: &str| self.directory.join(name).display().to_string();
        let mut command = Command::new(program);
        command
            .arg(format!("-oDir::Etc::sourcelist={}", path("sources.list")))
            .arg("-oDir::Etc::sourceparts=/dev/null")
            .arg(format!("-oDir::State::lists={}", path("lists")))
            .arg(format!("-oDir::State::status={}", path("status")))
            .arg(format!("-oDir::Cache={}", path("")))
            // apt's own unprivileged user can't write below a home directory.
            .arg("-oAPT::Sandbox::User=root")
            .arg(format!("-oAPT::Architecture={}", self.arch.debian()))
            .arg(format!("-oAPT::Architectures={}", self.arch.debian()))
            .arg("-oAcquire::Languages=none")
            .arg("-qq")
            .env("LC_ALL", "C")
            .stdin(Stdio::null());
        command
    }
}

/// The newest by dpkg's order of versions, which no other order equals (`~`, epochs).
pub(crate) fn newest(packages: Vec<Available>) -> Result<Option<Available>> {
    let mut newest: Option<Available> = None;
    for package in packages {
        let newer = match &newest {
            Some(best) => is_newer(&package.version, &best.version)?,
            None => true,
        };
        if newer {
            newest = Some(package);
        }
    }
    Ok(newest)
}

/// Whether version `a` is newer than `b`.
pub(crate) fn is_newer(a: &str, b: &str) -> Result<bool> {
    let status = Command::new("dpkg").args(["--compare-versions", a, "gt", b]).status();
    Ok(status.context("run dpkg")?.success())
}

/// The address that the machine's own apt takes Debian from.
fn mirror() -> Result<String> {
    let output = Command::new("apt-get")
        .args(["indextargets", "--format", "$(REPO_URI) $(LABEL)", "Created-By: Packages"])
        .output()
        .context("run apt-get: the kernels of the VM are Debian packages")?;
    succeeded(&output)?;
    choose_mirror(&String::from_utf8_lossy(&output.stdout))
        .context("apt has no source for Debian: add one to /etc/apt/sources.list.d")
}

/// The first source of Debian proper among lines of address and label. Labels come from the
/// downloaded index, so before the first `apt-get update` there are none to go by.
fn choose_mirror(targets: &str) -> Option<String> {
    let mut sources = targets.lines().map(|line| line.split_once(' ').unwrap_or((line, "")));
    let labelled = sources.clone().find(|(_, label)| label.trim() == "Debian");
    let likely = || sources.find(|(uri, l)| l.trim().is_empty() && !uri.contains("security"));
    labelled.or_else(likely).map(|(uri, _)| uri.to_owned())
}

/// The packages in `apt-cache dumpavail`'s stanzas.
pub(crate) fn parse_index(text: &str) -> Vec<Available> {
    text.split("\n\n")
        .filter_map(|stanza| {
            let field = |name: &str| {
                let line = stanza.lines().find_map(|line| line.strip_prefix(name))?;
                line.strip_prefix(':').map(str::trim)
            };
            Some(Available {
                name: field("Package")?.to_owned(),
                version: field("Version")?.to_owned(),
                size: field("Size")?.parse().ok()?,
            })
        })
        .collect()
}

/// Turns what a program said into an error where it failed.
pub(crate) fn succeeded(output: &Output) -> Result<()> {
    if output.status.success() {
        return Ok(());
    }
    bail!("{}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
}

fn age(path: &Path) -> Option<Duration> {
    let modified = fs::metadata(path).ok()?.modified().ok()?;
    SystemTime::now().duration_since(modified).ok()
}

fn bytes_in(directory: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(directory) else { return 0 };
    entries.filter_map(|entry| Some(entry.ok()?.metadata().ok()?.len())).sum()
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    fn package(version: &str) -> Available {
        Available { name: "linux".to_owned(), version: version.to_owned(), size: 1 }
    }

    #[test]
    fn the_newest_is_chosen_by_version_and_not_by_letters() {
        let versions = ["7.2.9-1~bpo13+1", "7.2.12-1~bpo13+1", "7.2.12-1~bpo13+1~rc1"];
        let chosen = newest(versions.into_iter().map(package).collect()).unwrap();
        assert_eq!(chosen, Some(package("7.2.12-1~bpo13+1")));
    }

    #[test]
    fn nothing_is_newest_among_nothing() {
        assert_eq!(newest(Vec::new()).unwrap(), None);
    }

    #[test]
    fn apt_is_asked_for_packages_of_the_suites_architecture() {
        let suite = Suite {
            name: "trixie".to_owned(),
            arch: Arch::Aarch64,
            directory: PathBuf::from("/cache/apt/trixie-arm64"),
        };
        let command = suite.apt("apt-get");
        let arguments: Vec<_> = command.get_args().filter_map(|word| word.to_str()).collect();
        for expected in ["-oAPT::Architecture=arm64", "-oAPT::Architectures=arm64"] {
            assert!(arguments.contains(&expected), "{arguments:?}");
        }
    }

    #[test]
    fn an_index_is_read_stanza_by_stanza() {
        let text = "Package: a\nVersion: 1:2-3\nSize: 42\nDescription: x\n Package: not\n\n\
                    Package: incomplete\nVersion: 1\n\n";
        let expected = Available { name: "a".to_owned(), version: "1:2-3".to_owned(), size: 42 };
        assert_eq!(parse_index(text), [expected]);
    }

    #[test]
    fn the_mirror_is_debian_proper_and_not_its_security_archive() {
        let labelled = "http://x/security Debian-Security\nhttp://y/other Other\nhttp://z Debian";
        assert_eq!(choose_mirror(labelled).as_deref(), Some("http://z"));
        let fresh = "http://x/debian-security \nhttp://z \n";
        assert_eq!(choose_mirror(fresh).as_deref(), Some("http://z"));
        assert_eq!(choose_mirror("http://y Other"), None);
    }
}
