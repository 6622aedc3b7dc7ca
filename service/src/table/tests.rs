// SPDX-License-Identifier: Apache-2.0
use expect_test::expect;
use proptest::prelude::*;
use unicode_width::UnicodeWidthStr;

use super::*;
use crate::model::{Backend, Source, Walk};
use crate::report::Header;
use crate::status::Status;

const YEAR_NS: i64 = 365 * 86_400 * 1_000_000_000;

fn header(monotonic_ns: i64) -> Header {
    let walk = Walk {
        backend: Backend::Load,
        walks: 1,
        monotonic_ns,
        boottime_ns: monotonic_ns,
        duration_ns: 81_500,
        total: 2,
        complete: true,
    };
    Header {
        instance: 5,
        sequence: 7,
        since: None,
        incremental: false,
        kernel: "7.3.4".into(),
        walk,
    }
}

fn row(name: &str) -> Row {
    let source = Source {
        id: 3,
        name: name.into(),
        name_truncated: false,
        device: String::new(),
        active: true,
        consistent: true,
        active_count: 1_000_000_000,
        event_count: 1_000_000_000,
        wakeup_count: 1_000_000_000,
        expire_count: 99_999_999,
        relax_count: 1_000_000_000,
        active_time_ns: YEAR_NS,
        total_time_ns: YEAR_NS,
        max_time_ns: YEAR_NS,
        last_change_ns: 1,
        prevent_suspend_time_ns: YEAR_NS,
    };
    Row { handle: 1, changed: 1, source }
}

fn status() -> Status {
    Status {
        now_ns: YEAR_NS,
        backend: Backend::Load,
        backend_since_ns: 0,
        passed_over: Vec::new(),
        kernel: "7.3.4".into(),
        instance: 5,
        sequence: 7,
        walks: 3,
        last_snapshot_ns: YEAR_NS,
        sources: 2,
        room_bytes: 131_072,
        last_error: None,
    }
}

fn text(rows: &[Row], header: Header, order: Order, status: Option<&Status>) -> String {
    let rows = rows.iter().collect();
    let report = Report { header, rows, gone: &[], active: 1, age_ns: 3_447_000, status };
    Table { report: &report, order }.to_string()
}

#[test]
fn year_of_uptime_leaves_room_for_names() {
    let text = text(&[row("a-name-of-18-bytes"), row("0")], header(YEAR_NS), Order::Name, None);

    expect![[r#"
        wakeupstats: backend load, kernel 7.3.4
        2 sources, 1 active, 2 shown, sequence 7, age 3.447 ms, walk 0.081 ms

        NAME               ACTIVE s  TOTAL s    MAX s AWAKE % CHANGED s ACTIVE # EVENTS #   WAKE # EXPIRE #
        a-name-of-18-bytes 31536000 31536000 31536000  100.00  31535999 1000000k 1000000k 1000000k 99999999
        0                  31536000 31536000 31536000  100.00  31535999 1000000k 1000000k 1000000k 99999999
        TOTAL of 2                - 63072000 31536000       -  31535999 2000000k 2000000k 2000000k  199999k
    "#]].assert_eq(&text);
}

#[test]
fn what_is_wrong_is_said() {
    let mut torn = row("torn");
    torn.source.consistent = false;
    let mut header = header(YEAR_NS);
    header.walk = Walk { walks: 3, total: 9, complete: false, ..header.walk };

    let text = text(&[torn], header, Order::Name, None);

    expect![[r#"
        wakeupstats: backend load, kernel 7.3.4
        9 sources, 1 active, 1 shown, sequence 7, age 3.447 ms, walk 0.081 ms
        Read in 3 walks: the sources are not all of one moment.
        INCOMPLETE: not all sources could be read; some are missing, or as of an earlier dump.
        Changed while they were read, marked !: 1.

        NAME       ACTIVE s  TOTAL s    MAX s AWAKE % CHANGED s ACTIVE # EVENTS #   WAKE # EXPIRE #
        !torn      31536000 31536000 31536000  100.00  31535999 1000000k 1000000k 1000000k 99999999
        TOTAL of 1        - 31536000 31536000       -  31535999 1000000k 1000000k 1000000k 99999999
    "#]]
    .assert_eq(&text);
}

#[test]
fn column_that_is_sorted_by_is_shown() {
    let by = |order| text(&[row("name")], header(YEAR_NS), order, None);

    assert!(by(Order::PreventSuspendTime).contains(" PREVENT s "));
    assert!(!by(Order::PreventSuspendTime).contains(" CHANGED s "));
    assert!(by(Order::LastChange).contains(" CHANGED s "));
}

#[test]
fn names_are_cut_to_their_column() {
    let names = ["exactly-so", "0123456789\u{1b}", "日本語の名前", "bad\u{fffd}utf8", ""];
    let cells: Vec<_> = names.iter().map(|name| fit(&escape(name), false, 10)).collect();

    assert_eq!(
        cells,
        ["exactly-so", "012345678…", "日本語の… ", "bad\u{fffd}utf8  ", "          "]
    );
    assert_eq!(fit("cut", true, 5), "cut… ");
    assert_eq!(fit("cut", true, 3), "cu…");
}

#[test]
fn numbers_have_at_most_eight_digits() {
    let shown = [0, 99_999_999, 100_000_000, 1_000_000_000, u64::MAX].map(short);

    assert_eq!(shown, ["0", "99999999", "100000k", "1000000k", "18446744T"]);
}

prop_compose! {
    fn any_row()(
        name in ".{0,80}|[a-z日\u{1b}\u{301}\u{1f468}\u{200d}]{0,255}",
        device in ".{0,40}",
        flags in any::<[bool; 3]>(),
        counts in any::<[u64; 5]>(),
        times in any::<[i64; 5]>(),
        id in any::<u32>(),
        handle in any::<i64>(),
    ) -> Row {
        let [name_truncated, active, consistent] = flags;
        let [active_count, event_count, wakeup_count, expire_count, relax_count] = counts;
        let [active_time_ns, total_time_ns, max_time_ns, last_change_ns, prevent_suspend_time_ns] =
            times;
        let source = Source {
            id, name, name_truncated, device, active, consistent,
            active_count, event_count, wakeup_count, expire_count, relax_count,
            active_time_ns, total_time_ns, max_time_ns, last_change_ns, prevent_suspend_time_ns,
        };
        Row { handle, changed: 1, source }
    }
}

proptest! {
    #[test]
    fn table_has_at_most_100_columns_whatever_it_shows(
        rows in prop::collection::vec(any_row(), 1..9),
        monotonic_ns in any::<i64>(),
        all in any::<bool>(),
        by_prevent in any::<bool>(),
    ) {
        let order = if by_prevent { Order::PreventSuspendTime } else { Order::Kernel };
        let status = status();
        let text = text(&rows, header(monotonic_ns), order, all.then_some(&status));

        for line in text.lines() {
            prop_assert!(line.width() <= 100 && width(line) <= 100, "{}: {line}", line.width());
        }
    }
}
