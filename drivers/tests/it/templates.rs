//! Every model that is shipped, read back exactly through the real driver from a server on a real transport.

use crate::bench::{
    Asked, Bench, PATIENCE, as_seen_by, clock, meter_id, parse, rtu_bus, samples, switch_id, tcp_bus, tcp_street,
    telegram_bus, template, unit,
};
use crate::brokers;
use domain::{Amps, Hertz, Position, Reading, SwitchId, Volts, WattHours, Watts};
use drivers::simulator::{SimDevice, serve_mqtt, serve_rtu, serve_telegrams, simulated};
use drivers::template::{Protocol, Quantity};
use drivers::{
    Bus, BusKind, BusSpec, DeviceAddress, DeviceError, Library, Meter, Pace, Switch, TelegramPlace, Template,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

/// What one device can do.
type Abilities = (Option<Arc<dyn Meter>>, Option<Arc<dyn Switch>>);

/// What a device of this model can show of a sample: whole steps of what it counts in, nothing that its registers
/// have no room for, and no sign that it does not have.
fn within_reach(template: &Template, mut sample: Reading) -> Reading {
    let Protocol::Modbus(map) = &template.protocol else { return sample };
    for field in &map.fields {
        let parts = &field.kind.parts;
        let Some(finest) = parts.iter().filter(|p| !p.kind.is_float()).min_by_key(|p| p.factor.num / p.factor.den)
        else {
            continue;
        };
        let (num, den) = (finest.factor.num * field.scaling.factor.num, finest.factor.den * field.scaling.factor.den);
        let step = i64::from(num / den).max(1);
        let tenths = if finest.exponent.is_none() {
            1.0
        } else if field.quantity == Quantity::Voltage {
            10.0
        } else {
            100.0
        };
        let (num, den) = (f64::from(num), f64::from(den) * tenths);
        let nearest = |x: f64| (x * den / num).round() * num / den;
        let whole = |wh: WattHours| WattHours(wh.0 / step * step);
        match field.quantity {
            Quantity::Import => sample.import = sample.import.map(whole),
            Quantity::Export => sample.export = sample.export.map(whole),
            Quantity::Voltage => sample.voltage = sample.voltage.and_then(|v| Volts::finite(nearest(v.get()))),
            Quantity::Current => sample.current = sample.current.and_then(|a| Amps::finite(nearest(a.get()))),
            Quantity::Frequency => sample.frequency = sample.frequency.and_then(|f| Hertz::finite(nearest(f.get()))),
            Quantity::Power => {
                let room = if finest.kind.registers() == 1 { 30_000 * step } else { i64::MAX };
                let both_ways = parts.iter().any(|p| p.subtract || p.kind.is_signed());
                let one_way = |w: i64| if field.scaling.invert { -w.abs() } else { w.abs() };
                let power = |w: Watts| if both_ways { w.0 } else { one_way(w.0) } % room / step * step;
                sample.power = sample.power.map(|w| Watts(power(w)));
            }
        }
    }
    sample
}

/// Puts every sample on the bench and reads it back, then moves the switch both ways.
async fn read_back(bench: &Bench, template: &Template, meter: Option<Arc<dyn Meter>>, switch: Option<Arc<dyn Switch>>) {
    let described = simulated(template);
    for sample in samples() {
        let sample = within_reach(&described, sample);
        bench.turn(sample.clone());
        let (wanted, Some(meter)) = (as_seen_by(&described, &sample), &meter) else { continue };
        // A pushed message may have been on its way before the bench was turned; the next is not.
        let mut tries = if meter.pace() == Pace::Pushed { 3 } else { 1 };
        loop {
            tries -= 1;
            let reading = timeout(PATIENCE, meter.read()).await.unwrap().unwrap();
            if reading == wanted || tries == 0 {
                assert_eq!(reading, wanted, "{}", template.model);
                break;
            }
        }
    }
    if let Some(switch) = switch {
        // Nothing was read from a switch alone: the simulated one may still be on its way to the broker.
        let there = async {
            while switch.position().await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, there).await.unwrap();
        for position in [Position::Open, Position::Closed, Position::Open] {
            assert_eq!(switch.set(position).await, Ok(()), "{}", template.model);
            assert_eq!(switch.position().await, Ok(position), "{}", template.model);
        }
    }
}

fn devices(bus: &Bus, template: &Arc<Template>, at: &DeviceAddress) -> Abilities {
    let meter = template.is_meter().then(|| bus.meter(meter_id(), Arc::clone(template), at.clone()).unwrap());
    let switch = template.is_switch().then(|| bus.switch(switch_id(), Arc::clone(template), at.clone()).unwrap());
    (meter, switch)
}

fn all(speaks: &str) -> Vec<Arc<Template>> {
    let library = Library::builtin();
    let all = library.models().map(|model| library.get(model).unwrap());
    all.filter(|t| t.speaks() == speaks).collect()
}

#[tokio::test]
async fn every_modbus_model_is_read_back_exactly_over_tcp() {
    for template in all("Modbus") {
        let bench = Bench::new(samples()[0].clone());
        let device = SimDevice::new(unit(17), Arc::clone(&template), bench.clone());
        let (bus, _running) = tcp_street(vec![device], PATIENCE).await;
        let (meter, switch) = devices(&bus, &template, &unit(17));
        read_back(&bench, &template, meter, switch).await;
    }
}

#[tokio::test]
async fn every_modbus_model_is_read_back_exactly_over_a_serial_line() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("ttyRS485");
    let benches: Vec<_> = all("Modbus").into_iter().map(|t| (t, Bench::new(samples()[0].clone()))).collect();
    let device = |(i, (t, bench)): (usize, &(Arc<Template>, Arc<Bench>))| {
        SimDevice::new(unit(u8::try_from(i + 1).unwrap()), Arc::clone(t), bench.clone())
    };
    let running = serve_rtu(&link, 115_200, benches.iter().enumerate().map(device).collect()).unwrap();
    let bus = rtu_bus(&link, PATIENCE);
    for (i, (template, bench)) in benches.iter().enumerate() {
        let (meter, switch) = devices(&bus, template, &unit(u8::try_from(i + 1).unwrap()));
        read_back(bench, template, meter, switch).await;
    }
    drop(running);
    assert!(!link.exists() && !link.is_symlink(), "the link outlives the simulator");
}

#[tokio::test]
async fn every_mqtt_model_is_read_back_exactly_through_a_real_broker() {
    for template in all("MQTT") {
        let bench = Bench::new(samples()[0].clone());
        let topic = DeviceAddress::Topic(format!("exact/{}", template.model));
        let device = SimDevice::new(topic.clone(), Arc::clone(&template), bench.clone());
        let simulator = brokers::spec(&format!("sim-{}", template.model));
        let _running = serve_mqtt(simulator, vec![device], Duration::from_millis(50), &clock()).unwrap();
        let kind = BusKind::Mqtt(brokers::spec(&format!("gateway-{}", template.model)));
        let bus = Bus::open(BusSpec::new("mqtt".parse().unwrap(), kind), clock()).unwrap();
        bus.try_connect().await.unwrap();
        let (meter, switch) = devices(&bus, &template, &topic);
        // The stamp is made by the gateway's clock, less the time that the message waited.
        let meter = meter.map(|meter| Arc::new(Unstamped(meter)) as Arc<dyn Meter>);
        read_back(&bench, &template, meter, switch).await;
    }
}

#[tokio::test]
async fn every_model_of_telegrams_is_read_back_exactly_over_a_serial_line_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let read = |template: Arc<Template>| {
        let link = folder.path().join(&template.model);
        async move {
            let bench = Bench::new(samples()[0].clone());
            let device = SimDevice::new(DeviceAddress::Alone, Arc::clone(&template), bench.clone());
            let running = serve_telegrams(&link, device, Duration::from_millis(50), &clock()).unwrap();
            let bus = telegram_bus(TelegramPlace::Serial(link.clone()));
            bus.try_connect().await.unwrap();
            let (meter, _) = devices(&bus, &template, &DeviceAddress::Alone);
            let pushes = template.quiet().is_some();
            assert_eq!(meter.as_ref().unwrap().pace(), if pushes { Pace::Pushed } else { Pace::Polled });
            read_back(&bench, &template, meter.map(|meter| Arc::new(Unstamped(meter)) as Arc<dyn Meter>), None).await;
            drop(running);
            assert!(!link.is_symlink(), "the link outlives the simulator");
        }
    };
    // Each on its own line, all at once: those that are asked begin at 300 baud.
    let mut all: tokio::task::JoinSet<()> = all("telegrams").into_iter().map(read).collect();
    while let Some(one) = all.join_next().await {
        one.unwrap();
    }
}

/// A meter whose stamp is taken for granted if it is at most a minute old.
struct Unstamped(Arc<dyn Meter>);

#[async_trait::async_trait]
impl Meter for Unstamped {
    async fn read(&self) -> Result<domain::Reading, DeviceError> {
        let mut reading = self.0.read().await?;
        assert!(crate::bench::NOW.since(reading.at) < Duration::from_secs(60));
        reading.at = crate::bench::NOW;
        Ok(reading)
    }

    fn pace(&self) -> Pace {
        self.0.pace()
    }
}

#[tokio::test]
async fn a_device_that_refuses_unused_registers_is_read_in_parts_from_then_on() {
    let bench = Bench::new(samples()[2].clone());
    let template = template("eastron-sdm230");
    let device = SimDevice { refuses_gaps: true, ..SimDevice::new(unit(1), Arc::clone(&template), bench) };
    let (bus, _running) = tcp_street(vec![device], PATIENCE).await;
    let meter = bus.meter(meter_id(), Arc::clone(&template), unit(1)).unwrap();
    for _ in 0..2 {
        assert_eq!(meter.read().await, Ok(as_seen_by(&template, &samples()[2])));
    }
}

#[tokio::test]
async fn the_channels_of_one_relay_board_move_apart() {
    let library = Library::builtin();
    let (a, b) = (Bench::new(samples()[0].clone()), Bench::new(samples()[0].clone()));
    let channel = |n: u8| library.get(&format!("modbus-relay-coil:{n}")).unwrap();
    let board = vec![SimDevice::new(unit(1), channel(1), a.clone()), SimDevice::new(unit(1), channel(8), b.clone())];
    let (bus, _running) = tcp_street(board, PATIENCE).await;
    let id: SwitchId = switch_id();
    let first = bus.switch(id.clone(), channel(1), unit(1)).unwrap();
    let eighth = bus.switch(id.clone(), channel(8), unit(1)).unwrap();
    eighth.set(Position::Open).await.unwrap();
    assert_eq!((first.position().await, eighth.position().await), (Ok(Position::Closed), Ok(Position::Open)));
    let ninth = bus.switch(id, channel(2), unit(1)).unwrap();
    assert!(matches!(ninth.set(Position::Open).await, Err(DeviceError::Refused { exception: 2, .. })));
}

#[tokio::test]
async fn a_board_that_lets_go_by_itself_is_told_to_before_it_is_switched() {
    let model = template("wiren-board-relay-watchdog");
    assert_eq!(model.lets_go(), Some(Position::Open));
    let Protocol::Modbus(map) = &model.protocol else { panic!("{model:?}") };
    let [timer] = map.setup.as_slice() else { panic!("{:?}", map.setup) };
    assert_eq!((timer.address, timer.words.as_slice(), timer.many), (8, &[180][..], false));
    // Longer than the minute between two looks at a switch with its tries, so that it only lets go of a dead gateway.
    assert!(timer.words[0] >= 2 * 60);
    assert_eq!(template("modbus-relay-coil").lets_go(), None);
}

#[tokio::test]
async fn a_meter_that_says_it_measures_nothing_is_nonsense_and_not_zero() {
    let nothing = domain::Reading::empty(meter_id(), crate::bench::NOW);
    let device = SimDevice::new(unit(1), template("eastron-sdm630"), Bench::new(nothing));
    let (bus, _running) = tcp_street(vec![device], PATIENCE).await;
    let meter = bus.meter(meter_id(), template("eastron-sdm630"), unit(1)).unwrap();
    assert!(matches!(meter.read().await, Err(DeviceError::Nonsense { .. })));
}

#[tokio::test]
async fn a_scale_factor_that_changes_is_read_together_with_its_value() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    // Value, a register that nobody needs, scale factor: 321 W, then 4 kW in steps of a hundred, then no value.
    let answers: [[u16; 3]; 3] = [[321, 0, 0], [40, 0, 2], [40, 0, 0x8000]];
    let device = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        for words in answers {
            let asked = Asked::from(&mut stream).await.unwrap();
            assert_eq!(asked.pdu, [3, 0, 7, 0, 3], "one request for both");
            let pdu: Vec<u8> = [3, 6].into_iter().chain(words.into_iter().flat_map(u16::to_be_bytes)).collect();
            let head = [asked.header[0], asked.header[1], 0, 0, 0, 9, asked.header[6]];
            stream.write_all(&[&head[..], &pdu].concat()).await.unwrap();
        }
    });
    let body = "[power]\ntable = \"holding\"\naddress = 7\ntype = \"i16\"\nscale_register = { address = 9 }\n";
    let meter = tcp_bus(address, PATIENCE).meter(meter_id(), parse(body), unit(1)).unwrap();
    assert_eq!(meter.read().await.unwrap().power, Some(Watts(321)));
    assert_eq!(meter.read().await.unwrap().power, Some(Watts(4000)));
    assert!(matches!(meter.read().await, Err(DeviceError::Nonsense { .. })), "a meter that has no value at all");
    device.await.unwrap();
}
