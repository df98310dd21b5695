//! `Provider.sol` from the outside: calldata in, answers and events out. Byte for byte what ethers makes of the same
//! ABI; the vectors in `contracts/vectors` hold both to it.

mod customers;
mod events;
mod pool;
mod steps;
mod views;

pub use crate::reasons::{StandardPanic, reason};
pub use customers::{
    Contest, Overturned, Refunded, account_closing, close, contest, contest_of, contested, happened, holder_of,
    holder_set, overturn, overturned, refund, refunded, reopen, reopened, set_holder, set_holders,
};
pub use events::{
    Credit, CreditChanged, Deposited, Opened, Settled, TariffSet, Withdrawn, credit_changed, deposited, opened,
    settled, tariff_set, topic, withdrawn,
};
pub use pool::{
    Claimed, Member, Phase, PhaseNow, claim, claimable, claimed, member_of, members, offer_supply, phase_now,
    set_member, share_out,
};
pub use steps::{Recorded, Steps, next_record, record, recorded};
pub use views::{
    AccountOnChain, TariffOnChain, Totals, account, accounts, available, is_settler, low_at, name_of, next_sequence,
    number_of, owner, tariff, terms, totals, wei_per_unit, witness_of,
};

use crate::abi::{Writer, function, to};
use crate::chain::ChainError;
use crate::tx::Call;
use crate::{Address, B256, U256};
use domain::{Money, Price, WattHours};
use std::sync::LazyLock;
use thiserror::Error;

/// The committed artefact: ABI, bytecode, compiler and settings, as `contracts/build.mjs` wrote it.
pub const ARTIFACT: &str = include_str!("../../../artifacts/Provider.json");

/// The same of the account book that asks witnesses.
pub const WITNESSED_ARTIFACT: &str = include_str!("../../../artifacts/WitnessedProvider.json");

static WITNESSED_INIT_CODE: LazyLock<Vec<u8>> = LazyLock::new(|| crate::abi::init_code(WITNESSED_ARTIFACT));

/// The ABI as a JSON array.
pub static ABI_JSON: LazyLock<String> = LazyLock::new(|| {
    let artifact: serde_json::Value = serde_json::from_str(ARTIFACT).unwrap_or_default();
    artifact["abi"].to_string()
});

/// The code that deploys the contract, without the constructor's arguments.
pub static INIT_CODE: LazyLock<Vec<u8>> = LazyLock::new(|| crate::abi::init_code(ARTIFACT));

pub use domain::RegisterPrices as Prices;

/// A value that the contract's types cannot hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadValue {
    /// A register below zero or above 2^40 − 1 Wh.
    #[error("account {number}: {value} is no register value (0 to 2^40 - 1 Wh)")]
    Register {
        /// The account.
        number: u32,
        /// The register.
        value: WattHours,
    },
    /// An amount that must be positive, or at least zero, and is not.
    #[error("{0} is no amount for this: it must not be negative, and a payment not zero")]
    Amount(Money),
    /// Amount times wei per unit passes 2^256.
    #[error("{0} is more than the chain's coin can state")]
    TooLarge(Money),
    /// A batch of nothing.
    #[error("a settlement needs at least one item")]
    NoItems,
}

/// What is agreed when a contract is deployed, and never changes after. The default is all zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// The ERC-20 token in which money is kept; zero for the native coin.
    pub token: Address,
    /// The grid operator's [registry](crate::operator); zero if there is none: then no challenges and no network fee.
    pub registry: Address,
    /// Seconds for which earnings can be challenged before they can be taken; zero for none.
    pub window: u32,
    /// Seconds from a customer's wish to leave to the refund; 90 days at most.
    pub exit_delay: u32,
    /// Seconds of a round in which prices may change and supply is offered. All three zero: no rounds.
    pub offer_time: u32,
    /// Seconds of a round in which energy is supplied.
    pub supply_time: u32,
    /// Seconds of a round in which the rest is billed and earnings are shared.
    pub settlement_time: u32,
    /// The most that the grid's fee can be, per Wh.
    pub max_network_fee: Price,
}

/// One account in a settlement: its registers, cumulative since the account was opened, and the charge, which is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// The account's number.
    pub number: u32,
    /// Energy taken off peak.
    pub off_peak: WattHours,
    /// Energy taken at peak.
    pub peak: WattHours,
    /// Energy fed in.
    pub feed_in: WattHours,
    /// What the customer owes beyond price × energy; negative is money to the customer. It counts once, with the batch.
    pub charge: Money,
}

impl Item {
    /// Length of a packed item in bytes.
    pub const LEN: usize = 27;

    /// Packs the item: number in 4 bytes, the three registers in 5 each, the charge in 8 as two's complement; big-endian.
    ///
    /// # Errors
    /// [`BadValue::Register`].
    pub fn pack(&self) -> Result<[u8; Self::LEN], BadValue> {
        let mut out = [0; Self::LEN];
        out[..4].copy_from_slice(&self.number.to_be_bytes());
        for (place, value) in out[4..19].chunks_exact_mut(5).zip([self.off_peak, self.peak, self.feed_in]) {
            let bad = BadValue::Register { number: self.number, value };
            place.copy_from_slice(&value.as_register().ok_or(bad)?.0.to_be_bytes()[3..]);
        }
        out[19..].copy_from_slice(&self.charge.0.to_be_bytes());
        Ok(out)
    }

    /// Reads one packed item.
    #[must_use]
    pub fn unpack(bytes: &[u8; Self::LEN]) -> Self {
        let register = |at: usize| {
            let value = bytes[at..at + 5].iter().fold(0_i64, |sum, b| (sum << 8) | i64::from(*b));
            WattHours(value)
        };
        let number = u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        let mut charge = [0; 8];
        charge.copy_from_slice(&bytes[19..]);
        let charge = Money(i64::from_be_bytes(charge));
        Self { number, off_peak: register(4), peak: register(9), feed_in: register(14), charge }
    }
}

/// Packs a batch.
///
/// # Errors
/// [`BadValue::Register`], [`BadValue::NoItems`].
pub fn pack(items: &[Item]) -> Result<Vec<u8>, BadValue> {
    if items.is_empty() {
        return Err(BadValue::NoItems);
    }
    let mut out = Vec::with_capacity(items.len() * Item::LEN);
    for item in items {
        out.extend_from_slice(&item.pack()?);
    }
    Ok(out)
}

/// The name of an account as the contract keeps it: UTF-8, zeros behind. `None` beyond 32 bytes or empty.
#[must_use]
pub fn name_word(name: &str) -> Option<B256> {
    let mut word = B256::ZERO;
    word.get_mut(..name.len())?.copy_from_slice(name.as_bytes());
    (!name.is_empty() && !name.starts_with('\0')).then_some(word)
}

/// Wei in an amount of money.
///
/// # Errors
/// [`BadValue::Amount`] for zero and less, [`BadValue::TooLarge`].
pub fn wei(amount: Money, wei_per_unit: U256) -> Result<U256, BadValue> {
    let units = positive(amount)?;
    units.checked_mul(wei_per_unit).ok_or(BadValue::TooLarge(amount))
}

fn positive(amount: Money) -> Result<U256, BadValue> {
    u64::try_from(amount.0).ok().filter(|u| *u > 0).map(U256::from).ok_or(BadValue::Amount(amount))
}

fn threshold(amount: Money) -> Result<u64, BadValue> {
    u64::try_from(amount.0).map_err(|_| BadValue::Amount(amount))
}

/// Deploys the contract under the plainest terms: native coin, no registry, no window for challenges, no rounds. The
/// sender becomes owner and first settler; the tariff starts at version 1.
///
/// # Errors
/// [`BadValue::Amount`] if `low_at` is negative.
pub fn deploy_call(wei_per_unit: U256, prices: Prices, low_at: Money) -> Result<Call, BadValue> {
    deploy_under(wei_per_unit, prices, low_at, &Terms::default())
}

/// Deploys the contract under these terms.
///
/// # Errors
/// [`BadValue::Amount`] if `low_at` is negative.
pub fn deploy_under(wei_per_unit: U256, prices: Prices, low_at: Money, terms: &Terms) -> Result<Call, BadValue> {
    let data = constructor(Writer::new(&INIT_CODE, 13), wei_per_unit, prices, low_at, terms)?;
    Ok(Call { to: None, value: U256::ZERO, data: data.done() })
}

/// Deploys an account book that takes no batch without its [witnesses](crate::witness).
///
/// # Errors
/// [`BadValue::Amount`] if `low_at` is negative.
pub fn deploy_witnessed(
    wei_per_unit: U256,
    prices: Prices,
    low_at: Money,
    terms: &Terms,
    witness: Address,
) -> Result<Call, BadValue> {
    let data = constructor(Writer::new(&WITNESSED_INIT_CODE, 14), wei_per_unit, prices, low_at, terms)?;
    Ok(Call { to: None, value: U256::ZERO, data: data.address(witness).done() })
}

fn constructor(
    data: Writer,
    wei_per_unit: U256,
    prices: Prices,
    low_at: Money,
    terms: &Terms,
) -> Result<Writer, BadValue> {
    let data = price_words(data.uint(wei_per_unit), prices).uint(U256::from(threshold(low_at)?));
    let data = data.address(terms.token).address(terms.registry);
    let seconds = [terms.window, terms.exit_delay, terms.offer_time, terms.supply_time, terms.settlement_time];
    let data = seconds.into_iter().fold(data, |d, s| d.uint(U256::from(s)));
    Ok(data.uint(U256::from(terms.max_network_fee.0)))
}

fn price_words(data: Writer, prices: Prices) -> Writer {
    [prices.off_peak, prices.peak, prices.feed_in].into_iter().fold(data, |d, p| d.uint(U256::from(p.0)))
}

/// Opens an account. The number must not be zero; number and name must be fresh.
#[must_use]
pub fn open(provider: Address, number: u32, name: B256) -> Call {
    to(provider, function("open(uint32,bytes32)", 2).uint(U256::from(number)).word(name))
}

/// Opens many accounts, or none.
#[must_use]
pub fn open_many(provider: Address, accounts: &[(u32, B256)]) -> Call {
    let data = function("openMany(uint32[],bytes32[])", 2)
        .words(accounts.iter().map(|(number, _)| B256::from(U256::from(*number))))
        .words(accounts.iter().map(|(_, name)| *name));
    to(provider, data)
}

/// Pays money into an account.
///
/// # Errors
/// [`BadValue::Amount`] for zero and less, [`BadValue::TooLarge`].
pub fn deposit(provider: Address, number: u32, amount: Money, wei_per_unit: U256) -> Result<Call, BadValue> {
    let call = to(provider, function("deposit(uint32)", 1).uint(U256::from(number)));
    Ok(Call { value: wei(amount, wei_per_unit)?, ..call })
}

/// Bills a batch under the tariff of this version. `sequence` is the settler's next; `lines_root` the root of the
/// [Merkle tree](crate::merkle) over the bill lines behind it, zero for none.
///
/// # Errors
/// [`BadValue::Register`], [`BadValue::NoItems`].
pub fn settle(
    provider: Address,
    sequence: u64,
    version: u32,
    lines_root: B256,
    items: &[Item],
) -> Result<Call, BadValue> {
    let data = function("settle(uint64,uint32,bytes32,bytes)", 4)
        .uint(U256::from(sequence))
        .uint(U256::from(version))
        .word(lines_root)
        .bytes(&pack(items)?);
    Ok(to(provider, data))
}

/// Pays tokens into an account of a contract that is kept in them. The payer has to have allowed the transfer before.
///
/// # Errors
/// [`BadValue::Amount`] for zero and less.
pub fn deposit_token(provider: Address, number: u32, amount: Money) -> Result<Call, BadValue> {
    let data = function("depositToken(uint32,uint256)", 2).uint(U256::from(number)).uint(positive(amount)?);
    Ok(to(provider, data))
}

/// Stops deposits, or lets them in again.
#[must_use]
pub fn pause_deposits(provider: Address, paused: bool) -> Call {
    to(provider, function("pauseDeposits(bool)", 1).uint(U256::from(u8::from(paused))))
}

/// Sets the prices from now on and bumps the tariff's version.
#[must_use]
pub fn set_tariff(provider: Address, prices: Prices) -> Call {
    to(provider, price_words(function("setTariff(uint32,uint32,uint32)", 3), prices))
}

/// Sets the balance at or below which credit is low.
///
/// # Errors
/// [`BadValue::Amount`] if it is negative.
pub fn set_low_at(provider: Address, low_at: Money) -> Result<Call, BadValue> {
    Ok(to(provider, function("setLowAt(uint64)", 1).uint(U256::from(threshold(low_at)?))))
}

/// Lets an address settle, or no longer.
#[must_use]
pub fn set_settler(provider: Address, who: Address, allowed: bool) -> Call {
    to(provider, function("setSettler(address,bool)", 2).address(who).uint(U256::from(u8::from(allowed))))
}

/// Pays earnings out.
///
/// # Errors
/// [`BadValue::Amount`] for zero and less.
pub fn withdraw(provider: Address, payee: Address, amount: Money) -> Result<Call, BadValue> {
    Ok(to(provider, function("withdraw(address,uint256)", 2).address(payee).uint(positive(amount)?)))
}

/// Offers the ownership to an address, of this or any other of the contracts here.
#[must_use]
pub fn transfer_ownership(provider: Address, new_owner: Address) -> Call {
    to(provider, function("transferOwnership(address)", 1).address(new_owner))
}

/// Takes an ownership that was offered.
#[must_use]
pub fn accept_ownership(provider: Address) -> Call {
    to(provider, function("acceptOwnership()", 0))
}

#[cfg(test)]
mod tests;
