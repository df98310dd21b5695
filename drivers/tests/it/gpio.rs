//! Lines of a GPIO chip. The simulated chip stands for the kernel's here; `make gpio` drives the kernel's own.

use crate::bench::{Bench, NOW, meter_id, switch_id, template};
use domain::{Clock, Position, Reading, Timestamp, WattHours, Watts};
use drivers::simulator::{Appliance as _, Running, SimDevice, serve_gpio};
use drivers::{
    Bias, Bus, BusKind, BusSpec, DeviceAddress, DeviceError, Feedback, GpioSpec, Level, Library, Meter, PulseLine,
    PulsesPerKwh, Switch, SwitchLine,
};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

fn line(line: u32, imp_per_kwh: u32) -> PulseLine {
    PulseLine {
        line,
        constant: PulsesPerKwh::new(imp_per_kwh).unwrap(),
        debounce: Duration::from_millis(10),
        bias: Bias::PullUp,
        active: Level::Low,
        start: WattHours(0),
    }
}

fn output(line: u32, feedback: Option<u32>) -> SwitchLine {
    let feedback = feedback.map(|line| Feedback { line, active: Level::Low, bias: Bias::PullUp });
    SwitchLine { line, active: Level::High, feedback }
}

fn shows(wh: i64) -> Reading {
    Reading { import: Some(WattHours(wh)), ..Reading::empty(meter_id(), NOW) }
}

/// A board with a folder of its own for its counts, and a clock that the test moves.
struct Board {
    folder: tempfile::TempDir,
    ms: Arc<AtomicI64>,
}

impl Board {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), ms: Arc::new(AtomicI64::new(NOW.0)) }
    }

    fn clock(&self) -> Clock {
        let ms = Arc::clone(&self.ms);
        Clock::new(1, move || Timestamp(ms.load(Ordering::SeqCst)))
    }

    fn pass(&self, seconds: i64) {
        self.ms.fetch_add(seconds * 1000, Ordering::SeqCst);
    }

    fn chip(&self) -> PathBuf {
        self.folder.path().join("gpiochip0")
    }

    fn serve(&self, devices: &[(DeviceAddress, &Arc<Bench>)]) -> Running {
        let model = |at: &DeviceAddress| if matches!(at, DeviceAddress::Pulses(_)) { "s0-pulse" } else { "gpio-relay" };
        let device = |(at, what): &(DeviceAddress, &Arc<Bench>)| {
            SimDevice::new(at.clone(), template(model(at)), Arc::<Bench>::clone(what))
        };
        serve_gpio(&self.chip(), devices.iter().map(device).collect(), &self.clock()).unwrap()
    }

    fn bus_of(&self, chip: PathBuf, simulated: bool, keep: bool) -> Bus {
        let counts = self.folder.path().join("pulses");
        let kind = BusKind::Gpio(GpioSpec { chip, counts, keep, simulated });
        Bus::open(BusSpec::new("pins".parse().unwrap(), kind), self.clock()).unwrap()
    }

    fn bus(&self) -> Bus {
        self.bus_of(self.chip(), true, true)
    }

    fn count_file(&self) -> PathBuf {
        self.folder.path().join("pulses/m.count")
    }
}

fn meter(bus: &Bus, line: PulseLine) -> Arc<dyn Meter> {
    bus.meter(meter_id(), template("s0-pulse"), DeviceAddress::Pulses(line)).unwrap()
}

fn switch(bus: &Bus, line: SwitchLine) -> Arc<dyn Switch> {
    bus.switch(switch_id(), template("gpio-relay"), DeviceAddress::Output(line)).unwrap()
}

async fn import(meter: &Arc<dyn Meter>) -> i64 {
    meter.read().await.unwrap().import.unwrap().0
}

#[tokio::test]
async fn pulses_become_watt_hours_exactly_and_power_is_that_of_the_time_between_them() {
    let (board, bench) = (Board::new(), Bench::new(shows(5_000)));
    let pulses = line(17, 1000);
    let _running = board.serve(&[(DeviceAddress::Pulses(pulses), &bench)]);
    let bus = board.bus();
    bus.try_connect().await.unwrap();
    let meter = meter(&bus, pulses);
    // What the meter counted before anybody listened is not ours.
    let first = meter.read().await.unwrap();
    assert_eq!((first.import, first.power), (Some(WattHours(0)), None));
    for n in 1..=3 {
        board.pass(36);
        bench.turn(shows(5_000 + n * 10));
        let reading = meter.read().await.unwrap();
        assert_eq!(reading.import, Some(WattHours(n * 10)));
        // 10 Wh in 36 s.
        assert_eq!(reading.power, Some(Watts(1000)));
    }
    board.pass(7);
    assert_eq!(meter.read().await.unwrap().power, Some(Watts(514)), "more would have shown by a pulse");
    board.pass(1);
    let quiet = meter.read().await.unwrap();
    assert_eq!((quiet.import, quiet.power), (Some(WattHours(30)), None));
}

#[tokio::test]
async fn a_constant_that_does_not_divide_a_watt_hour_loses_nothing_over_restarts() {
    let (board, bench) = (Board::new(), Bench::new(shows(0)));
    let pulses = line(17, 300);
    let _running = board.serve(&[(DeviceAddress::Pulses(pulses), &bench)]);
    // A pulse is 3 and a third Wh. Each part is read by a gateway of its own.
    for wh in [0, 4, 8, 11, 400, 1000] {
        let meter = meter(&board.bus(), pulses);
        meter.read().await.unwrap();
        bench.turn(shows(wh));
        let ours = import(&meter).await;
        let shown = wh * 300 / 1000 * 1000 / 300;
        assert_eq!(ours, shown, "the meter shows {wh}");
    }
}

#[tokio::test]
async fn a_count_is_on_disk_before_it_is_told_and_goes_on_after_a_kill() {
    let (board, bench) = (Board::new(), Bench::new(shows(0)));
    let pulses = line(17, 1000);
    let _running = board.serve(&[(DeviceAddress::Pulses(pulses), &bench)]);
    let ours = meter(&board.bus(), pulses);
    ours.read().await.unwrap();
    bench.turn(shows(7));
    assert_eq!(import(&ours).await, 7);
    // What a process leaves that is killed here: the file, and a line that the kernel frees.
    let left = std::fs::read(board.count_file()).unwrap();
    bench.turn(shows(9));
    drop(ours);
    std::fs::write(board.count_file(), left).unwrap();
    let next = meter(&board.bus(), pulses);
    assert_eq!(import(&next).await, 7, "two pulses were not written down, and nobody was told of them");
    bench.turn(shows(10));
    assert_eq!(import(&next).await, 8);
}

#[tokio::test]
async fn an_orderly_end_keeps_the_pulses_since_the_last_reading() {
    let (board, bench) = (Board::new(), Bench::new(shows(0)));
    let pulses = line(17, 1000);
    let _running = board.serve(&[(DeviceAddress::Pulses(pulses), &bench)]);
    let ours = meter(&board.bus(), pulses);
    ours.read().await.unwrap();
    bench.turn(shows(3));
    drop(ours);
    assert_eq!(import(&meter(&board.bus(), pulses)).await, 3);
}

#[tokio::test]
async fn a_count_that_cannot_be_written_down_is_not_told() {
    let (board, bench) = (Board::new(), Bench::new(shows(0)));
    let pulses = line(17, 1000);
    let _running = board.serve(&[(DeviceAddress::Pulses(pulses), &bench)]);
    std::fs::write(board.folder.path().join("pulses"), "no folder").unwrap();
    let ours = meter(&board.bus(), pulses);
    assert!(matches!(ours.read().await, Err(DeviceError::Wire { .. })));
    std::fs::remove_file(board.folder.path().join("pulses")).unwrap();
    assert_eq!(import(&ours).await, 0);
    std::fs::write(board.count_file(), "broken").unwrap();
    drop(ours);
    let error = meter(&board.bus(), pulses).read().await.unwrap_err();
    assert!(error.to_string().contains("start_wh") && !error.is_transient(), "{error}");
}

#[tokio::test]
async fn a_register_is_put_right_by_what_the_meter_shows_but_never_falls() {
    let (board, bench) = (Board::new(), Bench::new(shows(0)));
    let at = |start| PulseLine { start: WattHours(start), ..line(17, 1000) };
    let _running = board.serve(&[(DeviceAddress::Pulses(at(0)), &bench)]);
    assert_eq!(import(&meter(&board.bus(), at(1000))).await, 1000);
    assert_eq!(import(&meter(&board.bus(), at(1500))).await, 1500);
    let error = meter(&board.bus(), at(1499)).read().await.unwrap_err();
    assert!(error.to_string().contains("1500 Wh are counted already"), "{error}");
    assert!(error.to_string().contains("set start_wh back to 1500") && !error.is_transient(), "{error}");
    assert_eq!(import(&meter(&board.bus(), at(1500))).await, 1500);
}

#[tokio::test]
async fn more_pulses_than_a_queue_holds_are_counted_by_their_numbers() {
    let (board, bench) = (Board::new(), Bench::new(shows(0)));
    let pulses = line(17, 1000);
    let _running = board.serve(&[(DeviceAddress::Pulses(pulses), &bench)]);
    let meter = meter(&board.bus(), pulses);
    meter.read().await.unwrap();
    bench.turn(shows(100_000));
    board.pass(36_000);
    assert_eq!(import(&meter).await, 100_000);
}

#[tokio::test]
async fn who_only_looks_sees_the_count_and_leaves_nothing_behind() {
    let (board, bench) = (Board::new(), Bench::new(shows(0)));
    let pulses = line(17, 1000);
    let _running = board.serve(&[(DeviceAddress::Pulses(pulses), &bench)]);
    let looking = || meter(&board.bus_of(board.chip(), true, false), pulses);
    assert_eq!(import(&looking()).await, 0);
    assert!(!board.count_file().exists());
    let ours = meter(&board.bus(), pulses);
    ours.read().await.unwrap();
    bench.turn(shows(5));
    assert_eq!(import(&ours).await, 5);
    drop(ours);
    let before = std::fs::read(board.count_file()).unwrap();
    let looker = looking();
    assert_eq!(import(&looker).await, 5);
    bench.turn(shows(6));
    assert_eq!((import(&looker).await, import(&looker).await), (6, 6));
    drop(looker);
    assert_eq!(std::fs::read(board.count_file()).unwrap(), before);
}

#[tokio::test]
async fn a_switch_is_taken_as_it_is_and_moves_only_when_it_is_told_to() {
    for feedback in [None, Some(22)] {
        let (board, bench) = (Board::new(), Bench::new(shows(0)));
        let at = output(27, feedback);
        let _running = board.serve(&[(DeviceAddress::Output(at), &bench)]);
        for position in [Position::Open, Position::Closed] {
            // Somebody left it so; a gateway that starts finds it and does not touch it.
            bench.operate(position).unwrap();
            let switch = switch(&board.bus(), at);
            assert_eq!(switch.position().await, Ok(position));
            assert_eq!(bench.position(), Some(position));
            for order in [Position::Closed, Position::Open] {
                switch.set(order).await.unwrap();
                assert_eq!((switch.position().await, bench.position()), (Ok(order), Some(order)));
            }
        }
    }
}

#[tokio::test]
async fn a_line_has_one_holder_and_whoever_comes_second_is_told_who_that_is() {
    let (board, bench) = (Board::new(), Bench::new(shows(0)));
    let pulses = line(17, 1000);
    let _running = board.serve(&[(DeviceAddress::Pulses(pulses), &bench)]);
    let first = meter(&board.bus(), pulses);
    first.read().await.unwrap();
    let second = meter(&board.bus(), pulses);
    let error = second.read().await.unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("held by \"microgrid-gateway m\""), "{error}");
    drop(first);
    second.read().await.unwrap();
    let error = meter(&board.bus(), line(18, 1000)).read().await.unwrap_err();
    assert!(!error.is_transient() && error.to_string().contains("has no line 18"), "{error}");
}

#[tokio::test]
async fn a_chip_that_is_none_says_what_there_is_instead() {
    let board = Board::new();
    for (chip, simulated, part) in [
        (PathBuf::from("/dev/gpiochip-nowhere"), false, "there is no /dev/gpiochip-nowhere; this machine has "),
        (PathBuf::from("/dev/null"), false, "/dev/null is no GPIO chip"),
        (board.chip(), true, "is simulated in this process"),
    ] {
        let bus = board.bus_of(chip, simulated, true);
        let connect = bus.try_connect().await.unwrap_err();
        let read = meter(&bus, line(17, 1000)).read().await.unwrap_err();
        let position = switch(&bus, output(27, None)).position().await.unwrap_err();
        for error in [connect, read, position] {
            assert!(error.to_string().contains(part) && error.is_transient(), "{error}");
        }
    }
}

#[tokio::test]
async fn every_model_on_a_line_is_read_back_or_moved() {
    let library = Library::builtin();
    let models = library.models().map(|model| library.get(model).unwrap());
    for template in models.filter(|t| t.speaks() == "GPIO") {
        let (board, bench) = (Board::new(), Bench::new(shows(0)));
        let at = if template.is_meter() {
            DeviceAddress::Pulses(line(5, 1000))
        } else {
            DeviceAddress::Output(output(5, None))
        };
        let _running = board.serve(&[(at.clone(), &bench)]);
        let bus = board.bus();
        if template.is_meter() {
            let meter = bus.meter(meter_id(), Arc::clone(&template), at).unwrap();
            meter.read().await.unwrap();
            bench.turn(shows(1_234_567));
            assert_eq!(import(&meter).await, 1_234_567, "{}", template.model);
        } else {
            assert!(template.is_switch(), "{} is neither", template.model);
            let switch = bus.switch(switch_id(), template, at).unwrap();
            switch.set(Position::Open).await.unwrap();
            assert_eq!(bench.position(), Some(Position::Open));
        }
    }
}

#[tokio::test]
async fn a_device_that_cannot_be_on_a_line_is_refused_when_it_is_made() {
    let bus = Board::new().bus();
    let meter = bus.meter(meter_id(), template("s0-pulse"), DeviceAddress::Unit(1));
    assert!(meter.is_err_and(|e| e.to_string().contains("whose pulses are counted")));
    let switch = bus.switch(switch_id(), template("gpio-relay"), DeviceAddress::Alone);
    assert!(switch.is_err_and(|e| e.to_string().contains("a line that drives it")));
    let other = bus.meter(meter_id(), template("eastron-sdm120"), DeviceAddress::Unit(1));
    assert!(other.is_err_and(|e| e.to_string().contains("bus pins is GPIO")));
}
