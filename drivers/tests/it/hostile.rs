//! One device that does its worst, among others that are honest: nobody is ever believed a wrong value, and the honest
//! ones keep their period.

use crate::bench::{Pty, framed, meter_id, pipelined, registers, rtu_bus, simple_meter, unit};
use drivers::{Bus, DeviceError, Meter, Next, Round};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;

const TIMEOUT: Duration = Duration::from_millis(120);
const PERIOD: Duration = Duration::from_millis(200);
/// Time for a good ten rounds.
const PLAY: Duration = Duration::from_millis(2200);
const HONEST: u8 = 4;
const HOSTILE: u8 = 9;

/// What the hostile one does when it is asked.
#[derive(Clone, Debug)]
enum Trick {
    Nothing,
    Random(Vec<u8>),
    Truncated(usize),
    Late,
    WrongUnit,
    Exception(u8),
    HangUp(usize),
    ByteAfterByte,
}

fn tricks() -> impl Strategy<Value = Vec<Trick>> {
    let trick = prop_oneof![
        Just(Trick::Nothing),
        proptest::collection::vec(any::<u8>(), 1..60).prop_map(Trick::Random),
        (1..12_usize).prop_map(Trick::Truncated),
        Just(Trick::Late),
        Just(Trick::WrongUnit),
        (1..12_u8).prop_map(Trick::Exception),
        (0..12_usize).prop_map(Trick::HangUp),
        Just(Trick::ByteAfterByte),
    ];
    proptest::collection::vec(trick, 1..6)
}

/// What each unit says when it is honest. The hostile one never is: whatever is read from it is wrong.
fn truth(unit: u8) -> Vec<u8> {
    registers(4, 4, 1000 + u16::from(unit))
}

/// What is sent instead, after how long, and whether the line goes down then; `frame` adds what the transport needs.
async fn play<S>(trick: &Trick, sink: &mut S, frame: impl Fn(u8, &[u8]) -> Vec<u8>) -> std::io::Result<bool>
where
    S: tokio::io::AsyncWrite + Unpin,
{
    let lie = frame(HOSTILE, &registers(4, 4, 1));
    match trick {
        Trick::Nothing => {}
        Trick::Random(bytes) => sink.write_all(bytes).await?,
        Trick::Truncated(len) => sink.write_all(&lie[..*len]).await?,
        // This slowness is the device's, not the test's.
        Trick::Late => {
            tokio::time::sleep(TIMEOUT * 2).await;
            sink.write_all(&lie).await?;
        }
        Trick::WrongUnit => sink.write_all(&frame(1, &registers(4, 4, 1))).await?,
        Trick::Exception(code) => sink.write_all(&frame(HOSTILE, &[0x84, *code])).await?,
        Trick::HangUp(len) => {
            sink.write_all(&lie[..*len]).await?;
            return Ok(true);
        }
        Trick::ByteAfterByte => {
            for byte in &lie[..3] {
                tokio::time::sleep(Duration::from_millis(100)).await;
                sink.write_all(&[*byte]).await?;
            }
        }
    }
    Ok(false)
}

/// Reads everybody as the gateway does, and checks whatever is said.
async fn read_all(bus: &Bus) -> Result<Vec<u32>, TestCaseError> {
    let units: Vec<u8> = (1..=HONEST).chain([HOSTILE]).collect();
    let meters: Vec<Arc<dyn Meter>> =
        units.iter().map(|n| bus.meter(meter_id(), simple_meter(), unit(*n)).unwrap()).collect();
    let start = Instant::now();
    let mut round = Round::new(units.iter().map(|_| PERIOD), start);
    let mut answers = vec![0; units.len()];
    let mut readings = JoinSet::new();
    while start.elapsed() < PLAY {
        let now = Instant::now();
        let wait = match round.next(now, |i| meters[i].outlook()) {
            Next::Wait(at) => at.min(start + PLAY),
            Next::Ask { index, until } => {
                let (meter, far) = (Arc::clone(&meters[index]), now + Duration::from_secs(60));
                readings.spawn(async move {
                    let read = tokio::time::timeout_at(until.unwrap_or(far), meter.read()).await;
                    let silent = DeviceError::Silent { waited: now.elapsed() };
                    (index, now, Instant::now(), read.unwrap_or(Err(silent)))
                });
                continue;
            }
        };
        let Ok(Some(done)) = tokio::time::timeout_at(wait, readings.join_next()).await else {
            // Nothing is under way, or nothing of it has come.
            tokio::time::sleep_until(wait).await;
            continue;
        };
        let (index, began, ended, read) = done.unwrap();
        match read {
            Ok(reading) => {
                let said = reading.import.map(|e| e.0);
                let right = 1000 + i64::from(units[index]);
                prop_assert!(units[index] != HOSTILE || said == Some(1), "{:?}", said);
                prop_assert!(units[index] == HOSTILE || said == Some(right), "{:?}", said);
                answers[index] += 1;
                round.answered(index, began, ended);
            }
            Err(error) => round.failed(index, began, ended, &error),
        }
    }
    Ok(answers)
}

/// Of eleven readings that each honest device is due, some may be lost to what was done to the wire itself, and to a busy
/// machine. One in quarantine has two at most.
fn kept_their_period(answers: &[u32]) -> Result<(), TestCaseError> {
    let honest = &answers[..usize::from(HONEST)];
    prop_assert!(honest.iter().all(|n| *n >= 5), "{:?}", answers);
    Ok(())
}

async fn serve(stream: &mut TcpStream, tricks: &mut impl Iterator<Item = Trick>) -> std::io::Result<()> {
    let (mut ear, mut mouth) = stream.split();
    loop {
        let mut request = [0; 12];
        ear.read_exact(&mut request).await?;
        let frame = |unit: u8, pdu: &[u8]| {
            let len = u8::try_from(pdu.len() + 1).unwrap();
            [&[request[0], request[1], 0, 0, 0, len, unit], pdu].concat()
        };
        if request[6] != HOSTILE {
            mouth.write_all(&frame(request[6], &truth(request[6]))).await?;
        } else if play(&tricks.next().unwrap_or(Trick::Nothing), &mut mouth, frame).await? {
            return Ok(());
        }
    }
}

fn config() -> Config {
    Config { cases: 6, failure_persistence: None, max_shrink_iters: 8, ..Config::default() }
}

async fn over_tcp(tricks: Vec<Trick>, pipeline: u8) -> Result<(), TestCaseError> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let bus = pipelined(listener.local_addr().unwrap().to_string(), TIMEOUT, pipeline);
    let gateway = tokio::spawn(async move {
        let mut tricks = tricks.into_iter().cycle();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            // A broken connection is what some tricks are for.
            let _ = serve(&mut stream, &mut tricks).await;
        }
    });
    let answers = read_all(&bus).await;
    gateway.abort();
    kept_their_period(&answers?)
}

#[test]
fn a_hostile_unit_behind_a_tcp_gateway_harms_nobody_else() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let result = TestRunner::new(config()).run(&tricks(), |tricks| runtime.block_on(over_tcp(tricks, 1)));
    result.unwrap();
}

#[test]
fn a_hostile_unit_behind_a_tcp_gateway_harms_nobody_who_is_asked_beside_it() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let scripts = (tricks(), 2..5_u8);
    let result =
        TestRunner::new(config()).run(&scripts, |(tricks, pipeline)| runtime.block_on(over_tcp(tricks, pipeline)));
    result.unwrap();
}

/// These once sent an honest unit into quarantine for what was done to the connection.
#[tokio::test]
async fn half_frames_and_hang_ups_are_not_blamed_on_the_units_asked_next() {
    let garbage = Trick::Random(vec![188, 137, 169, 152, 245, 184, 135, 111, 116, 167, 219, 17, 60, 243, 54, 218]);
    let tricks = vec![Trick::HangUp(1), garbage, Trick::ByteAfterByte];
    for _ in 0..2 {
        over_tcp(tricks.clone(), 1).await.unwrap();
    }
}

#[test]
fn a_hostile_unit_on_a_serial_line_harms_nobody_else() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let result = TestRunner::new(config()).run(&tricks(), |tricks| {
        runtime.block_on(async {
            let mut pty = Pty::open();
            let bus = rtu_bus(&pty.port, TIMEOUT);
            let line = tokio::spawn(async move {
                let mut tricks = tricks.into_iter().cycle();
                loop {
                    let request = pty.hear().await;
                    if request[0] == HOSTILE {
                        let trick = tricks.next().unwrap_or(Trick::Nothing);
                        play(&trick, &mut pty.mouth, framed).await.unwrap();
                    } else {
                        pty.say(&framed(request[0], &truth(request[0]))).await;
                    }
                }
            });
            let answers = read_all(&bus).await;
            line.abort();
            kept_their_period(&answers?)
        })
    });
    result.unwrap();
}
