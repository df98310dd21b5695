//! Sums of fractions without rounding: `s²/n` for every `n` up to 96, in units of one over their common multiple.

/// The least common multiple of 1 to 96, in 64-bit limbs from the lowest.
const COMMON: [u64; 3] = [0x5e94_b0cb_549b_40c0, 0x1cbd_710f_2f61_e6cb, 0x2];

/// A sum of squares over counts: 256 bits, from the lowest limb. Ordered as the numbers are.
///
/// A sum of 96 values below 2^32 is below 2^39, its square below 2^78; the common multiple has 130 bits; at most eight
/// such terms are added, 3 bits more: 211 in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wide([u64; 4]);

impl Wide {
    /// `sum²/count`, for a count of 1 to 96.
    pub fn square_over(sum: u64, count: u64) -> Self {
        let (mut each, mut rest) = ([0_u64; 3], 0_u128);
        for (digit, limb) in each.iter_mut().zip(COMMON).rev() {
            let value = (rest << 64) | u128::from(limb);
            *digit = low(value / u128::from(count));
            rest = value % u128::from(count);
        }
        let square = u128::from(sum) * u128::from(sum);
        let mut out = [0_u64; 4];
        for (i, factor) in [low(square), low(square >> 64)].into_iter().enumerate() {
            let mut carry = 0;
            for (j, digit) in each.into_iter().chain([0]).enumerate().take(4 - i) {
                let value = u128::from(digit) * u128::from(factor) + u128::from(out[i + j]) + carry;
                out[i + j] = low(value);
                carry = value >> 64;
            }
        }
        Self(out)
    }

    pub fn plus(self, other: Self) -> Self {
        let (mut out, mut carry) = ([0; 4], 0);
        for ((sum, a), b) in out.iter_mut().zip(self.0).zip(other.0) {
            let value = u128::from(a) + u128::from(b) + carry;
            *sum = low(value);
            carry = value >> 64;
        }
        Self(out)
    }
}

impl PartialOrd for Wide {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Wide {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.iter().rev().cmp(other.0.iter().rev())
    }
}

#[allow(clippy::cast_possible_truncation, reason = "the low half is what is asked for")]
fn low(value: u128) -> u64 {
    value as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fraction_is_exact_for_every_count() {
        let one = Wide::square_over(1, 1);
        assert_eq!(one, Wide([COMMON[0], COMMON[1], COMMON[2], 0]));
        for n in 1..=96_u64 {
            // n parts of an n-th are one, and (n·s)²/n is n times s².
            let part = Wide::square_over(1, n);
            assert_eq!((0..n).fold(Wide::default(), |sum, _| sum.plus(part)), one, "{n}");
            let whole = Wide::square_over(0xffff_ffff, 1);
            let sum = (0..n).fold(Wide::default(), |sum, _| sum.plus(whole));
            assert_eq!(Wide::square_over(0xffff_ffff * n, n), sum, "{n}");
        }
        assert!(Wide::square_over(2, 3) > Wide::square_over(2, 4) && Wide::square_over(1, 96) > Wide::default());
    }
}
