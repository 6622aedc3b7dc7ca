// SPDX-License-Identifier: Apache-2.0
//! SELinux, as programs see it: domains, and what the policy allows whom.

use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread;

use anyhow::{Context, Result};

const SELINUXFS: &str = "/sys/fs/selinux";

/// Whether the kernel enforces a policy.
pub fn is_enforced() -> bool {
    fs::read_to_string(Path::new(SELINUXFS).join("enforce")).is_ok_and(|it| it == "1")
}

/// The context of a domain.
pub fn context(domain: &str) -> String {
    format!("u:r:{domain}:s0")
}

/// The domain of a process.
pub fn domain_of(pid: i32) -> Result<String> {
    let context = fs::read_to_string(format!("/proc/{pid}/attr/current"))?;
    let domain = context.split(':').nth(2).context("a context without a type")?;
    Ok(domain.to_owned())
}

/// Starts a program in this domain; in that of its file, or this process's, if none is given.
pub fn spawn_in(domain: Option<&str>, command: &mut Command) -> Result<Child> {
    let Some(domain) = domain else { return Ok(command.spawn()?) };
    let start = || -> Result<Child> {
        // Of this thread's next exec, which is in its child.
        fs::write("/proc/thread-self/attr/exec", context(domain))
            .with_context(|| format!("can't ask for domain {domain}"))?;
        Ok(command.spawn()?)
    };
    thread::scope(|scope| scope.spawn(start).join())
        .map_err(|_| anyhow::anyhow!("the thread that starts it panicked"))?
}

/// Has the kernel enforce this policy from now on.
pub fn load(policy: &[u8]) -> Result<()> {
    // In one write.
    fs::write(Path::new(SELINUXFS).join("load"), policy).context("the policy can't be loaded")
}

/// Whether the policy allows `source` this permission of class `class` on `target`, which are contexts.
pub fn is_allowed(source: &str, target: &str, class: &str, permission: &str) -> Result<bool> {
    let class_dir: PathBuf = [SELINUXFS, "class", class].iter().collect();
    let number = |path: PathBuf| -> Result<u32> {
        let text = fs::read_to_string(&path).with_context(|| format!("{}", path.display()))?;
        Ok(text.trim().parse()?)
    };
    let index = number(class_dir.join("index"))?;
    let bit = 1_u32 << (number(class_dir.join("perms").join(permission))? - 1);
    // What is written is the question, and what is read then the answer: allowed permissions first, in hex.
    let mut access =
        OpenOptions::new().read(true).write(true).open(Path::new(SELINUXFS).join("access"))?;
    access.write_all(format!("{source} {target} {index} {bit:x}").as_bytes())?;
    let mut answer = String::new();
    access.read_to_string(&mut answer)?;
    let allowed = answer.split_whitespace().next().context("an empty answer")?;
    Ok(u32::from_str_radix(allowed, 16)? & bit != 0)
}
