// SPDX-License-Identifier: Apache-2.0
//! QEMU's command line, and the kernel's.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::accel::Accel;
use crate::kernel::Kernel;

const PROGRAM: &str = "qemu-system-x86_64";
/// What x86 kernels keep of their command line, in bytes, the final NUL included.
const COMMAND_LINE_SIZE: usize = 2048;
/// Time to put the terminal back before it is killed for good.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// A QEMU that runs; it does not outlive this value, nor this process.
pub(crate) struct Qemu(Child);

impl Qemu {
    /// Boots. Standard output carries the guest's programs, standard error the kernel's console
    /// and, should there be any, QEMU's own words.
    pub(crate) fn start(
        accel: Accel,
        kernel: &Path,
        initramfs: &Path,
        append: &str,
        stdin: Stdio,
    ) -> Result<Self> {
        // If xtask dies, by Ctrl-C or otherwise, the kernel ends QEMU.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "TERM", "--", PROGRAM])
            .args(arguments(accel, kernel, initramfs, append))
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("start QEMU through setpriv (package util-linux)")?;
        Ok(Self(child))
    }

    /// The process, for its pipes and its end.
    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.0
    }

    /// Ends it, gently at first.
    pub(crate) fn stop(&mut self) {
        let pid = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        let started = Instant::now();
        while let (Ok(None), Some(pid)) = (self.0.try_wait(), pid) {
            let gentle = started.elapsed() < STOP_GRACE;
            // It may have gone meanwhile, which is what is wanted.
            let _ = kill_process(pid, if gentle { Signal::TERM } else { Signal::KILL });
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        self.stop();
    }
}

fn arguments(accel: Accel, kernel: &Path, initramfs: &Path, append: &str) -> Vec<OsString> {
    // Emulated, `rep movsb` moves a byte at a time, however fast these two features call it.
    const EMULATED: &str = "max,-erms,-fsrm";
    let (machine, processor, processors) = match accel {
        Accel::Kvm => ("kvm", "host", "2"),
        Accel::Tcg => ("tcg,thread=multi", EMULATED, "2"),
        Accel::Icount => ("tcg,thread=single", EMULATED, "1"),
    };
    let mut arguments: Vec<OsString> = [
        ["-accel", machine],
        ["-cpu", processor],
        ["-smp", processors],
        ["-m", "1G"],
        ["-display", "none"],
        ["-chardev", "file,id=console,path=/dev/stderr"],
        ["-serial", "chardev:console"],
        // Ctrl-C is the guest's in the shell; elsewhere xtask dies of it, and QEMU with it.
        ["-chardev", "stdio,id=programs,signal=off"],
        ["-serial", "chardev:programs"],
        ["-append", append],
    ]
    .concat()
    .into_iter()
    .map(OsString::from)
    .collect();
    // No network, disk or display: nothing that the host could reach or that costs start-up time.
    // A panic ends the run instead of booting again.
    arguments.extend(["-nodefaults", "-no-user-config", "-no-reboot"].map(OsString::from));
    arguments.extend(["-kernel".into(), kernel.into(), "-initrd".into(), initramfs.into()]);
    if accel == Accel::Icount {
        // An instruction takes 2^0 ns; and while the processor waits, nobody need wait for it.
        arguments.extend(["-icount", "shift=0,sleep=off", "-rtc", "clock=vm"].map(OsString::from));
    }
    arguments
}

/// The kernel's command line: what the guest's programs find in their environment, then, after
/// `--`, the arguments of PID 1.
pub(crate) fn append(
    kernel: &Kernel,
    job: &[String],
    verbose: bool,
    options: &str,
) -> Result<String> {
    let quiet = if verbose { "" } else { "quiet " };
    let space = if options.is_empty() { "" } else { " " };
    let mut line = format!(
        "console=ttyS0 {quiet}panic=-1 {options}{space}WAKEUPSTATS_KERNEL={} WAKEUPSTATS_KFUNCS={} --",
        kernel.name, kernel.kfuncs,
    );
    for argument in job {
        if argument.contains('"') || argument.contains(char::is_control) {
            bail!("{argument:?} can't be passed to the VM: it has a quote or a control character");
        }
        let quote = if argument.contains(' ') || argument.is_empty() { "\"" } else { "" };
        line.push_str(&format!(" {quote}{argument}{quote}"));
    }
    if line.len() >= COMMAND_LINE_SIZE {
        bail!("too many filters: the kernel's command line ends at {COMMAND_LINE_SIZE} bytes");
    }
    Ok(line)
}

#[cfg(test)]
mod unit_tests {
    use super::*;
    use crate::table::Kfuncs;

    fn plan(job: &[&str]) -> Result<String> {
        let kernel = Kernel {
            name: "native".to_owned(),
            release: "7.3.4+deb13-amd64".to_owned(),
            version: "7.3.4-1~bpo13+1".to_owned(),
            vmlinuz: "vmlinuz".into(),
            modules: Vec::new(),
            test_modules: Vec::new(),
            kfuncs: Kfuncs::Builtin,
            selinux: false,
        };
        append(&kernel, &job.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>(), false, "")
    }

    #[test]
    fn the_job_follows_the_dashes() {
        assert_eq!(
            plan(&["test", "parity", "two words"]).unwrap(),
            "console=ttyS0 quiet panic=-1 WAKEUPSTATS_KERNEL=native WAKEUPSTATS_KFUNCS=builtin -- \
             test parity \"two words\""
        );
    }

    #[test]
    fn what_the_kernel_would_garble_or_cut_is_refused() {
        assert!(plan(&["test", "a\"b"]).is_err());
        assert!(plan(&["test", "a\nb"]).is_err());
        assert!(plan(&["test", &"x".repeat(COMMAND_LINE_SIZE)]).is_err());
    }

    #[test]
    fn accelerators_get_a_processor_they_know() {
        let words = |accel| {
            let arguments = arguments(accel, Path::new("k"), Path::new("i"), "a");
            arguments.iter().map(|a| a.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
        };
        assert!(words(Accel::Kvm).starts_with("-accel kvm -cpu host "));
        assert!(words(Accel::Tcg).starts_with("-accel tcg,thread=multi -cpu max,"));
        assert!(
            words(Accel::Icount).contains("-smp 1 ") && words(Accel::Icount).contains("-icount ")
        );
    }
}
