// SPDX-License-Identifier: Apache-2.0
//! A source that changes as a test wants it to.

use super::*;

/// A source whose attributes are different at each read; at the end they stay.
#[derive(Debug)]
pub(crate) struct Changing {
    pub(crate) marks: Vec<Marks>,
    pub(crate) times: Vec<Times>,
    pub(crate) now_ms: u64,
    pub(crate) marks_read: usize,
    pub(crate) times_read: usize,
}

impl Changing {
    pub(crate) fn new(marks: &[Marks], times: &[Times], now_ms: u64) -> Self {
        let (marks, times) = (marks.to_vec(), times.to_vec());
        Changing { marks, times, now_ms, marks_read: 0, times_read: 0 }
    }
}

impl Attributes for Changing {
    fn marks(&mut self) -> Marks {
        self.marks_read += 1;
        self.marks[(self.marks_read - 1).min(self.marks.len() - 1)]
    }

    fn times(&mut self) -> Times {
        self.times_read += 1;
        self.times[(self.times_read - 1).min(self.times.len() - 1)]
    }

    fn now_ms(&mut self) -> u64 {
        self.now_ms
    }
}

/// Those of a source that was active twice before and has become active again at 1,000 ms.
pub(crate) fn marks() -> Marks {
    Marks {
        active_count: Value::Number(3),
        event_count: Value::Number(9),
        wakeup_count: Value::Number(4),
        expire_count: Value::Number(1),
        relax_count: Value::Number(2),
        last_change_ms: Value::Number(1_000),
    }
}

pub(crate) fn times([active, total, max, prevent_suspend]: [u64; 4]) -> Times {
    Times {
        active: Value::Number(active),
        total: Value::Number(total),
        max: Value::Number(max),
        prevent_suspend: Value::Number(prevent_suspend),
    }
}
