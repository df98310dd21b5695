//! A hostile slave: whatever comes over the wire, a value is the right one or none.

use crate::bench::{Asked, Pty, framed, meter_id, registers, rtu_bus, simple_meter, tcp_bus, unit};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

const TRUTH: u16 = 4711;

/// What the slave does to its answer.
#[derive(Clone, Debug)]
enum Trick {
    Flip(Vec<usize>),
    Cut(usize),
    WrongUnit(u8),
    WrongFunction(u8),
    WrongLength(usize),
    Garbage(Vec<u8>),
    GarbageFirst(Vec<u8>),
    Echo,
    Twice,
}

fn tricks() -> impl Strategy<Value = Trick> {
    prop_oneof![
        proptest::collection::vec(0..104_usize, 1..4).prop_map(Trick::Flip),
        (0..13_usize).prop_map(Trick::Cut),
        (1..255_u8).prop_map(Trick::WrongUnit),
        (1..127_u8).prop_map(Trick::WrongFunction),
        (1..60_usize).prop_map(Trick::WrongLength),
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(Trick::Garbage),
        proptest::collection::vec(any::<u8>(), 1..40).prop_map(Trick::GarbageFirst),
        Just(Trick::Echo),
        Just(Trick::Twice),
    ]
}

fn played(trick: &Trick, unit: u8, request: &[u8]) -> Vec<u8> {
    let truth = framed(unit, &registers(4, 4, TRUTH));
    let mut bytes = truth.clone();
    match trick {
        Trick::Flip(bits) => bits.iter().for_each(|bit| bytes[bit / 8] ^= 1 << (bit % 8)),
        Trick::Cut(len) => bytes.truncate(*len),
        // A lie in every one of these: it must not be believed.
        Trick::WrongUnit(shift) => bytes = framed(unit.wrapping_add(*shift), &registers(4, 4, 1)),
        Trick::WrongFunction(shift) => bytes = framed(unit, &registers((4 + shift) % 128, 4, 1)),
        Trick::WrongLength(count) => bytes = framed(unit, &registers(4, if *count == 4 { 5 } else { *count }, 1)),
        Trick::Garbage(garbage) => bytes = garbage.clone(),
        Trick::GarbageFirst(garbage) => bytes = [garbage.as_slice(), &truth].concat(),
        Trick::Echo => bytes = [request, &truth].concat(),
        Trick::Twice => bytes = [truth.as_slice(), &truth].concat(),
    }
    bytes
}

#[test]
fn a_hostile_slave_on_a_serial_line_never_makes_a_wrong_value() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _inside = runtime.enter();
    let pty = std::cell::RefCell::new(Pty::open());
    let bus = rtu_bus(&pty.borrow().port, Duration::from_millis(40));
    let units = std::cell::Cell::new(0_u8);
    let mut runner = TestRunner::new(Config { cases: 100, failure_persistence: None, ..Config::default() });
    let result = runner.run(&tricks(), |trick| {
        // A unit of its own for each case: after a doubt the same one would be left alone for a while.
        units.set(units.get() % 240 + 1);
        let meter = bus.meter(meter_id(), simple_meter(), unit(units.get())).unwrap();
        let mut pty = pty.borrow_mut();
        runtime.block_on(async {
            let slave = async {
                let request = pty.hear().await;
                pty.say(&played(&trick, units.get(), &request)).await;
            };
            let (reading, ()) = tokio::join!(meter.read(), slave);
            let honest = matches!(trick, Trick::GarbageFirst(_) | Trick::Echo | Trick::Twice);
            match reading {
                Ok(reading) => prop_assert_eq!(reading.import.map(|e| e.0), Some(i64::from(TRUTH))),
                Err(error) if honest => return Err(TestCaseError::fail(format!("the truth was not found: {error}"))),
                Err(_) => {}
            }
            Ok(())
        })
    });
    result.unwrap();
}

#[test]
fn a_hostile_server_over_tcp_never_makes_a_wrong_value_and_never_a_panic() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut runner = TestRunner::new(Config { cases: 150, failure_persistence: None, ..Config::default() });
    let bytes = proptest::collection::vec(any::<u8>(), 0..40);
    let result = runner.run(&(bytes, any::<bool>(), any::<bool>(), 0..70_u8), |(mut body, same_id, same_unit, len)| {
        runtime.block_on(async {
            let bus = tcp_bus(address.clone(), Duration::from_millis(60));
            let meter = bus.meter(meter_id(), simple_meter(), unit(3)).unwrap();
            // The one answer that would be right is not among them.
            if body.starts_with(&[4, 8]) {
                body[1] = 9;
            }
            let server = async {
                let (mut stream, _) = listener.accept().await.unwrap();
                let asked = Asked::from(&mut stream).await.unwrap();
                let id = asked.header[1] ^ u8::from(!same_id);
                let header = [asked.header[0], id, 0, 0, 0, len, asked.header[6] ^ u8::from(!same_unit)];
                let _ = stream.write_all(&[&header[..], &body].concat()).await;
            };
            let (reading, ()) = tokio::join!(meter.read(), server);
            prop_assert!(reading.is_err(), "{reading:?}");
            Ok(())
        })
    });
    result.unwrap();
}
