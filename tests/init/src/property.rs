// SPDX-License-Identifier: Apache-2.0
//! Properties, by which init is told what has happened and what to do, and tells how its services are.
//!
//! As on a device a value is set through init's socket, and read without asking it.

use std::fs;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

/// Where the guest's init keeps them, and listens.
pub const DIRECTORY: &str = "/dev/__properties__";

/// The socket, in that directory.
const SOCKET: &str = "property_service";

/// The properties of one init.
#[derive(Clone, Debug)]
pub struct Properties(PathBuf);

impl Properties {
    /// Those that are kept in this directory.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self(directory.into())
    }

    /// Those of the guest's init.
    pub fn of_init() -> Self {
        Self::new(DIRECTORY)
    }

    /// Asks init to set one. It is set a little later.
    pub fn set(&self, name: &str, value: &str) -> io::Result<()> {
        let sent = format!("{name}={value}");
        let socket = UnixDatagram::unbound()?;
        socket.send_to(sent.as_bytes(), self.0.join(SOCKET)).map(drop)
    }

    /// The value of one, empty if it has none.
    pub fn value(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).unwrap_or_default()
    }

    /// Whether this is a name of a property, and so of a file beside the others.
    pub(crate) fn is_name(name: &str) -> bool {
        let known = |it: char| it.is_ascii_alphanumeric() || "._-@:".contains(it);
        !name.is_empty() && !name.starts_with('.') && name.chars().all(known)
    }

    /// Sets one, as only init may.
    pub(crate) fn publish(&self, name: &str, value: &str) -> io::Result<()> {
        // In one step, so that nobody reads half a value.
        let draft = self.0.join(".draft");
        fs::write(&draft, value)?;
        fs::rename(draft, self.0.join(name))
    }

    /// Where [`Self::set`] sends to.
    pub(crate) fn listen(&self) -> io::Result<UnixDatagram> {
        fs::create_dir_all(&self.0)?;
        UnixDatagram::bind(self.0.join(SOCKET))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_no_path() {
        assert!(Properties::is_name("init.svc.wakeupstatsd-load"));
        for name in ["", "/etc/passwd", "a/b", "..", ".draft", "a b"] {
            assert!(!Properties::is_name(name), "{name}");
        }
    }
}
