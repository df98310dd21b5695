//! The simulated consensus from outside: the same seed says the same, and what makes no sense is said.

use crate::house;
use serde_json::Value;

#[test]
fn liars_are_flagged_with_their_rates_and_a_seed_repeats_itself() {
    let args = "simulate-consensus --miners 50 --set 7 --fraud 0.2 --rounds 3000 --seed 1 --json";
    let once = || house::run(&mut house::gateway(args.split(' '))).well().out.clone();
    let report: Value = serde_json::from_str(&once()).unwrap();
    assert_eq!(once(), once());
    assert_eq!(report["liars"], 10);
    let rules = report["rules"].as_array().unwrap();
    let names: Vec<&str> = rules.iter().map(|r| r["rule"].as_str().unwrap()).collect();
    assert_eq!(names, ["proof-of-work", "mining-sets", "witnesses"]);
    for rule in rules {
        let number = |field: &str| rule[field].as_u64().unwrap();
        assert_eq!(number("accepted") + number("stalled"), 3000);
        assert_eq!(rule["miners"].as_array().unwrap().len(), 50);
        assert_eq!(rule["false_positives"]["found"], 0);
        assert!(rule["joules"].as_f64().unwrap() > 0.0);
    }
    assert!(rules[0]["lies_accepted"].as_u64().unwrap() > 400, "a fifth of what plain proof of work takes are lies");
    let found = &rules[2]["detection"];
    assert!(found["low"].as_f64().unwrap() > 0.9, "{found}");
}

#[test]
fn a_simulation_that_makes_no_sense_is_refused_with_all_its_reasons() {
    let args = "simulate-consensus --miners 5 --set 6 --fraud -0.1 --rounds 0 --power 1 --delay 1m";
    let names = ["set: 6", "fraud: -0.1", "rounds: 0", "power: 1", "delay: 60 s"];
    house::run(&mut house::gateway(args.split(' '))).complains(64, &names);
    let args = "simulate-consensus --miners 50 --set 3 --fraud 0.4";
    house::run(&mut house::gateway(args.split(' '))).complains(64, &["set: with 20 liars", "would be enough"]);
}
