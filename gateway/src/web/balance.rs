//! The feeder's balance, for the page.

use actors::BalanceLive;
use domain::feeder::Irregularity;
use serde_json::{Value, json};
use solvers::balance::Verdict;

/// What the page shows of it.
pub fn balance(live: &BalanceLive) -> Value {
    let at = live.at.to_string();
    match &live.verdict {
        Verdict::NotEnough { have, need, absent } => {
            json!({ "at": at, "verdict": "not_enough", "have": have, "need": need, "absent": absent, "found": [] })
        }
        Verdict::Judged(judged) => json!({
            "at": at,
            "verdict": "judged",
            "intervals": judged.intervals,
            "loss_permille": judged.loss,
            "noise_w": judged.noise,
            "last": {
                "from": judged.last.from.to_string(),
                "feeder_wh": judged.last.feeder,
                "homes_wh": judged.last.homes,
                "losses_wh": judged.last.losses,
                "unexplained_wh": judged.last.unexplained,
            },
            "found": judged.found.iter().map(|f| found(f, live.told.contains(f))).collect::<Vec<_>>(),
        }),
    }
}

fn found(f: &Irregularity, told: bool) -> Value {
    json!({
        "cause": f.cause,
        "text": f.cause.to_string(),
        "advice": f.cause.advice(),
        "meter": f.meter,
        "power_w": f.power.best,
        "low_w": f.power.low,
        "high_w": f.power.high,
        "per_day_wh": f.per_day,
        "counts": f.counts.map(|c| c.to_string()),
        "confidence": f.confidence.to_string(),
        "since": f.since.to_string(),
        // Seen once is not yet said.
        "told": told,
    })
}
