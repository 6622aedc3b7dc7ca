// SPDX-License-Identifier: Apache-2.0
//! A bound on how fast the log fills. Who can make the daemon log a line can do so in a loop, be it
//! by a call that fails or by a transaction that the binder library complains of.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use log::{Level, Log, Metadata, Record};

/// Lines that may come at once.
pub const BURST: u32 = 60;

/// After as long, one more may.
pub const PERIOD: Duration = Duration::from_secs(1);

/// Passes lines on to a logger, but no more than [`BURST`] and one each [`PERIOD`]. What is for who
/// looks closer, at levels debug and trace, is not bounded: somebody asked for it.
#[derive(Debug)]
pub struct Throttled<L, W> {
    logger: L,
    is_wanted: W,
    bucket: Mutex<Bucket>,
}

impl<L, W> Throttled<L, W> {
    /// In front of this logger, for the lines that are wanted; others count for nothing.
    pub fn new(logger: L, is_wanted: W) -> Self {
        Throttled { logger, is_wanted, bucket: Mutex::new(Bucket::full(Instant::now())) }
    }
}

impl<L: Log, W: Fn(&Metadata<'_>) -> bool + Send + Sync> Log for Throttled<L, W> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.logger.enabled(metadata) && (self.is_wanted)(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let taken = if record.level() > Level::Info {
            Some(0)
        } else {
            self.bucket.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now())
        };
        match taken {
            None => {}
            Some(0) => self.logger.log(record),
            Some(left_out) => {
                // With the metadata of this line, so that it goes where this one does.
                self.logger.log(
                    &Record::builder()
                        .metadata(record.metadata().clone())
                        .args(format_args!("{left_out} lines of this log were left out: too many"))
                        .build(),
                );
                self.logger.log(record);
            }
        }
    }

    fn flush(&self) {
        self.logger.flush();
    }
}

/// How many lines may still come.
#[derive(Debug)]
struct Bucket {
    lines: u32,
    filled: Instant,
    left_out: u64,
}

impl Bucket {
    fn full(now: Instant) -> Self {
        Bucket { lines: BURST, filled: now, left_out: 0 }
    }

    /// Takes a line. Says how many were left out before it; none if it is to be left out, too.
    fn take(&mut self, now: Instant) -> Option<u64> {
        let periods = now.saturating_duration_since(self.filled).as_secs() / PERIOD.as_secs();
        let periods = u32::try_from(periods).unwrap_or(u32::MAX);
        self.lines = self.lines.saturating_add(periods).min(BURST);
        self.filled += PERIOD.saturating_mul(periods);
        match self.lines.checked_sub(1) {
            Some(lines) => {
                self.lines = lines;
                Some(std::mem::take(&mut self.left_out))
            }
            None => {
                self.left_out += 1;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keeps what it is told.
    #[derive(Debug, Default)]
    struct Kept(Mutex<Vec<String>>);

    impl Log for &Kept {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.target() != "off"
        }

        fn log(&self, record: &Record<'_>) {
            self.0.lock().unwrap().push(record.args().to_string());
        }

        fn flush(&self) {}
    }

    fn say(log: &impl Log, level: Level, target: &str, text: &str) {
        log.log(
            &Record::builder().level(level).target(target).args(format_args!("{text}")).build(),
        );
    }

    #[test]
    fn burst_passes_and_then_one_line_each_period() {
        let begin = Instant::now();
        let mut bucket = Bucket::full(begin);

        let burst: Vec<_> = (0..BURST + 2).map(|_| bucket.take(begin)).collect();

        assert!(burst[..BURST as usize].iter().all(|taken| *taken == Some(0)));
        assert_eq!(burst[BURST as usize..], [None, None]);
        let later = |periods: u32| begin + PERIOD * periods - Duration::from_millis(1);
        assert_eq!(bucket.take(later(1)), None);
        assert_eq!(bucket.take(later(2)), Some(3));
        assert_eq!(bucket.take(later(2)), None);
        assert_eq!([bucket.take(later(4)), bucket.take(later(4))], [Some(1), Some(0)]);
        assert_eq!(bucket.take(later(4)), None);
        let mut after_days = || bucket.take(later(1_000_000));
        assert_eq!((0..BURST + 1).filter_map(|_| after_days()).count() as u32, BURST);
    }

    #[test]
    fn what_was_left_out_is_said_once_there_is_room() {
        let kept = Kept::default();
        let log = Throttled::new(&kept, |line: &Metadata<'_>| line.target() != "unwanted");
        (0..BURST + 5).for_each(|_| say(&log, Level::Warn, "on", "a line"));

        log.bucket.lock().unwrap().filled -= PERIOD;
        say(&log, Level::Error, "on", "the next");

        let kept = kept.0.lock().unwrap();
        assert_eq!(kept.len() as u32, BURST + 2);
        assert_eq!(
            kept[BURST as usize..],
            ["5 lines of this log were left out: too many", "the next"]
        );
    }

    #[test]
    fn what_somebody_asked_for_passes_and_what_nobody_reads_counts_for_nothing() {
        let kept = Kept::default();
        let log = Throttled::new(&kept, |line: &Metadata<'_>| line.target() != "unwanted");

        (0..1_000).for_each(|_| say(&log, Level::Warn, "off", "a line"));
        (0..1_000).for_each(|_| say(&log, Level::Warn, "unwanted", "a line"));
        (0..1_000).for_each(|_| say(&log, Level::Debug, "on", "a line"));
        say(&log, Level::Info, "on", "another");

        assert_eq!(kept.0.lock().unwrap().len(), 1_001);
    }
}
