//! Where meters are, for the broker: what beacons have to know, and for each meter whether something is wrong with its place.

use super::HeraldPlan;
use crate::LocationLive;
use serde_json::json;

/// The challenge that beacons' codes follow from, and every meter's place, by topic.
pub(super) fn state(plan: &HeraldPlan, location: &LocationLive) -> Vec<(String, String)> {
    let challenge = json!({
        "epoch": location.epoch, "challenge": location.challenge, "until": location.until.to_string(),
        "block": location.block,
    });
    let topic = format!("microgrid/{}/location/challenge", plan.site);
    let places = location.meters.iter().map(|(id, place)| {
        let problem = place.problem();
        let proof = place.proof.as_ref();
        let state = json!({
            "problem": if problem.is_some() { "ON" } else { "OFF" }, "text": problem, "state": place.state(),
            "unproved": place.unproved, "failed": place.failed, "of": place.of,
            "metres_off": proof.and_then(|p| Some(p.found?.apart(p.claim) / 1000)),
            "anchors": proof.map(|p| p.anchors.len()),
        });
        (plan.topic("meter", id.as_str(), "place"), state.to_string())
    });
    std::iter::once((topic, challenge.to_string())).chain(places).collect()
}
