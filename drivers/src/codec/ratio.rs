//! Exact fractions: what an integer register means, without a float in between.

use crate::template::Factor;

/// A fraction with a positive denominator, reduced. Whatever does not fit in 128 bits is `None`, never wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ratio {
    num: i128,
    den: i128,
}

impl Ratio {
    pub const ZERO: Self = Self { num: 0, den: 1 };

    pub fn whole(num: i128) -> Self {
        Self { num, den: 1 }
    }

    /// `num / den`; `None` for a denominator that is not positive.
    pub fn new(num: i128, den: i128) -> Option<Self> {
        if den <= 0 {
            return None;
        }
        let (mut a, mut b) = (num.checked_abs()?, den);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        Some(Self { num: num / a, den: den / a })
    }

    pub fn times(self, num: i128, den: i128) -> Option<Self> {
        // Reduced crosswise, so that only a result that is itself too large overflows.
        let (left, right) = (Self::new(self.num, den)?, Self::new(num, self.den)?);
        Self::new(left.num.checked_mul(right.num)?, left.den.checked_mul(right.den)?)
    }

    /// From the device's unit to ours.
    pub fn scaled(self, factor: Factor) -> Option<Self> {
        self.times(factor.num.into(), factor.den.into())
    }

    /// Times a power of ten.
    pub fn shifted(self, exponent: i32) -> Option<Self> {
        let power = 10_i128.checked_pow(exponent.unsigned_abs())?;
        if exponent < 0 { self.times(1, power) } else { self.times(power, 1) }
    }

    pub fn plus(self, other: Self) -> Option<Self> {
        let (a, b) = (self.num.checked_mul(other.den)?, other.num.checked_mul(self.den)?);
        Self::new(a.checked_add(b)?, self.den.checked_mul(other.den)?)
    }

    pub fn negated(self) -> Option<Self> {
        Some(Self { num: self.num.checked_neg()?, den: self.den })
    }

    /// The largest whole number that is not above it.
    pub fn floor(self) -> i128 {
        self.num.div_euclid(self.den)
    }

    /// The nearest whole number; a half goes up.
    pub fn rounded(self) -> Option<i128> {
        let doubled = self.num.checked_mul(2)?.checked_add(self.den)?;
        Some(doubled.div_euclid(self.den.checked_mul(2)?))
    }

    /// The whole number that it is, if it is one.
    pub fn exact(self) -> Option<i128> {
        (self.den == 1).then_some(self.num)
    }

    /// The float nearest to it, while both of its numbers are below 2^53.
    pub fn float(self) -> f64 {
        self.num as f64 / self.den as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fraction_is_exact_or_not_there() {
        let tenth = Ratio::new(2305, 10).unwrap();
        assert_eq!((tenth.floor(), tenth.rounded(), tenth.exact()), (230, Some(231), None));
        assert_eq!(tenth.times(10, 1).and_then(Ratio::exact), Some(2305));
        assert_eq!(Ratio::whole(-7).shifted(-1).map(Ratio::floor), Some(-1));
        assert_eq!(Ratio::whole(3).plus(Ratio::new(-7, 2).unwrap()), Ratio::new(-1, 2));
        assert_eq!(Ratio::new(1, 0), None);
        assert_eq!(Ratio::new(i128::MIN, 3), None);
        assert_eq!(Ratio::whole(i128::MAX).times(2, 1), None);
        assert_eq!(Ratio::whole(i128::MAX).rounded(), None);
    }
}
