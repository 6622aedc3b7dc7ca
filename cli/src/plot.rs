// SPDX-License-Identifier: Apache-2.0
//! `wakeupstats plot`: a recording as a picture.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::timeline::Timeline;
use crate::{page, picture};

#[derive(Args, Debug)]
pub(crate) struct Options {
    /// What `record` wrote
    file: PathBuf,
    /// The picture: of type .svg, or .html, which also has a table with all numbers
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// How many sources get a row of their own: those that were active the longest
    #[arg(long, value_name = "N", default_value_t = 20)]
    top: usize,
    #[command(flatten)]
    window: Window,
}

/// What of a recording is wanted.
#[derive(Args, Debug)]
pub(crate) struct Window {
    /// From when on, counted from the begin of the recording
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    from: Option<Duration>,
    /// Until when, likewise
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    to: Option<Duration>,
}

impl Window {
    /// Reads that of a recording.
    pub(crate) fn read(&self, file: &Path) -> Result<Timeline> {
        let timeline = Timeline::read(file)?;
        let name = file.display();
        if timeline.is_torn {
            eprintln!("wakeupstats: the last line of {name} is not whole, and left out");
        }
        let ns = |it: Duration| i64::try_from(it.as_nanos()).unwrap_or(i64::MAX);
        let timeline = timeline.within(self.from.map_or(0, ns), self.to.map_or(i64::MAX, ns));
        if timeline.length_ns() == 0 {
            bail!("{name} has nothing of that time: it takes two ticks for anything to happen");
        }
        Ok(timeline)
    }
}

impl Options {
    /// Draws it.
    pub(crate) fn run(&self) -> Result<()> {
        let draw = match self.out.extension().and_then(|it| it.to_str()) {
            Some("svg") => picture::draw,
            Some("html") => page::write,
            _ => bail!("{} ends in neither .svg nor .html", self.out.display()),
        };
        let drawn = draw(&self.window.read(&self.file)?, self.top);
        fs::write(&self.out, drawn)
            .with_context(|| format!("{} can't be written", self.out.display()))
    }
}
