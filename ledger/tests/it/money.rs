//! Money: what is paid in, lent, refunded, and what of it the chain is told.

use super::*;
use domain::{Block, Book, ClassId, Kind, Money, PowerPrice, Source};
use ledger::LedgerError;
use proptest::prelude::*;

fn home(i: usize) -> domain::AccountId {
    format!("home-{i}").parse().unwrap()
}

fn cash(i: usize, amount: i64, reference: &str) -> Write {
    let source = Source::Cash { reference: reference.into(), who: "ada".into() };
    Write::TopUp { account: home(i), amount: Money(amount), source }
}

fn lent(i: usize, amount: i64, as_credit: bool) -> Write {
    let (why, who) = ("a lamp".to_owned(), "ada".to_owned());
    Write::Fact(Fact::Lent { account: home(i), amount: Money(amount), as_credit, why, reference: format!("{i}"), who })
}

#[test]
fn a_debt_is_paid_back_by_a_share_of_every_top_up_and_never_more_than_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    write(&ledger, lent(0, 50, false));
    write(&ledger, cash(0, 100, "1"));
    let row = &ledger.accounts().unwrap()[0];
    assert_eq!((row.balance, row.debt, row.topped_up), (Money(70), Money(20), Money(100)));
    write(&ledger, cash(0, 1_000, "2"));
    let row = &ledger.accounts().unwrap()[0];
    assert_eq!((row.balance, row.debt), (Money(1_050), Money(0)));
    assert_eq!(ledger.verify(|_| LIMIT).unwrap().findings, []);
}

#[test]
fn a_number_that_counted_once_does_not_count_again() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    write(&ledger, cash(0, 100, "r-1"));
    for again in [cash(0, 100, "r-1"), cash(1, 5, "r-1"), cash(0, 0, "r-2"), cash(0, -5, "r-3")] {
        let refused = ledger.commit(Timestamp(0), &[again]).unwrap().remove(0);
        assert!(matches!(refused, Err(LedgerError::Refused(_))), "{refused:?}");
    }
    assert_eq!(ledger.totals().unwrap().topped_up, Money(100));
}

#[test]
fn what_overflows_is_refused_whole() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    write(&ledger, cash(0, i64::MAX - 5, "1"));
    let refused = ledger.commit(Timestamp(0), &[cash(0, 100, "2")]).unwrap().remove(0);
    assert!(matches!(refused, Err(LedgerError::Refused(_))), "{refused:?}");
    write(&ledger, cash(0, 5, "2"));
    assert_eq!(ledger.accounts().unwrap()[0].balance, Money(i64::MAX));
}

#[test]
fn at_a_start_the_last_word_about_prices_counts() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    let at = |off_peak| {
        let mut other = tariff();
        other.rates.off_peak = Price(off_peak);
        other
    };
    let start = |configured: u32| ledger.adopt_configured(Timestamp(0), &at(configured), "the configuration").unwrap();
    let announce = |off_peak| ledger.adopt_tariff(Timestamp(0), &at(off_peak), None, "ada").unwrap();
    let price = |tariff: domain::Tariff| (tariff.version, tariff.rates.off_peak.0);

    assert_eq!(price(start(300_000)), (2, 300_000), "a ledger from before this was kept");
    assert_eq!(price(announce(310_000)), (3, 310_000));
    assert_eq!(price(start(300_000)), (3, 310_000), "the configuration says nothing new");
    assert_eq!(price(start(320_000)), (4, 320_000), "the configuration was changed");
    assert_eq!(price(start(320_000)), (4, 320_000));

    // Announced from the configuration's own text, then something else on the page: the page spoke last.
    announce(330_000);
    assert_eq!(price(announce(340_000)), (6, 340_000));
    assert_eq!(price(start(330_000)), (6, 340_000));

    let preview = ledger.preview_tariff(Timestamp(0), &at(350_000), None).unwrap();
    assert_eq!((preview.version, ledger.schedule().unwrap().unwrap().newest().version), (7, 6));
    assert_eq!(ledger.verify(|_| LIMIT).unwrap().findings, []);
}

#[test]
fn a_new_price_holds_from_the_next_border_and_never_before() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    write(&ledger, Write::Readings(vec![reading(0, 0, 1000), reading(0, 960_000, 1010)]));
    write(&ledger, price(&ledger));
    let mut dearer = tariff();
    dearer.rates.off_peak = Price(300_000);
    let now = Timestamp(970_000);
    let early = ledger.adopt_tariff(now, &dearer, Some(Timestamp(900_000)), "ada");
    assert!(matches!(early, Err(LedgerError::Refused(ref why)) if why.contains("backwards")), "{early:?}");
    let beside = ledger.adopt_tariff(now, &dearer, Some(Timestamp(1_900_000)), "ada");
    assert!(matches!(beside, Err(LedgerError::Refused(ref why)) if why.contains("no border")), "{beside:?}");
    let adopted = ledger.adopt_tariff(now, &dearer, None, "ada").unwrap();
    assert_eq!((adopted.version, adopted.since), (2, Timestamp(1_800_000)));
    assert_eq!(ledger.adopt_tariff(now, &dearer, None, "ada").unwrap(), adopted, "said twice, adopted once");
    // 20 Wh over 1,680 s, of which 840 s lie before the border.
    write(&ledger, Write::Readings(vec![reading(0, 2_640_000, 1030)]));
    write(&ledger, price(&ledger));
    let lines = ledger.lines(&home(0), Timestamp(0), Timestamp(i64::MAX)).unwrap();
    let priced: Vec<_> = lines.iter().map(|l| (l.line.tariff, l.line.import.0, l.line.debit.energy.0)).collect();
    assert_eq!(priced, [(1, 9, 1_800_000), (1, 11, 2_200_000), (2, 10, 3_000_000)]);
    assert_eq!(ledger.verify(|_| LIMIT).unwrap().findings, []);
}

#[test]
fn a_customer_changes_class_at_a_border_and_the_auditor_follows() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    let shop: ClassId = "shop".parse().unwrap();
    let mut with_class = tariff();
    with_class.classes.insert(shop.clone(), Rates { off_peak: Price(1), ..Rates::default() });
    ledger.adopt_tariff(Timestamp(0), &with_class, None, "ada").unwrap();
    write(&ledger, Write::Readings(vec![reading(0, 900_000, 0), reading(0, 1_800_000, 10)]));
    write(&ledger, price(&ledger));
    for _ in 0..2 {
        ledger.adopt_classes(Timestamp(1_810_000), &[(home(0), Some(shop.clone())), (home(1), None)], "ada").unwrap();
    }
    write(&ledger, Write::Readings(vec![reading(0, 3_600_000, 30)]));
    write(&ledger, price(&ledger));
    let lines = ledger.lines(&home(0), Timestamp(0), Timestamp(i64::MAX)).unwrap();
    let priced: Vec<_> = lines.iter().map(|l| (l.line.from.0 / 1000, l.line.debit.energy.0)).collect();
    assert_eq!(priced, [(900, 2_000_000), (1800, 2_000_000), (2700, 10)]);
    let changes = ledger.facts_after(Seq(0), 100).unwrap();
    assert_eq!(changes.iter().filter(|(_, _, f)| matches!(f, Fact::ClassChanged { .. })).count(), 1);
    assert_eq!(ledger.verify(|_| LIMIT).unwrap().findings, []);
}

#[test]
fn a_batch_takes_lines_for_good_and_a_refused_one_gives_them_back() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    write(&ledger, Write::Fact(Fact::AccountOpened { account: home(0), number: 1 }));
    write(&ledger, Write::Readings(vec![reading(0, 0, 0), reading(0, 60_000, 10)]));
    write(&ledger, price(&ledger));
    write(&ledger, batch(1));
    let refused = ledger.open_intents().unwrap().remove(0).id;
    assert_eq!(ledger.lines_of(refused, &[1]).unwrap().len(), 1);
    write(&ledger, Write::Readings(vec![reading(0, 120_000, 15)]));
    write(&ledger, price(&ledger));
    assert_eq!(ledger.newest_lines(&home(0), 10).unwrap().len(), 2, "what a batch took does not grow");
    write(&ledger, Write::Conclude { intent: refused, mined: None, problem: Some("no".into()), facts: vec![] });
    let lines = ledger.newest_lines(&home(0), 10).unwrap();
    assert_eq!((lines.len(), lines[0].line.import, lines[0].batch), (1, WattHours(15), None));
    write(&ledger, batch(1));
    let intent = ledger.open_intents().unwrap().remove(0).id;
    assert_eq!(ledger.lines_of(intent, &[1]).unwrap()[0].1.import, WattHours(15));
    assert_eq!(ledger.lines_of(refused, &[1]).unwrap(), []);
    assert_eq!(ledger.verify(|_| LIMIT).unwrap().findings, []);
}

#[test]
fn roofs_share_what_the_street_paid_for_their_energy_once_every_meter_has_passed_the_interval() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    let mut pooled = tariff();
    pooled.pool_share = Permille::FULL;
    pooled.rates.feed_in = Price(0);
    ledger.adopt_tariff(Timestamp(0), &pooled, None, "ada").unwrap();
    let start = 900_000;
    for i in 0..3 {
        write(&ledger, Write::Readings(vec![exporting(i, start, 0, 0)]));
    }
    // home-0 takes 90 Wh, of which the roofs gave 30: two thirds from home-1.
    write(&ledger, Write::Readings(vec![exporting(0, 2 * start, 90, 0), exporting(1, 2 * start, 0, 20)]));
    write(&ledger, price(&ledger));
    assert_eq!(ledger.totals().unwrap().paid_for_feed_in, Money::ZERO, "home-2 was not heard yet");
    write(&ledger, Write::Readings(vec![exporting(2, 2 * start, 0, 10)]));
    write(&ledger, price(&ledger));
    let earned: Vec<_> = ledger.accounts().unwrap().iter().map(|a| a.paid_for_feed_in.0).collect();
    assert_eq!(earned, [0, 4_000_000, 2_000_000]);
    assert_eq!(ledger.newest_lines(&home(1), 1).unwrap()[0].line.kind, Kind::PoolShare);
    assert_eq!(ledger.verify(|_| LIMIT).unwrap().findings, []);
}

/// What may happen to a street.
#[derive(Clone, Debug)]
enum Event {
    Read(usize, i64, i64, i64),
    Cash(usize, i64),
    Deposit(usize, i64),
    Lend(usize, i64, bool),
    Refund(usize, i64),
    Give(usize, i64),
    Prices(u32),
    Settle(bool),
}

fn event() -> impl Strategy<Value = Event> {
    let who = 0_usize..3;
    prop_oneof![
        8 => (who.clone(), 1_i64..4_000, 0_i64..2_000, 0_i64..900).prop_map(|(w, s, e, f)| Event::Read(w, s, e, f)),
        2 => (who.clone(), 1_i64..1_000_000_000).prop_map(|(w, a)| Event::Cash(w, a)),
        2 => (who.clone(), 1_i64..1_000_000_000).prop_map(|(w, a)| Event::Deposit(w, a)),
        1 => (who.clone(), 1_i64..1_000_000, any::<bool>()).prop_map(|(w, a, c)| Event::Lend(w, a, c)),
        1 => (who.clone(), 1_i64..1_000_000).prop_map(|(w, a)| Event::Refund(w, a)),
        1 => (who, -1_000_000_i64..1_000_000).prop_map(|(w, a)| Event::Give(w, a)),
        1 => (1_u32..500_000).prop_map(Event::Prices),
        2 => any::<bool>().prop_map(Event::Settle),
    ]
}

/// The chain's side: what a contract does with deposits and batches.
#[derive(Default)]
struct There {
    sequence: u64,
    balances: BTreeMap<u32, i64>,
    registers: BTreeMap<u32, domain::TariffRegisters>,
}

impl There {
    fn settle(&mut self, item: &ledger::BatchItem) {
        let before = self.registers.insert(item.number, item.registers).unwrap_or_default();
        let moved = PRICES.off_peak.0 as i64 * (item.registers.off_peak - before.off_peak).0
            + PRICES.peak.0 as i64 * (item.registers.peak - before.peak).0
            - PRICES.feed_in.0 as i64 * (item.registers.feed_in - before.feed_in).0;
        *self.balances.entry(item.number).or_default() -= moved + item.charge.0;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    /// Whatever happens in whatever order: paid in = balances + charged + refunded − paid for feed-in − given; a second
    /// billing finds the same; and once everything is settled the chain has every balance to the unit, whatever prices
    /// its contract has.
    #[test]
    fn money_is_conserved_here_and_there(events in prop::collection::vec(event(), 1..120)) {
        let dir = tempfile::tempdir().unwrap();
        let ledger = open(dir.path());
        let mut rich = tariff();
        rich.rates.daily = Money(1_234);
        rich.rates.tax_ppm = 190_001;
        rich.pool_share = Permille::new(650).unwrap();
        rich.rates.network = Price(7);
        rich.rates.demand = PowerPrice(3);
        rich.rates.lifeline = WattHours(50);
        rich.rates.blocks = vec![Block { above: WattHours(1_000), surcharge: 77 }];
        ledger.adopt_tariff(Timestamp(0), &rich, None, "ada").unwrap();
        for i in 0..3 {
            write(&ledger, Write::Fact(Fact::AccountOpened { account: home(i), number: i as u32 + 1 }));
        }
        let (mut at, mut imports, mut exports) = (0_i64, [0_i64; 3], [0_i64; 3]);
        let (mut paid, mut there) = (0_i64, There::default());
        let settle = |there: &mut There, ok: bool| {
            write(&ledger, price(&ledger));
            let Outcome::Batch(Some(made)) = write(&ledger, batch(there.sequence + 1)) else { return };
            let intent = ledger.open_intents().unwrap().remove(0).id;
            if ok {
                there.sequence = made.sequence;
                made.items.iter().for_each(|item| there.settle(item));
                let fact = Fact::Settled { batch: made.sequence, accounts: 0, transaction: "0x".into(), gas: 0 };
                let mined = Some(("0x".into(), 1));
                write(&ledger, Write::Conclude { intent, mined, problem: None, facts: vec![fact] });
            } else {
                write(&ledger, Write::Conclude { intent, mined: None, problem: Some("no".into()), facts: vec![] });
            }
        };
        for (i, event) in events.iter().enumerate() {
            let (reference, why, by) = (i.to_string(), "why".to_owned(), "ada".to_owned());
            match event.clone() {
                Event::Read(w, seconds, energy, fed) => {
                    at += seconds * 1000;
                    imports[w] += energy;
                    exports[w] += fed;
                    write(&ledger, Write::Readings(vec![exporting(w, at, imports[w], exports[w])]));
                }
                Event::Cash(w, amount) => {
                    paid += amount;
                    write(&ledger, cash(w, amount, &reference));
                }
                Event::Deposit(w, amount) => {
                    paid += amount;
                    let transaction = format!("0x{i:x}");
                    let d = ledger::Deposit { account: home(w), amount: Money(amount), transaction, ordinal: 0 };
                    *there.balances.entry(w as u32 + 1).or_default() += amount;
                    write(&ledger, Write::Deposits { upto_block: i as u64, deposits: vec![d] });
                }
                Event::Lend(w, amount, as_credit) => {
                    let (account, amount) = (home(w), Money(amount));
                    write(&ledger, Write::Fact(Fact::Lent { account, amount, as_credit, why, reference, who: by }));
                }
                Event::Refund(w, amount) => {
                    let (account, amount) = (home(w), Money(amount));
                    write(&ledger, Write::Fact(Fact::Refunded { account, amount, reference, who: by }));
                }
                Event::Give(w, amount) => {
                    let (account, amount) = (home(w), Money(amount));
                    write(&ledger, Write::Fact(Fact::Adjusted { account, amount, why, reference, who: by }));
                }
                Event::Prices(off_peak) => {
                    write(&ledger, price(&ledger));
                    let mut changed = rich.clone();
                    changed.rates.off_peak = Price(off_peak);
                    ledger.adopt_tariff(Timestamp(at), &changed, None, "ada").unwrap();
                }
                Event::Settle(ok) => settle(&mut there, ok),
            }
        }
        settle(&mut there, true);
        settle(&mut there, true);
        let t = ledger.totals().unwrap();
        prop_assert_eq!(t.topped_up.0, paid);
        prop_assert_eq!(paid, t.balances.0 + t.debited.0 + t.refunded.0 - t.paid_for_feed_in.0 - t.given.0);
        for account in ledger.accounts().unwrap() {
            let here = account.books.get(Book::Balance).0;
            prop_assert_eq!(there.balances.get(&account.number).copied().unwrap_or(0), here, "{}", account.name);
            let lines = ledger.lines(&account.name, Timestamp(0), Timestamp(i64::MAX)).unwrap();
            prop_assert!(lines.iter().all(|l| l.batch.is_some()), "{:?}", lines);
            let mut free: BTreeMap<i64, i64> = BTreeMap::new();
            lines.iter().for_each(|l| *free.entry(l.line.from.0.div_euclid(86_400_000)).or_default() += l.line.free.0);
            prop_assert!(free.values().all(|wh| (0..=50).contains(wh)), "{:?}", free);
        }
        prop_assert_eq!(ledger.verify(|_| LIMIT).unwrap().findings, []);
    }
}
