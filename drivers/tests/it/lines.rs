//! Serial lines: who goes first, what an echo is, and how long a line is left silent.

use crate::bench::{PATIENCE, Pty, clock, framed, meter_id, registers, simple_meter, switch_id, unit};
use domain::Position;
use drivers::{Bus, BusKind, BusSpec, DeviceError, Parity, Rs485};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

const TIMEOUT: Duration = Duration::from_millis(300);

fn spec(pty: &Pty, timeout: Duration) -> BusSpec {
    let (port, parity) = (pty.port.clone(), Parity::None);
    let kind = BusKind::ModbusRtu { port, baud: 9600, parity, stop_bits: 1, timeout };
    BusSpec::new("line".parse().unwrap(), kind)
}

/// What an honest device says: `value` to a read, the order itself to an order.
fn answer(request: &[u8; 8], value: u16) -> Vec<u8> {
    match request[1] {
        5 => request.to_vec(),
        1 => framed(request[0], &[1, 1, 1]),
        function => framed(request[0], &registers(function, usize::from(request[5]), value)),
    }
}

#[tokio::test]
async fn with_32_meters_in_the_queue_of_a_slow_line_an_order_waits_for_one_transaction() {
    let mut pty = Pty::open();
    let bus = Bus::open(spec(&pty, PATIENCE), clock()).unwrap();
    let meters = (1..=32).map(|n| bus.meter(meter_id(), simple_meter(), unit(n)).unwrap());
    let switch = bus.switch(switch_id(), simple_meter(), unit(40)).unwrap();
    let (seen, mut order) = mpsc::unbounded_channel();
    let (go, wait) = oneshot::channel::<()>();
    tokio::spawn(async move {
        let mut wait = Some(wait);
        loop {
            let request = pty.hear().await;
            seen.send(request[1]).unwrap();
            if let Some(wait) = wait.take() {
                wait.await.unwrap();
            }
            pty.say(&answer(&request, 1)).await;
        }
    });
    let mut readings: tokio::task::JoinSet<_> = meters.map(|m| async move { m.read().await }).collect();
    assert_eq!(order.recv().await, Some(4));
    let ordering = tokio::spawn(async move {
        switch.set(Position::Open).await.unwrap();
        switch.position().await
    });
    // One thread: after a few yields everybody stands in the queue.
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    go.send(()).unwrap();
    assert_eq!(ordering.await.unwrap(), Ok(Position::Closed));
    while let Some(reading) = readings.join_next().await {
        reading.unwrap().unwrap();
    }
    let order: Vec<u8> = std::iter::from_fn(|| order.try_recv().ok()).collect();
    // The order is next; the look at the contact is too, but for the meter that came in between.
    assert_eq!((order[0], order[1..3].contains(&1), order.len()), (5, true, 33));
}

#[tokio::test]
async fn an_adapter_that_hears_what_it_says_confirms_no_order() {
    // Before anything was read, and after.
    for read_first in [false, true] {
        let mut pty = Pty::open();
        let bus = Bus::open(spec(&pty, TIMEOUT), clock()).unwrap();
        let meter = bus.meter(meter_id(), simple_meter(), unit(1)).unwrap();
        let (alive, dead) = (unit(1), unit(2));
        let [alive, dead] = [alive, dead].map(|at| bus.switch(switch_id(), simple_meter(), at).unwrap());
        tokio::spawn(async move {
            loop {
                let request = pty.hear().await;
                pty.say(&request).await;
                if request[0] == 1 {
                    pty.say(&answer(&request, 7)).await;
                }
            }
        });
        if read_first {
            assert_eq!(meter.read().await.unwrap().import.unwrap().0, 7);
        }
        assert!(matches!(dead.set(Position::Open).await, Err(DeviceError::Silent { .. })));
        assert_eq!(alive.set(Position::Open).await, Ok(()));
        assert_eq!(meter.read().await.unwrap().import.unwrap().0, 7);
        assert_eq!(alive.position().await, Ok(Position::Closed));
    }
}

#[tokio::test]
async fn an_honest_adapter_confirms_orders_from_the_first_one_on() {
    let mut pty = Pty::open();
    let bus = Bus::open(spec(&pty, TIMEOUT), clock()).unwrap();
    let switch = bus.switch(switch_id(), simple_meter(), unit(1)).unwrap();
    tokio::spawn(async move {
        loop {
            let request = pty.hear().await;
            pty.say(&answer(&request, 7)).await;
        }
    });
    assert_eq!(switch.set(Position::Open).await, Ok(()));
    assert_eq!(switch.set(Position::Closed).await, Ok(()));
}

#[tokio::test]
async fn noise_on_an_idle_line_is_forgotten_before_the_next_question() {
    let mut pty = Pty::open();
    let bus = Bus::open(spec(&pty, TIMEOUT), clock()).unwrap();
    let meter = bus.meter(meter_id(), simple_meter(), unit(1)).unwrap();
    bus.try_connect().await.unwrap();
    for value in 1..=3 {
        // The last of this is a true answer to a question that nobody asked yet.
        pty.say(&[&[0xFF, 0, 0x55, 1, 4], framed(1, &registers(4, 4, 999)).as_slice()].concat()).await;
        let device = async {
            let request = pty.hear().await;
            pty.say(&answer(&request, value)).await;
        };
        let (reading, ()) = tokio::join!(meter.read(), device);
        assert_eq!(reading.unwrap().import.unwrap().0, i64::from(value));
    }
}

#[tokio::test]
async fn the_line_is_silent_between_frames_for_as_long_as_is_configured() {
    let mut pty = Pty::open();
    let spec = BusSpec { turnaround: Duration::from_millis(60), ..spec(&pty, PATIENCE) };
    let bus = Bus::open(spec, clock()).unwrap();
    let meter = bus.meter(meter_id(), simple_meter(), unit(1)).unwrap();
    let device = tokio::spawn(async move {
        let mut said = None;
        for _ in 0..4 {
            let request = pty.hear().await;
            if let Some(said) = said {
                let silent = Instant::now() - said;
                assert!(silent >= Duration::from_millis(59), "{silent:?}");
            }
            said = Some(Instant::now());
            pty.say(&answer(&request, 1)).await;
        }
        pty
    });
    for _ in 0..4 {
        meter.read().await.unwrap();
    }
    device.await.unwrap();
}

#[tokio::test]
async fn rtu_frames_through_a_serial_server_are_read_and_late_ones_are_not_mistaken() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let kind = BusKind::RtuOverTcp { address, timeout: TIMEOUT };
    let bus = Bus::open(BusSpec::new("far".parse().unwrap(), kind), clock()).unwrap();
    let meter = |n| bus.meter(meter_id(), simple_meter(), unit(n)).unwrap();
    assert!(bus.meter(meter_id(), simple_meter(), unit(0)).is_err());
    let (one, two) = (meter(1), meter(2));
    tokio::spawn(async move {
        let mut request = [0; 8];
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.read_exact(&mut request).await.unwrap();
        stream.write_all(&answer(&request, 5)).await.unwrap();
        // It hangs up, as such servers do on idle connections.
        drop(stream);
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut late = [0; 8];
        stream.read_exact(&mut late).await.unwrap();
        stream.read_exact(&mut request).await.unwrap();
        stream.write_all(&[answer(&late, 100), answer(&request, 6)].concat()).await.unwrap();
        std::future::pending::<()>().await;
    });
    assert_eq!(two.read().await.unwrap().import.unwrap().0, 5);
    assert!(matches!(one.read().await, Err(DeviceError::Silent { .. })));
    assert_eq!(two.read().await.unwrap().import.unwrap().0, 6);
}

#[tokio::test]
async fn a_port_that_cannot_turn_an_rs485_line_around_says_what_to_do() {
    let pty = Pty::open();
    let spec = BusSpec { rs485: Some(Rs485::default()), ..spec(&pty, TIMEOUT) };
    let error = Bus::open(spec, clock()).unwrap().try_connect().await.unwrap_err().to_string();
    assert!(error.contains("turn an RS-485 line around") && error.contains("leave rs485 out"), "{error}");
}
