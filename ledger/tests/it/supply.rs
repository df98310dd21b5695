//! What the rules of supply must find again after a power cut.

use crate::{open, price, reading, write};
use domain::{AccountId, Emergency, Fact, Money, Position, Reason, SwitchId, Timestamp, WattHours};
use ledger::{Ledger, LedgerError, Outcome, Write};

fn home() -> AccountId {
    "home-0".parse().unwrap()
}

fn switch() -> SwitchId {
    "home-0".parse().unwrap()
}

fn record(ledger: &Ledger, fact: Fact) -> Result<Outcome, LedgerError> {
    ledger.commit(Timestamp(1_000), &[Write::Fact(fact)]).unwrap().remove(0)
}

fn emergency(emergency: Emergency) -> Fact {
    Fact::EmergencyChanged { account: home(), emergency, by: "Ana".into() }
}

fn order(order: Option<Position>, safety: bool) -> Fact {
    let until = (!safety).then_some(Timestamp(5_000));
    Fact::SwitchOverridden { switch: switch(), order, until, safety, by: "Ana".into(), why: "works".into() }
}

#[test]
fn emergency_credit_is_taken_once_and_only_when_it_is_offered() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    assert!(record(&ledger, emergency(Emergency::Accepted)).is_err(), "it was never offered");
    record(&ledger, emergency(Emergency::Offered)).unwrap();
    record(&ledger, emergency(Emergency::Accepted)).unwrap();
    let twice = record(&ledger, emergency(Emergency::Accepted)).unwrap_err();
    assert!(twice.to_string().contains("no emergency credit is offered to home-0"), "{twice}");
    drop(ledger);
    assert_eq!(open(dir.path()).emergencies().unwrap()[&home()], Emergency::Accepted);
}

#[test]
fn what_is_kept_open_for_safety_is_given_back_before_anything_else_is_ordered() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    record(&ledger, order(Some(Position::Closed), false)).unwrap();
    record(&ledger, order(Some(Position::Open), true)).unwrap();
    let refused = record(&ledger, order(Some(Position::Closed), false)).unwrap_err().to_string();
    assert!(refused.contains("kept open for safety by Ana") && refused.contains("auto"), "{refused}");
    drop(ledger);
    let ledger = open(dir.path());
    let row = ledger.overrides().unwrap().remove(&switch()).unwrap();
    assert_eq!((row.position, row.safety, row.until, row.made_at), (Position::Open, true, None, Timestamp(1_000)));
    assert_eq!((row.by.as_str(), row.why.as_str()), ("Ana", "works"));
    record(&ledger, order(None, false)).unwrap();
    assert!(ledger.overrides().unwrap().is_empty());
}

#[test]
fn a_customers_act_holds_until_the_switch_is_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    let moved = |position| Fact::SwitchOrdered { switch: switch(), position, reason: Reason::CreditExhausted };
    record(&ledger, moved(Position::Open)).unwrap();
    record(&ledger, Fact::ReconnectGranted { switch: switch(), by: "Ana".into() }).unwrap();
    record(&ledger, moved(Position::Closed)).unwrap();
    drop(ledger);
    let ledger = open(dir.path());
    assert!(ledger.reconnects().unwrap().contains(&switch()));
    record(&ledger, moved(Position::Open)).unwrap();
    assert!(ledger.reconnects().unwrap().is_empty());
}

#[test]
fn what_was_used_since_a_moment_is_what_the_bill_says_of_its_intervals() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    assert_eq!(ledger.used_since(&home(), Timestamp(0)).unwrap(), ledger::Used::default());
    // Half an hour at a time, from midnight: an interval lasts a quarter of an hour.
    let half = 1_800_000;
    let readings = (0..=4).map(|n| reading(0, n * half, n * 100)).collect();
    write(&ledger, Write::Readings(readings));
    let priced = price(&ledger);
    write(&ledger, priced);
    let all = ledger.used_since(&home(), Timestamp(0)).unwrap();
    assert_eq!((all.import, all.from), (WattHours(400), Some(Timestamp(0))));
    assert_eq!(all.spent, Money(400 * 200_000));
    let late = ledger.used_since(&home(), Timestamp(2 * half)).unwrap();
    assert_eq!((late.import, late.from), (WattHours(200), Some(Timestamp(2 * half))));
}
