//! Devices that describe themselves, and the odd ones among them.

use crate::bench::{Bench, PATIENCE, as_seen_by, clock, meter_id, samples, tcp_bus, tcp_street, template, unit};
use crate::board::Board;
use domain::{Permille, Volts, WattHours, Watts};
use drivers::simulator::{Roof, SimDevice};
use drivers::{DeviceError, Library, Limited, Meter};
use std::sync::Arc;
use std::time::Duration;

/// Number, length, and the points that are not zero.
type Model = (u16, u16, Vec<(u16, u16)>);

/// A chain at a base: the marker, then models with their points, each set from its number on, then the end.
fn chain(base: u16, models: &[Model]) -> Vec<(u16, u16)> {
    let mut words = vec![(base, 0x5375), (base + 1, 0x6E53)];
    let mut at = base + 2;
    for (model, length, points) in models {
        words.extend((at..at + length + 2).map(|at| (at, 0)));
        words.extend([(at, *model), (at + 1, *length)]);
        words.extend(points.iter().map(|(point, word)| (at + point, *word)));
        at += length + 2;
    }
    words.extend([(at, 0xFFFF), (at + 1, 0)]);
    words
}

/// A three-phase inverter with integers: 230.5 V, 2 kW, 12,345.67 kWh, and no current or frequency.
fn inverter(scale: i16) -> Model {
    let sf = scale.cast_unsigned();
    let minus_one = (-1_i16).cast_unsigned();
    let points = [
        (3, 0xFFFF),
        (6, 0x8000),
        (10, 2305),
        (13, minus_one),
        (14, 200),
        (15, sf),
        (16, 0xFFFF),
        (17, 0x8000),
        (24, 0x00BC),
        (25, 0x6146),
        (26, 0),
    ];
    (103, 50, points.to_vec())
}

fn common() -> Model {
    (1, 65, vec![(2, 0x4163), (3, 0x6D65), (18, 0x526F), (19, 0x6F66), (50, 0x3432)])
}

async fn meter(words: Vec<(u16, u16)>, model: &str) -> (Board, Arc<dyn Meter>) {
    let board = Board::new(words).await;
    let template = Library::builtin().get(model).unwrap();
    let meter = tcp_bus(board.address.clone(), PATIENCE).meter(meter_id(), template, unit(1)).unwrap();
    (board, meter)
}

#[tokio::test]
async fn a_device_is_read_wherever_its_map_begins_and_what_it_lacks_is_absent() {
    for base in [40_000, 50_000, 0, 39_999] {
        let (board, meter) = meter(chain(base, &[common(), inverter(1)]), "sunspec").await;
        let reading = meter.read().await.unwrap();
        assert_eq!((reading.power, reading.export), (Some(Watts(-2000)), Some(WattHours(12_345_670))));
        assert_eq!((reading.voltage, reading.current, reading.frequency), (Volts::finite(230.5), None, None));
        let asked = board.nature().asked;
        meter.read().await.unwrap();
        assert_eq!(board.nature().asked, asked + 1, "what was found is not looked for again");
    }
}

#[tokio::test]
async fn a_scale_factor_that_moves_between_two_readings_moves_the_value_with_it() {
    let (board, meter) = meter(chain(40_000, &[common(), inverter(1)]), "sunspec").await;
    assert_eq!(meter.read().await.unwrap().power, Some(Watts(-2000)));
    board.nature().words.extend([(40_069 + 14, 2000), (40_069 + 15, 0)]);
    assert_eq!(meter.read().await.unwrap().power, Some(Watts(-2000)));
    board.nature().words.insert(40_069 + 15, 0x8000);
    assert_eq!(meter.read().await.unwrap().power, None, "no scale, no value");
    board.nature().words.insert(40_069 + 14, 0x8000);
    board.nature().words.insert(40_069 + 15, 0);
    assert_eq!(meter.read().await.unwrap().power, None, "not implemented");
}

#[tokio::test]
async fn a_device_that_moves_its_models_is_found_again_after_its_refusal() {
    let (board, meter) = meter(chain(40_000, &[common(), inverter(1)]), "sunspec").await;
    meter.read().await.unwrap();
    // New firmware: the map begins elsewhere, and has another model in front.
    board.nature().words = chain(50_000, &[common(), (120, 26, Vec::new()), inverter(0)]).into_iter().collect();
    assert!(matches!(meter.read().await, Err(DeviceError::Refused { .. })));
    assert_eq!(meter.read().await.unwrap().power, Some(Watts(-200)));
}

#[tokio::test]
async fn a_device_that_comes_back_on_a_new_connection_is_asked_anew_what_it_has() {
    let (board, meter) = meter(chain(40_000, &[common(), inverter(1)]), "sunspec").await;
    meter.read().await.unwrap();
    // The old places still answer, but mean something else now.
    board.nature().words.extend(chain(40_000, &[common(), (120, 50, Vec::new()), inverter(0)]));
    board.cut();
    assert_eq!(meter.read().await.unwrap().power, Some(Watts(-200)));
}

#[tokio::test]
async fn the_first_model_that_says_anything_is_read_or_the_one_that_is_asked_for() {
    let mute = (103, 50, [3, 6, 10, 13, 14, 15, 16, 17, 24, 25, 26].map(|at| (at, 0x8000)).to_vec());
    let mute = (
        mute.0,
        mute.1,
        mute.2.into_iter().map(|(at, w)| (at, if at == 24 || at == 25 { 0xFFFF } else { w })).collect(),
    );
    let points = vec![(8, 2300), (15, (-1_i16).cast_unsigned()), (18, 55), (38, 0), (39, 7), (46, 0), (47, 9)];
    let words = chain(40_000, &[common(), mute, (203, 105, points)]);
    let (_board, first) = meter(words.clone(), "sunspec").await;
    let reading = first.read().await.unwrap();
    assert_eq!(
        (reading.power, reading.export, reading.import),
        (Some(Watts(55)), Some(WattHours(7)), Some(WattHours(9)))
    );
    let both = chain(40_000, &[common(), inverter(1), (203, 105, vec![(18, 66)])]);
    let (_board, second) = meter(both.clone(), "sunspec:203").await;
    assert_eq!(second.read().await.unwrap().power, Some(Watts(66)));
    let (_board, none) = meter(both, "sunspec:701").await;
    let error = none.read().await.unwrap_err();
    assert!(error.to_string().contains("it has no model 701, only 1, 103, 203"), "{error}");
}

#[tokio::test]
async fn a_device_that_is_none_says_so() {
    let (_board, meter) = meter(vec![(0, 1), (1, 2)], "sunspec").await;
    let error = meter.read().await.unwrap_err();
    assert!(error.to_string().contains("no SunSpec device"), "{error}");
    assert!(!error.is_transient());
}

#[tokio::test]
async fn an_accumulator_of_64_bits_is_read_whole_and_its_sentinel_is_no_energy() {
    let minus_two = (-2_i16).cast_unsigned();
    let sf = [(113, 0), (114, 0), (115, minus_two), (116, 0), (120, 3)];
    let points = |energy: [u16; 4]| {
        let mut points = vec![(10, 1234), (16, 230), (17, 0), (18, 5001)];
        points.extend((19..).zip(energy).chain((23..).zip([0xFFFF; 4])).chain(sf));
        (701, 153, points)
    };
    let (_board, meter) = meter(chain(40_000, &[common(), points([0, 0, 1, 2])]), "sunspec").await;
    let reading = meter.read().await.unwrap();
    assert_eq!((reading.export, reading.import), (Some(WattHours(65_538_000)), None));
    assert_eq!((reading.power, reading.frequency.map(domain::Hertz::get)), (Some(Watts(-1234)), Some(50.01)));
    let (_board, mad) = self::meter(chain(40_000, &[common(), points([1, 0, 0, 0])]), "sunspec").await;
    assert!(matches!(mad.read().await, Err(DeviceError::Nonsense { .. })), "beyond what any meter counts");
}

#[tokio::test]
async fn an_inverter_is_limited_by_the_model_of_its_chain() {
    let minus_one = (-1_i16).cast_unsigned();
    let controls = (123, 24, vec![(5, 1000), (7, 0), (23, minus_one)]);
    let board = Board::new(chain(40_000, &[common(), inverter(1), controls])).await;
    let bus = tcp_bus(board.address.clone(), PATIENCE);
    let roof = bus.inverter(&template("sunspec"), &unit(1)).unwrap();
    let at = 40_069 + 52;
    let limited = roof.limit(Permille::new(605)).await.unwrap();
    assert_eq!(limited, Limited { to: Permille::new(605), lapses: Some(Duration::from_secs(60)) });
    assert_eq!(board.orders(), [(16, at + 7), (16, at + 5), (16, at + 9)]);
    assert_eq!(roof.limit(None).await.unwrap().to, None);
    let plain = Board::new(chain(40_000, &[common(), inverter(1)])).await;
    let bus = tcp_bus(plain.address.clone(), PATIENCE);
    let error = bus.inverter(&template("sunspec"), &unit(1)).unwrap().limit(None).await.unwrap_err();
    assert!(error.to_string().contains("neither model 704 nor 123"), "{error}");
}

#[tokio::test]
async fn the_simulated_device_is_found_named_read_and_limited() {
    let model = template("sunspec");
    let roof = Arc::new(Roof::new(meter_id(), Watts(5000), Watts(4000), clock()));
    let (bus, _running) = tcp_street(vec![SimDevice::new(unit(1), Arc::clone(&model), roof)], PATIENCE).await;
    let (chain, identity) = bus.sunspec(&unit(1)).await.unwrap().unwrap();
    assert_eq!(chain.blocks.iter().map(|b| b.model).collect::<Vec<_>>(), [1, 701, 704]);
    let named = bus.identify(&model, &unit(1)).unwrap().identify().await.unwrap();
    assert_eq!(Some(named.clone()), identity);
    assert_eq!((named.manufacturer.as_deref(), named.serial.as_deref()), (Some("simulated"), Some("1")));
    let meter = bus.meter(meter_id(), Arc::clone(&model), unit(1)).unwrap();
    let inverter = bus.inverter(&model, &unit(1)).unwrap();
    assert_eq!(meter.read().await.unwrap().power, Some(Watts(-4000)));
    let limited = inverter.limit(Permille::new(250)).await.unwrap();
    assert_eq!(limited, Limited { to: Permille::new(250), lapses: Some(Duration::from_secs(60)) });
    assert_eq!(meter.read().await.unwrap().power, Some(Watts(-1250)));
    assert_eq!(inverter.limit(None).await.unwrap().to, None);
    assert_eq!(meter.read().await.unwrap().power, Some(Watts(-4000)));
}

#[tokio::test]
async fn a_device_says_who_it_is_in_the_registers_that_its_model_names() {
    let body = "[power]\ntable = \"holding\"\naddress = 0\ntype = \"i16\"\n[identity.serial]\ntable = \"holding\"\naddress = 8\n\
                type = \"u32\"\n[identity.model]\ntable = \"holding\"\naddress = 4\ntype = \"string\"\nregisters = 3\n\
                [identity.version]\ntable = \"holding\"\naddress = 90\ntype = \"u16\"\n";
    let board = Board::new([(4, 0x4142), (5, 0x4300), (6, 0x4444), (8, 1), (9, 2)]).await;
    let bus = tcp_bus(board.address.clone(), PATIENCE);
    let identity = bus.identify(&crate::bench::parse(body), &unit(1)).unwrap().identify().await.unwrap();
    assert_eq!((identity.model.as_deref(), identity.serial.as_deref()), (Some("ABC"), Some("65538")));
    assert_eq!(identity.version, None, "it refuses to say");
    assert_eq!(identity.to_string(), "ABC, serial number 65538");
    assert!(bus.identify(&template("sim-home"), &unit(1)).is_none());
}

#[tokio::test]
async fn a_sunspec_device_on_a_bus_is_found_by_a_scan_with_its_name() {
    let device = SimDevice::new(unit(4), template("sunspec"), Bench::new(samples()[2].clone()));
    let (bus, _running) = tcp_street(vec![device], Duration::from_millis(200)).await;
    let found = drivers::scan::scan(&bus, 4..=4, &Library::builtin(), |_| {}).await;
    let best = found[0].models.first().unwrap();
    assert_eq!((best.model.as_str(), best.reading.import), ("sunspec", samples()[2].import));
    let (chain, identity) = found[0].sunspec.clone().unwrap();
    assert_eq!((chain.base, identity.unwrap().model.as_deref()), (40_000, Some("SunSpec device")));
    assert_eq!(as_seen_by(&template("sunspec"), &samples()[2]).import, None, "nothing is known beforehand");
}
