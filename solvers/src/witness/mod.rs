//! Who may say that a batch is true: a *mining set* of gateways, drawn for it, of which enough sign the same digest.
//!
//! Of `members` gateways, `liars` lie, and all of them sign the same lie. A set is drawn without replacement, so the
//! liars in it are hypergeometric. The threshold is the fewest signatures that are more than half of the set and that
//! liars alone reach no more often than a target allows ([`threshold`]).
//!
//! Whoever signed another digest than the one that was accepted dissents. Over a window of batches an honest member's
//! dissents are binomial, for each batch draws anew. A member whose count reaches a limit within one window is flagged
//! ([`bound`]). A count only grows within its window, so whether it is looked at once or after every batch is the same:
//! no correction for repeated looks is due.

mod chance;
mod race;
mod simulate;

pub use chance::{binomial, hypergeometric, interval};
pub use simulate::{
    Assumptions, Involvement, Miner, Rate, Report, Rule, RuleReport, Settings, THE_LARGEST, simulate, thresholds,
};

use serde::Serialize;

/// How many of a set must sign.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Threshold {
    /// Gateways in the set.
    pub set: u32,
    /// Signatures under one digest that accept it.
    pub signatures: u32,
    /// The probability that the liars in a set are as many as that: what a lie needs.
    pub captured: f64,
    /// The probability that the honest in a set are fewer than that: the batch has to wait for another set.
    pub stalled: f64,
}

/// The fewest signatures, out of a set drawn from `members` of which `liars` lie, that liars alone reach with a
/// probability of at most `error`; `None` if even all of the set are not enough, or if the set is none.
#[must_use]
pub fn threshold(members: u32, liars: u32, set: u32, error: f64) -> Option<Threshold> {
    if set == 0 || set > members || liars > members {
        return None;
    }
    let captured = |signatures: u32| hypergeometric(members, liars, set, signatures);
    let signatures = (set / 2 + 1..=set).find(|s| captured(*s) <= error)?;
    let stalled = hypergeometric(members, liars, set, set - signatures + 1);
    Some(Threshold { set, signatures, captured: captured(signatures), stalled })
}

/// The probability that a set comes to a wrong finding: its liars, and as many of the honest in it as mishear, are together
/// as many as have to sign. `misheard` is the share of batches that an honest member hears wrongly.
#[must_use]
pub fn mistaken(members: u32, liars: u32, set: u32, signatures: u32, misheard: f64) -> f64 {
    let with = |k: u32| hypergeometric(members, liars, set, k) - hypergeometric(members, liars, set, k + 1);
    let most = set.min(liars);
    (0..=most).map(|k| with(k).max(0.0) * binomial(set - k, misheard, signatures.saturating_sub(k))).sum()
}

/// When a member is flagged.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bound {
    /// Batches of a window; the counts begin again with the next.
    pub batches: u32,
    /// Dissents within one window that flag.
    pub dissents: u32,
    /// The probability that one honest member is flagged in one window.
    pub honest: f64,
    /// The probability that one liar is flagged in one window.
    pub liar: f64,
}

/// The longest window that is looked for.
const LONGEST: u32 = 1_000_000;

/// The shortest window in which an honest member, which dissents in a share `honest` of all batches, is flagged with a
/// probability of at most `false_alarm`, and a liar, which dissents in a share `liar`, of at least `power`. `None` if no
/// window of up to a million batches tells the two apart.
#[must_use]
pub fn bound(honest: f64, liar: f64, false_alarm: f64, power: f64) -> Option<Bound> {
    // By the limit: it fixes the longest window that spares the honest, and the shortest that finds liars. The tail
    // grows with the window, so both are found by halving.
    for dissents in 1..=LONGEST {
        let first = |enough: &dyn Fn(u32) -> bool| -> Option<u32> {
            let (mut low, mut high) = (dissents - 1, LONGEST + 1);
            while high - low > 1 {
                let middle = u32::midpoint(low, high);
                if enough(middle) { high = middle } else { low = middle }
            }
            (high <= LONGEST).then_some(high)
        };
        let too_long = first(&|n| binomial(n, honest, dissents) > false_alarm).unwrap_or(LONGEST + 1);
        let batches = first(&|n| binomial(n, liar, dissents) >= power)?;
        if batches < too_long {
            let of = |p: f64| binomial(batches, p, dissents);
            return Some(Bound { batches, dissents, honest: of(honest), liar: of(liar) });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_threshold_is_the_least_that_keeps_its_promise(
            members in 3_u32..120, share in 0.0_f64..0.45, set in 1_u32..40, error in 1e-9_f64..0.05,
        ) {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of members")]
            let liars = (f64::from(members) * share) as u32;
            let set = set.min(members);
            match threshold(members, liars, set, error) {
                Some(t) => {
                    prop_assert!(t.captured <= error && t.signatures <= set && 2 * t.signatures > set);
                    let fewer = t.signatures - 1;
                    prop_assert!(2 * fewer <= set || hypergeometric(members, liars, set, fewer) > error);
                    let enough_honest = hypergeometric(members, members - liars, set, t.signatures);
                    prop_assert!((t.stalled + enough_honest - 1.0).abs() < 1e-9);
                }
                None => prop_assert!(hypergeometric(members, liars, set, set) > error),
            }
        }

        #[test]
        fn a_bound_keeps_both_promises(honest in 1e-6_f64..0.02, times in 3.0_f64..50.0) {
            let liar = (honest * times).min(0.9);
            let bound = bound(honest, liar, 1e-6, 0.999).unwrap();
            prop_assert!(bound.honest <= 1e-6 && bound.liar >= 0.999, "{bound:?}");
            let fewer = binomial(bound.batches - 1, liar, bound.dissents);
            prop_assert!(fewer < 0.999, "a shorter window would do: {bound:?}");
        }
    }

    #[test]
    fn who_hears_well_is_mistaken_only_with_a_captured_set() {
        for set in [3, 7, 15] {
            let t = threshold(50, 10, set, 0.2).unwrap();
            assert!((mistaken(50, 10, set, t.signatures, 0.0) - t.captured).abs() < 1e-12);
            assert!(mistaken(50, 10, set, t.signatures, 0.05) > t.captured);
        }
        // One liar of five is in three of five sets of three, and then one of two has to mishear.
        let expected = 0.6 * (1.0 - 0.99_f64.powi(2)) + 0.4 * (3.0 * 0.01_f64.powi(2) * 0.99 + 0.01_f64.powi(3));
        assert!((mistaken(5, 1, 3, 2, 0.01) - expected).abs() < 1e-12);
    }

    #[test]
    fn two_digests_never_both_have_enough() {
        for set in 1..40 {
            let t = threshold(40, 0, set, 0.01).unwrap();
            assert!(2 * t.signatures > set, "{t:?}");
        }
    }

    #[test]
    fn what_is_no_set_has_no_threshold() {
        assert_eq!(threshold(10, 2, 0, 0.01), None);
        assert_eq!(threshold(10, 2, 11, 0.01), None);
        assert_eq!(threshold(10, 11, 3, 0.01), None);
        // A set of one is captured as often as there are liars.
        assert_eq!(threshold(10, 2, 1, 0.01), None);
    }

    #[test]
    fn who_lies_no_more_than_the_honest_err_is_never_told_apart() {
        assert_eq!(bound(0.0, 0.0, 1e-6, 0.99), None);
    }
}
