// SPDX-License-Identifier: Apache-2.0
//! `wakeupstats record`: that nothing is lost, whoever dies.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::Duration;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use wakeupstats_aidl::{SnapshotQuery, rows};
use wakeupstats_vm::daemon::{self, Daemon};
use wakeupstats_vm::report::show;
use wakeupstats_vm::sources;

use crate::running::{CULPRIT, Said, command, drain, run, said, wait_until};

/// A recorder, killed when this is dropped.
pub(crate) struct Recorder {
    child: Option<Child>,
    pub(crate) path: String,
}

impl Recorder {
    /// One that looks 20 times a second.
    pub(crate) fn start(name: &str, options: &[&str]) -> Self {
        let path = format!("/tmp/{name}-{}.recording", std::process::id());
        let args = [&["record", "--interval", "50ms", "--out", &path], options].concat();
        let child = command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        Self { child: Some(child), path }
    }

    /// Waits for so many ticks more.
    pub(crate) fn wait_for_ticks(&self, count: usize) {
        let ticks = || lines(&self.path).iter().filter(|it| it.get("tick").is_some()).count();
        let enough = ticks() + count;
        wait_until("recorded", || ticks() >= enough, || format!("{:?}", lines(&self.path)));
    }

    /// Sends it this, and waits for its end.
    pub(crate) fn end(mut self, signal: Signal) -> Said {
        let child = self.child.take().unwrap();
        kill_process(Pid::from_child(&child), signal).unwrap();
        said(child)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The whole lines of a recording.
fn lines(path: &str) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let whole = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    whole.map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A source, as docs/recording.md says how to find it: by name, as each has another here.
#[derive(Debug, Default)]
struct Numbers {
    is_active: bool,
    active_count: i64,
    event_count: i64,
    relax_count: i64,
    total_ns: i64,
    max_ns: i64,
    last_change_ns: i64,
}

/// What a recording says of all sources at its end.
fn replay(path: &str) -> BTreeMap<String, Numbers> {
    let mut names: BTreeMap<i64, String> = BTreeMap::new();
    let mut sources: BTreeMap<i64, Numbers> = BTreeMap::new();
    let mut now = 0;
    for line in lines(path) {
        now += line["header"]["monotonic_ns"].as_i64().unwrap_or(0);
        let tick = &line["tick"];
        let passed = tick["m"].as_i64().unwrap_or(0);
        now += passed;
        let none = Vec::new();
        let rows = tick["s"].as_array().unwrap_or(&none);
        for (handle, source) in &mut sources {
            if source.is_active && !rows.iter().any(|row| row["h"] == *handle) {
                source.total_ns += passed;
                source.max_ns = source.max_ns.max(now - source.last_change_ns);
            }
        }
        for row in rows {
            let number = |key: &str| row[key].as_i64().unwrap_or(0);
            let source = sources.entry(number("h")).or_default();
            source.is_active = number("f") & 1 == 1;
            source.active_count += number("a");
            source.event_count += number("e");
            source.relax_count += number("r");
            source.total_ns += number("t");
            source.max_ns += number("m");
            source.last_change_ns += number("l");
            if let Some(name) = row["n"].as_str() {
                names.insert(number("h"), name.to_owned());
            }
        }
        for gone in tick["g"].as_array().unwrap_or(&none) {
            sources.remove(&gone.as_i64().unwrap());
        }
    }
    sources.into_iter().map(|(handle, source)| (names[&handle].clone(), source)).collect()
}

/// That a recording says the same as the service of all that is not active.
fn assert_true(path: &str) {
    let recorded = replay(path);
    let snapshot = daemon::service().unwrap().getSnapshot(&SnapshotQuery::default()).unwrap();
    for row in rows(&snapshot).unwrap().iter().filter(|row| row.device.as_deref() == Some("")) {
        let it = &recorded[row.name.as_ref().unwrap()];
        assert_eq!(it.is_active, row.active, "{row:?}");
        assert_eq!(
            [it.active_count, it.event_count, it.relax_count, it.last_change_ns],
            [row.active_count, row.event_count, row.relax_count, row.last_change_ns],
            "{row:?}"
        );
        if !row.active {
            assert_eq!([it.total_ns, it.max_ns], [row.total_time_ns, row.max_time_ns], "{row:?}");
        }
    }
}

#[test]
fn nothing_is_lost_when_the_service_is_killed() {
    let daemon = Daemon::start().unwrap();
    let sources = drain();
    let recorder = Recorder::start("kill", &[]);
    recorder.wait_for_ticks(3);
    sources.relax(1).unwrap();
    sources.activate(0).unwrap();
    recorder.wait_for_ticks(3);

    drop(daemon);
    sources.relax(0).unwrap();
    sources.activate(1).unwrap();
    wait_until(
        "away",
        || lines(&recorder.path).iter().any(|it| it.get("away").is_some()),
        || format!("{:?}", lines(&recorder.path)),
    );
    sources.relax(1).unwrap();
    let _daemon = Daemon::start().unwrap();
    recorder.wait_for_ticks(3);
    sources.activate(2).unwrap();
    recorder.wait_for_ticks(2);

    let path = recorder.path.clone();
    let said = recorder.end(Signal::TERM);
    assert_eq!((said.status, said.out.as_str()), (Some(0), ""), "{said:?}");
    assert!(said.err.contains("waiting for it\nwakeupstats: the service is back\n"), "{said:?}");
    let lines = lines(&path);
    assert_eq!(lines.iter().filter(|line| line.get("header").is_some()).count(), 1);
    assert_eq!(lines.iter().filter(|line| line["tick"]["i"].is_i64()).count(), 1, "{lines:?}");
    let new = |line: &Value| line["tick"]["s"].to_string().matches(r#""n":"culprit""#).count();
    assert_eq!(lines.iter().map(new).sum::<usize>(), 1, "it went on as itself: {lines:?}");
    assert!(lines.iter().all(|line| line["tick"]["g"].is_null()), "{lines:?}");
    assert_true(&path);
}

#[test]
fn a_recorder_that_is_killed_loses_nothing_and_is_gone_on_with() {
    let _daemon = Daemon::start().unwrap();
    let sources = drain();
    let first = Recorder::start("gone-on", &[]);
    first.wait_for_ticks(3);
    let path = first.path.clone();
    first.end(Signal::KILL);
    let killed = fs::read(&path).unwrap();
    assert!(killed.ends_with(b"\n"), "one write, one line");
    // As if it had been killed within a line.
    fs::write(&path, [&*killed, br#"{"tick":{"m":12"#].concat()).unwrap();
    sources.relax(1).unwrap();

    let second = Recorder::start("gone-on", &["--append"]);
    second.wait_for_ticks(3);
    second.end(Signal::INT);

    let whole = fs::read(&path).unwrap();
    assert!(whole.starts_with(&killed), "what was there is there");
    let lines = lines(&path);
    let aways = lines.iter().filter(|line| line.get("away").is_some()).count();
    assert_eq!((aways, lines.iter().filter(|line| line.get("header").is_some()).count()), (1, 1));
    assert_true(&path);
}

#[test]
fn a_file_that_is_there_is_kept() {
    let _daemon = Daemon::start().unwrap();
    let path = format!("/tmp/kept-{}", std::process::id());
    fs::write(&path, "mine").unwrap();
    let record = |options: &[&str]| {
        run(&[&["record", "--for", "100ms", "--interval", "20ms", "--out", &path], options]
            .concat())
    };

    let refused = record(&[]);
    let appended = record(&["--append"]);
    assert_eq!((refused.status, appended.status), (Some(1), Some(1)));
    assert!(refused.err.contains("--append goes on with it, --force replaces it"), "{refused:?}");
    assert!(appended.err.contains("line 1") || appended.err.contains("is empty"), "{appended:?}");
    assert_eq!(fs::read(&path).unwrap(), b"mine");

    let forced = record(&["--force"]);
    assert_eq!(forced.status, Some(0), "{forced:?}");
    assert!((3..=7).contains(&(lines(&path).len() - 1)), "{:?}", lines(&path));
}

#[test]
fn a_full_disk_ends_it_and_what_is_there_is_whole() {
    let _daemon = Daemon::start().unwrap();
    let _sources = sources::mixed(60).unwrap();
    let directory = format!("/tmp/small-{}", std::process::id());
    fs::create_dir(&directory).unwrap();
    mount("tmpfs", &*directory, "tmpfs", MountFlags::empty(), Some(c"size=8k")).unwrap();
    let path = format!("{directory}/recording");

    let said = run(&["record", "--interval", "10ms", "--for", "60s", "--out", &path]);

    let text = fs::read_to_string(&path).unwrap();
    let picture = format!("/tmp/small-{}.svg", std::process::id());
    let plotted = run(&["plot", &path, "--out", &picture]);
    unmount(&*directory, UnmountFlags::empty()).unwrap();
    assert_eq!(said.status, Some(1), "{said:?}");
    assert!(said.err.contains("can't be written; the ") && said.err.contains("No space left"));
    assert!(text.ends_with("}\n"), "{text}");
    assert_eq!((plotted.status, plotted.err.as_str()), (Some(0), ""), "{plotted:?}");
}

#[test]
fn an_hour_takes_little_room() {
    let _daemon = Daemon::start().unwrap();
    let own = sources::mixed(150).unwrap();
    let busy = sources::eventfds(10).unwrap();
    let size = |path: &str| fs::metadata(path).unwrap().len();
    let ticks = |path: &str| lines(path).len() as u64 - 2;
    // Times of a whole second have two digits more than those here.
    let per_hour = |path: &str, begin: u64| ((size(path) - begin) / ticks(path) + 2) * 3_600;
    let first = |path: &str| {
        let text = fs::read_to_string(path).unwrap();
        text.split_inclusive('\n').take(2).map(str::len).sum::<usize>() as u64
    };

    let at_rest = Recorder::start("rest", &[]);
    at_rest.wait_for_ticks(20);
    let path = at_rest.path.clone();
    at_rest.end(Signal::INT);
    let (begin, rest) = (first(&path), per_hour(&path, first(&path)));

    let recorder = Recorder::start("busy", &[]);
    for _ in 0..20 {
        recorder.wait_for_ticks(1);
        busy.activate_all().unwrap();
        sleep(Duration::from_millis(5));
        busy.relax_all().unwrap();
    }
    let path = recorder.path.clone();
    recorder.end(Signal::INT);
    let active = per_hour(&path, first(&path));

    drop(own);
    show(format_args!(
        "a recording begins with {begin} bytes, and an hour of a tick a second takes {rest} at rest, \
         {active} with 10 busy sources"
    ));
    assert!(begin < 20_000 && rest < 110_000 && active < 4_000_000);
    assert!(Path::new(&path).exists() && !lines(&path).is_empty());
}

/// A recording of a second in which the culprit was active, through a restart of the service.
pub(crate) fn recording(name: &str) -> String {
    let daemon = Daemon::start().unwrap();
    let sources = drain();
    let recorder = Recorder::start(name, &[]);
    recorder.wait_for_ticks(5);
    drop(daemon);
    sources.activate(0).unwrap();
    let _daemon = Daemon::start().unwrap();
    recorder.wait_for_ticks(5);
    sources.relax(0).unwrap();
    recorder.wait_for_ticks(5);
    let path = recorder.path.clone();
    recorder.end(Signal::INT);
    assert!(fs::read_to_string(&path).unwrap().contains(CULPRIT));
    path
}
