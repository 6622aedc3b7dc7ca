// SPDX-License-Identifier: Apache-2.0
//! Wakeup sources whose names mean harm to whoever shows or parses them.

use std::collections::BTreeSet;

use percent_encoding::percent_decode_str;
use serde_json::Value;
use unicode_width::UnicodeWidthStr;
use wakeupstats_aidl::{SnapshotQuery, rows};
use wakeupstats_vm::sources::{Sources, file_name};

use crate::dumps::{assert_plain, dumped, utf16};
use crate::watch::Watch;

/// Fields of a source in CSV, and in a line of `--checkin` behind its version and kind.
const SOURCE_FIELDS: usize = 18;

/// Fields of the first line of `--checkin`, likewise.
const HEADER_FIELDS: usize = 12;

/// Columns of numbers in the table.
const NUMBERS: usize = 9;

/// The widest line of a table.
const WIDTH: usize = 100;

fn names() -> Vec<Vec<u8>> {
    let texts = [
        "\u{1b}[2J\u{1b}[H",
        "\u{1b}]0;title\u{7}",
        "\u{1b}]8;;http:example\u{1b}\\link",
        "\u{1b}P$q\u{1b}\\",
        "\u{1b}[31mred",
        "\u{9b}31mred\u{9c}",
        "\u{85}next",
        "\u{202e}drawkcab",
        "\u{2066}isolate\u{2069}",
        "\u{200b}zero\u{200d}width\u{feff}",
        "\u{ad}soft",
        "\u{2028}line\u{2029}paragraph",
        "\u{600}number\u{6dd}",
        "\u{fff9}a\u{fffa}b\u{fffb}",
        "\u{e0041}tag",
        "\u{13430}hieroglyph",
        "line\nbreak",
        "return\rover",
        "\r\n1,s,0,0,forged,false,,true,true,1,1,1,1,1,1,1,1,1,1,1",
        "\ttab",
        "\u{8}\u{8}\u{8}backspace",
        "\u{7f}delete",
        "bell\u{7}",
        "=cmd()|' -C calc'!A0",
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "'=quoted",
        "\"quote",
        "\"a\",\"b\"",
        "comma,comma",
        "back\\slash\\n\\u0041",
        "\"}],\"gone\":[{\"",
        "100%25%0a%",
        "e\u{301}\u{302}\u{303}\u{304}\u{305}combining",
        "\u{1100}\u{1161}\u{11a8}jamo",
        "ＦＵＬＬ　ＷＩＤＴＨ",
        "日本語",
        "👩\u{200d}👩\u{200d}👧 🏳\u{fe0f}\u{200d}🌈",
        "\u{fdfd}\u{2e3b}wide",
        "שלום עולם",
        "TOTAL of 7",
        "NAME",
        "-",
        "!mark",
        "…",
        " ",
        "   ",
    ];
    let mut names: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_owned()).collect();
    names.extend([
        b"\x9b2J".to_vec(),
        b"caf\xe9".to_vec(),
        b"\xff\xfe\xfd".to_vec(),
        b"\xed\xa0\x80surrogate".to_vec(),
        b"\xc0\xafoverlong".to_vec(),
        b"\xf4\x90\x80\x80beyond".to_vec(),
        b"\xf0\x9f\x98".to_vec(),
        vec![0x1b; 255],
        vec![0xff; 255],
        vec![b'\n'; 255],
        vec![b','; 255],
        vec![b'"'; 255],
        vec![b'%'; 255],
        "\u{301}".repeat(127).into_bytes(),
        "\u{202e}".repeat(85).into_bytes(),
        "　".repeat(85).into_bytes(),
        "😀".repeat(63).into_bytes(),
    ]);
    // Every byte that a name can have, at its begin and alone.
    names.extend((1..=255).filter(|&byte| byte != b'/').map(|byte| vec![byte, b'x']));
    names.extend((1..=255).filter(|byte| !b"/.".contains(byte)).map(|byte| vec![byte]));
    names
}

/// Sources of all these names, and the names as the service should say them.
fn sources() -> (Sources, BTreeSet<String>) {
    let mut sources = Sources::new().unwrap();
    let names: BTreeSet<Vec<u8>> = names().into_iter().collect();
    for name in &names {
        sources.add_fifo(&file_name(name)).unwrap();
    }
    (sources, names.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect())
}

fn text(watch: &Watch, args: &[&str]) -> String {
    let args: Vec<Vec<u16>> = args.iter().map(|arg| utf16(arg)).collect();
    let (text, end) = dumped(watch, &args.iter().map(Vec::as_slice).collect::<Vec<_>>());
    end.unwrap();
    text
}

#[test]
fn table_keeps_its_columns_and_holds_nothing_for_the_terminal() {
    let watch = Watch::begin();
    let (sources, names) = sources();
    sources.activate(3).unwrap();

    for args in [&[][..], &["--all"], &["--merge"], &["--sort", "name"], &["--active"]] {
        let text = text(&watch, args);
        assert_plain(&text, "the table");
        let tables = text.split("\n\n").filter(|part| part.starts_with("NAME"));
        for (nth, table) in tables.enumerate() {
            let width = table.lines().next().unwrap().width();
            assert!(width <= WIDTH, "{args:?}: {width}");
            for line in table.lines() {
                assert_eq!(line.width(), width, "{args:?}: {line:?}");
            }
            let rows = table.lines().skip(1).collect::<Vec<_>>();
            assert!(args == ["--active"] || rows.len() > names.len() / 2, "{args:?}");
            let numbers = if nth == 0 { NUMBERS } else { 4 };
            for row in rows {
                let cells: Vec<&str> = row.split(' ').filter(|cell| !cell.is_empty()).collect();
                let is_number = |cell: &str| cell == "-" || cell.parse::<f64>().is_ok();
                let last = &cells[cells.len() - numbers..];
                assert!(last.iter().all(|cell| is_number(cell)), "{args:?}: {row:?}");
            }
        }
    }
    watch.say(&format!("{} names in tables", names.len()));
    watch.assert_kept_to_itself();
}

#[test]
fn machine_formats_parse_and_have_every_name_as_it_is() {
    let watch = Watch::begin();
    let (_sources, names) = sources();
    let had = |found: Vec<String>, format: &str| {
        let found: BTreeSet<String> = found.into_iter().collect();
        let missing: Vec<_> = names.difference(&found).collect();
        assert!(missing.is_empty(), "{format} misses {missing:?}");
    };

    let snapshot = watch.service().getSnapshot(&SnapshotQuery::default()).unwrap();
    had(rows(&snapshot).unwrap().into_iter().filter_map(|row| row.name).collect(), "the reply");
    let total = snapshot.totalSources as usize;

    let json = text(&watch, &["--json"]);
    assert_eq!(json.lines().count(), 1);
    assert_plain(&json, "JSON");
    let document: Value = serde_json::from_str(&json).unwrap();
    let sources = document["sources"].as_array().unwrap();
    assert_eq!((sources.len(), document["gone"].as_array().unwrap().len()), (total, 0));
    had(sources.iter().map(|it| it["name"].as_str().unwrap().to_owned()).collect(), "JSON");

    let csv = text(&watch, &["--csv"]);
    let mut found = Vec::new();
    for record in csv::Reader::from_reader(csv.as_bytes()).records() {
        let record = record.unwrap();
        assert_eq!(record.len(), SOURCE_FIELDS, "{record:?}");
        for field in &record {
            let is_formula = field.starts_with(['=', '+', '-', '@', '\t', '\r']);
            assert!(!is_formula, "{field:?}");
        }
        let name = &record[2];
        found.push(name.strip_prefix('\'').unwrap_or(name).to_owned());
    }
    assert_eq!(found.len(), total);
    had(found, "CSV");

    let checkin = text(&watch, &["--checkin"]);
    let is_plain = |char: char| char == '\n' || char.is_ascii_graphic() || char == ' ';
    assert!(checkin.chars().all(is_plain), "{checkin:?}");
    let mut found = Vec::new();
    for (index, line) in checkin.lines().enumerate() {
        let fields: Vec<&str> = line.split(',').collect();
        let (kind, count) = if index == 0 { ("h", HEADER_FIELDS) } else { ("s", SOURCE_FIELDS) };
        assert_eq!((fields[0], fields[1], fields.len()), ("1", kind, count + 2), "{line}");
        if index > 0 {
            found.push(percent_decode_str(fields[4]).decode_utf8().unwrap().into_owned());
        }
    }
    assert_eq!(found.len(), total);
    had(found, "checkin");
    watch.say(&format!("{} names in four formats", names.len()));
    watch.assert_kept_to_itself();
}
