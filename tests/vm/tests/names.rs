// SPDX-License-Identifier: Apache-2.0
#![cfg(test)]
//! Names of any length and of any bytes come through whole.

use wakeupstats::backends::TakeSnapshot;
use wakeupstats::model::Source;
use wakeupstats_vm::backend;
use wakeupstats_vm::sources::{Sources, file_name};

/// The longest name that a file can have (NAME_MAX), and so a FIFO's source.
const LONGEST: usize = 255;

/// The sources of FIFOs with these names, in this order.
fn read_back(names: &[&[u8]]) -> Vec<Source> {
    let mut sources = Sources::new().unwrap();
    let mut backend = backend::open().unwrap();
    let others: Vec<u32> = ids(&mut *backend);
    for name in names {
        sources.add_fifo(&file_name(name)).unwrap();
    }

    let mut read = backend.snapshot().unwrap().sources.clone();

    read.retain(|source| !others.contains(&source.id));
    read.reverse(); // the kernel lists the youngest first
    assert_eq!(read.remove(0).name, "eventpoll");
    assert_eq!(read.len(), names.len());
    read
}

fn ids(backend: &mut dyn TakeSnapshot) -> Vec<u32> {
    backend.snapshot().unwrap().sources.iter().map(|source| source.id).collect()
}

#[test]
fn every_length_comes_through_whole() {
    let names: Vec<Vec<u8>> = (1..=LONGEST).map(|len| vec![b'n'; len]).collect();
    let names: Vec<&[u8]> = names.iter().map(Vec::as_slice).collect();

    let read = read_back(&names);

    for (source, name) in read.iter().zip(names) {
        assert_eq!(source.name.as_bytes(), name);
        assert!(!source.name_truncated, "{} bytes", name.len());
    }
}

#[test]
fn spaces_and_control_characters_are_kept() {
    let names: [&[u8]; 4] =
        [b" lead and trail ", b"a\tb\nc\rd", b"\x1b[31mred\x1b[0m", b"\x7f\x01"];

    let read = read_back(&names);

    for (source, name) in read.iter().zip(names) {
        assert_eq!(source.name.as_bytes(), name);
    }
}

#[test]
fn bytes_that_are_not_utf8_are_replaced() {
    let read = read_back(&[b"caf\xe9", b"\xff\xfe", "caf\u{e9} \u{65e5}".as_bytes()]);

    let names: Vec<&str> = read.iter().map(|source| source.name.as_str()).collect();
    assert_eq!(names, ["caf\u{fffd}", "\u{fffd}\u{fffd}", "caf\u{e9} \u{65e5}"]);
}

#[test]
fn same_name_twice_is_two_sources() {
    let mut first = Sources::new().unwrap();
    first.add_fifo(&file_name(b"twin")).unwrap();

    let read = read_back(&[b"twin"]);

    assert_eq!(read.len(), 1, "the other twin was there before, and is another source");
    let mut backend = backend::open().unwrap();
    let twins = backend.snapshot().unwrap();
    assert_eq!(twins.sources.iter().filter(|source| source.name == "twin").count(), 1);
}
