//! One meter: 20 registers, and answers about them.

/// Registers of a meter.
pub const REGISTERS: u16 = 20;

/// Ten floats, 100.0 to 109.0, high word first.
fn bytes() -> [u8; 2 * REGISTERS as usize] {
    let mut bytes = [0; 2 * REGISTERS as usize];
    for (place, n) in bytes.chunks_exact_mut(4).zip(0_u8..) {
        place.copy_from_slice(&(100.0 + f32::from(n)).to_be_bytes());
    }
    bytes
}

/// Appends the answer to a question, both from the function code on, and says which registers it tells: bit by bit.
pub fn answer(question: &[u8], to: &mut Vec<u8>) -> u32 {
    let [function @ (3 | 4), a0, a1, q0, q1] = *question else {
        // Nothing but reading.
        to.extend([question.first().copied().unwrap_or_default() | 0x80, 1]);
        return 0;
    };
    let (address, quantity) = (u16::from_be_bytes([a0, a1]), u16::from_be_bytes([q0, q1]));
    let end = address.saturating_add(quantity);
    if quantity == 0 || end > REGISTERS {
        to.extend([function | 0x80, 2]);
        return 0;
    }
    let words = &bytes()[2 * usize::from(address)..2 * usize::from(end)];
    to.push(function);
    to.extend(u8::try_from(words.len()));
    to.extend(words);
    (1 << end) - (1 << address)
}
