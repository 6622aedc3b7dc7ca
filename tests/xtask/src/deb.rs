// SPDX-License-Identifier: Apache-2.0
//! Takes the files out of a Debian package without installing it.

use std::fs;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::process::{ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use lzma_rust2::XzReader;

/// The kernel's packages keep modules compressed; the guest's kernel can't be trusted to unpack.
const XZ: &str = ".xz";

/// Extracts files, given as path in the package and path to write; a file that the package has
/// with `.xz` after its name is unpacked.
pub(crate) fn extract(package: &Path, files: &[(String, &Path)]) -> Result<()> {
    // That each was found is known, and the rest of no interest.
    read(package, Rest::Left, |stream| extract_tar(stream, files))
}

/// Unpacks the whole package below `directory`.
pub(crate) fn unpack(package: &Path, directory: &Path) -> Result<()> {
    read(package, Rest::Read, |stream| {
        tar::Archive::new(stream).unpack(directory).context("unpack the archive")
    })
}

/// Unpacks what the package has in its directory `part`, below `directory`.
pub(crate) fn unpack_part(package: &Path, part: &str, directory: &Path) -> Result<()> {
    read(package, Rest::Read, |stream| unpack_tar_part(stream, part, directory))
}

/// Removes a package of which nothing more is wanted.
pub(crate) fn remove(package: &Path) -> Result<()> {
    fs::remove_file(package).with_context(|| format!("remove {}", package.display()))
}

/// What becomes of what a reader leaves of a package.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// Nobody wants it.
    Left,
    /// It is read to its end: an archive that is cut between two files looks like a whole one.
    Read,
}

/// Has a package's files, as tar's stream, read by `reader`.
fn read(
    package: &Path,
    rest: Rest,
    reader: impl FnOnce(&mut BufReader<ChildStdout>) -> Result<()>,
) -> Result<()> {
    let mut child = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(package)
        .stdout(Stdio::piped())
        .spawn()
        .context("run dpkg-deb")?;
    let stream = child.stdout.take().context("dpkg-deb has no output")?;
    let mut stream = BufReader::new(stream);
    let result = reader(&mut stream);
    if rest == Rest::Read && result.is_ok() {
        io::copy(&mut stream, &mut io::sink()).context("read the archive")?;
        let status = child.wait().context("wait for dpkg-deb")?;
        ensure!(status.success(), "dpkg-deb of {}: {status}", package.display());
        return Ok(());
    }
    // Without a reader dpkg-deb would complain of the rest.
    let _ = child.kill();
    child.wait().context("wait for dpkg-deb")?;
    result.with_context(|| format!("extract from {}", package.display()))
}

fn unpack_tar_part(stream: impl Read, part: &str, directory: &Path) -> Result<()> {
    let mut found = false;
    for entry in tar::Archive::new(stream).entries().context("read the archive")? {
        let mut entry = entry.context("read the archive")?;
        let path = entry.path().context("read a name")?;
        if path.strip_prefix("./").unwrap_or(&path).starts_with(part) {
            entry.unpack_in(directory).context("unpack the archive")?;
            found = true;
        }
    }
    if !found {
        bail!("the package has no {part}");
    }
    Ok(())
}

fn extract_tar(stream: impl Read, files: &[(String, &Path)]) -> Result<()> {
    let mut wanted: Vec<_> = files.iter().collect();
    for entry in tar::Archive::new(stream).entries().context("read the archive")? {
        if wanted.is_empty() {
            break;
        }
        let entry = entry.context("read the archive")?;
        let path = entry.path().context("read a name")?.to_string_lossy().into_owned();
        let path = path.trim_start_matches("./");
        let plain = path.strip_suffix(XZ).unwrap_or(path);
        let Some(index) = wanted.iter().position(|(inside, _)| inside == plain) else { continue };
        let (_, target) = wanted.swap_remove(index);
        let bytes = if plain.len() < path.len() {
            read_all(XzReader::new(entry, true))
        } else {
            read_all(entry)
        };
        let bytes = bytes.with_context(|| format!("unpack {path}"))?;
        fs::write(target, bytes).with_context(|| format!("write {}", target.display()))?;
    }
    if let Some((inside, _)) = wanted.first() {
        bail!("the package has no {inside}; does tests/kernels.toml name the right path?");
    }
    Ok(())
}

fn read_all(mut reader: impl Read) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    /// The headers of an xz stream whose data is missing.
    const CUT_XZ: &[u8] = &[
        0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 0x00, 0x04, 0xe6, 0xd6, 0xb4, 0x46, 0x02, 0x00, 0x21,
        0x01, 0x16, 0x00, 0x00, 0x00, 0x74, 0x2f, 0xe5, 0xa3,
    ];

    fn archive(name: &str, bytes: &[u8]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, bytes).unwrap();
        builder.into_inner().unwrap()
    }

    #[test]
    fn a_file_is_found_by_its_path() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("vmlinuz");
        let tar = archive("./boot/vmlinuz-6", b"kernel");
        extract_tar(tar.as_slice(), &[("boot/vmlinuz-6".to_owned(), target.as_path())]).unwrap();
        assert_eq!(fs::read(target).unwrap(), b"kernel");
    }

    #[test]
    fn a_file_that_is_not_there_is_an_error_that_names_it() {
        let tar = archive("./boot/vmlinuz-6", b"kernel");
        let files = [("boot/vmlinuz-7".to_owned(), Path::new("/nonexistent"))];
        let error = extract_tar(tar.as_slice(), &files).unwrap_err();
        assert!(error.to_string().contains("boot/vmlinuz-7"), "{error}");
    }

    #[test]
    fn a_part_of_a_package_is_unpacked_and_the_rest_is_not() {
        let mut builder = tar::Builder::new(Vec::new());
        for name in ["./usr/src/a/x.rs", "./usr/src/ab/y.rs", "./usr/z.rs"] {
            let mut header = tar::Header::new_gnu();
            header.set_size(1);
            header.set_mode(0o644);
            builder.append_data(&mut header, name, &b"x"[..]).unwrap();
        }
        let tar = builder.into_inner().unwrap();
        let directory = tempfile::tempdir().unwrap();
        unpack_tar_part(tar.as_slice(), "usr/src/a", directory.path()).unwrap();
        assert!(directory.path().join("usr/src/a/x.rs").exists());
        assert!(!directory.path().join("usr/src/ab").exists());
        assert!(!directory.path().join("usr/z.rs").exists());
        let error = unpack_tar_part(tar.as_slice(), "usr/lib", directory.path()).unwrap_err();
        assert!(error.to_string().contains("usr/lib"), "{error}");
    }

    #[test]
    fn a_compressed_module_that_is_cut_short_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("a.ko");
        let tar = archive("./a.ko.xz", CUT_XZ);
        assert!(extract_tar(tar.as_slice(), &[("a.ko".to_owned(), target.as_path())]).is_err());
        assert!(!target.exists());
    }
}
