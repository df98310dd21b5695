//! The next step towards the chain, decided from the ledger and the chain alone: a restart at any instruction decides
//! the same.
//!
//! A transaction is recorded before it is sent, with its bytes; sending again sends the same bytes. A nonce is what the
//! chain says is next, one transaction is under way at a time, and a batch carries a sequence number that the contract
//! takes once. So a crash can resend, and never pay twice. What was final and is taken back is open again, with the same
//! bytes.

mod attest;
mod catch_up;
mod contract;
mod dispatch;
mod holders;
mod incoming;
mod outgoing;
mod ranges;
mod rights;
mod taken_back;

pub(crate) use contract::{Batched, proposed};

use super::pending::Memory;
use super::{SettlerPlan, Turn};
use crate::witness::wire;
use contracts::chain::{ChainError, Head, Receipt};
use contracts::key::KeyError;
use contracts::lines::SaltSecret;
use contracts::provider::{self, BadValue, Prices};
use contracts::tx::Call;
use contracts::{Address, B256, U256};
use domain::{Fact, Position, SwitchId, Timestamp};
use ledger::{Anchor, Intent, Ledger, LedgerError, Purpose, Write};
use std::collections::{BTreeMap, BTreeSet};
use thiserror::Error;

/// The settings that remember which contract on which chain this ledger belongs to.
pub(crate) const PROVIDER: &str = "provider";
/// The setting that keeps the id of the chain that the ledger settles on.
pub const CHAIN_ID: &str = "chain_id";
/// The setting that keeps what the salts of bill lines come from.
pub const LINE_SALT: &str = "line_salt";

/// What this process remembers between two turns. Nothing of it has to last: without it the settler only waits longer.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// Of the intent that is under way.
    pub pending: Memory,
    /// The head at which it was last looked whether blocks were taken back.
    looked: Option<B256>,
    /// Since when the block up to which deposits were read is another.
    doubted: Option<Timestamp>,
    /// Since when the chain has fewer blocks than it had.
    behind: Option<Timestamp>,
    /// Accounts on which something moved before a holder was named.
    too_late: BTreeSet<u32>,
    /// Whether the contract takes the holders of many accounts at once.
    names_many: Option<bool>,
    /// What is wrong with the holders of accounts.
    holders: Option<String>,
    /// Where contacts were last read.
    pub contacts: BTreeMap<SwitchId, Position>,
    /// What is wrong with the connection points whose switches are attested.
    points: Option<String>,
    /// The head at which the register was asked who may disconnect whom, and what is wrong with its answer.
    rights_asked: Option<B256>,
    rights: Option<String>,
    /// The contract whose terms were compared with ours.
    agreed: Option<Address>,
    /// The head at which nothing was to be said about ranges, and what is wrong with those of others.
    ranges_looked: Option<B256>,
    ranges_problem: Option<String>,
    /// The network of the plans as it was published at a contract, and its number; and what is wrong with plans on the chain.
    network: Option<(Address, String, u32)>,
    /// How long a round takes to be open.
    opening: dispatch::Opening,
    dispatch_problem: Option<String>,
    /// The settler's account has little left.
    low_on_coin: Option<String>,
}

pub(super) struct Taken {
    pub step: Step,
    pub block: Option<u64>,
    pub chain_id: Option<u64>,
    pub provider: Option<Address>,
}

pub(super) enum Step {
    /// Record this, then ask again.
    Write(Vec<Write>),
    /// Nothing to do now. `nothing_due`: nothing waits to be settled either.
    Rest { waiting: Option<String>, problem: Option<String>, nothing_due: bool },
}

#[derive(Debug, Error)]
pub(crate) enum Trouble {
    #[error(transparent)]
    Chain(#[from] ChainError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("signing failed: {0}")]
    Key(#[from] KeyError),
    #[error("{0}")]
    Value(#[from] BadValue),
    /// What was to be said is of a day that is gone, or of a contract that is no longer configured.
    #[error("{0}")]
    Gone(String),
    #[error("{0}")]
    Other(String),
}

struct Scene<'a> {
    plan: &'a SettlerPlan,
    ledger: &'a Ledger,
    head: Head,
    chain_id: u64,
    provider: Option<Address>,
    /// The prices that the contract should have.
    prices: Prices,
}

pub(super) fn next(plan: &SettlerPlan, ledger: &Ledger, turn: Turn, notes: &mut Notes) -> Taken {
    let rest = |problem: String| Step::Rest { waiting: None, problem: Some(problem), nothing_due: false };
    let scene = match look(plan, ledger, turn) {
        Ok(scene) => scene,
        Err(trouble) => {
            return Taken { step: rest(trouble.to_string()), block: None, chain_id: None, provider: None };
        }
    };
    let step = scene.decide(turn, notes).unwrap_or_else(|trouble| rest(trouble.to_string()));
    Taken { step, block: Some(scene.head.number), chain_id: Some(scene.chain_id), provider: scene.provider }
}

fn look<'a>(plan: &'a SettlerPlan, ledger: &'a Ledger, turn: Turn) -> Result<Scene<'a>, Trouble> {
    let chain_id = plan.chain.chain_id()?;
    let known: Option<u64> = ledger.meta(CHAIN_ID)?.and_then(|id| id.parse().ok());
    let due = known.unwrap_or(plan.chain_id);
    if due != chain_id {
        return Err(Trouble::Other(format!(
            "the chain answers as chain {chain_id}, but this ledger settles on chain {due}; nothing is sent. Another \
             chain needs another state folder"
        )));
    }
    let head = plan.chain.head()?;
    let remembered: Option<Address> = match ledger.meta(PROVIDER)? {
        Some(text) => Some(text.parse().map_err(|e| Trouble::Other(format!("provider {text}: {e}")))?),
        None => None,
    };
    if let (Some(wanted), Some(remembered)) = (plan.provider, remembered)
        && wanted != remembered
    {
        return Err(Trouble::Other(format!(
            "[chain] provider is {wanted}, but this ledger has settled on {remembered}: a new contract needs a new ledger"
        )));
    }
    let schedule = ledger.schedule()?.ok_or_else(|| Trouble::Other("the ledger has no tariff yet".into()))?;
    let rates = &schedule.at(turn.now).rates;
    let prices = Prices { off_peak: rates.off_peak, peak: rates.peak, feed_in: rates.feed_in };
    Ok(Scene { plan, ledger, head, chain_id, provider: plan.provider.or(remembered), prices })
}

impl Scene<'_> {
    fn decide(&self, turn: Turn, notes: &mut Notes) -> Result<Step, Trouble> {
        if self.ledger.meta(CHAIN_ID)?.is_none() {
            // A street without customers may yet be described for another chain, and a ledger keeps its chain for good.
            let said = self.plan.provider.is_some()
                || self.plan.witness.is_some()
                || self.plan.time_of_use.is_some()
                || self.plan.dispatch.is_some();
            if !said && self.ledger.accounts()?.is_empty() && self.ledger.open_intents()?.is_empty() {
                return Ok(Step::Rest { waiting: None, problem: None, nothing_due: true });
            }
            let mut writes = vec![Write::Meta(CHAIN_ID.into(), self.chain_id.to_string())];
            writes.extend(self.provider.map(|p| Write::Meta(PROVIDER.into(), p.to_string())));
            return Ok(Step::Write(writes));
        }
        // Once and for good: a root is the same whenever it is asked for.
        if self.ledger.meta(LINE_SALT)?.is_none() {
            return Ok(Step::Write(vec![Write::Meta(LINE_SALT.into(), SaltSecret::generate()?.to_hex())]));
        }
        if let Some(step) = self.taken_back(turn, notes)? {
            return Ok(step);
        }
        // Deposits first: somebody may be sitting in the dark. But a ledger that never read this contract's deposits
        // makes sure first that both mean the same accounts.
        let acquainted = self.ledger.deposits_block()? > 0;
        if let Some(provider) = self.provider.filter(|_| acquainted)
            && let Some(step) = self.incoming(provider, turn, notes)?
        {
            return Ok(step);
        }
        // Whoever waits for a transaction waits with switching for nothing.
        if let Some(step) = self.rights(turn.settle, notes)? {
            return Ok(step);
        }
        let open = self.ledger.open_intents()?;
        if let Some(intent) = self.first_of(&open)? {
            return self.advance(intent, turn, notes);
        }
        // What is left waits for others, and everything else goes on.
        let asked = open.first().map(|intent| format!("{}: asking its witnesses", name(&intent.purpose)));
        // What the chain refused is tried again when the next settlement is due, not at once and for ever.
        let refusal = self.ledger.last_refusal()?;
        let set_up_refused = self.ledger.set_up_refused()?;
        let may_queue = !set_up_refused || (turn.settle && !turn.queued);
        let problem = refusal.map(|(what, why)| format!("the chain refused {}: {why}", name(&what)));
        let problem = problem.or_else(|| notes.low_on_coin.clone()).or_else(|| notes.holders.clone());
        let problem = problem.or_else(|| notes.ranges_problem.clone()).or_else(|| notes.dispatch_problem.clone());
        let problem = problem.or_else(|| notes.points.clone()).or_else(|| notes.rights.clone());
        let problem = problem.or_else(|| self.plan.chain.problems().into_iter().next());
        let Some(provider) = self.provider else {
            return Ok(match may_queue {
                true => Step::Write(vec![Write::Queue(Purpose::Deploy)]),
                // As with a refused batch: again when the next settlement is due.
                false => Step::Rest { waiting: None, problem, nothing_due: true },
            });
        };
        self.agreed(provider, notes)?;
        if turn.settle
            && let Some(step) = self.refused_by_witnesses(provider, &open)?
        {
            return Ok(step);
        }
        if turn.settle
            && let Some(step) = self.not_open_there(provider)?
        {
            return Ok(step);
        }
        if let Some(step) = self.accounts(provider, may_queue)? {
            return Ok(step);
        }
        if let (false, Some(step)) = (acquainted, self.incoming(provider, turn, notes)?) {
            return Ok(step);
        }
        match self.rounds(turn, notes) {
            Ok(Some(step)) => return Ok(step),
            Ok(None) => {}
            Err(trouble) => notes.dispatch_problem = Some(format!("plans on the chain: {trouble}")),
        }
        match self.ranges(turn, notes) {
            Ok(Some(step)) => return Ok(step),
            Ok(None) => {}
            // Settling does not wait for a contract that others deployed.
            Err(trouble) => notes.ranges_problem = Some(format!("forecasts on the chain: {trouble}")),
        }
        let accounts = self.ledger.accounts()?;
        if let Some(step) = self.name_holders(provider, &accounts, may_queue, notes)? {
            return Ok(step);
        }
        // A batch that waits for its witnesses may still be sent, with what was overturned in it or without.
        if let (None, Some(step)) = (&asked, self.doubted(provider, &accounts)?) {
            return Ok(step);
        }
        let ahead = accounts.iter().filter(|a| a.opened && a.chain_is_ahead()).count();
        let waits = accounts.iter().any(|a| a.opened && a.unsettled() && !a.chain_is_ahead());
        if turn.settle
            && let Some(step) = self.attest(!turn.queued, notes)?
        {
            return Ok(step);
        }
        if turn.settle && waits && asked.is_none() {
            let Some(there) = self.prices_there(provider)? else {
                let Prices { off_peak, peak, feed_in } = self.prices;
                return Ok(match turn.priced {
                    false => Step::Write(vec![Write::Queue(Purpose::SetTariff { off_peak, peak, feed_in })]),
                    // Refused: again with the next settlement. Not to be seen yet, or somebody changed them again: in
                    // the next turn, and once in a turn, since every time costs a transaction.
                    true => {
                        let waiting = (!set_up_refused).then(|| "the contract does not have our prices yet".to_owned());
                        Step::Rest { waiting, problem, nothing_due: set_up_refused }
                    }
                });
            };
            let sequence = provider::next_sequence(&*self.plan.chain, provider, self.me())?;
            if let Some(step) = self.catch_up(provider, sequence)? {
                return Ok(step);
            }
            return Ok(Step::Write(vec![Write::MakeBatch {
                sequence,
                most: self.plan.most,
                tariff_version: there.version,
                prices: there.prices,
            }]));
        }
        let nothing_due = !waits || asked.is_some();
        let waiting = asked.or_else(|| (ahead > 0).then(|| catch_up::waiting_for(ahead)));
        Ok(Step::Rest { waiting, problem, nothing_due })
    }

    /// An error if the contract was made under other terms than ours: they never change.
    fn agreed(&self, provider: Address, notes: &mut Notes) -> Result<(), Trouble> {
        if notes.agreed == Some(provider) {
            return Ok(());
        }
        match (provider::witness_of(&*self.plan.chain, provider)?, self.plan.witness) {
            (Some(asks), ours) if ours != Some(asks) => {
                return Err(Trouble::Other(format!(
                    "contract {provider} takes no batch without the witnesses of {asks}: say so in [chain] witness; nothing \
                     is settled until then"
                )));
            }
            (None, Some(ours)) => {
                return Err(Trouble::Other(format!(
                    "contract {provider} is an account book that asks no witnesses, and those of [chain] witness, {ours}, \
                     refuse batches of such a book: take the line out, or begin a new contract with a new state folder; \
                     nothing is settled until then"
                )));
            }
            _ => {}
        }
        let broken = self.plan.agreed.broken_by(&provider::terms(&*self.plan.chain, provider)?);
        if !broken.is_empty() {
            return Err(Trouble::Other(format!(
                "contract {provider} was made under other terms than [chain] says, and they never change; nothing is \
                 settled. {}. Say in [chain] what is there, or begin a new contract with a new state folder",
                broken.join("; ")
            )));
        }
        notes.agreed = Some(provider);
        Ok(())
    }

    /// The intent that goes on: what is under way, in the order of its nonces, and then what can be sent. A batch that
    /// witnesses are asked about is not sent before they have accepted it.
    fn first_of<'i>(&self, open: &'i [Intent]) -> Result<Option<&'i Intent>, Trouble> {
        let Some(witness) = self.plan.witness else { return Ok(open.first()) };
        let nonce = |intent: &&Intent| intent.attempts.last().map(|a| a.nonce);
        if let Some(under_way) = open.iter().filter(|i| nonce(i).is_some()).min_by_key(nonce) {
            return Ok(Some(under_way));
        }
        for intent in open {
            let (Purpose::Settle { sequence }, Some(provider)) = (&intent.purpose, self.provider) else {
                return Ok(Some(intent));
            };
            let digest = proposed(self.ledger, *sequence)?.digest(provider, self.me())?;
            if contracts::witness::accepted(&*self.plan.chain, witness, self.me())? == Some(digest) {
                return Ok(Some(intent));
            }
        }
        Ok(None)
    }

    /// If witnesses refused the batch that waits for them, the step that gives it up: what it would have billed goes into a
    /// fresh one. It was never sent, so that nothing can count twice.
    fn refused_by_witnesses(&self, provider: Address, open: &[Intent]) -> Result<Option<Step>, Trouble> {
        let Some(witness) = self.plan.witness else { return Ok(None) };
        for intent in open.iter().filter(|intent| intent.attempts.is_empty()) {
            let Purpose::Settle { sequence } = intent.purpose else { continue };
            let newest = contracts::witness::state(&*self.plan.chain, witness, self.me())?;
            let refused = newest.draw != 0 && newest.made == 0 && !newest.accepted;
            if refused && newest.digest == proposed(self.ledger, sequence)?.digest(provider, self.me())? {
                return Ok(Some(refuse(intent, None, format!("its witnesses refused it in draw {}", newest.draw))));
            }
        }
        Ok(None)
    }

    fn me(&self) -> Address {
        self.plan.signer.address()
    }

    /// The newest block that is deep enough to be relied on.
    fn safe_block(&self) -> u64 {
        self.head.number.saturating_add(1).saturating_sub(self.plan.confirmations.max(1))
    }

    fn receipt_of(&self, intent: &Intent) -> Result<Option<Receipt>, Trouble> {
        for attempt in &intent.attempts {
            if let Some(receipt) = self.plan.chain.receipt(parse_hash(&attempt.hash)?)? {
                return Ok(Some(receipt));
            }
        }
        Ok(None)
    }

    fn mined(&self, intent: &Intent, receipt: &Receipt) -> Result<Step, Trouble> {
        let deep = receipt.block <= self.safe_block();
        if !deep || self.plan.chain.block_hash(receipt.block)? != Some(receipt.block_hash) {
            return Ok(waiting(intent, "in a block, not deep enough yet"));
        }
        if !receipt.ok {
            // It passed when it was simulated and failed when it ran. For a batch that means: taken already.
            return match self.settled_before(intent)? {
                Some(step) => Ok(step),
                None => Ok(refuse(intent, Some(receipt), "the transaction was mined and reverted".into())),
            };
        }
        self.concluded(intent, receipt).map(Step::Write)
    }

    fn concluded(&self, intent: &Intent, receipt: &Receipt) -> Result<Vec<Write>, Trouble> {
        let hash = receipt.transaction.to_string();
        let mut writes = Vec::new();
        let facts = match &intent.purpose {
            Purpose::Deploy => {
                let at = receipt.contract.ok_or_else(|| Trouble::Other("a deployment without an address".into()))?;
                writes.push(Write::Meta(PROVIDER.into(), at.to_string()));
                // Nobody can have paid into it before it was there.
                let upto_block = receipt.block.saturating_sub(1);
                writes.push(Write::Deposits { upto_block, deposits: Vec::new() });
                Vec::new()
            }
            Purpose::OpenAccounts { numbers } => {
                let accounts = self.ledger.accounts()?;
                let opened = accounts.into_iter().filter(|a| numbers.contains(&a.number));
                opened.map(|a| Fact::AccountOpened { account: a.name, number: a.number }).collect()
            }
            // The contract itself says which prices it has; the intent, which transaction brought them. A holder's name
            // comes with the contract's events, whoever gave it.
            Purpose::SetTariff { .. }
            | Purpose::NameHolder { .. }
            | Purpose::NameHolders { .. }
            | Purpose::Witness { .. } => Vec::new(),
            Purpose::PostRanges { .. } | Purpose::AttestRanges { .. } => ranges::said(&intent.purpose, receipt),
            Purpose::Dispatch { act, round, from } => self.dispatched(*act, *round, *from, receipt)?,
            Purpose::Attest { positions } => {
                writes.push(self.noted(positions)?);
                Vec::new()
            }
            Purpose::Settle { sequence } => {
                let batch = self.ledger.batch(*sequence)?;
                let accounts = batch.map_or(0, |b| u32::try_from(b.items.len()).unwrap_or(u32::MAX));
                vec![Fact::Settled { batch: *sequence, accounts, transaction: hash.clone(), gas: receipt.gas_used }]
            }
        };
        let (block, block_hash) = (receipt.block, receipt.block_hash.to_string());
        writes.push(Write::Anchor(Anchor { intent: intent.id, block, hash: block_hash }));
        writes.push(Write::Conclude { intent: intent.id, mined: Some((hash, receipt.block)), problem: None, facts });
        Ok(writes)
    }

    fn call(&self, purpose: &Purpose) -> Result<Call, Trouble> {
        let provider = || self.provider.ok_or_else(|| Trouble::Other("no provider contract is known".into()));
        match purpose {
            Purpose::Deploy => {
                let (plan, terms) = (self.plan, self.plan.agreed.terms());
                Ok(match plan.witness {
                    None => provider::deploy_under(plan.wei_per_unit, self.prices, plan.low_at, &terms)?,
                    Some(at) => provider::deploy_witnessed(plan.wei_per_unit, self.prices, plan.low_at, &terms, at)?,
                })
            }
            Purpose::NameHolder { number, holder } => {
                Ok(provider::set_holder(provider()?, *number, holders::parse(holder)?))
            }
            Purpose::NameHolders { holders } => {
                let parsed = holders.iter().map(|(number, holder)| Ok((*number, holders::parse(holder)?)));
                Ok(provider::set_holders(provider()?, &parsed.collect::<Result<Vec<_>, Trouble>>()?))
            }
            Purpose::OpenAccounts { numbers } => {
                let mut named = Vec::with_capacity(numbers.len());
                for account in self.ledger.accounts()?.iter().filter(|a| numbers.contains(&a.number)) {
                    named.push((account.number, name_word(account.name.as_str())?));
                }
                Ok(provider::open_many(provider()?, &named))
            }
            Purpose::SetTariff { off_peak, peak, feed_in } => {
                let prices = Prices { off_peak: *off_peak, peak: *peak, feed_in: *feed_in };
                Ok(provider::set_tariff(provider()?, prices))
            }
            Purpose::PostRanges { round, from } => self.post_ranges(*round, *from),
            Purpose::AttestRanges { round, from, .. } => self.attest_ranges(*round, *from),
            Purpose::Dispatch { act, round, from } => self.dispatch_call(*act, *round, *from),
            Purpose::Attest { positions } => self.attestation(positions),
            Purpose::Witness { data, .. } => {
                let gone = || Trouble::Gone("[chain] witness is not set any more".into());
                let data = wire::unhex(data);
                let data = data.ok_or_else(|| Trouble::Other("a recorded call cannot be read".into()))?;
                Ok(Call { to: Some(self.plan.witness.ok_or_else(gone)?), value: U256::ZERO, data })
            }
            Purpose::Settle { sequence } => {
                let batch = proposed(self.ledger, *sequence)?;
                Ok(provider::settle(provider()?, *sequence, batch.tariff_version, batch.lines_root, &batch.items)?)
            }
        }
    }
}

fn name(purpose: &Purpose) -> String {
    match purpose {
        Purpose::Deploy => "the contract".to_owned(),
        Purpose::OpenAccounts { numbers } => format!("the opening of {} accounts", numbers.len()),
        Purpose::SetTariff { .. } => "the new prices".to_owned(),
        Purpose::NameHolder { number, .. } => format!("the holder of account {number}"),
        Purpose::NameHolders { holders } => format!("the holders of {} accounts", holders.len()),
        Purpose::PostRanges { round, .. } => format!("the forecast of round {round}"),
        Purpose::AttestRanges { round, .. } => format!("our word on the forecast of round {round}"),
        Purpose::Dispatch { act, round, .. } => dispatch::name(*act, *round),
        Purpose::Attest { positions } => format!("the attestation of {} switches", positions.len()),
        Purpose::Witness { what, .. } => what.clone(),
        Purpose::Settle { sequence } => format!("batch {sequence}"),
    }
}

fn waiting(intent: &Intent, why: &str) -> Step {
    let waiting = Some(format!("{}: {why}", name(&intent.purpose)));
    Step::Rest { waiting, problem: None, nothing_due: false }
}

fn refuse(intent: &Intent, receipt: Option<&Receipt>, problem: String) -> Step {
    let facts = match intent.purpose {
        Purpose::Settle { sequence } => vec![Fact::SettlementRefused { batch: sequence, problem: problem.clone() }],
        _ => Vec::new(),
    };
    let mined = receipt.map(|r| (r.transaction.to_string(), r.block));
    Step::Write(vec![Write::Conclude { intent: intent.id, mined, problem: Some(problem), facts }])
}

fn name_word(name: &str) -> Result<B256, Trouble> {
    provider::name_word(name).ok_or_else(|| Trouble::Other(format!("{name} is too long for the contract")))
}

fn parse_hash(text: &str) -> Result<B256, Trouble> {
    text.parse().map_err(|e| Trouble::Other(format!("a recorded hash {text}: {e}")))
}
