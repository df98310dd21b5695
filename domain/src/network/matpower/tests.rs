use super::*;
use crate::network::{BusKind, Cost};

/// Three buses in the manner of the format, with every spelling that public files use.
const THREE: &str = "function mpc = three
%THREE  a case
%{
mpc.bus = [ nonsense in a block
%}
mpc.version = '2';   % the format
mpc.baseMVA = 50*2;
mpc.bus = [
\t1\t3\t1.1e2\t40\t0\t0\t1\t1.0\t0\t240\t1\t1.1\t0.9;   % first
\t20, 2, 110, 40, 0, 0, ...  goes on
\t\t1, 1, 0, 240, 1, 1.1, .9
\t3 1 9.5d1 50 +0 -0 1 1. 0 24*10 1 1.1 0.9 ];
mpc.gen = [1 0 0 Inf -Inf 1 100 1 2e3 0; 20 0 0 1000 -1000 1 100 1 2000 0; 3 0 0 1000 -1000 1 100 0 NaN 0];
mpc.branch = [
 1 3 0.065 0.62 0.45 9000 0 0 0 0 1 -30 30;
 3 20 0.025 0.75 0.7 0 0 0 0.95 -5 1 0 0;
 1 20 0.042 0.9 0.3 1e10 0 0 0 0 0 -360 360 ];
mpc.gencost = [
 2 0 0 3 0.11 5 0 0;
 1 0 0 2 0 0 100 250;
 2 0 0 2 0 0 0 0 ];
mpc.bus_name = { 'North; or so'; 'it''s'; \"3\" };
mpc.areas = [ 1 1; ];
mpc.notes.text = 'a % is no comment here';
";

fn problems(text: &str) -> Vec<String> {
    read(text).unwrap_err().iter().map(ToString::to_string).collect()
}

#[test]
fn a_case_is_read_as_it_is_written() {
    let (n, notes) = read(THREE).unwrap();
    assert_eq!(notes, []);
    assert_eq!((n.name.as_str(), n.base_mva), ("three", 100.0));
    assert_eq!(n.buses.iter().map(|b| b.number).collect::<Vec<_>>(), [1, 20, 3]);
    assert_eq!(n.buses[2].demand_mw, 95.0);
    assert_eq!((n.buses[1].vmin_pu, n.buses[2].base_kv), (0.9, 240.0));
    assert_eq!(n.buses[1].name.as_deref(), Some("it's"));
    assert_eq!(n.buses[0].kind, BusKind::Reference);
    assert_eq!(n.generators[0].q_max_mvar, f64::INFINITY);
    assert_eq!(n.generators[0].cost, Cost::Polynomial(vec![0.0, 5.0, 0.11]));
    assert_eq!(n.generators[1].cost, Cost::Piecewise(vec![(0.0, 0.0), (100.0, 250.0)]));
    assert_eq!(n.generators[2].cost, Cost::Polynomial(vec![]));
    let limits = |k: usize| (n.branches[k].rate_mva, n.branches[k].angle_min_deg, n.branches[k].angle_max_deg);
    assert_eq!(limits(0), (Some(9000.0), Some(-30.0), Some(30.0)));
    assert_eq!(limits(1), (None, None, None));
    assert_eq!(limits(2), (None, None, None));
    assert_eq!((n.branches[0].tap, n.branches[1].tap, n.branches[1].shift_deg), (1.0, 0.95, -5.0));
    assert_eq!((n.branches[1].from, n.branches[1].to), (2, 1));
    assert!(!n.branches[2].in_service && !n.generators[2].in_service);
}

#[test]
fn ohms_and_kilowatts_are_converted_as_the_file_says() {
    let text = "function mpc = feeder
mpc.version = '2';
mpc.baseMVA = 10;
mpc.bus = [ 1 3 0 0 0 0 1 1 0 12.66 1 1 1; 2 1 100 60 0 0 1 1 0 12.66 1 1.1 0.9 ];
mpc.gen = [ 1 0 0 10 -10 1 100 1 10 0 ];
mpc.branch = [ 1 2 0.0922 0.0470 0 0 0 0 0 0 1 -360 360 ];
mpc.gencost = [ 2 0 0 3 0 20 0 ];
[PQ, PV, REF, NONE, BUS_I, BUS_TYPE, PD, QD, GS, BS, BUS_AREA, VM, ...
    VA, BASE_KV, ZONE, VMAX, VMIN, LAM_P, LAM_Q, MU_VMAX, MU_VMIN] = idx_bus;
[F_BUS, T_BUS, BR_R, BR_X] = idx_brch;
Vbase = mpc.bus(1, BASE_KV) * 1e3;      %% in Volts
Sbase = mpc.baseMVA * 1e6;              %% in VA
mpc.branch(:, [BR_R BR_X]) = mpc.branch(:, [BR_R BR_X]) / (Vbase^2 / Sbase);
pf = 0.85;
mpc.bus(:, QD) = mpc.bus(:, PD) * sin(acos(pf));
mpc.bus(:, [PD, QD]) = mpc.bus(:, [PD, QD]) / 1e3;
fixed = 0;
if fixed
    k = find(isinf(mpc.gen(:, QMIN)));
    mpc.gen(k, QMIN) = mpc.gen(k, QG);
end
";
    let (n, _) = read(text).unwrap();
    let ohms = 12_660.0_f64.powi(2) / 10e6;
    assert!((n.branches[0].r_pu - 0.0922 / ohms).abs() < 1e-15 && (n.branches[0].x_pu - 0.047 / ohms).abs() < 1e-15);
    assert_eq!(n.buses[1].demand_mw, 0.1);
    assert!((n.buses[1].demand_mvar - 0.1 * 0.85_f64.acos().sin()).abs() < 1e-15);
    // The same with the switch on is a program that nobody follows here.
    let found = problems(&text.replace("fixed = 0", "fixed = 1"));
    assert!(found.len() == 1 && found[0].starts_with("20: gen is worked out"), "{found:?}");
}

#[test]
fn every_mistake_is_named_with_its_line_at_once() {
    let found = problems(
        "function mpc = wrong
mpc.version = '2';
mpc.baseMVA = 0;
mpc.bus = [
 1 3 0 0 0 0 1 1 0 240 1 1.1 0.9;
 2 1 x 0 0 0 1 1 0 240 1 0.9 1.1;
 2 1 0 NaN 0 0 1 1 0 240 1 1.1 0.9;
 3 7 0 0 0 0 1 1 0 240 1 1.1 0.9;
 4 1 0 0;
];
mpc.gen = [
 1 0 0 1 2 1 100 1 5 10;
 9 0 0 1 0 1 100 1 5 0;
];
mpc.branch = [
 1 2 0 0 0 -5 0 0 0 0 1 -360 360;
 2 8 0.1 0.1 0 0 0 0 -1 0 1 30 -30;
 2 2 0.1 0.1 0 0 0 0 0 0 1 0 0;
];
mpc.gencost = [
 1 0 0 2 10 0 5 100;
 2 0 0 9 1 2 3 4;
 2 0 0 1 1 0 0 0;
];
mpc.bus(:, 3) = rand(3);
",
    );
    let begin = [
        "3: baseMVA is 0",
        "6: bus has \"x\", which is no number",
        "6: bus 2 Vmin 1.1 is above Vmax 0.9",
        "7: bus 2 Qd is NaN",
        "7: bus 2 stands on line 6 already",
        "8: bus 3 type is 7",
        "9: bus has 4 columns in this row, needs 13",
        "12: generator at bus 1 Pmin 10 is above Pmax 5",
        "12: generator at bus 1 Qmin 2 is above Qmax 1",
        "13: generator at bus 9 stands at bus 9, which does not exist",
        "16: branch 1-2 has neither resistance nor reactance",
        "16: branch 1-2 rateA is -5",
        "17: branch 2-8 angmin 30 is above angmax -30",
        "17: branch 2-8 ends at bus 8, which does not exist",
        "17: branch 2-8 ratio is -1",
        "18: branch 2-2 begins and ends at the same bus",
        "20: gencost has 3 rows for 2 generators",
        "25: bus is worked out in a way that is not followed",
    ];
    assert_eq!(found.len(), begin.len(), "{found:#?}");
    for (found, begin) in found.iter().zip(begin) {
        assert!(found.starts_with(begin), "{found} instead of {begin}");
    }
}

#[test]
fn costs_are_named_by_the_line_of_their_own() {
    let text =
        THREE.replace("2 0 0 3 0.11 5 0 0", "2 0 0 9 0.11 5 0 0").replace("1 0 0 2 0 0 100", "1 0 0 2 200 0 100");
    let found = problems(&text);
    assert!(found.len() == 2, "{found:?}");
    assert!(found.iter().any(|p| p.starts_with("19: gencost says n = 9 and has 4 of 9")), "{found:?}");
    assert!(found.iter().any(|p| p.contains("generator at bus 20 cost goes from 200 MW to 100 MW")), "{found:?}");
}

#[test]
fn islands_and_references_are_told_apart() {
    // Bus 20 loses its only line.
    let cut = THREE.replace("3 20 0.025 0.75 0.7 0 0 0 0.95 -5 1", "3 20 0.025 0.75 0.7 0 0 0 0.95 -5 0");
    let (n, notes) = read(&cut).unwrap();
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(notes[0].what.contains("(20) has no reference bus"), "{notes:?}");
    assert_eq!(n.islands().reference, [0, 1]);
    let starved = cut.replace("20 0 0 1000 -1000 1 100 1", "20 0 0 1000 -1000 1 100 0");
    assert!(problems(&starved)[0].starts_with("10: no generator in service reaches bus 20 (110 MW)"));
    let isolated = starved.replace("20, 2, 110", "20, 4, 110");
    assert!(read(&isolated).is_ok());
    let dark = starved.replace("20, 2, 110, 40", "20, 1, 0, 0");
    let (n, notes) = read(&dark).unwrap();
    assert!(notes[0].what.contains("left out"), "{notes:?}");
    assert_eq!(n.islands().of, [0, crate::network::DARK, 0]);
    let two = THREE.replace("20, 2, 110", "20, 3, 110");
    assert!(problems(&two)[0].starts_with("10: bus 20 is connected to other reference buses (1, 20)"));
    let none = THREE.replace("1\t3\t1.1e2", "1\t2\t1.1e2");
    assert!(problems(&none)[0].starts_with("there is no reference bus"));
}

#[test]
fn what_is_no_case_is_said_to_be_none() {
    for (text, begin) in [
        ("", "bus is missing"),
        ("function [baseMVA, bus] = old\n", "1: function returns a list"),
        (&THREE.replace("'2'", "'1'"), "6: version is \"1\", must be '2'"),
        (&THREE[..THREE.len() - 160], "18: gencost is not closed"),
        ("for k = 1:3\nend", "1: for is a program"),
        ("\u{feff}%{\nnever closed", "bus is missing"),
    ] {
        let found = problems(text);
        assert!(found.iter().any(|p| p.starts_with(begin)), "{found:#?} instead of {begin}");
    }
}
