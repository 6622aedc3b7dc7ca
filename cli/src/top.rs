// SPDX-License-Identifier: Apache-2.0
//! `wakeupstats top`: what holds the device awake, all the time.

use std::io::{self, IsTerminal};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, sleep};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::Args;
use ratatui::crossterm::event;
use wakeupstats_aidl::{Client, ClientError};

use crate::interrupt;
use crate::moment::Moment;
use crate::output::chain;

mod screen;

use screen::{Message, Screen};

/// More often would show who runs this command, and little else.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);

/// How long nothing need be drawn if nothing comes: what is shown says how old it is, in seconds.
const LONGEST_SILENCE: Duration = Duration::from_secs(1);

#[derive(Args, Debug)]
#[command(after_help = "\
Keys: q, Esc or Ctrl-C ends it, s changes the order, p pauses, / filters by a part of the name, arrows,
PgUp, PgDn, Home and End scroll. What the columns mean: wakeupstats diff --help.")]
pub(crate) struct Options {
    /// How long it is from one look to the next, as 1s or 500ms
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    interval: Duration,
}

fn interval(text: &str) -> anyhow::Result<Duration> {
    let interval = humantime::parse_duration(text)?;
    ensure!(interval >= SHORTEST_INTERVAL, "it is shorter than {SHORTEST_INTERVAL:?}");
    Ok(interval)
}

/// Gives the terminal back as it was, however this ends.
struct Restored;

impl Drop for Restored {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

impl Options {
    /// Shows it until the user has seen enough.
    pub(crate) fn run(
        &self,
        connect: impl FnOnce() -> Result<Client, ClientError>,
    ) -> anyhow::Result<()> {
        if !(io::stdin().is_terminal() && io::stdout().is_terminal()) {
            bail!(
                "top needs a terminal: over adb that is `adb shell -t wakeupstats top`; elsewhere \
                 use `wakeupstats diff`"
            );
        }
        drop(connect()?);
        // From now on it is not waited for: what is lost is shown.
        let client = Client::connect(Duration::ZERO)?;
        let (sender, messages) = channel();
        let end = sender.clone();
        interrupt::on_each(move || drop(end.send(Message::End)))
            .context("signals can't be waited for")?;
        let _restored = Restored;
        let mut terminal = ratatui::try_init().context("the terminal can't be set up")?;
        let (of_service, interval) = (sender.clone(), self.interval);
        thread::spawn(move || watch_service(client, interval, &of_service));
        thread::spawn(move || watch_terminal(&sender));
        let mut screen = Screen::new(self.interval);
        loop {
            terminal.draw(|frame| screen.draw(frame)).context("the terminal can't be written")?;
            let goes_on = match messages.recv_timeout(LONGEST_SILENCE) {
                Ok(message) => screen.take(message)?,
                Err(error) => error == RecvTimeoutError::Timeout,
            };
            if !goes_on {
                return Ok(());
            }
        }
    }
}

/// Looks at the sources until nobody listens any more. A service that does not answer holds up nobody else.
fn watch_service(mut client: Client, interval: Duration, listener: &Sender<Message>) {
    loop {
        let message = match Moment::now(&mut client) {
            Ok(moment) => Message::Moment(moment),
            Err(error) => Message::Trouble(chain(&error)),
        };
        if listener.send(message).is_err() {
            return;
        }
        sleep(interval);
    }
}

/// Waits for keys likewise, and for another size.
fn watch_terminal(listener: &Sender<Message>) {
    loop {
        let input = event::read();
        let is_lost = input.is_err();
        if listener.send(Message::Input(input)).is_err() || is_lost {
            return;
        }
    }
}
