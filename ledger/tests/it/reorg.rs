//! Blocks that the chain takes back.

use super::*;
use domain::{AccountId, Money, Source};
use ledger::{Anchor, Attempt, LedgerError, Purpose};

fn paid(ledger: &Ledger, home: usize, number: i64, amount: i64) {
    let account: AccountId = format!("home-{home}").parse().unwrap();
    let source = Source::Cash { reference: number.to_string(), who: "kiosk".into() };
    write(ledger, Write::TopUp { account, amount: Money(amount), source });
}

/// Makes a batch and concludes it in a block.
fn settled(ledger: &Ledger, sequence: u64) -> i64 {
    let Outcome::Batch(Some(made)) = write(ledger, batch(sequence)) else { panic!("no batch {sequence}") };
    conclude(ledger, made.intent, sequence);
    made.intent
}

fn conclude(ledger: &Ledger, intent: i64, sequence: u64) {
    let hash = format!("0x{sequence}");
    let raw = vec![7; 10];
    let signed_at = Timestamp(5);
    write(ledger, Write::Attempt(Attempt { intent, hash: hash.clone(), nonce: sequence, raw, signed_at }));
    let facts = vec![Fact::Settled { batch: sequence, accounts: 1, transaction: hash.clone(), gas: 1 }];
    let anchor = Anchor { intent, block: sequence + 10, hash: format!("0xb{sequence}") };
    let conclude = Write::Conclude { intent, mined: Some((hash, sequence + 10)), problem: None, facts };
    for outcome in ledger.commit(Timestamp(0), &[Write::Anchor(anchor), conclude]).unwrap() {
        outcome.unwrap();
    }
}

fn with_two_accounts(dir: &std::path::Path) -> Ledger {
    let ledger = open(dir);
    for number in 1..=2 {
        let account = format!("home-{}", number - 1).parse().unwrap();
        write(&ledger, Write::Fact(Fact::AccountOpened { account, number }));
    }
    ledger
}

#[test]
fn a_batch_that_was_taken_back_is_open_again_with_its_bytes_and_counts_once_when_it_is_settled_again() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = with_two_accounts(dir.path());
    paid(&ledger, 0, 1, 100);
    settled(&ledger, 1);
    let before = ledger.accounts().unwrap();
    paid(&ledger, 0, 2, 30);
    let second = settled(&ledger, 2);
    paid(&ledger, 1, 3, 50);
    let third = settled(&ledger, 3);
    assert_eq!(ledger.anchors().unwrap()[0], Anchor { intent: third, block: 13, hash: "0xb3".into() });
    assert_eq!((ledger.newest_settled().unwrap(), ledger.final_nonce().unwrap()), (3, Some(3)));
    let done = ledger.accounts().unwrap();

    write(&ledger, Write::Reopen { from: second });
    let open = ledger.open_intents().unwrap();
    assert_eq!(
        open.iter().map(|i| &i.purpose).collect::<Vec<_>>(),
        [&Purpose::Settle { sequence: 2 }, &Purpose::Settle { sequence: 3 }]
    );
    assert!(open.iter().all(|i| i.attempts[0].raw == [7; 10] && i.attempts[0].signed_at == Timestamp(5)));
    assert_eq!((ledger.newest_settled().unwrap(), ledger.final_nonce().unwrap()), (1, Some(1)));
    let taken_back = ledger.accounts().unwrap();
    assert!(taken_back[0].unsettled() && taken_back[1].unsettled());
    assert_eq!(taken_back[0].settled, before[0].settled);
    assert!(matches!(write(&ledger, batch(2)), Outcome::Batch(None)), "those that are open go first");

    conclude(&ledger, second, 2);
    conclude(&ledger, third, 3);
    assert_eq!(ledger.accounts().unwrap(), done);
    assert!(matches!(write(&ledger, batch(4)), Outcome::Batch(None)), "nothing is left to settle");
    assert_eq!(ledger.verify(|_| LIMIT).unwrap().findings, []);
}

#[test]
fn a_batch_that_was_taken_back_and_then_refused_is_owed_again() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = with_two_accounts(dir.path());
    paid(&ledger, 0, 1, 100);
    let first = settled(&ledger, 1);
    write(&ledger, Write::Reopen { from: first });
    write(&ledger, Write::Conclude { intent: first, mined: None, problem: Some("no".into()), facts: Vec::new() });
    let Outcome::Batch(Some(again)) = write(&ledger, batch(1)) else { panic!("nothing is owed") };
    assert_eq!((again.items.len(), again.items[0].charge), (1, Money(-100)));
    assert_eq!(ledger.verify(|_| LIMIT).unwrap().findings, []);
}

#[test]
fn only_the_newest_batches_keep_their_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = with_two_accounts(dir.path());
    let mut intents = Vec::new();
    for n in 1..=70 {
        paid(&ledger, 0, n, 1);
        intents.push(settled(&ledger, u64::try_from(n).unwrap()));
    }
    assert_eq!(ledger.anchors().unwrap().len(), 64);
    let refused = ledger.commit(Timestamp(0), &[Write::Reopen { from: i64::MAX }]).unwrap().remove(0);
    assert!(matches!(refused, Err(LedgerError::Refused(_))));
    write(&ledger, Write::Reopen { from: intents[0] });
    let open = ledger.open_intents().unwrap();
    assert_eq!((open.len(), open[0].purpose.clone()), (64, Purpose::Settle { sequence: 7 }));
    assert!(open.iter().all(|i| !i.attempts[0].raw.is_empty()));
}

#[test]
fn a_deposit_that_was_taken_back_leaves_the_account_and_counts_again_if_it_comes_again() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = with_two_accounts(dir.path());
    let deposits = |upto_block| Write::Deposits {
        upto_block,
        deposits: vec![ledger::Deposit {
            account: "home-0".parse().unwrap(),
            amount: Money(500),
            transaction: "0xd1".into(),
            ordinal: 0,
        }],
    };
    write(&ledger, deposits(7));
    let paid = ledger.accounts().unwrap();
    assert_eq!((paid[0].balance, ledger.newest_deposits(9).unwrap()), (Money(500), vec![("0xd1".to_owned(), 0)]));
    let gone = Write::DepositGone { transaction: "0xd1".into(), ordinal: 0 };
    write(&ledger, gone.clone());
    write(&ledger, Write::DepositsAgain { upto_block: 3 });
    assert_eq!((ledger.accounts().unwrap()[0].balance, ledger.deposits_block().unwrap()), (Money(0), 3));
    assert!(!ledger.accounts().unwrap()[0].unsettled(), "the chain knows nothing of it, and is told nothing");
    assert!(matches!(ledger.commit(Timestamp(0), &[gone]).unwrap().remove(0), Err(LedgerError::Refused(_))));
    write(&ledger, deposits(9));
    assert_eq!(ledger.accounts().unwrap()[0].balance, Money(500));
    assert_eq!(ledger.verify(|_| LIMIT).unwrap().findings, []);
}
