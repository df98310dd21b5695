//! What was found on the feeder, for the broker: for each meter that is compared and for the line itself whether something
//! is wrong, and what. It stays on until the journal says that it is over.

use super::HeraldPlan;
use crate::BalanceLive;
use domain::MeterId;
use domain::feeder::Cause;
use serde_json::json;

/// The state of every alarm, by topic.
pub(super) fn alarms(plan: &HeraldPlan, balance: &BalanceLive) -> Vec<(String, String)> {
    let about = plan.audited.iter().map(Some).chain([None]);
    about
        .map(|meter| {
            let of = |m: &Option<MeterId>| m.as_ref() == meter;
            let causes: Vec<Cause> = balance.standing.iter().filter(|(_, m)| of(m)).map(|(cause, _)| *cause).collect();
            let text: Vec<String> = causes.iter().map(ToString::to_string).collect();
            let advice: Vec<&str> = causes.iter().map(|cause| cause.advice()).collect();
            let found: Vec<_> = balance
                .told
                .iter()
                .filter(|f| of(&f.meter))
                .map(|f| {
                    json!({
                        "cause": f.cause, "power_w": f.power.best, "low_w": f.power.low, "high_w": f.power.high,
                        "per_day_wh": f.per_day, "counts": f.counts.map(|c| c.to_string()),
                        "confidence": f.confidence.to_string(), "since": f.since.to_string(),
                    })
                })
                .collect();
            let state = json!({
                "problem": if causes.is_empty() { "OFF" } else { "ON" },
                "text": text.join("; "), "advice": advice.join("; "), "found": found,
            });
            (plan.balance(meter), state.to_string())
        })
        .collect()
}

/// All of it in one line; none if nothing is wrong.
pub(super) fn words(standing: &[(Cause, Option<MeterId>)]) -> Option<String> {
    let one = |(cause, meter): &(Cause, Option<MeterId>)| match meter {
        Some(meter) => format!("{meter}: {cause}"),
        None => cause.to_string(),
    };
    (!standing.is_empty()).then(|| standing.iter().map(one).collect::<Vec<_>>().join("; "))
}
