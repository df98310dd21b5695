//! Where meters are, as it is written.

use super::*;
use crate::config::RadioKind;
use actors::{Beacon, Trick};
use domain::place::{HoldRule, Place, RadioModel};
use std::os::unix::fs::PermissionsExt;

#[test]
fn radios_anchors_and_places_arrive_to_the_millimetre() {
    let location = sound(FULL).location.unwrap();
    assert_eq!((location.epoch, location.samples, location.hold), (Duration::from_secs(2700), 7, true));
    assert_eq!((location.false_rejections, location.reach), (0.03, 25.0));
    // 11,688 proofs a year: 792 · 0.03^7 of them is less than 0.5 %, and 924 · 0.03^6 is more.
    assert_eq!(location.rule, HoldRule { failures: 7, window: 12 });
    let [nodes, loft] = &location.radios[..] else { panic!("{location:?}") };
    assert!(matches!(&nodes.kind, RadioKind::Espresense(m) if m.broker == "127.0.0.1:1883"), "{nodes:?}");
    assert!(matches!(&loft.kind, RadioKind::Bridge(port) if port == Path::new("/dev/ttyUSB9")), "{loft:?}");
    let stand: Vec<_> = location.anchors.iter().map(|a| (a.node.as_str(), a.place.x, a.place.y)).collect();
    assert_eq!(stand, [("Gate-Node", 0, 12_500), ("well", -9_000, -6_250), ("loft", 11_000, -4_000)]);
    let [hall] = &location.places[..] else { panic!("{location:?}") };
    assert_eq!((hall.id.as_str(), hall.place), ("hall", Place { x: 1_500, y: -2_000 }));
    assert_eq!(hall.model, RadioModel { at_one_metre: -5_950, exponent: 2_750, spread: 250 });
    assert_eq!(hall.beacon.code(contracts::B256::ZERO), "426c7565436861726d426561636f6e73");
}

/// The street without what has to do with its radios.
fn with_simulated(beacon: &str) -> String {
    let text = FULL.replace("kind = \"espresense\"\nbroker = \"embedded\"", "kind = \"simulated\"");
    let text = text.replace("kind = \"bridge\"\nport = \"/dev/ttyUSB9\"", "kind = \"simulated\"");
    let text = text.replace("node = \"Gate-Node\"\n", "");
    text.lines().map(|l| if l.starts_with("beacon = ") { beacon } else { l }).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_simulated_street_needs_no_secrets_and_may_have_its_tricks() {
    let location = sound(&with_simulated("")).location.unwrap();
    assert!(matches!(location.places[0].beacon, Beacon::Secret(_)) && location.tricks.is_empty(), "{location:?}");
    assert!(sound(&with_simulated("")).has_simulated_radio() && !sound(FULL).has_simulated_radio());
    let moved = sound(&with_simulated("beacon = { simulated_position = [60, 0] }")).location.unwrap();
    assert_eq!(moved.tricks, [("hall".parse().unwrap(), Trick::Moved(Place { x: 60_000, y: 0 }))]);
    let replayed = sound(&with_simulated("beacon = { simulated_replay = true }")).location.unwrap();
    assert_eq!(replayed.tricks[0].1, Trick::Replayed);
}

#[test]
fn a_secret_is_read_from_a_file_that_nobody_else_can_read_and_is_never_shown() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("hall.beacon");
    let secret = "5f".repeat(32);
    std::fs::write(&file, &secret).unwrap();
    let sender = "sender = \"iBeacon:426C7565-4368-6172-6d42-6561636f6e73-1-2\"";
    let text = FULL.replace(sender, &format!("secret = {file:?}"));
    let mode = |mode| std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
    mode(0o644);
    let Err(Problems(found)) = parse(&text) else { panic!("taken") };
    assert!(found.iter().all(|p| p.field == "meter[1].beacon.secret" && p.what.contains("chmod 600")), "{found:#?}");
    mode(0o600);
    let config = sound(&text);
    assert!(!format!("{config:?}").contains("5f5f") && !format!("{config:?}").contains("95, 95"));
    std::fs::write(&file, "rubbish").unwrap();
    let Err(Problems(found)) = parse(&text) else { panic!("taken") };
    assert!(found[0].what.contains("64 hex digits") && !found[0].what.contains("rubbish"), "{found:#?}");
}

#[test]
fn places_without_a_location_section_are_not_passed_over() {
    let text: String =
        FULL.split("[location]").next().unwrap().to_owned() + FULL.split("hold = true\n").nth(1).unwrap();
    let Err(Problems(found)) = parse(&text) else { panic!("taken") };
    let mut fields: Vec<&str> = found.iter().map(|p| p.field.as_str()).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["anchor", "meter[1].beacon", "meter[1].position", "radio"]);
    let two = FULL.replace("[[anchor]]\nid = \"well\"\nradio = \"nodes\"\nposition = [-9.0, -6.25]\n", "");
    let Err(Problems(found)) = parse(&two) else { panic!("taken") };
    assert!(found.len() == 1 && found[0].field == "anchor" && found[0].what.contains("three"), "{found:#?}");
}
