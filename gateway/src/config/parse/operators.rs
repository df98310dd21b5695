//! Who signs vouchers, and what an account's tokens are made of.

use super::Table;
use super::fields::{money, parsed};
use crate::config::Operator;
use contracts::Address;
use domain::token::{StartingCode, TokenPlan};
use domain::{Currency, Money};
use std::path::Path;

/// Longer names make no sense in a book.
pub(crate) const LONGEST_NAME: usize = 64;

pub(super) fn operators(root: &Table<'_, '_>, unit: &Currency) -> Vec<Operator> {
    let mut operators: Vec<Operator> = Vec::new();
    for table in root.sections("operator") {
        let name = table.required_text("name");
        if let Some(name) = &name {
            if name.trim() != name || name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) {
                table.problem("name", format!("must be at most {LONGEST_NAME} letters, without blanks around them"));
            }
            if operators.iter().any(|o| o.name == *name) {
                table.problem("name", format!("is {name}, and so is another operator"));
            }
        }
        let address = parsed::<Address>(&table, "address", true);
        if let Some(other) = operators.iter().find(|o| Some(o.address) == address) {
            table.problem("address", format!("is that of {} too: one key is one person's", other.name));
        }
        let voucher_limit = match (table.get("voucher_limit"), money(&table, "voucher_limit", unit)) {
            (None, _) => {
                table.problem("voucher_limit", "is missing: how much may one voucher be worth at most?");
                None
            }
            (Some(_), limit) => limit,
        };
        table.close();
        if let (Some(name), Some(address), Some(voucher_limit)) = (name, address, voucher_limit) {
            operators.push(Operator { name, address, voucher_limit });
        }
    }
    operators
}

pub(super) fn tokens(table: &Table<'_, '_>, base: &Path, currency: &Currency) -> Option<TokenPlan> {
    if table.get("token_key_file").is_none() {
        for key in ["token_unit", "token_start"] {
            if table.get(key).is_some() {
                table.problem(key, "needs token_key_file: which key are the account's tokens made with?");
            }
        }
        return None;
    }
    let file = table.text("token_key_file");
    let start: Option<u32> = table.number("token_start", 0..1_000_000_000);
    let unit = money(table, "token_unit", currency);
    if table.get("token_unit").is_none() {
        table.problem("token_unit", "is missing: what is a token's value of one worth?");
    } else if unit == Some(Money::ZERO) {
        table.problem("token_unit", "must be more than nothing");
    }
    match crate::secrets::read_token_key(&base.join(file?)) {
        Ok(key) => {
            let start = start.and_then(StartingCode::new).unwrap_or_else(|| StartingCode::of(&key));
            Some(TokenPlan { start, key, unit: unit.filter(|u| *u > Money::ZERO)? })
        }
        Err(problem) => {
            table.problem("token_key_file", problem);
            None
        }
    }
}
