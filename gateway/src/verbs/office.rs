//! `account`, `voucher` and `token`: what an operator does at a desk, beside a gateway that runs or does not.

use super::{open_ledger, print};
use crate::cli::{Account, ConfigFile, Look, Money, Office, Token, Voucher};
use crate::config::Config;
use crate::failure::{Code, Failure};
use crate::operator::{Act, Done, Order, Request, place};
use crate::{clock, narrate};
use contracts::key::{LocalKey, Signer};
use contracts::voucher;
use domain::voucher::Voucher as Said;
use domain::{AccountId, Book, Timestamp};
use ledger::{AccountRow, Ledger, LedgerError};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

fn usage(what: impl std::fmt::Display) -> Failure {
    Failure::new(Code::Usage, what)
}

pub(super) fn pretty(value: &impl serde::Serialize) -> Result<(), Failure> {
    let json = serde_json::to_string_pretty(value).map_err(|e| Failure::new(Code::Internal, e))?;
    print(&format!("{json}\n"))
}

fn account_id(text: &str) -> Result<AccountId, Failure> {
    text.parse().map_err(|e: domain::BadId| usage(e))
}

/// Does it, and says what came of it.
fn act(office: &Office, request: impl FnOnce(&Config, String) -> Result<Request, Failure>) -> Result<(), Failure> {
    let by = office.by.name()?;
    let (config, ledger) = open_ledger(&office.config)?;
    let request = request(&config, by.clone())?;
    let done = done(&config, &ledger, clock::open(&config)?.now(), &request)?;
    if office.json { pretty(&done) } else { print(&format!("{}by {by}\n", done.text())) }
}

fn done(config: &Config, ledger: &Ledger, now: Timestamp, request: &Request) -> Result<Done, Failure> {
    let prepared = request.prepare(config, ledger, now)??;
    let refused = match ledger.commit(now, std::slice::from_ref(&prepared.write))?.pop() {
        Some(Err(LedgerError::Refused(why))) => Some(why),
        Some(Err(other)) => return Err(other.into()),
        Some(Ok(_)) | None => None,
    };
    Ok(request.judge(&prepared, config, ledger, refused)??)
}

/// `account`
pub fn account(verb: &Account) -> Result<(), Failure> {
    let order = |money: &Money, how: Act| {
        act(&money.office, |config, by| {
            let order = Order::new(&money.account, &money.amount, &money.reference, &by, how, &config.currency)?;
            Ok(Request::Order(order))
        })
    };
    match verb {
        Account::List(look) => list(look),
        Account::Show { account, look } => show(account, look),
        Account::Cash(money) => order(money, Act::Cash),
        Account::Refund { money, force } => order(money, Act::Refund { force: *force }),
        Account::Adjust { money, why } => order(money, Act::Adjust { why: why.clone() }),
        Account::Link { account, revoke, office } => super::access::link(account, *revoke, office),
        Account::Lend { money, why, as_credit } => order(money, Act::Lend { why: why.clone(), as_credit: *as_credit }),
    }
}

fn list(look: &Look) -> Result<(), Failure> {
    let (config, ledger) = open_ledger(&look.config)?;
    let accounts = ledger.accounts()?;
    if look.json {
        return pretty(&accounts.iter().map(|row| described(&config, row)).collect::<Vec<_>>());
    }
    for row in accounts {
        let owed = if row.debt == domain::Money::ZERO {
            String::new()
        } else {
            format!(", owes {}", config.currency.show(row.debt))
        };
        let (balance, credit) = (config.currency.show(row.balance), row.credit);
        print(&format!("{:<32} {:>18}  credit is {credit}{owed}\n", row.name.as_str(), balance))?;
    }
    Ok(())
}

/// An account for machines: amounts as decimal texts.
fn described(config: &Config, row: &AccountRow) -> Value {
    let plain = |money| config.currency.plain(money);
    let books: serde_json::Map<String, Value> = Book::ALL
        .iter()
        .filter_map(|book| {
            Some((serde_json::to_value(book).ok()?.as_str()?.to_owned(), plain(row.books.get(*book)).into()))
        })
        .collect();
    json!({
        "account": row.name, "number": row.number, "currency": config.currency.code, "balance": plain(row.balance),
        "debt": plain(row.debt), "credit": row.credit, "open_on_chain": row.opened, "books": books,
    })
}

/// How much of the journal `account show` looks back over.
const NEWEST: usize = 10;

fn show(account: &str, look: &Look) -> Result<(), Failure> {
    let (config, ledger) = open_ledger(&look.config)?;
    let accounts = ledger.accounts()?;
    let Some(row) = accounts.iter().find(|a| a.name.as_str() == account) else {
        let hint = drivers::document::did_you_mean(account, accounts.iter().map(|a| a.name.as_str()));
        return Err(usage(format!("{account:?} is no account of this ledger{hint}")));
    };
    let meters: Vec<_> = ledger.meters()?.into_iter().filter(|m| m.account.as_ref() == Some(&row.name)).collect();
    let mut facts = ledger.facts_of(&row.name, Timestamp(i64::MIN), Timestamp(i64::MAX))?;
    facts.drain(..facts.len().saturating_sub(NEWEST));
    if look.json {
        let mut value = described(&config, row);
        if let Some(object) = value.as_object_mut() {
            object.insert("meters".into(), json!(meters.iter().map(|m| &m.name).collect::<Vec<_>>()));
            let newest = facts.iter().map(|(at, fact)| json!({ "at": at.to_string(), "fact": fact }));
            object.insert("newest".into(), newest.collect());
        }
        return pretty(&value);
    }
    let show = |money| config.currency.show(money);
    let mut text = format!("account {} (number {} on the chain)\n", row.name, row.number);
    for book in Book::ALL {
        let stands = row.books.get(book);
        if stands != domain::Money::ZERO || book == Book::Balance {
            text += &format!("  {:<12} {:>18}\n", format!("{book:?}").to_lowercase(), show(stands));
        }
    }
    text += &format!("  credit is {}\n", row.credit);
    for meter in meters {
        text += &format!("  meter {}\n", super::meter::described(&meter));
    }
    for (at, fact) in facts {
        text += &format!("  {at} {}\n", narrate::sentence(&fact, &config.currency).1);
    }
    print(&text)
}

/// `voucher`
pub fn voucher(verb: &Voucher) -> Result<(), Failure> {
    match verb {
        Voucher::Redeem { code, account, office } => {
            act(office, |_, by| Ok(Request::Voucher { account: account_id(account)?, code: code.clone(), by }))
        }
        Voucher::Make { amount, account, expires, key, n, look } => {
            make_vouchers(amount, account.as_deref(), *expires, key, *n, look)
        }
    }
}

/// The ledger, if there is one: vouchers can be made where none is.
fn any_ledger(config: &Config) -> Result<Option<Ledger>, Failure> {
    let path = config.state.join("ledger.db");
    if path.exists() { Ok(Some(Ledger::open_present(&path)?)) } else { Ok(None) }
}

fn make_vouchers(
    amount: &str,
    account: Option<&str>,
    expires: Option<Duration>,
    key: &Path,
    n: u16,
    look: &Look,
) -> Result<(), Failure> {
    let config = Config::load(&look.config.path)?;
    let amount = config.currency.parse(amount).map_err(usage)?;
    if amount <= domain::Money::ZERO {
        return Err(usage("a voucher is worth more than nothing"));
    }
    let key = LocalKey::load(key).map_err(|e| Failure::new(Code::Config, e))?;
    let Some(operator) = config.operators.iter().find(|o| o.address == key.address()) else {
        let what = format!("the key of {} is no [[operator]]'s: its vouchers would not be taken", key.address());
        return Err(Failure::new(Code::Config, what));
    };
    if amount > operator.voucher_limit {
        let limit = config.currency.show(operator.voucher_limit);
        return Err(usage(format!("{} may sign for {limit} at most: that is the voucher_limit", operator.name)));
    }
    let bound = account.map(account_id).transpose()?;
    if let Some(id) = &bound
        && !config.accounts.iter().any(|a| a.id == *id)
    {
        let hint = drivers::document::did_you_mean(id.as_str(), config.accounts.iter().map(|a| a.id.as_str()));
        return Err(usage(format!("\"{id}\" is no account of the configuration{hint}")));
    }
    let ledger = any_ledger(&config)?;
    let place = place(&config, ledger.as_ref())?;
    let until = match expires {
        Some(span) => Some(Said::end_of_day(clock::open(&config)?.now() + span)),
        None => None,
    };
    // Of a voucher that is bound to nobody, the account is not signed.
    let whose = bound.clone().map_or_else(|| account_id("nobody"), Ok)?;
    let mut made = Vec::new();
    for _ in 0..n {
        let said = Said {
            amount,
            nonce: voucher::nonce().map_err(|e| Failure::new(Code::Unavailable, e))?,
            expires: until,
            bound: bound.is_some(),
            contract: place.contract.is_some(),
        };
        let code = voucher::sign(said, &place, &whose, &key).map_err(|e| Failure::new(Code::Internal, e))?;
        made.push(code.to_string());
    }
    if look.json {
        let one = |code: &String| {
            json!({
                "code": code, "amount": config.currency.plain(amount), "currency": config.currency.code,
                "account": bound, "expires": until.map(|t| t.to_string()), "by": operator.name,
            })
        };
        return pretty(&made.iter().map(one).collect::<Vec<_>>());
    }
    print(&made.iter().map(|code| format!("{code}\n")).collect::<String>())
}

/// `token`
pub fn token(verb: &Token) -> Result<(), Failure> {
    match verb {
        Token::Enter { account, digits, office } => {
            act(office, |_, by| Ok(Request::Token { account: account_id(account)?, digits: digits.clone(), by }))
        }
        Token::Make { account, value, does, extended, after, look } => {
            let act = (*does).into();
            let (config, ledger) = open_ledger(&look.config)?;
            let id = account_id(account)?;
            let plan = config.accounts.iter().find(|a| a.id == id).and_then(|a| a.tokens.as_ref());
            let Some(plan) = plan else {
                return Err(Failure::new(Code::Config, no_tokens(&id, &look.config)));
            };
            // A value that cannot be must not use up a count.
            let token = |count| domain::token::Token { count, act, value: *value };
            plan.digits(&token(0), *extended).map_err(usage)?;
            let count = ledger.take_count(&id, act, *after)?;
            let digits = plan.digits(&token(count), *extended).map_err(usage)?;
            if look.json {
                return pretty(&json!({ "account": id, "count": count, "digits": digits }));
            }
            let groups: Vec<String> =
                digits.as_bytes().chunks(3).map(|g| String::from_utf8_lossy(g).into_owned()).collect();
            print(&format!("{}\n", groups.join(" ")))
        }
    }
}

fn no_tokens(account: &AccountId, file: &ConfigFile) -> String {
    format!("{}: account {account} has no token_key_file, so no token can be made for it", file.path.display())
}
