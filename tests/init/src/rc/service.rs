// SPDX-License-Identifier: Apache-2.0
//! What sections mean: the services and actions of a file, as far as this reader of the language goes. Of
//! what goes further each thing is a problem, and nothing is left out without a word.

use std::time::Duration;

use rustix::thread::CapabilitySet;

use super::{Line, Problem, Section};

/// Init's default, for services without `restart_period`.
const RESTART_PERIOD: Duration = Duration::from_secs(5);

/// A service, as its options have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// The program's path, and its arguments.
    pub command: Vec<String>,
    /// By which `class_start` starts it.
    pub class: String,
    /// Whether that leaves it out.
    pub is_disabled: bool,
    /// Whether it is left alone when it has ended.
    pub is_oneshot: bool,
    /// Who it runs as.
    pub user: String,
    /// Its only group; without one init takes root's.
    pub group: Option<String>,
    /// All that it can ever hold; without this, what its user can.
    pub capabilities: Option<CapabilitySet>,
    /// The AIDL services that it gives: init starts it when someone waits for one.
    pub interfaces: Vec<String>,
    /// It is not started more often than this.
    pub restart_period: Duration,
    /// It is killed when it has run so long.
    pub timeout_period: Option<Duration>,
}

/// Services to be started when a property gets a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// The property.
    pub property: String,
    /// The value.
    pub value: String,
    /// The services, by name.
    pub start: Vec<String>,
}

/// All that a file tells init to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Program {
    /// Its services.
    pub services: Vec<Service>,
    /// Its actions.
    pub actions: Vec<Action>,
}

impl Program {
    /// What these sections mean. Init must take them: see [`super::grammar`].
    pub fn read(sections: &[Section]) -> Result<Self, Problem> {
        let mut program = Self::default();
        for section in sections {
            match section.head.split() {
                ("service", _) => program.services.push(Service::read(section)?),
                _ => program.actions.push(Action::read(section)?),
            }
        }
        Ok(program)
    }
}

impl Service {
    fn read(section: &Section) -> Result<Self, Problem> {
        let [_, name, command @ ..] = section.head.words.as_slice() else {
            return Err(section.head.problem("the service has no name"));
        };
        let mut service = Self {
            name: name.clone(),
            command: command.to_vec(),
            class: "default".to_owned(),
            is_disabled: false,
            is_oneshot: false,
            user: "root".to_owned(),
            group: None,
            capabilities: None,
            interfaces: Vec::new(),
            restart_period: RESTART_PERIOD,
            timeout_period: None,
        };
        for line in &section.body {
            service.take(line)?;
        }
        let has_some = service.capabilities.is_some_and(|set| !set.is_empty());
        if service.user != "root" && has_some {
            // Init makes them ambient.
            return Err(section
                .head
                .problem("capabilities for a user but root are not given here"));
        }
        Ok(service)
    }

    fn take(&mut self, line: &Line) -> Result<(), Problem> {
        match line.split() {
            ("class", [class]) => self.class.clone_from(class),
            ("disabled", []) => self.is_disabled = true,
            ("oneshot", []) => self.is_oneshot = true,
            ("user", [user]) => self.user.clone_from(user),
            ("group", [group]) => self.group = Some(group.clone()),
            ("capabilities", names) => self.capabilities = Some(capabilities(line, names)?),
            ("interface", [kind, name]) if kind == "aidl" => self.interfaces.push(name.clone()),
            ("restart_period", [period]) => self.restart_period = seconds(line, period)?,
            ("timeout_period", [period]) => self.timeout_period = Some(seconds(line, period)?),
            // Profiles are defined by the device, in task_profiles.json; the guest has none.
            ("task_profiles", _) => {}
            _ => return Err(line.problem("an option that is not read here")),
        }
        Ok(())
    }
}

impl Action {
    fn read(section: &Section) -> Result<Self, Problem> {
        let trigger = match section.head.words.as_slice() {
            [_, trigger] => trigger.strip_prefix("property:").and_then(|it| it.split_once('=')),
            _ => None,
        };
        let Some((property, value)) = trigger else {
            return Err(section.head.problem("a trigger that is not read here"));
        };
        let mut start = Vec::new();
        for line in &section.body {
            match line.split() {
                ("start", [name]) => start.push(name.clone()),
                _ => return Err(line.problem("a command that is not read here")),
            }
        }
        Ok(Self { property: property.to_owned(), value: value.to_owned(), start })
    }
}

fn capabilities(line: &Line, names: &[String]) -> Result<CapabilitySet, Problem> {
    let known = |name: &String| {
        CapabilitySet::from_name(name)
            .ok_or_else(|| line.problem(format!("{name} is no capability")))
    };
    names.iter().map(known).collect()
}

fn seconds(line: &Line, period: &str) -> Result<Duration, Problem> {
    let seconds = period.parse().map_err(|_| line.problem(format!("{period} is no number")))?;
    Ok(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rc::parse;

    fn read(text: &str) -> Result<Program, Problem> {
        Program::read(&parse(text)?)
    }

    #[test]
    fn a_service_has_what_its_options_say() {
        let text = "service s /bin/s -x\n class main\n disabled\n oneshot\n user root\n group system\n \
                    capabilities BPF CHOWN\n interface aidl x\n interface aidl y\n restart_period 30\n \
                    timeout_period 9\n task_profiles Low\n";
        let expected = Service {
            name: "s".to_owned(),
            command: vec!["/bin/s".to_owned(), "-x".to_owned()],
            class: "main".to_owned(),
            is_disabled: true,
            is_oneshot: true,
            user: "root".to_owned(),
            group: Some("system".to_owned()),
            capabilities: Some(CapabilitySet::BPF | CapabilitySet::CHOWN),
            interfaces: vec!["x".to_owned(), "y".to_owned()],
            restart_period: Duration::from_secs(30),
            timeout_period: Some(Duration::from_secs(9)),
        };
        assert_eq!(read(text).unwrap().services, [expected]);
    }

    #[test]
    fn a_service_without_options_has_init_s_defaults() {
        let service = read("service s /bin/s\n").unwrap().services.remove(0);

        assert_eq!((&*service.class, service.group, service.capabilities), ("default", None, None));
        assert!(!service.is_disabled && !service.is_oneshot);
        assert_eq!((service.restart_period, service.timeout_period), (RESTART_PERIOD, None));
    }

    #[test]
    fn an_action_starts_what_it_names() {
        let action = Action {
            property: "bpf.progs_loaded".to_owned(),
            value: "1".to_owned(),
            start: vec!["a".to_owned(), "b".to_owned()],
        };
        let read = read("on property:bpf.progs_loaded=1\n start a\n start b\n").unwrap();
        assert_eq!(read.actions, [action]);
    }

    #[test]
    fn what_is_not_read_is_a_problem_that_names_the_line() {
        for (text, problem) in [
            ("service s /s\n seclabel u:r:s:s0\n", "line 2: an option that is not read here"),
            ("service s /s\n group a b\n", "line 2: an option that is not read here"),
            ("service s /s\n interface hidl x\n", "line 2: an option that is not read here"),
            ("service s /s\n capabilities BFP\n", "line 2: BFP is no capability"),
            (
                "service s /s\n user system\n capabilities BPF\n",
                "line 1: capabilities for a user but root are not given here",
            ),
            ("on boot\n start s\n", "line 1: a trigger that is not read here"),
            ("on property:a=1 && property:b=1\n", "line 1: a trigger that is not read here"),
            ("on property:a=1\n stop s\n", "line 2: a command that is not read here"),
        ] {
            assert_eq!(read(text).unwrap_err().to_string(), problem, "{text}");
        }
    }
}
