use super::*;
use domain::{Money, Position, Reason, Uptime, register::Doubt};
use ledger::{Deposit, LedgerError, Purpose};

#[test]
fn readings_come_back_in_the_order_in_which_they_were_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    let mut sent: Vec<_> = (0..10).map(|i| reading(i % 3, i as i64 * 1000, i as i64)).collect();
    sent[7].up = Some(Uptime { boot: u32::MAX, ms: 86_400_000 });
    write(&ledger, Write::Readings(sent[..4].to_vec()));
    write(&ledger, Write::Fact(Fact::Started { version: "x".into() }));
    write(&ledger, Write::Readings(sent[4..].to_vec()));
    let got = ledger.readings_after(Seq(2), 100).unwrap();
    assert_eq!(got.iter().map(|(s, _)| s.0).collect::<Vec<_>>(), [3, 4, 6, 7, 8, 9, 10, 11]);
    assert_eq!(got.into_iter().map(|(_, r)| r).collect::<Vec<_>>(), sent[2..].to_vec());
}

#[test]
fn one_refused_write_does_not_take_its_neighbours_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    let stranger = Reading::empty("nobody".parse().unwrap(), Timestamp(0));
    let outcomes = ledger
        .commit(
            Timestamp(0),
            &[
                Write::Readings(vec![reading(0, 0, 5)]),
                Write::Readings(vec![reading(1, 0, 5), stranger]),
                Write::Readings(vec![reading(2, 0, 5)]),
            ],
        )
        .unwrap();
    assert!(matches!(outcomes[1], Err(LedgerError::Refused(_))));
    let got = ledger.readings_after(Seq(0), 100).unwrap();
    assert_eq!(got.iter().map(|(s, r)| (s.0, r.meter.as_str())).collect::<Vec<_>>(), [(1, "home-0"), (2, "home-2")]);
    assert_eq!(ledger.verify(|_| LIMIT).unwrap().findings, []);
}

#[test]
fn readings_that_were_priced_are_not_priced_again() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    write(&ledger, Write::Readings(vec![reading(0, 0, 1000), reading(0, 60_000, 1010)]));
    let bill = price(&ledger);
    write(&ledger, bill.clone());
    let again = ledger.commit(Timestamp(0), &[bill]).unwrap().remove(0);
    assert!(matches!(again, Err(LedgerError::Refused(_))), "{again:?}");
    let account = &ledger.accounts().unwrap()[0];
    assert_eq!(account.balance, Money(-2_000_000));
    assert_eq!(account.registers.off_peak, WattHours(10));
    assert_eq!(ledger.newest_lines(&account.name, 10).unwrap()[0].line.import_from, WattHours(1000));
    assert_eq!(ledger.verify(|_| LIMIT).unwrap().findings, []);
}

#[test]
fn a_register_that_rolls_over_keeps_every_watt_hour_in_the_books() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    let guard = Guard { import_rollover: Some(WattHours(1_000_000)), ..LIMIT };
    for (minute, import) in [(0, 999_980), (1, 999_990), (2, 15), (3, 40)] {
        write(&ledger, Write::Readings(vec![reading(0, minute * 60_000, import)]));
        write(&ledger, price_by(&ledger, &guard));
    }
    let totals = ledger.totals().unwrap();
    assert_eq!((totals.metered, totals.billed), (WattHours(60), WattHours(60)));
    assert_eq!(ledger.meters().unwrap()[0].metered, WattHours(60));
    assert_eq!(ledger.verify(|_| guard).unwrap().findings, []);
}

#[test]
fn a_deposit_seen_twice_is_booked_once() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    let deposit =
        Deposit { account: "home-1".parse().unwrap(), amount: Money(500), transaction: "0xab".into(), ordinal: 0 };
    for block in [7, 9] {
        write(&ledger, Write::Deposits { upto_block: block, deposits: vec![deposit.clone()] });
    }
    assert_eq!(ledger.accounts().unwrap()[1].balance, Money(500));
    assert_eq!(ledger.deposits_block().unwrap(), 9);
}

#[test]
fn a_batch_holds_what_moved_and_only_one_is_open() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    for i in 0..3 {
        let account = format!("home-{i}").parse().unwrap();
        write(&ledger, Write::Fact(Fact::AccountOpened { account, number: i + 1 }));
    }
    write(&ledger, Write::Readings(vec![reading(0, 0, 0), reading(1, 0, 0), reading(0, 60_000, 10)]));
    write(&ledger, price(&ledger));
    let make = batch(5);
    let Outcome::Batch(Some(made)) = write(&ledger, make.clone()) else { panic!("no batch") };
    assert_eq!((made.sequence, made.items.len(), made.items[0].number, made.readings), (5, 1, 1, 3));
    assert_eq!(made.items[0].charge, Money::ZERO, "the contract prices it all");
    assert!(matches!(write(&ledger, make.clone()), Outcome::Batch(None)));
    let intent = ledger.open_intents().unwrap().remove(0);
    assert_eq!(intent.purpose, Purpose::Settle { sequence: 5 });
    let settled = Fact::Settled { batch: 5, accounts: 1, transaction: "0x1".into(), gas: 1 };
    write(
        &ledger,
        Write::Conclude { intent: intent.id, mined: Some(("0x1".into(), 3)), problem: None, facts: vec![settled] },
    );
    assert_eq!(ledger.accounts().unwrap()[0].settled.off_peak, WattHours(10));
    assert!(matches!(write(&ledger, make), Outcome::Batch(None)), "nothing moved since");
    assert_eq!(ledger.verify(|_| LIMIT).unwrap().findings, []);
}

#[test]
fn a_refused_batch_gives_its_number_to_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    write(&ledger, Write::Fact(Fact::AccountOpened { account: "home-0".parse().unwrap(), number: 1 }));
    write(&ledger, Write::Readings(vec![reading(0, 0, 0), reading(0, 60_000, 10)]));
    write(&ledger, price(&ledger));
    let make = batch(1);
    assert!(matches!(write(&ledger, make.clone()), Outcome::Batch(Some(_))));
    let refused = ledger.open_intents().unwrap().remove(0).id;
    let problem = Some("NotOpen(0)".to_owned());
    write(&ledger, Write::Conclude { intent: refused, mined: None, problem, facts: vec![] });
    assert_eq!(ledger.last_refusal().unwrap(), Some((Purpose::Settle { sequence: 1 }, "NotOpen(0)".into())));

    write(&ledger, Write::Readings(vec![reading(0, 120_000, 15)]));
    write(&ledger, price(&ledger));
    let Outcome::Batch(Some(made)) = write(&ledger, make) else { panic!("no second batch") };
    assert_eq!((made.sequence, made.items[0].registers.off_peak), (1, WattHours(15)));
    assert_eq!(ledger.batch(1).unwrap(), Some(made), "the newest of the number counts");
    let intent = ledger.open_intents().unwrap().remove(0).id;
    let settled = Fact::Settled { batch: 1, accounts: 1, transaction: "0x1".into(), gas: 1 };
    write(&ledger, Write::Conclude { intent, mined: Some(("0x1".into(), 3)), problem: None, facts: vec![settled] });
    assert_eq!(ledger.accounts().unwrap()[0].settled.off_peak, WattHours(15));
    assert_eq!(ledger.last_refusal().unwrap(), None);
    write(&ledger, Write::Readings(vec![reading(0, 180_000, 20)]));
    write(&ledger, price(&ledger));
    let again = batch(1);
    let other_contract = ledger.commit(Timestamp(0), &[again]).unwrap().remove(0);
    assert!(matches!(other_contract, Err(LedgerError::Refused(_))), "{other_contract:?}");
}

#[test]
fn releasing_a_meter_whose_export_register_came_or_went_keeps_the_books_balanced() {
    let with_export = |at, import, export: Option<i64>| {
        let mut r = reading(0, at, import);
        r.export = export.map(WattHours);
        r
    };
    for (first, fallen, later) in [(Some(500), None, Some(700)), (None, Some(1000), Some(1010))] {
        let dir = tempfile::tempdir().unwrap();
        let ledger = open(dir.path());
        write(&ledger, Write::Readings(vec![with_export(0, 1000, first), with_export(60_000, 4, fallen)]));
        write(&ledger, price(&ledger));
        let meter: MeterId = "home-0".parse().unwrap();
        write(&ledger, Write::Fact(Fact::MeterReleased { meter, upto: Seq(0), by: "ada".into() }));
        write(&ledger, Write::Readings(vec![with_export(120_000, 6, later)]));
        write(&ledger, price(&ledger));
        assert_eq!(ledger.verify(|_| LIMIT).unwrap().findings, [], "{first:?} {fallen:?} {later:?}");
    }
}

#[test]
fn a_held_meter_is_billed_on_from_where_a_person_released_it() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    write(&ledger, Write::Readings(vec![reading(0, 0, 1000), reading(0, 60_000, 4), reading(0, 120_000, 5)]));
    let Write::Priced(priced) = price(&ledger) else { panic!() };
    assert!(matches!(priced.facts[0], Fact::MeterHeld { doubt: Doubt::Backward { .. }, .. }));
    write(&ledger, Write::Priced(priced));
    let meter: MeterId = "home-0".parse().unwrap();
    write(&ledger, Write::Readings(vec![reading(0, 180_000, 7)]));
    write(&ledger, Write::Fact(Fact::MeterReleased { meter: meter.clone(), upto: Seq(0), by: "ada".into() }));
    write(&ledger, price(&ledger));
    let row = &ledger.meters().unwrap()[0];
    assert_eq!(
        (row.book.clone().unwrap().import, row.unbilled, row.metered),
        (WattHours(7), WattHours(-995), WattHours(-993))
    );
    assert_eq!(ledger.accounts().unwrap()[0].registers.off_peak, WattHours(2));
    assert_eq!(ledger.verify(|_| LIMIT).unwrap().findings, []);
}

#[test]
fn a_switch_remembers_its_last_order_and_its_contact() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    let switch: domain::SwitchId = "home-0".parse().unwrap();
    let reason = Reason::CreditExhausted;
    write(&ledger, Write::Fact(Fact::SwitchOrdered { switch: switch.clone(), position: Position::Open, reason }));
    let before = ledger.switches().unwrap().remove(0);
    assert_eq!((before.ordered, before.position), (Some(Position::Open), None));
    write(&ledger, Write::Fact(Fact::SwitchConfirmed { switch, position: Position::Open, reason }));
    assert_eq!(ledger.switches().unwrap()[0].position, Some(Position::Open));
}

#[test]
fn the_auditor_finds_energy_that_was_billed_twice() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    write(&ledger, Write::Readings(vec![reading(0, 0, 0), reading(0, 60_000, 10)]));
    write(&ledger, price(&ledger));
    let path = ledger.path().to_owned();
    drop(ledger);
    let db = rusqlite::Connection::open(&path).unwrap();
    let alone = db.execute("UPDATE accounts SET balance = balance - 200000 WHERE number = 1", []);
    assert!(alone.is_err(), "the books were made not to add up");
    db.execute(
        "UPDATE accounts SET off_peak = off_peak + 1, balance = balance - 200000, energy = energy + 200000 WHERE number = 1",
        [],
    )
    .unwrap();
    drop(db);
    let findings = Ledger::open(&path).unwrap().verify(|_| LIMIT).unwrap().findings;
    let checks: Vec<_> = findings.iter().map(|f| f.check).collect();
    assert!(checks.contains(&"energy billed once") && checks.contains(&"balance"), "{findings:?}");
}

#[test]
fn a_file_that_is_no_ledger_is_refused_with_advice() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ledger.db");
    std::fs::write(&path, [b'x'; 5000]).unwrap();
    let damaged = Ledger::open(&path).err().unwrap();
    assert!(matches!(damaged, LedgerError::Damaged { .. }), "{damaged}");
    assert!(damaged.to_string().contains("ledger.db is damaged"), "{damaged}");

    let other = dir.path().join("other.db");
    rusqlite::Connection::open(&other).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    assert!(matches!(Ledger::open(&other).err().unwrap(), LedgerError::Foreign { .. }));

    drop(open(dir.path().join("new").tap_dir()));
    let ours = dir.path().join("new/ledger.db");
    let mut bytes = std::fs::read(&ours).unwrap();
    for b in bytes.iter_mut().skip(4096).take(8000) {
        *b = 0xA5;
    }
    std::fs::write(&ours, bytes).unwrap();
    let damaged = Ledger::open(&ours).err().unwrap();
    assert!(matches!(damaged, LedgerError::Damaged { .. }), "{damaged}");
}

trait TapDir {
    fn tap_dir(&self) -> &std::path::Path;
}
impl TapDir for std::path::PathBuf {
    fn tap_dir(&self) -> &std::path::Path {
        std::fs::create_dir_all(self).unwrap();
        self
    }
}
