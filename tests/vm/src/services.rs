// SPDX-License-Identifier: Apache-2.0
//! The services of an init, as who asks for its properties and looks into /proc sees them.

use std::collections::BTreeMap;
use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use init::property::Properties;
use init::supervisor::Supervisor;

use crate::daemon;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// The daemon, as its rc file names it.
pub const DAEMON: &str = "wakeupstatsd";

/// Starting takes some ten milliseconds, and registering some more.
pub const SOON: Duration = Duration::from_secs(10);

/// What init says when bpfloader is done, and what the services wait for.
pub const BPF_LOADED: &str = "bpf.progs_loaded";

/// A service of an init.
#[derive(Clone, Debug)]
pub struct Service {
    properties: Properties,
    name: String,
}

impl Service {
    /// The service of that name, of the init with these properties.
    pub fn new(properties: Properties, name: &str) -> Self {
        Self { properties, name: name.to_owned() }
    }

    /// What init says of it: `running`, `stopped` or `restarting`; nothing if it was never started.
    pub fn state(&self) -> String {
        self.properties.value(&format!("init.svc.{}", self.name))
    }

    /// The id of its process, the last that it had.
    pub fn pid(&self) -> Result<i32> {
        let pid = self.properties.value(&format!("init.svc_debug_pid.{}", self.name));
        pid.parse().with_context(|| format!("{} was never started", self.name))
    }

    /// Waits for a state, up to `limit`.
    pub fn wait_for(&self, state: &str, limit: Duration) -> Result<()> {
        let begin = Instant::now();
        while self.state() != state {
            if begin.elapsed() > limit {
                bail!("{} is {:?}, not {state:?}, after {limit:?}", self.name, self.state());
            }
            sleep(PAUSE);
        }
        Ok(())
    }

    /// Who its process runs as and what it may do: the lines of its status of these names.
    pub fn credentials(&self) -> Result<BTreeMap<String, String>> {
        const LINES: &[&str] =
            &["Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()?))?;
        let lines = status.lines().filter_map(|line| line.split_once(':'));
        let wanted = lines.filter(|(name, _)| LINES.contains(name));
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        Ok(wanted.map(|(name, value)| (name.to_owned(), words(value))).collect())
    }

    /// Tells init to do this with it: `start` or `stop`.
    pub fn order(&self, what: &str) -> Result<()> {
        Ok(self.properties.set(&format!("ctl.{what}"), &self.name)?)
    }
}

/// Stops services of the guest's init when this is dropped, and waits until nobody finds the daemon any more.
#[derive(Debug)]
pub struct Stop(pub Vec<Service>);

impl Drop for Stop {
    fn drop(&mut self) {
        for service in &self.0 {
            // The next test will say so if this fails.
            let _ = service.order("stop");
            let _ = service.wait_for("stopped", SOON);
        }
        // The service manager learns of the death a little later.
        let begin = Instant::now();
        while daemon::service().is_ok() && begin.elapsed() < SOON {
            sleep(Duration::from_millis(5));
        }
    }
}

/// Ends an init of a test's own, and its services, when this is dropped, so that a test which fails does not
/// wait for it for good.
#[derive(Debug)]
pub struct ShutDown(pub Properties);

impl Drop for ShutDown {
    fn drop(&mut self) {
        // Who waits for it to end will say so if this fails.
        let _ = Supervisor::shut_down(&self.0);
    }
}

/// Waits until the daemon, which someone else starts, is registered.
pub fn wait_until_registered() -> Result<()> {
    let begin = Instant::now();
    while daemon::service().is_err() {
        ensure!(begin.elapsed() < SOON, "the daemon did not register");
        sleep(PAUSE);
    }
    Ok(())
}

/// The daemon by its rc file, started by the guest's init, and registered.
pub fn start_daemon() -> Result<(Service, Stop)> {
    let service = Service::new(Properties::of_init(), DAEMON);
    let stop = Stop(vec![service.clone()]);
    service.order("start")?;
    service.wait_for("running", SOON)?;
    wait_until_registered()?;
    Ok((service, stop))
}
