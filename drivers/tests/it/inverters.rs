//! Inverters that are told to make less, over real sockets and a serial line; and those that do not listen.

use crate::bench::{PATIENCE, clock, meter_id, parse, rtu_bus, tcp_bus, unit};
use crate::board::Board;
use domain::{Permille, Watts};
use drivers::simulator::{Roof, Running, SimDevice, serve_rtu, serve_tcp};
use drivers::{Bus, DeviceError, Inverter, Limited, Meter, Template};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

const POWER: &str = "[power]\ntable = \"input\"\naddress = 0\ntype = \"i32\"\ninvert = true\n";

/// In percent with a scale register, a switch, and a timer of a second.
const PERCENT: &str = r#"
[limit]
table = "holding"
address = 10
type = "u16"
unit = "%"
scale_register = { address = 30 }
[limit.enable]
address = 14
[limit.reversion]
address = 12
seconds = 1
"#;

/// In watts, of what the device says that it can make, as a float; without a switch.
const WATTS: &str = r#"
[limit]
table = "holding"
address = 10
type = "f32"
unit = "W"
refresh_s = 3
function = 16
[limit.rated]
table = "holding"
address = 40
type = "u32"
unit = "W"
[limit.reversion]
address = 12
type = "u32"
seconds = 70000
full = 20
[[limit.setup]]
table = "holding"
address = 50
value = 3
"#;

fn share(thousandths: u16) -> Permille {
    Permille::new(thousandths).unwrap()
}

/// A roof that could make 5 kW and has sun for 4, behind a model.
struct House {
    meter: Arc<dyn Meter>,
    inverter: Arc<dyn Inverter>,
    _running: Running,
}

impl House {
    async fn new(limit: &str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let bus = tcp_bus(listener.local_addr().unwrap().to_string(), PATIENCE);
        let (template, device) = roof(limit);
        Self::on(&bus, &template, serve_tcp(listener, vec![device]).unwrap())
    }

    fn on(bus: &Bus, template: &Arc<Template>, running: Running) -> Self {
        let meter = bus.meter(meter_id(), Arc::clone(template), unit(1)).unwrap();
        Self { meter, inverter: bus.inverter(template, &unit(1)).unwrap(), _running: running }
    }

    async fn power(&self) -> i64 {
        self.meter.read().await.unwrap().power.unwrap().0
    }

    /// Waits until the roof makes so much, looking again and again.
    async fn makes(&self, watts: i64) {
        let look = async {
            while self.power().await != watts {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, look).await.unwrap();
    }
}

fn roof(limit: &str) -> (Arc<Template>, SimDevice) {
    let template = parse(&format!("{POWER}{limit}"));
    let roof = Arc::new(Roof::new(meter_id(), Watts(5000), Watts(4000), clock()));
    (Arc::clone(&template), SimDevice::new(unit(1), template, roof))
}

#[tokio::test]
async fn a_limit_is_followed_read_back_and_lifted_over_tcp_and_over_a_serial_line() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("line");
    for (limit, lapses) in [(PERCENT, 1), (WATTS, 3)] {
        let (template, device) = roof(limit);
        let serial = House::on(&rtu_bus(&link, PATIENCE), &template, serve_rtu(&link, 115_200, vec![device]).unwrap());
        for house in [House::new(limit).await, serial] {
            assert_eq!(house.inverter.limited().await.unwrap().to, None);
            assert_eq!(house.power().await, -4000);
            let limited = house.inverter.limit(Some(share(605))).await.unwrap();
            assert_eq!(limited, Limited { to: Some(share(605)), lapses: Some(Duration::from_secs(lapses)) });
            assert_eq!(house.power().await, -3025);
            assert_eq!(house.inverter.limited().await, Ok(limited));
            assert_eq!(house.inverter.limit(Some(share(0))).await.unwrap().to, Some(share(0)));
            assert_eq!(house.power().await, 0);
            assert_eq!(house.inverter.limit(None).await.unwrap().to, None);
            assert_eq!(house.power().await, -4000);
        }
    }
}

#[tokio::test]
async fn a_held_limit_outlives_the_timer_of_the_device_and_is_lifted_at_its_end() {
    let house = House::new(PERCENT).await;
    let began = Instant::now();
    let held = house.inverter.hold(share(500), began + Duration::from_millis(2500));
    // Looks all the time meanwhile: after the first order, never more than half.
    let watch = async {
        house.makes(-2500).await;
        let mut looks = 0;
        while began.elapsed() < Duration::from_millis(2400) {
            assert_eq!(house.power().await, -2500, "after {:?}", began.elapsed());
            looks += 1;
        }
        looks
    };
    let (held, looks) = tokio::join!(held, watch);
    held.unwrap();
    assert!(looks > 10 && began.elapsed() >= Duration::from_millis(2500));
    assert_eq!((house.inverter.limited().await.unwrap().to, house.power().await), (None, -4000));
}

#[tokio::test]
async fn an_inverter_whose_driver_dies_lets_go_by_itself() {
    let house = House::new(PERCENT).await;
    let inverter = Arc::clone(&house.inverter);
    let hour = Instant::now() + Duration::from_secs(3600);
    let driver = tokio::spawn(async move { inverter.hold(share(500), hour).await });
    house.makes(-2500).await;
    let died = Instant::now();
    driver.abort();
    assert!(driver.await.unwrap_err().is_cancelled());
    house.makes(-4000).await;
    assert!(died.elapsed() < Duration::from_secs(5));
    let limited = house.inverter.limited().await.unwrap();
    assert_eq!(limited, Limited { to: None, lapses: Some(Duration::from_secs(1)) });
}

async fn board(words: impl IntoIterator<Item = (u16, u16)>) -> (Board, Arc<dyn Inverter>) {
    let board = Board::new(words).await;
    let bus = tcp_bus(board.address.clone(), PATIENCE);
    let inverter = bus.inverter(&parse(PERCENT), &unit(1)).unwrap();
    (board, inverter)
}

/// Hundredths of a percent; no window or ramp; off; a power of ten of -2.
fn idle() -> Vec<(u16, u16)> {
    let mut words: Vec<(u16, u16)> = (10..=30).map(|at| (at, 0)).collect();
    (words[0].1, words[20].1) = (10_000, (-2_i16).cast_unsigned());
    words
}

#[tokio::test]
async fn the_timer_is_set_before_the_limit_and_written_only_once() {
    let (board, inverter) = board(idle()).await;
    for orders in [vec![(6, 12), (6, 10), (6, 14)], vec![(6, 10), (6, 14)]] {
        inverter.limit(Some(share(600))).await.unwrap();
        assert_eq!(board.orders(), orders);
    }
    let words = board.nature().words.clone();
    assert_eq!((words[&10], words[&12], words[&14]), (6000, 1, 1));
}

#[tokio::test]
async fn a_device_that_confirms_an_order_and_does_not_follow_it_is_reported() {
    for (stubborn, says) in [(14, "no limit"), (10, "100.0 %")] {
        let (board, inverter) = board(idle()).await;
        board.nature().stubborn.insert(stubborn);
        let error = inverter.limit(Some(share(600))).await.unwrap_err();
        let what = format!("60.0 % was ordered, it says {says}");
        assert_eq!(error, DeviceError::Ignored { what });
        let held = inverter.hold(share(600), Instant::now() + Duration::from_secs(3600)).await;
        assert!(matches!(held, Err(DeviceError::Ignored { .. })), "holding on would hide it: {held:?}");
    }
}

#[tokio::test]
async fn a_limit_that_cannot_be_lifted_is_reported_too() {
    let (board, inverter) = board(idle()).await;
    inverter.limit(Some(share(600))).await.unwrap();
    board.nature().stubborn.insert(14);
    let error = inverter.limit(None).await.unwrap_err();
    assert_eq!(error, DeviceError::Ignored { what: "no limit was ordered, it says 60.0 %".into() });
}

#[tokio::test]
async fn a_device_without_a_timer_is_limited_and_says_that_it_will_not_let_go() {
    let lacking =
        |words: Vec<(u16, u16)>| words.into_iter().map(|(at, word)| (at, if at == 12 { 0xFFFF } else { word }));
    let (board, inverter) = board(lacking(idle())).await;
    let limited = inverter.limit(Some(share(600))).await.unwrap();
    assert_eq!(limited, Limited { to: Some(share(600)), lapses: None });
    assert_eq!(board.orders(), [(6, 10), (6, 14)], "what it lacks is not written");
}

#[tokio::test]
async fn a_device_that_refuses_the_value_says_so_and_nothing_is_switched_on() {
    let (board, inverter) = board(idle()).await;
    board.nature().fixed.insert(10);
    assert!(matches!(inverter.limit(Some(share(600))).await, Err(DeviceError::Refused { exception: 3, .. })));
    assert_eq!(board.nature().words[&14], 0);
}

#[tokio::test]
async fn a_limit_between_two_steps_of_the_device_becomes_the_lower_one() {
    let mut words = idle();
    words[20].1 = 0;
    words[0].1 = 100;
    let (board, inverter) = board(words).await;
    let limited = inverter.limit(Some(share(605))).await.unwrap();
    assert_eq!((limited.to, board.nature().words[&10]), (Some(share(600)), 60));
}

#[tokio::test]
async fn a_scale_that_is_none_makes_no_limit() {
    let mut words = idle();
    words[20].1 = 0x8000;
    let (board, inverter) = board(words).await;
    assert!(matches!(inverter.limit(Some(share(605))).await, Err(DeviceError::Nonsense { .. })));
    assert_eq!(board.nature().words[&14], 0);
}
