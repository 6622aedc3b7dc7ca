// SPDX-License-Identifier: Apache-2.0
#![cfg(test)]
//! Runs each target with the inputs that are kept: what was found once, and what reaches far.

use std::fs;
use std::path::Path;

use wakeupstats_fuzz::TARGETS;

/// Runs all of one target's. A panic names the file before its own words.
fn run(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).unwrap();
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let mut count = 0;
    for entry in fs::read_dir(&corpus).unwrap() {
        let path = entry.unwrap().path();
        println!("{}", path.display());
        (target.run)(&fs::read(&path).unwrap());
        count += 1;
    }
    assert!(count > 0, "{} is empty", corpus.display());
}

#[test]
fn dump() {
    run("dump");
}

#[test]
fn parcel() {
    run("parcel");
}

#[test]
fn records() {
    run("records");
}

#[test]
fn sysfs() {
    run("sysfs");
}

#[test]
fn tracker() {
    run("tracker");
}
