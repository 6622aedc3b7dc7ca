// SPDX-License-Identifier: Apache-2.0
//! Several clients that call the service at once, each a process of its own.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use super::calls::{self, Service};
use super::measure::Process;
use super::{Contender, Seen};
use crate::daemon;

/// The word by which this program is a client.
pub const ROLE: &str = "client";

/// How many there are.
const CLIENTS: u32 = 8;

/// How often each calls when it is told to: so often that being told does not count.
const CALLS_EACH: u32 = 8;

/// A client. It calls as often as it gets a line, and answers with what the last call saw.
#[derive(Debug)]
struct Client {
    child: Child,
    words: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Client {
    fn start() -> Result<Self> {
        let program = std::env::current_exe()?;
        let mut command = Command::new(program);
        command.arg(ROLE).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("can't start a client")?;
        let words = child.stdin.take().context("no standard input")?;
        let answers = BufReader::new(child.stdout.take().context("no standard output")?);
        Ok(Client { child, words, answers })
    }

    fn answer(&mut self) -> Result<Seen> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        match line.trim().split_once(' ') {
            Some((sources, events)) => {
                Ok(Seen::Numbers { sources: sources.parse()?, events: events.parse()? })
            }
            None => bail!("a client failed; its error is above"),
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// All of them.
#[derive(Debug)]
pub struct Clients {
    clients: Vec<Client>,
    processes: Vec<Process>,
}

impl Clients {
    /// Starts them, as clients of this service, which must be the one that is registered.
    pub fn start(service: &Service) -> Result<Self> {
        let clients = (0..CLIENTS).map(|_| Client::start());
        let mut clients: Vec<Client> = clients.collect::<Result<_>>()?;
        for client in &mut clients {
            // The first comes unasked, when the service has been found.
            client.answer()?;
        }
        let mut processes: Vec<Process> =
            clients.iter().map(|client| Process::new(client.child.id())).collect();
        processes.push(service.process.clone());
        Ok(Clients { clients, processes })
    }
}

/// All clients, each of which calls several times.
#[derive(Debug)]
pub struct Shared<'a> {
    clients: &'a mut Clients,
    seen: Vec<Seen>,
}

impl<'a> Shared<'a> {
    /// With these.
    pub fn new(clients: &'a mut Clients) -> Self {
        Shared { clients, seen: Vec::new() }
    }
}

impl Contender for Shared<'_> {
    fn name(&self) -> &'static str {
        "binder_shared"
    }

    fn call(&mut self) -> Result<()> {
        let clients = &mut self.clients.clients;
        clients.iter_mut().try_for_each(|client| client.words.write_all(b"\n"))?;
        self.seen = clients.iter_mut().map(Client::answer).collect::<Result<_>>()?;
        Ok(())
    }

    fn seen(&self) -> Result<Seen> {
        let first = *self.seen.first().context("no client answered")?;
        ensure!(self.seen.iter().all(|seen| *seen == first), "clients saw {:?}", self.seen);
        Ok(first)
    }

    fn calls(&self) -> u32 {
        CLIENTS * CALLS_EACH
    }

    fn processes(&self) -> &[Process] {
        &self.clients.processes
    }
}

/// The client's part: calls until there is no more to read.
pub fn serve() -> Result<()> {
    let service = Service { proxy: daemon::service()?, process: Process::new(0) };
    let answer = |reply| {
        match calls::seen(&reply)? {
            Seen::Numbers { sources, events } => println!("{sources} {events}"),
            Seen::Sources(_) | Seen::Nothing => (),
        }
        anyhow::Ok(())
    };
    answer(service.all()?)?;
    for line in std::io::stdin().lines() {
        line?;
        for _ in 1..CALLS_EACH {
            service.all()?;
        }
        answer(service.all()?)?;
    }
    Ok(())
}
