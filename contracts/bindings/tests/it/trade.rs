//! Who may do what with money and when: refunds, challenges, the pool, rounds, and the grid operator's register.

use crate::machine::{CHAIN_ID, Machine, Ran};
use crate::street::{PRICES, charged, item};
use contracts::chain::Chain;
use contracts::key::{LocalKey, Signer};
use contracts::operator::{self, Position, Reading, Roles};
use contracts::provider::{self, AccountOnChain, Item, Phase, Prices, Steps, Terms};
use contracts::tx::Call;
use contracts::{Address, B256, U256};
use domain::{Money, Price, WattHours};
use proptest::prelude::*;

const OWNER: Address = Address::repeat_byte(1);
const ANNA: Address = Address::repeat_byte(2);
const BEN: Address = Address::repeat_byte(3);
const GATEWAY: Address = Address::repeat_byte(4);
const DAY: u32 = 86_400;
const UNIT: u64 = 1_000;
const POINT: B256 = B256::repeat_byte(0x77);

/// A machine with a register, a provider under some terms, and accounts 1 and 2.
struct World {
    m: Machine,
    registry: Address,
    at: Address,
    meter: LocalKey,
    sequence: std::cell::Cell<u64>,
}

impl World {
    fn new(terms: impl FnOnce(&mut Terms)) -> Self {
        let m = Machine::new(&[OWNER, ANNA, BEN, GATEWAY]);
        let registry = m.deploy(OWNER, operator::deploy_call());
        let mut all = Terms { registry, exit_delay: DAY, ..Terms::default() };
        terms(&mut all);
        let at = m.deploy(OWNER, provider::deploy_under(U256::from(UNIT), PRICES, Money(100), &all).unwrap());
        assert_eq!(provider::terms(&m, at), Ok(all));
        let names = [(1, B256::repeat_byte(1)), (2, B256::repeat_byte(2))];
        m.send(OWNER, provider::open_many(at, &names)).unwrap();
        let meter = LocalKey::from_hex(&"42".repeat(32)).unwrap();
        m.send(OWNER, operator::route(registry, POINT, at, 1, Address::ZERO)).unwrap();
        m.send(OWNER, operator::put_meter(registry, POINT, meter.address(), Position::default(), 5_000)).unwrap();
        Self { m, registry, at, meter, sequence: std::cell::Cell::new(0) }
    }

    fn ok(&self, from: Address, call: Call) -> Ran {
        self.m.send(from, call).unwrap()
    }

    fn why(&self, from: Address, call: Call) -> String {
        self.m.send(from, call).expect_err("this has to be refused")
    }

    fn deposit(&self, number: u32, units: i64) -> Call {
        provider::deposit(self.at, number, Money(units), U256::from(UNIT)).unwrap()
    }

    fn settle(&self, items: &[Item]) -> Result<Ran, String> {
        let next = self.sequence.get() + 1;
        let version = provider::tariff(&self.m, self.at).unwrap().version;
        let ran = self.m.send(OWNER, provider::settle(self.at, next, version, B256::ZERO, items).unwrap());
        self.sequence.set(if ran.is_ok() { next } else { next - 1 });
        ran
    }

    fn account(&self, number: u32) -> AccountOnChain {
        provider::account(&self.m, self.at, number).unwrap()
    }

    fn coin(&self, who: Address) -> U256 {
        self.m.balance(who).unwrap()
    }

    /// A reading of account 1's meter, whose register stood at 5,000 when the account's stood at zero.
    fn reading(&self, imported: u64) -> (Reading, [u8; 65]) {
        let reading = Reading { time: self.m.now(), imported: imported + 5_000, exported: 0 };
        (reading, reading.sign(CHAIN_ID, self.registry, &self.meter).unwrap())
    }

    fn overturn(&self, (reading, seal): (Reading, [u8; 65])) -> Call {
        provider::overturn(self.at, 1, &reading, &seal)
    }

    /// paid in = balances + earned + withdrawn + refunded, and the coin is there.
    fn balanced(&self) {
        let t = provider::totals(&self.m, self.at).unwrap();
        let balances: Vec<i64> = [1, 2].map(|n| self.account(n).balance.0).to_vec();
        assert_eq!(t.paid_in.0, balances.iter().sum::<i64>() + t.earned.0 + t.withdrawn.0 + t.refunded.0);
        assert_eq!(t.owed.0, balances.iter().map(|b| b.max(&0)).sum::<i64>());
        let held = t.paid_in.0 - t.withdrawn.0 - t.refunded.0;
        assert_eq!(self.coin(self.at), U256::from(u64::try_from(held).unwrap() * UNIT));
        assert!(t.allotted.0 <= held, "more may be claimed than there is");
    }
}

#[test]
fn a_customer_who_leaves_gets_the_rest_back_without_anybodys_help() {
    let w = World::new(|_| ());
    let (at, units) = (w.at, |n: i64| U256::from(u64::try_from(n).unwrap() * UNIT));
    assert_eq!(w.why(ANNA, provider::set_holder(at, 1, ANNA)), "NotHolder()");
    w.ok(OWNER, provider::set_holder(at, 1, ANNA));
    assert_eq!(w.why(OWNER, provider::set_holder(at, 1, BEN)), "NotHolder()", "the staff name a holder once");
    w.ok(BEN, w.deposit(1, 1_000_000));
    assert_eq!(w.why(BEN, provider::close(at, 1)), "NotHolder()");
    assert_eq!(w.why(BEN, provider::refund(at, 1)), "NotClosed(1)");
    w.ok(ANNA, provider::close(at, 1));
    assert_eq!(w.account(1).flags & AccountOnChain::CLOSED, AccountOnChain::CLOSED);
    assert_eq!(w.why(BEN, w.deposit(1, 5)), "AccountClosed(1)");
    let due = w.m.now() + u64::from(DAY);
    assert_eq!(w.why(BEN, provider::refund(at, 1)), format!("NotDue({due})"));
    // The owner cannot keep the customer, by pausing, reopening or closing once more.
    w.ok(OWNER, provider::pause_deposits(at, true));
    assert_eq!(w.why(OWNER, provider::reopen(at, 1)), "NotHolder()");
    w.settle(&[item(1, 1_000, 0, 0)]).expect("a closed account is billed to the end");
    w.m.wait(u64::from(DAY));
    let before = w.coin(ANNA);
    let ran = w.ok(BEN, provider::refund(at, 1));
    let refunded = provider::refunded(ran.logs.last().unwrap()).unwrap();
    assert_eq!((refunded.to, refunded.units), (ANNA, Money(800_000)));
    assert_eq!(w.coin(ANNA) - before, units(800_000));
    assert_eq!(w.why(ANNA, provider::refund(at, 1)), "NothingLeft(1)", "once");
    w.settle(&[item(1, 1_001, 0, 0)]).expect("one who left cannot stop a batch");
    assert_eq!(w.account(1).balance, Money(-200));
    w.ok(ANNA, provider::reopen(at, 1));
    assert_eq!(w.why(BEN, w.deposit(1, 5)), "Paused()");
    w.ok(OWNER, provider::pause_deposits(at, false));
    w.ok(BEN, w.deposit(1, 5));
    w.balanced();
}

#[test]
fn the_staff_can_shorten_the_way_out_and_never_lengthen_it() {
    let w = World::new(|_| ());
    w.ok(OWNER, provider::set_holder(w.at, 1, ANNA));
    w.ok(BEN, w.deposit(1, 700));
    w.ok(ANNA, provider::close(w.at, 1));
    w.m.wait(60);
    w.ok(OWNER, provider::close(w.at, 1));
    assert_eq!(w.why(ANNA, provider::close(w.at, 1)), "AccountClosed(1)");
    w.ok(BEN, provider::refund(w.at, 1));
    assert_eq!(w.account(1).balance, Money(0));
    w.balanced();
}

#[test]
fn a_meters_later_word_overturns_what_was_billed_too_much_and_the_next_batch_bills_the_rest() {
    let w = World::new(|t| t.window = 7 * DAY);
    w.ok(OWNER, provider::set_holder(w.at, 1, ANNA));
    w.ok(BEN, w.deposit(1, 10_000_000));
    w.settle(&[item(1, 2_000, 1_000, 0)]).unwrap();
    assert_eq!(w.why(BEN, provider::contest(w.at, 1)), "NotHolder()");
    let early = w.reading(2_500);
    w.ok(ANNA, provider::contest(w.at, 1));
    // The settler cannot get away by billing again before the reading is shown.
    w.settle(&[item(1, 2_100, 1_000, 0)]).unwrap();
    w.m.wait(900);
    let said = w.why(ANNA, w.overturn(early));
    assert!(said.starts_with("ReadingTooEarly("), "{said}");
    let (reading, mut forged) = w.reading(2_500);
    forged[3] ^= 1;
    assert_eq!(w.why(ANNA, w.overturn((reading, forged))), "BadSignature()");
    assert_eq!(w.why(ANNA, w.overturn(w.reading(3_000))), "NoContradiction(3000, 3000)");
    let before = w.account(1);
    let ran = w.ok(BEN, w.overturn(w.reading(2_500)));
    let overturned = ran.logs.iter().find_map(provider::overturned).unwrap();
    assert_eq!((overturned.excess, overturned.units), (WattHours(500), Money(500 * 300)));
    let after = w.account(1);
    assert_eq!((after.off_peak, after.peak), (WattHours(2_100), WattHours(500)));
    assert_eq!(after.balance.0 - before.balance.0, 150_000);
    assert_eq!(w.why(BEN, w.overturn(w.reading(2_500))), "NotContested(1)", "once");
    // From here honest registers are billed as if nothing had happened.
    w.settle(&[item(1, 2_100, 900, 0)]).unwrap();
    assert_eq!(w.account(1).balance, Money(10_000_000 - 2_100 * 200 - 900 * 300));
    w.balanced();
}

#[test]
fn a_price_that_was_lowered_in_the_window_does_not_lower_what_is_paid_back() {
    let w = World::new(|t| t.window = 7 * DAY);
    w.ok(OWNER, provider::set_holder(w.at, 1, ANNA));
    w.settle(&[item(1, 0, 1_000, 0)]).unwrap();
    let cheap = Prices { off_peak: Price(1), peak: Price(1), feed_in: Price(1) };
    w.ok(OWNER, provider::set_tariff(w.at, cheap));
    w.m.wait(60);
    w.ok(OWNER, provider::set_tariff(w.at, cheap));
    w.ok(ANNA, provider::contest(w.at, 1));
    w.m.wait(3_600);
    w.ok(ANNA, w.overturn(w.reading(0)));
    assert_eq!(w.account(1).balance, Money(0));
    w.balanced();
}

#[test]
fn an_honest_settler_cannot_be_overturned_by_any_reading_of_the_meter() {
    let w = World::new(|t| t.window = 7 * DAY);
    w.ok(OWNER, provider::set_holder(w.at, 1, ANNA));
    let mut shown = Vec::new();
    for wh in 1..8_u32 {
        shown.push(w.reading(u64::from(wh) * 100));
        w.settle(&[item(1, i64::from(wh) * 100, 0, 0)]).unwrap();
        w.ok(ANNA, provider::contest(w.at, 1));
        w.m.wait(1_000);
        for reading in &shown {
            let said = w.why(ANNA, w.overturn(*reading));
            assert!(said.starts_with("ReadingTooEarly("), "{said}");
        }
        let now = w.reading(u64::from(wh) * 100);
        assert!(w.why(ANNA, w.overturn(now)).starts_with("NoContradiction("));
    }
    let ahead = Reading { time: w.m.now() + 1, ..Reading::default() };
    let seal = ahead.sign(CHAIN_ID, w.registry, &w.meter).unwrap();
    assert!(w.why(ANNA, w.overturn((ahead, seal))).starts_with("ReadingInFuture("));
    w.m.wait(u64::from(8 * DAY));
    assert!(w.why(ANNA, w.overturn(w.reading(0))).starts_with("ContestOver("));
}

#[test]
fn earnings_wait_for_the_window_before_anybody_can_take_them() {
    let w = World::new(|t| t.window = DAY);
    w.ok(BEN, w.deposit(1, 1_000_000));
    w.settle(&[item(1, 1_000, 0, 0)]).unwrap();
    let take = |units| provider::withdraw(w.at, OWNER, Money(units)).unwrap();
    assert_eq!(w.why(OWNER, take(1)), "NotAvailable(0, 1)");
    // Nothing is free before a whole window has passed, and all of it after two.
    w.m.wait(u64::from(DAY) - 1);
    assert_eq!(provider::available(&w.m, w.at), Ok(Money(0)));
    w.m.wait(u64::from(DAY) + 1);
    assert_eq!(provider::available(&w.m, w.at), Ok(Money(200_000)));
    w.settle(&[item(1, 1_500, 0, 0)]).unwrap();
    assert_eq!(w.why(OWNER, take(200_001)), "NotAvailable(200000, 200001)");
    w.ok(OWNER, take(200_000));
    w.balanced();
}

#[test]
fn a_pool_shares_by_shares_and_by_feed_in_and_each_member_claims_its_own() {
    let w = World::new(|t| t.max_network_fee = Price(10));
    let treasury = Address::repeat_byte(0x99);
    w.ok(OWNER, operator::set_network_fee(w.registry, Price(20), treasury));
    w.ok(BEN, w.deposit(1, 10_000_000));
    w.ok(OWNER, provider::set_member(w.at, ANNA, 1, None));
    w.ok(OWNER, provider::set_member(w.at, BEN, 2, None));
    assert_eq!(w.why(OWNER, provider::withdraw(w.at, OWNER, Money(1)).unwrap()), "PoolShares()");
    w.settle(&[charged(item(1, 1_000, 0, 0), 1)]).unwrap();
    assert_eq!(w.why(GATEWAY, provider::share_out(w.at)), "NothingToShare()");
    w.ok(ANNA, provider::share_out(w.at));
    // 200,001 earned, 10 a Wh of it the grid's at most, and the rest in three parts; what does not divide stays.
    let may = |who| provider::claimable(&w.m, w.at, who).unwrap();
    assert_eq!((may(treasury), may(ANNA), may(BEN)), (Money(10_000), Money(63_333), Money(126_667)));
    assert_eq!(provider::available(&w.m, w.at), Ok(Money(1)));
    assert_eq!(w.why(GATEWAY, provider::claim(w.at, GATEWAY)), "NotAvailable(0, 1)");
    let before = w.coin(GATEWAY);
    w.ok(ANNA, provider::claim(w.at, GATEWAY));
    assert_eq!(w.coin(GATEWAY) - before, U256::from(63_333 * UNIT));
    assert_eq!(w.why(ANNA, provider::claim(w.at, ANNA)), "NotAvailable(0, 1)");
    w.balanced();
    // Now by what their accounts feed in: 2 feeds in all of it.
    w.ok(OWNER, provider::set_member(w.at, ANNA, 1, Some(1)));
    w.ok(OWNER, provider::set_member(w.at, BEN, 1, Some(2)));
    w.settle(&[item(1, 2_000, 0, 0), item(2, 0, 0, 100)]).unwrap();
    w.ok(BEN, provider::share_out(w.at));
    assert_eq!((may(ANNA), may(BEN)), (Money(0), Money(126_667 + 1 + 200_000 - 8_000 - 10_000)));
    assert_eq!(provider::member_of(&w.m, w.at, BEN).unwrap().unwrap().seen, WattHours(100));
    w.ok(OWNER, provider::set_member(w.at, ANNA, 0, None));
    assert_eq!(provider::members(&w.m, w.at), Ok(vec![BEN]));
    assert_eq!(w.why(OWNER, provider::set_member(w.at, ANNA, 0, None)), "NotMember()");
    w.balanced();
}

#[test]
fn a_round_has_its_phases_and_each_its_rights() {
    let w = World::new(|t| (t.offer_time, t.supply_time, t.settlement_time) = (600, 3_600, 1_200));
    let phase = || provider::phase_now(&w.m, w.at).unwrap();
    w.ok(OWNER, provider::set_member(w.at, ANNA, 1, None));
    let start = w.m.now();
    assert_eq!((phase().round, phase().phase, phase().ends_at), (1, Phase::Offer, start + 600));
    w.ok(OWNER, provider::set_tariff(w.at, PRICES));
    w.ok(ANNA, provider::offer_supply(w.at, 5_000));
    assert_eq!(w.settle(&[item(1, 1, 0, 0)]).unwrap_err(), "WrongPhase(1)");
    assert_eq!(w.why(ANNA, provider::share_out(w.at)), "WrongPhase(1)");
    w.ok(BEN, w.deposit(1, 1_000_000));
    w.m.wait(600);
    assert_eq!(phase().phase, Phase::Supply);
    w.settle(&[item(1, 1_000, 0, 0)]).unwrap();
    assert_eq!(w.why(OWNER, provider::set_tariff(w.at, PRICES)), "WrongPhase(2)");
    assert_eq!(w.why(OWNER, provider::set_member(w.at, BEN, 1, None)), "WrongPhase(2)");
    assert_eq!(w.why(ANNA, provider::offer_supply(w.at, 5_000)), "WrongPhase(2)");
    w.m.wait(3_600);
    assert_eq!((phase().phase, phase().ends_at), (Phase::Settlement, start + 5_400));
    w.settle(&[item(1, 2_000, 0, 0)]).unwrap();
    w.ok(GATEWAY, provider::share_out(w.at));
    assert_eq!(w.why(ANNA, provider::share_out(w.at)), "NothingToShare()", "once a round");
    assert_eq!(w.why(OWNER, provider::set_tariff(w.at, PRICES)), "WrongPhase(3)");
    w.m.wait(1_200);
    assert_eq!((phase().round, phase().phase), (2, Phase::Offer));
    w.balanced();
}

#[test]
fn a_record_binds_a_settler_once_and_moves_nothing() {
    let w = World::new(|_| ());
    let steps = Steps(vec![[120, 0, 0], [0, 3_000, 70_000]]);
    let record = |sequence| provider::record(w.at, sequence, POINT, &steps);
    assert_eq!(w.why(ANNA, record(1)), "NotSettler()");
    assert_eq!(w.why(OWNER, record(2)), "WrongSequence(1, 2)");
    let before = provider::totals(&w.m, w.at).unwrap();
    let said = provider::recorded(&w.ok(OWNER, record(1)).logs[0]).unwrap();
    assert_eq!((said.settler, said.sequence, said.count, said.root), (OWNER, 1, 2, POINT));
    assert_eq!(said.steps_hash, contracts::keccak256(steps.pack()));
    assert_eq!(w.why(OWNER, record(1)), "WrongSequence(2, 1)");
    assert_eq!(provider::next_record(&w.m, w.at, OWNER), Ok(2));
    assert_eq!(provider::totals(&w.m, w.at), Ok(before));
    w.settle(&[item(1, 120, 0, 0)]).expect("batches count by themselves");
}

#[test]
fn switches_are_ordered_by_those_who_feed_and_attested_by_those_who_switch() {
    let w = World::new(|_| ());
    let (at, stranger) = (w.registry, BEN);
    let routed = |gateway| operator::route(at, POINT, w.at, 1, gateway);
    assert_eq!(w.why(OWNER, routed(GATEWAY)), "NotGateway()");
    assert_eq!(w.why(ANNA, routed(Address::ZERO)), "NotOwner()");
    w.ok(OWNER, operator::set_roles(at, GATEWAY, Roles { gateway: true, prover: false }));
    w.ok(OWNER, routed(GATEWAY));
    let other = B256::repeat_byte(0x78);
    let taken = w.why(OWNER, operator::route(at, other, w.at, 1, GATEWAY));
    assert!(taken.starts_with("AccountFed("), "{taken}");
    assert_eq!(w.why(stranger, operator::order(at, POINT, true)), format!("MayNotOrder({POINT})"));
    // A settler of the provider that feeds the point may order, and of no other.
    w.ok(OWNER, provider::set_settler(w.at, ANNA, true));
    let ordered = operator::ordered(&w.ok(ANNA, operator::order(at, POINT, true)).logs[0]).unwrap();
    assert_eq!((ordered.gateway, ordered.by, ordered.cut_off), (GATEWAY, ANNA, true));
    assert_eq!(operator::may_order(&w.m, at, ANNA, other), Ok(false));
    assert_eq!(w.why(ANNA, operator::attest(at, POINT, false)), format!("NotItsGateway({POINT})"));
    let attested = operator::attested(&w.ok(GATEWAY, operator::attest(at, POINT, true)).logs[0]);
    assert_eq!(attested, Some((POINT, GATEWAY, true)));
    let point = operator::point_of(&w.m, at, POINT).unwrap();
    assert_eq!((point.closed, point.cut_off, point.attested_at), (true, true, w.m.now()));
    assert_eq!(operator::meter_of(&w.m, at, w.at, 1), Ok(w.meter.address()));
    // One who is no gateway any more attests nothing, whatever was routed before.
    w.ok(OWNER, operator::set_roles(at, GATEWAY, Roles::default()));
    assert_eq!(w.why(GATEWAY, operator::attest(at, POINT, true)), format!("NotItsGateway({POINT})"));
}

#[test]
fn a_meter_stands_where_it_was_put_until_another_takes_its_place() {
    let w = World::new(|_| ());
    let position = Position { east: -1_500, north: 2_000_000, up: 30 };
    let newer = LocalKey::from_hex(&"43".repeat(32)).unwrap().address();
    let put = |point, key| operator::put_meter(w.registry, point, key, position, -7);
    let taken = w.why(OWNER, put(B256::repeat_byte(9), w.meter.address()));
    assert!(taken.starts_with("KeyTaken("), "{taken}");
    w.ok(OWNER, put(POINT, newer));
    assert_eq!(operator::meter_at(&w.m, w.registry, w.meter.address()), Ok(None));
    let found = operator::meter_at(&w.m, w.registry, newer).unwrap().unwrap();
    assert_eq!((found.point, found.position), (POINT, position));
    assert_eq!(w.why(OWNER, put(B256::ZERO, newer)), "BadPoint()");
    // What the old meter signs is worth nothing now.
    let (reading, seal) = w.reading(1);
    let said = operator::imported_by(&w.m, w.registry, w.at, 1, &reading, &seal).unwrap_err();
    assert!(said.to_string().contains("BadSignature()"), "{said}");
}

#[test]
fn nobody_becomes_the_holder_of_money_that_is_there_already() {
    let w = World::new(|_| ());
    w.ok(OWNER, provider::set_settler(w.at, GATEWAY, true));
    w.ok(BEN, w.deposit(1, 1_000_000));
    w.settle(&[item(2, 1, 0, 0)]).unwrap();
    for staff in [OWNER, GATEWAY] {
        for number in [1, 2] {
            let why = w.why(staff, provider::set_holder(w.at, number, staff));
            assert_eq!(why, if staff == OWNER { format!("TooLate({number})") } else { "NotHolder()".into() });
        }
        let _ = w.m.send(staff, provider::close(w.at, 1));
        assert_eq!(w.why(staff, provider::refund(w.at, 1)), "BadHolder()");
    }
    assert_eq!(w.account(1).balance, Money(1_000_000));
}

#[test]
fn holders_are_named_together_by_the_same_rules_or_none_of_them_is() {
    let w = World::new(|_| ());
    let holder = |number| provider::holder_of(&w.m, w.at, number).unwrap().map(|(who, _)| who);
    assert_eq!(w.why(GATEWAY, provider::set_holders(w.at, &[(1, ANNA), (2, BEN)])), "NotHolder()");
    w.ok(BEN, w.deposit(2, 1_000_000));
    assert_eq!(w.why(OWNER, provider::set_holders(w.at, &[(1, ANNA), (2, BEN)])), "TooLate(2)");
    assert_eq!(w.why(OWNER, provider::set_holders(w.at, &[(1, Address::ZERO)])), "BadHolder()");
    assert_eq!(holder(1), None, "one that is refused takes the others with it");
    w.ok(OWNER, provider::open(w.at, 3, B256::repeat_byte(3)));
    w.ok(OWNER, provider::set_holders(w.at, &[(1, ANNA), (3, BEN)]));
    assert_eq!((holder(1), holder(3)), (Some(ANNA), Some(BEN)));
    // Handed on by those who hold them, and by nobody else.
    assert_eq!(w.why(ANNA, provider::set_holders(w.at, &[(1, BEN), (3, ANNA)])), "NotHolder()");
    w.ok(ANNA, provider::set_holders(w.at, &[(1, BEN)]));
    assert_eq!(holder(1), Some(BEN));
}

/// It could credit it, close it, and be paid with what others paid in.
#[test]
fn a_settler_makes_itself_no_holder_not_even_of_an_account_of_its_own() {
    let w = World::new(|_| ());
    w.ok(OWNER, provider::set_settler(w.at, GATEWAY, true));
    w.ok(BEN, w.deposit(1, 1_000_000));
    w.ok(GATEWAY, provider::open(w.at, 3, B256::repeat_byte(3)));
    assert_eq!(w.why(GATEWAY, provider::set_holder(w.at, 3, GATEWAY)), "NotHolder()");
    let credit = [charged(item(3, 0, 0, 0), -1_000_000)];
    w.ok(GATEWAY, provider::settle(w.at, 1, 1, B256::ZERO, &credit).unwrap());
    w.ok(GATEWAY, provider::close(w.at, 3));
    assert_eq!(w.why(GATEWAY, provider::refund(w.at, 3)), "BadHolder()");
}

/// Coin that is nobody's would pay the claim, and what had been paid out would exceed what was paid in.
#[test]
fn a_refund_leaves_what_was_shared_out_to_those_who_may_claim_it() {
    let w = World::new(|_| ());
    w.ok(OWNER, provider::set_holder(w.at, 1, ANNA));
    w.ok(OWNER, provider::set_member(w.at, BEN, 1, None));
    w.ok(BEN, w.deposit(1, 1_000_000));
    w.settle(&[charged(item(1, 0, 0, 0), 600_000)]).unwrap();
    w.ok(OWNER, provider::share_out(w.at));
    assert_eq!(provider::claimable(&w.m, w.at, BEN), Ok(Money(600_000)));
    w.settle(&[charged(item(1, 0, 0, 0), -600_000)]).expect("credits may run ahead of payments");
    w.ok(OWNER, provider::close(w.at, 1));
    w.ok(OWNER, provider::refund(w.at, 1));
    assert_eq!(w.account(1).balance, Money(600_000), "what is not covered stays on the book");
    assert_eq!(w.why(OWNER, provider::refund(w.at, 1)), "NothingLeft(1)");
    w.balanced();
    w.ok(BEN, provider::claim(w.at, BEN));
    w.ok(BEN, w.deposit(2, 50));
    w.balanced();
}

#[derive(Clone, Debug)]
enum Step {
    Deposit(u32, i64),
    Settle([i64; 3], [i64; 3], i64),
    Wait(u32),
    Close(u32),
    Reopen(u32),
    Refund(u32),
    Withdraw(i64),
    Member(bool, u64),
    ShareOut,
    Claim(bool),
    Contest,
    Overturn(u16),
    Price(u16),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let wh = prop::array::uniform3(0_i64..3_000);
    let step = prop_oneof![
        4 => (1_u32..=2, 1_i64..3_000_000).prop_map(|(n, u)| Step::Deposit(n, u)),
        6 => (wh.clone(), wh, -300_000_i64..600_000).prop_map(|(a, b, c)| Step::Settle(a, b, c)),
        5 => (1_u32..3 * DAY).prop_map(Step::Wait),
        1 => (1_u32..=2).prop_map(Step::Close),
        1 => (1_u32..=2).prop_map(Step::Reopen),
        3 => (1_u32..=2).prop_map(Step::Refund),
        2 => (1_i64..2_000_000).prop_map(Step::Withdraw),
        1 => (any::<bool>(), 0_u64..4).prop_map(|(a, s)| Step::Member(a, s)),
        2 => Just(Step::ShareOut),
        2 => any::<bool>().prop_map(Step::Claim),
        2 => Just(Step::Contest),
        2 => (0_u16..3_000).prop_map(Step::Overturn),
        1 => (0_u16..500).prop_map(Step::Price),
    ];
    prop::collection::vec(step, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Any step may be refused. None makes or loses money, none pays one person another's, and only a meter's word turns a
    /// register back.
    #[test]
    fn whatever_people_do_money_is_neither_made_nor_lost_and_registers_only_grow(steps in steps()) {
        let w = World::new(|t| t.window = DAY);
        w.ok(OWNER, provider::set_holder(w.at, 1, ANNA));
        w.ok(OWNER, provider::set_holder(w.at, 2, BEN));
        let mut registers = [[0_i64; 3]; 2];
        let person = |first: bool| if first { ANNA } else { BEN };
        for step in &steps {
            let before = [1, 2].map(|n| w.account(n));
            let had = [ANNA, BEN, OWNER].map(|who| w.coin(who));
            let (from, call, may_gain) = match step {
                Step::Settle(a, b, charge) => {
                    let mut next = registers;
                    for (now, by) in next.iter_mut().flatten().zip(a.iter().chain(b)) {
                        *now += by;
                    }
                    let items = [(1, next[0]), (2, next[1])].map(|(n, [a, b, c])| item(n, a, b, c));
                    if w.settle(&[charged(items[0], *charge), items[1]]).is_ok() {
                        registers = next;
                    }
                    w.balanced();
                    continue;
                }
                Step::Wait(seconds) => {
                    w.m.wait(u64::from(*seconds));
                    continue;
                }
                Step::Deposit(n, units) => (BEN, w.deposit(*n, *units), None),
                Step::Close(n) => (person(*n == 1), provider::close(w.at, *n), None),
                Step::Reopen(n) => (person(*n == 1), provider::reopen(w.at, *n), None),
                Step::Refund(n) => {
                    let most = before[*n as usize - 1].balance.0.max(0);
                    (OWNER, provider::refund(w.at, *n), Some((person(*n == 1), most)))
                }
                Step::Withdraw(units) => {
                    (OWNER, provider::withdraw(w.at, OWNER, Money(*units)).unwrap(), Some((OWNER, *units)))
                }
                Step::Member(a, share) => (OWNER, provider::set_member(w.at, person(*a), *share, None), None),
                Step::ShareOut => (OWNER, provider::share_out(w.at), None),
                Step::Claim(a) => {
                    let most = provider::claimable(&w.m, w.at, person(*a)).unwrap().0;
                    (person(*a), provider::claim(w.at, person(*a)), Some((person(*a), most)))
                }
                Step::Contest => (ANNA, provider::contest(w.at, 1), None),
                Step::Overturn(short) => {
                    let imported = u64::try_from((registers[0][0] + registers[0][1] - i64::from(*short)).max(0)).unwrap();
                    (ANNA, w.overturn(w.reading(imported)), None)
                }
                Step::Price(units) => {
                    let price = Price(u32::from(*units));
                    let prices = Prices { off_peak: price, peak: price, feed_in: Price(80) };
                    (OWNER, provider::set_tariff(w.at, prices), None)
                }
            };
            let done = w.m.send(from, call).is_ok();
            w.balanced();
            for (who, had) in [ANNA, BEN, OWNER].into_iter().zip(had) {
                let most = may_gain.filter(|(payee, _)| *payee == who).map_or(0, |(_, most)| most);
                let most = U256::from(u64::try_from(most).unwrap() * UNIT);
                prop_assert!(w.coin(who) <= had + most, "{who} got more than was theirs: {step:?}");
            }
            for (number, was) in (1..).zip(&before) {
                let now = w.account(number);
                let turned = matches!(step, Step::Overturn(_)) && done && number == 1;
                let grew = now.off_peak >= was.off_peak && now.peak >= was.peak && now.feed_in >= was.feed_in;
                prop_assert!(grew || turned, "{step:?} turned a register back");
                if turned {
                    prop_assert!(now.balance >= was.balance);
                    registers[0] = [now.off_peak.0, now.peak.0, now.feed_in.0];
                }
            }
        }
    }
}
