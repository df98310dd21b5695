//! Plans before the contract that judges them: committed to before their interval, revealed within it with what proves how
//! good they are, and judged after it.
//!
//! What is revealed was recorded with the plan, and each thing is said once: a restart anywhere goes on where it was. A plan
//! that is too late for its round is given up, said so, and dispatched all the same.

use super::outgoing::coin;
use super::{LINE_SALT, Notes, Scene, Step, Trouble};
use crate::settler::Turn;
use crate::witness::wire;
use contracts::chain::{ChainError, Receipt};
use contracts::dispatch::{self, State, Terms};
use contracts::lines::SaltSecret;
use contracts::tx::Call;
use contracts::{Address, B256, U256};
use domain::dispatch::{Judgement, RoundEvent, RoundState};
use domain::{Fact, Money, Timestamp};
use ledger::{Purpose, Round, RoundAct, Tries, Write};
use std::time::Duration;

/// How far a generator may deviate from what was dispatched, in millionths: what a report calls complying.
const BAND: u32 = 50_000;
/// 1e-9 quanta.
const UNIT: i128 = 1_000_000_000;
/// Gas that what is said of one plan may take, and that the account should be able to pay beside the stake.
const GAS_KEPT: u64 = 10_000_000;
/// What was refused before it was in a block is tried so often, at first after a minute, then after twice as long each
/// time.
const TRIES: u32 = 10;
/// How long it is remembered that a round was slow to be open.
const REMEMBERED: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);
const WEI_IN_GWEI: u64 = 1_000_000_000;
/// Why a plan comes too late.
const LATE: &str =
    "the chain was away, or [dispatch] lead is too short for two transactions with [chain] confirmations";

fn seconds(at: Timestamp) -> Result<u64, Trouble> {
    u64::try_from(at.0.div_euclid(1000)).map_err(|_| Trouble::Other(format!("{at} is no time on the chain")))
}

fn bytes(text: &str) -> Result<Vec<u8>, Trouble> {
    wire::unhex(text).ok_or_else(|| Trouble::Other("a recorded plan cannot be read".into()))
}

/// Money of so many 1e-9 quanta: a cost is rounded up, a bound down.
fn money(round: &Round, amount: i128, up: bool) -> Money {
    let scaled = amount.saturating_mul(i128::from(round.scale));
    let unit = UNIT * i128::from(round.quanta.max(1));
    let floor = scaled.div_euclid(unit);
    let more = i128::from(up && scaled.rem_euclid(unit) != 0);
    let bounded = (floor + more).clamp(i128::from(i64::MIN), i128::from(i64::MAX));
    Money(i64::try_from(bounded).unwrap_or(0))
}

/// The cost above the bound in millionths of the bound, rounded up.
fn gap_ppm(cost: i128, bound: i128) -> Option<u64> {
    let (over, size) = ((cost - bound).max(0).unsigned_abs(), bound.unsigned_abs());
    (size > 0).then(|| u64::try_from(over.saturating_mul(1_000_000).div_ceil(size)).unwrap_or(u64::MAX))
}

/// How long a round takes to be open, as far as this process knows.
#[derive(Debug, Default)]
pub(super) struct Opening {
    /// The beginning of the interval for which one is asked for, and since when.
    asked: Option<(Timestamp, Timestamp)>,
    /// When the last was known to be open, and how long after it was asked for.
    known: Option<(Timestamp, Duration)>,
}

impl Opening {
    fn is_open(&mut self, from: Timestamp, now: Timestamp) {
        if let Some((_, since)) = self.asked.take_if(|(asked, _)| *asked == from) {
            self.known = Some((now, now.since(since)));
        }
    }

    /// None after a while: the chain may have been away just then.
    fn took(&self, now: Timestamp) -> Option<Duration> {
        self.known.filter(|(at, _)| now.since(*at) < REMEMBERED).map(|(_, took)| took)
    }
}

fn stake(round: &Round) -> U256 {
    U256::from(round.stake_gwei) * U256::from(WEI_IN_GWEI)
}

fn rested(tries: &Tries, now: Timestamp) -> bool {
    now >= tries.newest + MINUTE * (1 << (tries.times.clamp(1, TRIES) - 1))
}

fn queue(purpose: Purpose) -> Option<Step> {
    Some(Step::Write(vec![Write::Queue(purpose)]))
}

fn fact(from: Timestamp, round: u32, event: RoundEvent, transaction: Option<String>) -> Fact {
    Fact::DispatchRound { from, round, event, transaction }
}

fn tell(from: Timestamp, round: u32, event: RoundEvent) -> Option<Step> {
    Some(Step::Write(vec![Write::Fact(fact(from, round, event, None))]))
}

fn give_up(from: Timestamp, round: u32, why: &str) -> Option<Step> {
    tell(from, round, RoundEvent::GivenUp { why: why.to_owned() })
}

impl Scene<'_> {
    /// The next thing to say of a plan, if there is one.
    pub(super) fn rounds(&self, turn: Turn, notes: &mut Notes) -> Result<Option<Step>, Trouble> {
        notes.dispatch_problem = None;
        for (round, state) in self.ledger.open_rounds()? {
            let Some(at) = self.judge_of(&round)? else { continue };
            let step = match state.number {
                None => self.open(at, &round, turn.now, notes)?,
                Some(number) => self.go_on(at, number, &round, &state, turn.now, notes)?,
            };
            if step.is_some() {
                return Ok(step);
            }
        }
        Ok(None)
    }

    /// A plan without a round.
    fn open(&self, at: Address, round: &Round, now: Timestamp, notes: &mut Notes) -> Result<Option<Step>, Trouble> {
        let act = |act| Purpose::Dispatch { act, round: 0, from: round.from };
        if self.ledger.became_of(&act(RoundAct::Open))? == Some(false) {
            return Ok(give_up(round.from, 0, "the contract opened no round for it"));
        }
        if self.plan.dispatch != Some(at) {
            return Ok(give_up(round.from, 0, "[chain] dispatch is not what it was when the plan was made"));
        }
        let late = now >= round.from;
        let owner = dispatch::owner(&*self.plan.chain, at)?;
        if owner != self.me() {
            let why = format!("{owner} owns {at} and opens its rounds, not this gateway's {}", self.me());
            if late {
                return Ok(give_up(round.from, 0, &why));
            }
            notes.dispatch_problem = Some(format!(
                "plans on the chain: {why}; `microgrid-gateway chain deploy-dispatch` makes one of its own"
            ));
            return Ok(None);
        }
        if late {
            return Ok(give_up(round.from, 0, &format!("its interval began before a round was open: {LATE}")));
        }
        if let Some(short) = self.short_of(round)? {
            notes.dispatch_problem = Some(short);
            return Ok(None);
        }
        if self.network(at, &round.network, notes)?.is_some() {
            let left = round.from.since(now);
            if let Some(took) = notes.opening.took(now)
                && left < took * 2
            {
                let why = format!(
                    "another took {} s to be open, and {} s are left: {LATE}; nothing was spent on it",
                    took.as_secs(),
                    left.as_secs()
                );
                return Ok(give_up(round.from, 0, &why));
            }
            notes.opening.asked = Some((round.from, now));
            return self.once(act(RoundAct::Open));
        }
        match self.ledger.became_of(&act(RoundAct::Publish))? {
            None => self.once(act(RoundAct::Publish)),
            // Not to be seen yet.
            Some(true) => Ok(None),
            Some(false) => Ok(give_up(round.from, 0, "the contract took no network")),
        }
    }

    /// A plan with a round.
    fn go_on(
        &self,
        at: Address,
        number: u32,
        round: &Round,
        state: &RoundState,
        now: Timestamp,
        notes: &mut Notes,
    ) -> Result<Option<Step>, Trouble> {
        let (from, until) = (round.from, round.until);
        let act = |act| Purpose::Dispatch { act, round: number, from };
        let became = |of| self.ledger.became_of(&act(of));
        notes.opening.is_open(from, now);
        match became(RoundAct::Commit)? {
            Some(true) => {}
            Some(false) => return Ok(give_up(from, number, "its hash was not taken")),
            None => {
                let short = self.short_of(round)?;
                if now < from {
                    return match short {
                        None => self.once(act(RoundAct::Commit)),
                        short => {
                            notes.dispatch_problem = short;
                            Ok(None)
                        }
                    };
                }
                let why = short.unwrap_or_else(|| LATE.to_owned());
                return Ok(give_up(from, number, &format!("its interval began before it was committed to: {why}")));
            }
        }
        if now > from && now <= until && self.may_try(&act(RoundAct::Reveal), now)? {
            let call = self.dispatch_call(RoundAct::Reveal, number, from)?;
            return match self.plan.chain.call(self.me(), &call) {
                Ok(_) => Ok(queue(act(RoundAct::Reveal))),
                // Blocks have their own clock.
                Err(error) if dispatch::is_too_early(&error) => Ok(None),
                Err(ChainError::Reverted { reason, .. }) => {
                    notes.dispatch_problem =
                        Some(format!("the plan of round {number} is not revealed, the contract refuses it: {reason}"));
                    Ok(None)
                }
                Err(error) => Err(error.into()),
            };
        }
        if now <= until {
            return Ok(None);
        }
        let Some(there) = dispatch::round_of(&*self.plan.chain, at, number)? else {
            return Ok(None);
        };
        if there.state == State::Open {
            if became(RoundAct::Close)? == Some(true) {
                // In a block that is not to be seen yet.
                return Ok(None);
            }
            return match self.plan.chain.call(self.me(), &dispatch::close(at, number)) {
                // Whatever became of it before: anybody may close it, and nothing comes of it until somebody does.
                Ok(_) if self.ledger.tries(&act(RoundAct::Close))?.is_some_and(|tries| !rested(&tries, now)) => {
                    Ok(None)
                }
                Ok(_) => Ok(queue(act(RoundAct::Close))),
                Err(error) if dispatch::is_too_early(&error) => Ok(None),
                Err(error) => Err(error.into()),
            };
        }
        if state.judged.is_none() {
            let ours = became(RoundAct::Reveal)? == Some(true);
            let due = round.stake_gwei > 0 && (ours || there.reveals == 0);
            let how = judgement(round, &there, self.me(), due);
            return Ok(tell(from, number, RoundEvent::Judged(how)));
        }
        for (what, failed) in [
            (RoundAct::Reclaim, "the stake was not given back: it stays in the contract"),
            (RoundAct::Collect, "nothing was paid out: the next round's collecting brings it too"),
        ] {
            match became(what)? {
                Some(true) => {}
                _ if self.may_try(&act(what), now)? => return Ok(queue(act(what))),
                _ if self.may_try_later(&act(what))? => return Ok(None),
                _ => return Ok(give_up(from, number, failed)),
            }
        }
        Ok(None)
    }

    /// Whether it may be said now: it never was, or was refused before it was in a block, and that is long enough ago.
    fn may_try(&self, purpose: &Purpose, now: Timestamp) -> Result<bool, Trouble> {
        let Some(tries) = self.ledger.tries(purpose)? else { return Ok(true) };
        Ok(!tries.mined && tries.times < TRIES && rested(&tries, now))
    }

    fn may_try_later(&self, purpose: &Purpose) -> Result<bool, Trouble> {
        Ok(self.ledger.tries(purpose)?.is_none_or(|tries| !tries.mined && tries.times < TRIES))
    }

    /// What is missing if the account cannot pay for a stake and what is said of the plan.
    fn short_of(&self, round: &Round) -> Result<Option<String>, Trouble> {
        let fee = self.plan.chain.fees()?.max_fee.min(self.plan.fees.ceiling);
        let gas = U256::from(GAS_KEPT).saturating_mul(U256::from(fee));
        let (has, due) = (self.plan.chain.balance(self.me())?, stake(round).saturating_add(gas));
        Ok((has < due).then(|| {
            format!(
                "plans on the chain: the settler {} has {} coin, and stake and gas of a plan may take {}: send it some; \
                 plans are dispatched all the same",
                self.me(),
                coin(has),
                coin(due)
            )
        }))
    }

    /// The contract's number of a network, if it was published.
    fn network(&self, at: Address, network: &str, notes: &mut Notes) -> Result<Option<u32>, Trouble> {
        if let Some((there, known, number)) = &notes.network
            && (*there, known.as_str()) == (at, network)
        {
            return Ok(Some(*number));
        }
        let found = self.published(at, network)?;
        if let Some(number) = found {
            notes.network = Some((at, network.to_owned(), number));
        }
        Ok(found)
    }

    /// The same, asked of the contract.
    fn published(&self, at: Address, network: &str) -> Result<Option<u32>, Trouble> {
        let wanted = bytes(network)?;
        for number in (1..=dispatch::networks(&*self.plan.chain, at)?).rev() {
            if dispatch::network_of(&*self.plan.chain, at, number)? == wanted {
                return Ok(Some(number));
            }
        }
        Ok(None)
    }

    /// The contract that a plan goes before: the one that it was made for, whatever is configured now.
    fn judge_of(&self, round: &Round) -> Result<Option<Address>, Trouble> {
        let Some(text) = &round.contract else { return Ok(self.plan.dispatch) };
        text.parse().map(Some).map_err(|e| Trouble::Other(format!("the contract of a plan, {text}: {e}")))
    }

    /// The salt of a commitment: another for every plan, the same whenever it is asked.
    fn salt(&self, round: u32, solution: &[u8]) -> Result<B256, Trouble> {
        let secret = self.ledger.meta(LINE_SALT)?.and_then(|text| SaltSecret::from_hex(&text));
        let secret = secret.ok_or_else(|| Trouble::Other("the ledger has no secret for salts".into()))?;
        Ok(secret.salt_of(&[&round.to_be_bytes()[..], solution].concat()))
    }

    pub(super) fn dispatch_call(&self, act: RoundAct, number: u32, from: Timestamp) -> Result<Call, Trouble> {
        let round = self.ledger.round(from)?;
        let round = round.ok_or_else(|| Trouble::Gone(format!("the plan of {from} is not at hand any more")))?;
        let at = self.judge_of(&round)?;
        let at = at.ok_or_else(|| Trouble::Gone("[chain] dispatch is not set any more".into()))?;
        let solution = bytes(&round.solution)?;
        let stake = stake(&round);
        Ok(match act {
            RoundAct::Publish => dispatch::publish(at, &bytes(&round.network)?, BAND),
            RoundAct::Open => {
                let unpublished = || Trouble::Gone("the network of a plan is not on the chain".into());
                let network = self.published(at, &round.network)?.ok_or_else(unpublished)?;
                let terms = Terms {
                    commit_until: seconds(round.from)?,
                    reveal_until: seconds(round.until)?,
                    duration: u32::try_from(round.until.since(round.from).as_secs()).unwrap_or(u32::MAX),
                    stake,
                    reward: U256::ZERO,
                };
                dispatch::open(at, network, &bytes(&round.conditions)?, &terms)
            }
            RoundAct::Commit => {
                let hash = dispatch::commitment(number, self.me(), self.salt(number, &solution)?, &solution);
                dispatch::commit(at, number, hash, stake)
            }
            RoundAct::Reveal => {
                dispatch::reveal(at, number, self.salt(number, &solution)?, &bytes(&round.conditions)?, &solution)
            }
            RoundAct::Close => dispatch::close(at, number),
            RoundAct::Reclaim => dispatch::reclaim(at, number),
            RoundAct::Collect => dispatch::collect(at),
        })
    }

    /// What it means that such a transaction is in a block.
    pub(super) fn dispatched(
        &self,
        act: RoundAct,
        number: u32,
        from: Timestamp,
        receipt: &Receipt,
    ) -> Result<Vec<Fact>, Trouble> {
        let (number, event) = match act {
            RoundAct::Open => {
                let opened = receipt.logs.iter().find_map(dispatch::opened);
                let opened = opened.ok_or_else(|| Trouble::Other("a round was opened without a number".into()))?;
                (opened, RoundEvent::Opened)
            }
            RoundAct::Commit => (number, RoundEvent::Committed),
            RoundAct::Reveal => {
                let round = self.ledger.round(from)?;
                let said = receipt.logs.iter().find_map(dispatch::revealed);
                let (Some(round), Some(said)) = (round, said) else { return Ok(Vec::new()) };
                let (cost, bound) = (money(&round, said.cost, true), money(&round, said.bound, false));
                (number, RoundEvent::Revealed { cost, bound })
            }
            RoundAct::Collect => (number, RoundEvent::StakeBack),
            // What follows from these, the contract is asked for.
            RoundAct::Publish | RoundAct::Close | RoundAct::Reclaim => return Ok(Vec::new()),
        };
        Ok(vec![fact(from, number, event, Some(receipt.transaction.to_string()))])
    }
}

fn judgement(round: &Round, there: &dispatch::Round, me: Address, stake_due: bool) -> Judgement {
    let both = there.cost.zip(there.bound);
    // As the contract reckons it.
    let tolerance =
        bytes(&round.network).ok().and_then(|b| dispatch::Network::unpack(&b)).map_or(0, |n| n.header.tolerance);
    let within = |(cost, bound): (i128, i128)| {
        let (over, most) =
            ((cost - bound).saturating_mul(UNIT), bound.saturating_abs().saturating_mul(tolerance.into()));
        over <= most
    };
    Judgement {
        won: there.winner == me && there.reveals > 0,
        cost: there.cost.map(|cost| money(round, cost, true)),
        bound: there.bound.map(|bound| money(round, bound, false)),
        gap_ppm: both.and_then(|(cost, bound)| gap_ppm(cost, bound)),
        proven: both.is_some_and(within),
        commits: there.commits,
        stake_due,
    }
}

/// What is said, for people.
pub(super) fn name(act: RoundAct, round: u32) -> String {
    match act {
        RoundAct::Publish => "the network of the plans".to_owned(),
        RoundAct::Open => "a round for the next plan".to_owned(),
        RoundAct::Commit => format!("the hash of our plan for round {round}"),
        RoundAct::Reveal => format!("our plan for round {round}"),
        RoundAct::Close => format!("the end of round {round}"),
        RoundAct::Reclaim => format!("our stake in round {round}"),
        RoundAct::Collect => "what is owing to us for plans".to_owned(),
    }
}
