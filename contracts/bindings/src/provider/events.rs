//! What the contract says happened.

use super::Prices;
use crate::abi::{as_address, parts, small};
use crate::chain::Log;
use crate::{Address, B256, U256, keccak256};
use domain::{Money, Price, WattHours};

/// The hashes of the events' signatures: the logs' first topics.
pub mod topic {
    use super::{B256, keccak256};
    macro_rules! topics {
        ($($(#[$m:meta])* $name:ident $signature:expr),* $(,)?) => {$(
            $(#[$m])*
            #[must_use]
            pub fn $name() -> B256 { keccak256($signature) }
        )*};
    }
    topics! {
        /// An account was opened.
        opened super::OPENED,
        /// A deposit.
        deposited super::DEPOSITED,
        /// A settled batch.
        settled super::SETTLED,
        /// Credit became low.
        credit_low super::CREDIT[0].0,
        /// Credit ran out.
        credit_exhausted super::CREDIT[1].0,
        /// There is credit again.
        credit_restored super::CREDIT[2].0,
        /// New prices.
        tariff_set super::TARIFF_SET,
        /// Earnings paid out.
        withdrawn super::WITHDRAWN,
        /// An account has a holder.
        holder_set super::HOLDER_SET,
        /// An account was closed.
        account_closing super::ACCOUNT_CLOSING,
        /// An account goes on.
        reopened super::REOPENED,
        /// What was left was paid out.
        refunded super::REFUNDED,
        /// What was billed is contested.
        contested super::CONTESTED,
        /// A meter has shown that too much was billed.
        overturned super::OVERTURNED,
    }
}

const OPENED: &str = "Opened(uint32,bytes32)";
const DEPOSITED: &str = "Deposited(uint32,address,uint256)";
const SETTLED: &str = "Settled(address,uint64,uint32,uint256,uint256,uint256,uint256,uint256,int256,bytes32,bytes32)";
const TARIFF_SET: &str = "TariffSet(uint32,uint32,uint32,uint32)";
const WITHDRAWN: &str = "Withdrawn(address,uint256)";
pub(super) const HOLDER_SET: &str = "HolderSet(uint32,address)";
pub(super) const ACCOUNT_CLOSING: &str = "AccountClosing(uint32,uint64)";
pub(super) const REOPENED: &str = "Reopened(uint32)";
pub(super) const REFUNDED: &str = "Refunded(uint32,address,uint256)";
pub(super) const CONTESTED: &str = "Contested(uint32,uint64)";
pub(super) const OVERTURNED: &str = "Overturned(uint32,uint64,uint256)";
const CREDIT: [(&str, Credit); 3] = [
    ("CreditLow(uint32,int256)", Credit::Low),
    ("CreditExhausted(uint32,int256)", Credit::Exhausted),
    ("CreditRestored(uint32,int256)", Credit::Restored),
];

/// An account was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Its number.
    pub number: u32,
    /// Its name.
    pub name: B256,
}

/// Money was paid into an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deposited {
    /// The account.
    pub number: u32,
    /// Who paid.
    pub from: Address,
    /// How much.
    pub units: Money,
    /// The height of the block.
    pub block: u64,
    /// The transaction.
    pub transaction: B256,
    /// The log's place in its block: with the transaction, what tells two deposits apart.
    pub log_index: u32,
}

/// A batch was billed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    /// Who sent it.
    pub settler: Address,
    /// Its number among this settler's batches.
    pub sequence: u64,
    /// Items in it.
    pub count: u32,
    /// Energy taken off peak, over all items.
    pub off_peak: WattHours,
    /// Energy taken at peak.
    pub peak: WattHours,
    /// Energy fed in.
    pub feed_in: WattHours,
    /// Money taken from the accounts for energy.
    pub debited: U256,
    /// Money given to the accounts for feed-in.
    pub credited: U256,
    /// Sum of the charges: money taken from the accounts beyond that; negative, given to them.
    pub charged: Money,
    /// Keccak-256 of the packed items.
    pub items_hash: B256,
    /// Root of the [Merkle tree](crate::merkle) over the bill lines behind the batch; zero if there is none.
    pub lines_root: B256,
    /// The height of the block.
    pub block: u64,
    /// The transaction.
    pub transaction: B256,
}

/// Which threshold an account passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credit {
    /// Down to the warning threshold.
    Low,
    /// Down to zero or below.
    Exhausted,
    /// Up from zero or below.
    Restored,
}

/// An account passed a threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CreditChanged {
    /// The account.
    pub number: u32,
    /// Which threshold.
    pub credit: Credit,
    /// The balance then.
    pub balance: Money,
}

/// New prices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TariffSet {
    /// The tariff's version from here on.
    pub version: u32,
    /// Its prices.
    pub prices: Prices,
}

/// Earnings were paid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Withdrawn {
    /// To whom.
    pub to: Address,
    /// How much.
    pub units: Money,
}

/// Reads an `Opened` event; `None` if the log is another.
#[must_use]
pub fn opened(log: &Log) -> Option<Opened> {
    let (topics, _) = parts(log, OPENED, 2, 0)?;
    Some(Opened { number: small(topics[0])?, name: topics[1] })
}

/// Reads a `Deposited` event; `None` if the log is another, or states more than 9.2e18 minor units.
#[must_use]
pub fn deposited(log: &Log) -> Option<Deposited> {
    let (topics, data) = parts(log, DEPOSITED, 2, 1)?;
    Some(Deposited {
        number: small(topics[0])?,
        from: as_address(topics[1])?,
        units: data.amount(0)?,
        block: log.block,
        transaction: log.transaction,
        log_index: log.log_index,
    })
}

/// Reads a `Settled` event; `None` if the log is another, or its charges add up to more than ±9.2e18 minor units.
#[must_use]
pub fn settled(log: &Log) -> Option<Settled> {
    let (topics, data) = parts(log, SETTLED, 2, 9)?;
    let energy = |at| data.number(at).map(WattHours);
    Some(Settled {
        settler: as_address(topics[0])?,
        sequence: small(topics[1])?,
        count: data.number(0)?,
        off_peak: energy(1)?,
        peak: energy(2)?,
        feed_in: energy(3)?,
        debited: data.uint(4)?,
        credited: data.uint(5)?,
        charged: data.money(6)?,
        items_hash: data.word(7)?,
        lines_root: data.word(8)?,
        block: log.block,
        transaction: log.transaction,
    })
}

/// Reads a `CreditLow`, `CreditExhausted` or `CreditRestored` event; `None` if the log is another.
#[must_use]
pub fn credit_changed(log: &Log) -> Option<CreditChanged> {
    CREDIT.into_iter().find_map(|(name, credit)| {
        let (topics, data) = parts(log, name, 1, 1)?;
        Some(CreditChanged { number: small(topics[0])?, credit, balance: data.money(0)? })
    })
}

/// Reads a `TariffSet` event; `None` if the log is another.
#[must_use]
pub fn tariff_set(log: &Log) -> Option<TariffSet> {
    let (topics, data) = parts(log, TARIFF_SET, 1, 3)?;
    let price = |at| data.number(at).map(Price);
    let prices = Prices { off_peak: price(0)?, peak: price(1)?, feed_in: price(2)? };
    Some(TariffSet { version: small(topics[0])?, prices })
}

/// Reads a `Withdrawn` event; `None` if the log is another.
#[must_use]
pub fn withdrawn(log: &Log) -> Option<Withdrawn> {
    let (topics, data) = parts(log, WITHDRAWN, 1, 1)?;
    Some(Withdrawn { to: as_address(topics[0])?, units: data.amount(0)? })
}
