// SPDX-License-Identifier: Apache-2.0
//! Which sections init takes: its options by their number of arguments, as its own parser has them
//! (system/core/init/service_parser.cpp in AOSP), and the rules that hold between them.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::{Line, Problem, Section};

/// Arguments without a bound: more than any line has.
const ANY: usize = usize::MAX;

/// The options of a service, and how many arguments each has.
const OPTIONS: &[(RangeInclusive<usize>, &[&str])] = &[
    (
        0..=0,
        &[
            "disabled",
            "gentle_kill",
            "oneshot",
            "override",
            "sigstop",
            "shared_kallsyms",
            "stdio_to_kmsg",
            "updatable",
        ],
    ),
    (0..=1, &["console"]),
    (0..=2, &["critical"]),
    (0..=ANY, &["capabilities"]),
    (
        1..=1,
        &[
            "oom_score_adjust",
            "priority",
            "reboot_on_failure",
            "restart_period",
            "seclabel",
            "shutdown",
            "timeout_period",
            "user",
        ],
    ),
    (1..=ANY, &["class", "group", "onrestart", "task_profiles"]),
    (2..=2, &["enter_namespace", "file", "interface", "ioprio", "setenv"]),
    (3..=3, &["rlimit"]),
    (3..=6, &["socket"]),
];

/// Options whose argument is a number of seconds, and the least that init takes. (A later init restarts
/// also at once, which this project does not want.)
const SECONDS: &[(&str, u32)] = &[("restart_period", 5), ("timeout_period", 1)];

/// Options that may come more than once.
const REPEATED: &[&str] =
    &["enter_namespace", "file", "interface", "onrestart", "rlimit", "setenv", "socket"];

/// The commands that this project's actions use, and how many arguments each has.
const COMMANDS: &[(&str, RangeInclusive<usize>)] = &[
    ("exec_start", 1..=1),
    ("restart", 1..=1),
    ("setprop", 2..=2),
    ("start", 1..=1),
    ("stop", 1..=1),
];

/// Everything in a file that init would not take.
pub fn problems(sections: &[Section]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut services: BTreeMap<&str, usize> = BTreeMap::new();
    for Section { head, body } in sections {
        match head.split() {
            ("service", [name, path, ..]) => {
                if let Some(first) = services.insert(name, head.number) {
                    problems
                        .push(head.problem(format!("service {name} is that of line {first}, too")));
                }
                problems.extend(in_service(head, name, path, body));
            }
            ("on", [_, ..]) => problems.extend(body.iter().filter_map(in_command)),
            _ => problems.push(head.problem("a section wants a name and a program, or a trigger")),
        }
    }
    problems
}

fn in_service(head: &Line, name: &str, path: &str, body: &[Line]) -> Vec<Problem> {
    let mut problems: Vec<Problem> = body.iter().filter_map(in_option).collect();
    let known = |character: char| character.is_ascii_alphanumeric() || "-_.@".contains(character);
    if !name.chars().all(known) {
        problems.push(head.problem(format!("{name:?} is no name of a service")));
    }
    if !path.starts_with('/') {
        problems.push(head.problem(format!("{path:?} is no absolute path")));
    }
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for line in body {
        let (option, _) = line.split();
        if let Some(first) = seen.insert(option, line.number)
            && !REPEATED.contains(&option)
        {
            problems.push(line.problem(format!("{option} is in line {first}, too")));
        }
    }
    let has = |option| seen.contains_key(option);
    if has("critical") && has("oneshot") {
        problems.push(head.problem("a service can't be critical and oneshot"));
    }
    if !has("user") {
        // An error from vendor API level 202404 on: before, it ran as root.
        problems.push(head.problem("the service has no user"));
    }
    if has("timeout_period") && !has("oneshot") {
        // Init kills it after that time and starts it again.
        problems.push(head.problem("a time-out is for what ends, which is oneshot"));
    }
    problems
}

fn in_option(line: &Line) -> Option<Problem> {
    let (option, arguments) = line.split();
    let Some((range, _)) = OPTIONS.iter().find(|(_, options)| options.contains(&option)) else {
        return Some(line.problem(format!("{option} is no option of a service")));
    };
    if !range.contains(&arguments.len()) {
        return Some(line.problem(format!("{option} with {} arguments", arguments.len())));
    }
    let (_, least) = SECONDS.iter().find(|(name, _)| *name == option)?;
    let argument = arguments.first()?;
    let is_good = argument.parse::<u32>().is_ok_and(|seconds| seconds >= *least);
    (!is_good).then(|| line.problem(format!("{option} {argument} is not {least} seconds or more")))
}

fn in_command(line: &Line) -> Option<Problem> {
    let (command, arguments) = line.split();
    match COMMANDS.iter().find(|(known, _)| *known == command) {
        None => Some(line.problem(format!("{command} is no command that is known here"))),
        Some((_, range)) if range.contains(&arguments.len()) => None,
        Some(_) => Some(line.problem(format!("{command} with {} arguments", arguments.len()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rc::parse;

    fn problems_of(text: &str) -> Vec<String> {
        problems(&parse(text).unwrap()).iter().map(Problem::to_string).collect()
    }

    #[test]
    fn what_init_takes_has_no_problems() {
        let text = "service a.b /bin/a load\n user root\n class main core\n capabilities\n oneshot\n \
                    disabled\n timeout_period 10\n setenv A b\n setenv C d\n socket s stream 660 u g\n\
                    on property:bpf.progs_loaded=1 && boot\n start a.b\n setprop x 1\n";
        assert_eq!(problems_of(text), [""; 0]);
    }

    #[test]
    fn each_thing_that_init_does_not_take_is_told() {
        for (text, problem) in [
            ("service a\n", "line 1: a section wants a name and a program, or a trigger"),
            ("on\n", "line 1: a section wants a name and a program, or a trigger"),
            ("service a /a\n", "line 1: the service has no user"),
            ("service a! /a\n user u\n", "line 1: \"a!\" is no name of a service"),
            ("service a bin/a\n user u\n", "line 1: \"bin/a\" is no absolute path"),
            ("service a /a\n user u\n usr v\n", "line 3: usr is no option of a service"),
            ("service a /a\n user u v\n", "line 2: user with 2 arguments"),
            ("service a /a\n user u\n socket s\n", "line 3: socket with 1 arguments"),
            ("service a /a\n user u\n user v\n", "line 3: user is in line 2, too"),
            (
                "service a /a\n user u\n critical\n oneshot\n",
                "line 1: a service can't be critical and oneshot",
            ),
            (
                "service a /a\n user u\n timeout_period 9\n",
                "line 1: a time-out is for what ends, which is oneshot",
            ),
            (
                "service a /a\n user u\n restart_period 4\n",
                "line 3: restart_period 4 is not 5 seconds or more",
            ),
            (
                "service a /a\n user u\n oneshot\n timeout_period soon\n",
                "line 4: timeout_period soon is not 1 seconds or more",
            ),
            (
                "service a /a\n user u\nservice a /b\n user u\n",
                "line 3: service a is that of line 1, too",
            ),
            ("on boot\n begin a\n", "line 2: begin is no command that is known here"),
            ("on boot\n start a b\n", "line 2: start with 2 arguments"),
        ] {
            assert_eq!(problems_of(text), [problem], "{text}");
        }
    }
}
