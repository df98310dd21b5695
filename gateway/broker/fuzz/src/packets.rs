//! Any bytes are packets or an error, in whatever pieces they come; a packet that is written is read again as it was; and
//! whatever a client says, the broker is afterwards what its records say.

use broker::fuzzing;

pub fn check(bytes: &[u8]) {
    let whole = fuzzing::packets(&[bytes]);
    let at = bytes.first().map_or(0, |b| usize::from(*b) % bytes.len().max(1));
    let (one, other) = bytes.split_at(at);
    assert_eq!(fuzzing::packets(&[one, other]), whole);
    fuzzing::converse(bytes);
}
