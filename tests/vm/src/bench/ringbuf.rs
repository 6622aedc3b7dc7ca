// SPDX-License-Identifier: Apache-2.0
//! `bpf/ringbuf.bpf.c`: a BPF walk in the manner of the kernel's selftest.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use anyhow::{Context, Result, ensure};
use libbpf_rs::{MapCore, Object, ObjectBuilder, ProgramInput, RingBuffer, RingBufferBuilder};
use zerocopy::{FromBytes, Immutable, KnownLayout};

use super::{Contender, Seen};
use crate::objects::RINGBUF;

/// The names that the object has.
const PROGRAM: &str = "send_all";
const MAP: &str = "events";

/// The ring of the selftest, ...
const RING: usize = 64 * 1024;

/// ... in which each record has a header.
const HEADER: usize = 8;

/// The same struct as in bpf/ringbuf.bpf.c.
#[repr(C)]
#[derive(Clone, Copy, FromBytes, Immutable, KnownLayout)]
struct Event {
    active_count: u64,
    event_count: u64,
    expire_count: u64,
    wakeup_count: u64,
    active_time: i64,
    total_time: i64,
    max_time: i64,
    last_time: i64,
    prevent_sleep_time: i64,
    name: [u8; 128],
}

/// Runs the program and takes the records out of the ring.
pub struct Ringbuf {
    object: Object,
    ring: RingBuffer<'static>,
    /// Those of the last run.
    events: Rc<RefCell<Vec<Event>>>,
}

impl fmt::Debug for Ringbuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ringbuf").field("events", &self.events.borrow().len()).finish()
    }
}

impl Ringbuf {
    /// Loads the program, with a ring for at least so many sources.
    pub fn load(sources: usize) -> Result<Self> {
        let size = (sources * (size_of::<Event>() + HEADER)).next_power_of_two().max(RING);
        let mut object = ObjectBuilder::default().open_memory(RINGBUF)?;
        let map = object.maps_mut().find(|map| map.name() == MAP);
        map.context("the object has no ring")?.set_max_entries(size.try_into()?)?;
        let object = object.load().context("can't load the program with the ring")?;
        let events = Rc::new(RefCell::new(Vec::new()));
        let taken = Rc::clone(&events);
        let take = move |record: &[u8]| match Event::read_from_bytes(record) {
            Ok(event) => {
                taken.borrow_mut().push(event);
                0
            }
            Err(_) => -1,
        };
        let map = object.maps().find(|map| map.name() == MAP).context("no ring")?;
        let mut ring = RingBufferBuilder::new();
        ring.add(&map, take)?;
        let ring = ring.build()?;
        Ok(Ringbuf { object, ring, events })
    }
}

impl Contender for Ringbuf {
    fn name(&self) -> &'static str {
        "ringbuf"
    }

    fn call(&mut self) -> Result<()> {
        self.events.borrow_mut().clear();
        let program = self.object.progs_mut().find(|program| program.name() == PROGRAM);
        let run = program.context("no program")?.test_run(ProgramInput::default())?;
        ensure!(run.return_value == 0, "the ring has no room for all sources");
        Ok(self.ring.consume()?)
    }

    fn seen(&self) -> Result<Seen> {
        Ok(Seen::events(self.events.borrow().iter().map(|event| event.event_count)))
    }
}
