// SPDX-License-Identifier: Apache-2.0
//! Transactions that no client of the service would send: all that can be wrong with one, one at a time.

use std::collections::BTreeMap;
use std::fmt;
use std::os::fd::OwnedFd;

use anyhow::{Context, Result, bail};
use rsbinder::{
    DEBUG_PID_TRANSACTION, DUMP_TRANSACTION, EXTENSION_TRANSACTION, FIRST_CALL_TRANSACTION,
    FLAG_CLEAR_BUF, FLAG_ONEWAY, INTERFACE_TRANSACTION, LAST_CALL_TRANSACTION, LIKE_TRANSACTION,
    PING_TRANSACTION, ProxyHandle, SET_RPC_CLIENT_TRANSACTION, SHELL_COMMAND_TRANSACTION,
    START_RECORDING_TRANSACTION, STOP_RECORDING_TRANSACTION, SYSPROPS_TRANSACTION, StatusCode,
    TWEET_TRANSACTION, TransactionCode, TransactionFlags,
};
use rustix::pipe::{PipeFlags, pipe_with};
use wakeupstats_aidl::SnapshotQuery;

use crate::requests::{
    BINDER, FD, FD_ARRAY, HANDLE, OBJECT_BYTES, POINTER, Request, WEAK_BINDER, WEAK_HANDLE,
};

/// `getSnapshot`, the one method with an argument.
pub const GET_SNAPSHOT: TransactionCode = FIRST_CALL_TRANSACTION;

/// Codes that all services share, which AIDL has no words for.
const SPECIAL_CODES: [TransactionCode; 12] = [
    PING_TRANSACTION,
    DUMP_TRANSACTION,
    SHELL_COMMAND_TRANSACTION,
    INTERFACE_TRANSACTION,
    SYSPROPS_TRANSACTION,
    EXTENSION_TRANSACTION,
    DEBUG_PID_TRANSACTION,
    SET_RPC_CLIENT_TRANSACTION,
    START_RECORDING_TRANSACTION,
    STOP_RECORDING_TRANSACTION,
    TWEET_TRANSACTION,
    LIKE_TRANSACTION,
];

/// Numbers that are wrong where a size, a length or a mark stands.
const LIES: [i32; 14] =
    [i32::MIN, -3, -2, -1, 0, 1, 3, 4, 8, 255, 1_000_000, 0x3fff_ffff, i32::MAX - 3, i32::MAX];

/// More than the kernel takes in one transaction, and all that it takes: a process has 1 MiB less two
/// pages for all that is sent to it. Of oneway transactions half.
const SIZES: [usize; 8] =
    [4_096, 65_536, 250_000, 520_000, 1_000_000, 1_040_376, 1_040_388, 2_000_000];

/// How many files a process may have open, if nobody says otherwise.
const OPEN_FILES: usize = 1_024;

/// One transaction.
#[derive(Debug)]
pub struct Trial {
    /// What is wrong with it.
    pub what: String,
    /// Its code.
    pub code: TransactionCode,
    /// Its flags.
    pub flags: TransactionFlags,
    /// The rest.
    pub request: Request,
}

/// How many transactions ended how.
#[derive(Debug, Default)]
pub struct Tally {
    /// With a reply, by the status that binder gives, or without one; and those that the kernel refused.
    pub ends: BTreeMap<String, usize>,
}

impl Tally {
    /// Sends a transaction. That the service is dead is an error.
    pub fn send(&mut self, proxy: &ProxyHandle, trial: &mut Trial) -> Result<()> {
        let end = match trial.request.send(proxy, trial.code, trial.flags) {
            Ok(_) if trial.flags & FLAG_ONEWAY != 0 => "oneway".to_owned(),
            Ok(_) => "reply".to_owned(),
            Err(StatusCode::DeadObject) => bail!("the service died of {}", trial.what),
            Err(status) => format!("{status:?}"),
        };
        *self.ends.entry(end).or_default() += 1;
        Ok(())
    }

    /// How many in all.
    pub fn sent(&self) -> usize {
        self.ends.values().sum()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} transactions", self.sent())?;
        self.ends.iter().try_for_each(|(end, count)| write!(f, ", {count} {end}"))
    }
}

/// Makes each transaction in turn, and hands it on.
pub fn for_each(proxy: &ProxyHandle, mut hand_on: impl FnMut(Trial) -> Result<()>) -> Result<()> {
    let mut give = |what: String, code, flags, request| {
        hand_on(Trial { what, code, flags, request }).context("a transaction")
    };
    codes(proxy, &mut give)?;
    cut_short(proxy, &mut give)?;
    lies(proxy, &mut give)?;
    large(proxy, &mut give)?;
    objects(proxy, &mut give)?;
    dumps(&mut give)
}

type Give<'a> = dyn FnMut(String, TransactionCode, TransactionFlags, Request) -> Result<()> + 'a;

/// A query in which every field has a value.
fn full_query() -> SnapshotQuery {
    SnapshotQuery {
        instance: 7,
        sinceSequence: 8,
        knownHandle: 9,
        names: vec!["alarmtimer".to_owned(), "é日".to_owned()],
        globs: vec!["*a?".to_owned(), "wlan*".to_owned()],
        limit: 5,
        maxAgeMs: 3,
        ..SnapshotQuery::default()
    }
}

/// Every code, with parcels that fit none or another.
fn codes(proxy: &ProxyHandle, give: &mut Give<'_>) -> Result<()> {
    let mut codes: Vec<TransactionCode> = (0..=24).collect();
    codes.extend(LAST_CALL_TRANSACTION - 2..=LAST_CALL_TRANSACTION + 2);
    codes.extend(SPECIAL_CODES);
    codes.extend(SPECIAL_CODES.map(|code| code ^ 1));
    codes.extend([i32::MAX as u32, 1 << 31, u32::MAX - 1, u32::MAX]);
    for code in codes {
        let requests = [
            ("nothing", Request::default()),
            ("a header alone", Request::header(proxy)?),
            ("another interface's header", Request::header_of(proxy, "android.os.IPowerManager")?),
            ("no interface's header", Request::header_of(proxy, "")?),
            ("a query", Request::query(proxy, &full_query())?),
            ("four bytes", Request::of(&[0xff; 4])),
            ("a thousand bytes", Request::of(&[0xff; 1_000])),
        ];
        for (what, request) in requests {
            for flags in [0, FLAG_ONEWAY, !FLAG_ONEWAY] {
                let what = format!("code {code:#x}, flags {flags:#x}: {what}");
                let request = Request::of(&request.bytes);
                give(what, code, flags, request)?;
            }
        }
    }
    Ok(())
}

/// A query of which the end is missing.
fn cut_short(proxy: &ProxyHandle, give: &mut Give<'_>) -> Result<()> {
    let whole = Request::query(proxy, &full_query())?;
    for length in 0..whole.bytes.len() {
        let request = Request::of(whole.bytes.get(..length).unwrap_or_default());
        give(format!("a query of {length} bytes"), GET_SNAPSHOT, FLAG_CLEAR_BUF, request)?;
    }
    Ok(())
}

/// A query of which each word is another: marks, sizes, lengths, and all else.
fn lies(proxy: &ProxyHandle, give: &mut Give<'_>) -> Result<()> {
    let whole = Request::query(proxy, &full_query())?;
    for position in (0..whole.bytes.len()).step_by(4) {
        for lie in LIES {
            let mut request = Request::of(&whole.bytes);
            request.set_i32(position, lie);
            give(format!("{lie} at {position} of a query"), GET_SNAPSHOT, 0, request)?;
        }
    }
    Ok(())
}

/// All that fits, and more, behind a header.
fn large(proxy: &ProxyHandle, give: &mut Give<'_>) -> Result<()> {
    let header = Request::header(proxy)?;
    for size in SIZES {
        // What is read as the mark of an argument, its size, an array's length, a string's.
        for word in [0, 1, -1, 0x10_000, i32::MAX] {
            let mut request = Request::of(&header.bytes);
            while request.bytes.len() < size {
                request.push_i32(word);
            }
            for flags in [0, FLAG_ONEWAY] {
                let request = Request::of(&request.bytes);
                give(format!("{size} bytes of {word}"), GET_SNAPSHOT, flags, request)?;
            }
        }
    }
    for size in [250_000, 1_000_000] {
        for count in [100_000, i32::MAX] {
            let request = query_of_names(&header, size, &[count], 0)?;
            give(format!("{count} names in {size} bytes"), GET_SNAPSHOT, 0, request)?;
        }
        // Of 0xffff no character is made.
        for byte in [b'a', 0xff] {
            let units = i32::try_from(size / 2)? - 100;
            let request = query_of_names(&header, size, &[1, units], byte)?;
            give(format!("a name of {units} times {byte:#x}"), GET_SNAPSHOT, 0, request)?;
        }
    }
    Ok(())
}

/// A query that has the size it says, and the names of which begin with these words. The rest is filled.
fn query_of_names(header: &Request, size: usize, words: &[i32], fill: u8) -> Result<Request> {
    let mut request = Request::of(&header.bytes);
    // It is not null, has a size, and three numbers of 8 bytes.
    request.push_i32(1);
    let begin = request.bytes.len();
    (0..7).for_each(|_| request.push_i32(0));
    words.iter().for_each(|&word| request.push_i32(word));
    request.bytes.resize(size, fill);
    request.set_i32(begin, i32::try_from(size - begin)?);
    Ok(request)
}

/// Files and binders where none belong, and objects that are none.
fn objects(proxy: &ProxyHandle, give: &mut Give<'_>) -> Result<()> {
    let service = u64::from(proxy.handle());
    let before = [Request::default(), Request::query(proxy, &full_query())?];
    for before in before {
        let begin = || Request::of(&before.bytes);
        let length = begin().bytes.len();
        for code in [GET_SNAPSHOT, GET_SNAPSHOT + 1, DUMP_TRANSACTION, PING_TRANSACTION] {
            let mut give = |what: &str, request| {
                give(format!("{what} after {length} bytes, code {code:#x}"), code, 0, request)
            };
            for kind in [BINDER, WEAK_BINDER, HANDLE, WEAK_HANDLE, FD, FD_ARRAY, POINTER, 0, !0] {
                for handle in [0, service, 9_999, u64::from(u32::MAX), u64::MAX] {
                    let mut request = begin();
                    request.push_object(kind, handle, 1);
                    // A node of this process, which nothing here could answer for.
                    if matches!(kind, BINDER | WEAK_BINDER) && handle != 0 {
                        continue;
                    }
                    give(&format!("object {kind:#x} of {handle}"), request)?;
                }
            }
            let mut request = begin();
            request.push_fd(write_end()?);
            give("a file", request)?;
            let mut request = begin();
            request.push_fds(write_end()?, OPEN_FILES / 4);
            give("many files", request)?;
            let mut request = begin();
            request.push_fds(write_end()?, 2 * OPEN_FILES);
            give("more files than may be open", request)?;
            let mut request = begin();
            (0..5_000).for_each(|_| request.push_object(HANDLE, service, 0));
            give("thousands of binders", request)?;
            for offset in [1, 2, 4, u64::MAX, u64::MAX - 20, 1 << 31] {
                let mut request = begin();
                request.push_object(HANDLE, service, 0);
                request.objects = vec![request.bytes.len() as u64 - OBJECT_BYTES as u64 + offset];
                give(&format!("an object {offset} too far"), request)?;
            }
            let mut request = begin();
            request.push_object(HANDLE, service, 0);
            request.push_object(HANDLE, service, 0);
            request.objects.reverse();
            give("objects in another order", request)?;
            let mut request = begin();
            request.push_object(HANDLE, service, 0);
            request.objects.extend_from_within(..);
            give("an object twice", request)?;
        }
    }
    Ok(())
}

/// Dumps whose count of arguments is not theirs, or that have no file.
fn dumps(give: &mut Give<'_>) -> Result<()> {
    let plain: Vec<u16> = "--top".encode_utf16().collect();
    for count in LIES {
        let mut request = Request::dump(write_end()?, [plain.as_slice()]);
        request.set_i32(OBJECT_BYTES, count);
        give(format!("a dump with {count} arguments"), DUMP_TRANSACTION, 0, request)?;
        let mut request = Request::dump(write_end()?, [plain.as_slice()]);
        request.set_i32(OBJECT_BYTES + 4, count);
        give(format!("an argument of {count} characters"), DUMP_TRANSACTION, 0, request)?;
        let mut request = Request::dump(write_end()?, []);
        request.set_i32(OBJECT_BYTES, count);
        request.bytes.resize(1_000_000, 0);
        give(format!("a dump with {count} empty arguments"), DUMP_TRANSACTION, 0, request)?;
    }
    for flags in [FLAG_ONEWAY, !0] {
        let request = Request::dump(write_end()?, [plain.as_slice()]);
        give("a dump without a reply".to_owned(), DUMP_TRANSACTION, flags, request)?;
    }
    Ok(())
}

/// A pipe that nobody reads, as its other end is closed.
fn write_end() -> Result<OwnedFd> {
    Ok(pipe_with(PipeFlags::CLOEXEC)?.1)
}
