// SPDX-License-Identifier: Apache-2.0
//! `wakeupstats export`: a recording as a trace for Perfetto.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Args;
use prost::Message as _;

use crate::labels::Labels;
use crate::perfetto::{
    BuiltinClock, ChildTracksOrdering, Clock, ClockSnapshot, Data, DebugAnnotation,
    INCREMENTAL_STATE_CLEARED, Trace, TracePacket, TrackDescriptor, TrackEvent, Type,
};
use crate::plot::Window;
use crate::timeline::{Piece, Timeline};

/// Tracks are numbered from here on, and packets have a number, so that nothing else of a trace which this
/// one is added to has the same.
const FIRST_UUID: u64 = 0x7761_6b65_7570_0000;
const SEQUENCE: u32 = 0x7761_6b65;

/// The category of slices that say exactly when a source was active, and of those that say only for how
/// long of them it was: see their `held_ns`.
const EXACT: &str = "exact";
const IN_PART: &str = "in part";

#[derive(Args, Debug)]
pub(crate) struct Options {
    /// What `record` wrote
    file: PathBuf,
    /// As a trace of Perfetto: a track of slices for each source
    #[arg(long, required = true)]
    perfetto: bool,
    /// The trace
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    window: Window,
}

impl Options {
    /// Writes it.
    pub(crate) fn run(&self) -> Result<()> {
        let trace = trace(&self.window.read(&self.file)?);
        fs::write(&self.out, trace.encode_to_vec())
            .with_context(|| format!("{} can't be written", self.out.display()))
    }
}

/// All that a recording knows.
fn trace(timeline: &Timeline) -> Trace {
    let mut writer = Writer::begin(timeline);
    let any = writer.track("any source, at least");
    writer.slices(any, "any source", timeline.any.iter());
    let labels = Labels::new(timeline);
    for track in timeline.tracks.iter().filter(|track| track.active.held_ns() > 0) {
        let uuid = writer.track(&labels.long(track));
        writer.slices(uuid, &track.name, track.active.iter());
    }
    let suspended = writer.track("suspended");
    writer.slices(suspended, "suspended", timeline.suspended.iter());
    let recording = writer.track("recording");
    for gap in &timeline.gaps {
        writer.event(recording, Type::SliceBegin, gap.from_ns, named(&gap.reason));
        writer.event(recording, Type::SliceEnd, gap.to_ns, TrackEvent::default());
    }
    for &at in &timeline.restarts {
        writer.event(recording, Type::Instant, at, named("the service restarted"));
    }
    writer.trace
}

/// Makes the packets.
struct Writer {
    trace: Trace,
    tracks: i32,
}

impl Writer {
    /// The clocks, and the track that all others are below.
    fn begin(timeline: &Timeline) -> Self {
        let header = &timeline.header;
        let clock = |id: BuiltinClock, ns: i64| Clock {
            clock_id: Some(id.into()),
            timestamp: u64::try_from(ns).ok(),
        };
        let clocks = ClockSnapshot {
            clocks: vec![
                clock(BuiltinClock::Boottime, header.boottime_ns),
                clock(BuiltinClock::Monotonic, header.monotonic_ns),
                clock(BuiltinClock::Realtime, header.realtime_ns),
            ],
            primary_trace_clock: Some(BuiltinClock::Boottime.into()),
        };
        let root = TrackDescriptor {
            uuid: Some(FIRST_UUID),
            name: Some("Wakeup sources".to_owned()),
            child_ordering: Some(ChildTracksOrdering::Explicit.into()),
            ..TrackDescriptor::default()
        };
        let mut writer = Self { trace: Trace::default(), tracks: 0 };
        writer.packet(None, Data::ClockSnapshot(clocks));
        writer.packet(None, Data::TrackDescriptor(root));
        if let Some(first) = writer.trace.packet.first_mut() {
            first.sequence_flags = Some(INCREMENTAL_STATE_CLEARED);
        }
        writer
    }

    /// A track below those that are there. Returns its uuid.
    fn track(&mut self, name: &str) -> u64 {
        self.tracks += 1;
        let uuid = FIRST_UUID + u64::from(self.tracks.unsigned_abs());
        let descriptor = TrackDescriptor {
            uuid: Some(uuid),
            name: Some(name.to_owned()),
            parent_uuid: Some(FIRST_UUID),
            sibling_order_rank: Some(self.tracks),
            ..TrackDescriptor::default()
        };
        self.packet(None, Data::TrackDescriptor(descriptor));
        uuid
    }

    fn slices<'a>(&mut self, track: u64, name: &str, pieces: impl Iterator<Item = &'a Piece>) {
        for piece in pieces {
            let held = DebugAnnotation {
                name: Some("held_ns".to_owned()),
                int_value: Some(piece.held_ns),
            };
            let category = if piece.is_whole() { EXACT } else { IN_PART };
            let begin = TrackEvent {
                categories: vec![category.to_owned()],
                debug_annotations: vec![held],
                ..named(name)
            };
            self.event(track, Type::SliceBegin, piece.from_ns, begin);
            self.event(track, Type::SliceEnd, piece.to_ns, TrackEvent::default());
        }
    }

    fn event(&mut self, track: u64, r#type: Type, at_ns: i64, event: TrackEvent) {
        let event = TrackEvent { r#type: Some(r#type.into()), track_uuid: Some(track), ..event };
        self.packet(u64::try_from(at_ns).ok(), Data::TrackEvent(event));
    }

    fn packet(&mut self, timestamp: Option<u64>, data: Data) {
        self.trace.packet.push(TracePacket {
            timestamp,
            timestamp_clock_id: timestamp.map(|_| BuiltinClock::Boottime.into()),
            trusted_packet_sequence_id: Some(SEQUENCE),
            sequence_flags: None,
            data: Some(data),
        });
    }
}

fn named(name: &str) -> TrackEvent {
    TrackEvent { name: Some(name.to_owned()), ..TrackEvent::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::tests::timeline;

    #[test]
    fn slices_of_a_track_follow_one_another() {
        let timeline = timeline(&[
            r#"{"tick":{"m":0,"s":[{"h":1,"n":"a"}]}}"#,
            r#"{"tick":{"m":1S,"s":[{"h":1,"f":1,"a":3,"t":500000000,"l":10750000000}]}}"#,
            r#"{"tick":{"m":1S,"s":[{"h":1,"t":250000000,"l":500000000}]}}"#,
        ]);

        let trace = Trace::decode(&*trace(&timeline).encode_to_vec()).unwrap();

        let times: Vec<_> = trace
            .packet
            .iter()
            .filter_map(|packet| match &packet.data {
                Some(Data::TrackEvent(event)) if event.track_uuid == Some(FIRST_UUID + 2) => {
                    Some((event.r#type(), packet.timestamp? / 1_000_000))
                }
                _ => None,
            })
            .collect();
        assert_eq!(
            times,
            [
                (Type::SliceBegin, 100_000),
                (Type::SliceEnd, 100_750),
                (Type::SliceBegin, 100_750),
                (Type::SliceEnd, 101_250),
            ]
        );
    }
}
