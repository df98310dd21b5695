use super::*;
use crate::{Credit, Reason, TimeZone, Timestamp};
use proptest::prelude::*;

/// Thursday 2026-06-04T12:00:00Z.
const NOON: Timestamp = Timestamp(1_780_574_400_000);
const HOUR: std::time::Duration = std::time::Duration::from_secs(3600);

fn calendar() -> Calendar {
    Calendar::new(&TimeZone::utc())
}

fn plain() -> Terms {
    Terms::prepaid(CreditRule { low_at: Money(100), restore_at: Money(50) })
}

fn with_emergency() -> Terms {
    let emergency = EmergencyCredit { amount: Money(80), at: Money(20), automatic: false, power: Some(Watts(500)) };
    Terms { emergency: Some(emergency), ..plain() }
}

fn friendly() -> Terms {
    Terms { friendly: Friendly { hours: vec!["18:00-11:00".parse().unwrap()], ..Friendly::default() }, ..plain() }
}

/// An account whose memory the test keeps, as the ledger does.
struct Customer {
    terms: Terms,
    credit: Credit,
    emergency: Emergency,
    used_today: Option<WattHours>,
    now: Option<Timestamp>,
}

impl Customer {
    fn with(terms: Terms) -> Self {
        Self { terms, credit: Credit::Good, emergency: Emergency::None, used_today: None, now: Some(NOON) }
    }

    fn judge(&mut self, balance: i64) -> Standing {
        let situation = Situation {
            balance: Money(balance),
            paid_in: true,
            credit: self.credit,
            emergency: self.emergency,
            used_today: self.used_today,
            now: self.now,
        };
        let standing = self.terms.judge(&situation, &calendar());
        (self.credit, self.emergency) = (standing.credit, standing.emergency);
        standing
    }
}

#[test]
fn a_cent_of_feed_in_does_not_reconnect_before_the_threshold() {
    let mut c = Customer::with(plain());
    for (balance, credit) in [
        (101, Credit::Good),
        (100, Credit::Low),
        (0, Credit::Exhausted),
        (49, Credit::Exhausted),
        (50, Credit::Low),
        (1, Credit::Low),
        (101, Credit::Good),
    ] {
        let standing = c.judge(balance);
        assert_eq!((standing.credit, standing.supply.is_on()), (credit, credit != Credit::Exhausted), "{balance}");
    }
}

#[test]
fn prepayment_begins_with_the_first_payment_and_a_bill_is_owed_from_the_first_day() {
    let nothing = Situation {
        balance: Money(-500),
        paid_in: false,
        credit: Credit::Good,
        emergency: Emergency::None,
        used_today: None,
        now: Some(NOON),
    };
    assert_eq!(plain().judge(&nothing, &calendar()).supply, Supply::Full);
    let postpaid = Terms { mode: Mode::Postpaid { limit: Money(500) }, ..plain() };
    let owed = postpaid.judge(&nothing, &calendar());
    assert_eq!((owed.supply, owed.reason), (Supply::Off, Reason::LimitOwed));
    let less = Situation { balance: Money(-450), ..nothing };
    assert_eq!(postpaid.judge(&less, &calendar()).credit, Credit::Low);
}

#[test]
fn emergency_credit_is_offered_taken_used_up_and_offered_again_only_above_the_threshold() {
    let mut c = Customer::with(with_emergency());
    assert_eq!(c.judge(21).credit, Credit::Low);
    assert_eq!(c.judge(20).credit, Credit::EmergencyOffered);
    // Nobody took it.
    assert_eq!(c.judge(0).credit, Credit::Exhausted);
    assert_eq!(c.emergency, Emergency::Offered, "who sits in the dark may still take it");
    c.emergency = Emergency::Accepted;
    let taken = c.judge(-1);
    assert_eq!((taken.credit, taken.supply), (Credit::Emergency, Supply::Limited(Watts(500))));
    assert_eq!(c.judge(-79).credit, Credit::Emergency);
    let spent = c.judge(-80);
    assert_eq!((spent.credit, spent.emergency), (Credit::Exhausted, Emergency::Spent));
    // The top-up pays it back first: what is left must reach the threshold of restoration.
    assert_eq!(c.judge(-10).supply, Supply::Off);
    assert_eq!(c.judge(49).supply, Supply::Off);
    let restored = c.judge(50);
    assert_eq!((restored.supply, restored.emergency), (Supply::Full, Emergency::None));
    assert_eq!(c.judge(20).credit, Credit::EmergencyOffered);
}

#[test]
fn emergency_credit_that_needs_no_act_is_taken_at_once() {
    let mut c = Customer::with(with_emergency());
    c.terms.emergency = c.terms.emergency.map(|e| EmergencyCredit { automatic: true, ..e });
    assert_eq!(c.judge(20).emergency, Emergency::Accepted);
    assert!(c.judge(-79).supply.is_on());
    assert!(!c.judge(-80).supply.is_on());
}

#[test]
fn who_runs_out_in_friendly_hours_stays_connected_until_they_end() {
    let mut c = Customer::with(friendly());
    c.now = Some(NOON + HOUR * 8);
    let evening = c.judge(-5);
    assert_eq!(
        (evening.credit, evening.supply, evening.reason),
        (Credit::Friendly, Supply::Full, Reason::FriendlyHours)
    );
    assert_eq!(evening.friendly_until, Some(NOON + HOUR * 23));
    c.now = Some(NOON + HOUR * 22);
    assert!(c.judge(-70).supply.is_on());
    c.now = Some(NOON + HOUR * 23);
    assert_eq!(c.judge(-80).supply, Supply::Off);
}

#[test]
fn friendly_hours_connect_nobody_who_is_off_already() {
    let mut c = Customer::with(friendly());
    assert_eq!(c.judge(-5).supply, Supply::Off);
    c.now = Some(NOON + HOUR * 8);
    assert_eq!(c.judge(-5).supply, Supply::Off);
}

#[test]
fn without_a_clock_that_can_be_trusted_nobody_is_disconnected_for_the_hour_or_the_day() {
    let mut c = Customer::with(friendly());
    c.now = None;
    let unsure = c.judge(-5);
    assert_eq!((unsure.credit, unsure.friendly_until), (Credit::Friendly, None));
    let mut c = Customer::with(Terms { allowance: Some(Allowance { energy: WattHours(1000), reset: 0 }), ..plain() });
    c.used_today = Some(WattHours(1000));
    assert_eq!(c.judge(500).reason, Reason::AllowanceUsed);
    c.now = None;
    assert_eq!(c.judge(500).supply, Supply::Full);
}

#[test]
fn power_is_limited_before_it_is_cut() {
    let mut c = Customer::with(Terms { limit: Some(LoadLimit { below: Money(30), power: Watts(300) }), ..plain() });
    assert_eq!(c.judge(31).supply, Supply::Full);
    let limited = c.judge(30);
    assert_eq!((limited.supply, limited.reason), (Supply::Limited(Watts(300)), Reason::CreditLow));
    assert_eq!(c.judge(0).supply, Supply::Off);
}

#[test]
fn a_protected_customer_has_full_power_whatever_the_balance() {
    let limit = Some(LoadLimit { below: Money(30), power: Watts(300) });
    let allowance = Some(Allowance { energy: WattHours(1), reset: 0 });
    let mut c = Customer::with(Terms { protected: true, limit, allowance, ..with_emergency() });
    c.used_today = Some(WattHours(10));
    for balance in [500, 20, 0, -10_000] {
        let standing = c.judge(balance);
        assert_eq!((standing.supply, standing.reason), (Supply::Full, Reason::Protected), "{balance}");
    }
    assert_eq!(c.credit, Credit::Exhausted, "the stage is shown all the same");
}

fn any_terms() -> impl Strategy<Value = Terms> {
    let emergency = prop::option::of((1_i64..200, -50_i64..150, any::<bool>(), prop::option::of(1_i64..1000)));
    let parts = (any::<bool>(), any::<bool>(), emergency, any::<bool>(), prop::option::of(-50_i64..150), any::<bool>());
    parts.prop_map(|(protected, postpaid, emergency, hours, limit, allowance)| Terms {
        mode: if postpaid { Mode::Postpaid { limit: Money(100) } } else { Mode::Prepaid },
        protected,
        emergency: emergency.map(|(amount, at, automatic, power)| EmergencyCredit {
            amount: Money(amount),
            at: Money(at),
            automatic,
            power: power.map(Watts),
        }),
        friendly: if hours { friendly().friendly } else { Friendly::default() },
        limit: limit.map(|below| LoadLimit { below: Money(below), power: Watts(300) }),
        allowance: allowance.then_some(Allowance { energy: WattHours(1000), reset: 0 }),
        ..plain()
    })
}

proptest! {
    #[test]
    fn whatever_happens_every_rule_of_supply_holds(
        terms in any_terms(),
        steps in prop::collection::vec((-300_i64..300, 0_u32..48, any::<bool>(), 0_i64..2000, any::<bool>()), 1..60),
    ) {
        let mut c = Customer::with(terms.clone());
        for (balance, hour, trusted, used, accept) in steps {
            c.now = trusted.then_some(NOON + HOUR * hour);
            c.used_today = Some(WattHours(used));
            if accept && c.emergency == Emergency::Offered {
                c.emergency = Emergency::Accepted;
            }
            let before = c.credit;
            let s = c.judge(balance);
            let left = terms.left(Money(balance));
            if terms.protected {
                prop_assert_eq!(s.supply, Supply::Full);
            }
            if s.supply == Supply::Off && s.reason != Reason::AllowanceUsed {
                prop_assert!(s.reason.is_want_of_credit() && s.credit == Credit::Exhausted);
                prop_assert!(left < terms.rule.restore_at);
                // Nobody who was connected is cut in friendly hours, or at an unknown hour that may be one.
                if before != Credit::Exhausted && !terms.friendly.is_empty() {
                    prop_assert!(trusted && !terms.friendly.holds(&calendar(), NOON + HOUR * hour));
                }
            }
            if s.reason == Reason::AllowanceUsed {
                prop_assert!(trusted && used >= 1000);
            }
            // Nobody has power on an empty account but by a rule that says so.
            if left.0 <= 0 && s.supply.is_on() && !terms.protected {
                prop_assert!(matches!(s.credit, Credit::Emergency | Credit::Friendly));
            }
            if s.credit == Credit::Emergency {
                let amount = terms.emergency.map_or(0, |e| e.amount.0);
                prop_assert!(left.0 > -amount && s.emergency == Emergency::Accepted);
            }
            // Judged again in the same situation, nothing changes.
            let again = c.judge(balance);
            prop_assert_eq!((again.supply, again.credit, again.emergency), (s.supply, s.credit, s.emergency));
        }
    }
}
