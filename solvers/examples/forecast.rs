//! Prints what the models are worth on load histories: `cargo run --release -p solvers --example forecast FILE DAYS`,
//! the last DAYS of each file kept back, one forecast of a day from every midnight. With DAYS 0 it does what the gateway does
//! once a day.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a measurement that cannot go on should stop"
)]

use domain::{LoadTable, Timestamp};
use solvers::forecast::{Row, Series, Settings, forecast};

/// A number of this process that the kernel tells (Linux), the first behind a word.
fn status(file: &str, behind: &str) -> u64 {
    let text = std::fs::read_to_string(file).expect("Linux");
    let after = text.split_once(behind).expect("a word").1;
    after.split_whitespace().next().expect("a number").parse().expect("a number")
}

/// Seconds of the processor that this thread, the only one, has used, which do not depend on who else is busy.
fn used() -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "nanoseconds of minutes")]
    let nanoseconds = status("/proc/self/schedstat", "") as f64;
    nanoseconds / 1e9
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let days: i64 = arguments.get(1).map_or(60, |d| d.parse().expect("a number of days"));
    let text = std::fs::read_to_string(&arguments[0]).expect("a readable file");
    let table = LoadTable::parse(&text).unwrap_or_else(|p| panic!("{}", p[0]));
    let rows: Vec<Row> = table.rows.iter().map(|r| Row { at: r.at, offset: r.offset, value: r.loads[0] }).collect();
    let series = Series::from_rows(&rows).expect("a series");
    let last = series.instant(series.values.len());
    let until = Timestamp(last.0 - days * 86_400_000);
    let settings = Settings { train_until: Some(until), ..Settings::new(series.day(), 1) };
    let start = used();
    let outcome = forecast(&series, &settings).expect("a forecast");
    println!("{} slots of {} min, {:.1} s of the processor", series.values.len(), series.step, used() - start);
    println!("| model | validation MAPE, MASE, coverage | test MAPE, MASE, coverage |");
    println!("| --- | --- | --- |");
    let show = |s: &solvers::forecast::Score| {
        let or = |v: Option<f64>| v.map_or("–".into(), |v| format!("{v:.3}"));
        format!("{} {} {}", or(s.mape), or(s.mase), or(s.coverage))
    };
    for s in &outcome.scores {
        println!("| {} | {} | {} |", s.model, show(&s.validation), s.test.as_ref().map_or(String::new(), show));
    }
    if let Some(model) = &outcome.model {
        let (origin, times) = (series.slot_at(until), 200);
        let start = used();
        for _ in 0..times {
            std::hint::black_box(model.ahead(std::hint::black_box(&series), origin, series.day()));
        }
        println!("a day by what was learned: {:.2} ms", 1000.0 * (used() - start) / f64::from(times));
    }
    println!("resident at most: {} KiB", status("/proc/self/status", "VmHWM:"));
    let (numbers, bytes) = outcome.model.as_ref().map_or((0, 0), |m| (m.size(), m.bytes().len()));
    println!("chosen: {}; origins {:?}; model of {numbers} numbers, {bytes} bytes", outcome.chosen, outcome.origins);
}
