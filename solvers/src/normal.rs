//! The tail of the normal distribution, far out, where the usual short formulas have no digits left.

/// The probability that a standard normal variable exceeds `z`.
pub(crate) fn upper(z: f64) -> f64 {
    if z < 0.0 {
        return 1.0 - upper(-z);
    }
    let density = (-z * z / 2.0).exp() / std::f64::consts::TAU.sqrt();
    if z < 2.0 {
        // The Taylor series of the integral (Abramowitz and Stegun 26.2.11).
        let (mut term, mut sum) = (z, z);
        for odd in (3..120).step_by(2) {
            term *= z * z / f64::from(odd);
            sum += term;
        }
        0.5 - density * sum
    } else {
        // Laplace's continued fraction (26.2.14), from the inside out.
        density / (1..120).rev().fold(z, |below, n| z + f64::from(n) / below)
    }
}

/// The `z` that a standard normal variable exceeds with this probability, for probabilities up to a half.
pub(crate) fn quantile(probability: f64) -> f64 {
    let (mut low, mut high) = (0.0_f64, 40.0);
    for _ in 0..80 {
        let middle = f64::midpoint(low, high);
        if upper(middle) > probability { low = middle } else { high = middle }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_agrees_with_the_tables() {
        for (z, q) in [
            (0.0, 0.5),
            (1.0, 0.158_655_253_931_457),
            (1.96, 0.024_997_895_148_220),
            (3.0, 1.349_898_031_630_09e-3),
            (6.0, 9.865_876_450_376_98e-10),
        ] {
            assert!((upper(z) / q - 1.0).abs() < 1e-9, "{z}: {}", upper(z));
            assert!((quantile(q) - z).abs() < 1e-9, "{q}: {}", quantile(q));
        }
        assert!((upper(-1.0) + upper(1.0) - 1.0).abs() < 1e-15);
        assert!((upper(1.999_999) - upper(2.0)).abs() < 1e-6);
    }
}
