//! Several devices on one bus.

use crate::bench::{
    Asked, Bench, PATIENCE, as_seen_by, meter_id, rtu_bus, samples, simple_meter, split_meter, switch_id, tcp_bus,
    tcp_street, template, unit,
};
use domain::Position;
use drivers::simulator::{SimDevice, serve_rtu};
use drivers::{DeviceAddress, DeviceError, SpecError};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

#[tokio::test]
async fn a_silent_unit_times_out_and_the_next_unit_still_reads_correctly() {
    let template = template("sim-home");
    let here = || SimDevice::new(unit(2), Arc::clone(&template), Bench::new(samples()[2].clone()));
    let timeout = Duration::from_millis(300);
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("port");
    let _rtu = serve_rtu(&link, 115_200, vec![here()]).unwrap();
    let (tcp, _tcp) = tcp_street(vec![here()], timeout).await;
    for bus in [tcp, rtu_bus(&link, timeout)] {
        let silent = bus.meter(meter_id(), Arc::clone(&template), unit(1)).unwrap();
        let alive = bus.meter(meter_id(), Arc::clone(&template), unit(2)).unwrap();
        for _ in 0..2 {
            assert!(matches!(silent.read().await, Err(DeviceError::Silent { .. })));
            assert_eq!(alive.read().await, Ok(as_seen_by(&template, &samples()[2])));
        }
    }
}

#[tokio::test]
async fn an_order_to_a_switch_waits_for_one_transaction_and_not_for_a_whole_reading() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let bus = tcp_bus(listener.local_addr().unwrap().to_string(), PATIENCE);
    let meter = bus.meter(meter_id(), split_meter(), unit(1)).unwrap();
    let switch = bus.switch(switch_id(), split_meter(), unit(1)).unwrap();
    let (seen, mut order) = mpsc::unbounded_channel();
    let (go, wait) = oneshot::channel::<()>();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut wait = Some(wait);
        loop {
            let asked = Asked::from(&mut stream).await.unwrap();
            seen.send(asked.pdu[0]).unwrap();
            if let Some(wait) = wait.take() {
                wait.await.unwrap();
            }
            asked.answer(&mut stream, 1).await.unwrap();
        }
    });
    let reading = tokio::spawn(async move { meter.read().await });
    assert_eq!(order.recv().await, Some(4));
    let ordering = tokio::spawn(async move { switch.set(Position::Open).await });
    // One thread: after a few yields the order stands in the queue behind the first transaction.
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    go.send(()).unwrap();
    ordering.await.unwrap().unwrap();
    reading.await.unwrap().unwrap();
    assert_eq!((order.recv().await, order.recv().await), (Some(5), Some(4)));
}

#[tokio::test]
async fn a_connection_that_the_peer_closed_while_idle_costs_no_reading() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let bus = tcp_bus(listener.local_addr().unwrap().to_string(), PATIENCE);
    let meter = bus.meter(meter_id(), simple_meter(), unit(1)).unwrap();
    tokio::spawn(async move {
        for value in 1.. {
            let (mut stream, _) = listener.accept().await.unwrap();
            let asked = Asked::from(&mut stream).await.unwrap();
            asked.answer(&mut stream, value).await.unwrap();
        }
    });
    for value in 1..=3 {
        assert_eq!(meter.read().await.unwrap().import.unwrap().0, value);
    }
}

#[tokio::test]
async fn what_the_configuration_gets_wrong_is_said_before_anything_is_asked() {
    let bus = tcp_bus("127.0.0.1:1".into(), PATIENCE);
    let meter = |model, at| bus.meter(meter_id(), template(model), at).err();
    assert!(matches!(meter("tasmota-energy", unit(1)), Some(SpecError::WrongBus { .. })));
    assert!(matches!(meter("sim-home", DeviceAddress::Topic("x".into())), Some(SpecError::WrongAddress { .. })));
    assert!(matches!(meter("modbus-relay-coil", unit(1)), Some(SpecError::NoMeter(_))));
    let serial = rtu_bus(std::path::Path::new("/nowhere"), PATIENCE);
    let units = [0, 248].map(|n| serial.meter(meter_id(), template("sim-home"), unit(n)).err());
    assert!(units.iter().all(|e| matches!(e, Some(SpecError::WrongAddress { .. }))));
    assert!(matches!(bus.switch(switch_id(), template("eastron-sdm630"), unit(1)).err(), Some(SpecError::NoSwitch(_))));
}

#[tokio::test]
async fn two_drivers_on_two_lines_do_not_hold_each_other_up() {
    let template = template("sim-feeder");
    let folder = tempfile::tempdir().unwrap();
    let links = [folder.path().join("a"), folder.path().join("b")];
    let serve = |link| {
        let device = SimDevice::new(unit(9), Arc::clone(&template), Bench::new(samples()[1].clone()));
        serve_rtu(link, 9600, vec![device]).unwrap()
    };
    let _running = [serve(&links[0]), serve(&links[1])];
    let meters =
        links.each_ref().map(|link| rtu_bus(link, PATIENCE).meter(meter_id(), Arc::clone(&template), unit(9)).unwrap());
    let (a, b) = tokio::join!(meters[0].read(), meters[1].read());
    assert_eq!((a.is_ok(), b.is_ok()), (true, true));
}
