//! What people write for names, hours, amounts and zones is understood as it stands, or refused.

use domain::{AccountId, Currency, DayRange, TimeZone, Timestamp};

/// A text that is taken for a name is that name, and can stand in a topic or a path. An amount of money and the
/// hours of a range are shown as texts that mean the same. A zone that is known tells the time of any moment.
pub fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match text.parse::<AccountId>() {
        Ok(name) => {
            assert_eq!(name.as_str(), text);
            assert!(text.len() <= 32 && !text.contains(['/', '+', '#', '.', ' ', '\0']), "{text}");
        }
        Err(error) => assert!(error.to_string().chars().count() < 800, "{error}"),
    }
    for decimals in 3..=9 {
        let currency = Currency { code: "EUR".into(), decimals };
        if let Ok(amount) = currency.parse(&text) {
            assert_eq!(currency.parse(&currency.plain(amount)), Ok(amount), "{text:?} at {decimals} decimals");
        }
    }
    if let Ok(range) = text.parse::<DayRange>() {
        assert_eq!(range.to_string().parse(), Ok(range), "{text:?}");
    }
    if let Ok(zone) = TimeZone::try_from(text.into_owned()) {
        for at in [i64::MIN, -1, 0, 1_800_000_000_000, i64::MAX] {
            assert_eq!(zone.hh_mm(Timestamp(at)).len(), 5, "{at}");
        }
    }
}
