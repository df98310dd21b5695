//! One block of proof of work as a race, event by event: who solves when, who hears of it when, and who then goes on.
//!
//! A miner solves after an exponential time. What it solves, it spreads, and everybody hears of it a delay later. Under
//! plain proof of work whoever hears of a block stops, whatever the block says. In a mining set a miner stops only for
//! the digest that it would have mined itself, and endorses it; for another digest it goes on. The race is decided as
//! soon as so many stand behind one digest as the threshold asks, and everybody hears of that a delay later.

use fastrand::Rng;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};

/// What a miner says a batch is.
pub(super) type Digest = u32;

/// How the race is run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// Mean time in which one miner solves, in seconds.
    pub mean: f64,
    /// From a solution to where everybody knows it, in seconds.
    pub delay: f64,
    /// How many must stand behind one digest; `None`: the first block is accepted, unread.
    pub threshold: Option<u32>,
}

/// How it ended.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Who solved a block, in order.
    pub blocks: Vec<usize>,
    /// The digest that each stands behind, by its block or its endorsement.
    pub behind: Vec<Option<Digest>>,
    /// The digest that was accepted.
    pub accepted: Option<Digest>,
    /// When everybody knew, in seconds.
    pub seconds: f64,
    /// The sum of the times that all spent mining, in seconds.
    pub mining: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum What {
    Solved(usize),
    Heard(Digest),
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Event {
    at: f64,
    what: What,
}

impl Eq for Event {}

impl Ord for Event {
    /// The earliest is the greatest, for the heap.
    fn cmp(&self, other: &Self) -> Ordering {
        other.at.total_cmp(&self.at)
    }
}

impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Runs one race; `digests` says what each who takes part would mine.
pub(super) fn race(digests: &[Digest], rules: Rules, rng: &mut Rng) -> Outcome {
    let mut out = Outcome { behind: vec![None; digests.len()], ..Outcome::default() };
    let mut stopped: Vec<Option<f64>> = vec![None; digests.len()];
    let mut count: BTreeMap<Digest, u32> = BTreeMap::new();
    let solves = |i| Event { at: -(1.0 - rng.f64()).ln() * rules.mean, what: What::Solved(i) };
    let mut events: BinaryHeap<Event> = (0..digests.len()).map(solves).collect();
    while let Some(Event { at, what }) = events.pop() {
        out.seconds = at;
        let mut joined: Vec<(usize, Digest)> = Vec::new();
        match what {
            What::Closed => break,
            What::Solved(i) => {
                let (Some(digest), Some(None)) = (digests.get(i), stopped.get(i)) else { continue };
                out.blocks.push(i);
                joined.push((i, *digest));
                events.push(Event { at: at + rules.delay, what: What::Heard(*digest) });
            }
            What::Heard(digest) => {
                let still = stopped.iter().zip(digests).enumerate().filter(|(_, (s, _))| s.is_none());
                let agrees = |mine: Digest| rules.threshold.is_none() || mine == digest;
                joined.extend(still.filter(|(_, (_, d))| agrees(**d)).map(|(i, _)| (i, digest)));
            }
        }
        for (i, digest) in joined {
            if let (Some(stop), Some(behind)) = (stopped.get_mut(i), out.behind.get_mut(i)) {
                (*stop, *behind) = (Some(at), Some(digest));
            }
            let behind = count.entry(digest).or_default();
            *behind += 1;
            if out.accepted.is_none() && *behind >= rules.threshold.unwrap_or(1) {
                out.accepted = Some(digest);
                events.push(Event { at: at + rules.delay, what: What::Closed });
            }
        }
        if stopped.iter().all(Option::is_some) && out.accepted.is_none() {
            break;
        }
    }
    out.mining = stopped.iter().map(|s| s.unwrap_or(out.seconds).min(out.seconds)).sum();
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn race_of(digests: &[Digest], threshold: Option<u32>, seed: u64) -> Outcome {
        race(digests, Rules { mean: 70.0, delay: 0.5, threshold }, &mut Rng::with_seed(seed))
    }

    #[test]
    fn an_honest_set_agrees_on_the_truth() {
        for seed in 0..500 {
            let out = race_of(&[0; 7], Some(5), seed);
            assert_eq!(out.accepted, Some(0));
            assert!(out.behind.iter().flatten().all(|d| *d == 0));
        }
    }

    #[test]
    fn a_lie_of_a_few_is_never_accepted_and_the_truth_of_enough_is() {
        for seed in 0..500 {
            let out = race_of(&[1, 1, 0, 0, 0, 0, 0], Some(5), seed);
            assert_eq!(out.accepted, Some(0), "seed {seed}");
            // Too few on either side: nothing is accepted, and all have said what they think.
            let out = race_of(&[1, 1, 1, 0, 0, 0, 0], Some(5), seed);
            assert_eq!(out.accepted, None, "seed {seed}");
            assert_eq!(out.behind.iter().flatten().count(), 7, "seed {seed}");
        }
    }

    #[test]
    fn plain_proof_of_work_takes_the_lie_of_whoever_is_first() {
        let lies = (0..2000).filter(|seed| race_of(&[1, 0, 0, 0], None, *seed).accepted == Some(1)).count();
        // A quarter; four standard deviations are 78.
        assert!((422..=578).contains(&lies), "{lies}");
    }

    #[test]
    fn forks_come_as_often_as_the_delay_says() {
        // Each of the others solves within the delay with 1 − e^(−d/μ); a fork is one that does at least.
        let forks = (0..4000).filter(|seed| {
            let rules = Rules { mean: 70.0, delay: 3.5, threshold: None };
            race(&[0; 7], rules, &mut Rng::with_seed(*seed)).blocks.len() > 1
        });
        let (forks, wanted) = (forks.count(), 4000.0 * (1.0 - (-3.5 * 6.0 / 70.0_f64).exp()));
        let spread = 4.0 * (wanted * (1.0 - wanted / 4000.0)).sqrt();
        #[allow(clippy::cast_precision_loss, reason = "a small number")]
        let off = (forks as f64 - wanted).abs();
        assert!(off < spread, "{forks}, not {wanted} ± {spread}");
    }
}
