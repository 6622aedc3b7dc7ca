// SPDX-License-Identifier: Apache-2.0
//! What `top` shows, and what keys do to it.

use std::cmp::Reverse;
use std::io;
use std::time::{Duration, Instant};

use anyhow::Context;
use ratatui::Frame;
use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::Paragraph;
use wakeupstats_text::escape;

use crate::changes::{Change, Changes, Presence};
use crate::columns::{Names, lines};
use crate::diff::{any, time};
use crate::moment::Moment;

const HELP: &str = "q quit  s order  p pause  / filter  arrows, PgUp, PgDn scroll";

/// What there is to react to.
pub(super) enum Message {
    /// The service has answered.
    Moment(Moment),
    /// The service has not, for this reason.
    Trouble(String),
    /// A key, or another size.
    Input(io::Result<Event>),
    /// A signal.
    End,
}

/// By what sources are sorted, highest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Held,
    Activations,
    Events,
    Wakeups,
    Name,
}

impl Order {
    fn next(self) -> Self {
        match self {
            Order::Held => Order::Activations,
            Order::Activations => Order::Events,
            Order::Events => Order::Wakeups,
            Order::Wakeups => Order::Name,
            Order::Name => Order::Held,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Order::Held => "held",
            Order::Activations => "activations",
            Order::Events => "events",
            Order::Wakeups => "wakeups",
            Order::Name => "name",
        }
    }

    /// Sorts what is sorted by [`Order::Held`].
    fn sort(self, rows: &mut [&Change]) {
        match self {
            Order::Held => {}
            Order::Activations => rows.sort_by_key(|it| Reverse(it.active_count)),
            Order::Events => rows.sort_by_key(|it| Reverse(it.event_count)),
            Order::Wakeups => rows.sort_by_key(|it| Reverse(it.wakeup_count)),
            Order::Name => rows.sort_by(|a, b| a.name.cmp(&b.name)),
        }
    }
}

/// What is shown.
pub(super) struct Screen {
    interval: Duration,
    /// The last moment that is shown, ...
    now: Option<Moment>,
    /// ... and what happened before it.
    changes: Option<Changes>,
    answered: Instant,
    trouble: Option<String>,
    restarts: u64,
    order: Order,
    is_paused: bool,
    filter: String,
    is_filter_typed: bool,
    /// The first row that is shown, ...
    offset: usize,
    /// ... and how many there is room for, and how many there are, as of the last time.
    page: usize,
    rows: usize,
}

impl Screen {
    pub(super) fn new(interval: Duration) -> Self {
        Screen {
            interval,
            now: None,
            changes: None,
            answered: Instant::now(),
            trouble: None,
            restarts: 0,
            order: Order::Held,
            is_paused: false,
            filter: String::new(),
            is_filter_typed: false,
            offset: 0,
            page: 0,
            rows: 0,
        }
    }

    /// Takes it in, and says whether to go on.
    pub(super) fn take(&mut self, message: Message) -> anyhow::Result<bool> {
        match message {
            Message::Moment(moment) => self.take_moment(moment),
            Message::Trouble(reason) => self.trouble = Some(reason),
            Message::Input(input) => {
                let input = input.context("the terminal can't be read")?;
                if let Event::Key(key) = input
                    && key.kind != KeyEventKind::Release
                {
                    return Ok(self.press(key));
                }
            }
            Message::End => return Ok(false),
        }
        Ok(true)
    }

    fn take_moment(&mut self, moment: Moment) {
        self.answered = Instant::now();
        self.trouble = None;
        if self.is_paused {
            return;
        }
        if let Some(then) = &self.now {
            match Changes::between(then, &moment) {
                Ok(changes) => {
                    self.restarts += u64::from(changes.restarted);
                    self.changes = Some(changes);
                }
                Err(error) => self.trouble = Some(error.to_string()),
            }
        }
        self.now = Some(moment);
    }

    fn press(&mut self, key: KeyEvent) -> bool {
        let is_interrupt =
            key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c');
        if is_interrupt {
            return false;
        }
        if self.is_filter_typed {
            self.type_filter(key.code);
            return true;
        }
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return false,
            KeyCode::Char('s') => self.order = self.order.next(),
            KeyCode::Char('p') => self.is_paused = !self.is_paused,
            KeyCode::Char('/') => {
                self.filter.clear();
                self.is_filter_typed = true;
            }
            code => self.scroll(code),
        }
        true
    }

    fn type_filter(&mut self, code: KeyCode) {
        match code {
            KeyCode::Enter => self.is_filter_typed = false,
            KeyCode::Esc => {
                self.filter.clear();
                self.is_filter_typed = false;
            }
            KeyCode::Backspace => drop(self.filter.pop()),
            KeyCode::Char(char) => self.filter.push(char),
            _ => {}
        }
        self.offset = 0;
    }

    fn scroll(&mut self, code: KeyCode) {
        let offset = match code {
            KeyCode::Up => self.offset.saturating_sub(1),
            KeyCode::Down => self.offset.saturating_add(1),
            KeyCode::PageUp => self.offset.saturating_sub(self.page),
            KeyCode::PageDown => self.offset.saturating_add(self.page),
            KeyCode::Home => 0,
            KeyCode::End => usize::MAX,
            _ => self.offset,
        };
        self.offset = offset.min(self.rows.saturating_sub(self.page));
    }

    /// Draws all of it.
    pub(super) fn draw(&mut self, frame: &mut Frame<'_>) {
        let [summary, table, help] =
            Layout::vertical([Constraint::Length(3), Constraint::Fill(1), Constraint::Length(1)])
                .areas(frame.area());
        let summary_lines = [self.first_line().into(), self.second_line().into(), self.notice()];
        frame.render_widget(Paragraph::new(summary_lines.to_vec()), summary);
        self.draw_table(frame, table);
        let last = if self.is_filter_typed {
            format!("/{}_", escape(&self.filter))
        } else {
            HELP.to_owned()
        };
        frame.render_widget(Paragraph::new(last), help);
    }

    fn first_line(&self) -> String {
        let sources = self.now.iter().flat_map(|it| it.sources.values());
        let (all, active) =
            sources.fold((0, 0), |(all, active), it| (all + 1, active + usize::from(it.active)));
        let mut line = format!("{all} sources, {active} active, by {}", self.order.name());
        if !self.filter.is_empty() {
            line += &format!(", with {}", escape(&self.filter));
        }
        if self.is_paused {
            line += ", PAUSED";
        }
        line
    }

    fn second_line(&self) -> String {
        match &self.changes {
            Some(changes) => format!("{}, {}", time(changes), any(changes)),
            None => format!("the first numbers come in {:?}", self.interval),
        }
    }

    /// What is not as it should be.
    fn notice(&self) -> Line<'static> {
        let silence = self.answered.elapsed();
        let is_late = silence > 2 * self.interval.max(Duration::from_secs(1));
        let alarm = Style::new().add_modifier(Modifier::BOLD);
        match &self.trouble {
            Some(reason) => {
                let text = format!("LOST for {} s: {}", silence.as_secs(), escape(reason));
                Line::styled(text, alarm)
            }
            None if is_late => {
                Line::styled(format!("NO ANSWER for {} s", silence.as_secs()), alarm)
            }
            None if self.restarts > 0 => {
                Line::from(format!("restarts of the service: {}", self.restarts))
            }
            None => Line::default(),
        }
    }

    fn draw_table(&mut self, frame: &mut Frame<'_>, area: Rect) {
        let Some(changes) = &self.changes else { return };
        let filter = self.filter.to_lowercase();
        let mut rows: Vec<&Change> = changes
            .sources
            .iter()
            .filter(|it| escape(&it.name).to_lowercase().contains(&filter))
            .collect();
        self.order.sort(&mut rows);
        self.rows = rows.len();
        self.page = usize::from(area.height.saturating_sub(1));
        self.offset = self.offset.min(self.rows.saturating_sub(self.page));
        let shown = rows.get(self.offset..).unwrap_or_default();
        let shown = shown.get(..self.page).unwrap_or(shown);
        let styles = std::iter::once(Modifier::REVERSED).chain(shown.iter().map(|it| style(it)));
        let lines = lines(shown, area.width.into(), Names::All).into_iter();
        let lines: Vec<Line<'_>> = lines
            .zip(styles)
            .map(|(line, modifier)| Line::styled(line, Style::new().add_modifier(modifier)))
            .collect();
        frame.render_widget(Paragraph::new(lines), area);
    }
}

fn style(change: &Change) -> Modifier {
    match (change.presence, change.active) {
        (Presence::Gone, _) => Modifier::DIM,
        (_, true) => Modifier::BOLD,
        _ => Modifier::empty(),
    }
}

#[cfg(test)]
mod tests;
