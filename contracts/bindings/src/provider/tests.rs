use super::*;
use crate::abi::selector;

#[test]
fn values_that_the_contract_cannot_hold_are_refused_before_they_are_sent() {
    let at = Address::ZERO;
    let item = |off_peak| Item {
        number: 7,
        off_peak: WattHours(off_peak),
        peak: WattHours(0),
        feed_in: WattHours(0),
        charge: Money(i64::MIN),
    };
    let settle = |at, sequence, version, items: &[Item]| settle(at, sequence, version, B256::ZERO, items);
    for bad in [-1, 1 << 40, i64::MIN, i64::MAX] {
        let wrong = Err(BadValue::Register { number: 7, value: WattHours(bad) });
        assert_eq!(settle(at, 1, 1, &[item(0), item(bad)]), wrong);
    }
    assert!(settle(at, 1, 1, &[item((1 << 40) - 1)]).is_ok());
    assert_eq!(settle(at, 1, 1, &[]), Err(BadValue::NoItems));
    for bad in [0, -1, i64::MIN] {
        assert_eq!(deposit(at, 1, Money(bad), U256::ONE), Err(BadValue::Amount(Money(bad))));
        assert_eq!(withdraw(at, at, Money(bad)), Err(BadValue::Amount(Money(bad))));
    }
    assert_eq!(deposit(at, 1, Money(2), U256::MAX), Err(BadValue::TooLarge(Money(2))));
    assert_eq!(set_low_at(at, Money(-1)), Err(BadValue::Amount(Money(-1))));
    assert!(set_low_at(at, Money(0)).is_ok());
}

#[test]
fn a_name_fills_its_word_from_the_left() {
    assert_eq!(name_word("ab").unwrap()[..3], *b"ab\0");
    assert_eq!(name_word(&"x".repeat(32)).unwrap()[..], *"x".repeat(32).as_bytes());
    assert_eq!((name_word(""), name_word(&"x".repeat(33))), (None, None));
}

#[test]
fn an_amount_beyond_all_money_is_not_taken_for_a_negative_one() {
    let log = |topic0, topics: usize| crate::chain::Log {
        address: Address::ZERO,
        topics: std::iter::once(topic0).chain(std::iter::repeat_n(B256::ZERO, topics)).collect(),
        data: vec![0xFF; 32],
        block: 1,
        transaction: B256::ZERO,
        log_index: 0,
    };
    assert_eq!(deposited(&log(topic::deposited(), 2)), None);
    assert_eq!(withdrawn(&log(topic::withdrawn(), 1)), None);
    // A balance is signed: there the same word is a debt of one.
    assert_eq!(credit_changed(&log(topic::credit_low(), 1)).map(|c| c.balance), Some(Money(-1)));
}

#[test]
fn the_words_of_a_foreign_contract_stay_on_one_line_and_are_short() {
    let text = format!("no\n\u{1b}[2J{}", "x".repeat(300));
    let said = |text: &str| reason(&Writer::new(&selector("Error(string)"), 1).bytes(text.as_bytes()).done());
    assert_eq!(said("\n"), "no reason given");
    let words = said(&text);
    assert!(words.starts_with("no  [2Jxx") && words.ends_with("x…") && words.chars().count() == 201, "{words:?}");
}
