//! Tokens and vouchers count once, across restarts, and guesses are counted.

use super::*;
use domain::token::Act;
use domain::{AccountId, Money, Source};
use ledger::{LedgerError, NumberKind, TokenUse};

fn home() -> AccountId {
    "home-0".parse().unwrap()
}

fn token(count: u32, act: Act, worth: i64) -> Write {
    Write::Token(TokenUse { account: home(), count, act, worth: Money(worth) })
}

fn refused(ledger: &Ledger, write: Write) -> String {
    match ledger.commit(Timestamp(0), &[write]).unwrap().remove(0) {
        Err(LedgerError::Refused(why)) => why,
        other => panic!("{other:?}"),
    }
}

fn balance(ledger: &Ledger) -> Money {
    ledger.accounts().unwrap()[0].balance
}

#[test]
fn every_token_counts_once_and_after_a_restart_too() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    write(&ledger, token(4, Act::Add, 100));
    write(&ledger, token(2, Act::Add, 10));
    write(&ledger, token(5, Act::Set, 1_000));
    assert_eq!(balance(&ledger), Money(1_000));
    drop(ledger);
    let ledger = open(dir.path());
    for again in [token(4, Act::Add, 100), token(2, Act::Add, 10), token(5, Act::Set, 7), token(1, Act::Add, 7)] {
        assert!(refused(&ledger, again).contains("used before"));
    }
    // The count is set back: what was used stays used.
    write(&ledger, token(3, Act::Sync, 0));
    assert_eq!(ledger.tokens(&home()).unwrap().count(), 3);
    assert!(refused(&ledger, token(4, Act::Add, 100)).contains("used before"));
    write(&ledger, token(6, Act::Add, 0));
    assert_eq!(balance(&ledger), Money(1_000));
    let (_, _, fact) = ledger.used(NumberKind::Token, "home-0/4").unwrap().unwrap();
    assert!(matches!(fact, Fact::ToppedUp { amount: Money(100), .. }), "{fact:?}");
    assert_eq!(ledger.verify(|_| LIMIT).unwrap().findings, []);
}

#[test]
fn a_token_ends_prepayment_until_one_sets_the_balance() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    let unlocked = || ledger.accounts().unwrap()[0].unlocked;
    write(&ledger, token(1, Act::Disable, 0));
    assert!(unlocked());
    write(&ledger, token(2, Act::Add, 5));
    assert!(unlocked());
    write(&ledger, token(3, Act::Set, 5));
    assert!(!unlocked());
}

#[test]
fn a_wrong_code_closes_the_door_and_a_right_one_opens_it_for_good() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    let wrong = |at| {
        let write = Write::WrongCode { account: home(), by: "ada".into() };
        ledger.commit(Timestamp(at), &[write]).unwrap().remove(0).unwrap();
        ledger.attempts(&home()).unwrap()
    };
    assert_eq!(wrong(0).locked(Timestamp(9_999)), Some(Timestamp(10_000)));
    assert_eq!(wrong(5_000).failed(), 1, "while it is closed nothing is looked at, and nothing counted");
    assert_eq!(wrong(10_000).until(), Timestamp(30_000));
    drop(ledger);
    let ledger = open(dir.path());
    assert_eq!(ledger.attempts(&home()).unwrap().failed(), 2);
    let source = Source::Voucher { number: "v1".into(), who: "ada".into() };
    write(&ledger, Write::TopUp { account: home(), amount: Money(5), source });
    assert_eq!(ledger.attempts(&home()).unwrap().failed(), 0);
}

#[test]
fn no_token_is_made_twice_and_none_that_was_used() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    let take = |ledger: &Ledger, act| ledger.take_count(&home(), act, None).unwrap();
    assert_eq!((take(&ledger, Act::Add), take(&ledger, Act::Add), take(&ledger, Act::Set)), (2, 4, 5));
    drop(ledger);
    let ledger = open(dir.path());
    write(&ledger, token(20, Act::Add, 1));
    assert_eq!(take(&ledger, Act::Add), 22);
    assert_eq!(ledger.take_count(&home(), Act::Add, Some(100)).unwrap(), 102);
}

#[test]
fn money_is_paid_back_once_and_never_more_than_is_left_unless_somebody_insists() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    let source = Source::Cash { reference: "1".into(), who: "ada".into() };
    write(&ledger, Write::TopUp { account: home(), amount: Money(100), source });
    let refund = |amount, reference: &str, force| Write::Refund {
        account: home(),
        amount: Money(amount),
        reference: reference.into(),
        who: "ada".into(),
        force,
    };
    assert!(refused(&ledger, refund(101, "r", false)).contains("more than home-0 has left"));
    assert!(refused(&ledger, refund(0, "r", true)).contains("no amount"));
    write(&ledger, refund(60, "r", false));
    assert!(refused(&ledger, refund(60, "r", false)).contains("used before"));
    write(&ledger, refund(60, "s", true));
    assert_eq!(balance(&ledger), Money(-20));
}
