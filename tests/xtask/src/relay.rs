// SPDX-License-Identifier: Apache-2.0
//! Parts the guest's serial port into what a person reads and what PID 1 tells the harness.

use init::{Message, PREFIX};

/// A piece of the stream.
#[derive(Debug, PartialEq)]
pub(crate) enum Piece {
    /// To be shown unchanged.
    Text(Vec<u8>),
    /// To be acted on.
    Message(Message),
}

/// Passes bytes on as they come, not line by line, so that a prompt is seen before its newline.
/// Only a line that may still turn out to be a message is held back.
#[derive(Default)]
pub(crate) struct Relay {
    /// The current line as far as it is held back.
    held: Vec<u8>,
    /// The current line is known to be text.
    passing: bool,
}

impl Relay {
    /// Takes bytes in and gives what can be told apart by now.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let mut text = Vec::new();
        for &byte in bytes {
            if self.passing {
                text.push(byte);
            } else {
                self.held.push(byte);
                if byte == b'\n' {
                    match parse(&self.held) {
                        Some(message) => {
                            pieces.extend(piece(&mut text));
                            pieces.push(Piece::Message(message));
                            self.held.clear();
                        }
                        None => text.append(&mut self.held),
                    }
                } else if !may_be_message(&self.held) {
                    text.append(&mut self.held);
                    self.passing = true;
                }
            }
            self.passing &= byte != b'\n';
        }
        pieces.extend(piece(&mut text));
        pieces
    }

    /// What was still held back when the stream ended: no message, then.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }
}

fn piece(text: &mut Vec<u8>) -> Option<Piece> {
    (!text.is_empty()).then(|| Piece::Text(std::mem::take(text)))
}

fn may_be_message(line: &[u8]) -> bool {
    let length = line.len().min(PREFIX.len());
    line.get(..length) == PREFIX.as_bytes().get(..length)
}

fn parse(line: &[u8]) -> Option<Message> {
    std::str::from_utf8(line).ok()?.parse().ok()
}

#[cfg(test)]
mod unit_tests {
    use init::Verdict;

    use super::*;

    /// The text and the messages, from a stream that arrives in pieces of `size` bytes.
    fn relay(stream: &str, size: usize) -> (String, Vec<Message>) {
        let mut relay = Relay::default();
        let (mut text, mut messages) = (Vec::new(), Vec::new());
        for chunk in stream.as_bytes().chunks(size) {
            for piece in relay.feed(chunk) {
                match piece {
                    Piece::Text(bytes) => text.extend(bytes),
                    Piece::Message(message) => messages.push(message),
                }
            }
        }
        text.extend(relay.rest());
        (String::from_utf8(text).unwrap(), messages)
    }

    #[test]
    fn messages_are_taken_out_however_the_bytes_arrive() {
        let stream = "wakeupstats-vm: up 7.3\nhello\nwake me\n\nwakeupstats-vm: verdict pass\nbye";
        for size in 1..=stream.len() {
            let (text, messages) = relay(stream, size);
            assert_eq!(text, "hello\nwake me\n\nbye", "in pieces of {size}");
            let up = Message::Up("7.3".to_owned());
            assert_eq!(messages, [up, Message::Verdict(Verdict::Pass)], "in pieces of {size}");
        }
    }

    #[test]
    fn a_prompt_is_shown_before_its_newline() {
        assert_eq!(Relay::default().feed(b"/ # "), [Piece::Text(b"/ # ".to_vec())]);
    }

    #[test]
    fn a_message_inside_a_line_or_of_unknown_words_is_text() {
        for stream in ["x wakeupstats-vm: verdict pass\n", "wakeupstats-vm: verdict great\n"] {
            assert_eq!(relay(stream, 7), (stream.to_owned(), Vec::new()));
        }
    }
}
