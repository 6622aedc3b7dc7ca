// SPDX-License-Identifier: Apache-2.0
//! Init's work for services: starts them when their files say so, as whom they say, and again when they
//! end. What a service may do is what Android's init would let it (system/core/init/service.cpp).

use std::fs::{self, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use rustix::thread::{CapabilitySet, remove_capability_from_bounding_set};

use crate::property::Properties;
use crate::rc::service::{Action, Program, Service};
use crate::rc::{self, grammar};

/// Longer than any message.
const MESSAGE_BYTES: usize = 256;

/// Held while a service is started.
static START: Mutex<()> = Mutex::new(());

/// As long as this is held, no service is started: whoever reaps all children must hold it, for a start that
/// fails waits for the child that it made.
pub fn no_start() -> MutexGuard<'static, ()> {
    START.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What becomes readable when a child ends.
pub fn end_of(child: u32) -> Result<OwnedFd> {
    let pid = i32::try_from(child).ok().and_then(Pid::from_raw).context("a child without an id")?;
    pidfd_open(pid, PidfdFlags::empty()).with_context(|| format!("watch process {child}"))
}

/// Ends [`Supervisor::run`].
const SHUTDOWN: &str = "sys.powerctl";

/// The services of some files, and what they do.
#[derive(Debug)]
pub struct Supervisor {
    properties: Properties,
    socket: UnixDatagram,
    services: Vec<Supervised>,
    actions: Vec<Action>,
}

#[derive(Debug)]
struct Supervised {
    service: Service,
    state: State,
}

#[derive(Debug)]
enum State {
    Stopped,
    Running { child: Child, end: OwnedFd, since: Instant },
    Restarting { at: Instant },
}

impl Supervisor {
    /// One for what these files say, given by name and text, which listens for these properties. Nothing
    /// runs yet.
    pub fn new(properties: Properties, files: &[(String, String)]) -> Result<Self> {
        let mut supervised = Vec::new();
        let mut actions = Vec::new();
        for (name, text) in files {
            let program = read(text).with_context(|| name.clone())?;
            let stopped = |service| Supervised { service, state: State::Stopped };
            supervised.extend(program.services.into_iter().map(stopped));
            actions.extend(program.actions);
        }
        let socket = properties.listen().context("listen for properties")?;
        Ok(Self { properties, socket, services: supervised, actions })
    }

    /// Starts the services of class `main` that are not disabled, then does what it is told, until
    /// [`Self::shut_down`].
    pub fn run(mut self) -> Result<()> {
        for supervised in &mut self.services {
            if supervised.service.class == "main" && !supervised.service.is_disabled {
                supervised.start(&self.properties)?;
            }
        }
        loop {
            let pause = self.next_deadline().map(until).transpose()?;
            let mut watched = vec![PollFd::new(&self.socket, PollFlags::IN)];
            watched.extend(self.services.iter().filter_map(Supervised::end));
            poll(&mut watched, pause.as_ref()).context("wait for properties and services")?;
            let is_told = watched.first().is_some_and(|fd| !fd.revents().is_empty());

            let properties = &self.properties;
            self.services.iter_mut().try_for_each(|it| it.look_after(properties))?;
            if is_told {
                let mut message = [0; MESSAGE_BYTES];
                let length = self.socket.recv(&mut message).context("receive a property")?;
                let text = String::from_utf8_lossy(message.get(..length).unwrap_or_default());
                let Some((name, value)) = text.split_once('=') else { continue };
                // Whoever may set properties can say anything; as on a device that harms nobody.
                if !Properties::is_name(name) {
                    continue;
                }
                if name == SHUTDOWN {
                    return self.services.iter_mut().try_for_each(|it| it.stop(properties));
                }
                self.set(name, value)?;
            }
        }
    }

    /// Ends the supervisor of these properties, and its services.
    pub fn shut_down(properties: &Properties) -> io::Result<()> {
        properties.set(SHUTDOWN, "shutdown")
    }

    /// What a property tells it to do. Those that begin with `ctl.` are orders, and have no value.
    fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let Some(order) = name.strip_prefix("ctl.") else {
            self.properties.publish(name, value).with_context(|| format!("set {name}"))?;
            let fires = |action: &&Action| action.property == name && action.value == value;
            let actions = self.actions.iter().filter(fires);
            let names: Vec<String> = actions.flat_map(|action| action.start.clone()).collect();
            return names.iter().try_for_each(|name| self.start_each(|it| it.name == *name));
        };
        match (order, value.split_once('/')) {
            ("start", _) => self.start_each(|it| it.name == value),
            ("stop", _) => {
                let properties = &self.properties;
                let named = self.services.iter_mut().filter(|it| it.service.name == value);
                named.into_iter().try_for_each(|it| it.stop(properties))
            }
            ("interface_start", Some(("aidl", interface))) => {
                self.start_each(|it| it.interfaces.iter().any(|name| name == interface))
            }
            _ => Ok(()),
        }
    }

    fn start_each(&mut self, is_meant: impl Fn(&Service) -> bool) -> Result<()> {
        let properties = &self.properties;
        let meant = self.services.iter_mut().filter(|it| is_meant(&it.service));
        meant.into_iter().try_for_each(|it| it.start(properties))
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.services.iter().filter_map(Supervised::deadline).min()
    }
}

impl Supervised {
    /// Starts it unless it runs.
    fn start(&mut self, properties: &Properties) -> Result<()> {
        if matches!(self.state, State::Running { .. }) {
            return Ok(());
        }
        let name = &self.service.name;
        let since = Instant::now();
        let (child, end) = match spawn(&self.service) {
            Ok(started) => started,
            Err(error) => {
                // As one that ended at once.
                eprintln!("init: service {name} can't be started: {error:#}");
                return self.enter(self.state_after(since), properties);
            }
        };
        let (pid, name) = (child.id().to_string(), name.clone());
        self.enter(State::Running { child, end, since }, properties)?;
        let name = format!("init.svc_debug_pid.{name}");
        properties.publish(&name, &pid).with_context(|| format!("set {name}"))
    }

    /// Kills it, and does not start it again.
    fn stop(&mut self, properties: &Properties) -> Result<()> {
        if let State::Running { child, end, .. } = &mut self.state {
            kill(child, end);
        }
        self.enter(State::Stopped, properties)
    }

    /// Does what is due: a service has ended, has run too long, or has waited long enough.
    fn look_after(&mut self, properties: &Properties) -> Result<()> {
        let now = Instant::now();
        let deadline = self.deadline();
        let since = match &mut self.state {
            State::Running { child, end, since } => {
                if has_ended(end)? {
                    // PID 1 reaps all that ends, and may have been the first.
                    let _ = child.try_wait();
                } else if deadline.is_some_and(|at| at <= now) {
                    kill(child, end);
                } else {
                    return Ok(());
                }
                *since
            }
            State::Restarting { at } if *at <= now => return self.start(properties),
            State::Restarting { .. } | State::Stopped => return Ok(()),
        };
        self.enter(self.state_after(since), properties)
    }

    /// What comes after a run that began then.
    fn state_after(&self, since: Instant) -> State {
        if self.service.is_oneshot {
            return State::Stopped;
        }
        State::Restarting { at: Instant::now().max(since + self.service.restart_period) }
    }

    fn enter(&mut self, state: State, properties: &Properties) -> Result<()> {
        self.state = state;
        let value = match self.state {
            State::Stopped => "stopped",
            State::Running { .. } => "running",
            State::Restarting { .. } => "restarting",
        };
        let name = format!("init.svc.{}", self.service.name);
        properties.publish(&name, value).with_context(|| format!("set {name}"))
    }

    /// When there is something to do that no event tells of.
    fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Stopped => None,
            State::Running { since, .. } => Some(*since + self.service.timeout_period?),
            State::Restarting { at } => Some(*at),
        }
    }

    /// Becomes readable when it ends.
    fn end(&self) -> Option<PollFd<'_>> {
        match &self.state {
            State::Running { end, .. } => Some(PollFd::new(end, PollFlags::IN)),
            State::Stopped | State::Restarting { .. } => None,
        }
    }
}

/// What a file says, if init would take it and this reader knows all of it.
pub fn read(text: &str) -> Result<Program> {
    let sections = rc::parse(text)?;
    if let Some(problem) = grammar::problems(&sections).into_iter().next() {
        return Err(problem.into());
    }
    Ok(Program::read(&sections)?)
}

/// Starts the program, and watches for its end: as whom and with no more capabilities than the service says.
fn spawn(service: &Service) -> Result<(Child, OwnedFd)> {
    let [path, arguments @ ..] = service.command.as_slice() else { bail!("it has no program") };
    // Of the service's words those to standard error are for the log; the guest has no logcat.
    let log = OpenOptions::new().write(true).open("/dev/console").context("open /dev/console")?;
    let uid = id("/etc/passwd", &service.user)?;
    let gid = service.group.as_ref().map_or(Ok(0), |group| id("/etc/group", group))?;
    let mut command = Command::new(path);
    command.args(arguments).uid(uid).gid(gid).env_clear();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    let start = || -> Result<(Child, OwnedFd)> {
        if let Some(kept) = service.capabilities {
            keep_only(kept);
        }
        let _start = no_start();
        let child = command.spawn().with_context(|| format!("run {path}"))?;
        // While nobody can have reaped it.
        let end = end_of(child.id())?;
        Ok((child, end))
    };
    // A thread of its own, whose bounding set the service inherits.
    thread::scope(|scope| scope.spawn(start).join())
        .map_err(|_| anyhow::anyhow!("the thread that starts it panicked"))?
}

/// Takes all other capabilities from what this thread, and whom it starts, can ever get.
pub fn keep_only(kept: CapabilitySet) {
    for capability in CapabilitySet::all().difference(kept).iter() {
        // Those that this kernel does not know are not held either.
        let _ = remove_capability_from_bounding_set(capability);
    }
}

/// The id of a user or group, in the third field of the line that begins with its name.
fn id(file: &str, name: &str) -> Result<u32> {
    let text = fs::read_to_string(file).with_context(|| format!("read {file}"))?;
    let mut lines = text.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let line = lines.find(|fields| fields.first() == Some(&name));
    let id = line.as_ref().and_then(|fields| fields.get(2)?.parse().ok());
    id.with_context(|| format!("{file} has no {name}"))
}

/// By the descriptor: PID 1 may have reaped it, and its id be another's.
fn kill(child: &mut Child, end: &OwnedFd) {
    let _ = pidfd_send_signal(end, Signal::KILL);
    let _ = child.wait();
}

fn has_ended(end: &OwnedFd) -> Result<bool> {
    let mut watched = [PollFd::new(end, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    Ok(poll(&mut watched, Some(&now)).context("look whether a service has ended")? > 0)
}

fn until(deadline: Instant) -> Result<Timespec> {
    let pause: Duration = deadline.saturating_duration_since(Instant::now());
    Timespec::try_from(pause).context("wait for a service")
}
