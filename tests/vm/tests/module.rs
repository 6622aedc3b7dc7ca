// SPDX-License-Identifier: Apache-2.0
#![cfg(test)]
//! The kernel module with the kfuncs: it serves where they are missing, can be unloaded when nobody
//! uses it, and refuses to load where the kernel has them built in.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;

use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::system::{delete_module, finit_module};
use wakeupstats::load::{Error, Loaded};
use wakeupstats_vm::backend;
use wakeupstats_vm::kfuncs::Kfuncs;

const NAME: &str = "wakeup_sources_kfuncs";

/// `O_NONBLOCK`: not to wait for users of the module to go.
const NO_WAIT: i32 = OFlags::NONBLOCK.bits() as i32;

/// Where the harness puts the module, to be loaded by PID 1 or by this test alone.
const DIRECTORIES: [&str; 2] = ["/lib/modules", "/lib/modules-test"];

fn insert() -> Result<(), Errno> {
    let nodes = DIRECTORIES.iter().filter_map(|directory| fs::read_dir(directory).ok()).flatten();
    let mut paths = nodes.map(|node| node.unwrap().path());
    let path = paths.find(|path| path.to_string_lossy().ends_with("wakeup_sources_kfuncs.ko"));
    finit_module(File::open(path.expect("the module is in the guest")).unwrap(), c"", 0)
}

fn remove() -> Result<(), Errno> {
    delete_module(c"wakeup_sources_kfuncs", NO_WAIT)
}

fn is_inserted() -> bool {
    let modules = fs::read_to_string("/proc/modules").unwrap();
    modules.lines().any(|line| line.split(' ').next() == Some(NAME))
}

/// The messages of the kernel so far.
fn kernel_log() -> String {
    let mut kmsg = fs::OpenOptions::new();
    let mut kmsg = kmsg.read(true).custom_flags(NO_WAIT).open("/dev/kmsg").unwrap();
    let mut log = String::new();
    let mut record = [0; 8192];
    // One read is one record; at the end it would block.
    while let Ok(length) = kmsg.read(&mut record) {
        log.push_str(&String::from_utf8_lossy(&record[..length]));
    }
    log
}

/// Puts the module back, as other suites count on it.
struct InsertOnDrop;

impl Drop for InsertOnDrop {
    fn drop(&mut self) {
        if !is_inserted() {
            insert().unwrap();
        }
    }
}

#[test]
fn it_is_loaded_where_the_kernel_needs_it_and_nowhere_else() {
    assert_eq!(is_inserted(), Kfuncs::of_this_kernel() == Kfuncs::Module);
}

#[test]
fn it_refuses_to_be_the_second_that_has_the_kfuncs() {
    let (error, message) = match Kfuncs::of_this_kernel() {
        Kfuncs::Builtin => (Errno::BUSY, "this kernel has the kfuncs built in"),
        // The kernel takes no module twice.
        Kfuncs::Module => (Errno::EXIST, ""),
        // Here it would not be the second; it is not even there.
        Kfuncs::None => return assert!(matches!(Loaded::load(), Err(Error::NoKfunc))),
    };

    assert_eq!(insert(), Err(error));

    assert_eq!(is_inserted(), Kfuncs::of_this_kernel() == Kfuncs::Module);
    assert!(kernel_log().contains(message));
}

#[test]
fn it_can_be_unloaded_when_no_program_uses_it() {
    if Kfuncs::of_this_kernel() != Kfuncs::Module {
        assert_eq!(remove(), Err(Errno::NOENT));
        return;
    }
    let _back = InsertOnDrop;
    backend::load_and_pin().unwrap();
    assert_eq!(remove(), Err(Errno::WOULDBLOCK), "the pinned program holds it");
    backend::unload().unwrap();
    let loaded = Loaded::load().unwrap();
    assert_eq!(remove(), Err(Errno::WOULDBLOCK), "a loaded program holds it");
    drop(loaded);

    let begin = std::time::Instant::now();
    // The kernel frees programs a moment after they are closed.
    while remove().is_err() && begin.elapsed().as_secs() < 10 {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }

    assert!(!is_inserted());
    assert!(matches!(Loaded::load(), Err(Error::NoKfunc)));
    insert().unwrap();
    Loaded::load().unwrap();
}
