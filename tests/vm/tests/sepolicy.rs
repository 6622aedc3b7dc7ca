// SPDX-License-Identifier: Apache-2.0
#![cfg(test)]
//! The SELinux policy, enforced: what it lets happen, whom it turns away, and that it has nothing that is not
//! needed.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use init::denials::Denials;
use init::property::Properties;
use init::selinux::{LEFT_OUT, LESS, POLICY, SERVICE_CONTEXTS};
use rustix::fs::{XattrFlags, setxattr};
use wakeupstats::pins::{DEFAULT_DIR, Pins};
use wakeupstats_vm::daemon::{self, SYSTEM};
use wakeupstats_vm::pinning::Unload;
use wakeupstats_vm::selinux::{self, domain_of, spawn_in};
use wakeupstats_vm::services::Service;
use wakeupstats_vm::{backend, many};

/// Some uid that only the permission service lets in.
const SOMEBODY: u32 = 12_345;

/// Everything takes less than a tenth of this, on a machine that has nothing else to do.
const PATIENT: Duration = Duration::from_secs(20);

/// For what is likely to fail: a wrong guess only makes a rule seem to be needed.
const IMPATIENT: Duration = Duration::from_secs(3);

/// Whether whatever is waited for is likely to come.
static IS_PATIENT: AtomicBool = AtomicBool::new(true);

fn limit() -> Duration {
    if IS_PATIENT.load(Ordering::Relaxed) { PATIENT } else { IMPATIENT }
}

/// So many do not fit into a binder reply.
const MANY: usize = 3_000;

/// A process that is killed when a test is through with it.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A service, as init has it, stopped when a test is through with it.
struct ByInit(Service);

impl ByInit {
    fn start(name: &str) -> Result<Self> {
        let service = Service::new(Properties::of_init(), name);
        service.order("start")?;
        Ok(Self(service))
    }

    /// The daemon, registered.
    fn daemon() -> Result<Self> {
        let daemon = Self::start("wakeupstatsd")?;
        wait_until(|| daemon::service().is_ok()).context("not registered")?;
        Ok(daemon)
    }
}

impl Drop for ByInit {
    fn drop(&mut self) {
        // The next test will say so if this fails.
        let _ = self.0.order("stop");
        let _ = self.0.wait_for("stopped", limit());
        let _ = wait_until(|| daemon::service().is_err());
    }
}

fn wait_until(is_so: impl Fn() -> bool) -> Result<()> {
    let begin = Instant::now();
    while !is_so() {
        ensure!(begin.elapsed() < limit(), "not within {:?}", limit());
        sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// What the program `client` says in this domain.
fn client(domain: &str, uid: u32, method: &str) -> Result<String> {
    let mut command = Command::new("/bin/client");
    command.arg(method).uid(uid).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = Process(spawn_in(Some(domain), &mut command)?);
    let mut said = child.0.stdout.take().context("its words are not kept")?;
    let begin = Instant::now();
    while child.0.try_wait()?.is_none() {
        ensure!(begin.elapsed() < limit(), "{domain}: no answer");
        sleep(Duration::from_millis(2));
    }
    Ok(std::io::read_to_string(&mut said)?.trim().to_owned())
}

fn ensure_says(domain: &str, uid: u32, method: &str, begin: &str) -> Result<()> {
    let said = client(domain, uid, method)?;
    ensure!(said.starts_with(begin), "{domain}, {method}: {said:?}");
    Ok(())
}

/// The daemon by init, with what bpfloader has pinned, and without; and all of its clients.
fn serves_its_clients() -> Result<()> {
    let unload = Unload;
    backend::load_and_pin()?;
    let daemon = ByInit::daemon()?;
    let domain = domain_of(daemon.0.pid()?)?;
    ensure!(domain == "wakeupstatsd", "it runs as {domain}");
    for domain in ["system_server", "traced_probes"] {
        ensure_says(domain, SYSTEM, "read", "pinned")?;
    }
    for domain in ["dumpstate", "shell"] {
        ensure_says(domain, SYSTEM, "dump", "wakeupstats: backend pinned")?;
    }
    drop(unload);
    let nodes = fs::read_dir("/sys/class/wakeup")?.count();
    ensure_says("system_server", SYSTEM, "read", &format!("sysfs {nodes}"))
}

/// The daemon as it asks the permission service.
fn asks_for_permission() -> Result<()> {
    let mut system_server = Command::new("/bin/client");
    system_server.arg("permission").uid(SYSTEM).stdin(Stdio::null()).stdout(Stdio::null());
    let _system_server = Process(spawn_in(Some("system_server"), &mut system_server)?);
    let mut daemon = Command::new(daemon::PATH_WITHOUT_LOADER);
    daemon
        .args(["--access", "permissions"])
        .env("RUST_LOG", "off")
        .uid(SYSTEM)
        .stdin(Stdio::null());
    let daemon = Process(daemon.spawn()?);
    wait_until(|| daemon::service().is_ok()).context("not registered")?;
    let asked =
        wait_until(|| client("system_server", SOMEBODY, "getStatus").is_ok_and(|it| it == "ok"));
    drop(daemon);
    wait_until(|| daemon::service().is_err())?;
    asked.context("no permission")
}

/// The loader of engineering builds, and the daemon with what that has pinned.
fn runs_what_the_loader_pinned() -> Result<()> {
    let _unload = Unload;
    let pins = Pins::new(DEFAULT_DIR);
    for _ in 0..2 {
        let before = pins.identity();
        let loader = Service::new(Properties::of_init(), "wakeupstatsd-load");
        let former = loader.pid().ok();
        let _loader = ByInit::start("wakeupstatsd-load")?;
        wait_until(|| loader.pid().ok() != former && loader.state() == "stopped")
            .context("the loader did not run")?;
        // The second time it replaces what the first has pinned.
        ensure!(pins.identity() != before, "nothing was pinned");
    }
    ensure!(fs::read_dir("/sys/fs/bpf")?.count() == 1, "it has left something");
    let _daemon = ByInit::daemon()?;
    ensure_says("system_server", SYSTEM, "read", "pinned")
}

/// Replies that go in memory.
fn gives_large_replies() -> Result<()> {
    let _many = many::shared(MANY);
    let _unload = Unload;
    backend::load_and_pin()?;
    let _daemon = ByInit::daemon()?;
    for domain in ["system_server", "traced_probes", "shell"] {
        ensure_says(domain, SYSTEM, "read", "pinned 3")?;
    }
    Ok(())
}

/// All but large replies.
fn works() -> Result<()> {
    serves_its_clients()?;
    runs_what_the_loader_pinned()?;
    asks_for_permission()
}

#[test]
fn daemon_clients_and_loader_work_in_their_domains() {
    assert!(selinux::is_enforced());

    let denied = denied_during(|| works().unwrap());

    assert_eq!(denied, BTreeSet::new());
}

/// What is denied while something is done: permission, source and class of each.
fn denied_during(act: impl FnOnce()) -> BTreeSet<String> {
    let mut denials = Denials::from_now().unwrap();
    act();
    let summary = |denial: String| {
        let Some((_, words)) = denial.split_once("avc:  denied  { ") else { return denial };
        let permission = words.split_once(' ').unwrap().0;
        let field = |name: &str| {
            words.split_whitespace().find_map(|it| it.strip_prefix(name)).unwrap().to_owned()
        };
        format!("{permission} {} {}", field("scontext="), field("tclass="))
    };
    denials.take().unwrap().into_iter().map(summary).collect()
}

#[test]
fn who_may_not_find_the_service_does_not_and_who_may_not_call_it_is_refused() {
    let daemon = ByInit::daemon().unwrap();
    for (domain, denied) in [
        ("untrusted_app", Some("find u:r:untrusted_app:s0 service_manager")),
        // It is found; and whoever makes a proxy asks the service for its interface.
        ("finder", Some("call u:r:finder:s0 binder")),
        ("system_server", None),
    ] {
        let mut said = String::new();
        let seen = denied_during(|| said = client(domain, SYSTEM, "read").unwrap());

        assert_eq!(seen.into_iter().collect::<Vec<_>>(), Vec::from_iter(denied), "{domain}");
        let begin = if denied.is_some() { "not found: " } else { "sysfs " };
        assert!(said.starts_with(begin), "{domain}: {said}");
    }
    drop(daemon);
}

/// Gives a file another type until this is dropped.
struct Relabelled(&'static str, &'static str);

impl Relabelled {
    fn new(path: &'static str, from: &'static str, to: &str) -> Self {
        set_type(path, to);
        Self(path, from)
    }
}

impl Drop for Relabelled {
    fn drop(&mut self) {
        set_type(self.0, self.1);
    }
}

fn set_type(path: &str, name: &str) {
    let context = format!("u:object_r:{name}:s0");
    setxattr(path, "security.selinux", context.as_bytes(), XattrFlags::empty()).unwrap();
}

#[test]
fn each_context_is_needed() {
    let daemon = "/system/bin/wakeupstatsd";
    let relabelled = Relabelled::new(daemon, "wakeupstatsd_exec", "system_file");
    let error = serves_its_clients().unwrap_err().to_string();
    assert_eq!(error, "not registered");
    drop(relabelled);
    let loader = "/system/bin/wakeupstatsd-eng";
    let relabelled = Relabelled::new(loader, "wakeupstatsd_load_exec", "system_file");
    let error = runs_what_the_loader_pinned().unwrap_err().to_string();
    assert_eq!(error, "the loader did not run");
    drop(relabelled);
    let contexts = fs::read_to_string(SERVICE_CONTEXTS).unwrap();
    let kept: Vec<&str> = contexts.lines().filter(|it| !it.starts_with("wakeupstats")).collect();
    fs::write(SERVICE_CONTEXTS, kept.join("\n")).unwrap();
    let without = serves_its_clients();
    fs::write(SERVICE_CONTEXTS, contexts).unwrap();
    assert_eq!(without.unwrap_err().to_string(), "not registered");

    works().unwrap();
}

/// Has the whole policy enforced again, whatever happens.
struct Whole(Vec<u8>);

impl Drop for Whole {
    fn drop(&mut self) {
        IS_PATIENT.store(true, Ordering::Relaxed);
        selinux::load(&self.0).unwrap();
    }
}

/// What comes of something with less than the whole policy.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Works,
    Denied,
    /// It fails, and nothing is denied: for another reason, then.
    FailsSilently,
}

/// What comes of it with the policy of this number.
fn outcome(number: usize, works: fn() -> Result<()>) -> Outcome {
    selinux::load(&fs::read(Path::new(LESS).join(number.to_string())).unwrap()).unwrap();
    let mut outcome = Outcome::FailsSilently;
    // A busy machine may be late, too.
    for _ in 0..3 {
        let mut result = Ok(());
        let denied = denied_during(|| result = works());
        // A loader that failed half way.
        for left in fs::read_dir("/sys/fs/bpf").unwrap() {
            fs::remove_dir_all(left.unwrap().path()).unwrap();
        }
        outcome = match (result, denied.is_empty()) {
            (Ok(()), _) => return Outcome::Works,
            (Err(_), false) => return Outcome::Denied,
            (Err(_), true) => Outcome::FailsSilently,
        };
    }
    outcome
}

#[test]
fn zz_nothing_of_the_policy_can_be_left_out() {
    let left_out = fs::read_to_string(Path::new(LESS).join(LEFT_OUT)).unwrap();
    let left_out: Vec<&str> = left_out.lines().collect();
    let whole = Whole(fs::read(POLICY).unwrap());
    IS_PATIENT.store(false, Ordering::Relaxed);
    works().unwrap();
    let mut outcomes: Vec<Outcome> =
        (0..left_out.len()).map(|number| outcome(number, works)).collect();
    for (number, outcome_of_works) in outcomes.iter_mut().enumerate() {
        // What only large replies need.
        if *outcome_of_works == Outcome::Works {
            *outcome_of_works = outcome(number, gives_large_replies);
        }
    }
    drop(whole);

    gives_large_replies().unwrap();
    assert!(left_out.len() > 50, "{left_out:?}");
    for (without, outcome) in left_out.iter().zip(outcomes) {
        assert!(outcome != Outcome::Works, "all works without {without}");
        assert!(outcome != Outcome::FailsSilently, "nothing is denied without {without}");
    }
}
