//! `forecast`: what a load will be, and what that is worth.

use super::load::Loads;
use super::print;
use crate::cli::{Forecast, Horizon};
use crate::failure::{Code, Failure};
use contracts::keccak256;
use domain::Unit;
use serde_json::{Value, json};
use solvers::forecast::{Outcome, QUANTILES, Score, Series, Settings, bytes, forecast as run};

/// `forecast`
pub fn forecast(options: &Forecast) -> Result<(), Failure> {
    let loads = Loads::open(&options.history)?;
    let series = loads.series()?;
    let unit = loads.unit;
    let horizon = match options.horizon {
        Horizon::Slots(slots) => slots,
        Horizon::Time(time) => {
            let minutes = usize::try_from(time.as_secs() / 60).unwrap_or(usize::MAX);
            minutes / usize::try_from(series.step).unwrap_or(1)
        }
    };
    let settings = Settings { train_until: options.train_until, ..Settings::new(horizon, options.seed) };
    let outcome = run(&series, &settings).map_err(|e| {
        let code = if matches!(e, solvers::forecast::NoForecast::Horizon(_)) { Code::Usage } else { Code::Data };
        Failure::new(code, format!("{}: {e}", loads.name))
    })?;
    if options.json { print(&format!("{}\n", as_json(&outcome, &series, unit))) } else { print(&told(&outcome, unit)) }
}

fn symbol(unit: Unit) -> &'static str {
    match unit {
        Unit::Watts => "W",
        Unit::WattHours => "Wh",
    }
}

/// The hash of what was learned. Where nothing was, the naive models have no state: that of nothing.
fn model_hash(outcome: &Outcome) -> String {
    keccak256(outcome.model.as_ref().map(solvers::forecast::Model::bytes).unwrap_or_default()).to_string()
}

fn as_json(outcome: &Outcome, series: &Series, unit: Unit) -> Value {
    let score = |s: &Score| json!({ "mape": s.mape, "mase": s.mase, "coverage": s.coverage, "mae": s.mae, "n": s.n, "zeros": s.zeros });
    let models: serde_json::Map<String, Value> = outcome
        .scores
        .iter()
        .map(|s| {
            let mut told = score(s.test.as_ref().unwrap_or(&s.validation));
            told["validation"] = score(&s.validation);
            told["test"] = s.test.as_ref().map_or(Value::Null, score);
            (s.model.to_owned(), told)
        })
        .collect();
    let ahead: Vec<Value> = outcome
        .ahead
        .iter()
        .map(|a| {
            let quantiles: serde_json::Map<String, Value> =
                QUANTILES.iter().zip(a.quantiles).map(|(p, q)| (p.to_string(), json!(q))).collect();
            json!({ "timestamp": a.at.to_string(), "value": a.value, "low": a.quantiles[1], "high": a.quantiles[5],
                    "quantiles": quantiles })
        })
        .collect();
    json!({
        "unit": symbol(unit),
        "step_minutes": series.step,
        "filled": series.real.iter().filter(|r| !**r).count(),
        "trained": { "from": outcome.data.0.to_string(), "until": outcome.data.1.to_string() },
        "scored_on": if outcome.origins.1 > 0 { "test" } else { "validation" },
        "origins": { "validation": outcome.origins.0, "test": outcome.origins.1 },
        "models": models,
        "chosen": outcome.chosen,
        "model_hash": model_hash(outcome),
        "forecast_hash": keccak256(bytes(&outcome.ahead)).to_string(),
        "forecast": ahead,
    })
}

fn told(outcome: &Outcome, unit: Unit) -> String {
    let number = |v: Option<f64>| v.map_or_else(|| "-".to_owned(), |v| format!("{v:.3}"));
    let mut text = format!("learned from {} until {}\n", outcome.data.0, outcome.data.1);
    let on = if outcome.origins.1 > 0 { outcome.origins.1 } else { outcome.origins.0 };
    text +=
        &format!("{:<12}{:>10}{:>10}{:>12}   on {on} days not learned from\n", "model", "MAPE %", "MASE", "coverage");
    for s in &outcome.scores {
        let told = s.test.as_ref().unwrap_or(&s.validation);
        let (mape, mase, coverage) = (number(told.mape), number(told.mase), number(told.coverage));
        text += &format!("{:<12}{mape:>10}{mase:>10}{coverage:>12}\n", s.model);
    }
    text +=
        &format!("chosen: {}, by the errors before training ended\nmodel {}\n", outcome.chosen, model_hash(outcome));
    for a in &outcome.ahead {
        let (low, high, unit) = (a.quantiles[1], a.quantiles[5], symbol(unit));
        text += &format!("{}  {:.0} {unit}, {low:.0} to {high:.0} in four of five\n", a.at, a.value);
    }
    text
}
