//! Any bytes from a radio bridge are the same lines in whatever pieces they come, each in one spelling; any payload of a
//! node is a loudness that can be, or an error.

use drivers::radio::{LONGEST, Line, Lines, NotALine, heard};

fn lines(bytes: &[u8], piece: usize) -> Vec<Result<Line, NotALine>> {
    let (mut lines, mut found) = (Lines::default(), Vec::new());
    for part in bytes.chunks(piece.max(1)) {
        lines.take(part);
        found.extend(std::iter::from_fn(|| lines.next()));
    }
    found
}

/// A line that is taken, written again, is the bytes that came. How the bytes are cut changes nothing. A payload that is
/// taken is an object with that number.
pub fn check(bytes: &[u8]) {
    let whole = lines(bytes, bytes.len());
    for piece in [1, 7, LONGEST] {
        assert_eq!(lines(bytes, piece), whole, "in pieces of {piece}");
    }
    for line in whole.iter().flatten() {
        let text = line.to_string();
        assert!(bytes.windows(text.len()).any(|w| w == text.as_bytes()), "{text}");
    }
    let (topic, payload) = match bytes.iter().position(|b| *b == b'\n') {
        Some(end) => bytes.split_at(end),
        None => (&b"espresense/devices/a/b"[..], bytes),
    };
    let topic = String::from_utf8_lossy(topic);
    if let Ok((node, heard)) = heard(&topic, payload) {
        assert_eq!(topic, format!("espresense/devices/{}/{node}", heard.sender));
        let json: serde_json::Value = serde_json::from_slice(payload).expect("what was read is JSON");
        assert_eq!(json["rssi"].as_f64(), Some(heard.rssi.get()));
        assert!((-150.0..=20.0).contains(&heard.rssi.get()));
    }
}
