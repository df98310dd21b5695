//! Vouchers and tokens: what a typed code is, before anything moves. A slip of the pen is told as one; a code that is
//! nobody's counts as a guess, and closes the account's door for a while.

use super::{NotDone, Prepared, Request, Then};
use crate::config::Config;
use contracts::voucher::open;
use domain::token::Verdict;
use domain::voucher::{Code, Place};
use domain::{AccountId, Source, Timestamp};
use ledger::{Ledger, LedgerError, NumberKind, TokenUse, Write};

/// Where vouchers are good: this site, its chain, and its contract if it is known.
pub fn place<'a>(config: &'a Config, ledger: Option<&Ledger>) -> Result<Place<'a>, LedgerError> {
    let known = match ledger {
        Some(ledger) => ledger.meta("provider")?.and_then(|p| p.parse().ok()),
        None => None,
    };
    let contract = config.chain.provider.or(known).map(|address| address.into_array());
    Ok(Place { site: &config.site, chain_id: config.chain.chain_id, contract })
}

fn guess(account: &AccountId, by: &str) -> Prepared {
    let write = Write::WrongCode { account: account.clone(), by: by.to_owned() };
    Prepared { write, then: Then::Wrong(account.clone()) }
}

/// What a person is told who entered a wrong code.
pub(super) fn wrong(request: &Request, failed: u32, until: Timestamp) -> String {
    let what = match request {
        Request::Voucher { .. } => {
            "this voucher is signed by no operator of the configuration, or was made for another site, contract or account"
        }
        _ => "these digits are no token of this account: typed wrong, or too far ahead",
    };
    format!("{what}. It is wrong code {failed} in a row; no other is taken before {until}")
}

pub(super) fn voucher(
    config: &Config,
    ledger: &Ledger,
    now: Timestamp,
    account: &AccountId,
    typed: &str,
    by: &str,
) -> Result<Result<Prepared, NotDone>, LedgerError> {
    if config.operators.is_empty() {
        let why = "no [[operator]] of the configuration may sign vouchers, so none is taken";
        return Ok(Err(NotDone::Refused(why.into())));
    }
    if let Some(until) = ledger.attempts(account)?.locked(now) {
        return Ok(Err(NotDone::Locked(until)));
    }
    let code: Code = match typed.parse() {
        Ok(code) => code,
        Err(error) => return Ok(Err(NotDone::Wrong(error.to_string()))),
    };
    let place = place(config, Some(ledger))?;
    if code.voucher.contract && place.contract.is_none() {
        let why = "this voucher was made for a contract, and none is known here yet: the running gateway deploys it";
        return Ok(Err(NotDone::Refused(why.into())));
    }
    let opened = open(&code, &place, account);
    let signed = opened.and_then(|o| Some((config.operators.iter().find(|who| who.address == o.signer)?, o.number)));
    let Some((operator, number)) = signed else { return Ok(Ok(guess(account, by))) };
    // One that was paid in before is told so, even if it has expired since.
    if ledger.used(NumberKind::Voucher, &number)?.is_none()
        && let Err(why) = code.voucher.check(now, operator.voucher_limit)
    {
        return Ok(Err(NotDone::Refused(why.to_string())));
    }
    let source = Source::Voucher { number: number.clone(), who: operator.name.clone() };
    let write = Write::TopUp { account: account.clone(), amount: code.voucher.amount, source };
    Ok(Ok(Prepared { write, then: Then::Booked(NumberKind::Voucher, number) }))
}

pub(super) fn token(
    config: &Config,
    ledger: &Ledger,
    now: Timestamp,
    account: &AccountId,
    typed: &str,
    by: &str,
) -> Result<Result<Prepared, NotDone>, LedgerError> {
    let plan = config.accounts.iter().find(|a| a.id == *account).and_then(|a| a.tokens.as_ref());
    let Some(plan) = plan else {
        let why = format!("account {account} takes no tokens: the configuration has no token_key_file for it");
        return Ok(Err(NotDone::Refused(why)));
    };
    if let Some(until) = ledger.attempts(account)?.locked(now) {
        return Ok(Err(NotDone::Locked(until)));
    }
    let token = match plan.read(typed, &ledger.tokens(account)?) {
        Err(error) => return Ok(Err(NotDone::Wrong(error.to_string()))),
        Ok(Verdict::Invalid) => return Ok(Ok(guess(account, by))),
        Ok(Verdict::Good(token) | Verdict::Over(token)) => token,
    };
    let number = format!("{account}/{}", token.count);
    let Some(worth) = plan.worth(token.value) else {
        return Ok(Err(NotDone::Refused(format!("token {number} is worth more than an amount can be"))));
    };
    let write = Write::Token(TokenUse { account: account.clone(), count: token.count, act: token.act, worth });
    Ok(Ok(Prepared { write, then: Then::Booked(NumberKind::Token, number) }))
}
