// SPDX-License-Identifier: Apache-2.0
//! QEMU's command line, and the kernel's.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use init::PORT;
use rustix::process::{Pid, Signal, kill_process};

use crate::accel::Accel;
use crate::arch::Arch;
use crate::kernel::Kernel;

/// What kernels of either architecture keep of their command line, in bytes, the final NUL included.
const COMMAND_LINE_SIZE: usize = 2048;
/// Time to put the terminal back before it is killed for good.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// What differs between architectures.
struct Machine {
    program: &'static str,
    /// More options: of what QEMU has, the machine that is emulated.
    options: &'static [&'static str],
    /// The processor that is emulated.
    processor: &'static str,
    /// The first serial port, and the second, in the guest.
    console: &'static str,
    port: &'static str,
    /// What the second serial port is.
    serial: [&'static str; 2],
}

impl Machine {
    const X86_64: Self = Self {
        program: "qemu-system-x86_64",
        options: &[],
        // Emulated, `rep movsb` moves a byte at a time, however fast these two features call it.
        processor: "max,-erms,-fsrm",
        console: "ttyS0",
        port: "ttyS1",
        serial: ["-serial", "chardev:programs"],
    };

    const AARCH64: Self = Self {
        program: "qemu-system-aarch64",
        options: &["-machine", "virt"],
        // Emulated, to sign pointers in the way that the architecture proposes takes long.
        processor: "max,pauth-impdef=on",
        console: "ttyAMA0",
        // The machine has one port. Debian's kernel has the driver of this one built in.
        port: "ttyS0",
        serial: ["-device", "pci-serial,chardev=programs"],
    };

    fn of(arch: Arch) -> &'static Self {
        match arch {
            Arch::X86_64 => &Self::X86_64,
            Arch::Aarch64 => &Self::AARCH64,
        }
    }
}

/// A QEMU that runs; it does not outlive this value, nor this process.
pub(crate) struct Qemu(Child);

impl Qemu {
    /// Boots. Standard output carries the guest's programs, standard error the kernel's console
    /// and, should there be any, QEMU's own words.
    pub(crate) fn start(
        accel: Accel,
        processors: u8,
        kernel: &Kernel,
        initramfs: &Path,
        append: &str,
        stdin: Stdio,
    ) -> Result<Self> {
        // If xtask dies, by Ctrl-C or otherwise, the kernel ends QEMU.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "TERM", "--", Machine::of(kernel.arch).program])
            .args(arguments(accel, processors, kernel, initramfs, append))
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

fn arguments(
    accel: Accel,
    processors: u8,
    kernel: &Kernel,
    initramfs: &Path,
    append: &str,
) -> Vec<OsString> {
    let machine = Machine::of(kernel.arch);
    let (accelerator, processor, processors) = match accel {
        Accel::Kvm => ("kvm", "host", processors),
        Accel::Tcg => ("tcg,thread=multi", machine.processor, processors),
        Accel::Icount => ("tcg,thread=single", machine.processor, 1),
    };
    let mut arguments: Vec<OsString> = [
        ["-accel", accelerator],
        ["-cpu", processor],
        ["-smp", &processors.to_string()],
        ["-m", "1G"],
        ["-display", "none"],
        ["-chardev", "file,id=console,path=/dev/stderr"],
        ["-serial", "chardev:console"],
        // Ctrl-C is the guest's in the shell; elsewhere xtask dies of it, and QEMU with it.
        ["-chardev", "stdio,id=programs,signal=off"],
        machine.serial,
        ["-append", append],
    ]
    .concat()
    .into_iter()
    .map(OsString::from)
    .collect();
    arguments.extend(machine.options.iter().map(OsString::from));
    // No network, disk or display: nothing that the host could reach or that costs start-up time.
    // A panic ends the run instead of booting again.
    arguments.extend(["-nodefaults", "-no-user-config", "-no-reboot"].map(OsString::from));
    arguments.extend([
        "-kernel".into(),
        kernel.vmlinuz.clone().into(),
        "-initrd".into(),
        initramfs.into(),
    ]);
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
    let Machine { console, port, .. } = Machine::of(kernel.arch);
    let mut line = format!(
        "console={console} {quiet}panic=-1 {options}{space}WAKEUPSTATS_KERNEL={} \
         WAKEUPSTATS_KFUNCS={} {PORT}={port} --",
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

    fn kernel(arch: Arch) -> Kernel {
        Kernel {
            name: "native".to_owned(),
            arch,
            release: "7.3.4+deb13-amd64".to_owned(),
            version: "7.3.4-1~bpo13+1".to_owned(),
            vmlinuz: "vmlinuz".into(),
            modules: Vec::new(),
            test_modules: Vec::new(),
            kfuncs: Kfuncs::Builtin,
            selinux: false,
        }
    }

    fn plan(arch: Arch, job: &[&str]) -> Result<String> {
        let kernel = kernel(arch);
        append(&kernel, &job.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>(), false, "")
    }

    #[test]
    fn the_job_follows_the_dashes() {
        assert_eq!(
            plan(Arch::X86_64, &["test", "parity", "two words"]).unwrap(),
            "console=ttyS0 quiet panic=-1 WAKEUPSTATS_KERNEL=native WAKEUPSTATS_KFUNCS=builtin \
             WAKEUPSTATS_PORT=ttyS1 -- test parity \"two words\""
        );
    }

    #[test]
    fn what_the_kernel_would_garble_or_cut_is_refused() {
        let plan = |word: &str| plan(Arch::X86_64, &["test", word]);
        assert!(plan("a\"b").is_err());
        assert!(plan("a\nb").is_err());
        assert!(plan(&"x".repeat(COMMAND_LINE_SIZE)).is_err());
    }

    fn words(arch: Arch, accel: Accel) -> String {
        let arguments = arguments(accel, 2, &kernel(arch), Path::new("i"), "a");
        arguments.iter().map(|a| a.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn another_architecture_has_other_ports_and_another_processor() {
        let line = plan(Arch::Aarch64, &["demo"]).unwrap();
        assert!(line.starts_with("console=ttyAMA0 "), "{line}");
        assert!(line.ends_with(" WAKEUPSTATS_PORT=ttyS0 -- demo"), "{line}");
        let words = words(Arch::Aarch64, Accel::Tcg);
        assert!(words.starts_with("-accel tcg,thread=multi -cpu max,pauth-impdef=on "), "{words}");
        assert!(words.contains(" -serial chardev:console -chardev stdio,id=programs"), "{words}");
        assert!(words.contains(" -device pci-serial,chardev=programs "), "{words}");
        assert!(words.contains(" -machine virt "), "{words}");
        assert_eq!(Machine::of(Arch::Aarch64).program, "qemu-system-aarch64");
    }

    #[test]
    fn accelerators_get_a_processor_they_know() {
        let words = |accel| words(Arch::X86_64, accel);
        assert!(words(Accel::Kvm).starts_with("-accel kvm -cpu host "));
        assert!(words(Accel::Tcg).starts_with("-accel tcg,thread=multi -cpu max,"));
        assert!(words(Accel::Tcg).contains("-smp 2 "));
        assert!(
            words(Accel::Icount).contains("-smp 1 ") && words(Accel::Icount).contains("-icount ")
        );
    }
}
