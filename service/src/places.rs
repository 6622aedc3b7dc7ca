// SPDX-License-Identifier: Apache-2.0
//! A bound on how many may do something at a time.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// So many places, which are taken and given back.
#[derive(Debug)]
pub struct Places {
    free: Mutex<usize>,
    freed: Condvar,
}

impl Places {
    /// `count` places, all free.
    pub fn new(count: usize) -> Arc<Self> {
        Arc::new(Places { free: Mutex::new(count), freed: Condvar::new() })
    }

    /// Takes a place, for which it waits as long if there is none. None if there was none then.
    pub fn take(self: &Arc<Self>, wait: Duration) -> Option<Place> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut free, _) = self
            .freed
            .wait_timeout_while(free, wait, |free| *free == 0)
            .unwrap_or_else(PoisonError::into_inner);
        *free = free.checked_sub(1)?;
        Some(Place(Arc::clone(self)))
    }
}

/// A place, given back when this is dropped, also by a panic.
#[derive(Debug)]
pub struct Place(Arc<Places>);

impl Drop for Place {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.freed.notify_one();
    }
}
