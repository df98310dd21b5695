//! A customer's receipt: every line of the bill with its proof, every payment, and what they add up to. It is checked
//! with nothing but itself and a node of the chain.

mod page;
mod verify;

pub use page::{html, short};
pub use verify::verify;

use actors::LINE_SALT;
use contracts::lines::{SaltSecret, leaf, leaves};
use contracts::merkle::{self, Proof};
use domain::{AccountId, ClassId, Currency, Fact, Line, Money, OnChain, Source, Tariff, Timestamp, WattHours};
use ledger::{Ledger, LedgerError, SettledBatch};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a receipt calls itself.
pub const FORMAT: &str = "microgrid-receipt-1";

/// A receipt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// [`FORMAT`].
    pub format: String,
    /// The site.
    pub site: String,
    /// The account.
    pub account: AccountId,
    /// Its number on the chain.
    pub number: u32,
    /// What minor units are.
    pub currency: Currency,
    /// The first instant it covers.
    pub from: Timestamp,
    /// The first instant after.
    pub to: Timestamp,
    /// When it was made.
    pub made_at: Timestamp,
    /// The chain.
    pub chain_id: u64,
    /// The contract, once there is one.
    pub provider: Option<String>,
    /// The versions of the tariff that the lines name.
    pub tariffs: Vec<Tariff>,
    /// The classes that the customer belonged to, each from an instant on.
    pub classes: Vec<(Timestamp, Option<ClassId>)>,
    /// The lines that begin in this time, oldest first.
    pub lines: Vec<ProvedLine>,
    /// Money that moved otherwise, oldest first.
    pub movements: Vec<Movement>,
    /// The batches that the proofs lead to.
    pub batches: Vec<BatchRoot>,
    /// What it adds up to.
    pub sums: Sums,
    /// The balance when the receipt was made.
    pub balance: Money,
    /// What was owed beside it.
    pub debt: Money,
}

/// A line, and where the chain knows it from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProvedLine {
    /// The line.
    #[serde(flatten)]
    pub line: Line,
    /// The salt of its leaf.
    pub salt: String,
    /// The batch whose root knows it; none while the line may still grow.
    pub batch: Option<u64>,
    /// The way from its leaf to that root.
    pub proof: Option<Proof>,
}

/// Money that moved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Movement {
    /// When it was recorded.
    pub at: Timestamp,
    /// What it was, in words.
    pub what: String,
    /// What it did to the balance.
    pub balance: Money,
    /// What it did to the debt; negative pays back.
    pub debt: Money,
    /// The transaction that brought it, if it came over the chain.
    pub transaction: Option<String>,
}

/// A batch on the chain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchRoot {
    /// Its number among the settler's batches.
    pub sequence: u64,
    /// The transaction that carried it.
    pub transaction: String,
    /// The root over its lines.
    pub root: String,
}

/// What the lines and movements add up to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sums {
    /// Energy from the grid.
    pub import: WattHours,
    /// Of that, free.
    pub free: WattHours,
    /// Energy to the grid.
    pub export: WattHours,
    /// Charged for energy.
    pub energy: Money,
    /// For the network operator.
    pub network: Money,
    /// For demand.
    pub demand: Money,
    /// By the day.
    pub daily: Money,
    /// Tax.
    pub tax: Money,
    /// All charges.
    pub charged: Money,
    /// Paid to the customer for exported energy and shares of the pool.
    pub credited: Money,
    /// What payments and other movements did to the balance.
    pub moved: Money,
}

impl Sums {
    /// Of these; `None` if they are no amounts.
    pub fn of<'a>(lines: impl Iterator<Item = &'a Line>, movements: &[Movement]) -> Option<Self> {
        let mut sums = Self::default();
        for line in lines {
            let d = &line.debit;
            sums.import = WattHours(sums.import.0.checked_add(line.import.0)?);
            sums.free = WattHours(sums.free.0.checked_add(line.free.0)?);
            sums.export = WattHours(sums.export.0.checked_add(line.export.0)?);
            sums.energy = sums.energy.checked_add(d.energy)?;
            sums.network = sums.network.checked_add(d.network)?;
            sums.demand = sums.demand.checked_add(d.demand)?;
            sums.daily = sums.daily.checked_add(d.daily)?;
            sums.tax = sums.tax.checked_add(d.tax)?;
            sums.charged = sums.charged.checked_add(d.total()?)?;
            sums.credited = sums.credited.checked_add(line.credit)?;
        }
        for movement in movements {
            sums.moved = sums.moved.checked_add(movement.balance)?;
        }
        Some(sums)
    }
}

/// For whom and over what.
pub struct Asked<'a> {
    /// The site.
    pub site: &'a str,
    /// Its money.
    pub currency: &'a Currency,
    /// The chain.
    pub chain_id: u64,
    /// The account.
    pub account: &'a AccountId,
    /// The first instant.
    pub from: Timestamp,
    /// The first instant after.
    pub to: Timestamp,
    /// Now.
    pub now: Timestamp,
}

/// Makes a receipt; `None` if there is no such account.
pub fn receipt(ledger: &Ledger, asked: &Asked<'_>) -> Result<Option<Receipt>, LedgerError> {
    let Some(row) = ledger.accounts()?.into_iter().find(|a| a.name == *asked.account) else { return Ok(None) };
    let secret = ledger.meta(LINE_SALT)?.and_then(|hex| SaltSecret::from_hex(&hex));
    let billed = ledger.lines(asked.account, asked.from, asked.to)?;
    let mut batches: BTreeMap<i64, Batch> = BTreeMap::new();
    let mut lines = Vec::with_capacity(billed.len());
    for billed in billed {
        let mut line = ProvedLine { line: billed.line, salt: String::new(), batch: None, proof: None };
        if let Some(secret) = &secret {
            let salt = secret.salt(row.number, &line.line);
            line.salt = salt.to_string();
            if let Some(intent) = billed.batch {
                if !batches.contains_key(&intent)
                    && let Some(settled) = ledger.settled_batch(intent)?
                {
                    batches.insert(intent, Batch::load(ledger, settled, secret)?);
                }
                if let Some(batch) = batches.get(&intent) {
                    line.batch = Some(batch.settled.sequence);
                    let own = leaf(row.number, &line.line, salt);
                    let index = batch.leaves.iter().position(|leaf| *leaf == own);
                    line.proof = index.and_then(|index| merkle::prove(&batch.leaves, index));
                }
            }
        }
        lines.push(line);
    }
    let movements = movements(ledger, asked)?;
    let sums = Sums::of(lines.iter().map(|l| &l.line), &movements);
    let sums = sums.ok_or_else(|| LedgerError::Refused("the receipt's sums are out of range".into()))?;
    let versions: Vec<Tariff> = ledger.schedule()?.iter().flat_map(|s| s.versions().cloned()).collect();
    let named = |t: &Tariff| lines.iter().any(|l| l.line.tariff == t.version);
    Ok(Some(Receipt {
        format: FORMAT.into(),
        site: asked.site.to_owned(),
        account: row.name,
        number: row.number,
        currency: asked.currency.clone(),
        from: asked.from,
        to: asked.to,
        made_at: asked.now,
        chain_id: asked.chain_id,
        provider: ledger.meta("provider")?,
        tariffs: versions.into_iter().filter(named).collect(),
        classes: ledger.classes(asked.account)?.0,
        lines,
        movements,
        batches: batches.into_values().map(Batch::root).collect(),
        sums,
        balance: row.balance,
        debt: row.debt,
    }))
}

struct Batch {
    settled: SettledBatch,
    leaves: Vec<contracts::B256>,
}

impl Batch {
    fn load(ledger: &Ledger, settled: SettledBatch, secret: &SaltSecret) -> Result<Self, LedgerError> {
        let lines = ledger.lines_of(settled.intent, &settled.accounts)?;
        Ok(Self { leaves: leaves(secret, &lines), settled })
    }

    fn root(self) -> BatchRoot {
        BatchRoot {
            sequence: self.settled.sequence,
            transaction: self.settled.transaction,
            root: merkle::root(&self.leaves).to_string(),
        }
    }
}

fn movements(ledger: &Ledger, asked: &Asked<'_>) -> Result<Vec<Movement>, LedgerError> {
    let mut found = Vec::new();
    for (at, fact) in ledger.facts_of(asked.account, asked.from, asked.to)? {
        let (what, balance, debt, transaction) = match fact {
            Fact::ToppedUp { amount, debt, source, .. } => {
                let transaction = match &source {
                    Source::Chain { transaction, .. } => Some(transaction.clone()),
                    _ => None,
                };
                (format!("paid in: {source}"), Money(amount.0 - debt.0), Money(-debt.0), transaction)
            }
            Fact::DepositTakenBack { amount, transaction, .. } => {
                ("a deposit that the chain took back".to_owned(), Money(-amount.0), Money::ZERO, Some(transaction))
            }
            Fact::HappenedOnChain { event: OnChain::PaidOut { to, amount }, transaction, .. } => {
                (format!("paid out by the contract to {to}"), Money(-amount.0), Money::ZERO, Some(transaction))
            }
            Fact::HappenedOnChain { event: OnChain::Overturned { excess, amount, .. }, transaction, .. } => {
                let what = format!("given back by the contract: the meter has signed {excess} less than was billed");
                (what, amount, Money::ZERO, Some(transaction))
            }
            Fact::OnChainTakenBack { event: OnChain::PaidOut { amount, .. }, transaction, .. } => {
                ("a payment that the chain took back".to_owned(), amount, Money::ZERO, Some(transaction))
            }
            Fact::OnChainTakenBack { event: OnChain::Overturned { amount, .. }, transaction, .. } => (
                "what was given back, and the chain took back".to_owned(),
                Money(-amount.0),
                Money::ZERO,
                Some(transaction),
            ),
            Fact::Refunded { amount, reference, who, .. } => {
                (format!("paid back by {who}, {reference}"), Money(-amount.0), Money::ZERO, None)
            }
            Fact::Adjusted { amount, why, who, .. } => (format!("{why} ({who})"), amount, Money::ZERO, None),
            Fact::TokenUsed { amount, count, act, .. } if amount != Money::ZERO => {
                (format!("token {count} {act} the balance"), amount, Money::ZERO, None)
            }
            Fact::Lent { amount, as_credit, why, who, .. } => {
                let given = if as_credit { amount } else { Money::ZERO };
                (format!("{why} ({who})"), given, amount, None)
            }
            _ => continue,
        };
        found.push(Movement { at, what, balance, debt, transaction });
    }
    Ok(found)
}
