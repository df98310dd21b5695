//! What `[chain]` says of the contract's terms, and `[[account]]` of its holder.

use super::Table;
use super::fields::DAY;
use super::ledger::age;
use super::tariff::price;
use crate::config::Account;
use actors::Agreed;
use contracts::Address;
use domain::{Currency, Price};
use std::time::Duration;

/// The contract keeps nobody waiting for longer.
const LONGEST: Duration = Duration::from_secs(90 * 86_400);
/// A contest runs for the window, and a reading that counts is taken a quarter of an hour after its beginning.
const LEAST_WINDOW: Duration = Duration::from_secs(3_600);

pub(super) fn agreed(table: &Table<'_, '_>, unit: &Currency, settle_every: Option<Duration>) -> Agreed {
    let registry = contract(table, "operator");
    let window = length(table, "challenge_window", LEAST_WINDOW);
    // The last energy is to be billed before the money is gone: what is on its way when the account is closed, and once
    // more after that.
    let exit_delay = length(table, "exit_delay", settle_every.unwrap_or(DAY).saturating_mul(2));
    let max_network_fee = price(table, "max_network_fee", unit, "a Wh");
    if table.get("operator").is_none() {
        if table.get("challenge_window").is_some() {
            table.problem("challenge_window", "needs operator: without a register of meters no reading can be checked");
        }
        if table.get("max_network_fee").is_some() {
            table.problem("max_network_fee", "needs operator, who asks for the fee");
        }
    }
    Agreed { registry, window, exit_delay, max_network_fee: max_network_fee.map(Price) }
}

/// The address of a contract or a person; zero is nobody's.
fn contract(table: &Table<'_, '_>, key: &'static str) -> Option<Address> {
    let text = table.text(key)?;
    match text.parse::<Address>() {
        Ok(Address::ZERO) => {
            table.problem(key, "is the zero address, which is nobody's; leave it out if there is none");
            None
        }
        Ok(address) => Some(address),
        Err(error) => {
            table.problem(key, format!("is {text:?}: {error}"));
            None
        }
    }
}

/// The holder of an account.
pub(super) fn holder(table: &Table<'_, '_>) -> Option<Address> {
    contract(table, "holder")
}

/// Complains of holders who could leave before their last energy is billed.
pub(super) fn holders(table: &Table<'_, '_>, accounts: &[Account]) {
    let asks = |key| table.get(key).is_none();
    if let Some(account) = accounts.iter().find(|a| a.holder.is_some())
        && asks("exit_delay")
        && asks("provider")
    {
        table.problem(
            "exit_delay",
            format!(
                "is missing: {} has a holder, who could be paid out before the last energy is billed; such as \"7d\"",
                account.id
            ),
        );
    }
}

/// A time in whole seconds, from `least` to what the contract allows.
fn length(table: &Table<'_, '_>, key: &'static str, least: Duration) -> Option<u32> {
    let text = table.text(key)?;
    let found = age(&text).flatten().filter(|d| (least..=LONGEST).contains(d) && d.subsec_nanos() == 0);
    let seconds = found.and_then(|d| u32::try_from(d.as_secs()).ok());
    if seconds.is_none() {
        let least = least.as_secs();
        table.problem(key, format!("is {text:?}, must be a duration such as \"7d\", from {least}s to 90d"));
    }
    seconds
}
