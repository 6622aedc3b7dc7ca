// SPDX-License-Identifier: Apache-2.0
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::*;
use crate::moment::Reading;

const SECOND: i64 = 1_000_000_000;

/// At so many seconds, with sources that were active for so many milliseconds in all.
fn moment(instance: i64, at: i64, totals_ms: &[i64]) -> Moment {
    let source = |(index, total): (usize, &i64)| {
        let handle = index as i64 + 1;
        let reading = Reading {
            handle,
            id: handle,
            name: format!("source-{index}"),
            event_count: u64::try_from(at).unwrap() * (10 - index as u64),
            total_time_ns: total * 1_000_000,
            ..Reading::default()
        };
        (handle, reading)
    };
    Moment {
        instance,
        monotonic_ns: at * SECOND,
        boottime_ns: at * SECOND,
        sources: totals_ms.iter().enumerate().map(source).collect(),
    }
}

fn screen() -> Screen {
    let mut screen = Screen::new(Duration::from_secs(1));
    for (at, totals) in [(1, [0, 0, 0]), (2, [100, 900, 0])] {
        screen.take(Message::Moment(moment(7, at, &totals))).unwrap();
    }
    screen
}

fn press(screen: &mut Screen, code: KeyCode) -> bool {
    screen.take(Message::Input(Ok(Event::Key(code.into())))).unwrap()
}

/// What a terminal of this size shows.
fn shown(screen: &mut Screen, columns: u16, lines: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(columns, lines)).unwrap();
    terminal.draw(|frame| screen.draw(frame)).unwrap();
    let cells = terminal.backend().buffer().content();
    let text = cells.chunks(columns.into());
    text.map(|line| line.iter().map(|cell| cell.symbol()).collect()).collect()
}

fn names(screen: &mut Screen) -> Vec<String> {
    let rows = shown(screen, 80, 24).split_off(4);
    rows.iter()
        .filter_map(|row| Some(row.split_once(' ')?.0.to_owned()))
        .take_while(|it| !it.is_empty())
        .collect()
}

#[test]
fn who_held_the_device_is_on_top_with_its_share() {
    let lines = shown(&mut screen(), 80, 24);

    assert!(lines[0].starts_with("3 sources, 0 active, by held "), "{lines:#?}");
    assert!(lines[1].starts_with("1.0 s, held by any source for 90.0 to 100.0 % "), "{lines:#?}");
    let cells: Vec<&str> = lines[4].split_whitespace().collect();
    assert_eq!(cells, ["source-1", "-", "900", "90.00", "0", "9", "0", "0"]);
    assert!(lines[23].starts_with("q quit "), "{lines:#?}");
}

#[test]
fn keys_change_the_order_filter_and_end_it() {
    let mut screen = screen();
    assert_eq!(names(&mut screen), ["source-1", "source-0", "source-2"]);

    press(&mut screen, KeyCode::Char('s'));
    press(&mut screen, KeyCode::Char('s'));
    assert_eq!(names(&mut screen), ["source-0", "source-1", "source-2"], "by events");

    for key in ['/', 'E', '-', '2'] {
        press(&mut screen, KeyCode::Char(key));
    }
    assert_eq!(names(&mut screen), ["source-2"]);
    assert!(press(&mut screen, KeyCode::Enter));
    assert!(press(&mut screen, KeyCode::Char('/')) && press(&mut screen, KeyCode::Char('q')));
    assert!(names(&mut screen).is_empty(), "none has a q");
    assert!(press(&mut screen, KeyCode::Esc), "ends the filter alone");
    assert_eq!(names(&mut screen).len(), 3);

    assert!(!press(&mut screen, KeyCode::Esc));
    assert!(!press(&mut screen, KeyCode::Char('q')));
    let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert!(!screen.take(Message::Input(Ok(Event::Key(interrupt)))).unwrap());
    assert!(!screen.take(Message::End).unwrap());
}

#[test]
fn pause_keeps_what_is_shown_and_the_next_look_is_of_all_the_time() {
    let mut screen = screen();

    press(&mut screen, KeyCode::Char('p'));
    screen.take(Message::Moment(moment(7, 5, &[3_000, 900, 0]))).unwrap();

    let paused = shown(&mut screen, 80, 24);
    assert!(paused[0].contains("PAUSED") && paused[4].starts_with("source-1 "), "{paused:#?}");
    press(&mut screen, KeyCode::Char('p'));
    screen.take(Message::Moment(moment(7, 6, &[3_000, 900, 0]))).unwrap();
    let lines = shown(&mut screen, 80, 24);
    assert!(lines[1].starts_with("4.0 s, ") && lines[4].starts_with("source-0 "), "{lines:#?}");
}

#[test]
fn loss_and_restart_of_the_service_are_shown() {
    let mut screen = screen();

    screen.take(Message::Trouble("it is\naway".to_owned())).unwrap();
    let lost = shown(&mut screen, 80, 24);
    screen.take(Message::Moment(moment(8, 3, &[100, 900, 500]))).unwrap();
    let back = shown(&mut screen, 80, 24);

    assert!(lost[2].starts_with(r"LOST for 0 s: it is\naway "), "{lost:#?}");
    assert!(lost[4].starts_with("source-1 "), "the last numbers stay: {lost:#?}");
    assert!(back[2].starts_with("restarts of the service: 1 "), "{back:#?}");
    assert!(back[4].starts_with("source-2 "), "{back:#?}");
}

#[test]
fn silence_is_shown() {
    let mut screen = screen();
    screen.answered -= Duration::from_secs(9);

    let lines = shown(&mut screen, 80, 24);

    assert!(lines[2].starts_with("NO ANSWER for 9 s "), "{lines:#?}");
}

#[test]
fn rows_that_do_not_fit_are_scrolled_to_and_no_size_is_too_small() {
    let mut screen = screen();

    let two_rows = shown(&mut screen, 80, 7);
    press(&mut screen, KeyCode::End);
    let last_rows = shown(&mut screen, 80, 7);
    press(&mut screen, KeyCode::Up);
    let scrolled_up = shown(&mut screen, 80, 7);

    assert!(two_rows[4].starts_with("source-1 ") && two_rows[5].starts_with("source-0 "));
    assert!(last_rows[4].starts_with("source-0 ") && last_rows[5].starts_with("source-2 "));
    assert_eq!(scrolled_up, two_rows);
    press(&mut screen, KeyCode::End);
    assert!(shown(&mut screen, 80, 24)[4].starts_with("source-1 "), "there is room for all");
    for size in 1..7 {
        shown(&mut screen, size * 5, size);
    }
}
