//! Terms of supply and how switches are enforced, as they are written.

use super::{FULL, parse, sound};
use crate::config::Problems;
use domain::terms::{Allowance, EmergencyCredit, LoadLimit, Mode};
use domain::{Money, Reconnect, WattHours, Watts};
use std::time::Duration;

const TERMS: &str = r#"
[terms]
emergency = "1.00"
emergency_accept = "automatic"
friendly_hours = ["18:00-11:00"]
friendly_days = ["sat", "sun"]
friendly_dates = ["12-25", "2026-04-03"]
limit_below = "0.50"
limit_power = 300

[notify]
webhook = "http://127.0.0.1:9000/credit"
"#;

#[test]
fn what_holds_for_everybody_holds_where_an_account_does_not_say_otherwise() {
    let text = FULL.replace("[[account]]\nid = \"barn\"\n", "[[account]]\nid = \"barn\"\nmode = \"postpaid\"\npostpaid_limit = \"50.00\"\nemergency = \"0\"\nfriendly_days = []\ndaily_allowance = 3000\nallowance_reset = \"06:30\"\nlimit_power = 500\n");
    let config = sound(&format!("{text}{TERMS}"));
    let unit = config.currency.scale();
    let [hall, barn] = [&config.accounts[0].terms, &config.accounts[1].terms];
    let emergency = EmergencyCredit { amount: Money(unit), at: hall.rule.low_at, automatic: true, power: None };
    assert_eq!((hall.mode, hall.emergency), (Mode::Prepaid, Some(emergency)));
    assert_eq!((hall.friendly.days.len(), hall.friendly.dates.len()), (2, 2));
    assert_eq!(hall.limit, Some(LoadLimit { below: Money(unit / 2), power: Watts(300) }));
    assert_eq!(hall.allowance, None);
    assert_eq!((barn.mode, barn.emergency), (Mode::Postpaid { limit: Money(50 * unit) }, None));
    assert!(barn.friendly.days.is_empty() && barn.friendly.hours == hall.friendly.hours);
    assert_eq!(barn.limit, Some(LoadLimit { below: Money(unit / 2), power: Watts(500) }));
    assert_eq!(barn.allowance, Some(Allowance { energy: WattHours(3000), reset: 390 }));
    assert_eq!(config.webhook.as_deref(), Some("http://127.0.0.1:9000/credit"));
}

#[test]
fn a_switch_obeys_what_its_own_table_says() {
    let seconds = Duration::from_secs;
    let usual = sound(FULL);
    assert_eq!(usual.stagger, seconds(30));
    assert_eq!((usual.switches[0].rule.min_off, usual.switches[0].rule.reconnect), (seconds(10), Reconnect::Automatic));
    let text = FULL
        .replace(
            "stale_after",
            "reconnect = \"ready\"\nmin_off = \"3m\"\nstagger = \"0s\"\noverload_tries = 3\nstale_after",
        )
        .replace("on_silence = \"open\"", "on_silence = \"open\"\nmin_off = \"1m\"");
    let config = sound(&text);
    let rule = config.switches[0].rule;
    assert_eq!((rule.reconnect, rule.min_off, rule.overload.tries), (Reconnect::Ready, seconds(60), 3));
    assert_eq!(config.stagger, Duration::ZERO);
}

#[test]
fn every_mistake_in_the_terms_is_named_at_once() {
    let terms = r#"
[terms]
mode = "postpaid"
emergency_at = "0.20"
friendly_hours = ["6 to 7"]
friendly_days = ["saturday"]
friendly_dates = ["2026-02-30"]
limit_below = "0.50"
allowance_reset = "24:00"

[notify]
webhook = "example.org"
"#;
    let Err(Problems(found)) = parse(&format!("{FULL}{terms}")) else { panic!("taken") };
    let expected = [
        ("terms.postpaid_limit", "is missing"),
        ("terms.emergency_at", "no meaning without emergency"),
        ("terms.friendly_hours", "6 to 7"),
        ("terms.friendly_days", "mon, tue"),
        ("terms.friendly_dates", "2026-02-30"),
        ("terms.limit_power", "is missing"),
        ("terms.allowance_reset", "24:00"),
        ("notify.webhook", "must be a URL"),
    ];
    for (field, part) in expected {
        assert!(found.iter().any(|p| p.field == field && p.what.contains(part)), "{field}: {found:#?}");
    }
}
