//! Load histories from outside: out of the ledger, into forecasts and ranges, and refused where they are wrong.

use crate::balance::{config_with, record_from};
use crate::house::{self, Ended, Room};
use serde_json::Value;
use std::fmt::Write as _;

/// 2026-03-02T00:00:00Z
const MIDNIGHT: i64 = 1_772_409_600_000;
const DAY_QUARTERS: i64 = 96;

fn on(verb: &str, file: &std::path::Path, more: &[&str]) -> Ended {
    let mut command = house::gateway([verb]);
    house::run(command.arg(file).args(more))
}

fn json(ended: &Ended) -> Value {
    serde_json::from_str(&ended.well().out).unwrap_or_else(|e| panic!("{e}: {}", ended.out))
}

/// So many days of a home by the hour: dear evenings, and a wiggle that repeats every week.
fn home(days: i64) -> String {
    let mut text = "timestamp,home_w,other_kwh\n".to_owned();
    for hour in 0..days * 24 {
        let (day, hour) = (hour / 24, hour % 24);
        let load = if (17..21).contains(&hour) { 2000 } else { 400 } + (hour * 7 + day % 7 * 31) % 50;
        let at = MIDNIGHT / 1000 + day * 86_400 + hour * 3600;
        let at = jiff_like(at);
        writeln!(text, "{at},{load},1.5").unwrap();
    }
    text
}

/// RFC 3339 of an instant in March to May 2026.
fn jiff_like(at: i64) -> String {
    domain::Timestamp(at * 1000).to_string()
}

#[test]
fn a_forecast_tells_what_every_model_was_worth_and_the_same_bytes_every_time() {
    let room = Room::new();
    let file = room.write("home.csv", home(40));
    let more =
        ["--column", "home_w", "--horizon", "24", "--train-until", "2026-04-04T00:00:00Z", "--seed", "1", "--json"];
    let told = json(&on("forecast", &file, &more));
    let models = told["models"].as_object().unwrap();
    for name in ["naive_day", "naive_week", "ridge", "gru", "blend"] {
        let score = models.get(name).unwrap_or_else(|| panic!("{name} is not in {told:#}"));
        for key in ["mape", "mase", "coverage"] {
            assert!(score[key].is_number(), "{name} {key}: {score}");
        }
    }
    assert!(models.contains_key(told["chosen"].as_str().unwrap()));
    let hash = told["model_hash"].as_str().unwrap();
    assert!(hash.len() == 66 && hash.starts_with("0x"), "{hash}");
    let forecast = told["forecast"].as_array().unwrap();
    assert_eq!((forecast.len(), &forecast[0]["timestamp"]), (24, &"2026-04-04T00:00:00Z".into()));
    let evening = forecast[18]["value"].as_f64().unwrap();
    assert!((1900.0..2150.0).contains(&evening), "{evening}");
    assert!(forecast.iter().all(|f| f["low"].as_f64() <= f["high"].as_f64()));
    assert_eq!(told, json(&on("forecast", &file, &more)));
    // Without a column the units have no sum.
    on("forecast", &file, &["--json"]).complains(64, &["columns in W and in Wh have no sum", "--column"]);
    on("forecast", &file, &["--column", "home"]).complains(64, &["there is no column \"home\"", "home_w"]);
}

#[test]
fn the_ranges_of_a_day_are_those_of_the_contract() {
    let room = Room::new();
    let file = room.write("home.csv", home(1));
    let told = json(&on("tou", &file, &["--column", "home_w", "-k", "2", "--json"]));
    let assignment: Vec<i64> = told["assignment"].as_array().unwrap().iter().map(|l| l.as_i64().unwrap()).collect();
    let wanted: Vec<i64> = (0..24).map(|hour| i64::from((17..21).contains(&hour))).collect();
    assert_eq!(assignment, wanted);
    assert_eq!((&told["switches"], &told["solidity_agrees"]), (&2.into(), &true.into()));
    assert_eq!(told["centroids"].as_array().unwrap().len(), 2);
    assert!(told["inertia"].as_f64().unwrap() > 0.0);
}

#[test]
fn prices_that_recover_a_cost_are_in_proportion_and_bring_in_no_less_and_hardly_more() {
    let room = Room::new();
    let file = room.write("home.csv", home(1));
    let tou = |more: &[&str]| on("tou", &file, &[&["--column", "home_w", "--json"][..], more].concat());
    let told = json(&tou(&["--recover", "5.00", "--weights", "100,200"]));
    let euro = domain::Currency { code: "EUR".into(), decimals: 9 };
    let money = |value: &Value| euro.parse(value.as_str().unwrap()).unwrap().0;
    let prices = told["prices"].as_array().unwrap();
    let (low, high) = (money(&prices[0]["per_kwh"]), money(&prices[1]["per_kwh"]));
    assert!((2 * low - high).abs() <= 2000 && low > 0, "{prices:?}");
    let sum = |key: &str, of: fn(&Value) -> i64| prices.iter().map(|p| of(&p[key])).sum::<i64>();
    let (energy, brings_in) =
        (sum("energy_wh", |v| v.as_i64().unwrap()), prices.iter().map(|p| money(&p["brings_in"])).sum::<i64>());
    // Hours of watts: as many watt-hours.
    assert_eq!(energy, told["values"].as_array().unwrap().iter().map(|v| v.as_i64().unwrap()).sum::<i64>());
    assert!((5_000_000_000..=5_000_000_000 + energy).contains(&brings_in), "{brings_in} for {energy} Wh");
    tou(&["--recover", "5.00", "--weights", "100"]).complains(64, &["--weights", "2 ranges"]);
    tou(&["--recover", "5,00"]).complains(64, &["--recover", "\"5,00\" is no amount"]);
    tou(&["--recover", "9999999"]).complains(65, &["home.csv", "a watt-hour would cost more"]);
    tou(&["--weights", "1,2"]).complains(64, &["--recover"]);
}

#[test]
fn every_wrong_line_of_a_history_is_named() {
    let room = Room::new();
    let text = "timestamp,a\n2026-03-02T00:00:00Z,1\n2026-03-02T01:00:00Z,x\n2026-03-02T00:30:00Z,1\n2026-03-02,1,2\n";
    let file = room.write("bad.csv", text);
    for verb in ["forecast", "tou"] {
        let ended = on(verb, &file, &["--json"]);
        ended.complains(65, &["bad.csv: line 3, a:", "bad.csv: line 4, timestamp:", "bad.csv: line 5: 3 cells, but 2"]);
    }
    let latin = room.write("latin.csv", b"timestamp,a\n2026-03-02T00:00:00Z,\xff\n");
    on("forecast", &latin, &[]).complains(65, &["line 2", "UTF-8"]);
    let short = room.write("short.csv", home(1));
    on("forecast", &short, &["--column", "home_w"]).complains(65, &["short.csv", "too few"]);
    on("forecast", &room.path("none.csv"), &[]).complains(69, &["none.csv"]);
    house::run(&mut house::gateway(["forecast"])).complains(64, &["FILE"]);
}

#[test]
fn the_load_of_the_homes_comes_out_of_the_ledger_as_a_file_that_forecast_reads() {
    let room = Room::new();
    let config = config_with(&room, "");
    record_from(&room, MIDNIGHT, 21 * DAY_QUARTERS, 0, 100);
    let all = house::verb(&["load", "--interval", "15m", "--each"], &config);
    let mut lines = all.well().out.lines();
    assert_eq!(lines.next(), Some("timestamp,load_wh,home-0_wh,home-1_wh,home-2_wh,home-3_wh,home-4_wh"));
    let first = lines.next().unwrap();
    let numbers: Vec<i64> = first.split(',').skip(1).map(|n| n.parse().unwrap()).collect();
    assert!(first.starts_with("2026-03-02T00:00:00") && numbers[0] == numbers[1..].iter().sum::<i64>(), "{first}");
    assert_eq!(i64::try_from(lines.count()).unwrap(), 21 * DAY_QUARTERS - 1);
    let hours = house::verb(&["load"], &config);
    let file = room.write("load.csv", &hours.well().out);
    let (from_file, from_ledger) =
        (json(&on("forecast", &file, &["--json"])), json(&house::verb(&["forecast", "--json"], &config)));
    assert_eq!(from_file["forecast_hash"], from_ledger["forecast_hash"]);
    assert_eq!((&from_file["unit"], &from_file["step_minutes"]), (&"Wh".into(), &60.into()));
    let one = house::verb(&["load", "--account", "home-1"], &config);
    assert!(one.well().out.starts_with("timestamp,home-1_wh\n"), "{}", one.out);
    house::verb(&["load", "--account", "home-9"], &config).complains(64, &["\"home-9\" is no account"]);
    house::verb(&["load", "--interval", "7m"], &config).complains(64, &["15m, 30m or 1h"]);
}

#[test]
fn a_contract_for_forecasts_is_deployed_and_its_address_is_a_key_of_the_configuration() {
    let room = Room::new();
    let config = room.config(house::SOUND);
    let other = "0x70997970c51812dc3a010c7d01b50e0d17dc79c8";
    let made = house::verb(&["chain", "deploy-ranges", "--notice", "2h", "--gateway", other], &config);
    let address = made.well().out.trim().to_owned();
    assert!(address.starts_with("0x") && address.len() == 42, "{address}");
    house::verb(&["chain", "deploy-ranges", "--gateway", "0x1"], &config).complains(64, &["is no address"]);
    let text = house::SOUND
        .replace("chain_id = 31337", &format!("chain_id = 31337\ntime_of_use = \"{address}\""))
        .replace("[web]", "ranges = \"forecast\"\n[forecast]\nat = \"19:30\"\n[web]");
    house::verb(&["check"], &room.config(&text)).well();
    let wrong = text.replace("19:30", "23:30").replace("\"forecast\"", "\"guess\"");
    house::verb(&["check"], &room.config(&wrong)).complains(78, &["forecast.at", "tariff.ranges", "\"guess\""]);
}
