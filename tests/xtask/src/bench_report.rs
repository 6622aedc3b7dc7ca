// SPDX-License-Identifier: Apache-2.0
//! The results of a benchmark, and what the project wants of them.

use anyhow::{Context as _, Result};
use init::bench::{Footprint, Quartiles, Row};
use serde::{Deserialize, Serialize};

/// The number of sources at which contenders are compared: a phone's.
pub(crate) const TYPICAL: u32 = 150;

/// A number of sources that is so large that a cost that grows out of proportion shows.
const MANY: u32 = 4_000;

/// All results. What `--json` writes.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Report {
    /// Its release.
    pub(crate) kernel: String,
    pub(crate) accel: String,
    /// What a millisecond of the rows is.
    pub(crate) counts: Counts,
    /// What the guest's processors do that have nothing to do: "poll" or "halt".
    pub(crate) idle: String,
    pub(crate) rounds: u32,
    pub(crate) rows: Vec<Row>,
    pub(crate) footprints: Vec<Footprint>,
    /// The daemon as Android has it, statically linked, without symbols. Bytes.
    pub(crate) binary_bytes: u64,
}

/// What the guest's clock counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Counts {
    /// Nanoseconds.
    Time,
    /// Instructions, one for a nanosecond.
    Instructions,
}

/// Which of the two times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clock {
    Wall,
    Cpu,
}

impl Clock {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Wall => "wall",
            Self::Cpu => "CPU",
        }
    }

    pub(crate) fn of(self, row: &Row) -> Quartiles {
        match self {
            Self::Wall => row.wall_ms,
            Self::Cpu => row.cpu_ms,
        }
    }
}

/// A bound that a ratio is to keep.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

use Bound::{AtLeast, AtMost};
use Clock::{Cpu, Wall};

/// Ratios of medians at [`TYPICAL`] sources.
const RATIOS: &[(&str, &str, Clock, Bound)] = &[
    ("sysfs", "walk", Wall, AtLeast(500.0)),
    ("ringbuf", "walk", Wall, AtLeast(1.5)),
    ("sysfs", "binder_full", Wall, AtLeast(45.0)),
    ("sysfs", "binder_full", Cpu, AtLeast(45.0)),
    ("sysfs", "binder_delta", Wall, AtLeast(75.0)),
    ("binder_delta", "ping", Wall, AtMost(1.5)),
    ("suspend_like", "binder_full", Wall, AtLeast(4.0)),
    ("pinned_snapshot", "snapshot", Wall, AtMost(2.0)),
];

/// By how many times the cost of one source may be that at [`TYPICAL`], at [`MANY`].
const GROWTH: &[(&str, Bound)] = &[("walk", AtMost(1.2)), ("binder_full", AtMost(1.2))];

/// One thing that is wanted, and what was measured of it, if it was.
#[derive(Debug, PartialEq)]
pub(crate) struct Target {
    pub(crate) what: String,
    pub(crate) value: Option<f64>,
    pub(crate) bound: Bound,
}

impl Target {
    /// Whether it is reached.
    pub(crate) fn reached(&self) -> Option<bool> {
        self.value.map(|value| match self.bound {
            AtLeast(bound) => value >= bound,
            AtMost(bound) => value <= bound,
        })
    }
}

impl Report {
    pub(crate) fn to_json(&self) -> Result<String> {
        let json = serde_json::to_string_pretty(self).context("write the results as JSON")?;
        Ok(json + "\n")
    }

    /// The contenders, each once, in the order of the results.
    pub(crate) fn contenders(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for row in &self.rows {
            if !names.contains(&row.contender.as_str()) {
                names.push(&row.contender);
            }
        }
        names
    }

    /// The numbers of sources, each once, rising.
    pub(crate) fn sizes(&self) -> Vec<u32> {
        let mut sizes: Vec<u32> = self.rows.iter().map(|row| row.sources).collect();
        sizes.sort_unstable();
        sizes.dedup();
        sizes
    }

    pub(crate) fn row(&self, contender: &str, sources: u32) -> Option<&Row> {
        self.rows.iter().find(|row| row.contender == contender && row.sources == sources)
    }

    fn median(&self, contender: &str, sources: u32, clock: Clock) -> Option<f64> {
        self.row(contender, sources).map(|row| clock.of(row).median)
    }

    /// Everything that is wanted.
    pub(crate) fn targets(&self) -> Vec<Target> {
        let ratio = |&(above, below, clock, bound): &(&str, &str, Clock, Bound)| {
            let median = |name| self.median(name, TYPICAL, clock);
            let value = median(above).zip(median(below)).map(|(above, below)| above / below);
            Target { what: format!("{above} / {below}, {}", clock.name()), value, bound }
        };
        let growth = |&(name, bound): &(&str, Bound)| {
            let per_source = |sources| Some(self.median(name, sources, Wall)? / f64::from(sources));
            let value = per_source(MANY).zip(per_source(TYPICAL)).map(|(many, few)| many / few);
            let what = format!("{name} per source, {MANY} / {TYPICAL}, {}", Wall.name());
            Target { what, value, bound }
        };
        RATIOS.iter().map(ratio).chain(GROWTH.iter().map(growth)).collect()
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// Results in which both times of each contender are these, with quartiles an eighth away.
    pub(crate) fn report(medians: &[(u32, &str, f64)]) -> Report {
        let row = |&(sources, contender, median): &(u32, &str, f64)| {
            let quartiles = Quartiles { median, q1: median * 0.875, q3: median * 1.125 };
            let contender = contender.to_owned();
            Row { sources, contender, wall_ms: quartiles, cpu_ms: quartiles }
        };
        let rows = medians.iter().map(row).collect();
        Report {
            kernel: "7.3.4".to_owned(),
            accel: "TCG".to_owned(),
            counts: Counts::Time,
            idle: "poll".to_owned(),
            rounds: 30,
            rows,
            footprints: Vec::new(),
            binary_bytes: 0,
        }
    }
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    fn target<'a>(targets: &'a [Target], what: &str) -> &'a Target {
        targets.iter().find(|target| target.what == what).unwrap()
    }

    #[test]
    fn ratios_are_of_medians_at_150_sources_and_say_whether_they_are_reached() {
        let report = testing::report(&[
            (50, "sysfs", 1.0),
            (150, "sysfs", 45.0),
            (150, "binder_full", 1.0),
            (150, "binder_delta", 0.625),
            (150, "ping", 0.4),
        ]);

        let targets = report.targets();

        let value = |what| (target(&targets, what).value, target(&targets, what).reached());
        assert_eq!(value("sysfs / binder_full, wall"), (Some(45.0), Some(true)));
        assert_eq!(value("sysfs / binder_full, CPU"), (Some(45.0), Some(true)));
        assert_eq!(value("sysfs / binder_delta, wall"), (Some(72.0), Some(false)));
        assert_eq!(value("binder_delta / ping, wall"), (Some(1.5625), Some(false)));
    }

    #[test]
    fn growth_is_that_of_the_cost_of_one_source() {
        let report = testing::report(&[
            (150, "walk", 0.15),
            (4_000, "walk", 4.4),
            (150, "binder_full", 1.0),
            (4_000, "binder_full", 40.0),
        ]);

        let targets = report.targets();

        let walk = target(&targets, "walk per source, 4000 / 150, wall");
        assert!((walk.value.unwrap() - 1.1).abs() < 1e-9);
        assert_eq!(walk.reached(), Some(true));
        let full = target(&targets, "binder_full per source, 4000 / 150, wall");
        assert_eq!(full.reached(), Some(false));
    }

    #[test]
    fn what_was_not_measured_is_neither_reached_nor_not() {
        let targets = testing::report(&[(150, "sysfs", 45.0)]).targets();

        assert_eq!(target(&targets, "sysfs / walk, wall").reached(), None);
    }

    #[test]
    fn json_has_the_documented_keys_and_reads_back() {
        let report = testing::report(&[(150, "sysfs", 45.5)]);

        let json = report.to_json().unwrap();

        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["kernel"], "7.3.4");
        assert_eq!(value["accel"], "TCG");
        assert_eq!(value["counts"], "time");
        assert_eq!(value["rounds"], 30);
        assert_eq!(value["rows"][0]["sources"], 150);
        assert_eq!(value["rows"][0]["contender"], "sysfs");
        assert_eq!(value["rows"][0]["wall_ms"]["median"], 45.5);
        assert!(value["rows"][0]["cpu_ms"]["q1"].is_number());
        assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
    }
}
