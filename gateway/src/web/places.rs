//! Where meters are, for the page.

use actors::LocationLive;
use domain::TimeZone;
use domain::place::Place;
use serde_json::{Value, json};

fn metres(place: Place) -> Value {
    #[allow(clippy::cast_precision_loss, reason = "a place")]
    let metres = |mm: i64| mm as f64 / 1000.0;
    json!({ "x": metres(place.x), "y": metres(place.y) })
}

/// Standard deviation in the direction in which a place is least certain, in metres: the root of the larger eigenvalue.
fn uncertain([xx, xy, yy]: [i64; 3]) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "square millimetres")]
    let [xx, xy, yy] = [xx, xy, yy].map(|square| square as f64 / 1e6);
    let (middle, half) = ((xx + yy) / 2.0, (xx - yy) / 2.0);
    (middle + half.hypot(xy)).max(0.0).sqrt()
}

/// What the page shows of it.
pub fn places(live: &LocationLive, zone: &TimeZone) -> Value {
    let anchors = live
        .anchors
        .iter()
        .map(|a| json!({ "id": a.id, "at": metres(a.place), "heard": a.heard, "problem": a.problem }));
    let meters = live.meters.iter().map(|(id, m)| {
        let proof = m.proof.as_ref();
        json!({
            "meter": id, "claim": metres(m.claim), "state": m.state(), "problem": m.problem(),
            "unproved": m.unproved, "failed": m.failed, "of": m.of, "held": m.held, "stale": m.stale,
            "found": proof.and_then(|p| p.found).map(metres),
            "metres_off": proof.and_then(|p| p.found.map(|f| f.apart(p.claim))).map(|mm| mm / 100).map(tenths),
            "deviation": proof.and_then(|p| p.covariance).map(uncertain),
            "verdict": proof.map(|p| p.verdict.to_string()),
            "anchors": proof.map(|p| p.anchors.iter().map(|(id, _)| id).collect::<Vec<_>>()),
            "dropped": proof.map(|p| &p.dropped),
        })
    });
    json!({
        "epoch": live.epoch, "until": zone.hh_mm(live.until), "block": live.block, "hold": live.hold,
        "rule": live.rule, "problem": live.problem, "strangers": live.strangers, "passed_over": live.passed_over,
        "anchors": anchors.collect::<Vec<_>>(), "meters": meters.collect::<Vec<_>>(),
    })
}

fn tenths(n: u64) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "a distance")]
    let n = n as f64;
    n / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_as_uncertain_as_its_longest_axis() {
        assert!((uncertain([4_000_000, 0, 25_000_000]) - 5.0).abs() < 1e-9);
        // The same turned by 45 degrees.
        assert!((uncertain([14_500_000, 10_500_000, 14_500_000]) - 5.0).abs() < 1e-9);
    }
}
