//! What happens on the chain without this gateway, and a chain that takes it back.

use super::*;
use domain::{AccountId, Book, Money, OnChain, TariffRegisters};
use ledger::{Adopted, Deposit, Happened, Holder};
use proptest::prelude::*;

fn home(n: usize) -> AccountId {
    format!("home-{n}").parse().unwrap()
}

fn happened(n: u32, block: u64, event: OnChain) -> Happened {
    Happened { account: home(0), event, transaction: format!("0xe{n}"), ordinal: 0, block, log: n }
}

fn paid_out(amount: i64) -> OnChain {
    OnChain::PaidOut { to: "0xAda".into(), amount: Money(amount) }
}

fn overturned(excess: i64, amount: i64) -> OnChain {
    OnChain::Overturned { excess: WattHours(excess), from_peak: WattHours(0), amount: Money(amount) }
}

fn deposit(ledger: &Ledger, upto_block: u64, amount: i64) {
    let transaction = format!("0xd{upto_block}");
    let deposits = vec![Deposit { account: home(0), amount: Money(amount), transaction, ordinal: 0 }];
    write(ledger, Write::Deposits { upto_block, deposits });
}

fn opened(dir: &std::path::Path) -> Ledger {
    let ledger = open(dir);
    write(&ledger, Write::Fact(Fact::AccountOpened { account: home(0), number: 1 }));
    ledger
}

/// Some energy, billed and settled in a first batch.
fn settled(ledger: &Ledger) {
    write(ledger, Write::Readings(vec![reading(0, 0, 0), reading(0, 600_000, 1_000)]));
    write(ledger, price(ledger));
    conclude(ledger, 1);
}

fn conclude(ledger: &Ledger, sequence: u64) {
    let Outcome::Batch(Some(made)) = write(ledger, batch(sequence)) else { panic!("no batch {sequence}") };
    done(ledger, made.intent, sequence);
}

fn done(ledger: &Ledger, intent: i64, sequence: u64) {
    let facts = vec![Fact::Settled { batch: sequence, accounts: 1, transaction: "0x1".into(), gas: 1 }];
    write(ledger, Write::Conclude { intent, mined: Some(("0x1".into(), 9)), problem: None, facts });
}

fn sound(ledger: &Ledger) {
    assert_eq!(ledger.verify(|_| LIMIT).unwrap().findings, []);
}

#[test]
fn what_the_contract_pays_out_leaves_the_account_and_is_settled_by_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = opened(dir.path());
    deposit(&ledger, 5, 1_000);
    let event = happened(1, 7, paid_out(1_000));
    write(&ledger, Write::Happened(event.clone()));
    write(&ledger, Write::Happened(event));
    let account = ledger.accounts().unwrap().remove(0);
    assert_eq!((account.balance, account.books.get(Book::PaidOut)), (Money(0), Money(1_000)));
    assert!(!account.unsettled(), "the chain knows");
    assert!(matches!(write(&ledger, batch(1)), Outcome::Batch(None)));
    assert_eq!(ledger.totals().unwrap().refunded, Money(1_000));
    sound(&ledger);

    write(&ledger, Write::HappenedNot { transaction: "0xe1".into(), ordinal: 0 });
    let again = ledger.accounts().unwrap().remove(0);
    assert_eq!((again.balance, again.unsettled()), (Money(1_000), false));
    sound(&ledger);
}

#[test]
fn a_payment_that_comes_into_another_block_with_another_amount_counts_with_that_amount() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = opened(dir.path());
    deposit(&ledger, 5, 1_000);
    write(&ledger, Write::Happened(happened(1, 7, paid_out(1_000))));
    write(&ledger, Write::Happened(happened(1, 8, paid_out(400))));
    assert_eq!(ledger.accounts().unwrap()[0].balance, Money(600));
    assert_eq!(ledger.happened_after(7).unwrap(), [happened(1, 8, paid_out(400))]);
    assert_eq!(ledger.happened_after(8).unwrap(), []);
    sound(&ledger);
}

#[test]
fn an_overturned_debit_is_given_back_and_not_billed_again() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = opened(dir.path());
    settled(&ledger);
    let before = ledger.accounts().unwrap().remove(0);
    write(&ledger, Write::Happened(happened(1, 12, overturned(300, 120))));
    let after = ledger.accounts().unwrap().remove(0);
    assert_eq!(after.balance.0 - before.balance.0, 120);
    assert_eq!(after.registers, before.registers, "what was billed stays on the bills");
    assert_eq!(after.on_chain().off_peak, WattHours(700));
    assert_eq!((after.settled, after.doubted, after.unsettled()), (after.on_chain(), true, false));
    assert!(matches!(write(&ledger, batch(2)), Outcome::Batch(None)), "nothing before the chain was asked");
    sound(&ledger);

    let there = Adopted { number: 1, settled: after.settled, net: after.settled_net };
    write(&ledger, Write::Adopt(vec![there]));
    assert!(matches!(write(&ledger, batch(2)), Outcome::Batch(None)), "the contract has said so itself");
    write(&ledger, Write::Readings(vec![reading(0, 900_000, 1_050)]));
    write(&ledger, price(&ledger));
    let Outcome::Batch(Some(next)) = write(&ledger, batch(2)) else { panic!("no batch") };
    assert_eq!((next.items[0].registers.off_peak, next.items[0].charge), (WattHours(750), Money(0)));
    sound(&ledger);
}

#[test]
fn a_batch_that_bills_again_what_was_overturned_on_its_way_is_made_good_when_the_meter_has_said_as_much() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = opened(dir.path());
    settled(&ledger);
    write(&ledger, Write::Readings(vec![reading(0, 900_000, 1_100)]));
    write(&ledger, price(&ledger));
    let Outcome::Batch(Some(sent)) = write(&ledger, batch(2)) else { panic!("no batch") };
    write(&ledger, Write::Happened(happened(1, 12, overturned(300, 120))));
    done(&ledger, sent.intent, 2);
    // The contract was overturned first: the batch moved its registers from 700 to 1,100, 300 Wh twice.
    let row = ledger.accounts().unwrap().remove(0);
    let twice = PRICES.off_peak.of(WattHours(300)).unwrap();
    let settled = TariffRegisters { off_peak: WattHours(1_100), ..TariffRegisters::default() };
    write(&ledger, Write::Adopt(vec![Adopted { number: 1, settled, net: Money(row.settled_net.0 - twice.0) }]));
    let row = ledger.accounts().unwrap().remove(0);
    assert!(row.unsettled() && row.chain_is_ahead());
    assert!(matches!(write(&ledger, batch(3)), Outcome::Batch(None)), "registers never step back");
    write(&ledger, Write::Readings(vec![reading(0, 1_200_000, 1_400)]));
    write(&ledger, price(&ledger));
    assert!(matches!(write(&ledger, batch(3)), Outcome::Batch(None)), "what was billed twice is now what was used");
    write(&ledger, Write::Readings(vec![reading(0, 1_500_000, 1_450)]));
    write(&ledger, price(&ledger));
    let Outcome::Batch(Some(next)) = write(&ledger, batch(3)) else { panic!("no batch") };
    assert_eq!((next.items[0].registers.off_peak, next.items[0].charge), (WattHours(1_150), Money(0)));
    sound(&ledger);
}

#[test]
fn whose_an_account_is_and_whether_they_leave_follows_the_order_of_the_chain() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = opened(dir.path());
    let named = |who: &str| OnChain::HolderNamed { holder: who.into() };
    let due = Timestamp(86_400_000);
    let events = [(1, 7, named("0xAda")), (2, 8, OnChain::Closing { due }), (3, 9, OnChain::Reopened)];
    for (n, block, event) in events.clone() {
        write(&ledger, Write::Happened(happened(n, block, event)));
    }
    assert_eq!(ledger.holders().unwrap()[&home(0)], Holder { who: Some("0xAda".into()), leaving: None });
    write(&ledger, Write::HappenedNot { transaction: "0xe3".into(), ordinal: 0 });
    assert_eq!(ledger.holders().unwrap()[&home(0)].leaving, Some(due));
    // The chain put them into other blocks, in another order.
    write(&ledger, Write::Happened(happened(3, 20, OnChain::Reopened)));
    write(&ledger, Write::Happened(happened(2, 21, OnChain::Closing { due })));
    assert_eq!(ledger.holders().unwrap()[&home(0)], Holder { who: Some("0xAda".into()), leaving: Some(due) });
    assert!(!ledger.holders().unwrap().contains_key(&home(1)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    /// However events come, come again as others, and go: what is recorded at the end is all that counts.
    #[test]
    fn events_that_come_and_go_leave_the_books_of_those_that_stayed(
        acts in prop::collection::vec((0_u32..6, 0_u8..3, 0_i64..500, 0_i64..1_000), 1..40),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let ledger = opened(dir.path());
        settled(&ledger);
        let begun = ledger.accounts().unwrap().remove(0);
        let mut there = BTreeMap::new();
        for (step, (n, what, energy, amount)) in acts.into_iter().enumerate() {
            let event = match what {
                0 => paid_out(amount),
                1 => overturned(energy, amount),
                _ => {
                    let gone = Write::HappenedNot { transaction: format!("0xe{n}"), ordinal: 0 };
                    let known = there.remove(&n).is_some();
                    prop_assert_eq!(ledger.commit(Timestamp(0), &[gone]).unwrap()[0].is_ok(), known);
                    continue;
                }
            };
            write(&ledger, Write::Happened(happened(n, step as u64, event.clone())));
            there.insert(n, event);
        }
        let row = ledger.accounts().unwrap().remove(0);
        let moved: i64 = there.values().map(|event| match event {
            OnChain::PaidOut { amount, .. } => -amount.0,
            OnChain::Overturned { amount, .. } => amount.0,
            _ => 0,
        }).sum();
        let back: i64 = there.values().map(|event| event.set_back().total().0).sum();
        prop_assert_eq!(row.balance.0 - begun.balance.0, moved);
        prop_assert_eq!(row.set_back.total().0, back);
        prop_assert_eq!((row.books.off_chain(), row.unsettled()), (begun.books.off_chain(), false));
        prop_assert_eq!(ledger.verify(|_| LIMIT).unwrap().findings, []);
    }
}
