// SPDX-License-Identifier: Apache-2.0
//! What an executable must be so that an Android device runs it.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use object::elf;
use object::read::elf::{ElfFile64, FileHeader as _, ProgramHeader as _};
use object::{Endianness, NameOrOrdinal, Object as _};

use crate::symbols::Library;

const LINKER: &str = "/system/bin/linker64";
/// Devices since Android 15 may have pages of 16 KiB, and load nothing that is aligned to less.
pub(crate) const PAGE_SIZE: u64 = 16 << 10;

type Elf<'a> = ElfFile64<'a, Endianness>;

/// What is wrong with an ELF file, which is to be linked with all that `libraries` have.
pub(crate) fn problems(bytes: &[u8], libraries: &[Library]) -> Result<Vec<String>> {
    let file = Elf::parse(bytes).context("read it as a 64-bit ELF file")?;
    let mut problems = kind(&file).context("read its header")?;
    problems.extend(segments(&file).context("read its segments")?);
    problems.extend(imports(&file, libraries).context("read what it is linked with")?);
    Ok(problems)
}

/// Of the kind of file: a position-independent executable for arm64, which is never relocated where
/// it is not writable.
fn kind(file: &Elf<'_>) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    let header = file.elf_header();
    let machine = header.e_machine(file.endian());
    if machine != elf::EM_AARCH64 {
        problems.push(format!("its machine is {machine}, not {}, AArch64", elf::EM_AARCH64));
    }
    let (mut flags_1, mut text_relocations) = (0, false);
    for entry in &file.elf_dynamic_table()? {
        match entry.tag {
            elf::DT_FLAGS_1 => flags_1 = entry.val,
            elf::DT_TEXTREL => text_relocations = true,
            _ => {}
        }
    }
    let position_independent = flags_1 & elf::DF_1_PIE.0 != 0;
    if header.e_type(file.endian()) != elf::ET_DYN || !position_independent {
        problems.push("it is no position-independent executable".to_owned());
    }
    if text_relocations {
        problems.push("it has relocations in its code, which no device allows".to_owned());
    }
    Ok(problems)
}

/// Of what is mapped, with which alignment and rights, and by whom.
fn segments(file: &Elf<'_>) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    let endian = file.endian();
    let (mut interpreter, mut stack_flags) = (None, None);
    for segment in file.elf_program_headers() {
        let (flags, align) = (segment.p_flags(endian), segment.p_align(endian));
        let both = elf::PF_W | elf::PF_X;
        match segment.p_type(endian) {
            elf::PT_LOAD => {
                let address = segment.p_vaddr(endian);
                if align == 0 || align % PAGE_SIZE != 0 {
                    problems.push(format!(
                        "what it loads at {address:#x} is aligned to {align}, not to {PAGE_SIZE}"
                    ));
                }
                if flags & both == both {
                    problems.push(format!("what it loads at {address:#x} is writable code"));
                }
            }
            elf::PT_GNU_STACK => stack_flags = Some(flags),
            _ => {}
        }
        if let Some(path) = segment.interpreter(endian, file.data())? {
            interpreter = Some(String::from_utf8_lossy(path));
        }
    }
    if interpreter.as_deref() != Some(LINKER) {
        let interpreter = interpreter.as_deref().unwrap_or("none");
        problems.push(format!("its interpreter is {interpreter}, not {LINKER}"));
    }
    if stack_flags.is_none_or(|flags| flags & elf::PF_X == elf::PF_X) {
        problems.push("its stack is executable".to_owned());
    }
    Ok(problems)
}

/// Of libraries and symbols: it must need those that are listed, all of them and no others.
fn imports(file: &Elf<'_>, libraries: &[Library]) -> Result<Vec<String>> {
    let mut needed = BTreeSet::new();
    for library in file.import_libraries()? {
        needed.insert(String::from_utf8_lossy(library?.name()).into_owned());
    }
    let mut imported = BTreeSet::new();
    for import in file.imports()? {
        let import = import?;
        if let NameOrOrdinal::Name(name) = import.name() {
            let library = String::from_utf8_lossy(import.library()).into_owned();
            imported.insert((library, String::from_utf8_lossy(name).into_owned()));
        }
    }
    let expected = libraries.iter().map(|library| library.name.clone()).collect::<BTreeSet<_>>();
    let listed: BTreeSet<_> = libraries
        .iter()
        .flat_map(|l| l.symbols.keys().map(|symbol| (l.name.clone(), symbol.clone())))
        .collect();
    let unlisted_libraries =
        needed.difference(&expected).map(|name| format!("it needs {name}, which has no list"));
    let unneeded_libraries = expected
        .difference(&needed)
        .map(|name| format!("it does not need {name}; remove its list"));
    let unlisted = imported.difference(&listed).map(|(library, symbol)| {
        let library = if library.is_empty() { "some library" } else { library };
        format!("it needs {symbol} of {library}, which is not listed")
    });
    let unneeded = listed.difference(&imported).map(|(library, symbol)| {
        format!("it does not need {symbol} of {library}; remove it from the list")
    });
    Ok(unlisted_libraries.chain(unneeded_libraries).chain(unlisted).chain(unneeded).collect())
}

#[cfg(test)]
mod unit_tests {
    use std::fs;
    use std::path::Path;
    use std::process::Command;

    use super::*;

    /// As the link is made for a device, but for the processor.
    const GOOD: &[&str] = &[
        "-pie",
        "-Wl,--dynamic-linker=/system/bin/linker64",
        "-Wl,-z,max-page-size=16384",
        "-Wl,-z,noexecstack",
        "-Wl,-z,separate-code",
    ];
    const MACHINE: &str = "its machine is 62, not 183, AArch64";
    const START: &str = ".globl _start\n_start: ret\n";

    fn link(directory: &Path, assembly: &str, arguments: &[&str], out: &str) -> Vec<u8> {
        fs::write(directory.join("a.s"), assembly).unwrap();
        let mut command = Command::new("gcc");
        command.current_dir(directory).args(["-nostdlib", "a.s", "-o", out]).args(arguments);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        fs::read(directory.join(out)).unwrap()
    }

    /// What is wrong with a program of its own, but for the processor.
    fn problems_of(assembly: &str, arguments: &[&str]) -> Vec<String> {
        let directory = tempfile::tempdir().unwrap();
        let bytes = link(directory.path(), assembly, &[GOOD, arguments].concat(), "a.out");
        let mut problems = problems(&bytes, &[]).unwrap();
        assert_eq!(problems.remove(0), MACHINE);
        problems
    }

    #[test]
    fn a_program_of_this_machine_is_none_for_a_device() {
        let bytes = fs::read(std::env::current_exe().unwrap()).unwrap();
        let problems = problems(&bytes, &[]).unwrap().join("\n");
        for expected in [MACHINE, "its interpreter is /lib", "aligned to 4096", "needs libc.so.6"] {
            assert!(problems.contains(expected), "{problems}");
        }
    }

    #[test]
    fn what_is_no_elf_file_is_an_error() {
        assert!(problems(b"#!/bin/sh\n", &[]).is_err());
    }

    #[test]
    fn each_thing_that_a_device_refuses_is_found() {
        assert_eq!(problems_of(START, &[]), [""; 0]);
        let text_relocation = format!("{START}.quad _start\n");
        let writable_code = format!("{START}.section .a,\"awx\",@progbits\n.quad 1\n");
        for (assembly, argument, expected) in [
            (START, "-no-pie", "it is no position-independent executable"),
            (START, "-shared", "it is no position-independent executable"),
            (START, "-Wl,--dynamic-linker=/lib/ld.so", "its interpreter is /lib/ld.so"),
            (START, "-Wl,-z,max-page-size=4096", "is aligned to 4096, not to 16384"),
            (START, "-Wl,-z,execstack", "its stack is executable"),
            (&writable_code, "-Wl,-z,relro", "is writable code"),
            (&text_relocation, "-Wl,-z,notext", "it has relocations in its code"),
        ] {
            let problems = problems_of(assembly, &[argument]).join("\n");
            assert!(problems.contains(expected), "{argument}: {problems}");
        }
    }

    fn library(name: &str, symbols: &[&str]) -> Library {
        Library {
            name: name.to_owned(),
            list: "a.map.txt".into(),
            text: String::new(),
            symbols: symbols.iter().map(|symbol| ((*symbol).to_owned(), 21)).collect(),
        }
    }

    #[test]
    fn what_it_is_linked_with_is_what_is_listed_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let made = library("liba.so", &["one", "two"]);
        fs::write(directory.path().join("a.map.txt"), "A { global: *; };\n").unwrap();
        let arguments = ["-shared", "-Wl,--soname=liba.so", "-Wl,--version-script=a.map.txt"];
        link(directory.path(), &made.assembly(), &arguments, "liba.so");
        let program = format!("{START}.quad one\n.data\n.quad one, two\n");
        let arguments = [GOOD, &["-Wl,-z,notext", "liba.so"]].concat();
        let bytes = link(directory.path(), &program, &arguments, "a.out");
        let problems = |libraries: &[Library]| {
            let file = Elf::parse(bytes.as_slice()).unwrap();
            imports(&file, libraries).unwrap()
        };

        assert_eq!(problems(&[made]), [""; 0]);
        assert_eq!(
            problems(&[library("liba.so", &["one"])]),
            ["it needs two of liba.so, which is not listed"]
        );
        assert_eq!(
            problems(&[library("liba.so", &["one", "two", "three"])]),
            ["it does not need three of liba.so; remove it from the list"]
        );
        assert_eq!(
            problems(&[library("liba.so", &["one", "two"]), library("libb.so", &[])]),
            ["it does not need libb.so; remove its list"]
        );
        assert_eq!(problems(&[])[0], "it needs liba.so, which has no list");
    }
}
