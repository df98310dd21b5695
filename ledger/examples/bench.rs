//! What the ledger costs on this machine. Prints the figures of ledger/README.md:
//! `cargo run --release -p ledger --example bench` (in a folder on a real disk; it makes and removes `.ledger-bench`).
#![allow(clippy::unwrap_used, clippy::cast_precision_loss, missing_docs, reason = "a measurement stops where it fails")]

use domain::Fact;
use domain::{
    AccountId, Guard, MeterId, Permille, Price, Rates, Reading, RegisterPrices, Seq, Tariff, TimeZone, Timestamp,
    Volts, WattHours, Watts,
};
use ledger::{Enrolled, Enrolment, Keep, Ledger, Outcome, Priced, Write};
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// 2026-03-02T00:00:00Z
const BEGUN: i64 = 1_772_409_600_000;
const MINUTE: i64 = 60_000;
const PRICES: RegisterPrices =
    RegisterPrices { off_peak: Price(180_000), peak: Price(320_000), feed_in: Price(80_000) };

fn main() {
    let days = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(30);
    let folder = PathBuf::from(".ledger-bench");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir(&folder).unwrap();
    many_accounts(&folder);
    a_month(&folder, days);
    std::fs::remove_dir_all(&folder).unwrap();
}

fn tariff() -> Tariff {
    Tariff {
        version: 1,
        since: Timestamp(0),
        interval_s: 900,
        peak_hours: vec!["17:00-22:00".parse().unwrap()],
        zone: TimeZone::utc(),
        pool_share: Permille::NONE,
        rates: Rates { off_peak: Price(180_000), peak: Price(320_000), feed_in: Price(80_000), ..Rates::default() },
        classes: BTreeMap::new(),
    }
}

struct Site {
    ledger: Ledger,
    meters: Vec<MeterId>,
    guards: BTreeMap<MeterId, Guard>,
}

impl Site {
    fn new(file: &Path, homes: usize) -> Self {
        let ledger = Ledger::open(file).unwrap();
        let meters: Vec<MeterId> = (0..homes).map(|i| format!("home-{i}").parse().unwrap()).collect();
        let account = |m: &MeterId| m.as_str().parse::<AccountId>().unwrap();
        ledger
            .enrol(&Enrolment {
                accounts: meters.iter().map(|m| Enrolled { id: account(m), debt_share: Permille::NONE }).collect(),
                meters: meters.iter().map(|m| (m.clone(), Some(account(m)))).collect(),
            })
            .unwrap();
        ledger.adopt_tariff(Timestamp(0), &tariff(), None, "bench").unwrap();
        let opened =
            meters.iter().zip(1..).map(|(m, number)| Write::Fact(Fact::AccountOpened { account: account(m), number }));
        write(&ledger, BEGUN, opened.collect());
        let guards = meters.iter().map(|m| (m.clone(), Guard::new(Watts(50_000)))).collect();
        Self { ledger, meters, guards }
    }

    fn readings(&self, at: i64, per_step: i64) -> Vec<Reading> {
        let step = (at - BEGUN) / per_step;
        let reading = |(i, meter): (usize, &MeterId)| {
            // About 2 kWh a day, and never the same in two homes.
            let mut r = Reading::empty(meter.clone(), Timestamp(at + i64::try_from(i % 50).unwrap() * 1000));
            let own = i64::try_from(i).unwrap();
            r.import = Some(WattHours(own * 1_000 + step * per_step / (40_000 + own * 10)));
            r.power = Some(Watts(80 + (own * 7 + step * 13) % 400));
            r.voltage = Volts::finite(229.0 + ((own + step) % 30) as f64 / 10.0);
            r
        };
        self.meters.iter().enumerate().map(reading).collect()
    }

    /// What the Pricer does, at most so many readings at once.
    fn price(&self, now: i64) -> u64 {
        let mut n = 0;
        loop {
            let after = self.ledger.priced_seq().unwrap();
            let readings = self.ledger.readings_after(after, 5_000).unwrap();
            if readings.is_empty() {
                return n;
            }
            n += readings.len() as u64;
            let biller = self.ledger.biller(&self.guards).unwrap().unwrap();
            write(&self.ledger, now, vec![Write::Priced(Priced::by(biller, after, &readings, |_, _, _| {}))]);
        }
    }

    fn settle(&self, now: i64, number: u64) {
        let batch = Write::MakeBatch { sequence: number, most: 10_000, tariff_version: 1, prices: PRICES };
        let Outcome::Batch(Some(batch)) = write(&self.ledger, now, vec![batch]).remove(0) else { return };
        // Twenty-seven bytes an item, and what a transaction has around them.
        let (hash, raw) = (format!("{number:#066x}"), vec![7; batch.items.len() * 27 + 300]);
        let attempt = ledger::Attempt { intent: batch.intent, hash, nonce: number, raw, signed_at: Timestamp(now) };
        write(&self.ledger, now, vec![Write::Attempt(attempt)]);
        let facts = vec![Fact::Settled { batch: number, accounts: 1, transaction: format!("{number:#066x}"), gas: 1 }];
        let mined = Some((format!("{number:#066x}"), number));
        write(&self.ledger, now, vec![Write::Conclude { intent: batch.intent, mined, problem: None, facts }]);
    }
}

fn write(ledger: &Ledger, now: i64, writes: Vec<Write>) -> Vec<Outcome> {
    ledger.commit(Timestamp(now), &writes).unwrap().into_iter().map(Result::unwrap).collect()
}

fn many_accounts(folder: &Path) {
    let site = Site::new(&folder.join("many.db"), 10_000);
    let (mut recording, mut pricing, mut n) = (Duration::ZERO, Duration::ZERO, 0);
    for step in 0..=96 {
        let at = BEGUN + step * 15 * MINUTE;
        let begun = Instant::now();
        // As the Recorder groups them: what a bus brings while the last group is written.
        for group in site.readings(at, 15 * MINUTE).chunks(1_000) {
            write(&site.ledger, at, vec![Write::Readings(group.to_vec())]);
        }
        recording += begun.elapsed();
        let begun = Instant::now();
        n += site.price(at);
        pricing += begun.elapsed();
    }
    let begun = Instant::now();
    let report = site.ledger.verify(|m| site.guards[m]).unwrap();
    assert_eq!(report.findings, []);
    let per = |d: Duration| n as f64 / d.as_secs_f64();
    println!("10,000 accounts × 96 intervals, {n} readings");
    println!("  recorded with full sync, 1,000 a commit  {:>12.0} /s", per(recording));
    println!("  priced into lines, 5,000 a commit        {:>12.0} /s", per(pricing));
    println!("  verified, every reading billed again     {:>12.0} /s", per(begun.elapsed()));
    println!("  resident at most                         {:>12.1} MiB", status("VmHWM") / 1024.0);
}

/// The first days at the pace of the field, which says what is written; the others in large groups, for the size.
const SLOW: i64 = 1;

fn a_month(folder: &Path, days: i64) {
    let file = folder.join("month.db");
    let site = Site::new(&file, 250);
    let plain = Plain::new(&folder.join("plain.db"));
    let (mut n, mut all, mut number) = (0_u64, 0_u64, 0);
    let (mut recorded, mut priced, mut settled, mut theirs) = (0, 0, 0, 0);
    for minute in 0..SLOW * 1440 {
        let at = BEGUN + minute * MINUTE;
        let readings = site.readings(at, MINUTE);
        n += readings.len() as u64;
        let before = written();
        // 250 meters read one after the other over a minute, as twelve buses would bring them: a sync every 5 s.
        for group in readings.chunks(21) {
            write(&site.ledger, at, vec![Write::Readings(group.to_vec())]);
        }
        let between = written();
        recorded += between - before;
        site.price(at);
        let before = written();
        priced += before - between;
        if minute % 15 == 14 {
            number += 1;
            site.settle(at, number);
            settled += written() - before;
        }
        let before = written();
        readings.chunks(21).for_each(|group| plain.record(group));
        theirs += written() - before;
    }
    all += n;
    for quarter in SLOW * 96..days * 96 {
        let of_quarter: Vec<Reading> =
            (0..15).flat_map(|m| site.readings(BEGUN + (quarter * 15 + m) * MINUTE, MINUTE)).collect();
        all += of_quarter.len() as u64;
        let at = BEGUN + (quarter * 15 + 14) * MINUTE;
        plain.record(&of_quarter);
        write(&site.ledger, at, vec![Write::Readings(of_quarter)]);
        site.price(at);
        number += 1;
        site.settle(at, number);
    }
    let per = |bytes: u64| bytes as f64 / n as f64;
    println!(
        "\n250 meters at 1-minute intervals, {SLOW} day: a sync for each 21 readings, billed every minute, settled every 15"
    );
    println!("  written to disk: recording               {:>12.1} bytes a reading", per(recorded));
    println!("  written to disk: billing                 {:>12.1} bytes a reading", per(priced));
    println!("  written to disk: settling                {:>12.1} bytes a reading", per(settled));
    println!("  written to disk in all                   {:>12.1} bytes a reading", per(recorded + priced + settled));
    println!("  a plain row per reading, nothing else    {:>12.1} bytes a reading", per(theirs));
    site.ledger.checkpoint().unwrap();
    plain.fold();
    let size = |file: &Path| std::fs::metadata(file).unwrap().len() as f64;
    println!("\nthe same for {days} days, {all} readings");
    for (what, file) in [("the ledger", &file), ("a plain row per reading", &folder.join("plain.db"))] {
        println!("  {what:<40} {:>12.1} MB, {:.1} bytes a reading", size(file) / 1e6, size(file) / all as f64);
    }
    tables(&file, all);
    keep_half(&site, &file, days);
}

/// Lets half of the readings go while recording goes on.
fn keep_half(site: &Site, file: &Path, days: i64) {
    let keep = Keep { readings: Some(Duration::from_secs(u64::try_from(days).unwrap() * 43_200)), lines: None };
    let now = BEGUN + days * 1440 * MINUTE;
    let (mut steps, mut gone, mut longest, mut waited) = (0, 0, Duration::ZERO, Duration::ZERO);
    let before = written();
    let begun = Instant::now();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let recorder = scope.spawn(|| {
            let mut longest = Duration::ZERO;
            let reading = &site.readings(now, MINUTE)[..1];
            while !stop.load(std::sync::atomic::Ordering::SeqCst) {
                let begun = Instant::now();
                write(&site.ledger, now, vec![Write::Readings(reading.to_vec())]);
                longest = longest.max(begun.elapsed());
                std::thread::park_timeout(Duration::from_millis(2));
            }
            longest
        });
        loop {
            let begun = Instant::now();
            let step = site.ledger.tidy(Timestamp(now), &keep, |m| site.guards[m]).unwrap();
            longest = longest.max(begun.elapsed());
            steps += 1;
            gone += step.readings;
            if !step.more {
                break;
            }
        }
        stop.store(true, std::sync::atomic::Ordering::SeqCst);
        waited = recorder.join().unwrap();
    });
    println!("\nletting the older half go beside a recorder that writes every 2 ms");
    println!("  {gone} readings in {steps} steps of 5,000      {:>12.1} s", begun.elapsed().as_secs_f64());
    println!("  one step at most                         {:>12.1} ms", longest.as_secs_f64() * 1e3);
    println!("  recording waited at most                 {:>12.1} ms", waited.as_secs_f64() * 1e3);
    println!(
        "  written to disk                          {:>12.1} bytes a reading gone",
        (written() - before) as f64 / gone as f64
    );
    site.ledger.checkpoint().unwrap();
    let size = std::fs::metadata(file).unwrap().len();
    let begun = Instant::now();
    let copy = file.with_extension("copy");
    let packed = site.ledger.back_up(&copy).unwrap();
    println!(
        "  file {:.1} MB, a backup of it {:.1} MB in {:.1} s",
        size as f64 / 1e6,
        packed as f64 / 1e6,
        begun.elapsed().as_secs_f64()
    );
    let begun = Instant::now();
    assert_eq!(site.ledger.verify(|m| site.guards[m]).unwrap().findings, []);
    println!("  verified in                              {:>12.1} s", begun.elapsed().as_secs_f64());
    assert!(site.ledger.readings_after(Seq(0), 1).unwrap()[0].0 > Seq(1));
}

/// What anybody would do first: a table with a row per reading and an index to find a meter's.
struct Plain(Connection);

impl Plain {
    fn new(file: &Path) -> Self {
        let db = Connection::open(file).unwrap();
        db.pragma_update(None, "journal_mode", "WAL").unwrap();
        db.pragma_update(None, "synchronous", "FULL").unwrap();
        db.execute_batch(
            "CREATE TABLE readings (id INTEGER PRIMARY KEY, meter TEXT, at TEXT, import REAL, power REAL, voltage REAL);
             CREATE INDEX by_meter ON readings (meter, at)",
        )
        .unwrap();
        Self(db)
    }

    fn record(&self, readings: &[Reading]) {
        let tx = self.0.unchecked_transaction().unwrap();
        let mut row = tx
            .prepare_cached("INSERT INTO readings (meter, at, import, power, voltage) VALUES (?, ?, ?, ?, ?)")
            .unwrap();
        for r in readings {
            let kwh = r.import.map(|v| v.0 as f64 / 1000.0);
            row.execute((
                r.meter.as_str(),
                r.at.to_string(),
                kwh,
                r.power.map(|v| v.0 as f64),
                r.voltage.map(Volts::get),
            ))
            .unwrap();
        }
        drop(row);
        tx.commit().unwrap();
    }

    fn fold(&self) {
        self.0.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    }
}

fn tables(file: &Path, readings: u64) {
    let db = Connection::open(file).unwrap();
    let mut sizes = db.prepare("SELECT name, sum(pgsize) FROM dbstat GROUP BY name ORDER BY 2 DESC LIMIT 4").unwrap();
    let sizes = sizes.query_map([], |r| Ok((r.get::<_, String>(0)?, r.get::<_, i64>(1)?)));
    // SQLite may have been built without that table.
    for (name, bytes) in sizes.into_iter().flatten().map_while(Result::ok) {
        println!(
            "    {name:<24} {:>12.1} MB, {:.1} bytes a reading",
            bytes as f64 / 1e6,
            bytes as f64 / readings as f64
        );
    }
    let lines: i64 = db.query_row("SELECT count(*) FROM lines", [], |r| r.get(0)).unwrap();
    println!("    {lines} lines of bills");
}

/// Bytes that this process caused to be written to the disk.
fn written() -> u64 {
    let text = std::fs::read_to_string("/proc/self/io").unwrap();
    text.lines().find_map(|l| l.strip_prefix("write_bytes: ")?.parse().ok()).unwrap()
}

fn status(key: &str) -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix(':'));
    line.and_then(|l| l.split_whitespace().next()?.parse().ok()).unwrap()
}
