// SPDX-License-Identifier: Apache-2.0
#![cfg(test)]
//! The rc files: the guest's init starts the services from them, and each line of them does something.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use init::property::Properties;
use init::supervisor::{self, Supervisor};
use init::{RC_FILES, rc};
use rustix::process::{Pid, Signal, kill_process};
use wakeupstats::pins::{DEFAULT_DIR, Pins};
use wakeupstats_aidl::SnapshotBackend;
use wakeupstats_vm::backend;
use wakeupstats_vm::daemon::{self, SYSTEM};
use wakeupstats_vm::kfuncs::Kfuncs;
use wakeupstats_vm::pinning::status;
use wakeupstats_vm::services::{BPF_LOADED, DAEMON, SOON, Service, Stop, wait_until_registered};

const LOADER: &str = "wakeupstatsd-load";

/// The daemon's, as its file has it.
const RESTART_PERIOD: Duration = Duration::from_secs(30);

fn service(name: &str) -> Service {
    Service::new(Properties::of_init(), name)
}

#[test]
fn services_start_when_bpf_programs_are_loaded_and_need_no_more_than_their_files_give() {
    let (daemon, loader) = (service(DAEMON), service(LOADER));
    let _stop = Stop(vec![daemon.clone(), loader.clone()]);
    for service in [&daemon, &loader] {
        assert!(["", "stopped"].contains(&&*service.state()), "{}", service.state());
    }

    Properties::of_init().set(BPF_LOADED, "1").unwrap();

    daemon.wait_for("running", SOON).unwrap();
    loader.wait_for("stopped", SOON).unwrap();
    wait_until_registered().unwrap();
    let expected = if Kfuncs::of_this_kernel().exist() {
        let is_systems = |it: Metadata| (it.uid(), it.gid(), it.mode() & 0o777);
        for pin in [Pins::new(DEFAULT_DIR).program(), Pins::new(DEFAULT_DIR).map()] {
            assert_eq!(is_systems(fs::metadata(pin).unwrap()), (SYSTEM, SYSTEM, 0o440));
        }
        // The daemon may have been the first; it notices the pins with its next call.
        daemon::service().unwrap().getSnapshot(&Default::default()).unwrap();
        SnapshotBackend::PINNED
    } else {
        SnapshotBackend::SYSFS
    };
    assert_eq!(status().backend, expected);
    backend::unload().unwrap();

    let credentials = daemon.credentials().unwrap();
    let program = fs::read_link(format!("/proc/{}/exe", daemon.pid().unwrap())).unwrap();
    assert_eq!(program, Path::new(daemon::PATH_WITHOUT_LOADER));
    for (line, value) in credentials {
        let expected = match line.as_str() {
            "Uid" | "Gid" => "1000 1000 1000 1000",
            "Groups" => "",
            _ => "0000000000000000",
        };
        assert_eq!(value, expected, "{line}");
    }
}

#[test]
fn loader_needs_each_capability_that_its_file_gives() {
    if !Kfuncs::of_this_kernel().exist() {
        return;
    }
    let text = fs::read_to_string(format!("{RC_FILES}/wakeupstatsd-load.rc")).unwrap();
    let line = text.lines().find(|line| line.trim().starts_with("capabilities")).unwrap();
    let given: Vec<&str> = line.split_whitespace().skip(1).collect();
    assert_eq!(given.len(), 2);
    backend::unload().unwrap();
    for left_out in given.iter().map(Some).chain([None]) {
        let kept = line.split(' ').filter(|word| Some(word) != left_out).collect::<Vec<_>>();
        let text = text.replace(line, &kept.join(" "));
        let properties = Properties::new(format!("/run/init-test-{left_out:?}"));
        let supervisor = Supervisor::new(properties.clone(), &[("a file".into(), text)]).unwrap();
        let running = thread::spawn(|| supervisor.run());

        properties.set(BPF_LOADED, "1").unwrap();
        Service::new(properties.clone(), LOADER).wait_for("stopped", SOON).unwrap();

        Supervisor::shut_down(&properties).unwrap();
        running.join().unwrap().unwrap();
        let is_pinned = Pins::new(DEFAULT_DIR).program().exists();
        assert_eq!(is_pinned, left_out.is_none(), "without {left_out:?}");
    }
    backend::unload().unwrap();
}

#[test]
fn who_waits_for_the_service_has_init_start_it() {
    let daemon = service(DAEMON);
    let _stop = Stop(vec![daemon.clone()]);
    daemon.order("stop").unwrap();

    Properties::of_init().set("ctl.interface_start", "aidl/wakeupstats").unwrap();

    daemon.wait_for("running", SOON).unwrap();
    wait_until_registered().unwrap();
}

/// What an init makes of a file, to someone who looks for some 35 s.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Behaviour {
    runs_before: bool,
    runs_when_loaded: bool,
    credentials: BTreeMap<String, String>,
    /// Of a program that does not end by itself.
    runs_after_12_s: bool,
    /// Whether it is started again after it was killed 12 s after its start, and if so, whether not at once.
    restarts_late: Option<bool>,
    starts_by_interface: bool,
}

/// The behaviour of the only service in this text, with a program in its place that does nothing; none
/// if init does not take the text.
fn behaviour(text: &str, number: usize) -> Option<Behaviour> {
    let sections = rc::parse(text).unwrap();
    let [_, name, command @ ..] = sections[0].head.words.as_slice() else { unreachable!() };
    let text = text.replace(&command.join(" "), "/bin/client idle");
    let properties = Properties::new(format!("/run/init-test-{number}"));
    let service = Service::new(properties.clone(), name);
    supervisor::read(&text).ok()?;
    let supervisor = Supervisor::new(properties.clone(), &[("a file".to_owned(), text)]).unwrap();
    let running = thread::spawn(|| supervisor.run());

    sleep(Duration::from_secs(1));
    let runs_before = service.state() == "running";
    properties.set(BPF_LOADED, "1").unwrap();
    sleep(Duration::from_secs(1));
    let begin = Instant::now();
    let runs_when_loaded = service.state() == "running";
    let credentials =
        if runs_when_loaded { service.credentials().unwrap() } else { BTreeMap::new() };
    sleep(Duration::from_secs(11));
    let runs_after_12_s = service.state() == "running";
    if runs_after_12_s {
        let first = service.pid().unwrap();
        kill_process(Pid::from_raw(first).unwrap(), Signal::KILL).unwrap();
        while service.pid().unwrap() == first && begin.elapsed() < RESTART_PERIOD + SOON {
            sleep(Duration::from_millis(100));
        }
    }
    let restarted = runs_after_12_s && service.state() == "running";
    let restarts_late = restarted.then(|| begin.elapsed() > RESTART_PERIOD - SOON / 2);
    service.order("stop").unwrap();
    let _ = service.wait_for("stopped", SOON);
    properties.set("ctl.interface_start", "aidl/wakeupstats").unwrap();
    sleep(Duration::from_secs(1));
    let starts_by_interface = service.state() == "running";
    Supervisor::shut_down(&properties).unwrap();
    running.join().unwrap().unwrap();
    Some(Behaviour {
        runs_before,
        runs_when_loaded,
        credentials,
        runs_after_12_s,
        restarts_late,
        starts_by_interface,
    })
}

/// The file without each of its lines but the one that names the service, and that line.
fn without_each_line(text: &str) -> Vec<(String, String)> {
    let sections = rc::parse(text).unwrap();
    let service_line = sections[0].head.number;
    let lines = sections.iter().flat_map(|it| [&it.head].into_iter().chain(&it.body));
    let numbers = lines.map(|line| line.number).filter(|number| *number != service_line);
    let without = |number: usize| {
        let trigger = text.lines().nth(number - 1).unwrap().starts_with("on ");
        let kept = (1..).zip(text.lines()).filter(|(it, _)| {
            // A section goes as a whole.
            *it != number && !(trigger && *it > number)
        });
        let kept: Vec<&str> = kept.map(|(_, line)| line).collect();
        (text.lines().nth(number - 1).unwrap().trim().to_owned(), kept.join("\n"))
    };
    numbers.map(without).collect()
}

#[test]
fn each_line_of_the_rc_files_changes_what_init_does() {
    // Lines that say what this init can't do, or does anyway; beside them in the file is why they are there.
    const NO_DIFFERENCE: &[&str] = &[
        // class_start leaves the service out, as it is disabled, and nothing here stops a class.
        "class main",
        // The guest has no task profiles.
        "task_profiles ServiceCapacityLow",
    ];
    let mut cases = Vec::new();
    for entry in fs::read_dir(RC_FILES).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let name = path.display().to_string();
        cases.push((name.clone(), String::new(), text.clone()));
        cases.extend(without_each_line(&text).into_iter().map(|(l, t)| (name.clone(), l, t)));
    }
    let behaviours: Vec<Option<Behaviour>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..)
            .zip(&cases)
            .map(|(number, (_, _, text))| scope.spawn(move || behaviour(text, number)))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });

    let whole: BTreeMap<&str, &Option<Behaviour>> = cases
        .iter()
        .zip(&behaviours)
        .filter(|((_, line, _), _)| line.is_empty())
        .map(|((name, _, _), behaviour)| (name.as_str(), behaviour))
        .collect();
    assert_eq!(whole.len(), 2);
    for ((name, line, _), behaviour) in cases.iter().zip(&behaviours) {
        let whole = whole[name.as_str()];
        assert!(whole.is_some(), "{name}");
        let differs = behaviour != whole;
        let should_differ = !line.is_empty() && !NO_DIFFERENCE.contains(&line.as_str());
        assert_eq!(
            differs, should_differ,
            "{name} without {line:?}: {behaviour:?}, with: {whole:?}"
        );
    }
}
