// SPDX-License-Identifier: Apache-2.0
#![cfg(test)]
//! Sources come and go by the hundred each second while sixteen clients call: nothing is lost.

use std::env;
use std::process::{Command, Stdio};
use std::time::Duration;

use init::SOAK_MINUTES;
use wakeupstats_vm::backend;
use wakeupstats_vm::checking::{Kind, Tally};
use wakeupstats_vm::churn::Churn;
use wakeupstats_vm::daemon::{self, Daemon};
use wakeupstats_vm::report::show;

/// How long, unless the harness says otherwise.
const DURATION: Duration = Duration::from_secs(60);

/// Of each kind.
const CLIENTS: usize = 4;

/// Sources that stay.
const STEADY: usize = 30;

/// Sources that must come and go in a second at the least.
const RATE: u64 = 200;

/// Calls that each client must get to, also where one takes seconds: by sysfs, in which the kernel
/// makes and removes nodes all the time.
const CALLS: u64 = 10;

/// How long the list may be locked for one snapshot, and how long the kernel may take to unregister a
/// source: far more than either takes, but all of this shares two emulated CPUs, and whoever holds
/// the lock may have to wait for one.
const LOCK_LIMIT: Duration = Duration::from_millis(500);
const UNREGISTER_LIMIT: Duration = Duration::from_secs(2);

fn duration() -> Duration {
    let minutes = env::var(SOAK_MINUTES).ok().map(|minutes| minutes.parse::<u64>().unwrap());
    minutes.map_or(DURATION, |minutes| Duration::from_secs(60 * minutes))
}

#[test]
fn nothing_is_lost_while_sources_come_and_go_and_clients_call() {
    let _daemon = Daemon::start().unwrap();
    let churn = Churn::new(STEADY).unwrap();
    let duration = duration();
    let client = |kind: Kind| {
        let mut client = Command::new("/bin/client");
        client.args(["check", &kind.to_string()]);
        client.args([duration.as_secs().to_string(), STEADY.to_string()]);
        client.stdin(Stdio::null()).stdout(Stdio::piped());
        (kind, daemon::spawn_as(0, &mut client).unwrap())
    };
    let call = || {
        let clients = Kind::ALL.iter().flat_map(|&kind| [kind; CLIENTS]).map(client);
        let clients: Vec<_> = clients.collect();
        let answers = clients.into_iter().map(|(kind, client)| {
            let output = client.wait_with_output().unwrap();
            assert!(output.status.success(), "a client that asks for {kind}");
            (kind, String::from_utf8(output.stdout).unwrap().parse::<Tally>().unwrap())
        });
        answers.collect::<Vec<_>>()
    };

    let ((), alone) = churn.during(|| std::thread::sleep(duration / 12)).unwrap();
    let (tallies, happened) = churn.during(call).unwrap();

    let of = |kind: Kind| {
        let all = tallies.iter().filter(|(it, _)| *it == kind);
        all.fold(Tally::default(), |sum, (_, tally)| sum.plus(*tally))
    };
    let [full, incremental, filtered, dumps] = Kind::ALL.map(of);
    let longest = [full, incremental, filtered].map(|tally| tally.longest_walk_ns);
    let longest = Duration::from_nanos(longest.into_iter().max().unwrap() as u64);
    let mut text = format!(
        "{} sources came and went ({} per second) during calls: {} full, {} incremental ({} \
         compared with all), {} filtered, {} dumps; {} rows were not of one moment\n\
         the longest walk: {longest:.1?}",
        happened.passed(),
        happened.passed() / duration.as_secs(),
        full.calls,
        incremental.calls,
        incremental.compared,
        filtered.calls,
        dumps.calls,
        full.inconsistent + incremental.inconsistent + filtered.inconsistent,
    );
    for (what, happened) in [("without clients", &alone), ("with them", &happened)] {
        let [median, most, all] = [50, 99, 100].map(|percent| happened.unregister_within(percent));
        let line = format!("{median:.1?}, 99 % within {most:.1?}, all within {all:.1?}");
        text.push_str(&format!("\nunregistering a source {what}: {line}"));
    }
    show(format_args!("{text}"));
    assert!(happened.passed() >= RATE * duration.as_secs(), "too few came and went");
    for (kind, tally) in &tallies {
        assert!(tally.calls >= CALLS, "{kind}: {} calls", tally.calls);
    }
    assert!(incremental.compared > 0, "both were never of one snapshot");
    assert!(longest <= LOCK_LIMIT || !backend::is_exact(), "the list was locked for {longest:?}");
    assert!(happened.unregister_within(100) <= UNREGISTER_LIMIT, "a source could not go");
}
