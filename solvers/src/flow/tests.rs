use super::*;
use domain::network::matpower;

/// A source, a transformer with tap, shift and charging both ways round, and a load at each end.
const FEEDER: &str = "function mpc = feeder
mpc.version = '2';
mpc.baseMVA = 10;
mpc.bus = [
 1 3 0 0 0 0 1 1.02 3 20 1 1.1 0.9;
 2 1 1 0.4 0.1 0.3 1 1 0 20 1 1.1 0.9;
 3 1 0.8 0.2 0 0 1 1 0 0.4 1 1.1 0.9;
 4 1 0.5 -0.1 0 0 1 1 0 0.4 1 1.1 0.9 ];
mpc.gen = [ 1 0 0 99 -99 1.02 10 1 99 0; 4 0.3 0.05 0 0 1 10 1 9 0 ];
mpc.branch = [
 1 2 0.02 0.04 0.02 0 0 0 0 0 1 0 0;
 2 3 0.01 0.05 0.01 0 0 0 0.97 30 1 0 0;
 4 2 0.03 0.02 0.03 0 0 0 1.05 -10 1 0 0 ];
mpc.gencost = [ 2 0 0 2 1 0; 2 0 0 2 1 0 ];";

fn converged(outcome: Outcome) -> State {
    match outcome {
        Outcome::Converged(state) => state,
        Outcome::Diverged { .. } => panic!("{outcome:?}"),
    }
}

#[test]
fn both_methods_find_the_same_voltages_whichever_way_a_transformer_stands() {
    let (network, _) = matpower::read(FEEDER).unwrap();
    let newton = converged(Newton::new(&network).solve(false));
    let sweep = converged(Sweep::new(&network).unwrap().solve());
    for (a, b) in newton.volts.iter().zip(&sweep.volts) {
        assert!((a - b).norm() < 1e-7, "{a} and {b}");
    }
}

#[test]
fn what_is_generated_is_what_is_taken_and_lost() {
    let (network, _) = matpower::read(FEEDER).unwrap();
    let mut newton = Newton::new(&network);
    let state = converged(newton.solve(false));
    let report = state.report(&network, &newton.grid);
    let generated: f64 = report.generators.iter().map(|g| g.0).sum();
    let shunts: f64 = network.buses.iter().zip(&report.buses).map(|(b, v)| b.shunt_mw * v.0 * v.0).sum();
    assert!((generated - 2.3 - shunts - report.losses_mw).abs() < 1e-6, "{report:?}");
    let (p, q) = report.generators[1];
    assert!((p - 0.3).abs() < 1e-9 && (q - 0.05).abs() < 1e-9, "{report:?}");
}

#[test]
fn a_feeder_beyond_what_it_can_carry_has_no_voltages() {
    let (mut network, _) = matpower::read(FEEDER).unwrap();
    network.buses[2].demand_mw = 500.0;
    assert!(matches!(Newton::new(&network).solve(true), Outcome::Diverged { .. }));
    assert!(matches!(Sweep::new(&network).unwrap().solve(), Outcome::Diverged { .. }));
}

#[test]
fn a_scenario_is_the_same_alone_and_among_others() {
    let (network, _) = matpower::read(FEEDER).unwrap();
    let sweep = Sweep::new(&network).unwrap();
    // One of them beyond what the feeder carries, which must not disturb its neighbours.
    let scenarios: Vec<Vec<Complex<f64>>> = (0..19)
        .map(|k| {
            let factor = if k == 5 { 1e4 } else { 0.2 + 0.1 * f64::from(k) };
            sweep.grid.buses.iter().map(|bus| bus.load * factor).collect()
        })
        .collect();
    let together = sweep.batch(&scenarios);
    assert_eq!(together.len(), 19);
    for (k, (loads, outcome)) in scenarios.iter().zip(&together).enumerate() {
        let mut alone = sweep.clone();
        alone.grid.buses.iter_mut().zip(loads).for_each(|(bus, load)| bus.load = *load);
        match (outcome, alone.solve()) {
            (Outcome::Converged(a), Outcome::Converged(b)) => {
                assert!(a.volts.iter().zip(&b.volts).all(|(a, b)| (a - b).norm() < 1e-7), "scenario {k}");
            }
            (a, b) => assert!(k == 5 && std::mem::discriminant(a) == std::mem::discriminant(&b), "{k}: {a:?} {b:?}"),
        }
    }
}

#[test]
fn a_loop_and_a_held_voltage_are_no_radial_feeder() {
    let (mut network, _) = matpower::read(FEEDER).unwrap();
    network.branches[2].from = 2;
    network.branches[2].to = 1;
    assert!(matches!(Sweep::new(&network), Err(NotRadial::Loop(1 | 2))));
    let (mut network, _) = matpower::read(FEEDER).unwrap();
    network.buses[3].kind = domain::network::BusKind::Generator;
    assert_eq!(Sweep::new(&network).unwrap_err(), NotRadial::HoldsVoltage(3));
}
