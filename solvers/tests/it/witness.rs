//! Witnesses find liars soon, accuse nobody else, and let no lie pass more often than was allowed.

use fastrand::Rng;
use solvers::witness::{Assumptions, Rule, Settings, binomial, bound, hypergeometric, simulate, threshold};

/// How many runs; more by `MICROGRID_RUNS`.
fn runs() -> u32 {
    std::env::var("MICROGRID_RUNS").ok().and_then(|n| n.parse().ok()).unwrap_or(10_000)
}

/// One lies among five, nine and fifteen. Each hears one batch in a hundred wrongly.
#[test]
fn a_lying_gateway_is_flagged_in_time_and_no_honest_one_ever() {
    let (misheard, seed) = (0.01, 7);
    println!("seed {seed}, {} runs", runs());
    for (members, set) in [(5, 3), (9, 5), (15, 7)] {
        let t = threshold(members, 1, set, 0.001).unwrap();
        let drawn = f64::from(set) / f64::from(members);
        // It is found out when the others of its set that heard well are enough.
        let liar = drawn * binomial(set - 1, 1.0 - misheard, t.signatures);
        let b = bound(drawn * misheard, liar, 1e-9, 1.0 - 1e-9).unwrap();
        println!(
            "{members} members, set of {set}: {} signatures, {} dissents in {} batches flag",
            t.signatures, b.dissents, b.batches
        );
        let mut slowest = 0;
        for run in 0..runs() {
            let mut rng = Rng::with_seed(seed ^ (u64::from(run) << 8) ^ u64::from(members));
            let mut dissents = vec![0; members as usize];
            let mut flagged = None;
            for batch in 1..=b.batches {
                let mut who: Vec<usize> = (0..members as usize).collect();
                rng.shuffle(&mut who);
                who.truncate(set as usize);
                // The first member lies.
                let wrong: Vec<usize> = who.iter().copied().filter(|i| *i == 0 || rng.f64() < misheard).collect();
                if who.len() - wrong.len() < t.signatures as usize {
                    continue;
                }
                for i in wrong {
                    dissents[i] += 1;
                }
                assert!(dissents.iter().skip(1).all(|d| *d < b.dissents), "run {run}: an honest one: {dissents:?}");
                if dissents[0] >= b.dissents && flagged.is_none() {
                    flagged = Some(batch);
                }
            }
            slowest = slowest.max(flagged.unwrap_or_else(|| panic!("run {run}: not in {} batches", b.batches)));
        }
        println!("  flagged after {slowest} batches at the latest");
    }
}

#[test]
fn what_the_simulation_counts_is_what_the_formulas_say() {
    let settings = Settings { rounds: 60_000, ..Settings::default() };
    let report = simulate(&settings).unwrap();
    let liars = report.liars;
    for rule in &report.rules {
        let near = |found: u32, share: f64| {
            let wanted = share * f64::from(settings.rounds);
            let spread = 4.5 * (wanted * (1.0 - share)).sqrt() + 1.0;
            assert!((f64::from(found) - wanted).abs() <= spread, "{:?}: {found}, not {wanted} ± {spread}", rule.rule);
        };
        match rule.threshold {
            None => near(rule.lies_accepted, settings.fraud),
            Some(t) => {
                near(rule.lies_accepted, t.captured);
                // Also those who misheard are missing.
                let tail = |k: u32| hypergeometric(settings.miners, settings.miners - liars, settings.set, k);
                let stalled: f64 =
                    (0..=settings.set).map(|n| (tail(n) - tail(n + 1)) * (1.0 - binomial(n, 0.99, t.signatures))).sum();
                near(rule.stalled, stalled - t.captured);
            }
        }
    }
}

#[test]
fn dissents_stay_within_the_rates_that_the_bounds_were_made_of() {
    let settings = Settings { rounds: 100_000, ..Settings::default() };
    let report = simulate(&settings).unwrap();
    for rule in report.rules.iter().filter(|r| r.rule != Rule::ProofOfWork) {
        let detection = rule.detection.share().unwrap();
        assert!(rule.detection.high >= settings.power, "{:?}: {detection}", rule.rule);
        assert_eq!(rule.false_positives.found, 0, "{:?}", rule.rule);
        assert!(rule.false_positives.trials >= 40, "{:?}", rule.rule);
    }
    // Plain proof of work cannot tell.
    let plain = &report.rules[0];
    assert_eq!(plain.detection.found, 0);
    let (honest, liars) = (plain.honest.mean, plain.fraudulent.unwrap().mean);
    assert!((honest / liars - 1.0).abs() < 0.1, "{honest} {liars}");
    // In mining sets liars are in forks more often, and the witnesses cost least.
    let sets = &report.rules[1];
    assert!(sets.fraudulent.unwrap().mean > 1.1 * sets.honest.mean, "{:?} {:?}", sets.fraudulent, sets.honest);
    let joules: Vec<f64> = report.rules.iter().map(|r| r.joules).collect();
    assert!(joules[0] > joules[1] && joules[1] > 100.0 * joules[2], "{joules:?}");
}

#[test]
fn the_same_seed_gives_the_same_report_and_another_one_another() {
    let of = |seed| simulate(&Settings { seed, rounds: 2_000, ..Settings::default() }).unwrap();
    assert_eq!(of(1), of(1));
    assert_ne!(of(1).rules, of(2).rules);
}

#[test]
fn without_liars_nobody_is_flagged_and_nothing_is_found() {
    let report = simulate(&Settings { fraud: 0.0, rounds: 5_000, ..Settings::default() }).unwrap();
    for rule in &report.rules {
        assert_eq!((rule.lies_accepted, rule.fraudulent), (0, None));
        assert_eq!(rule.false_positives.found + rule.detection.found, 0);
    }
}

#[test]
fn all_that_makes_no_sense_is_said_at_once() {
    let assumptions = Assumptions { misheard: f64::NAN, interval: 0.0, delay: -1.0, watts: f64::INFINITY, check: -0.1 };
    let settings = Settings {
        miners: 2,
        set: 9,
        fraud: 0.5,
        rounds: 0,
        seed: 1,
        error: 0.0,
        false_alarm: f64::NAN,
        power: 1.0,
        assumptions,
    };
    let wrong = simulate(&settings).unwrap_err();
    let names: Vec<&str> = wrong.iter().filter_map(|w| w.split(':').next()).collect();
    let all = "miners set fraud rounds error false-alarm power misheard interval delay watts check";
    assert_eq!(names.join(" "), all);
    let small = simulate(&Settings { set: 3, ..Settings::default() }).unwrap_err();
    assert_eq!(small.len(), 1);
    assert!(small[0].ends_with("; 4 would be enough"), "{small:?}");
}
