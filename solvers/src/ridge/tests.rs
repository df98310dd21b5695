use super::*;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

struct Problem {
    x: DMatrix<f64>,
    y: DVector<f64>,
    weights: Vec<f64>,
    prior: Vec<Prior>,
}

/// Rows with two columns that are nearly the same, one that is empty, and weights over four decades.
fn problem(seed: u64) -> Problem {
    let mut rng = fastrand::Rng::with_seed(seed);
    let (rows, columns) = (rng.usize(3..60), rng.usize(3..9));
    let mut x = DMatrix::from_fn(rows, columns, |_, _| rng.f64() * 2.0 - 0.5);
    for row in 0..rows {
        x[(row, 1)] = x[(row, 0)] * (1.0 + 1e-6 * rng.f64());
        x[(row, 2)] = 0.0;
    }
    let y = DVector::from_fn(rows, |_, _| rng.f64() * 10.0);
    let weights = (0..rows).map(|_| 10_f64.powf(rng.f64() * 4.0 - 2.0)).collect();
    let prior = (0..columns).map(|_| Prior::around(rng.f64(), 10_f64.powf(rng.f64() * 3.0 - 2.0))).collect();
    Problem { x, y, weights, prior }
}

/// A Python that has numpy. Without one the test says so and passes, unless `MICROGRID_REQUIRE_FOREIGN=1`.
fn python() -> Option<PathBuf> {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.venv/bin/python");
    let python = std::env::var_os("MICROGRID_PYTHON").map_or(ours, PathBuf::from);
    let found = Command::new(&python).args(["-c", "import numpy"]).output().is_ok_and(|o| o.status.success());
    assert!(
        found || std::env::var("MICROGRID_REQUIRE_FOREIGN").as_deref() != Ok("1"),
        "numpy is missing, and MICROGRID_REQUIRE_FOREIGN=1"
    );
    if !found {
        eprintln!("NOT TESTED: numpy is missing; see gateway/tests/foreign/requirements.txt");
    }
    found.then_some(python)
}

#[test]
fn numpy_finds_the_same_coefficients_and_variances() {
    let Some(python) = python() else { return };
    for seed in 0..12 {
        println!("seed {seed}");
        let p = problem(seed);
        let mut text = format!("{} {}\n", p.x.nrows(), p.x.ncols());
        for row in 0..p.x.nrows() {
            p.x.row(row).iter().for_each(|v| write!(text, "{v:e} ").unwrap());
            writeln!(text, "{:e} {:e}", p.y[row], p.weights[row]).unwrap();
        }
        p.prior.iter().for_each(|p| writeln!(text, "{:e} {:e}", p.mean, p.precision).unwrap());
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign/lstsq.py");
        let mut command = Command::new(&python);
        let mut child =
            command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it cannot start");
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let out = child.wait_with_output().unwrap();
        assert!(out.status.success());
        let out = String::from_utf8(out.stdout).unwrap();
        let mut lines = out.lines().map(|l| l.split(' ').map(|w| w.parse::<f64>().unwrap()).collect::<Vec<_>>());
        let (theirs, variances) = (lines.next().unwrap(), lines.next().unwrap());
        let ours = solve(&p.x, &p.y, &p.weights, &p.prior).unwrap();
        for (i, (mean, variance)) in theirs.iter().zip(&variances).enumerate() {
            // Normal equations keep half the digits that singular values keep.
            assert!((ours.mean[i] - mean).abs() <= 1e-6 * mean.abs().max(1.0), "{i}: {} {mean}", ours.mean[i]);
            assert!((ours.covariance[(i, i)] / variance - 1.0).abs() <= 1e-6, "{i}: {variance}");
        }
    }
}

#[test]
fn a_column_that_says_nothing_leaves_the_prior_standing() {
    let p = problem(3);
    let found = solve(&p.x, &p.y, &p.weights, &p.prior).unwrap();
    assert!((found.mean[2] - p.prior[2].mean).abs() < 1e-12);
    assert!((found.covariance[(2, 2)] * p.prior[2].precision - 1.0).abs() < 1e-9);
    assert!(found.effective > 0.0 && found.effective < 8.0);
}

#[test]
fn numbers_that_are_none_have_no_answer() {
    let mut p = problem(4);
    p.y[0] = f64::NAN;
    assert!(solve(&p.x, &p.y, &p.weights, &p.prior).is_none());
}
