//! Whatever is heard on a meter's own line, a telegram is believed whole or not at all.

use arbitrary::Unstructured;
use drivers::Library;
use drivers::fuzzing::telegrams;
use drivers::template::{Protocol, TelegramMap};
use std::sync::LazyLock;

static SHIPPED: LazyLock<Vec<TelegramMap>> = LazyLock::new(|| {
    let library = Library::builtin();
    let maps = library.models().filter_map(|model| match &library.get(model)?.protocol {
        Protocol::Telegram(map) => Some(map.clone()),
        _ => None,
    });
    maps.collect()
});

/// In whatever pieces the bytes come, the same telegrams are found, and what is kept meanwhile is bounded. A model that
/// wants a checksum believes nothing without one. Energy is a register that can be; any other quantity is finite.
pub fn check(bytes: &[u8]) {
    let mut u = Unstructured::new(bytes);
    let [which, piece]: [u8; 2] = u.arbitrary().unwrap_or_default();
    let (piece, heard) = (usize::from(piece).max(1), u.take_rest());
    let map = &SHIPPED[usize::from(which) % SHIPPED.len()];
    let whole = telegrams(map, heard, heard.len().max(1));
    assert_eq!(telegrams(map, heard, piece), whole, "in pieces of {piece}");
    for (checked, reading) in &whole {
        assert!(*checked || !map.checked, "believed without its checksum");
        let Ok(reading) = reading else { continue };
        let registers = [reading.import, reading.export].into_iter().flatten();
        assert!(registers.into_iter().all(|wh| wh.as_register() == Some(wh)), "{reading:?}");
        assert!(
            reading.voltage.is_none_or(|v| v.get().is_finite()) && reading.current.is_none_or(|a| a.get().is_finite())
        );
    }
}
