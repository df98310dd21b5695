//! What the next step has to ask the contract: accounts, prices, and what became of a batch.

use super::incoming::{AT_ONCE, LOG_RANGE};
use super::{LINE_SALT, Scene, Step, Trouble, name_word, refuse, waiting};
use contracts::chain::LogFilter;
use contracts::lines::{self, SaltSecret};
use contracts::provider::{self, Item, Settled, TariffOnChain};
use contracts::{Address, B256, keccak256, merkle, witness};
use domain::Fact;
use ledger::{Intent, Ledger, Purpose, Write};

/// Ranges of blocks that are searched for a batch that somebody says is there.
const SEARCH_RANGES: u32 = 50;
/// Accounts opened by one transaction.
const OPEN_AT_ONCE: usize = 50;

impl Scene<'_> {
    /// The contract's prices and their version. `None` if they are others than ours, and ours to set; those of another
    /// owner stay, and what we charge beyond them is told item by item.
    pub(super) fn prices_there(&self, provider: Address) -> Result<Option<TariffOnChain>, Trouble> {
        let there = provider::tariff(&*self.plan.chain, provider)?;
        let unit = provider::wei_per_unit(&*self.plan.chain, provider)?;
        if unit != self.plan.wei_per_unit {
            return Err(Trouble::Other(format!(
                "contract {provider} has another unit of money than [site] decimals; nothing is settled. There: {unit} \
                 wei a unit; here: {} wei",
                self.plan.wei_per_unit
            )));
        }
        if there.prices != self.prices && provider::owner(&*self.plan.chain, provider)? == self.me() {
            return Ok(None);
        }
        Ok(Some(there))
    }

    /// Opens on the chain what is enrolled here.
    pub(super) fn accounts(&self, provider: Address, may_queue: bool) -> Result<Option<Step>, Trouble> {
        let closed: Vec<_> = self.ledger.accounts()?.into_iter().filter(|a| !a.opened).take(OPEN_AT_ONCE).collect();
        if closed.is_empty() {
            return Ok(None);
        }
        let mut open_there = Vec::new();
        for account in &closed {
            let name = name_word(account.name.as_str())?;
            match provider::number_of(&*self.plan.chain, provider, name)? {
                Some(number) if number == account.number => {
                    let account = account.name.clone();
                    open_there.push(Write::Fact(Fact::AccountOpened { account, number }));
                }
                Some(number) => {
                    return Err(Trouble::Other(format!(
                        "account {} has number {number} on the chain and {} here: this ledger does not belong to \
                         this contract",
                        account.name, account.number
                    )));
                }
                None => {}
            }
        }
        if !open_there.is_empty() {
            return Ok(Some(Step::Write(open_there)));
        }
        let numbers = closed.iter().map(|a| a.number).collect();
        Ok(may_queue.then(|| Step::Write(vec![Write::Queue(Purpose::OpenAccounts { numbers })])))
    }

    /// If the chain refused a batch that has accounts which are not open there, the step that has them opened again.
    ///
    /// An account that was found open, rather than opened by a transaction which is looked for when blocks are taken back, may
    /// have been so in a block that is gone: its opening was refused because an older one of ours was just before it.
    pub(super) fn not_open_there(&self, provider: Address) -> Result<Option<Step>, Trouble> {
        let Some(sequence) = self.ledger.batch_refused()? else { return Ok(None) };
        let items = self.ledger.batch(sequence)?.map_or_else(Vec::new, |batch| batch.items);
        let accounts = self.ledger.accounts()?;
        let thought_open = |number: &u32| accounts.iter().any(|a| a.number == *number && a.opened);
        let numbers: Vec<u32> = items.iter().map(|item| item.number).filter(thought_open).collect();
        let mut closed = Vec::new();
        for some in numbers.chunks(AT_ONCE) {
            let there = provider::accounts(&*self.plan.chain, provider, some)?;
            closed.extend(some.iter().zip(there).filter(|(_, there)| !there.is_open()).map(|(number, _)| *number));
        }
        if closed.is_empty() {
            return Ok(None);
        }
        tracing::warn!(accounts = ?closed, "the chain took back the opening of accounts: they are opened again");
        Ok(Some(Step::Write(vec![Write::NotOpen(closed)])))
    }

    /// If the contract has moved past this batch's number, the step that notes what became of it.
    pub(super) fn settled_before(&self, intent: &Intent) -> Result<Option<Step>, Trouble> {
        let (Purpose::Settle { sequence }, Some(provider)) = (&intent.purpose, self.provider) else { return Ok(None) };
        if provider::next_sequence(&*self.plan.chain, provider, self.me())? <= *sequence {
            return Ok(None);
        }
        let ours = keccak256(provider::pack(&proposed(self.ledger, *sequence)?.items)?);
        if let Some(found) = self.settlement(provider, *sequence)?
            && let Some(receipt) = self.plan.chain.receipt(found.transaction)?
        {
            // The same number with other items is another batch, settled by an older transaction of ours. The same
            // items moved the same money, whatever root was said with them.
            return Ok(Some(match found.items_hash == ours {
                true => Step::Write(self.concluded(intent, &receipt)?),
                false => refuse(intent, None, format!("another batch took number {sequence} before it")),
            }));
        }
        Ok(Some(waiting(intent, "its number is taken on the chain; looking for the transaction")))
    }

    /// Our batch with this number, if it is among the newest blocks that are deep enough.
    pub(super) fn settlement(&self, provider: Address, sequence: u64) -> Result<Option<Settled>, Trouble> {
        let mut to_block = self.safe_block();
        for _ in 0..SEARCH_RANGES {
            let from_block = to_block.saturating_sub(LOG_RANGE - 1);
            let topic0 = Some(provider::topic::settled());
            let filter = LogFilter { address: provider, topic0, from_block, to_block };
            let logs = self.plan.chain.logs(&filter)?;
            let mut settled = logs.iter().filter_map(provider::settled);
            if let Some(found) = settled.find(|s| s.settler == self.me() && s.sequence == sequence) {
                return Ok(Some(found));
            }
            if from_block == 0 {
                break;
            }
            to_block = from_block - 1;
        }
        Ok(None)
    }
}

/// A batch as it goes to the contract.
#[derive(Clone, Debug)]
pub(crate) struct Batched {
    pub sequence: u64,
    pub tariff_version: u32,
    /// The root over the bill lines behind it. The same whenever it is asked: a batch's lines are fixed, and so is what
    /// salts them.
    pub lines_root: B256,
    pub items: Vec<Item>,
    /// The lines, each with the number of its account.
    pub lines: Vec<(u32, domain::Line)>,
}

impl Batched {
    /// What witnesses sign for.
    pub fn digest(&self, provider: Address, settler: Address) -> Result<B256, Trouble> {
        let items = keccak256(provider::pack(&self.items)?);
        Ok(witness::batch_digest(provider, settler, self.sequence, self.tariff_version, self.lines_root, items))
    }
}

/// The newest batch of a number.
pub(crate) fn proposed(ledger: &Ledger, sequence: u64) -> Result<Batched, Trouble> {
    let secret = ledger.meta(LINE_SALT)?.and_then(|hex| SaltSecret::from_hex(&hex));
    let secret = secret.ok_or_else(|| Trouble::Other("what salts bill lines cannot be read".into()))?;
    let batch = ledger.batch(sequence)?;
    let batch = batch.ok_or_else(|| Trouble::Other(format!("batch {sequence} is not in the ledger")))?;
    let accounts: Vec<u32> = batch.items.iter().map(|i| i.number).collect();
    let lines = ledger.lines_of(batch.intent, &accounts)?;
    let item = |i: &ledger::BatchItem| Item {
        number: i.number,
        off_peak: i.registers.off_peak,
        peak: i.registers.peak,
        feed_in: i.registers.feed_in,
        charge: i.charge,
    };
    Ok(Batched {
        sequence,
        tariff_version: batch.tariff_version,
        lines_root: merkle::root(&lines::leaves(&secret, &lines)),
        items: batch.items.iter().map(item).collect(),
        lines,
    })
}
