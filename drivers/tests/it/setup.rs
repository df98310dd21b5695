//! Devices that need registers set before what they say means anything.

use crate::bench::{Bench, PATIENCE, clock, meter_id, parse, rtu_bus, samples, switch_id, tcp_bus, unit};
use crate::board::Board;
use domain::{Position, Watts};
use drivers::simulator::{SimDevice, serve_rtu, serve_tcp};
use drivers::{DeviceError, Meter};
use std::sync::Arc;
use std::time::Duration;

const MODEL: &str = r#"
[power]
table = "holding"
address = 0
type = "i16"

[[setup]]
table = "holding"
address = 10
value = 7

[[setup]]
table = "holding"
address = 20
type = "u32"
value = 0x0001_0002
"#;

async fn device(words: [u16; 3]) -> (Board, Arc<dyn Meter>) {
    let board = Board::new([(0, 230), (10, words[0]), (20, words[1]), (21, words[2])]).await;
    let meter = tcp_bus(board.address.clone(), PATIENCE).meter(meter_id(), parse(MODEL), unit(1)).unwrap();
    (board, meter)
}

#[tokio::test]
async fn what_differs_is_written_once_and_what_is_right_is_left_alone() {
    let (board, meter) = device([0, 1, 2]).await;
    for _ in 0..3 {
        assert_eq!(meter.read().await.unwrap().power, Some(Watts(230)));
    }
    assert_eq!(board.orders(), [(6, 10)], "the second value was right already");
    assert_eq!(board.nature().words[&10], 7);
    assert_eq!(board.nature().asked, 4 + 3, "look, write, look; look; and three readings");
}

#[tokio::test]
async fn a_value_of_two_registers_is_written_in_one_piece() {
    let (board, meter) = device([7, 0, 2]).await;
    meter.read().await.unwrap();
    assert_eq!(board.orders(), [(16, 20)]);
    let words = board.nature().words.clone();
    assert_eq!((words[&20], words[&21]), (1, 2));
}

#[tokio::test]
async fn a_device_that_was_without_power_is_set_up_again_before_it_is_believed() {
    let (board, meter) = device([7, 1, 2]).await;
    meter.read().await.unwrap();
    // Its connection breaks, and it comes back as it left the factory.
    board.nature().words.insert(10, 0);
    board.cut();
    assert_eq!(meter.read().await.unwrap().power, Some(Watts(230)));
    assert_eq!(board.orders(), [(6, 10)]);
}

#[tokio::test]
async fn a_device_that_was_silent_is_set_up_again() {
    let board = Board::new([(0, 230), (10, 7), (20, 1), (21, 2)]).await;
    let short = Duration::from_millis(100);
    let meter = tcp_bus(board.address.clone(), short).meter(meter_id(), parse(MODEL), unit(1)).unwrap();
    meter.read().await.unwrap();
    board.nature().silent = true;
    assert!(matches!(meter.read().await, Err(DeviceError::Silent { .. })));
    board.nature().silent = false;
    board.nature().words.insert(10, 0);
    while meter.read().await.is_err() {}
    assert_eq!(board.orders(), [(6, 10)]);
}

#[tokio::test]
async fn a_set_up_that_is_refused_or_not_kept_is_told_and_not_written_over_and_over() {
    for stubborn in [true, false] {
        let (board, meter) = device([0, 1, 2]).await;
        if stubborn {
            board.nature().stubborn.insert(10);
        } else {
            board.nature().fixed.insert(10);
        }
        let mut said = Vec::new();
        for _ in 0..5 {
            said.push(meter.read().await.unwrap_err());
        }
        let DeviceError::NotSetUp { what } = &said[0] else { panic!("{said:?}") };
        let wanted = if stubborn { "says [0] after [7] was written" } else { "cannot be written: the device refused" };
        assert!(what.contains("holding register 10") && what.contains(wanted), "{what}");
        assert!(said.iter().all(|error| *error == said[0] && !error.is_transient()));
        assert_eq!(board.orders(), [(6, 10)], "a register that wears out is written once");
        assert!(board.nature().asked <= 3, "a device in the wrong state costs its bus nothing");
    }
}

#[tokio::test]
async fn a_set_up_register_that_the_device_lacks_is_told() {
    let board = Board::new([(0, 230)]).await;
    let meter = tcp_bus(board.address.clone(), PATIENCE).meter(meter_id(), parse(MODEL), unit(1)).unwrap();
    let error = meter.read().await.unwrap_err();
    assert!(error.to_string().contains("holding register 10 cannot be read"), "{error}");
    assert_eq!(board.orders(), []);
}

const BOTH: &str = r#"
[import]
table = "input"
address = 0
type = "u64"

[switch]
table = "coil"
address = 0

[[setup]]
table = "coil"
address = 4
value = 1

[[setup]]
table = "holding"
address = 9
type = "f32"
order = "cdab"
value = 1.5
"#;

#[tokio::test]
async fn a_simulated_device_is_set_up_over_tcp_and_over_a_serial_line_before_it_is_read_or_switched() {
    let template = parse(BOTH);
    let device = || vec![SimDevice::new(unit(3), Arc::clone(&template), Bench::new(samples()[2].clone()))];
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tcp = tcp_bus(listener.local_addr().unwrap().to_string(), PATIENCE);
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("line");
    let _running = (serve_tcp(listener, device()).unwrap(), serve_rtu(&link, 115_200, device()).unwrap());
    for bus in [tcp, rtu_bus(&link, PATIENCE)] {
        let switch = bus.switch(switch_id(), Arc::clone(&template), unit(3)).unwrap();
        switch.set(Position::Open).await.unwrap();
        assert_eq!(switch.position().await, Ok(Position::Open));
        let meter = bus.meter(meter_id(), Arc::clone(&template), unit(3)).unwrap();
        assert_eq!(meter.read().await.unwrap().import, samples()[2].import);
        assert_eq!(meter.read().await.unwrap().at, clock().now());
    }
}
