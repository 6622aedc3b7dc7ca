// SPDX-License-Identifier: Apache-2.0
//! The records of a run as the program wrote them, without the service's own decoder; and programs of
//! the tests that have the same layout.

use std::ops::RangeInclusive;

use anyhow::{Context, Result, ensure};
use libbpf_rs::{MapCore, MapFlags, Object, ObjectBuilder, ProgramInput};
use wakeupstats::layout::{ws_args, ws_chunk, ws_record};
use wakeupstats::load::Loaded;
use wakeupstats::walk::{self, Program};
use zerocopy::{FromBytes, IntoBytes};

/// All ids.
pub const ALL: RangeInclusive<u32> = 0..=u32::MAX;

/// A record.
#[derive(Clone, Debug)]
pub struct Record {
    /// Its numbers.
    pub numbers: ws_record,
    /// All of its bytes, with strings and padding.
    pub bytes: Vec<u8>,
}

/// What can be run.
pub trait Runs {
    /// Runs it once. Returns what it counted, and the records.
    fn run_once(&mut self) -> Result<(ws_args, Vec<Record>)>;
}

impl Runs for Loaded {
    fn run_once(&mut self) -> Result<(ws_args, Vec<Record>)> {
        let args = self.run(ALL)?;
        let records = self.chunks(args.chunks)?.iter().map(records).collect::<Result<Vec<_>>>()?;
        Ok((args, records.concat()))
    }
}

/// A program of the tests.
#[derive(Debug)]
pub struct Variant(Object);

impl Variant {
    /// Loads it.
    pub fn load(object: &[u8]) -> Result<Self> {
        Ok(Variant(ObjectBuilder::default().open_memory(object)?.load()?))
    }
}

impl Runs for Variant {
    fn run_once(&mut self) -> Result<(ws_args, Vec<Record>)> {
        let mut args = walk::args(ALL);
        let program = self.0.progs_mut().next().context("the object has no program")?;
        let context_in = Some(args.as_mut_bytes());
        let output = program.test_run(ProgramInput { context_in, ..ProgramInput::default() })?;
        walk::returned(output.return_value.cast_signed())?;
        let map = self.0.maps().next().context("the object has no map")?;
        let mut all = Vec::new();
        for index in 0..args.chunks {
            let bytes = map.lookup(&index.to_ne_bytes(), MapFlags::ANY)?.context("the map ends")?;
            let chunk = ws_chunk::read_from_bytes(&bytes);
            all.extend(records(&chunk.map_err(|_| anyhow::anyhow!("not a chunk"))?)?);
        }
        Ok((args, all))
    }
}

/// The records of a chunk.
pub fn records(chunk: &ws_chunk) -> Result<Vec<Record>> {
    let mut rest = chunk.bytes.get(..chunk.used as usize).context("more is used than there is")?;
    let mut records = Vec::new();
    while !rest.is_empty() {
        let numbers = ws_record::read_from_prefix(rest);
        let (numbers, _) = numbers.map_err(|_| anyhow::anyhow!("a record is cut off"))?;
        let size = usize::from(numbers.size);
        let (bytes, after) = rest.split_at_checked(size).context("a record is cut off")?;
        ensure!(size >= size_of::<ws_record>(), "a record of {size} bytes");
        records.push(Record { numbers, bytes: bytes.to_owned() });
        rest = after;
    }
    Ok(records)
}
