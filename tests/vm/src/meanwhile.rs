// SPDX-License-Identifier: Apache-2.0
//! Something that goes on in another thread while a test looks.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Repeats `work` in another thread for as long as `test` runs, also if that panics.
pub fn meanwhile<R>(work: impl Fn() + Sync, test: impl FnOnce() -> R) -> R {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let _done = SetOnDrop(&done);
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                work();
            }
        });
        test()
    })
}

/// Ends what goes on, also if the test panics.
pub(crate) struct SetOnDrop<'a>(pub(crate) &'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
