//! What the contract answers.

use super::{Prices, Terms};
use crate::abi::{Reader, ask, function};
use crate::chain::{Chain, ChainError};
use crate::{Address, B256, U256};
use domain::{Money, Price, WattHours};

/// One account as the contract has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccountOnChain {
    /// What is left; negative is debt.
    pub balance: Money,
    /// Billed so far: energy taken off peak.
    pub off_peak: WattHours,
    /// Billed so far: energy taken at peak.
    pub peak: WattHours,
    /// Billed so far: energy fed in.
    pub feed_in: WattHours,
    /// [`Self::OPEN`], [`Self::LOW`], [`Self::EXHAUSTED`], [`Self::CLOSED`]; zero if there is no such account.
    pub flags: u8,
}

impl AccountOnChain {
    /// The account exists.
    pub const OPEN: u8 = 1;
    /// The balance was at or below the threshold when it last moved.
    pub const LOW: u8 = 2;
    /// The balance is zero or negative.
    pub const EXHAUSTED: u8 = 4;
    /// The customer leaves or has left: nothing more is paid in.
    pub const CLOSED: u8 = 8;

    /// Whether the account exists.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.flags & Self::OPEN != 0
    }

    fn read(words: &Reader<'_>, at: usize) -> Option<Self> {
        Some(Self {
            balance: words.money(at)?,
            off_peak: words.energy(at + 1)?,
            peak: words.energy(at + 2)?,
            feed_in: words.energy(at + 3)?,
            flags: words.number(at + 4)?,
        })
    }
}

/// The tariff in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TariffOnChain {
    /// The prices.
    pub prices: Prices,
    /// Which setting of the tariff this is, from 1.
    pub version: u32,
}

/// All sums of the book, in minor units: `paid_in` = sum of balances + `earned` + `withdrawn` + `refunded`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// All that was ever paid in.
    pub paid_in: Money,
    /// All earnings that were ever taken out.
    pub withdrawn: Money,
    /// Debits less feed-in credits less withdrawals.
    pub earned: Money,
    /// The sum of all positive balances.
    pub owed: Money,
    /// All that was ever paid back to customers.
    pub refunded: Money,
    /// What may be claimed and was not yet: a part of `earned`.
    pub allotted: Money,
    /// What was earned and can still be challenged.
    pub waiting: Money,
}

/// One account at the head of the chain. An account that was never opened is all zero.
///
/// # Errors
/// Those of the chain; [`ChainError::Nonsense`] also for a balance beyond ±9.2e18 minor units.
pub fn account(chain: &dyn Chain, provider: Address, number: u32) -> Result<AccountOnChain, ChainError> {
    ask(chain, provider, function("account(uint32)", 1).uint(U256::from(number)), |w| AccountOnChain::read(w, 0))
}

/// Many accounts at the head of the chain, in the order asked for.
///
/// # Errors
/// As [`account`].
pub fn accounts(chain: &dyn Chain, provider: Address, numbers: &[u32]) -> Result<Vec<AccountOnChain>, ChainError> {
    let data = function("accounts(uint32[])", 1).words(numbers.iter().map(|n| B256::from(U256::from(*n))));
    ask(chain, provider, data, |w| {
        let said = w.number::<usize>(1)?;
        (said == numbers.len()).then_some(())?;
        (0..said).map(|i| AccountOnChain::read(w, 2 + 5 * i)).collect()
    })
}

/// The sequence number that this settler has to use next.
///
/// # Errors
/// Those of the chain.
pub fn next_sequence(chain: &dyn Chain, provider: Address, settler: Address) -> Result<u64, ChainError> {
    ask(chain, provider, function("nextSequence(address)", 1).address(settler), |w| w.number(0))
}

/// Whether an address may settle.
///
/// # Errors
/// Those of the chain.
pub fn is_settler(chain: &dyn Chain, provider: Address, who: Address) -> Result<bool, ChainError> {
    ask(chain, provider, function("isSettler(address)", 1).address(who), |w| w.bool(0))
}

/// The tariff in force.
///
/// # Errors
/// Those of the chain.
pub fn tariff(chain: &dyn Chain, provider: Address) -> Result<TariffOnChain, ChainError> {
    ask(chain, provider, function("tariff()", 0), |w| {
        let price = |at| w.number(at).map(Price);
        let prices = Prices { off_peak: price(0)?, peak: price(1)?, feed_in: price(2)? };
        Some(TariffOnChain { prices, version: w.number(3)? })
    })
}

/// The sums of the book.
///
/// # Errors
/// Those of the chain; [`ChainError::Nonsense`] also beyond ±9.2e18 minor units.
pub fn totals(chain: &dyn Chain, provider: Address) -> Result<Totals, ChainError> {
    ask(chain, provider, function("totals()", 0), |w| {
        Some(Totals {
            paid_in: w.amount(0)?,
            withdrawn: w.amount(1)?,
            earned: w.money(2)?,
            owed: w.amount(3)?,
            refunded: w.amount(4)?,
            allotted: w.amount(5)?,
            waiting: w.amount(6)?,
        })
    })
}

/// What was agreed when the contract was deployed.
///
/// # Errors
/// Those of the chain.
pub fn terms(chain: &dyn Chain, provider: Address) -> Result<Terms, ChainError> {
    ask(chain, provider, function("terms()", 0), |w| {
        Some(Terms {
            token: w.address(0)?,
            registry: w.address(1)?,
            window: w.number(2)?,
            exit_delay: w.number(3)?,
            offer_time: w.number(4)?,
            supply_time: w.number(5)?,
            settlement_time: w.number(6)?,
            max_network_fee: w.number(7).map(Price)?,
        })
    })
}

/// What the owner can withdraw now, or the pool share.
///
/// # Errors
/// Those of the chain.
pub fn available(chain: &dyn Chain, provider: Address) -> Result<Money, ChainError> {
    ask(chain, provider, function("available()", 0), |w| w.amount(0))
}

/// The balance at or below which credit is low.
///
/// # Errors
/// Those of the chain.
pub fn low_at(chain: &dyn Chain, provider: Address) -> Result<Money, ChainError> {
    ask(chain, provider, function("lowAt()", 0), |w| w.amount(0))
}

/// What one minor unit is worth, in wei.
///
/// # Errors
/// Those of the chain.
pub fn wei_per_unit(chain: &dyn Chain, provider: Address) -> Result<U256, ChainError> {
    ask(chain, provider, function("weiPerUnit()", 0), |w| w.uint(0))
}

/// The contract's owner.
///
/// # Errors
/// Those of the chain.
pub fn owner(chain: &dyn Chain, provider: Address) -> Result<Address, ChainError> {
    ask(chain, provider, function("owner()", 0), |w| w.address(0))
}

/// The name of an account; zero if it is not open.
///
/// # Errors
/// Those of the chain.
pub fn name_of(chain: &dyn Chain, provider: Address, number: u32) -> Result<B256, ChainError> {
    ask(chain, provider, function("nameOf(uint32)", 1).uint(U256::from(number)), |w| w.word(0))
}

/// The number of the account with this name; `None` if there is none.
///
/// # Errors
/// Those of the chain.
pub fn number_of(chain: &dyn Chain, provider: Address, name: B256) -> Result<Option<u32>, ChainError> {
    let number: u32 = ask(chain, provider, function("numberOf(bytes32)", 1).word(name), |w| w.number(0))?;
    Ok((number != 0).then_some(number))
}

/// The witnesses that an account book asks; `None` for one that asks none.
///
/// # Errors
/// Those of the chain.
pub fn witness_of(chain: &dyn Chain, provider: Address) -> Result<Option<Address>, ChainError> {
    match ask(chain, provider, function("witness()", 0), |w| w.address(0)) {
        Ok(witness) => Ok(Some(witness)),
        // A plain book has no such function.
        Err(ChainError::Reverted { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
