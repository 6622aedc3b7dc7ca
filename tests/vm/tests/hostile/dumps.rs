// SPDX-License-Identifier: Apache-2.0
//! Dumps with arguments of any characters, and to files of any kind.

use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use rsbinder::{DUMP_TRANSACTION, FLAG_ONEWAY, StatusCode};
use rustix::pipe::{PipeFlags, pipe_with};
use wakeupstats_vm::requests::Request;
use wakeupstats_vm::selinux;

use crate::watch::Watch;

/// Repeated, these are an argument of any length. The service takes 64 KiB in all (`gate.rs`).
const LONG: [&str; 8] = ["a", "\u{1b}", "\u{202e}", "--name=*", "-", "--top=1", "日", "-h"];

/// What a dump with these arguments writes, and how the transaction ended.
pub(crate) fn dumped(watch: &Watch, args: &[&[u16]]) -> (String, rsbinder::Result<()>) {
    let (read_end, write_end) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    let reading = thread::spawn(move || {
        let mut text = Vec::new();
        File::from(read_end).read_to_end(&mut text).unwrap();
        text
    });
    let mut request = Request::dump(write_end, args.iter().copied());
    let end = request.send(watch.proxy(), DUMP_TRANSACTION, 0).map(drop);
    drop(request);
    (String::from_utf8(reading.join().unwrap()).unwrap(), end)
}

pub(crate) fn utf16(text: &str) -> Vec<u16> {
    text.encode_utf16().collect()
}

/// Nothing that a terminal takes for a command, or that a reader can't see.
pub(crate) fn assert_plain(text: &str, what: &str) {
    let odd = text.chars().find(|&char| char != '\n' && !is_plain(char));
    assert_eq!(odd, None, "{what}: {text:?}");
}

/// Neither a control character nor one of Unicode's category Cf, Zl or Zp (17.0).
fn is_plain(char: char) -> bool {
    let is_format = matches!(char,
        '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}'
        | '\u{8e2}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{2064}' | '\u{2066}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0001}' | '\u{e0020}'..='\u{e007f}');
    !char.is_control() && !is_format
}

#[test]
fn arguments_of_any_characters_are_answered_in_plain_text() {
    let watch = Watch::begin();
    let texts = [
        "",
        "-",
        "--",
        "---",
        "-\0",
        "--\0",
        "\0",
        "\n\n",
        "a\n\nerror: b",
        "--name",
        "--name=",
        "--top",
        "--top=",
        "--top=-1",
        "--top=4294967296",
        "--since=-1",
        "--since=9223372036854775808",
        "--sort=\u{1b}[2J",
        "--json=\u{202e}",
        "-ahx",
        "-\u{1b}",
        "--\u{9b}2J",
        "--nam\u{200b}e",
        "\u{ad}",
        "--name=\u{1b}]0;title\u{7}",
        "{}",
        "{0}",
        "%n%s",
        "$(reboot)",
        "`reboot`",
        "'; reboot; '",
        "@file",
        "--help\u{7f}",
        "--x=\r",
        "日本語",
        "\u{10ffff}",
        "e\u{301}",
        "\u{2028}",
        "\u{e0041}",
        "--activ",
    ];
    let args: Vec<Vec<u16>> = texts.iter().map(|text| utf16(text)).collect();
    let mut tried = 0;
    let mut check = |args: &[&[u16]], what: &str| {
        let (text, end) = dumped(&watch, args);
        assert!(matches!(end, Ok(()) | Err(StatusCode::BadValue)), "{what}: {end:?}");
        assert!(!text.is_empty(), "{what}");
        assert_plain(&text, what);
        tried += 1;
    };

    for (arg, text) in args.iter().zip(texts) {
        check(&[arg], &format!("{text:?}"));
        for before in ["--name", "--sort", "--top", "--since", "--json", "--"] {
            check(&[&utf16(before), arg], &format!("{before} {text:?}"));
        }
    }
    check(&vec![utf16("--name").as_slice(); 3_000], "3,000 options");
    check(&vec![utf16("--active").as_slice(); 2_500], "2,500 times the same");
    check(&vec![utf16("").as_slice(); 8_000], "8,000 empty arguments");
    for long in LONG {
        let units = utf16(&long.repeat(32_000 / long.encode_utf16().count()));
        check(&[&units], &format!("64,000 bytes of {long:?}"));
    }
    watch.assert_well("all of them");
    watch.say(&format!("{tried} dumps"));
    watch.assert_kept_to_itself();
}

#[test]
fn dumps_that_bring_more_than_a_dump_needs_are_refused() {
    let watch = Watch::begin();
    let check = |args: &[&[u16]], what: &str| {
        assert_eq!(dumped(&watch, args), (String::new(), Err(StatusCode::BadValue)), "{what}");
        watch.assert_well(what);
    };

    check(&vec![utf16("--name").as_slice(); 10_000], "10,000 options");
    check(&vec![utf16("--active").as_slice(); 10_000], "10,000 times the same");
    check(&vec![utf16("").as_slice(); 100_000], "100,000 empty arguments");
    for long in LONG {
        for units in [33_000, 250_000, 500_000] {
            let arg = utf16(&long.repeat(units / long.encode_utf16().count()));
            check(&[&arg], &format!("{units} units of {long:?}"));
        }
    }
    watch.say("large dumps");
    watch.assert_kept_to_itself();
}

#[test]
fn arguments_that_are_no_text_are_refused() {
    let watch = Watch::begin();
    let surrogates: [&[u16]; 4] =
        [&[0xd800], &[0xdc00], &[0xdc00, 0xd800], &[0x2d, 0x2d, 0xdfff, 0x61]];

    for arg in surrogates {
        let (text, end) = dumped(&watch, &[arg]);
        assert_eq!((text.as_str(), end), ("", Err(StatusCode::BadValue)), "{arg:x?}");
        let (_, end) = dumped(&watch, &[&utf16("--name"), arg]);
        assert_eq!(end, Err(StatusCode::BadValue));
        watch.assert_well("half a character");
    }
}

/// A file that takes nothing, each for another reason. Those that the policy keeps from the daemon
/// are tried only where none is enforced: there the transaction fails, and nothing comes through.
fn files() -> Vec<(&'static str, OwnedFd)> {
    let pipe = || pipe_with(PipeFlags::CLOEXEC).unwrap();
    let stream = || UnixStream::pair().unwrap();
    let mut files: Vec<(&str, OwnedFd)> = vec![
        ("a pipe that nobody reads", pipe().1),
        ("a socket that nobody reads", stream().0.into()),
        ("/dev/null", OpenOptions::new().write(true).open("/dev/null").unwrap().into()),
        ("a socket that says nothing more", {
            let (socket, _) = stream();
            socket.shutdown(std::net::Shutdown::Write).unwrap();
            socket.into()
        }),
    ];
    if !selinux::is_enforced() {
        let path = format!("/tmp/dump-{}", std::process::id());
        fs::write(&path, "").unwrap();
        files.extend([
            ("the read end of a pipe", pipe().0),
            ("a file open for reading", File::open(&path).unwrap().into()),
            ("a directory", File::open("/tmp").unwrap().into()),
            ("/dev/full", OpenOptions::new().write(true).open("/dev/full").unwrap().into()),
            (
                "the daemon's own device",
                OpenOptions::new().read(true).write(true).open("/dev/binder").unwrap().into(),
            ),
            ("an attribute of the kernel's", File::open("/sys/power/state").unwrap().into()),
        ]);
    }
    files
}

#[test]
fn files_that_take_nothing_harm_nobody() {
    let watch = Watch::begin();

    for flags in [0, FLAG_ONEWAY] {
        for (what, file) in files() {
            let all = utf16("--all");
            let end =
                Request::dump(file, [all.as_slice()]).send(watch.proxy(), DUMP_TRANSACTION, flags);
            assert!(end.is_ok(), "{what}: {end:?}");
            // One that is oneway goes on for a while.
            thread::sleep(Duration::from_millis(if flags == 0 { 0 } else { 30 }));
            watch.assert_well(what);
        }
    }
    watch.say("all of them");
    watch.assert_kept_to_itself();
}
