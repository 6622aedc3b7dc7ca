// SPDX-License-Identifier: Apache-2.0
//! Files of any text where sysfs has those of wakeup sources, read by the backend `sysfs`.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::Path;

use arbitrary::{Arbitrary, Result, Unstructured};
use tempfile::TempDir;
use wakeupstats::layout::{WS_DEVICE_LEN, WS_NAME_LEN};
use wakeupstats::model::Source;
use wakeupstats::sysfs::Sysfs;

/// Attributes that hold a number: with `true`, milliseconds.
const NUMBERS: [(&str, bool); 10] = [
    ("active_count", false),
    ("event_count", false),
    ("wakeup_count", false),
    ("expire_count", false),
    ("relax_count", false),
    ("last_change_ms", true),
    ("active_time_ms", true),
    ("total_time_ms", true),
    ("max_time_ms", true),
    ("prevent_suspend_time_ms", true),
];

const NS_PER_MS: u64 = 1_000_000;

/// The files of a node: no text where there is no file.
#[derive(Debug)]
struct Node {
    numbers: [Option<Vec<u8>>; NUMBERS.len()],
    name: Option<Vec<u8>>,
    device: Option<Vec<u8>>,
}

/// Reads some nodes, twice as a service would, and compares with what their files say.
pub fn run(data: &[u8]) {
    let _ = nodes(&mut Unstructured::new(data));
}

fn nodes(u: &mut Unstructured<'_>) -> Result<()> {
    let root = TempDir::with_prefix("wakeupstats-fuzz").unwrap();
    let class = root.path().join("class/wakeup");
    fs::create_dir_all(&class).unwrap();
    let mut nodes: BTreeMap<u32, Node> = BTreeMap::new();
    for _ in 0..u.int_in_range(1..=3)? {
        // Ids are dense, so no kernel has one that takes long to count up to.
        let id = if u.ratio(7, 8)? { u.int_in_range(0..=3)? } else { u8::arbitrary(u)?.into() };
        let node = node(u)?;
        if !nodes.contains_key(&id) && lay_out(&class.join(format!("wakeup{id}")), &node) {
            nodes.insert(id, node);
        }
    }
    // What is no wakeup source, or not spelt as the kernel does, is not one for the service.
    let other = text(u, 3)?;
    let is_name = !other.is_empty() && !other.iter().any(|byte| b"\0/".contains(byte));
    let other = [b"wakeup", other.as_slice()].concat();
    let is_other = is_name && nodes.keys().all(|id| format!("wakeup{id}").as_bytes() != other);
    let canonical = str::from_utf8(&other[6..]).ok().and_then(|id| id.parse::<u32>().ok());
    if is_other && canonical.is_none_or(|id| format!("wakeup{id}").as_bytes() != other) {
        fs::create_dir(class.join(OsStr::from_bytes(&other))).unwrap();
    }

    let mut sysfs = Sysfs::open(root.path()).unwrap();
    for _ in 0..2 {
        let snapshot = sysfs.snapshot().unwrap();
        let (named, unnamed): (Vec<_>, Vec<_>) =
            nodes.iter().partition(|(_, node)| node.name.as_ref().is_some_and(|it| !it.is_empty()));
        let has_any = |node: &Node| node.name.is_some() || node.has_marks();
        let unnamed = unnamed.iter().filter(|(_, node)| has_any(node)).count();
        assert_eq!(snapshot.sources.len(), named.len());
        assert_eq!(snapshot.walk.total as usize, named.len() + unnamed);
        assert_eq!(snapshot.walk.complete, unnamed == 0);
        for (id, node) in named {
            let source = snapshot.sources.iter().find(|source| source.id == *id).unwrap();
            assert_says(source, node);
        }
    }
    Ok(())
}

fn node(u: &mut Unstructured<'_>) -> Result<Node> {
    let mut numbers = [const { None }; NUMBERS.len()];
    for number in &mut numbers {
        *number = match u.int_in_range(0..=15)? {
            0 => None,
            1 => Some(text(u, 40)?),
            2 => Some(format!("{}\n", u.arbitrary::<u64>()?).into_bytes()),
            _ => Some(format!("{}\n", u8::arbitrary(u)?).into_bytes()),
        };
    }
    let name = if u.ratio(1, 16)? { None } else { Some(text(u, 5_000)?) };
    let device = if u.arbitrary()? { Some(text(u, 300)?) } else { None };
    Ok(Node { numbers, name, device })
}

fn text(u: &mut Unstructured<'_>, most: usize) -> Result<Vec<u8>> {
    let len = u.int_in_range(0..=most)?.min(u.len());
    Ok(u.bytes(len)?.to_vec())
}

/// Makes the files. False if there can be no such link.
fn lay_out(path: &Path, node: &Node) -> bool {
    let device = node.device.as_ref().map(|target| OsStr::from_bytes(target));
    fs::create_dir(path).unwrap();
    if device.is_some_and(|target| symlink(target, path.join("device")).is_err()) {
        fs::remove_dir(path).unwrap();
        return false;
    }
    let numbers =
        NUMBERS.iter().zip(&node.numbers).map(|((attribute, _), text)| (*attribute, text));
    for (attribute, text) in numbers.chain([("name", &node.name)]) {
        if let Some(text) = text {
            fs::write(path.join(attribute), text).unwrap();
        }
    }
    true
}

/// What an attribute holds for the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    Number(u64),
    Missing,
    /// No number, or more milliseconds than there can be.
    Unknown,
}

impl Node {
    fn value(&self, attribute: &str) -> Value {
        let index = NUMBERS.iter().position(|(known, _)| *known == attribute).unwrap();
        let most = if NUMBERS[index].1 { i64::MAX.cast_unsigned() / NS_PER_MS } else { u64::MAX };
        let Some(text) = &self.numbers[index] else { return Value::Missing };
        let Some((b'\n', digits)) = text.split_last() else { return Value::Unknown };
        let mut sum: u128 = 0;
        for digit in digits {
            if !digit.is_ascii_digit() || sum > u64::MAX.into() {
                return Value::Unknown;
            }
            sum = sum * 10 + u128::from(digit - b'0');
        }
        match u64::try_from(sum) {
            Ok(number) if number <= most && !digits.is_empty() => Value::Number(number),
            _ => Value::Unknown,
        }
    }

    /// Whether nothing ever happened to the source, as far as the kernel counts it: then its times are
    /// not looked at.
    fn is_unused(&self) -> bool {
        self.value("event_count") == Value::Number(0)
            && NUMBERS[..6].iter().all(|(attribute, _)| {
                matches!(self.value(attribute), Value::Number(0) | Value::Missing)
            })
    }

    /// Whether there is anything of what tells that a source changed.
    fn has_marks(&self) -> bool {
        NUMBERS[..6].iter().any(|(attribute, _)| self.value(attribute) != Value::Missing)
    }
}

/// Whether a source is what the files of its node say. They do not change, so all is of one moment.
fn assert_says(source: &Source, node: &Node) {
    let name = node.name.as_deref().unwrap();
    let name = name.strip_suffix(b"\n").unwrap_or(name);
    // The buffer that it is read into ends somewhere, but not before the name is too long.
    assert_eq!(source.name_truncated, name.len() > WS_NAME_LEN as usize);
    let name = &name[..name.len().min(WS_NAME_LEN as usize)];
    assert_eq!(source.name, String::from_utf8_lossy(name));
    let device = node.device.as_deref().unwrap_or_default();
    let device = device.rsplit(|byte| *byte == b'/').next().unwrap();
    let device = &device[..device.len().min(WS_DEVICE_LEN as usize)];
    assert_eq!(source.device, String::from_utf8_lossy(device));

    let number = |attribute: &str| match node.value(attribute) {
        Value::Number(number) => number,
        Value::Missing | Value::Unknown => 0,
    };
    assert_eq!(source.active_count, number("active_count"));
    assert_eq!(source.event_count, number("event_count"));
    assert_eq!(source.wakeup_count, number("wakeup_count"));
    assert_eq!(source.expire_count, number("expire_count"));
    let ms = |ns: i64| ns.cast_unsigned() / NS_PER_MS;
    assert_eq!(ms(source.last_change_ns), number("last_change_ms"));
    let is_unknown = |(attribute, _): &(&str, bool)| node.value(attribute) == Value::Unknown;
    assert!(!source.consistent || !NUMBERS[..6].iter().any(is_unknown));
    if source.consistent && !node.is_unused() {
        assert_eq!(ms(source.active_time_ns), number("active_time_ms"));
        assert_eq!(ms(source.total_time_ns), number("total_time_ms"));
        assert!(!NUMBERS.iter().any(is_unknown));
        assert!(source.active || source.active_time_ns == 0);
    } else {
        assert_eq!(source.active_time_ns, 0);
        assert!(ms(source.total_time_ns) <= number("total_time_ms"));
    }
    assert!(ms(source.max_time_ns) <= number("max_time_ms"));
    assert!(ms(source.prevent_suspend_time_ns) <= number("prevent_suspend_time_ms"));
}
