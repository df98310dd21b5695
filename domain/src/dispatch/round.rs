//! A plan on its way through a round of the contract that judges plans.

use crate::Money;
use serde::{Deserialize, Serialize};

/// What happened to a plan there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum RoundEvent {
    /// The round was opened, with what is demanded and what each generator could make.
    Opened,
    /// The plan was committed to: a hash, and a stake.
    Committed,
    /// The plan was shown, and the contract found that it keeps all balances and limits.
    Revealed {
        /// What an hour of it costs, by the contract.
        cost: Money,
        /// What no plan can cost less than, by the prices that came with it.
        bound: Money,
    },
    /// The round is over.
    Judged(Judgement),
    /// Stake, and reward if there was one, were collected.
    StakeBack,
    /// Nothing more comes of it.
    GivenUp {
        /// Why.
        why: String,
    },
}

/// How a round ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// Whether ours is the plan that is dispatched.
    pub won: bool,
    /// What an hour of the winner's plan costs; none if nobody showed one.
    pub cost: Option<Money>,
    /// The highest bound that anybody brought.
    pub bound: Option<Money>,
    /// The cost above the bound, in millionths of the bound, rounded up; none where the bound is nothing.
    pub gap_ppm: Option<u64>,
    /// Whether that is within the tolerance that was published with the network.
    pub proven: bool,
    /// How many took part.
    pub commits: u32,
    /// Whether our stake comes back.
    pub stake_due: bool,
}

/// How far a plan has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoundState {
    /// The contract's number of the round, once it is open.
    pub number: Option<u32>,
    /// Whether the plan is committed to.
    pub committed: bool,
    /// Cost and bound, once it was shown.
    pub revealed: Option<(Money, Money)>,
    /// How the round ended.
    pub judged: Option<Judgement>,
    /// Whether the stake came back.
    pub stake_back: bool,
    /// Why nothing more comes of it.
    pub given_up: Option<String>,
}

impl RoundState {
    /// The state after an event of round `number`, which is 0 for one that was never opened.
    pub fn follow(&mut self, number: u32, event: &RoundEvent) {
        self.number = Some(number).filter(|number| *number > 0).or(self.number);
        match event {
            RoundEvent::Opened => {}
            RoundEvent::Committed => self.committed = true,
            RoundEvent::Revealed { cost, bound } => self.revealed = Some((*cost, *bound)),
            RoundEvent::Judged(how) => self.judged = Some(how.clone()),
            RoundEvent::StakeBack => self.stake_back = true,
            RoundEvent::GivenUp { why } => self.given_up = Some(why.clone()),
        }
    }

    /// Whether nothing more is to be done.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.given_up.is_some() || self.stake_back || self.judged.as_ref().is_some_and(|how| !how.stake_due)
    }
}
