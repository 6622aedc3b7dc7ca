// SPDX-License-Identifier: Apache-2.0
//! From the records that the BPF program wrote to [`Source`]s: parsing, and all arithmetic.
//!
//! The arithmetic is that of the kernel's `drivers/base/power/wakeup_stats.c`, at one `now` for all
//! fields of all sources. A `now` that lies before a source's last change, as it does for a source
//! that changed during the walk, counts as that change.

use thiserror::Error;
use zerocopy::{FromBytes, IntoBytes};

use crate::layout::{
    WS_ACTIVE, WS_AUTOSLEEP, WS_DEVICE_LEN, WS_INCONSISTENT, WS_NAME_CUT, WS_NAME_LEN, ws_chunk,
    ws_record,
};
use crate::model::Source;

/// A chunk that does not hold what its header says: not written by our program.
#[derive(Clone, Copy, Debug, Error)]
#[error(
    "the record at byte {offset} of {used} is malformed; was the map written by another version?"
)]
pub struct Malformed {
    offset: usize,
    used: usize,
}

/// A list of sources that is filled anew, over what it held before: where records are the same again,
/// as most are, so are their sources, and nothing is done.
#[derive(Debug)]
pub struct Refill<'a> {
    sources: &'a mut Vec<Source>,
    filled: usize,
    /// The records of those that are filled, and what is left of the former ones, in words.
    records: &'a mut Vec<u64>,
    copied: usize,
    changed: Vec<usize>,
}

impl<'a> Refill<'a> {
    /// Begins at the first source. `records` are those that the sources were decoded from, one after
    /// the other; none if that is not known.
    pub fn new(sources: &'a mut Vec<Source>, records: &'a mut Vec<u64>) -> Self {
        Refill { sources, filled: 0, records, copied: 0, changed: Vec::new() }
    }

    /// The next source, to be written over. None if it is there already: its record is the same, and
    /// `is_settled`, which says that nothing else decides what it is.
    fn next(&mut self, record: &[u64], is_settled: bool) -> Option<&mut Source> {
        let (place, begin) = (self.filled, self.copied);
        self.filled += 1;
        self.copied += record.len();
        let former = self.records.get_mut(begin..self.copied);
        if let Some(former) = former.filter(|former| size(former) == size(record)) {
            if former == record && is_settled && place < self.sources.len() {
                return None;
            }
            former.copy_from_slice(record);
        } else {
            // From here on nothing is where it was.
            self.records.truncate(begin);
            self.records.extend_from_slice(record);
        }
        self.changed.push(place);
        if place == self.sources.len() {
            self.sources.push(Source::default());
        }
        self.sources.get_mut(place)
    }

    /// Ends the list here. Returns the places of the sources that were written.
    pub fn finish(self) -> Vec<usize> {
        self.sources.truncate(self.filled);
        self.records.truncate(self.copied);
        self.changed
    }
}

/// Appends the sources in `chunk` to `sources`. `now_ns` is CLOCK_MONOTONIC as their walk began.
pub fn decode(chunk: &ws_chunk, now_ns: i64, sources: &mut Refill<'_>) -> Result<(), Malformed> {
    let used = chunk.used as usize;
    let malformed = |offset| Malformed { offset, used };
    let bytes = chunk.bytes.get(..used).ok_or(malformed(0))?;
    let mut rest = <[u64]>::ref_from_bytes(bytes).map_err(|_| malformed(0))?;
    for _ in 0..chunk.records {
        let malformed = malformed(used - size_of_val(rest));
        let (words, after) = split(rest).ok_or(malformed)?;
        let Parsed { record, name, device } = parse(words).ok_or(malformed)?;
        // The times of an active one run, whatever its record says.
        let is_settled = u32::from(record.flags) & WS_ACTIVE == 0;
        if let Some(source) = sources.next(words, is_settled) {
            set_text(&mut source.name, name);
            set_text(&mut source.device, device);
            set_values(source, record, now_ns);
        }
        rest = after;
    }
    if rest.is_empty() { Ok(()) } else { Err(malformed(used - size_of_val(rest))) }
}

/// A record and its strings.
struct Parsed<'a> {
    record: &'a ws_record,
    name: &'a [u8],
    device: &'a [u8],
}

/// The size in bytes of the record that these words begin with.
fn size(words: &[u64]) -> Option<usize> {
    let (size, _) = u16::read_from_prefix(words.as_bytes()).ok()?;
    Some(size.into())
}

/// Splits the first record off.
fn split(words: &[u64]) -> Option<(&[u64], &[u64])> {
    let size = size(words)?;
    if size % size_of::<u64>() != 0 {
        return None;
    }
    words.split_at_checked(size / size_of::<u64>())
}

fn parse(words: &[u64]) -> Option<Parsed<'_>> {
    let (record, strings) = ws_record::ref_from_prefix(words.as_bytes()).ok()?;
    if u32::from(record.name_len) > WS_NAME_LEN || u32::from(record.device_len) > WS_DEVICE_LEN {
        return None;
    }
    let (name, strings) = strings.split_at_checked(record.name_len.into())?;
    let device = strings.get(..record.device_len.into())?;
    Some(Parsed { record, name, device })
}

/// Writes a name, unless it is the same.
fn set_text(text: &mut String, bytes: &[u8]) {
    if text.as_bytes() != bytes {
        text.clear();
        text.push_str(&String::from_utf8_lossy(bytes));
    }
}

/// Writes all but the names of a source, as they are at `now_ns`.
fn set_values(source: &mut Source, record: &ws_record, now_ns: i64) {
    let flag = |bit: u32| u32::from(record.flags) & bit != 0;
    let active = flag(WS_ACTIVE);
    let consistent = !flag(WS_INCONSISTENT);
    // Where the fields are of several moments, a stretch that they seem to be in may be over and
    // part of the total already. Left out, all values are such as the source had at some moment.
    let since = |start: i64| if consistent { now_ns.saturating_sub(start).max(0) } else { 0 };
    let active_time_ns = if active { since(record.last_time) } else { 0 };
    let preventing = active && flag(WS_AUTOSLEEP);
    let preventing_ns = if preventing { since(record.start_prevent_time) } else { 0 };
    source.id = record.id;
    source.name_truncated = flag(WS_NAME_CUT);
    source.active = active;
    source.consistent = consistent;
    source.active_count = record.active_count;
    source.event_count = record.event_count;
    source.wakeup_count = record.wakeup_count;
    source.expire_count = record.expire_count;
    source.relax_count = record.relax_count;
    source.active_time_ns = active_time_ns;
    source.total_time_ns = record.total_time.saturating_add(active_time_ns);
    source.max_time_ns = record.max_time.max(active_time_ns);
    source.last_change_ns = record.last_time;
    source.prevent_suspend_time_ns = record.prevent_sleep_time.saturating_add(preventing_ns);
}

#[cfg(test)]
pub(crate) mod testing {
    use zerocopy::{FromZeros, IntoBytes};

    use super::*;

    /// A chunk that holds these records with their names and owners' names.
    pub(crate) fn chunk(records: &[(ws_record, &[u8], &[u8])]) -> Box<ws_chunk> {
        let mut chunk = Box::new(ws_chunk::new_zeroed());
        let mut bytes = Vec::new();
        for (record, name, device) in records {
            let size = (size_of::<ws_record>() + name.len() + device.len()).next_multiple_of(8);
            let record = ws_record {
                size: size as u16,
                name_len: name.len() as u16,
                device_len: device.len() as u16,
                ..*record
            };
            let end = bytes.len() + size;
            bytes.extend_from_slice(record.as_bytes());
            bytes.extend_from_slice(name);
            bytes.extend_from_slice(device);
            bytes.resize(end, 0xee);
        }
        chunk.bytes[..bytes.len()].copy_from_slice(&bytes);
        chunk.used = bytes.len() as u32;
        chunk.records = records.len() as u32;
        chunk
    }
}

#[cfg(test)]
mod tests {
    use super::testing::chunk;
    use super::*;

    const NOW: i64 = 10_000;

    /// A source that was active for 700 ns in all, 500 ns at a stretch, and became active 2 µs ago.
    fn active_record() -> ws_record {
        ws_record {
            id: 7,
            flags: (WS_ACTIVE | WS_AUTOSLEEP) as u16,
            total_time: 700,
            max_time: 500,
            last_time: 8_000,
            start_prevent_time: 9_000,
            prevent_sleep_time: 40,
            event_count: 9,
            active_count: 3,
            relax_count: 2,
            expire_count: 1,
            wakeup_count: 4,
            ..ws_record::default()
        }
    }

    fn decoded(records: &[(ws_record, &[u8], &[u8])]) -> Vec<Source> {
        decoded_over(records, Vec::new())
    }

    /// The same, over other sources.
    fn decoded_over(records: &[(ws_record, &[u8], &[u8])], mut old: Vec<Source>) -> Vec<Source> {
        let mut records_before = Vec::new();
        let mut refill = Refill::new(&mut old, &mut records_before);
        decode(&chunk(records), NOW, &mut refill).unwrap();
        refill.finish();
        old
    }

    fn one(record: ws_record) -> Source {
        decoded(&[(record, b"s", b"")]).remove(0)
    }

    #[test]
    fn active_source_counts_until_now() {
        let source = one(active_record());

        assert!(source.active && source.consistent);
        assert_eq!(source.active_time_ns, 2_000);
        assert_eq!(source.total_time_ns, 2_700);
        assert_eq!(source.max_time_ns, 2_000);
        assert_eq!(source.last_change_ns, 8_000);
        assert_eq!(source.prevent_suspend_time_ns, 1_040);
    }

    #[test]
    fn shorter_stretch_leaves_the_maximum() {
        let source = one(ws_record { max_time: 3_000, ..active_record() });

        assert_eq!(source.max_time_ns, 3_000);
    }

    #[test]
    fn inactive_source_is_as_recorded() {
        let source = one(ws_record { flags: WS_AUTOSLEEP as u16, ..active_record() });

        assert!(!source.active);
        assert_eq!(source.active_time_ns, 0);
        assert_eq!(source.total_time_ns, 700);
        assert_eq!(source.max_time_ns, 500);
        assert_eq!(source.prevent_suspend_time_ns, 40);
    }

    #[test]
    fn without_autosleep_nothing_is_prevented() {
        let source = one(ws_record { flags: WS_ACTIVE as u16, ..active_record() });

        assert_eq!(source.prevent_suspend_time_ns, 40);
    }

    #[test]
    fn clock_before_last_time_counts_as_last_time() {
        let later = NOW + 1;
        let record = ws_record { last_time: later, start_prevent_time: later, ..active_record() };

        let source = one(record);

        assert_eq!(source.active_time_ns, 0);
        assert_eq!(source.total_time_ns, 700);
        assert_eq!(source.prevent_suspend_time_ns, 40);
        assert_eq!(source.last_change_ns, later);
    }

    #[test]
    fn times_saturate() {
        let record = ws_record {
            total_time: i64::MAX - 1,
            prevent_sleep_time: i64::MAX,
            last_time: i64::MIN,
            ..active_record()
        };

        let source = one(record);

        assert_eq!(source.active_time_ns, i64::MAX);
        assert_eq!(source.total_time_ns, i64::MAX);
        assert_eq!(source.prevent_suspend_time_ns, i64::MAX);
    }

    #[test]
    fn counters_and_ids_are_raw() {
        let source = one(ws_record { id: u32::MAX, event_count: u64::MAX, ..active_record() });

        assert_eq!(source.id, u32::MAX);
        assert_eq!(source.event_count, u64::MAX);
        assert_eq!(
            (source.active_count, source.relax_count, source.expire_count, source.wakeup_count),
            (3, 2, 1, 4)
        );
    }

    #[test]
    fn strings_are_told_apart_and_replaced_where_not_utf8() {
        let record = active_record();

        let sources = decoded(&[
            (record, b"eventpoll", b"alarmtimer.0.auto"),
            (record, b"a\xffb", b""),
            (ws_record { flags: WS_NAME_CUT as u16, ..record }, &[b'x'; 255], &[b'd'; 127]),
        ]);

        assert_eq!(sources[0].name, "eventpoll");
        assert_eq!(sources[0].device, "alarmtimer.0.auto");
        assert_eq!((sources[1].name.as_str(), sources[1].device.as_str()), ("a\u{fffd}b", ""));
        assert_eq!((sources[2].name.len(), sources[2].device.len()), (255, 127));
        assert!(sources[2].name_truncated && !sources[0].name_truncated);
    }

    #[test]
    fn torn_row_says_so_and_has_no_more_than_the_kernel_had() {
        let flags = (WS_INCONSISTENT | WS_ACTIVE | WS_AUTOSLEEP) as u16;

        let source = one(ws_record { flags, ..active_record() });

        assert!(!source.consistent);
        assert_eq!(source.active_time_ns, 0);
        assert_eq!((source.total_time_ns, source.max_time_ns), (700, 500));
        assert_eq!(source.prevent_suspend_time_ns, 40);
    }

    #[test]
    fn nothing_is_left_of_what_was_there_before() {
        let records: [(ws_record, &[u8], &[u8]); 3] = [
            (active_record(), b"longer than the other name", b"device"),
            (ws_record::default(), b"s", b""),
            (ws_record { flags: WS_NAME_CUT as u16, ..active_record() }, b"\xff", b"rtc0"),
        ];
        let fresh = decoded(&records);
        let backwards = decoded(&[records[2], records[1], records[0], records[0]]);

        assert_eq!(decoded_over(&records, backwards), fresh);
        assert_eq!(decoded_over(&records[..1], fresh.clone()), fresh[..1]);
        assert_eq!(decoded_over(&[], fresh), []);
    }

    /// Decodes these, and then those over them. Returns the places that were written the second time.
    fn written(
        first: &[(ws_record, &[u8], &[u8])],
        second: &[(ws_record, &[u8], &[u8])],
    ) -> Vec<usize> {
        let (mut sources, mut records) = (Vec::new(), Vec::new());
        let mut refill = Refill::new(&mut sources, &mut records);
        decode(&chunk(first), NOW, &mut refill).unwrap();
        refill.finish();
        let mut refill = Refill::new(&mut sources, &mut records);
        decode(&chunk(second), NOW, &mut refill).unwrap();
        let written = refill.finish();
        assert_eq!(sources, decoded(second));
        // What was kept of the records serves the next time.
        let mut refill = Refill::new(&mut sources, &mut records);
        decode(&chunk(second), NOW, &mut refill).unwrap();
        assert!(refill.finish().iter().all(|&place| sources[place].active));
        written
    }

    #[test]
    fn only_what_changed_or_is_active_is_written_again() {
        let idle = ws_record { flags: 0, ..active_record() };
        let more = ws_record { event_count: 10, ..idle };
        let three: [(ws_record, &[u8], &[u8]); 3] =
            [(idle, b"a", b""), (idle, b"b", b"rtc0"), (active_record(), b"c", b"")];

        assert_eq!(written(&three, &three), [2]);
        assert_eq!(written(&three, &[three[0], (more, b"b", b"rtc0"), three[2]]), [1, 2]);
        assert_eq!(written(&three, &[three[0], (idle, b"B", b"rtc0"), three[2]]), [1, 2]);
        assert_eq!(
            written(&three, &[(idle, b"longer than a", b""), three[1], three[2]]),
            [0, 1, 2]
        );
        assert_eq!(written(&three, &[three[1], three[2]]), [0, 1]);
        assert_eq!(written(&three, &three[..1]), [0; 0]);
        assert_eq!(written(&three[..1], &three), [1, 2]);
        assert_eq!(written(&[], &three), [0, 1, 2]);
        // As long as the first two together: what follows is where it was, but is another source.
        let long = [b'l'; 112];
        let fourth: (ws_record, &[u8], &[u8]) = (idle, b"d", b"");
        let before = [(idle, &b"a"[..], &b""[..]), (idle, b"b", b""), fourth];
        assert_eq!(written(&before, &[(idle, &long, b""), fourth]), [0, 1]);
    }

    #[test]
    fn empty_chunk_has_no_sources() {
        assert_eq!(decoded(&[]), []);
    }

    #[test]
    fn names_longer_than_the_program_writes_are_malformed() {
        let result = |name: &[u8], device: &[u8]| {
            let (mut sources, mut before) = (Vec::new(), Vec::new());
            let chunk = chunk(&[(active_record(), name, device)]);
            decode(&chunk, NOW, &mut Refill::new(&mut sources, &mut before))
        };

        assert!(result(&[b'n'; 255], &[b'd'; 127]).is_ok());
        assert!(result(&[b'n'; 256], b"").is_err());
        assert!(result(b"", &[b'd'; 128]).is_err());
    }

    #[test]
    fn lies_in_the_header_are_malformed() {
        let good = || chunk(&[(active_record(), b"name", b"device")]);
        let record_len = good().used;
        type Spoil = fn(&mut ws_chunk);
        let spoilt: [(&str, Spoil); 8] = [
            ("used past the chunk", |chunk| chunk.used = u32::MAX),
            ("used inside the record", |chunk| chunk.used -= 8),
            ("used that is no number of words", |chunk| chunk.used -= 1),
            ("size that is no number of words", |chunk| chunk.bytes[0] += 1),
            ("more records than there are", |chunk| chunk.records = 2),
            ("fewer records than there are", |chunk| chunk.records = 0),
            ("size below the fixed part", |chunk| chunk.bytes[0..2].copy_from_slice(&[8, 0])),
            ("name past the record", |chunk| chunk.bytes[2..4].copy_from_slice(&[0xff, 0xff])),
        ];

        for (what, spoil) in spoilt {
            let mut chunk = good();
            spoil(&mut chunk);
            let (mut sources, mut before) = (Vec::new(), Vec::new());
            let result = decode(&chunk, NOW, &mut Refill::new(&mut sources, &mut before));
            assert!(result.is_err(), "{what} ({record_len} bytes)");
        }
    }
}
