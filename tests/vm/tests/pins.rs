// SPDX-License-Identifier: Apache-2.0
#![cfg(test)]
//! `wakeupstatsd load` and `unload`, what the service makes of pins that are not its own, and of readers
//! beside it.
//!
//! Where the kernel has no kfuncs nothing can be pinned: each test shows that, and why.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::ops::RangeInclusive;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use libbpf_rs::{MapCore, MapFlags, MapHandle, MapType, ObjectBuilder, libbpf_sys};
use wakeupstats::backends::Open;
use wakeupstats::bpf;
use wakeupstats::layout::{WS_CHUNKS, ws_args, ws_chunk};
use wakeupstats::load::Pinnable;
use wakeupstats::pin::{self, Outcome, Owner};
use wakeupstats::pinned::{self, Pinned};
use wakeupstats::pins::{DEFAULT_DIR, MAP_NAME, PROGRAM_NAME, Pins};
use wakeupstats::walk::{self, Program};
use wakeupstats_aidl::{SnapshotBackend, SnapshotQuery};
use wakeupstats_vm::daemon::{self, Daemon, SYSTEM};
use wakeupstats_vm::guarded::Guarded;
use wakeupstats_vm::meanwhile::meanwhile;
use wakeupstats_vm::objects::{LIAR, OTHER_LAYOUT, WALK};
use wakeupstats_vm::pinning::{NOTICE_LIMIT, OWNER, pinned, status, wait_for};
use wakeupstats_vm::{backend, many, sources};
use zerocopy::{FromBytes, IntoBytes};

/// Chunks of the map of an older program, more than the usual.
const OLDER_CHUNKS: u32 = 2 * WS_CHUNKS;

/// What a chunk takes.
const CHUNK_BYTES: i64 = size_of::<ws_chunk>() as i64;

/// How often older pins are replaced.
const ROUNDS: usize = 5;

/// So many that a few would have something of another reader's, if nothing kept them apart.
const SNAPSHOTS: u32 = 400;

/// They take four seconds on a machine that has nothing else to do.
const SNAPSHOTS_LIMIT: Duration = Duration::from_secs(120);

/// So many that somebody who looks all the time would see a moment without pins, if there were one.
const REPLACEMENTS: usize = 50;

#[test]
fn kernel_writes_no_further_than_there_is_room() {
    let Some(_unload) = pinned() else { return };
    let pins = Pins::new(DEFAULT_DIR);
    let program = bpf::Program::open(&pins.program(), PROGRAM_NAME).unwrap();
    let map = bpf::Array::open(&pins.map(), MAP_NAME, size_of::<ws_chunk>()).unwrap();

    let mut context = Guarded::new(size_of::<ws_args>()).unwrap();
    let args = ws_args::mut_from_bytes(context.bytes()).unwrap();
    *args = walk::args(0..=u32::MAX);
    assert_eq!(program.run(args).unwrap(), 0);

    assert!(args.total > 0);
    for count in 1..=3 {
        let mut room = Guarded::new(count * size_of::<ws_chunk>()).unwrap();
        let chunks = <[ws_chunk]>::mut_from_bytes(room.bytes()).unwrap();
        map.read(chunks).unwrap();
        assert_eq!((chunks[0].run, chunks[0].records), (args.run, args.copied));
    }
}

#[test]
fn load_pins_as_bpfloader_does_as_often_as_it_is_run() {
    let Some(_unload) = pinned() else { return };
    // With the slash that a shell adds.
    let pins = Pins::new(format!("{DEFAULT_DIR}/"));
    for (uid, gid) in [(1_001, 1_002), (1_001, 1_002), (SYSTEM, SYSTEM)] {
        assert_eq!(pin::load(&pins, Owner { uid, gid }).unwrap(), Outcome::Replaced);

        for path in [pins.program(), pins.map()] {
            let it = fs::metadata(&path).unwrap();
            assert_eq!((it.mode() & 0o7777, it.uid(), it.gid()), (0o440, uid, gid));
        }
        assert_eq!(fs::metadata(pins.dir()).unwrap().mode() & 0o7777, 0o755);
        assert_eq!(fs::read_dir("/sys/fs/bpf").unwrap().count(), 1, "nothing else is left there");
    }
    assert!(pin::unload(&pins).unwrap());
    assert!(!pin::unload(&pins).unwrap(), "nothing is left to remove");
}

#[test]
fn service_runs_what_root_owns_and_group_system_reads_as_bpfloader_has_it() {
    let Some(_unload) = pinned() else { return };
    pin::load(&Pins::new(DEFAULT_DIR), Owner { uid: 0, gid: SYSTEM }).unwrap();
    fs::set_permissions(DEFAULT_DIR, Permissions::from_mode(0o1777)).unwrap();

    let _daemon = Daemon::start_without_privilege(&[]).unwrap();

    let snapshot = daemon::service().unwrap().getSnapshot(&SnapshotQuery::default()).unwrap();
    assert_eq!(snapshot.backend, SnapshotBackend::PINNED, "{:?}", status());
    assert!(snapshot.complete);
}

#[test]
fn what_others_have_put_beside_the_pins_is_left_alone() {
    let Some(_unload) = pinned() else { return };
    let pins = Pins::new(DEFAULT_DIR);
    let foreign = pins.dir().join("foreign");
    fs::create_dir(&foreign).unwrap();
    let before = pins.identity();

    let error = pin::load(&pins, OWNER).unwrap_err().to_string();
    let after = pins.identity();
    let unloaded = pin::unload(&pins).unwrap();

    assert!(error.contains("/foreign is not this service's: move it away"), "{error}");
    assert!(before.is_some() && after == before, "nothing was touched");
    assert!(unloaded && pins.identity().is_none() && foreign.exists());
    fs::remove_dir(&foreign).unwrap();
}

#[test]
fn one_load_waits_for_another() {
    let Some(_unload) = pinned() else { return };
    let pins = Pins::new(DEFAULT_DIR);
    let before = pins.identity();
    let parent = fs::File::open("/sys/fs/bpf").unwrap();
    parent.lock().unwrap();

    let during = thread::scope(|scope| {
        let load = scope.spawn(|| pin::load(&pins, OWNER));
        // Longer than a load takes.
        thread::sleep(Duration::from_secs(2));
        let during = pins.identity();
        parent.unlock().unwrap();
        load.join().unwrap().unwrap();
        during
    });

    assert!(during == before && pins.identity() != before);
}

/// Pins a program that is not the usual one, as its map is larger, in the place of what is pinned.
fn pin_older() {
    let pins = Pins::new(DEFAULT_DIR);
    backend::unload().unwrap();
    fs::create_dir(pins.dir()).unwrap();
    let older = Pinnable::load(OLDER_CHUNKS).unwrap();
    older.pin(&pins.program(), &pins.map()).unwrap();
    for path in [pins.program(), pins.map()] {
        chown(&path, Some(SYSTEM), Some(SYSTEM)).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o440)).unwrap();
    }
}

#[test]
fn older_pins_are_replaced_in_one_step_and_the_service_takes_the_new() {
    let Some(_unload) = pinned() else { return };
    let _daemon = Daemon::start_without_privilege(&[]).unwrap();
    let interrupted = format!("{DEFAULT_DIR}_new");
    let others = AtomicUsize::new(0);
    let watch = || {
        let service = daemon::service().unwrap();
        let reply = service.getSnapshot(&SnapshotQuery::default()).unwrap();
        let is_other = reply.backend != SnapshotBackend::PINNED;
        others.fetch_add(usize::from(is_other), Ordering::Relaxed);
    };

    for _ in 0..ROUNDS {
        pin_older();
        wait_for(SnapshotBackend::PINNED);
        assert_eq!(status().roomBytes, i64::from(OLDER_CHUNKS) * CHUNK_BYTES);
        fs::create_dir(&interrupted).unwrap();
        others.store(0, Ordering::Relaxed);
        meanwhile(watch, || {
            let outcome = pin::load(&Pins::new(DEFAULT_DIR), OWNER).unwrap();
            assert_eq!(outcome, Outcome::Replaced);
            let begin = Instant::now();
            while status().roomBytes != i64::from(WS_CHUNKS) * CHUNK_BYTES {
                assert!(begin.elapsed() < NOTICE_LIMIT, "{:?}", status());
            }
        });
        assert_eq!(others.load(Ordering::Relaxed), 0, "calls that another backend answered");
        assert!(!fs::exists(&interrupted).unwrap());
    }
}

#[test]
fn pins_are_there_at_each_moment_of_a_replacement_and_can_be_opened() {
    let Some(_unload) = pinned() else { return };
    let pins = Pins::new(DEFAULT_DIR);
    let missing = AtomicUsize::new(0);
    // Of the directory only: who has found the old one may find its pins gone a moment later.
    let look = || {
        missing.fetch_add((!fs::exists(DEFAULT_DIR).unwrap()).into(), Ordering::Relaxed);
    };
    let opened = AtomicUsize::new(0);
    let open = || {
        let mut opener = pinned::Opener::new(pins.clone());
        opener.open().map(|_| opened.fetch_add(1, Ordering::Relaxed)).unwrap();
    };

    meanwhile(look, || {
        meanwhile(open, || {
            for _ in 0..REPLACEMENTS {
                assert_eq!(pin::load(&pins, OWNER).unwrap(), Outcome::Replaced);
            }
        });
    });

    assert_eq!(missing.into_inner(), 0);
    assert!(opened.into_inner() > REPLACEMENTS);
}

/// Why the service would not use what `pin` pins.
fn refusal(pin: impl FnOnce(&Pins)) -> String {
    let pins = Pins::new("/sys/fs/bpf/spare");
    fs::create_dir(pins.dir()).unwrap();
    pin(&pins);
    let error = Pinned::open(&pins).unwrap_err();
    for pin in fs::read_dir(pins.dir()).unwrap() {
        fs::remove_file(pin.unwrap().path()).unwrap();
    }
    fs::remove_dir(pins.dir()).unwrap();
    wakeupstats::chain(&error)
}

#[test]
fn what_is_not_the_services_own_is_refused_with_the_reason() {
    let Some(_unload) = pinned() else { return };
    let load_and_pin =
        |program: &Path, map: &Path| Pinnable::load(WS_CHUNKS).unwrap().pin(program, map).unwrap();

    let swapped = refusal(|pins| load_and_pin(&pins.map(), &pins.program()));
    let map_only = refusal(|pins| {
        load_and_pin(&pins.dir().join("elsewhere"), &pins.map());
    });
    let strangers = refusal(|pins| {
        load_and_pin(&pins.program(), &pins.dir().join("elsewhere"));
        load_and_pin(&pins.dir().join("another"), &pins.map());
    });
    let another_name = refusal(|pins| {
        load_and_pin(&pins.program(), &pins.map());
        fs::remove_file(pins.program()).unwrap();
        let object = ObjectBuilder::default().open_memory(WALK).unwrap().load().unwrap();
        object.progs_mut().next().unwrap().pin(pins.program()).unwrap();
    });
    let map_with = |pins: &Pins, name: &str, value_size: u32| {
        load_and_pin(&pins.program(), &pins.dir().join("elsewhere"));
        let options = libbpf_sys::bpf_map_create_opts {
            sz: size_of::<libbpf_sys::bpf_map_create_opts>() as u64,
            ..Default::default()
        };
        let map = MapHandle::create(MapType::Array, Some(name), 4, value_size, 8, &options);
        map.unwrap().pin(pins.map()).unwrap();
    };
    let another_map = refusal(|pins| map_with(pins, "other", CHUNK_BYTES as u32));
    let another_size = refusal(|pins| map_with(pins, "records", 8_192));
    let impostor = |object: &'static [u8]| {
        refusal(|pins| {
            let mut object = ObjectBuilder::default().open_memory(object).unwrap().load().unwrap();
            object.progs_mut().next().unwrap().pin(pins.program()).unwrap();
            object.maps_mut().next().unwrap().pin(pins.map()).unwrap();
        })
    };
    let another_layout = impostor(OTHER_LAYOUT);
    let liar = impostor(LIAR);

    assert!(swapped.contains("bpf-map, instead of bpf-prog"), "{swapped}");
    assert!(map_only.contains("nothing is pinned there"), "{map_only}");
    assert!(strangers.contains("does not write to the map that is pinned beside"), "{strangers}");
    assert!(another_name.contains("\"find\" of type 31, instead of"), "{another_name}");
    assert!(another_map.contains("a map \"other\" of type 2 with keys"), "{another_map}");
    assert!(another_size.contains("values of 8192 bytes, instead of"), "{another_size}");
    assert!(another_layout.contains("not as this service expects"), "{another_layout}");
    assert!(liar.contains("claims to fill 4294967295 chunks of a map of 32"), "{liar}");
    assert!(Pinned::open(&Pins::new(DEFAULT_DIR)).is_ok());
}

#[test]
fn readers_of_one_pinned_program_get_nothing_of_each_other() {
    let Some(_unload) = pinned() else { return };
    let _sources = sources::eventfds(600).unwrap();
    let ids = many::ids_in_sysfs();
    let open = || Pinned::open(&Pins::new(DEFAULT_DIR)).unwrap();
    // Others who write other ids to the same places of the same map, without a pause. On a busy
    // machine, where each step takes long, somebody may be in the way for as long as is waited.
    let disturb = |ids: RangeInclusive<u32>| {
        move || {
            let mut other = open();
            (0..50).for_each(|_| drop(other.run(ids.clone())));
        }
    };
    let mut walker = open().into_walker();
    let mut read = 0;

    meanwhile(disturb(0..=299), || {
        meanwhile(disturb(300..=u32::MAX), || {
            let begin = Instant::now();
            while read < SNAPSHOTS {
                assert!(begin.elapsed() < SNAPSHOTS_LIMIT, "{read} snapshots");
                let Ok(snapshot) = walker.snapshot() else { continue };
                let found: BTreeSet<u32> = snapshot.sources.iter().map(|it| it.id).collect();
                assert_eq!((found.len(), &found), (snapshot.sources.len(), &ids));
                read += 1;
            }
        });
    });
}

#[test]
fn run_that_is_under_way_keeps_others_out() {
    let Some(_unload) = pinned() else { return };
    let pins = Pins::new(DEFAULT_DIR);
    let map = MapHandle::from_pinned_path(pins.map()).unwrap();
    let first_element = 0u32.to_ne_bytes();
    let set_busy = |busy: u32| {
        let bytes = map.lookup(&first_element, MapFlags::ANY).unwrap().unwrap();
        let mut chunk = ws_chunk::read_from_bytes(&bytes).unwrap();
        chunk.busy = busy;
        map.update(&first_element, chunk.as_bytes(), MapFlags::ANY).unwrap();
    };
    let mut reader = Pinned::open(&pins).unwrap().into_walker();

    set_busy(1);
    let during = wakeupstats::chain(&reader.snapshot().unwrap_err());
    let opened_during = Pinned::open(&pins).is_ok();
    set_busy(0);

    assert!(during.contains("others run the pinned program all the time"), "{during}");
    assert!(opened_during, "it is the service's own all the same");
    assert!(reader.snapshot().unwrap().walk.complete);
}

#[test]
fn build_for_android_has_neither_libbpf_nor_the_program() {
    // A symbol of libbpf's, and one of the embedded object's.
    let signs: [&[u8]; 2] = [b"bpf_object__load", b"bpf_wakeup_sources_get_head"];
    let has = |path: &str| {
        let bytes = fs::read(path).unwrap();
        signs.map(|sign| bytes.windows(sign.len()).any(|window| window == sign))
    };

    assert_eq!(has(daemon::PATH_WITHOUT_LOADER), [false, false]);
    assert_eq!(has(daemon::PATH), [true, true]);
}

#[test]
fn command_line_says_what_load_does() {
    let help = Command::new(daemon::PATH).args(["load", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let nowhere = Command::new(daemon::PATH).args(["load", "--pins", "/tmp/x"]).output().unwrap();
    let nowhere = String::from_utf8(nowhere.stderr).unwrap();
    let left_out = Command::new(daemon::PATH_WITHOUT_LOADER).arg("load").output().unwrap();

    assert!(help.contains("--uid") && help.contains("[default: 1000]"), "{help}");
    assert!(nowhere.contains("/tmp is no directory of a BPF file system"), "{nowhere}");
    assert_eq!(left_out.status.code(), Some(2), "the build for Android has no such command");
}
