//! Devices that refuse registers: what they do have is read, and no refusal is asked for twice.

use crate::bench::{Asked, PATIENCE, meter_id, parse, tcp_bus, unit};
use domain::{WattHours, Watts};
use drivers::{DeviceError, Meter};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

const MODEL: &str = r#"
max_gap = 8
[import]
table = "input"
address = 0
type = "u32"
[export]
table = "input"
address = 2
type = "u32"
[power]
table = "input"
address = 8
type = "i32"
[voltage]
table = "input"
address = 10
type = "f32"
"#;

/// A device whose every register holds its own address, and that refuses questions about those in `lacks`.
struct Picky {
    meter: Arc<dyn Meter>,
    lacks: Arc<Mutex<Vec<u16>>>,
    asked: Arc<AtomicU32>,
    refused: Arc<AtomicU32>,
}

impl Picky {
    async fn new(lacks: Vec<u16>, exception: u8) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let bus = tcp_bus(listener.local_addr().unwrap().to_string(), PATIENCE);
        let meter = bus.meter(meter_id(), parse(MODEL), unit(1)).unwrap();
        let (asked, refused) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let lacks = Arc::new(Mutex::new(lacks));
        let this = Self { meter, lacks: Arc::clone(&lacks), asked: Arc::clone(&asked), refused: Arc::clone(&refused) };
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            while let Ok(Asked { header, pdu }) = Asked::from(&mut stream).await {
                asked.fetch_add(1, Ordering::SeqCst);
                let first = u16::from_be_bytes([pdu[1], pdu[2]]);
                let wanted = first..first + u16::from(pdu[4]);
                let body = if wanted.clone().any(|at| lacks.lock().unwrap().contains(&at)) {
                    refused.fetch_add(1, Ordering::SeqCst);
                    vec![pdu[0] | 0x80, exception]
                } else {
                    let words = wanted.flat_map(u16::to_be_bytes);
                    [pdu[0], pdu[4] * 2].into_iter().chain(words).collect()
                };
                let len = u8::try_from(body.len() + 1).unwrap();
                let head = [header[0], header[1], 0, 0, 0, len, header[6]];
                stream.write_all(&[&head[..], &body].concat()).await.unwrap();
            }
        });
        this
    }

    fn counts(&self) -> (u32, u32) {
        (self.asked.swap(0, Ordering::SeqCst), self.refused.swap(0, Ordering::SeqCst))
    }
}

#[tokio::test]
async fn a_device_that_refuses_a_hole_is_read_fully_and_the_hole_is_not_asked_for_again() {
    for exception in [2, 3] {
        let picky = Picky::new(vec![5], exception).await;
        for counts in [(3, 1), (2, 0), (2, 0)] {
            let reading = picky.meter.read().await.unwrap();
            assert_eq!((reading.import, reading.export), (Some(WattHours(1)), Some(WattHours(0x2_0003))));
            assert_eq!(reading.power, Some(Watts(0x8_0009)));
            assert!(reading.voltage.is_some());
            assert_eq!(picky.counts(), counts);
        }
    }
}

#[tokio::test]
async fn a_quantity_that_a_device_refuses_is_unknown_and_the_others_are_read() {
    let picky = Picky::new(vec![8, 9], 2).await;
    for refusals in [3, 0, 0] {
        let reading = picky.meter.read().await.unwrap();
        assert_eq!((reading.import, reading.power), (Some(WattHours(1)), None));
        assert!(reading.voltage.is_some());
        assert_eq!(picky.counts().1, refusals);
    }
}

#[tokio::test]
async fn a_device_that_refuses_everything_says_so_with_one_question_and_is_read_when_it_has_changed_its_mind() {
    let picky = Picky::new((0..12).collect(), 2).await;
    for _ in 0..3 {
        assert!(matches!(picky.meter.read().await, Err(DeviceError::Refused { exception: 2, .. })));
    }
    picky.counts();
    assert!(picky.meter.read().await.is_err());
    assert_eq!(picky.counts(), (1, 1));
    picky.lacks.lock().unwrap().clear();
    assert_eq!(picky.meter.read().await.unwrap().power, Some(Watts(0x8_0009)));
}

#[tokio::test]
async fn a_refusal_for_another_reason_is_an_error_and_teaches_nothing() {
    let picky = Picky::new(vec![5], 4).await;
    for _ in 0..2 {
        assert!(matches!(picky.meter.read().await, Err(DeviceError::Refused { exception: 4, .. })));
        assert_eq!(picky.counts(), (1, 1));
    }
}
