//! Tails of the binomial and the hypergeometric distribution, and the interval of Clopper and Pearson.

/// ln n!, to about 1e-15 of its size.
fn ln_factorial(n: u32) -> f64 {
    if n < 24 {
        return (2..=n).map(f64::from).product::<f64>().ln();
    }
    // Stirling's series (Abramowitz and Stegun 6.1.41); the next term is below 1e-15 from 24 on.
    let n = f64::from(n);
    let inverse = 1.0 / n;
    let square = inverse * inverse;
    let series = inverse * (1.0 / 12.0 - square * (1.0 / 360.0 - square * (1.0 / 1260.0 - square / 1680.0)));
    (n + 0.5) * n.ln() - n + std::f64::consts::TAU.ln() / 2.0 + series
}

fn ln_choose(n: u32, k: u32) -> f64 {
    ln_factorial(n) - ln_factorial(k) - ln_factorial(n - k)
}

/// The probability of `least` or more among `set` that are drawn without replacement from `members`, of which `marked`
/// are what is counted. Neither `set` nor `marked` may exceed `members`.
#[must_use]
pub fn hypergeometric(members: u32, marked: u32, set: u32, least: u32) -> f64 {
    let (marked, set) = (marked.min(members), set.min(members));
    let fewest = set.saturating_sub(members - marked);
    let all = ln_choose(members, set);
    let one = |k: u32| (ln_choose(marked, k) + ln_choose(members - marked, set - k) - all).exp();
    // From the thin end, so that small terms are not lost in large ones.
    (least.max(fewest)..=set.min(marked)).rev().map(one).fold(0.0, |sum, term| sum + term).min(1.0)
}

/// The probability of `least` or more among `n` independent trials that each succeed with `p`.
#[must_use]
pub fn binomial(n: u32, p: f64, least: u32) -> f64 {
    if least == 0 || p >= 1.0 {
        return f64::from(u8::from(least <= n));
    }
    if least > n || p <= 0.0 {
        return 0.0;
    }
    let odds = p / (1.0 - p);
    if f64::from(least) <= f64::from(n) * p {
        // The other tail is the short one.
        return 1.0 - below(n, p, odds, least);
    }
    let mut term = probability(n, p, least);
    let mut sum = term;
    for k in least..n {
        term *= f64::from(n - k) / f64::from(k + 1) * odds;
        sum += term;
        if term < sum * 1e-17 {
            break;
        }
    }
    sum.min(1.0)
}

/// The probability of fewer than `bound`, which is not above the mean.
fn below(n: u32, p: f64, odds: f64, bound: u32) -> f64 {
    let mut term = probability(n, p, bound - 1);
    let mut sum = term;
    for k in (1..bound).rev() {
        term *= f64::from(k) / f64::from(n - k + 1) / odds;
        sum += term;
        if term < sum * 1e-17 {
            break;
        }
    }
    sum
}

fn probability(n: u32, p: f64, k: u32) -> f64 {
    (ln_choose(n, k) + f64::from(k) * p.ln() + f64::from(n - k) * (-p).ln_1p()).exp()
}

/// The interval in which a rate lies with at least this confidence, when `found` of `trials` succeeded (Clopper and
/// Pearson 1934: exact, and on the wide side). From 0 to 1 where nothing was tried.
#[must_use]
pub fn interval(found: u32, trials: u32, confidence: f64) -> (f64, f64) {
    let tail = (1.0 - confidence) / 2.0;
    let at_least = |p: f64| binomial(trials, p, found);
    let more = |p: f64| binomial(trials, p, found + 1);
    let low = if found == 0 { 0.0 } else { rises_to(tail, at_least) };
    let high = if found >= trials { 1.0 } else { rises_to(1.0 - tail, more) };
    (low, high)
}

/// Where a function that rises from 0 to 1 on [0, 1] passes a value.
fn rises_to(value: f64, function: impl Fn(f64) -> f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if function(middle) < value { low = middle } else { high = middle }
    }
    f64::midpoint(low, high)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn choose(n: u32, k: u32) -> u128 {
        if k > n { 0 } else { (0..u128::from(k)).fold(1, |c, i| c * (u128::from(n) - i) / (i + 1)) }
    }

    #[allow(clippy::cast_precision_loss, reason = "a quotient of two large numbers, to 1e-12")]
    fn quotient(a: u128, b: u128) -> f64 {
        a as f64 / b as f64
    }

    proptest! {
        #[test]
        fn the_hypergeometric_tail_is_the_one_in_whole_numbers(
            (members, marked, set, least) in (1_u32..90)
                .prop_flat_map(|n| (Just(n), 0..=n, 0..=n.min(30)))
                .prop_flat_map(|(n, l, m)| (Just(n), Just(l), Just(m), 0..=m + 1)),
        ) {
            let ways = (least..=set).filter(|k| set - k <= members - marked);
            let ways: u128 = ways.map(|k| choose(marked, k) * choose(members - marked, set - k)).sum();
            let exact = quotient(ways, choose(members, set));
            let ours = hypergeometric(members, marked, set, least);
            prop_assert!((ours - exact).abs() <= 1e-11 * exact, "{ours} {exact}");
        }

        #[test]
        fn both_tails_of_a_binomial_are_one(n in 1_u32..5000, p in 0.0001_f64..0.9999, share in 0.0_f64..1.0) {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of n")]
            let least = (f64::from(n) * share) as u32;
            let sum = binomial(n, p, least) + binomial(n, 1.0 - p, n - least + 1);
            prop_assert!((sum - 1.0).abs() < 1e-9, "{sum}");
        }

        #[test]
        fn an_interval_holds_what_was_found(trials in 1_u32..2000, share in 0.0_f64..=1.0) {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of trials")]
            let found = (f64::from(trials) * share) as u32;
            let (low, high) = interval(found, trials, 0.95);
            let rate = f64::from(found) / f64::from(trials);
            prop_assert!(low <= rate && rate <= high && (0.0..=1.0).contains(&low) && high <= 1.0);
        }
    }

    #[test]
    fn the_binomial_tail_is_the_one_in_whole_numbers() {
        // One third, as a quotient of whole numbers: Σ C(n, k) 2^(n−k) / 3^n.
        for n in [1_u32, 7, 30, 60] {
            for least in 0..=n + 1 {
                let ways: u128 = (least..=n).map(|k| choose(n, k) << (n - k)).sum();
                let exact = quotient(ways, 3_u128.pow(n));
                let ours = binomial(n, 1.0 / 3.0, least);
                assert!((ours - exact).abs() <= 1e-11 * exact, "{n} {least}: {ours} {exact}");
            }
        }
    }

    #[test]
    fn the_interval_is_the_published_one() {
        // scipy.stats.binomtest(k, n).proportion_ci(0.95, "exact"), SciPy 1.17.1
        for (found, trials, low, high) in [
            (0, 10, 0.0, 0.308_497_107_818_763),
            (1, 10, 0.002_528_578_544_462_57, 0.445_016_117_028_195),
            (10, 10, 0.691_502_892_181_237, 1.0),
            (200, 210, 0.914_172_405_712_748, 0.976_931_737_654_125),
        ] {
            let (a, b) = interval(found, trials, 0.95);
            assert!((a - low).abs() < 1e-9 && (b - high).abs() < 1e-9, "{found} of {trials}: {a} {b}");
        }
        assert_eq!(interval(0, 0, 0.95), (0.0, 1.0));
    }
}
