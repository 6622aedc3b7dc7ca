// SPDX-License-Identifier: Apache-2.0
//! The records of one walk after another, as a program wrote them that is ours, or is not.

use arbitrary::{Arbitrary, Result, Unstructured};
use wakeupstats::layout::{WS_CHUNK_BYTES, WS_DEVICE_LEN, WS_NAME_LEN, ws_chunk, ws_record};
use wakeupstats::model::Source;
use wakeupstats::records::{Malformed, Refill, decode};
use zerocopy::{FromZeros as _, IntoBytes as _};

/// How many walks, and records in each.
const MOST: usize = 8;

/// A record and its strings.
#[derive(Clone, Debug)]
struct Record {
    fixed: ws_record,
    strings: Vec<u8>,
}

/// Decodes each walk over the one before, as a walker does, and from nothing.
pub fn run(data: &[u8]) {
    // What the bytes do not say any more is 0, so this never fails for long.
    let _ = walks(&mut Unstructured::new(data));
}

fn walks(u: &mut Unstructured<'_>) -> Result<()> {
    let mut records: Vec<Record> = Vec::new();
    let (mut sources, mut before) = (Vec::new(), Vec::new());
    for _ in 0..MOST {
        if u.is_empty() {
            break;
        }
        change(u, &mut records)?;
        let mut chunks = packed(&records);
        if u.ratio(1, 4)? {
            spoil(u, &mut chunks)?;
        }
        let now_ns = u.arbitrary()?;
        let former = sources.clone();
        match decoded(&chunks, now_ns, &mut sources, &mut before) {
            Ok(written) => {
                let (mut fresh, mut none) = (Vec::new(), Vec::new());
                let all = decoded(&chunks, now_ns, &mut fresh, &mut none).unwrap();
                assert_eq!(all.len(), fresh.len(), "from nothing all are written");
                assert_eq!(sources, fresh, "over what was there it is the same");
                assert_eq!(before, none);
                assert_untouched(&sources, &former, &written);
                sources.iter().for_each(assert_sane);
            }
            Err(_) => {
                let (mut fresh, mut none) = (Vec::new(), Vec::new());
                assert!(decoded(&chunks, now_ns, &mut fresh, &mut none).is_err());
                // As a walker does: what was half decoded is no ground to stand on.
                before = Vec::new();
            }
        }
    }
    Ok(())
}

/// What a walker makes of the chunks of one walk. Says which places were written.
fn decoded(
    chunks: &[ws_chunk],
    now_ns: i64,
    sources: &mut Vec<Source>,
    before: &mut Vec<u64>,
) -> std::result::Result<Vec<usize>, Malformed> {
    let mut refill = Refill::new(sources, before);
    for chunk in chunks {
        decode(chunk, now_ns, &mut refill)?;
    }
    Ok(refill.finish())
}

/// Places that were not written hold what they held.
fn assert_untouched(sources: &[Source], former: &[Source], written: &[usize]) {
    assert!(written.is_sorted_by(|one, next| one < next), "{written:?}");
    assert!(written.iter().all(|&place| place < sources.len()));
    for place in (0..sources.len()).filter(|place| written.binary_search(place).is_err()) {
        assert_eq!(former.get(place), sources.get(place), "place {place}");
    }
}

/// Names are no longer than queries take them, and an active source is active for no less than no
/// time.
fn assert_sane(source: &Source) {
    assert!(source.name.len() <= 3 * WS_NAME_LEN as usize, "{} bytes", source.name.len());
    assert!(source.device.len() <= 3 * WS_DEVICE_LEN as usize, "{} bytes", source.device.len());
    assert!(source.active_time_ns >= 0);
    assert!(source.active || source.active_time_ns == 0);
    assert!(source.max_time_ns >= source.active_time_ns);
}

/// Sources come, go and change.
fn change(u: &mut Unstructured<'_>, records: &mut Vec<Record>) -> Result<()> {
    for _ in 0..u.int_in_range(0..=MOST)? {
        let place = u.int_in_range(0..=records.len())?;
        match u.int_in_range(0..=3)? {
            0 if place < records.len() => drop(records.remove(place)),
            1 if place < records.len() => {
                let record = &mut records[place];
                record.fixed.flags = u.arbitrary()?;
                record.fixed.event_count = u.arbitrary()?;
                record.fixed.last_time = u.arbitrary()?;
                record.fixed.total_time = u.arbitrary()?;
            }
            2 if place < records.len() => {
                let again = records[place].clone();
                records.push(again);
            }
            _ => records.insert(place, record(u)?),
        }
    }
    Ok(())
}

fn record(u: &mut Unstructured<'_>) -> Result<Record> {
    let len = |u: &mut Unstructured<'_>| -> Result<usize> { Ok(u8::arbitrary(u)?.into()) };
    let name_len = len(u)?.min(WS_NAME_LEN as usize).min(u.len());
    let mut strings = u.bytes(name_len)?.to_vec();
    let device_len = len(u)?.min(WS_DEVICE_LEN as usize).min(u.len());
    strings.extend_from_slice(u.bytes(device_len)?);
    let fixed = ws_record {
        size: u16::try_from((size_of::<ws_record>() + strings.len()).next_multiple_of(8)).unwrap(),
        name_len: u16::try_from(name_len).unwrap(),
        device_len: u16::try_from(device_len).unwrap(),
        flags: u.arbitrary()?,
        id: u.arbitrary()?,
        total_time: u.arbitrary()?,
        max_time: u.arbitrary()?,
        last_time: u.arbitrary()?,
        start_prevent_time: u.arbitrary()?,
        prevent_sleep_time: u.arbitrary()?,
        event_count: u.arbitrary()?,
        ..ws_record::default()
    };
    Ok(Record { fixed, strings })
}

/// Records as the program packs them: as many into a chunk as fit.
fn packed(records: &[Record]) -> Vec<ws_chunk> {
    let mut chunks = vec![ws_chunk::new_zeroed()];
    for Record { fixed, strings } in records {
        let size = usize::from(fixed.size);
        if chunks[chunks.len() - 1].used as usize + size > WS_CHUNK_BYTES as usize {
            chunks.push(ws_chunk::new_zeroed());
        }
        let last = chunks.len() - 1;
        let chunk = &mut chunks[last];
        let place = &mut chunk.bytes[chunk.used as usize..][..size];
        place[..size_of::<ws_record>()].copy_from_slice(fixed.as_bytes());
        place[size_of::<ws_record>()..][..strings.len()].copy_from_slice(strings);
        chunk.used += u32::from(fixed.size);
        chunk.records += 1;
    }
    chunks
}

/// Makes of a chunk what no program of ours writes.
fn spoil(u: &mut Unstructured<'_>, chunks: &mut [ws_chunk]) -> Result<()> {
    let index = u.choose_index(chunks.len())?;
    let chunk = &mut chunks[index];
    match u.int_in_range(0..=3)? {
        0 => chunk.used = u.arbitrary()?,
        1 => chunk.records = u.arbitrary()?,
        2 => {
            let place = u.int_in_range(0..=chunk.bytes.len() - 2)?;
            chunk.bytes[place..place + 2].copy_from_slice(&u16::arbitrary(u)?.to_ne_bytes());
        }
        _ => {
            let bytes = u.bytes(u.len().min(chunk.bytes.len()))?;
            chunk.bytes[..bytes.len()].copy_from_slice(bytes);
            chunk.used = u32::try_from(bytes.len()).unwrap();
            chunk.records = u.int_in_range(0..=64)?;
        }
    }
    Ok(())
}
