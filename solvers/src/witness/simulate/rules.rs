//! The rounds of each rule, what they count, and from which rates the bounds follow.

use super::super::race::{Digest, Rules, race};
use super::{Bound, Involvement, Miner, Rate, Rule, RuleReport, Settings, Threshold, bound};
use crate::witness::{binomial, hypergeometric};
use fastrand::Rng;
use std::collections::BTreeMap;

const TRUTH: Digest = 0;
const LIE: Digest = 1;

/// One rule: the number of its random stream, and its round.
pub(super) struct Play {
    pub rule: Rule,
    pub stream: u64,
    pub round: fn(&Settings, &Threshold, &mut Rng, &mut Played),
}

pub(super) const PLAYS: [Play; 3] = [
    Play { rule: Rule::ProofOfWork, stream: 1, round: plain },
    Play { rule: Rule::MiningSets, stream: 2, round: mining_set },
    Play { rule: Rule::Witnesses, stream: 3, round: witnesses },
];

/// The counts of one rule while it is played.
pub(super) struct Played {
    miners: Vec<Miner>,
    bound: Option<Bound>,
    /// Dissents in the window that runs.
    window: Vec<u32>,
    /// Rounds of the window that runs.
    begun: u32,
    /// Windows that ended.
    windows: u32,
    watts: f64,
    accepted: u32,
    lies_accepted: u32,
    stalled: u32,
    forks: u32,
    seconds: f64,
    joules: f64,
    to_flag: Vec<u32>,
}

impl Played {
    /// The liars are the last ones. It makes no difference which: sets are drawn evenly.
    pub fn new(settings: &Settings, bound: Option<Bound>) -> Self {
        let first = settings.miners - settings.liars();
        let miners: Vec<Miner> = (0..settings.miners).map(|i| Miner { lies: i >= first, ..Miner::default() }).collect();
        Self {
            window: vec![0; miners.len()],
            miners,
            bound,
            begun: 0,
            windows: 0,
            watts: settings.assumptions.watts,
            accepted: 0,
            lies_accepted: 0,
            stalled: 0,
            forks: 0,
            seconds: 0.0,
            joules: 0.0,
            to_flag: Vec::new(),
        }
    }

    fn drawn(&mut self, who: &[usize]) {
        for i in who {
            if let Some(miner) = self.miners.get_mut(*i) {
                miner.drawn += 1;
            }
        }
    }

    /// What each who was drawn would say. Whoever misheard says something that nobody else says.
    fn digests(&self, who: &[usize], misheard: f64, rng: &mut Rng) -> Vec<Digest> {
        let says = |(place, i): (Digest, &usize)| match self.miners.get(*i) {
            Some(miner) if miner.lies => LIE,
            _ if rng.f64() < misheard => LIE + 1 + place,
            _ => TRUTH,
        };
        (0..).zip(who).map(says).collect()
    }

    fn in_fork(&mut self, who: usize) {
        if let Some(miner) = self.miners.get_mut(who) {
            miner.in_forks += 1;
        }
    }

    fn dissent(&mut self, who: usize) {
        let (Some(miner), Some(count)) = (self.miners.get_mut(who), self.window.get_mut(who)) else { return };
        miner.dissents += 1;
        *count += 1;
        if self.bound.is_some_and(|b| *count == b.dissents) {
            miner.flagged += 1;
            if miner.lies {
                self.to_flag.push(self.begun + 1);
            }
        }
    }

    fn end(&mut self, accepted: Option<Digest>, seconds: f64, busy: f64) {
        self.seconds += seconds;
        self.joules += busy * self.watts;
        match accepted {
            Some(digest) => {
                self.accepted += 1;
                self.lies_accepted += u32::from(digest != TRUTH);
            }
            None => self.stalled += 1,
        }
        self.begun += 1;
        if self.bound.is_some_and(|b| self.begun == b.batches) {
            self.begun = 0;
            self.windows += 1;
            self.window.fill(0);
        }
    }

    /// The last window, if it did not end, is no trial: flags in it do not count.
    pub fn report(mut self, rule: Rule, threshold: Option<Threshold>) -> RuleReport {
        if let Some(bound) = self.bound {
            for (miner, count) in self.miners.iter_mut().zip(&self.window) {
                miner.flagged -= u32::from(*count >= bound.dissents);
            }
        }
        let number = |miners: usize| u32::try_from(miners).unwrap_or(u32::MAX);
        let side = |lies: bool| self.miners.iter().filter(move |m| m.lies == lies);
        let rate = |lies: bool| {
            let flagged = side(lies).map(|m| m.flagged).sum();
            Rate::of(flagged, number(side(lies).count()).saturating_mul(self.windows))
        };
        let involvement = |lies: bool| {
            let forks = || side(lies).map(|m| m.in_forks);
            let sum: f64 = forks().map(f64::from).sum();
            let mean = sum / f64::from(number(side(lies).count()));
            Some(Involvement { mean, least: forks().min()?, most: forks().max()? })
        };
        self.to_flag.sort_unstable();
        let median = self.to_flag.get(self.to_flag.len() / 2);
        let batches = f64::from(self.accepted.max(1));
        RuleReport {
            rule,
            threshold,
            bound: self.bound,
            accepted: self.accepted,
            lies_accepted: self.lies_accepted,
            stalled: self.stalled,
            forks: self.forks,
            seconds: self.seconds / batches,
            joules: self.joules / batches,
            honest: involvement(false).unwrap_or(Involvement { mean: 0.0, least: 0, most: 0 }),
            fraudulent: involvement(true),
            detection: rate(true),
            false_positives: rate(false),
            batches_to_flag: median.copied().zip(self.to_flag.last().copied()),
            miners: self.miners,
        }
    }
}

/// Draws without replacement: the first places of a shuffle (Fisher and Yates).
pub(super) fn draw(members: u32, set: u32, rng: &mut Rng) -> Vec<usize> {
    let mut all: Vec<usize> = (0..).take(members.try_into().unwrap_or(usize::MAX)).collect();
    let set = all.len().min(set.try_into().unwrap_or(usize::MAX));
    for place in 0..set {
        let other = rng.usize(place..all.len());
        all.swap(place, other);
    }
    all.truncate(set);
    all
}

/// Everybody races for the first block. Nobody can tell a lie from the truth by reading a block, so a lie is a block
/// like any other, and all that can be counted is which blocks lost.
fn plain(settings: &Settings, _: &Threshold, rng: &mut Rng, played: &mut Played) {
    let a = settings.assumptions;
    let all: Vec<usize> = (0..played.miners.len()).collect();
    let digests = played.digests(&all, 0.0, rng);
    let rules = Rules { mean: a.interval * f64::from(settings.miners), delay: a.delay, threshold: None };
    let out = race(&digests, rules, rng);
    played.drawn(&all);
    if out.blocks.len() > 1 {
        played.forks += 1;
        out.blocks.iter().for_each(|i| played.in_fork(*i));
    }
    out.blocks.iter().skip(1).for_each(|i| played.dissent(*i));
    played.end(out.accepted, out.seconds, out.mining);
}

/// A set races, and each of it stands behind the digest that it holds to be true.
fn mining_set(settings: &Settings, threshold: &Threshold, rng: &mut Rng, played: &mut Played) {
    let a = settings.assumptions;
    let set = draw(settings.miners, settings.set, rng);
    let digests = played.digests(&set, a.misheard, rng);
    let rules =
        Rules { mean: a.interval * f64::from(settings.set), delay: a.delay, threshold: Some(threshold.signatures) };
    let out = race(&digests, rules, rng);
    played.drawn(&set);
    if out.blocks.len() > 1 {
        played.forks += 1;
        out.blocks.iter().filter_map(|i| set.get(*i)).for_each(|i| played.in_fork(*i));
    }
    if out.accepted.is_some() {
        let against = set.iter().zip(&out.behind).filter(|(_, behind)| behind.is_some() && **behind != out.accepted);
        against.for_each(|(i, _)| played.dissent(*i));
    }
    played.end(out.accepted, out.seconds, out.mining);
}

/// A set signs.
fn witnesses(settings: &Settings, threshold: &Threshold, rng: &mut Rng, played: &mut Played) {
    let a = settings.assumptions;
    let set = draw(settings.miners, settings.set, rng);
    let digests = played.digests(&set, a.misheard, rng);
    let mut signed: BTreeMap<Digest, u32> = BTreeMap::new();
    digests.iter().for_each(|d| *signed.entry(*d).or_default() += 1);
    let accepted = signed.iter().find(|(_, n)| **n >= threshold.signatures).map(|(digest, _)| *digest);
    played.drawn(&set);
    if signed.len() > 1 {
        played.forks += 1;
        set.iter().for_each(|i| played.in_fork(*i));
    }
    if accepted.is_some() {
        set.iter().zip(&digests).filter(|(_, d)| Some(**d) != accepted).for_each(|(i, _)| played.dissent(*i));
    }
    // The batch goes out, is checked, and the signatures come in.
    let busy = a.check * f64::from(settings.set);
    played.end(accepted, 2.0 * a.delay + a.check, busy);
}

/// The bounds of the three rules, in order.
pub(super) fn bounds(settings: &Settings, threshold: &Threshold) -> [Option<Bound>; 3] {
    let of = |(honest, liar)| bound(honest, liar, settings.false_alarm, settings.power);
    let sets = of(rates(settings, threshold, true));
    let signed = of(rates(settings, threshold, false));
    // Plain proof of work has nothing that tells a liar. Its blocks are held against chance alone, over the same window.
    let a = settings.assumptions;
    let n = f64::from(settings.miners);
    let loses = (n - 1.0) / n * -(-a.delay / (n * a.interval)).exp_m1();
    let chance = sets.or(signed).and_then(|Bound { batches, .. }| {
        let beyond = |k: u32| binomial(batches, loses, k);
        let dissents = (1..=batches).find(|k| beyond(*k) <= settings.false_alarm)?;
        Some(Bound { batches, dissents, honest: beyond(dissents), liar: beyond(dissents) })
    });
    [chance, sets, signed]
}

/// In what share of all batches an honest miner dissents at most, and a liar at least.
///
/// Both have to be drawn first, and something has to be accepted. An honest member dissents if it misheard, or if liars
/// have the set. A liar dissents if enough of the others hold the truth. In a race that is seen only if somebody who
/// says the same solves before it is decided. With `h` in the set who hold the truth, and exponential times, `s` others
/// are before all of them with s/(s + h); after that they have the time in which a block and its endorsements spread.
fn rates(settings: &Settings, threshold: &Threshold, races: bool) -> (f64, f64) {
    let (members, set, liars) = (settings.miners, settings.set, settings.liars());
    let a = settings.assumptions;
    let drawn = f64::from(set) / f64::from(members);
    let least = threshold.signatures;
    let spreading = -(-2.0 * a.delay / (a.interval * f64::from(set))).exp_m1();
    let seen = if races { (1.0 / f64::from(least + 1) + spreading).min(1.0) } else { 1.0 };
    let captured = hypergeometric(members - 1, liars, set - 1, least);
    let honest = drawn * (a.misheard * seen + captured).min(1.0);
    let mut liar = 0.0;
    // `others` lie besides this one; of the rest, `truthful` heard well.
    for others in 0..=liars.saturating_sub(1).min(set - 1) {
        let tail = |k: u32| hypergeometric(members - 1, liars.saturating_sub(1), set - 1, k);
        let so_many = tail(others) - tail(others + 1);
        let rest = set - 1 - others;
        for truthful in least..=rest {
            let hears = binomial(rest, 1.0 - a.misheard, truthful) - binomial(rest, 1.0 - a.misheard, truthful + 1);
            let (lie, truth) = (f64::from(others + 1), f64::from(truthful));
            liar += drawn * so_many * hears * if races { lie / (lie + truth) } else { 1.0 };
        }
    }
    (honest, liar)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draw_holds_nobody_twice_and_favours_nobody() {
        let mut rng = Rng::with_seed(3);
        let mut times = vec![0_u32; 12];
        for _ in 0..12_000 {
            let mut set = draw(12, 5, &mut rng);
            for i in &set {
                if let Some(n) = times.get_mut(*i) {
                    *n += 1;
                }
            }
            set.sort_unstable();
            set.dedup();
            assert_eq!(set.len(), 5);
        }
        // 5000 each; four standard deviations are 216.
        assert!(times.iter().all(|n| (4784..=5216).contains(n)), "{times:?}");
    }
}
