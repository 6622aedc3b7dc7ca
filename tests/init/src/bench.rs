// SPDX-License-Identifier: Apache-2.0
//! What the benchmark in the guest measures, and the harness shows.

use serde::{Deserialize, Serialize};

/// One contender at one number of wakeup sources. Times are of one call, in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Wakeup sources that the kernel had, its own among them.
    pub sources: u32,
    /// The name of the contender.
    pub contender: String,
    /// Time that passed.
    pub wall_ms: Quartiles,
    /// Time of processors, user and system, of all processes that took part.
    pub cpu_ms: Quartiles,
}

/// What a daemon takes beside the time of its calls.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Footprint {
    /// Its backend; with `pinned` it is built as for Android, without the loader.
    pub daemon: String,
    /// Wakeup sources that the kernel had.
    pub sources: u32,
    /// From before its process is made to the service manager's first answer that it is there, in
    /// milliseconds.
    pub start_ms: Quartiles,
    /// Proportional set size after the calls by which each buffer gets its size, in KiB.
    pub rest_pss_kib: u64,
    /// The same after `calls` more.
    pub pss_kib: u64,
    /// Calls between the two: incremental and full snapshots and the status by turns.
    pub calls: u32,
    /// Memory of the BPF program in the kernel, in bytes.
    pub program_bytes: u64,
    /// Memory of its map in the kernel, in bytes.
    pub map_bytes: u64,
    /// For so many seconds nobody called.
    pub idle_s: u32,
    /// How often one of its threads was put on a processor in that time.
    pub idle_wakeups: u64,
    /// How long its threads ran in that time, in nanoseconds.
    pub idle_cpu_ns: u64,
}

/// The middle of a distribution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Quartiles {
    /// Half of the values are below it.
    pub median: f64,
    /// A quarter is.
    pub q1: f64,
    /// Three quarters are.
    pub q3: f64,
}

impl Quartiles {
    /// The quartiles of these values, between two of them by linear interpolation. None of none.
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        Some(Self {
            median: quantile(&values, 0.5)?,
            q1: quantile(&values, 0.25)?,
            q3: quantile(&values, 0.75)?,
        })
    }
}

/// The value below which the share `part` of the sorted values lies.
fn quantile(sorted: &[f64], part: f64) -> Option<f64> {
    let place = part * sorted.len().checked_sub(1)? as f64;
    let (below, above) = (place.floor(), place.ceil());
    let at = |place: f64| sorted.get(place as usize);
    Some(at(below)? + (at(above)? - at(below)?) * (place - below))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_lie_between_values_where_they_must() {
        let odd = Quartiles::of(vec![5.0, 1.0, 4.0, 2.0, 3.0]).unwrap();
        let even = Quartiles::of(vec![4.0, 1.0, 3.0, 2.0]).unwrap();

        assert_eq!(odd, Quartiles { median: 3.0, q1: 2.0, q3: 4.0 });
        assert_eq!(even, Quartiles { median: 2.5, q1: 1.75, q3: 3.25 });
    }

    #[test]
    fn one_value_is_all_three_and_none_is_nothing() {
        assert_eq!(Quartiles::of(vec![7.0]), Some(Quartiles { median: 7.0, q1: 7.0, q3: 7.0 }));
        assert_eq!(Quartiles::of(Vec::new()), None);
    }
}
