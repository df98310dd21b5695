//! Silence and lateness: nothing that comes too late is ever taken for the answer to another question.

use crate::bench::{
    Asked, PATIENCE, Pty, framed, meter_id, registers, rtu_bus, simple_meter, switch_id, tcp_bus, unit,
};
use domain::{Position, WattHours};
use drivers::DeviceError;
use std::time::Duration;
use tokio::net::TcpListener;

/// Long enough for a busy machine to answer in, short enough to wait for.
const TIMEOUT: Duration = Duration::from_millis(300);

fn import(reading: Result<domain::Reading, DeviceError>) -> Result<i64, DeviceError> {
    reading.map(|r| r.import.map_or(-1, |WattHours(wh)| wh))
}

#[tokio::test]
async fn a_late_answer_on_a_serial_line_is_never_taken_for_another_units() {
    let mut pty = Pty::open();
    let bus = rtu_bus(&pty.port, TIMEOUT);
    let meter = |n| bus.meter(meter_id(), simple_meter(), unit(n)).unwrap();
    let (one, two) = (meter(1), meter(2));
    let wire = tokio::spawn(async move {
        assert_eq!(pty.hear().await[0], 1);
        assert_eq!(pty.hear().await[0], 2);
        pty.say(&framed(1, &registers(4, 4, 111))).await;
        pty.say(&framed(2, &registers(4, 4, 222))).await;
        pty
    });
    assert!(matches!(one.read().await, Err(DeviceError::Silent { .. })));
    assert_eq!(import(two.read().await), Ok(222));
    let mut pty = wire.await.unwrap();
    tokio::spawn(async move {
        pty.hear().await;
        pty.say(&framed(1, &registers(4, 4, 112))).await;
        std::future::pending::<()>().await;
    });
    assert_eq!(import(one.read().await), Ok(112));
}

#[tokio::test]
async fn a_late_answer_on_a_serial_line_is_never_taken_for_the_next_one_of_the_same_unit() {
    let mut pty = Pty::open();
    let bus = rtu_bus(&pty.port, TIMEOUT);
    let meter = bus.meter(meter_id(), simple_meter(), unit(1)).unwrap();
    tokio::spawn(async move {
        pty.hear().await;
        // This slowness is the device's, not the test's.
        tokio::time::sleep(TIMEOUT * 3 / 2).await;
        pty.say(&framed(1, &registers(4, 4, 1))).await;
        pty.hear().await;
        pty.say(&framed(1, &registers(4, 4, 2))).await;
        std::future::pending::<()>().await;
    });
    assert!(matches!(meter.read().await, Err(DeviceError::Silent { .. })));
    assert_eq!(import(meter.read().await), Ok(2));
}

#[tokio::test]
async fn of_two_who_ask_the_same_meter_the_second_never_gets_the_late_answer_of_the_first() {
    let mut pty = Pty::open();
    let bus = rtu_bus(&pty.port, TIMEOUT);
    let meter = bus.meter(meter_id(), simple_meter(), unit(1)).unwrap();
    tokio::spawn(async move {
        pty.hear().await;
        tokio::time::sleep(TIMEOUT * 3 / 2).await;
        pty.say(&framed(1, &registers(4, 4, 1))).await;
        pty.hear().await;
        pty.say(&framed(1, &registers(4, 4, 2))).await;
        std::future::pending::<()>().await;
    });
    let (first, second) = tokio::join!(meter.read(), meter.read());
    assert!(matches!(first, Err(DeviceError::Silent { .. })));
    assert_eq!(import(second), Ok(2));
}

#[tokio::test]
async fn a_late_answer_over_tcp_is_known_by_its_number_and_costs_no_new_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let bus = tcp_bus(listener.local_addr().unwrap().to_string(), TIMEOUT);
    let meter = bus.meter(meter_id(), simple_meter(), unit(1)).unwrap();
    let other = bus.meter(meter_id(), simple_meter(), unit(2)).unwrap();
    let gateway = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let asked = Asked::from(&mut stream).await.unwrap();
        let again = Asked::from(&mut stream).await.unwrap();
        let third = Asked::from(&mut stream).await.unwrap();
        asked.answer(&mut stream, 1).await.unwrap();
        again.answer(&mut stream, 2).await.unwrap();
        third.answer(&mut stream, 3).await.unwrap();
        let _ = listener.accept().await;
    });
    assert!(matches!(meter.read().await, Err(DeviceError::Silent { .. })));
    assert!(matches!(meter.read().await, Err(DeviceError::Silent { .. })));
    assert_eq!(import(other.read().await), Ok(3));
    assert!(!gateway.is_finished(), "it was connected to again");
}

#[tokio::test]
async fn a_connection_that_nobody_answers_on_is_replaced() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let bus = tcp_bus(listener.local_addr().unwrap().to_string(), TIMEOUT / 3);
    let meters = [1, 2, 3].map(|n| bus.meter(meter_id(), simple_meter(), unit(n)).unwrap());
    tokio::spawn(async move {
        // The peer lost its power and its memory, and said no goodbye.
        let (_dead, _) = listener.accept().await.unwrap();
        let (mut second, _) = listener.accept().await.unwrap();
        Asked::from(&mut second).await.unwrap().answer(&mut second, 2).await.unwrap();
        std::future::pending::<()>().await;
    });
    for meter in &meters {
        assert!(matches!(meter.read().await, Err(DeviceError::Silent { .. })));
    }
    assert_eq!(import(meters[0].read().await), Ok(2));
}

#[tokio::test]
async fn a_caller_that_loses_interest_spoils_nothing_for_the_next() {
    let mut pty = Pty::open();
    let bus = rtu_bus(&pty.port, PATIENCE / 40);
    let meter = bus.meter(meter_id(), simple_meter(), unit(1)).unwrap();
    let other = bus.meter(meter_id(), simple_meter(), unit(2)).unwrap();
    {
        let reading = meter.read();
        tokio::pin!(reading);
        tokio::select! {
            _ = &mut reading => panic!("nobody answered"),
            request = pty.hear() => assert_eq!(request[0], 1),
        }
    }
    pty.say(&framed(1, &registers(4, 4, 1))).await;
    tokio::spawn(async move {
        pty.hear().await;
        pty.say(&framed(2, &registers(4, 4, 2))).await;
        std::future::pending::<()>().await;
    });
    assert_eq!(import(other.read().await), Ok(2));
}

#[tokio::test]
async fn a_port_that_is_missing_is_an_error_now_and_a_bus_when_it_comes() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("port");
    let bus = rtu_bus(&link, TIMEOUT);
    let switch = bus.switch(switch_id(), simple_meter(), unit(1)).unwrap();
    let error = switch.position().await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("port"), "{error}");
    let mut pty = Pty::open();
    std::os::unix::fs::symlink(&pty.port, &link).unwrap();
    bus.try_connect().await.unwrap();
    tokio::spawn(async move {
        pty.hear().await;
        pty.say(&framed(1, &[1, 1, 1])).await;
        std::future::pending::<()>().await;
    });
    assert_eq!(switch.position().await, Ok(Position::Closed));
}
