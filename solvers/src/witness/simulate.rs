//! Three ways to accept batches, on the same gateways with the same liars: plain proof of work, proof of work in mining
//! sets, and witnesses that sign. What is assumed about them is in [`Settings`] and [`Assumptions`], and is ours.

mod rules;

use super::{Bound, Threshold, bound, interval, threshold};
use fastrand::Rng;
use rules::{PLAYS, Played};
use serde::Serialize;

/// The most miners and rounds that are simulated.
pub const THE_LARGEST: (u32, u32) = (1_000, 10_000_000);

/// What is simulated.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Settings {
    /// Gateways.
    pub miners: u32,
    /// How many are drawn for a batch.
    pub set: u32,
    /// The share of them that lies; all of them tell the same lie, whenever they are asked.
    pub fraud: f64,
    /// Draws.
    pub rounds: u32,
    /// The same seed gives the same report.
    pub seed: u64,
    /// How often liars may have a set to themselves.
    pub error: f64,
    /// How often an honest miner may be flagged in one window.
    pub false_alarm: f64,
    /// How often a liar must be flagged in one window.
    pub power: f64,
    /// What is assumed beyond that.
    pub assumptions: Assumptions,
}

/// What a street has to measure for itself.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Assumptions {
    /// In how many batches an honest gateway overheard something else than what was sent, and says so.
    pub misheard: f64,
    /// Mean time to a block of proof of work, in seconds.
    pub interval: f64,
    /// From a block or a signature to where everybody knows it, in seconds.
    pub delay: f64,
    /// What a gateway draws while it mines or checks, in watts, beyond what it draws anyway.
    pub watts: f64,
    /// How long a witness computes to check a batch and to sign it, in seconds.
    pub check: f64,
}

impl Default for Settings {
    fn default() -> Self {
        let assumptions = Assumptions { misheard: 0.01, interval: 10.0, delay: 0.5, watts: 3.0, check: 0.05 };
        Self {
            miners: 50,
            set: 7,
            fraud: 0.2,
            rounds: 10_000,
            seed: 1,
            error: 0.001,
            false_alarm: 1e-6,
            power: 0.99,
            assumptions,
        }
    }
}

/// How batches are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// Everybody mines; the first block counts, unread.
    ProofOfWork,
    /// A drawn set mines, reads what the others mined, and a threshold decides.
    MiningSets,
    /// A drawn set reads and signs; a threshold decides.
    Witnesses,
}

/// A rate and the interval of Clopper and Pearson in which it lies, 95 %.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Rate {
    /// How often.
    pub found: u32,
    /// Out of how many.
    pub trials: u32,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Rate {
    fn of(found: u32, trials: u32) -> Self {
        let (low, high) = interval(found, trials, 0.95);
        Self { found, trials, low, high }
    }

    /// The share; `None` if nothing was tried.
    #[must_use]
    pub fn share(&self) -> Option<f64> {
        (self.trials > 0).then(|| f64::from(self.found) / f64::from(self.trials))
    }
}

/// In how many rounds miners were part of a fork.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Involvement {
    /// Mean over the miners.
    pub mean: f64,
    /// Of the miner that was least often.
    pub least: u32,
    /// Of the miner that was most often.
    pub most: u32,
}

/// One miner.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Miner {
    /// Whether it lies.
    pub lies: bool,
    /// In how many rounds it took part.
    pub drawn: u32,
    /// In how many of these it was part of a fork: it mined a block beside another, or signed where others signed
    /// something else.
    pub in_forks: u32,
    /// How many of its blocks or signatures counted against it: under plain proof of work, blocks that lost; otherwise
    /// those under another digest than the one that was accepted.
    pub dissents: u32,
    /// In how many windows it was flagged.
    pub flagged: u32,
}

/// What one rule did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RuleReport {
    /// The rule.
    pub rule: Rule,
    /// Signatures or blocks under one digest that accept it.
    pub threshold: Option<Threshold>,
    /// When a miner is flagged; `None` if no window tells liars from the honest.
    pub bound: Option<Bound>,
    /// Batches that were accepted.
    pub accepted: u32,
    /// Of these, lies.
    pub lies_accepted: u32,
    /// Rounds in which nothing was accepted: the batch has to wait for another set.
    pub stalled: u32,
    /// Rounds in which more than one block was mined, or more than one digest signed.
    pub forks: u32,
    /// Mean time to an accepted batch, in seconds.
    pub seconds: f64,
    /// Energy for an accepted batch, in joules.
    pub joules: f64,
    /// Fork involvement of those who are honest.
    pub honest: Involvement,
    /// Fork involvement of those who lie; `None` if nobody does.
    pub fraudulent: Option<Involvement>,
    /// Liars flagged, by liar and window.
    pub detection: Rate,
    /// Honest miners flagged, by miner and window.
    pub false_positives: Rate,
    /// From the beginning of a window to a liar's flag, in batches: the median and the longest of those that were.
    pub batches_to_flag: Option<(u32, u32)>,
    /// Every miner.
    pub miners: Vec<Miner>,
}

/// What came out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// What was simulated.
    pub settings: Settings,
    /// How many of the miners lie.
    pub liars: u32,
    /// The thresholds of sets of other sizes, for the same share of liars and the same error.
    pub thresholds: Vec<Threshold>,
    /// Plain proof of work, mining sets, witnesses.
    pub rules: Vec<RuleReport>,
}

/// The thresholds of all sets of odd size from 3 on that have one, up to `largest`.
#[must_use]
pub fn thresholds(members: u32, liars: u32, error: f64, largest: u32) -> Vec<Threshold> {
    (3..=largest.min(members)).step_by(2).filter_map(|set| threshold(members, liars, set, error)).collect()
}

impl Settings {
    /// How many miners lie: the share, to the nearest whole miner.
    #[must_use]
    pub fn liars(&self) -> u32 {
        let share = f64::from(self.miners) * self.fraud;
        (0..=self.miners).find(|n| f64::from(*n) + 0.5 > share).unwrap_or(self.miners)
    }

    /// The threshold of the set.
    ///
    /// # Errors
    ///
    /// All that makes no sense, a sentence each.
    fn check(&self) -> Result<Threshold, Vec<String>> {
        let mut wrong = Vec::new();
        let mut must = |holds: bool, text: String| {
            if !holds {
                wrong.push(text);
            }
        };
        let (most, longest) = THE_LARGEST;
        let a = &self.assumptions;
        must((3..=most).contains(&self.miners), format!("miners: {} is not between 3 and {most}", self.miners));
        must(
            (3..=self.miners).contains(&self.set),
            format!("set: {} is not between 3 and the number of miners, {}", self.set, self.miners),
        );
        must((0.0..0.5).contains(&self.fraud), format!("fraud: {} is no share from 0 to below 0.5", self.fraud));
        must((1..=longest).contains(&self.rounds), format!("rounds: {} is not between 1 and {longest}", self.rounds));
        for (name, rate) in [("error", self.error), ("false-alarm", self.false_alarm)] {
            must(rate > 0.0 && rate < 0.5, format!("{name}: {rate} is no probability above 0 and below 0.5"));
        }
        must(self.power >= 0.5 && self.power < 1.0, format!("power: {} is not from 0.5 to below 1", self.power));
        must((0.0..0.5).contains(&a.misheard), format!("misheard: {} is no share from 0 to below 0.5", a.misheard));
        must(
            a.interval > 0.0 && a.interval.is_finite(),
            format!("interval: {} s is no time between blocks", a.interval),
        );
        must(
            a.delay >= 0.0 && a.delay < a.interval,
            format!("delay: {} s is not from 0 to below the interval, {} s", a.delay, a.interval),
        );
        for (name, unit, value) in [("watts", "W", a.watts), ("check", "s", a.check)] {
            must(value >= 0.0 && value.is_finite(), format!("{name}: {value} {unit} is below nothing, or no number"));
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let of = |set: u32| threshold(self.miners, self.liars(), set, self.error);
        of(self.set).ok_or_else(|| {
            let enough = (self.set..=self.miners).find(|set| of(*set).is_some());
            let lies = self.liars();
            let text = format!(
                "set: with {lies} liars among {} miners, a set of {} is theirs alone more often than error = {} allows",
                self.miners, self.set, self.error
            );
            vec![match enough {
                Some(set) => format!("{text}; {set} would be enough"),
                None => format!("{text}, and so is any"),
            }]
        })
    }
}

/// Plays all three rules.
///
/// # Errors
///
/// All that makes no sense in the settings, a sentence each that begins with the setting's name.
pub fn simulate(settings: &Settings) -> Result<Report, Vec<String>> {
    let threshold = settings.check()?;
    let rules = PLAYS.iter().zip(rules::bounds(settings, &threshold)).map(|(play, bound)| {
        let mut played = Played::new(settings, bound);
        // Each rule has its own stream, so that what one draws does not move the others.
        let mut rng = Rng::with_seed(settings.seed ^ (play.stream << 56));
        for _ in 0..settings.rounds {
            (play.round)(settings, &threshold, &mut rng, &mut played);
        }
        played.report(play.rule, (play.rule != Rule::ProofOfWork).then_some(threshold))
    });
    let rules = rules.collect();
    let liars = settings.liars();
    let thresholds = thresholds(settings.miners, liars, settings.error, 31.max(settings.set));
    Ok(Report { settings: *settings, liars, thresholds, rules })
}
