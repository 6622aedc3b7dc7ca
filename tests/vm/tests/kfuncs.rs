// SPDX-License-Identifier: Apache-2.0
#![cfg(test)]
//! The kernel's kfuncs as such: that a walk finds what is there, that the verifier refuses each
//! wrong use for its own reason, and what the project's program costs the verifier.
//!
//! Where the kernel has no kfuncs nothing is left out: each test shows that its program does not
//! load, and that libbpf or the project names a kfunc as the cause.

use std::cell::RefCell;
use std::os::fd::AsFd;

use libbpf_rs::query::{ProgInfoIter, ProgInfoQueryOptions};
use libbpf_rs::{Object, ObjectBuilder, PrintLevel, ProgramInput, set_print};
use rustix::system::uname;
use wakeupstats::load::{self, Loaded};
use wakeupstats::walk::{Limits, Walker};
use wakeupstats_vm::kfuncs::Kfuncs;
use wakeupstats_vm::objects::{REFUSED, WALK};
use wakeupstats_vm::report::show;
use wakeupstats_vm::sources::{Sources, file_name};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// include/linux/bpf_verifier.h: the log is the figures alone.
const BPF_LOG_STATS: u32 = 4;

/// The verifier's limit on instructions (BPF_COMPLEXITY_LIMIT_INSNS), and what the project's
/// program may take of it: so little that another compiler or kernel does not bring it near.
const INSNS_LIMIT: u64 = 1_000_000;
const INSNS_BUDGET: u64 = INSNS_LIMIT / 10;

thread_local! {
    /// What libbpf has said in this thread since the last load began, as far as it matters here.
    static LOG: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Keeps warnings, which include the log of a program that is refused, and the log of one that is
/// not. The rest is hundreds of lines about relocations.
fn keep(level: PrintLevel, message: String) {
    if level == PrintLevel::Warn || message.contains("BEGIN PROG LOAD LOG") {
        LOG.with_borrow_mut(|log| log.push_str(&message));
    }
}

fn has_kfuncs() -> bool {
    Kfuncs::of_this_kernel().exist()
}

/// Loads one program of an object alone. Returns it, or nothing if it is refused, and what libbpf
/// and the verifier said.
fn load_program(object: &[u8], name: &str, log_level: u32) -> (Option<Object>, String) {
    LOG.take();
    // `Loaded` sets its own.
    set_print(Some((PrintLevel::Debug, keep)));
    let mut object = ObjectBuilder::default().open_memory(object).unwrap();
    assert!(object.progs().any(|program| program.name() == name), "no program {name}");
    for mut program in object.progs_mut() {
        let wanted = program.name() == name;
        program.set_autoload(wanted);
        program.set_log_level(log_level);
    }
    let loaded = object.load().ok();
    (loaded, LOG.take())
}

/// A program that must load, or nothing on a kernel without kfuncs, on which that must be why.
#[track_caller]
fn load_right(object: &[u8], name: &str, log_level: u32) -> Option<(Object, String)> {
    let (loaded, log) = load_program(object, name, log_level);
    if !has_kfuncs() {
        assert!(loaded.is_none(), "{name} was loaded");
        assert_names_missing_kfunc(&log);
        return None;
    }
    Some((loaded.unwrap_or_else(|| panic!("{name} was refused: {log}")), log))
}

#[track_caller]
fn assert_names_missing_kfunc(log: &str) {
    let named = log.lines().any(|line| {
        line.contains("extern (func ksym) 'bpf_wakeup_sources_")
            && line.ends_with("not found in kernel or module BTFs")
    });
    assert!(named, "no kfunc is named: {log}");
}

/// The program must be refused by the verifier for this reason: one of the pieces is in its log, by
/// kernel, as they word some reasons differently.
#[track_caller]
fn assert_refused(name: &str, reasons: &[&str]) {
    let (loaded, log) = load_program(REFUSED, name, 0);

    assert!(loaded.is_none(), "{name} was loaded");
    if has_kfuncs() {
        let said = reasons.iter().any(|reason| log.contains(reason));
        assert!(said, "{name}: none of {reasons:?} is in: {log}");
    } else {
        assert_names_missing_kfunc(&log);
    }
}

/// The context of the program `find`; `bpf/walk.bpf.c` has the same struct.
#[derive(Debug, Default, FromBytes, IntoBytes, Immutable)]
#[repr(C)]
struct Search {
    name: [u8; 32],
    found: u64,
    active: u64,
    active_time: u64,
    total_time: u64,
}

/// Walks the list in search of sources of this name with the plain program.
fn find(object: &Object, name: &str) -> Search {
    let mut search = Search::default();
    search.name[..name.len()].copy_from_slice(name.as_bytes());
    let context_in = Some(search.as_mut_bytes());
    let program = object.progs_mut().find(|program| program.name() == "find").unwrap();
    let input = ProgramInput { context_in, ..ProgramInput::default() };
    assert_eq!(program.test_run(input).unwrap().return_value, 0);
    search
}

#[test]
fn plain_walk_finds_an_active_source_with_its_times() {
    const NAME: &str = "kfuncs-plain";
    let Some((object, _)) = load_right(WALK, "find", 0) else { return };
    let mut sources = Sources::new().unwrap();
    sources.add_fifo(&file_name(NAME.as_bytes())).unwrap();

    let idle = find(&object, NAME);
    sources.activate(0).unwrap();
    let active = find(&object, NAME);
    sources.relax(0).unwrap();
    let relaxed = find(&object, NAME);
    drop(sources);
    let gone = find(&object, NAME);

    assert_eq!((idle.found, idle.active, idle.total_time), (1, 0, 0));
    assert_eq!((active.found, active.active), (1, 1));
    assert!(active.active_time > 0 && active.total_time >= active.active_time, "{active:?}");
    assert_eq!((relaxed.found, relaxed.active, relaxed.active_time), (1, 0, 0));
    assert!(relaxed.total_time > active.total_time, "{relaxed:?} after {active:?}");
    assert_eq!(gone.found, 0);
}

#[test]
fn projects_program_finds_an_active_source_with_its_times() {
    const NAME: &str = "kfuncs-project";
    let loaded = Loaded::load();
    if !has_kfuncs() {
        let message = loaded.unwrap_err().to_string();
        assert!(message.contains("no kfunc bpf_wakeup_sources_"), "{message}");
        return;
    }
    let mut walker = Walker::new(loaded.unwrap(), Limits::default());
    let mut sources = Sources::new().unwrap();
    sources.add_fifo(&file_name(NAME.as_bytes())).unwrap();
    let mut source = || {
        let snapshot = walker.snapshot().unwrap();
        assert!(snapshot.walk.complete);
        let mut found = snapshot.sources.iter().filter(|source| source.name == NAME);
        let source = found.next().unwrap();
        assert_eq!(found.next(), None);
        source.clone()
    };

    sources.activate(0).unwrap();
    let active = source();
    sources.relax(0).unwrap();
    let relaxed = source();

    assert!(active.active && active.active_time_ns > 0, "{active:?}");
    assert!(active.total_time_ns >= active.active_time_ns, "{active:?}");
    assert!(!relaxed.active && relaxed.active_time_ns == 0, "{relaxed:?}");
    // The plain program, which shares nothing with the project's, reads the same.
    let (object, _) = load_right(WALK, "find", 0).unwrap();
    assert_eq!(find(&object, NAME).total_time, relaxed.total_time_ns.cast_unsigned());
}

#[test]
fn right_use_loads_and_runs() {
    let Some((object, _)) = load_right(REFUSED, "right", 0) else { return };

    let program = object.progs_mut().find(|program| program.name() == "right").unwrap();
    assert_eq!(program.test_run(ProgramInput::default()).unwrap().return_value, 0);
}

#[test]
fn lock_that_is_not_released_is_refused() {
    assert_refused("lock_not_released", &["Unreleased reference id="]);
}

#[test]
fn read_of_the_lock_is_refused() {
    assert_refused("lock_read", &["access beyond struct bpf_ws_lock"]);
}

/// What 7.3 and 6.12 say of a pointer that no lock gave, where they get to look for the lock.
const NOT_ACQUIRED: &[&str] = &[
    "release kfunc bpf_wakeup_sources_read_unlock expects referenced PTR_TO_BTF_ID",
    "release kernel function bpf_wakeup_sources_read_unlock expects refcounted PTR_TO_BTF_ID",
];

#[test]
fn unlock_of_a_number_is_refused() {
    // 6.12 does not get that far: a number is no pointer.
    let not_a_pointer = "R1 type=scalar expected=";
    assert_refused("unlock_of_number", &[NOT_ACQUIRED, &[not_a_pointer]].concat());
}

#[test]
fn unlock_of_a_pointer_of_ones_own_is_refused() {
    assert_refused("unlock_of_own_memory", NOT_ACQUIRED);
}

#[test]
fn unlock_of_null_is_refused() {
    assert_refused("unlock_of_null", &["Possibly NULL pointer passed to trusted"]);
}

#[test]
fn load_through_the_head_is_refused() {
    assert_refused("load_through_head", &["invalid mem access 'scalar'"]);
}

/// The number after these words in the verifier's figures.
fn figure(log: &str, label: &str) -> u64 {
    let (_, rest) = log.split_once(label).unwrap_or_else(|| panic!("no {label:?} in: {log}"));
    let end = rest.find(|character: char| !character.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().unwrap_or_else(|_| panic!("no number after {label:?} in: {log}"))
}

#[test]
fn projects_program_costs_the_verifier_little() {
    const PROGRAM: &str = "snapshot";
    let loaded = load_right(load::object(), PROGRAM, BPF_LOG_STATS);
    let Some((object, log)) = loaded else { return };

    let (_, log) = log.split_once("BEGIN PROG LOAD LOG").unwrap();
    let program = object.progs().find(|program| program.name() == PROGRAM).unwrap();
    let id = libbpf_rs::Program::id_from_fd(program.as_fd()).unwrap();
    let options = ProgInfoQueryOptions::default().include_jited_prog_insns(true);
    let info = ProgInfoIter::with_query_opts(options).find(|info| info.id == id).unwrap();
    let insns = program.insn_cnt() as u64;
    let jited = info.jited_prog_insns.len();
    let processed = figure(log, "processed ");
    let limit = figure(log, "insns (limit ");
    let states = figure(log, "total_states ");
    let peak_states = figure(log, "peak_states ");
    let per_insn = figure(log, "max_states_per_insn ");
    // One number, or on older kernels one for each function.
    let stack = log.lines().find_map(|line| line.strip_prefix("stack depth ")).unwrap();
    let stack = stack.trim_start_matches("max ");

    show(format_args!(
        "veristat: kernel {} program {PROGRAM}: {processed} insns processed (limit {limit}), \
         {states} states (peak {peak_states}, {per_insn} per insn), {insns} insns, \
         jited {jited} bytes, stack {stack} bytes",
        uname().release().to_string_lossy(),
    ));
    assert_eq!(limit, INSNS_LIMIT);
    assert!(insns > 0 && processed > insns && processed < INSNS_BUDGET);
    // No more can be said: newer kernels count in the peak what they keep of loops, too.
    assert!(states > 0 && peak_states > 0 && per_insn > 0);
    // The VM's kernels compile every program; an instruction is at least a byte.
    assert!(jited as u64 > insns, "{jited} bytes for {insns} instructions");
}
