//! What a line of a bill says, as the bytes under the root that settles it.
//!
//! A leaf commits to 21 words of 32 bytes, as `abi.encode` would write them: version (1), salt, account number, Keccak-256
//! of the meter's name (zero for none), kind (0 off-peak, 1 peak, 2 daily, 3 share of the pool, 4
//! withheld beyond the dispatch, with the energies dispatched and counted in the place of registers), tariff version, start of
//! the interval, from, to (milliseconds since 1970), import and export register at the start, import, free part of it,
//! export (Wh), charges for energy, network, demand, day, tax, credit (minor units), and the tax carried (millionths).
//! Numbers may be negative: they are signed, in two's complement.

use crate::key::KeyError;
use crate::{B256, U256, keccak256, merkle};
use domain::Line;
use std::fmt;

const VERSION: i64 = 1;

/// What the salts of lines come from. Who knows it can guess lines from proofs, so it is not printed.
#[derive(Clone)]
pub struct SaltSecret([u8; 32]);

impl SaltSecret {
    /// A new one.
    ///
    /// # Errors
    /// [`KeyError::NoRandomness`].
    pub fn generate() -> Result<Self, KeyError> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(|e| KeyError::NoRandomness(e.to_string()))?;
        Ok(Self(secret))
    }

    /// From 64 hex digits.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        text.parse::<B256>().ok().map(|word| Self(word.0))
    }

    /// As 64 hex digits, to be kept where only the gateway reads.
    #[must_use]
    pub fn to_hex(&self) -> String {
        B256::from(self.0).to_string()
    }

    /// The salt of anything else: another for other bytes, the same whenever it is asked.
    #[must_use]
    pub fn salt_of(&self, what: &[u8]) -> B256 {
        keccak256([&self.0[..], keccak256(what).as_slice()].concat())
    }

    /// The salt of a line: another for every line, the same whenever it is asked.
    #[must_use]
    pub fn salt(&self, account: u32, line: &Line) -> B256 {
        keccak256([&self.0[..], &encode(account, line, B256::ZERO)].concat())
    }
}

impl fmt::Debug for SaltSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SaltSecret(…)")
    }
}

/// The leaf of a line.
#[must_use]
pub fn leaf(account: u32, line: &Line, salt: B256) -> B256 {
    merkle::leaf(&encode(account, line, salt))
}

/// The leaves of the lines of a batch, in their order.
#[must_use]
pub fn leaves(secret: &SaltSecret, lines: &[(u32, Line)]) -> Vec<B256> {
    lines.iter().map(|(account, line)| leaf(*account, line, secret.salt(*account, line))).collect()
}

fn encode(account: u32, line: &Line, salt: B256) -> Vec<u8> {
    let meter = line.meter.as_ref().map_or(B256::ZERO, |m| keccak256(m.as_str()));
    let d = &line.debit;
    let mut bytes = Vec::with_capacity(21 * 32);
    let mut word = |word: B256| bytes.extend_from_slice(word.as_slice());
    word(signed(VERSION));
    word(salt);
    word(signed(i64::from(account)));
    word(meter);
    let numbers = [
        i64::from(line.kind.number()),
        i64::from(line.tariff),
        line.interval.0,
        line.from.0,
        line.to.0,
        line.import_from.0,
        line.export_from.0,
        line.import.0,
        line.free.0,
        line.export.0,
        d.energy.0,
        d.network.0,
        d.demand.0,
        d.daily.0,
        d.tax.0,
        line.credit.0,
        i64::from(line.carry),
    ];
    numbers.into_iter().for_each(|number| word(signed(number)));
    bytes
}

fn signed(value: i64) -> B256 {
    let low = U256::from(value.unsigned_abs());
    B256::from(if value < 0 { U256::ZERO.wrapping_sub(low) } else { low })
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{Debit, Kind, Money, Timestamp, WattHours};
    use proptest::prelude::*;

    fn line(numbers: [i64; 15], kind: Kind, meter: Option<&str>) -> Line {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o] = numbers;
        Line {
            kind,
            meter: meter.map(|m| m.parse().unwrap()),
            interval: Timestamp(a),
            tariff: 3,
            from: Timestamp(b),
            to: Timestamp(c),
            import_from: WattHours(d),
            export_from: WattHours(e),
            import: WattHours(f),
            free: WattHours(g),
            export: WattHours(h),
            debit: Debit { energy: Money(i), network: Money(j), demand: Money(k), daily: Money(l), tax: Money(m) },
            credit: Money(n),
            carry: u32::try_from(o.rem_euclid(1_000_000)).unwrap(),
        }
    }

    #[test]
    fn a_negative_number_is_twos_complement() {
        assert_eq!(signed(-1), B256::from([0xff; 32]));
        assert_eq!(signed(i64::MIN).to_string(), format!("0x{}8000000000000000", "f".repeat(48)));
    }

    #[test]
    fn the_secret_is_not_printed() {
        let secret = SaltSecret::generate().unwrap();
        assert_eq!(format!("{secret:?}"), "SaltSecret(…)");
        assert_eq!(SaltSecret::from_hex(&secret.to_hex()).unwrap().0, secret.0);
    }

    proptest! {
        #[test]
        fn every_part_of_a_line_counts(numbers in prop::array::uniform15(any::<i64>()), which in 0_usize..15) {
            let salt = B256::ZERO;
            let one = line(numbers, Kind::Peak, Some("home-1"));
            let mut other = numbers;
            other[which] = other[which].wrapping_add(1);
            prop_assert_ne!(leaf(1, &one, salt), leaf(1, &line(other, Kind::Peak, Some("home-1")), salt));
            prop_assert_ne!(leaf(1, &one, salt), leaf(2, &one, salt));
            prop_assert_ne!(leaf(1, &one, salt), leaf(1, &line(numbers, Kind::OffPeak, Some("home-1")), salt));
            prop_assert_ne!(leaf(1, &one, salt), leaf(1, &line(numbers, Kind::Peak, Some("home-2")), salt));
            prop_assert_ne!(leaf(1, &one, salt), leaf(1, &one, B256::with_last_byte(1)));
        }
    }
}
