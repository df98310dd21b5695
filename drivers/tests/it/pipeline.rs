//! Several questions under way on one connection: each gets its own answer, and who does not bear it is spared.

use crate::bench::{Asked, clock, meter_id, pipelined, simple_meter, split_meter, switch_id, tcp_bus, unit};
use domain::{Position, WattHours};
use drivers::{Bus, BusKind, BusSpec, DeviceError, Meter};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Long enough for a busy machine to answer in.
const PATIENCE: Duration = Duration::from_secs(20);
/// Short enough to wait for.
const TIMEOUT: Duration = Duration::from_millis(400);

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

fn meter(bus: &Bus, n: u8) -> Arc<dyn Meter> {
    bus.meter(meter_id(), simple_meter(), unit(n)).unwrap()
}

async fn import(meter: Arc<dyn Meter>) -> Result<i64, DeviceError> {
    meter.read().await.map(|r| r.import.map_or(-1, |WattHours(wh)| wh))
}

#[tokio::test]
async fn as_many_questions_are_under_way_as_the_bus_may_have_and_each_gets_its_own_answer() {
    let (listener, address) = listen().await;
    let bus = pipelined(address, PATIENCE, 4);
    let mut readings = JoinSet::new();
    for n in 1..=6 {
        let meter = meter(&bus, n);
        readings.spawn(async move { (n, import(meter).await) });
    }
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut asked = Vec::new();
    for _ in 0..4 {
        asked.push(Asked::from(&mut stream).await.unwrap());
    }
    // Four wait for their answers, and the others for a place.
    assert_eq!(stream.try_read(&mut [0; 1]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    // The last one first, as a far end is free to do.
    for question in asked.iter().rev() {
        question.answer(&mut stream, 1000 + u16::from(question.header[6])).await.unwrap();
    }
    for _ in 0..2 {
        let question = Asked::from(&mut stream).await.unwrap();
        question.answer(&mut stream, 1000 + u16::from(question.header[6])).await.unwrap();
    }
    for (n, read) in readings.join_all().await {
        assert_eq!(read, Ok(1000 + i64::from(n)));
    }
}

#[tokio::test]
async fn the_parts_of_one_reading_are_asked_in_one_piece() {
    let (listener, address) = listen().await;
    let bus = pipelined(address, PATIENCE, 4);
    let meter = bus.meter(meter_id(), split_meter(), unit(1)).unwrap();
    let reading = tokio::spawn(async move { meter.read().await });
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut both = [0; 100];
    assert_eq!(stream.read(&mut both).await.unwrap(), 24, "two questions of twelve bytes");
    for (header, value) in [(&both[..7], 7), (&both[12..19], 8)] {
        let asked = Asked { header: header.try_into().unwrap(), pdu: vec![4, 0, 0, 0, 4] };
        asked.answer(&mut stream, value).await.unwrap();
    }
    let reading = reading.await.unwrap().unwrap();
    assert_eq!((reading.import, reading.export), (Some(WattHours(7)), Some(WattHours(8))));
}

#[tokio::test]
async fn an_order_gets_the_next_place_before_every_reading_that_waits() {
    let (listener, address) = listen().await;
    let bus = pipelined(address, PATIENCE, 2);
    let mut work = JoinSet::new();
    let read = |work: &mut JoinSet<()>, n| {
        let meter = meter(&bus, n);
        work.spawn(async move { assert_eq!(import(meter).await, Ok(5)) });
    };
    (1..=2).for_each(|n| read(&mut work, n));
    let (mut stream, _) = listener.accept().await.unwrap();
    let first = Asked::from(&mut stream).await.unwrap();
    let second = Asked::from(&mut stream).await.unwrap();
    (3..=6).for_each(|n| read(&mut work, n));
    tokio::task::yield_now().await;
    let switch = bus.switch(switch_id(), simple_meter(), unit(9)).unwrap();
    work.spawn(async move { switch.set(Position::Open).await.unwrap() });
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    second.answer(&mut stream, 5).await.unwrap();
    let order = Asked::from(&mut stream).await.unwrap();
    assert_eq!((order.header[6], order.pdu[0]), (9, 5));
    order.answer(&mut stream, 0).await.unwrap();
    first.answer(&mut stream, 5).await.unwrap();
    for _ in 3..=6 {
        Asked::from(&mut stream).await.unwrap().answer(&mut stream, 5).await.unwrap();
    }
    work.join_all().await;
}

#[tokio::test]
async fn a_late_answer_beside_others_is_taken_for_none_of_them() {
    let (listener, address) = listen().await;
    let bus = pipelined(address, TIMEOUT, 2);
    let (slow, quick) = (meter(&bus, 1), meter(&bus, 2));
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (mut late, mut rest) = (Vec::new(), Vec::new());
        while let Ok(asked) = Asked::from(&mut stream).await {
            if asked.header[6] == 1 && late.len() < 2 {
                late.push(asked);
                continue;
            }
            // Both unanswered ones of the slow unit come before every answer.
            for asked in &late {
                asked.answer(&mut stream, 666).await.unwrap();
            }
            asked.answer(&mut stream, 1000 + u16::from(asked.header[6])).await.unwrap();
            rest.push(asked.header[6]);
        }
        rest
    });
    // Neither is answered beside the other; asked again by itself, the far end says the late ones first.
    let both = tokio::join!(import(Arc::clone(&slow)), import(Arc::clone(&slow)));
    assert_eq!(both, (Ok(1001), Ok(1001)));
    for _ in 0..4 {
        let (one, two) = tokio::join!(import(Arc::clone(&slow)), import(Arc::clone(&quick)));
        assert_eq!((one, two), (Ok(1001), Ok(1002)));
    }
    drop((slow, quick, bus));
    assert!(server.await.unwrap().len() >= 8);
}

/// A device with two numbers too far apart for one request. Says how many questions came in each piece.
async fn simple_minded(mut stream: TcpStream, hangs_up: bool, pieces: mpsc::UnboundedSender<usize>) {
    let mut piece = [0; 260];
    while let Ok(len @ 1..) = stream.read(&mut piece).await {
        pieces.send(len / 12).unwrap();
        if hangs_up && len > 12 {
            return;
        }
        // It looks at the first question and drops the rest of what it received.
        let asked = Asked { header: piece[..7].try_into().unwrap(), pdu: piece[7..12].to_vec() };
        let value = if asked.pdu[1..3] == [0, 0] { 7 } else { 8 };
        asked.answer(&mut stream, value).await.unwrap();
    }
}

#[tokio::test]
async fn a_device_that_takes_one_question_at_a_time_loses_no_reading_and_is_asked_one_by_one() {
    for hangs_up in [false, true] {
        let (listener, address) = listen().await;
        let bus = pipelined(address, TIMEOUT, 4);
        let meter = bus.meter(meter_id(), split_meter(), unit(1)).unwrap();
        let (pieces, mut heard) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(simple_minded(stream, hangs_up, pieces.clone()));
            }
        });
        for _ in 0..4 {
            let reading = meter.read().await.unwrap();
            assert_eq!((reading.import, reading.export), (Some(WattHours(7)), Some(WattHours(8))));
        }
        let mut seen = Vec::new();
        while let Ok(count) = heard.try_recv() {
            seen.push(count);
        }
        let together = seen.iter().filter(|count| **count > 1).count();
        assert_eq!(together, 2, "hangs up: {hangs_up}; {seen:?}");
        assert!(seen.ends_with(&[1, 1, 1, 1]), "{seen:?}");
    }
}

#[tokio::test]
async fn a_dead_unit_behind_a_gateway_takes_no_place_from_the_others() {
    let (listener, address) = listen().await;
    let bus = pipelined(address, TIMEOUT, 2);
    let most = Arc::new(AtomicUsize::new(0));
    let theirs = Arc::clone(&most);
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let (mut ear, mut mouth) = stream.into_split();
        let (tell, mut told) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut question = [0; 12];
            while ear.read_exact(&mut question).await.is_ok() {
                tell.send(question).unwrap();
            }
        });
        while let Some(first) = told.recv().await {
            // Whoever wants to ask has done so by then, in a place that is free.
            let second = tokio::time::timeout(Duration::from_millis(20), told.recv()).await.ok().flatten();
            let asked: Vec<_> = [Some(first), second].into_iter().flatten().collect();
            theirs.store(asked.len(), Ordering::SeqCst);
            for question in asked.iter().filter(|question| question[6] != 3) {
                let body = crate::bench::registers(4, 4, 1000 + u16::from(question[6]));
                let head = [question[0], question[1], 0, 0, 0, u8::try_from(body.len() + 1).unwrap(), question[6]];
                mouth.write_all(&[&head[..], &body].concat()).await.unwrap();
            }
        }
    });
    let (one, two, dead) = (meter(&bus, 1), meter(&bus, 2), meter(&bus, 3));
    for _ in 0..5 {
        let (dead, alive) = tokio::join!(import(Arc::clone(&dead)), import(Arc::clone(&one)));
        assert!(matches!(dead, Err(DeviceError::Silent { .. })), "{dead:?}");
        assert_eq!(alive, Ok(1001));
    }
    assert_eq!(tokio::join!(import(one), import(two)), (Ok(1001), Ok(1002)));
    assert_eq!(most.load(Ordering::SeqCst), 2, "it is still asked two at a time");
}

#[tokio::test]
async fn a_gateway_that_stops_at_its_dead_unit_is_not_taken_for_one_that_bears_one_question_at_a_time() {
    let (listener, address) = listen().await;
    let bus = pipelined(address, TIMEOUT, 4);
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        while let Ok(asked) = Asked::from(&mut stream).await {
            if asked.header[6] == 3 {
                // This slowness is the gateway's, not the test's.
                tokio::time::sleep(TIMEOUT / 2).await;
            } else {
                asked.answer(&mut stream, 1000 + u16::from(asked.header[6])).await.unwrap();
            }
        }
    });
    let (one, two, dead) = (meter(&bus, 1), meter(&bus, 2), meter(&bus, 3));
    // They are known to be quick.
    for _ in 0..10 {
        assert_eq!(tokio::join!(import(Arc::clone(&one)), import(Arc::clone(&two))), (Ok(1001), Ok(1002)));
    }
    for _ in 0..4 {
        let all = tokio::join!(import(Arc::clone(&dead)), import(Arc::clone(&one)), import(Arc::clone(&two)));
        assert!(matches!(all, (Err(DeviceError::Silent { .. }), Ok(1001), Ok(1002))), "{all:?}");
    }
    assert_eq!(one.outlook().beside, 3);
}

#[tokio::test]
async fn only_modbus_tcp_has_several_questions_under_way_and_not_without_bound() {
    let kind = || BusKind::RtuOverTcp { address: "there:1".to_owned(), timeout: TIMEOUT };
    let spec = |pipeline, kind| BusSpec { pipeline, ..BusSpec::new("bus".parse().unwrap(), kind) };
    let error = Bus::open(spec(2, kind()), clock()).unwrap_err();
    assert!(error.to_string().contains("one question at a time"), "{error}");
    for pipeline in [0, 17] {
        let kind = BusKind::ModbusTcp { address: "there:1".to_owned(), timeout: TIMEOUT };
        let error = Bus::open(spec(pipeline, kind), clock()).unwrap_err();
        assert!(error.to_string().contains("from 1 to 16"), "{error}");
    }
    let _one = tcp_bus("there:1".to_owned(), TIMEOUT);
}

/// What a far end does with one question of several.
#[derive(Clone, Copy, Debug)]
enum Manner {
    Answers,
    Drops,
    /// When so many further questions have come.
    Late(usize),
    Twice,
    Refuses,
    HangsUp,
}

fn manners() -> impl Strategy<Value = Vec<Manner>> {
    let manner = prop_oneof![
        6 => Just(Manner::Answers),
        1 => Just(Manner::Drops),
        3 => (1..9_usize).prop_map(Manner::Late),
        1 => Just(Manner::Twice),
        1 => Just(Manner::Refuses),
        1 => Just(Manner::HangsUp),
    ];
    proptest::collection::vec(manner, 4..40)
}

/// Answers each unit with its own number, in whatever order, until it hangs up.
async fn play(mut stream: TcpStream, mut script: impl Iterator<Item = Manner>) {
    let mut late: Vec<(usize, Asked)> = Vec::new();
    while let Ok(asked) = Asked::from(&mut stream).await {
        let value = |asked: &Asked| 1000 + u16::from(asked.header[6]);
        let mut now = Vec::new();
        late = late
            .into_iter()
            .filter_map(|(left, asked)| match left {
                0 => {
                    now.push(asked);
                    None
                }
                _ => Some((left - 1, asked)),
            })
            .collect();
        for asked in now {
            let _ = asked.answer(&mut stream, value(&asked)).await;
        }
        match script.next().unwrap_or(Manner::Answers) {
            Manner::Drops => {}
            Manner::Late(after) => late.push((after, asked)),
            Manner::HangsUp => return,
            Manner::Refuses => {
                let refusal = [asked.header[0], asked.header[1], 0, 0, 0, 3, asked.header[6], 0x84, 6];
                let _ = stream.write_all(&refusal).await;
            }
            manner => {
                let _ = asked.answer(&mut stream, value(&asked)).await;
                if matches!(manner, Manner::Twice) {
                    let _ = asked.answer(&mut stream, value(&asked)).await;
                }
            }
        }
    }
}

#[test]
fn in_whatever_order_a_far_end_answers_nobody_gets_what_was_meant_for_another() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let config = Config { cases: 12, failure_persistence: None, max_shrink_iters: 20, ..Config::default() };
    let mut runner = TestRunner::new(config);
    let played = runner.run(&(manners(), 2..9_u8), |(script, pipeline)| {
        runtime.block_on(async {
            let (listener, address) = listen().await;
            let bus = pipelined(address, Duration::from_millis(60), pipeline);
            let server = tokio::spawn(async move {
                let mut script = script.into_iter();
                while let Ok((stream, _)) = listener.accept().await {
                    play(stream, &mut script).await;
                }
            });
            let mut readers = JoinSet::new();
            for n in 1..=8 {
                let meter = meter(&bus, n);
                readers.spawn(async move {
                    let mut said = Vec::new();
                    for _ in 0..6 {
                        said.push(import(Arc::clone(&meter)).await);
                    }
                    (n, said)
                });
            }
            let mut answers = 0;
            for (n, said) in readers.join_all().await {
                for one in said.into_iter().flatten() {
                    prop_assert_eq!(one, 1000 + i64::from(n));
                    answers += 1;
                }
            }
            prop_assert!(answers > 0, "nobody got anything");
            server.abort();
            Ok(())
        })
    });
    if let Err(problem) = played {
        panic!("{problem}\n{runner}");
    }
}
