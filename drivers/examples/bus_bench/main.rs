//! What the field buses achieve, measured against simulated devices on real sockets and pseudo-terminals:
//! `cargo run --release -p drivers --example bus_bench [-- [--json] [tcp] [slow] [several] [serial [BAUD]] [loopback]]`.
//!
//! Every meter has ten 32-bit floats in 20 adjacent registers. Devices run on a thread of their own.

#![allow(clippy::expect_used, reason = "a measurement that cannot go on should stop and say where")]

mod devices;
mod log;
mod wire;

use devices::{Line, Manner, Server};
use domain::Clock;
use drivers::{Bus, BusKind, BusSpec, DeviceAddress, Meter, Next, Parity, Round, Template};
use log::Log;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Bytes on the wire for one reading: the question, and 20 registers.
const QUESTION: u32 = 8;
const ANSWER: u32 = 45;

const MODEL: &str = include_str!("../../peers/ten-floats.toml");

/// One line of the table.
struct Row {
    what: String,
    value: f64,
    unit: &'static str,
    wanted: Option<(&'static str, f64)>,
}

impl Row {
    fn met(&self) -> Option<bool> {
        self.wanted.map(|(how, limit)| if how == "<=" { self.value <= limit } else { self.value >= limit })
    }
}

fn row(what: impl Into<String>, value: f64, unit: &'static str, wanted: Option<(&'static str, f64)>) -> Row {
    Row { what: what.into(), value, unit, wanted }
}

/// Meters of one bus, read as the gateway reads them.
struct Reader {
    meters: Vec<Arc<dyn Meter>>,
    round: Round,
    /// When each meter answered.
    answers: Vec<Vec<Instant>>,
}

impl Reader {
    fn new(kind: BusKind, units: u8, period: Duration, pipeline: u8) -> Self {
        Self::watched(kind, units, period, pipeline, None)
    }

    fn watched(kind: BusKind, units: u8, period: Duration, pipeline: u8, log: Option<&Log>) -> Self {
        let clock = Clock::new(1, || domain::Timestamp(0));
        let spec = BusSpec { pipeline, ..BusSpec::new("bench".parse().expect("a name"), kind) };
        let bus = Bus::open(spec, clock).expect("a bus");
        log.iter().for_each(|log| bus.watch(log.watcher()));
        let model = Arc::new(Template::parse("bench.toml", MODEL).expect("a model"));
        let meter = |unit| {
            let id = format!("m{unit}").parse().expect("a name");
            bus.meter(id, Arc::clone(&model), DeviceAddress::Unit(unit)).expect("a meter")
        };
        let meters: Vec<_> = (1..=units).map(meter).collect();
        let round = Round::new(meters.iter().map(|_| period), Instant::now());
        Self { answers: vec![Vec::new(); meters.len()], meters, round }
    }

    async fn run(&mut self, time: Duration) {
        self.answers.iter_mut().for_each(Vec::clear);
        let end = Instant::now() + time;
        let mut readings = JoinSet::new();
        while Instant::now() < end || !readings.is_empty() {
            let now = Instant::now();
            let next = if now < end { self.round.next(now, |i| self.meters[i].outlook()) } else { Next::Wait(now) };
            let wait = match next {
                Next::Wait(at) => at.min(end),
                Next::Ask { index, until } => {
                    let (meter, far) = (Arc::clone(&self.meters[index]), now + Duration::from_secs(3600));
                    readings.spawn(async move {
                        let read = tokio::time::timeout_at(until.unwrap_or(far), meter.read()).await;
                        let silent = drivers::DeviceError::Silent { waited: now.elapsed() };
                        (index, now, Instant::now(), read.unwrap_or(Err(silent)))
                    });
                    continue;
                }
            };
            let done = tokio::select! {
                biased;
                Some(done) = readings.join_next() => done,
                () = tokio::time::sleep_until(wait), if now < end => continue,
            };
            let (index, began, ended, read) = done.expect("a reading that ends");
            match read {
                Ok(_) => {
                    self.round.answered(index, began, ended);
                    self.answers[index].push(ended);
                }
                Err(error) => self.round.failed(index, began, ended, &error),
            }
        }
    }

    fn readings(&self) -> f64 {
        self.answers.iter().map(|a| f64::from(u32::try_from(a.len()).unwrap_or(u32::MAX))).sum()
    }

    /// Mean and longest time between two answers of one meter.
    fn refresh(&self) -> (f64, f64) {
        let gaps: Vec<f64> =
            self.answers.iter().flat_map(|a| a.windows(2).map(|w| (w[1] - w[0]).as_secs_f64())).collect();
        let count = f64::from(u32::try_from(gaps.len()).unwrap_or(u32::MAX));
        (gaps.iter().sum::<f64>() / count, gaps.iter().copied().fold(0.0, f64::max))
    }
}

fn tcp(server: &Server) -> BusKind {
    BusKind::ModbusTcp { address: server.address.clone(), timeout: Duration::from_secs(1) }
}

/// 50 meters, one port, a reading a second, and some that never answer.
async fn one_port(rows: &mut Vec<Row>) {
    for silent in [0_u8, 1, 5] {
        let server = Server::start((1..=silent).map(|n| n * 7).collect(), Duration::ZERO, Manner::InTurn);
        let mut reader = Reader::new(tcp(&server), 50, Duration::from_secs(1), 1);
        reader.run(Duration::from_secs(8)).await;
        let before = server.requests();
        reader.run(Duration::from_secs(20)).await;
        let (mean, longest) = reader.refresh();
        if silent == 0 {
            let requests = f64::from(server.requests() - before) / reader.readings();
            rows.push(row("50 meters, requests per reading", requests, "", Some(("<=", 1.0))));
        }
        let limit = Some(("<=", 1.05));
        rows.push(row(format!("50 meters, {silent} silent: refresh of a live one"), mean, "s", limit));
        rows.push(row(format!("50 meters, {silent} silent: longest gap of a live one"), longest, "s", None));
    }
}

/// 50 meters behind a gateway that takes 60 ms for each transaction.
async fn slow(rows: &mut Vec<Row>) {
    let server = Server::start(Vec::new(), Duration::from_millis(60), Manner::InTurn);
    let mut reader = Reader::new(tcp(&server), 50, Duration::from_secs(1), 1);
    reader.run(Duration::from_secs(4)).await;
    reader.run(Duration::from_secs(16)).await;
    rows.push(row("60 ms a transaction: round of 50 meters", reader.refresh().0, "s", Some(("<=", 3.1))));
}

/// 20 units behind one gateway that takes 60 ms for each, as fast as it goes, with and without a silent one.
async fn several(rows: &mut Vec<Row>) {
    let stuck = Manner::Stuck(Duration::from_secs(1));
    for (how, manner) in [("all at a time", Manner::Abreast), ("one by one, stuck for 1 s", stuck)] {
        for pipeline in [1, 4, 8] {
            for silent in [vec![], vec![7]] {
                let dead = silent.len();
                let server = Server::start(silent, Duration::from_millis(60), manner);
                let mut reader = Reader::new(tcp(&server), 20, Duration::from_millis(1), pipeline);
                reader.run(Duration::from_secs(8)).await;
                reader.run(Duration::from_secs(20)).await;
                let what = format!("gateway {how}; pipeline {pipeline}, {dead} silent of 20: round");
                rows.push(row(what, reader.refresh().0, "s", None));
            }
        }
    }
}

/// 32 meters on a serial line, as fast as it goes.
async fn serial(rows: &mut Vec<Row>, only: &[String]) {
    let chosen = |baud: &u32| {
        let named = |text: &String| text.parse::<u32>().ok();
        only.iter().filter_map(named).next().is_none() || only.iter().filter_map(named).any(|b| b == *baud)
    };
    for baud in [9600_u32, 19_200, 115_200].into_iter().filter(chosen) {
        let mut rates = Vec::new();
        for dead in [0_u8, 3] {
            let log = Log::default();
            let line = Line::start(baud, (1..=dead).map(|n| n * 9).collect(), log.clone());
            let timeout = Duration::from_millis(500);
            let kind =
                BusKind::ModbusRtu { port: line.port.clone(), baud, parity: Parity::None, stop_bits: 1, timeout };
            let gap = kind.turnaround();
            let mut reader = Reader::watched(kind, 32, Duration::from_millis(1), 1, Some(&log));
            reader.run(Duration::from_secs(6)).await;
            let time = Duration::from_secs(if dead == 0 { 10 } else { 40 });
            log.clear();
            reader.run(time).await;
            let rate = reader.readings() / time.as_secs_f64();
            let shortest = Duration::from_secs(1) * (QUESTION + ANSWER) * 11 / baud + gap * 2;
            let most = 1.0 / shortest.as_secs_f64();
            if dead == 0 {
                let mut say = |what: &str, value: f64, unit, wanted| {
                    rows.push(row(format!("{baud} baud: {what}"), value, unit, wanted));
                };
                let able = devices::bare(baud, gap, Duration::from_secs(5));
                say("of what a bare loop does", 100.0 * rate / able, "%", None);
                say("readings a second", rate, "/s", None);
                say("of what the wire can", 100.0 * rate / most, "%", Some((">=", 97.0)));
                let times = log.times();
                let share = 100.0 * shortest.as_secs_f64() / times.whole.as_secs_f64();
                say("the median reading: of what the wire can", share, "%", None);
                let ms = |time: Duration| time.as_secs_f64() * 1000.0;
                say("the same: its time beyond that of the wire", ms(times.whole) - ms(shortest), "ms", None);
                say("pty's way to the devices (no part of it)", ms(times.there), "ms", None);
                say("from the last bit to the driver", ms(times.back), "ms", None);
                say("from the answer to the next question", ms(times.rest), "ms", None);
            }
            rates.push(rate);
        }
        let lost = 100.0 * (1.0 - rates[1] / rates[0]);
        rows.push(row(format!("{baud} baud: rate lost to 3 dead of 32"), lost, "%", Some(("<=", 5.0))));
    }
}

/// One connection, one question after the other.
async fn loopback(rows: &mut Vec<Row>) {
    let server = Server::start(Vec::new(), Duration::ZERO, Manner::InTurn);
    let reader = Reader::new(tcp(&server), 1, Duration::from_secs(1), 1);
    let (began, mut count) = (Instant::now(), 0_u32);
    while began.elapsed() < Duration::from_secs(3) {
        reader.meters[0].read().await.expect("a reading");
        count += 1;
    }
    rows.push(row("loopback, one connection", f64::from(count) / began.elapsed().as_secs_f64(), "/s", None));
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let parts = ["tcp", "slow", "several", "serial", "loopback"];
    let all = !wanted.iter().any(|w| parts.contains(&w.as_str()));
    let chosen = |part: &str| all || wanted.iter().any(|w| w == part);
    let mut rows = Vec::new();
    if chosen("tcp") {
        one_port(&mut rows).await;
    }
    if chosen("slow") {
        slow(&mut rows).await;
    }
    if chosen("several") {
        several(&mut rows).await;
    }
    if chosen("serial") {
        serial(&mut rows, &wanted).await;
    }
    if chosen("loopback") {
        loopback(&mut rows).await;
    }
    if wanted.iter().any(|w| w == "--json") {
        let line = |r: &Row| {
            let limit = r.wanted.map(|(how, limit)| format!("{how} {limit}"));
            serde_json::json!({ "what": r.what, "value": r.value, "unit": r.unit, "wanted": limit, "met": r.met() })
        };
        println!("{}", serde_json::Value::from_iter(rows.iter().map(line)));
    } else {
        for r in &rows {
            let verdict = match (r.wanted, r.met()) {
                (Some((how, limit)), Some(met)) => format!("{} {how} {limit}", if met { "met:   " } else { "MISSED:" }),
                _ => String::new(),
            };
            println!("{:<66} {:>10.3} {:<3} {verdict}", r.what, r.value, r.unit);
        }
    }
}
