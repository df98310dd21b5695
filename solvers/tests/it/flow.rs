//! Power flow on public cases. Reference values: PYPOWER 5.1.21, `runpf` at a tolerance of 1e-10, no limits of reactive
//! power.

use crate::cases::case;
use nalgebra::Complex;
use solvers::flow::{Newton, Outcome, State, Sweep};

fn state(outcome: Outcome) -> State {
    match outcome {
        Outcome::Converged(state) => state,
        Outcome::Diverged { .. } => panic!("{outcome:?}"),
    }
}

#[test]
fn voltages_and_losses_are_those_of_another_program() {
    // Losses in MW; the lowest voltage and its bus; sums of angles in degrees and of voltages.
    for (name, losses, low, bus, angles, volts) in [
        ("case9", 4.641_021_5, 0.995_630_86, 9, 10.465_721, 9.198_078_48),
        ("case14", 13.393_272_4, 1.01, 3, -168.826_582, 14.678_627_33),
        ("case30", 2.443_803_1, 0.960_623_71, 8, -67.830_078, 29.458_299_22),
        ("case118", 132.862_871_9, 0.943, 76, 2_400.709_038, 116.317_509_64),
        ("case300", 408.315_581_8, 0.928_799_26, 9033, -3_420.597_271, 301.245_881_74),
        ("case33bw", 0.202_677_1, 0.913_090_48, 18, -0.098_162, 31.299_055_58),
        ("case69", 0.224_991_7, 0.909_187_71, 65, 18.955_119, 67.163_283_58),
    ] {
        let network = case(name);
        let mut newton = Newton::new(&network);
        let report = state(newton.solve(false)).report(&network, &newton.grid);
        let near = |a: f64, b: f64, by: f64| assert!((a - b).abs() < by, "{name}: {a} instead of {b}");
        near(report.losses_mw, losses, 1e-6);
        let lowest = (0..network.buses.len()).min_by(|a, b| report.buses[*a].0.total_cmp(&report.buses[*b].0)).unwrap();
        near(report.buses[lowest].0, low, 1e-7);
        assert_eq!(network.buses[lowest].number, bus, "{name}");
        near(report.buses.iter().map(|b| b.1).sum(), angles, 1e-4);
        near(report.buses.iter().map(|b| b.0).sum(), volts, 1e-6);
    }
}

#[test]
fn a_sweep_of_a_public_feeder_agrees_with_newton_at_many_loads() {
    for name in ["case33bw", "case69"] {
        let network = case(name);
        let sweep = Sweep::new(&network).unwrap();
        let mut newton = Newton::new(&network);
        let factors: Vec<f64> = (0..20).map(|k| 0.1 + 0.07 * f64::from(k)).collect();
        let scenarios: Vec<Vec<Complex<f64>>> =
            factors.iter().map(|f| sweep.grid.buses.iter().map(|bus| bus.load * *f).collect()).collect();
        for (loads, swept) in scenarios.iter().zip(sweep.batch(&scenarios)) {
            newton.grid.buses.iter_mut().zip(loads).for_each(|(bus, load)| bus.load = *load);
            let (a, b) = (state(newton.solve(false)), state(swept));
            assert!(a.volts.iter().zip(&b.volts).all(|(a, b)| (a - b).norm() < 1e-7), "{name}");
        }
    }
}

#[test]
fn no_generator_gives_more_reactive_power_than_it_has() {
    for name in ["case14", "case118", "case300"] {
        let network = case(name);
        let mut newton = Newton::new(&network);
        let solved = state(newton.solve(true));
        let report = solved.report(&network, &newton.grid);
        let islands = network.islands();
        let mut checked = 0;
        for (g, (_, q)) in network.generators.iter().zip(&report.generators) {
            if g.in_service && islands.reference[0] != g.bus {
                assert!(*q <= g.q_max_mvar + 1e-3 && *q >= g.q_min_mvar - 1e-3, "{name}: {q} at {}", g.bus);
                checked += 1;
            }
        }
        assert!(checked > 3);
        // Whoever stands at a limit is on the side of its set voltage that the limit explains.
        for (bus, limited) in solved.limited.iter().enumerate().filter(|(_, limited)| **limited) {
            let unit = newton.grid.units.iter().find(|u| u.bus == bus).unwrap();
            let (g, q) = (&network.generators[unit.place], report.generators[unit.place].1);
            let (v, set) = (solved.volts[bus].norm(), unit.volts);
            let at_top = (q - g.q_max_mvar).abs() < (q - g.q_min_mvar).abs();
            assert!(
                *limited && if at_top { v <= set + 1e-5 } else { v >= set - 1e-5 },
                "{name}: bus {bus}, {v} for {set}"
            );
        }
    }
}
