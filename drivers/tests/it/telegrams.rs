//! Meters that speak telegrams badly, late, or not at all.

use crate::bench::{NOW, PATIENCE, Pty, clock, meter_id, switch_id, telegram_bus, template, unit};
use domain::WattHours;
use drivers::{Bus, BusKind, BusSpec, DeviceAddress, DeviceError, Meter, TelegramPlace, TelegramSpec, Template};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::timeout;

/// A model with one register, whose silence is noticed after a second.
fn model(language: &str, more: &str) -> Arc<Template> {
    let more = if more.contains("quiet_s") { more.to_owned() } else { format!("quiet_s = 1\n{more}") };
    let text = format!(
        "model = \"x\"\nvendor = \"v\"\nname = \"n\"\nsource = \"s\"\nprotocol = \"telegram\"\nlanguage = \"{language}\"\n\
         {more}\n[import]\nobis = \"1.8.0\"\nunit = \"Wh\"\n"
    );
    Arc::new(Template::parse("x.toml", &text).unwrap())
}

fn meter_on(place: TelegramPlace, model: Arc<Template>) -> Arc<dyn Meter> {
    telegram_bus(place).meter(meter_id(), model, DeviceAddress::Alone).unwrap()
}

/// CRC-16/ARC, written for these tests alone.
fn p1(wh: u32) -> Vec<u8> {
    let body = format!("/XYZ5MADE UP\r\n\r\n1-0:1.8.0({wh}*Wh)\r\n!");
    let mut crc = 0_u16;
    for byte in body.bytes() {
        crc ^= u16::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xA001 } else { crc >> 1 };
        }
    }
    format!("{body}{crc:04X}\r\n").into_bytes()
}

/// The same with one digit changed on its way.
fn torn(wh: u32) -> Vec<u8> {
    p1(wh).into_iter().map(|byte| if byte == b'X' { b'Q' } else { byte }).collect()
}

async fn import(meter: &dyn Meter) -> Result<i64, String> {
    let reading = timeout(PATIENCE, meter.read()).await.unwrap();
    reading.map(|reading| reading.import.unwrap().0).map_err(|error| error.to_string())
}

async fn adapter() -> (TcpListener, TelegramPlace) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let place = TelegramPlace::Tcp(listener.local_addr().unwrap().to_string());
    (listener, place)
}

#[tokio::test]
async fn a_torn_telegram_is_passed_over_and_the_next_whole_one_is_read() {
    let (listener, place) = adapter().await;
    let meter = meter_on(place, model("p1", ""));
    let speaking = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let half = &p1(1)[..20];
        stream.write_all(&[half, &torn(2), b"\0\xFF/", &torn(3), &p1(4)].concat()).await.unwrap();
        stream
    };
    let (read, mut stream) = tokio::join!(import(&*meter), speaking);
    assert_eq!(read, Ok(4));
    // Nothing but torn ones is an error, and it says so.
    stream.write_all(&torn(5)).await.unwrap();
    let error = import(&*meter).await.unwrap_err();
    assert!(error.contains("1 telegrams in 1 s and none of them whole; of the last one its checksum"), "{error}");
    let (mut stream, _) = listener.accept().await.unwrap();
    stream.write_all(&p1(6)).await.unwrap();
    assert_eq!(import(&*meter).await, Ok(6));
}

#[tokio::test]
async fn a_telegram_without_the_checksum_that_its_model_has_is_torn() {
    let (listener, place) = adapter().await;
    let meter = meter_on(place, model("p1", ""));
    let bare = b"/XYZ5MADE UP\r\n\r\n1-0:1.8.0(7*Wh)\r\n!\r\n";
    let speaking = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(bare).await.unwrap();
        stream
    };
    let (read, _stream) = tokio::join!(import(&*meter), speaking);
    assert!(read.as_ref().is_err_and(|e| e.contains("it has no checksum")), "{read:?}");
    let (listener, place) = adapter().await;
    let meter = meter_on(place, model("p1", "checksum = \"none\""));
    let speaking = async { listener.accept().await.unwrap().0.write_all(bare).await.unwrap() };
    assert_eq!(tokio::join!(import(&*meter), speaking).0, Ok(7));
}

#[tokio::test]
async fn an_adapter_that_hangs_up_is_called_again() {
    let (listener, place) = adapter().await;
    let meter = meter_on(place, model("p1", ""));
    let speaking = async {
        for wh in 1..=3 {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(&p1(wh)).await.unwrap();
        }
        listener
    };
    let reading = async {
        for wh in 1..=3 {
            assert_eq!(import(&*meter).await, Ok(wh));
        }
    };
    let ((), listener) = tokio::join!(reading, speaking);
    drop(listener);
    let error = import(&*meter).await.unwrap_err();
    assert!(error.contains("bus bus: cannot connect to 127.0.0.1:"), "{error}");
}

#[tokio::test]
async fn noise_at_a_wrong_speed_is_reported_as_such() {
    let (listener, place) = adapter().await;
    let meter = meter_on(place, model("sml", ""));
    let speaking = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(&[0xF8; 500]).await.unwrap();
        stream
    };
    let (read, _stream) = tokio::join!(import(&*meter), speaking);
    assert!(read.as_ref().is_err_and(|e| e.contains("500 bytes in 1 s and no telegram among them")), "{read:?}");
}

#[tokio::test]
async fn a_port_that_is_plugged_in_later_is_read_then() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("ttyUSB0");
    let meter = meter_on(TelegramPlace::Serial(link.clone()), model("p1", ""));
    let error = import(&*meter).await.unwrap_err();
    assert!(error.contains("cannot open") && error.contains("ttyUSB0"), "{error}");
    let mut pty = Pty::open();
    std::os::unix::fs::symlink(&pty.port, &link).unwrap();
    // What is said before the port is open is not heard, so it is said until somebody has heard it.
    let speaking = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        loop {
            ticks.tick().await;
            pty.say(&p1(8)).await;
        }
    };
    let reading = async {
        loop {
            if let Ok(wh) = import(&*meter).await {
                return wh;
            }
        }
    };
    tokio::select! {
        wh = reading => assert_eq!(wh, 8),
        () = speaking => {}
    }
}

#[tokio::test]
async fn a_telegram_that_waited_is_stamped_with_its_arrival_and_an_older_one_is_not_read() {
    let (listener, place) = adapter().await;
    let meter = meter_on(place, model("p1", "quiet_s = 30"));
    let speaking = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(&p1(1)).await.unwrap();
        stream
    };
    let (read, mut stream) = tokio::join!(import(&*meter), speaking);
    assert_eq!(read, Ok(1));
    stream.write_all(&[p1(2), p1(3)].concat()).await.unwrap();
    // Another meter's silence of one second passes.
    let (_silent, place) = adapter().await;
    let silent = meter_on(place, model("p1", "")).read().await;
    assert_eq!(silent, Err(DeviceError::Silent { waited: Duration::from_secs(1) }));
    let reading = meter.read().await.unwrap();
    assert_eq!(reading.import, Some(WattHours(3)));
    let age = NOW.since(reading.at);
    assert!((Duration::from_millis(900)..PATIENCE).contains(&age), "{age:?}");
}

/// The block of data of mode C.
fn block(wh: u32) -> Vec<u8> {
    let data = format!("1.8.0({wh}*Wh)\r\n!\r\n\x03");
    let check = data.bytes().fold(0, |sum, byte| sum ^ byte);
    [&[2], data.as_bytes(), &[check]].concat()
}

fn asked(pty: &Pty, timeout: Duration) -> Arc<dyn Meter> {
    let place = TelegramPlace::Serial(pty.port.clone());
    let kind = BusKind::Telegram(TelegramSpec { place, baud: None, parity: None, timeout });
    let bus = Bus::open(BusSpec::new("bus".parse().unwrap(), kind), clock()).unwrap();
    bus.meter(meter_id(), model("iec62056-21", ""), DeviceAddress::Alone).unwrap()
}

async fn hears(pty: &mut Pty, wanted: &[u8]) {
    let mut heard = vec![0; wanted.len()];
    pty.ear.read_exact(&mut heard).await.unwrap();
    assert_eq!(heard, wanted);
}

#[tokio::test]
async fn a_head_that_hears_its_own_light_is_no_hindrance() {
    let mut pty = Pty::open();
    let meter = asked(&pty, PATIENCE);
    let device = async {
        for wh in [11, 12] {
            hears(&mut pty, b"/?!\r\n").await;
            pty.say(b"/?!\r\n/ISK5\\2MT382-1008\r\n").await;
            hears(&mut pty, b"\x06050\r\n").await;
            pty.say(&[b"\x06050\r\n", block(wh).as_slice()].concat()).await;
        }
    };
    let reading = async { (import(&*meter).await, import(&*meter).await) };
    assert_eq!(tokio::join!(reading, device).0, (Ok(11), Ok(12)));
}

#[tokio::test]
async fn a_wrong_check_character_half_an_answer_and_silence_are_errors_and_the_next_question_is_answered() {
    let mut pty = Pty::open();
    let meter = asked(&pty, Duration::from_millis(400));
    let mut wrong = block(20);
    wrong[3] ^= 4;
    let half = &block(21)[..8];
    let device = async {
        for answer in [wrong.as_slice(), half, b"", &block(22)] {
            hears(&mut pty, b"/?!\r\n").await;
            pty.say(b"/XYZ5\r\n").await;
            hears(&mut pty, b"\x06050\r\n").await;
            pty.say(answer).await;
        }
    };
    let reading = async {
        for part in ["the answer is torn: its checksum does not fit", "and then nothing for 400 ms", "no answer within"]
        {
            let error = import(&*meter).await.unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        import(&*meter).await
    };
    assert_eq!(tokio::join!(reading, device).0, Ok(22));
}

#[tokio::test]
async fn a_question_that_was_given_up_half_way_spoils_nothing_for_the_next() {
    let mut pty = Pty::open();
    let meter = asked(&pty, PATIENCE);
    let device = async {
        hears(&mut pty, b"/?!\r\n").await;
        pty.say(b"/XYZ5\r\n").await;
        hears(&mut pty, b"\x06050\r\n").await;
    };
    tokio::select! {
        read = import(&*meter) => panic!("{read:?}"),
        () = device => {}
    }
    // The answer to nobody comes all the same, and is not taken for the next one.
    pty.say(&block(30)).await;
    let device = async {
        hears(&mut pty, b"/?!\r\n").await;
        pty.say(b"/XYZ0\r\n").await;
        hears(&mut pty, b"\x06000\r\n").await;
        pty.say(&block(31)).await;
    };
    assert_eq!(tokio::join!(import(&*meter), device).0, Ok(31));
}

#[tokio::test]
async fn meters_of_the_older_modes_are_not_acknowledged() {
    for identification in [&b"/ABCBold\r\n"[..], b"/ABC older\r\n"] {
        let mut pty = Pty::open();
        let meter = asked(&pty, PATIENCE);
        let device = async {
            hears(&mut pty, b"/?!\r\n").await;
            pty.say(&[identification, &block(40)].concat()).await;
        };
        assert_eq!(tokio::join!(import(&*meter), device).0, Ok(40));
    }
}

#[test]
fn a_bus_for_telegrams_takes_nothing_else() {
    let bus = telegram_bus(TelegramPlace::Serial(PathBuf::from("/dev/null")));
    let refused = |model: &str, at| bus.meter(meter_id(), template(model), at).err().unwrap().to_string();
    let error = refused("eastron-sdm120", unit(1));
    assert_eq!(error, "eastron-sdm120 speaks Modbus, bus bus is for telegrams");
    assert!(refused("dsmr-p1", unit(1)).contains("alone on its bus"));
    assert!(bus.switch(switch_id(), template("dsmr-p1"), DeviceAddress::Alone).is_err());
    let mqtt = crate::bench::tcp_bus("127.0.0.1:1".to_owned(), PATIENCE);
    assert!(mqtt.meter(meter_id(), template("dsmr-p1"), DeviceAddress::Alone).is_err());
    for (place, baud) in [(TelegramPlace::Tcp("nowhere".into()), None), (TelegramPlace::Serial("x".into()), Some(1))] {
        let kind = BusKind::Telegram(TelegramSpec { place, baud, parity: None, timeout: PATIENCE });
        assert!(Bus::open(BusSpec::new("bus".parse().unwrap(), kind), clock()).is_err());
    }
}
