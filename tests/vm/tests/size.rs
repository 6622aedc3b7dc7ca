// SPDX-License-Identifier: Apache-2.0
#![cfg(test)]
//! Thousands of sources: each comes through exactly once.

use wakeupstats_vm::backend;
use wakeupstats_vm::many::{self, assert_each_once};

/// As many as fit into no map of the usual size.
const SOURCES: usize = 4_096;

/// What the project promises to bring through.
const MANY_SOURCES: usize = 16_384;

#[test]
fn each_of_4096_is_returned_once() {
    let _sources = many::shared(SOURCES);
    let mut backend = backend::open().unwrap();
    let room = backend.room_bytes();

    let snapshot = backend.snapshot().unwrap();

    assert_each_once(snapshot);
    assert!(snapshot.walk.total as usize > SOURCES);
    assert_eq!(snapshot.walk.walks == 1, backend::takes_one_walk_of_many());
    let has_grown = backend.room_bytes() > room;
    assert_eq!(has_grown, backend::grows());
}

#[test]
fn zz_each_of_16384_is_returned_once() {
    // Last by its name, as it makes four times the sources of the other.
    let _sources = many::shared(MANY_SOURCES);
    let mut backend = backend::open().unwrap();

    let snapshot = backend.snapshot().unwrap();

    assert_each_once(snapshot);
    assert!(snapshot.walk.total as usize > MANY_SOURCES);
    assert_eq!(snapshot.walk.walks == 1, backend::takes_one_walk_of_many());
}
