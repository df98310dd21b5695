use super::*;

const LANE: &str = r#"name = "lane"
volts = 400
[source]
bus = "station"
volts_pu = 1.02
price = 0.30
export_price = 0.08
kva = 250
[[cable]]
name = "NAYY 150"
r_ohm_per_km = 0.2
x_ohm_per_km = 0.08
amps = 270
[[line]]
from = "station"
to = "corner"
cable = "NAYY 150"
metres = 100
[[line]]
from = "corner"
to = "end"
cable = "NAYY 150"
metres = 50
parallel = 2
[[home]]
bus = "corner"
kw = 2.5
kvar = 0.5
[[home]]
bus = "corner"
name = "home-2"
kw = 1.5
[[inverter]]
bus = "end"
kw = 5
"#;

fn problems(text: &str) -> Vec<String> {
    read("lane.toml", text).unwrap_err().iter().map(ToString::to_string).collect()
}

#[test]
fn ohms_amps_and_kilowatts_become_a_network() {
    let (network, notes) = read("lane.toml", LANE).unwrap();
    assert!(notes.is_empty(), "{notes:?}");
    // 400 V at 100 kVA: 1.6 Ω.
    let first = &network.branches[0];
    assert!((first.r_pu - 0.02 / 1.6).abs() < 1e-12 && (first.x_pu - 0.008 / 1.6).abs() < 1e-12);
    assert!((first.rate_mva.unwrap() - 0.187_061).abs() < 1e-5);
    assert!((network.branches[1].r_pu - 0.005 / 1.6).abs() < 1e-12);
    assert!((network.branches[1].rate_mva.unwrap() - 2.0 * first.rate_mva.unwrap()).abs() < 1e-12);
    assert_eq!((network.buses[1].demand_mw, network.buses[1].demand_mvar), (0.004, 0.0005));
    assert_eq!(network.buses[2].name.as_deref(), Some("end"));
    let cost = &network.generators[0].cost;
    assert!((cost.at(0.01) - 3.0).abs() < 1e-9 && (cost.at(-0.01) + 0.8).abs() < 1e-9, "{cost:?}");
    assert_eq!(network.generators[1].p_max_mw, 0.005);
}

#[test]
fn every_mistake_in_a_street_is_named_at_once() {
    let wrong = LANE
        .replace("metres = 100", "metres = -1")
        .replace("kw = 2.5", "kw = \"much\"")
        .replace("bus = \"end\"", "bus = \"emd\"")
        .replace("amps = 270", "amp = 270")
        .replace("cable = \"NAYY 150\"\nmetres = 50", "cable = \"NAYY 15\"\nmetres = 50");
    let found = problems(&wrong);
    for begin in [
        "lane.toml:13:1: cable[1].amp is no key",
        "lane.toml:18:10: line[1].metres must be above 0",
        "lane.toml:22:9: line[2].cable is \"NAYY 15\"",
        "lane.toml:27:6: home[1].kw must be a number",
        "lane.toml:34:7: inverter[1].bus is \"emd\", where no [[line]] leads; did you mean \"end\"?",
    ] {
        assert!(found.iter().any(|p| p.starts_with(begin)), "{found:#?} lack {begin}");
    }
    assert_eq!(found.len(), 5, "{found:#?}");
}

#[test]
fn a_street_that_is_cut_off_says_where() {
    let cut = LANE.replace("parallel = 2", "closed = false");
    let found = problems(&cut);
    assert!(found.len() == 1 && found[0].contains("leaves end without a way to the source"), "{found:?}");
    assert!(problems("volts = 400\n")[0].contains("source is missing"));
    assert!(problems("volts = [")[0].starts_with("lane.toml:1:"));
    let dear = LANE.replace("export_price = 0.08", "export_price = 0.5");
    assert!(problems(&dear)[0].contains("energy would be bought to be sold"));
}
