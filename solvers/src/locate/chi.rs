//! Quantiles of the chi-squared distribution for a few degrees of freedom.

use crate::normal;

/// The probability that a chi-squared variable exceeds `x` (Abramowitz and Stegun 26.4.4 and 26.4.5).
fn upper(freedom: u32, x: f64) -> f64 {
    let half = x / 2.0;
    let (mut sum, mut term, first) = if freedom.is_multiple_of(2) {
        let one = (-half).exp();
        (one, one, 2)
    } else {
        let density = (x / (2.0 * std::f64::consts::PI)).sqrt() * (-half).exp() * 2.0;
        if freedom == 1 {
            return 2.0 * normal::upper(x.sqrt());
        }
        (2.0 * normal::upper(x.sqrt()) + density, density, 3)
    };
    for k in (first..freedom).step_by(2) {
        term *= x / f64::from(k);
        sum += term;
    }
    sum
}

/// What a chi-squared variable exceeds with this probability.
pub(super) fn quantile(freedom: u32, probability: f64) -> f64 {
    let (mut low, mut high) = (0.0_f64, 1000.0);
    for _ in 0..80 {
        let middle = f64::midpoint(low, high);
        if upper(freedom, middle) > probability { low = middle } else { high = middle }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        for (freedom, probability, wanted) in [
            (1, 0.05, 3.841_458_820_694),
            (2, 0.01, 9.210_340_371_976),
            (3, 0.01, 11.344_866_730_145),
            (4, 0.001, 18.466_826_952_903),
            (7, 0.01, 18.475_306_906_583),
            (13, 0.005, 29.819_471_223_653),
        ] {
            let got = quantile(freedom, probability);
            assert!((got - wanted).abs() < 1e-6, "{freedom} {probability}: {got}");
        }
    }
}
