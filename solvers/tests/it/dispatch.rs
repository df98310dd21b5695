//! Optimal power flow in the linear model on public cases.

use crate::cases::case;
use domain::network::Cost;
use solvers::opf::dc::{self, Solver};
use solvers::opf::{Binding, Limit, Status};
use std::time::Duration;

fn patient() -> Duration {
    Duration::from_secs(60)
}

#[test]
fn optima_are_those_that_other_solvers_found() {
    // PIQP, clarabel in another set-up, and HiGHS agree on the first six to all printed digits; the others are PYPOWER 5.1.21
    // (`rundcopf`), case14 also by hand of the KKT conditions.
    for (name, optimum) in [
        ("pglib_opf_case3_lmbd", 5_693.803_3),
        ("pglib_opf_case5_pjm", 17_479.896_9),
        ("pglib_opf_case14_ieee", 2_051.526_3),
        ("pglib_opf_case30_ieee", 7_504.440_5),
        ("pglib_opf_case57_ieee", 34_772.947_9),
        ("pglib_opf_case118_ieee", 93_132.679_3),
        ("case9", 5_216.026_6),
        ("case14", 7_642.591_8),
        ("case30", 565.206_0),
        ("case118", 125_947.881_5),
        ("case300", 706_292.324_3),
    ] {
        let network = case(name);
        let answer = dc::solve(&network, &patient);
        assert_eq!(answer.status, Status::Optimal, "{name}");
        let objective = answer.objective.unwrap();
        assert!((objective - optimum).abs() < 1e-6 * optimum, "{name}: {objective} instead of {optimum}");
        assert!(answer.gap().unwrap() < 1e-6, "{name}: {answer:?}");
        let generated: f64 = answer.generators.iter().map(|g| g.p_mw).sum();
        let taken: f64 = network.buses.iter().map(|b| b.demand_mw + b.shunt_mw).sum();
        assert!((generated - taken).abs() < 1e-3, "{name}: {generated} for {taken}");
    }
}

#[test]
fn prices_part_where_a_line_binds() {
    let network = case("pglib_opf_case3_lmbd");
    let answer = dc::solve(&network, &patient);
    // By enumeration of active sets in exact arithmetic.
    for (bus, price) in answer.buses.iter().zip([36.753_3, 30.213_3, 41.258_7]) {
        assert!((bus.price_p.unwrap() - price).abs() < 1e-3, "{:?}", answer.buses);
    }
    for (g, p) in answer.generators.iter().zip([144.333_3, 170.666_7, 0.0]) {
        assert!((g.p_mw - p).abs() < 1e-3, "{:?}", answer.generators);
    }
    let binding: Vec<_> = answer.branches.iter().map(|b| b.binding).collect();
    assert_eq!(binding, [None, Some(Binding::Rating), None]);
    assert!((answer.branches[1].p_from_mw + 50.0).abs() < 1e-4);
}

#[test]
fn the_price_of_a_limit_is_what_one_more_of_it_saves() {
    let mut network = case("pglib_opf_case3_lmbd");
    let before = dc::solve(&network, &patient);
    network.branches[1].rate_mva = Some(50.01);
    network.buses[2].demand_mw += 0.01;
    let after = dc::solve(&network, &patient);
    let expected = 0.01 * (before.buses[2].price_p.unwrap() - before.branches[1].price);
    let found = after.objective.unwrap() - before.objective.unwrap();
    assert!((found - expected).abs() < 1e-4, "{found} instead of {expected}");
}

#[test]
fn a_warm_solve_is_a_cold_solve_whatever_the_demand() {
    for name in ["pglib_opf_case5_pjm", "pglib_opf_case14_ieee", "case30", "case30pwl", "pglib_opf_case118_ieee"] {
        let mut network = case(name);
        let nominal: Vec<f64> = network.buses.iter().map(|b| b.demand_mw).collect();
        let started = network.clone();
        let mut warm = Solver::new(&started);
        for percent in [100, 101, 101, 97, 80, 104, 60, 100] {
            let demand: Vec<f64> = nominal.iter().map(|mw| mw * f64::from(percent) / 100.0).collect();
            warm.set_demand(&demand);
            network.buses.iter_mut().zip(&demand).for_each(|(bus, mw)| bus.demand_mw = *mw);
            let (a, b) = (warm.solve(&patient), dc::solve(&network, &patient));
            assert_eq!((a.status, b.status), (Status::Optimal, Status::Optimal), "{name} at {percent} %");
            let (a, b) = (a.objective.unwrap(), b.objective.unwrap());
            assert!((a - b).abs() <= 2e-6 * b.abs(), "{name} at {percent} %: {a} and {b}");
        }
    }
}

#[test]
fn what_cannot_be_served_is_named() {
    let mut network = case("pglib_opf_case3_lmbd");
    network.buses[1].demand_mw = 9_000.0;
    let answer = dc::solve(&network, &patient);
    assert_eq!((answer.status, answer.proved), (Status::Infeasible, true));
    let missing: f64 = answer.violations.iter().filter(|v| matches!(v.limit, Limit::Demand(_))).map(|v| v.by).sum();
    // All generators together give 4,000 MW; more is missing where that spares an overload.
    assert!(missing > 9_000.0 + 110.0 + 95.0 - 4_000.0 - 1.0, "{:?}", answer.violations);
    assert!(answer.violations.windows(2).all(|v| v[0].by >= v[1].by), "{:?}", answer.violations);
}

#[test]
fn a_rating_and_a_window_of_angles_that_do_not_meet_are_infeasible() {
    let mut network = case("pglib_opf_case3_lmbd");
    let branch = &mut network.branches[0];
    // 20° over 0.1 are 349 MW.
    (branch.x_pu, branch.rate_mva) = (0.1, Some(100.0));
    (branch.angle_min_deg, branch.angle_max_deg) = (Some(20.0), Some(30.0));
    let answer = dc::solve(&network, &patient);
    assert_eq!((answer.status, answer.proved), (Status::Infeasible, true));
    assert!(!answer.violations.is_empty(), "{answer:?}");
}

#[test]
fn an_island_without_a_generator_cannot_be_served() {
    let mut network = case("pglib_opf_case14_ieee");
    // Bus 14 hangs on 9 and 13.
    let to_14: Vec<usize> = (0..network.branches.len()).filter(|k| network.branches[*k].to == 13).collect();
    assert_eq!(to_14.len(), 2);
    to_14.iter().for_each(|k| network.branches[*k].in_service = false);
    let answer = dc::solve(&network, &patient);
    assert_eq!((answer.status, answer.proved), (Status::Infeasible, true));
    assert_eq!(answer.violations[0].limit, Limit::Demand(13));
    assert!((answer.violations[0].by - network.buses[13].demand_mw).abs() < 1e-2, "{:?}", answer.violations);
}

#[test]
fn a_deadline_is_an_answer_too() {
    let network = case("pglib_opf_case118_ieee");
    assert_eq!(dc::solve(&network, &|| Duration::ZERO).status, Status::OutOfTime);
}

#[test]
fn a_cost_that_bends_down_is_refused_by_name() {
    let mut network = case("pglib_opf_case5_pjm");
    network.generators[2].cost = Cost::Polynomial(vec![0.0, 30.0, -0.1]);
    let answer = dc::solve(&network, &patient);
    assert_eq!(answer.status, Status::Refused);
    assert!(answer.reason.unwrap().contains("generator 3 at bus 3"));
}

#[test]
fn random_demands_and_outages_are_answered_or_refused() {
    let seed = std::env::var("SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    println!("SEED={seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut optimal = 0;
    for name in ["pglib_opf_case14_ieee", "pglib_opf_case30_ieee", "pglib_opf_case118_ieee"] {
        let sound = case(name);
        for _ in 0..60 {
            let mut network = sound.clone();
            network.buses.iter_mut().for_each(|bus| bus.demand_mw *= 0.5 + 0.8 * rng.f64());
            for _ in 0..rng.usize(..3) {
                let out = rng.usize(..network.branches.len());
                network.branches[out].in_service = false;
            }
            let answer = dc::solve(&network, &patient);
            match answer.status {
                Status::Optimal => {
                    assert!(answer.gap().unwrap() < 1e-6);
                    optimal += 1;
                }
                Status::Infeasible => assert!(answer.proved && !answer.violations.is_empty(), "SEED={seed} {name}"),
                other => panic!("SEED={seed} {name}: {other:?}"),
            }
        }
    }
    assert!(optimal > 60, "{optimal}");
}
