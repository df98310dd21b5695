//! One connection, one question after the other, or so many at a time, as fast as it goes:
//! `cargo run --release -p drivers --example back_to_back -- HOST:PORT SECONDS [PIPELINE]` prints readings a second.
//!
//! For comparison with other clients against the same server; every reading is one question for 20 registers.

#![allow(clippy::expect_used, reason = "a measurement that cannot go on should stop and say where")]

use domain::Clock;
use drivers::{Bus, BusKind, BusSpec, DeviceAddress, Template};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

const MODEL: &str = include_str!("../peers/ten-floats.toml");

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().expect("HOST:PORT");
    let seconds: f64 = arguments.next().and_then(|text| text.parse().ok()).expect("SECONDS");
    let pipeline = arguments.next().map_or(1, |text| text.parse().expect("PIPELINE"));
    let kind = BusKind::ModbusTcp { address, timeout: Duration::from_secs(1) };
    let spec = BusSpec { pipeline, ..BusSpec::new("one".parse().expect("a name"), kind) };
    let bus = Bus::open(spec, Clock::new(1, || domain::Timestamp(0))).expect("a bus");
    let model = Arc::new(Template::parse("ten-floats.toml", MODEL).expect("a model"));
    let meter =
        |n| bus.meter("m1".parse().expect("a name"), Arc::clone(&model), DeviceAddress::Unit(n)).expect("a meter");
    meter(1).read().await.expect("a reading");
    let began = Instant::now();
    let mut readers = JoinSet::new();
    for n in 1..=pipeline {
        let meter = meter(n);
        readers.spawn(async move {
            let (mut count, mut failed) = (0_u32, 0_u32);
            while began.elapsed().as_secs_f64() < seconds {
                // A busy machine may stop us or the server for longer than a quick device is waited for.
                match meter.read().await {
                    Ok(_) => count += 1,
                    Err(error) => {
                        eprintln!("{error}");
                        failed += 1;
                    }
                }
            }
            (count, failed)
        });
    }
    let done = readers.join_all().await;
    let (count, failed) = done.iter().fold((0, 0), |(a, b), (c, d)| (a + c, b + d));
    assert!(failed < 3, "{failed} readings failed");
    println!("{}", f64::from(count) / began.elapsed().as_secs_f64());
}
