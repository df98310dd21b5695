use super::*;
use crate::simulator::wording;
use crate::template::{Protocol, TelegramMap, Template};
use domain::{Reading, Timestamp, Volts, WattHours, Watts};
use proptest::prelude::*;

/// A meter with two tariffs that says every kind of thing once.
fn map(language: &str) -> TelegramMap {
    let text = format!(
        "model = \"x\"\nvendor = \"v\"\nname = \"n\"\nsource = \"s\"\nprotocol = \"telegram\"\nlanguage = \"{language}\"\n\
         [[import.sum]]\nobis = \"1-0:1.8.1\"\nunit = \"kWh\"\n[[import.sum]]\nobis = \"1-0:1.8.2\"\nunit = \"kWh\"\n\
         [export]\nobis = \"1-0:2.8.0\"\nunit = \"kWh\"\nabsent = [\"--\"]\n\
         [[power.sum]]\nobis = \"1-0:1.7.0\"\nunit = \"kW\"\n\
         [[power.sum]]\nobis = \"1-0:2.7.0\"\nunit = \"kW\"\nsubtract = true\n\
         [voltage]\nobis = \"1-0:32.7.0\"\nunit = \"V\"\nmax = 300\n[frequency]\nobis = \"14.7.0\"\n"
    );
    let Protocol::Telegram(map) = Template::parse("x", &text).unwrap().protocol else { panic!("no telegrams") };
    map
}

const LANGUAGES: [(&str, Language); 3] = Language::ALL;

fn id() -> domain::MeterId {
    "m".parse().unwrap()
}

fn decode(map: &TelegramMap, telegram: &Telegram) -> Result<Reading, String> {
    decode::reading(map, telegram, id(), Timestamp(0).into()).map_err(|error| error.to_string())
}

/// What is believed of these bytes: the readings of all whole telegrams among them.
fn believed(map: &TelegramMap, bytes: &[u8]) -> Vec<Reading> {
    let (mut heard, mut readings) = (bytes.to_vec(), Vec::new());
    while let Some(telegram) = next(map, &mut heard) {
        readings.extend(telegram.ok().and_then(|telegram| decode(map, &telegram).ok()));
    }
    readings
}

fn crlf(text: &str) -> Vec<u8> {
    text.replace('\n', "\r\n").into_bytes()
}

/// A text with its CRC, as P1 sends it.
fn p1_of(lines: &str) -> Vec<u8> {
    let body = crlf(&format!("/XYZ5MADE UP\n\n{lines}!"));
    [body.as_slice(), format!("{:04X}\r\n", crc16(0xA001, 0, &body)).as_bytes()].concat()
}

fn p1_says(lines: &str) -> Result<Reading, String> {
    let map = map("p1");
    decode(&map, &p1::parse(&p1_of(lines)).map_err(|torn| torn.to_string())?)
}

#[test]
fn the_checksums_are_those_of_the_catalogue() {
    let check = b"123456789";
    assert_eq!(crc16(0xA001, 0, check), 0xBB3D);
    assert_eq!(!crc16(0x8408, 0xFFFF, check), 0x906E);
    assert_eq!(crc16(0x8408, 0, check), 0x2189);
}

#[test]
fn a_p1_telegram_is_read_by_its_codes_and_units() {
    let lines = "1-3:0.2.8(50)\n0-0:1.0.0(260101120000W)\n0-0:96.14.0(0002)\n1-0:1.8.1(000123.456*kWh)\n\
                 1-0:1.8.2(000000.544*kWh)\n1-0:2.8.0(1000*Wh)\n1-0:1.7.0(00.193*kW)\n1-0:2.7.0(01.200*kW)\n\
                 1-0:99.97.0(2)(0-0:96.7.19)(000101000001W)(0000000301*s)\n0-0:96.13.0()\n1-0:32.7.0(229.9*V)\n\
                 0-1:24.2.1(260101120000W)(00012.345*m3)\n0-1:24.3.0(120517020000)(08)(60)\n(00012.345)\n";
    let reading = p1_says(lines).unwrap();
    assert_eq!((reading.import, reading.export), (Some(WattHours(124_000)), Some(WattHours(1000))));
    assert_eq!((reading.power, reading.voltage), (Some(Watts(-1007)), Volts::finite(229.9)));
    assert_eq!((reading.current, reading.frequency), (None, None));
}

#[test]
fn a_sum_without_one_of_its_parts_is_absent_and_not_small() {
    let reading = p1_says("1-0:1.8.1(000123.456*kWh)\n1-0:2.8.0(1*kWh)\n").unwrap();
    assert_eq!((reading.import, reading.export), (None, Some(WattHours(1000))));
    let reading =
        p1_says("1-0:1.8.1(1*kWh)\n1-0:1.8.2()\n1-0:2.8.0(--)\n1-0:32.7.0(301)\n1-0:14.7.0(50*Hz)\n").unwrap();
    assert_eq!((reading.import, reading.export, reading.voltage), (None, None, None), "{reading:?}");
}

#[test]
fn what_cannot_be_is_nonsense_and_says_where() {
    for (lines, part) in [
        ("1-0:2.8.0(000123.456*kvarh)\n", "export at 1-0:2.8.0: \"kvarh\" is no unit of it"),
        ("1-0:2.8.0(12,5*kWh)\n", "\"12,5\" is no number"),
        ("1-0:2.8.0(1.2.3*kWh)\n", "is no number"),
        ("1-0:2.8.0(-000001*kWh)\n", "export register says -1000 Wh"),
        ("1-0:2.8.0(1*kWh)\n1-0:2.8.0(2*kWh)\n", "twice, with two values"),
        ("1-0:2.8.0(1*kWh)(2*kWh)\n", "more than one value"),
        ("1-0:2.8.0(99999999999999999999*kWh)\n", "export register says"),
        ("0-0:96.1.1(4b384547)\n", "none of the quantities"),
    ] {
        let error = p1_says(lines).unwrap_err();
        assert!(error.contains(part), "{lines}: {error}");
    }
    let error = p1_says("1-0:2.8.0(1*kWh)\n1-0:32.7.0(230.0*V)\n").unwrap();
    assert_eq!(error.voltage, Volts::finite(230.0));
}

#[test]
fn a_value_without_a_unit_of_its_own_needs_one_in_the_template() {
    assert_eq!(p1_says("1-0:32.7.0(230.0)\n").unwrap().voltage, Volts::finite(230.0));
    let error = p1_says("1-0:14.7.0(50.0)\n").unwrap_err();
    assert!(error.contains("neither the telegram nor the template names a unit"), "{error}");
}

#[test]
fn what_a_meter_counted_in_past_periods_is_not_what_it_counts_now() {
    let block = |data: &str| {
        let data = crlf(data);
        let check = data.iter().fold(3, |sum, byte| sum ^ byte);
        [&[2], data.as_slice(), &[3, check]].concat()
    };
    let map = map("iec62056-21");
    let data = "F.F(00)\nC.1.0(12345678)\n1.8.1(000100.5*kWh)1.8.2(000000.5*kWh)\n1.8.1*01(000090.0*kWh)\n\
                1.8.2&02(000001.0*kWh)\n2.8.0(7*kWh)\n0.9.1(120000)\n!\n";
    let reading = decode(&map, &iec::parse(&block(data)).unwrap()).unwrap();
    assert_eq!((reading.import, reading.export), (Some(WattHours(101_000)), Some(WattHours(7000))));
}

#[test]
fn an_identification_names_the_mode_whatever_echo_is_before_it() {
    for (heard, mode) in [
        ("/?!\r\n/ISK5\\2MT382-1008\r\n", Some(iec::Mode::Asked(b'5', 9600))),
        ("/LGZ4ZMF100AC.M23\r\n", Some(iec::Mode::Asked(b'4', 4800))),
        ("/ABCBold\r\n", Some(iec::Mode::Told(1200))),
        ("/ABC older\r\n", Some(iec::Mode::Same)),
        ("/?!\r\n/ISK5\\2MT3", None),
        ("/?!\r\n", None),
        ("/IS", None),
        ("", None),
    ] {
        assert_eq!(iec::mode(heard.as_bytes()).map(|(mode, _)| mode), mode, "{heard:?}");
    }
    assert_eq!(&iec::acknowledgement(b'5'), b"\x06050\r\n");
}

#[test]
fn a_meter_without_checksums_is_believed_only_when_every_line_is_sound() {
    let sound = crlf("/ESY5Q3DA1004 V3.04\n\n1-0:2.8.0*255(00000000.0010000*kWh)\n1-0:32.7.0(1*V)\n!\n");
    let telegram = p1::parse(&sound).unwrap();
    assert!(!telegram.checked);
    assert_eq!(decode(&map("p1"), &telegram).unwrap().export, Some(WattHours(1)));
    for (old, new) in [("*255(0", "*255 0"), ("kWh)", "kWh "), ("/ESY", "/E5Y"), ("!", "!12"), ("0.001", "0.\u{0}01")] {
        let torn = String::from_utf8(sound.clone()).unwrap().replace(old, new);
        assert!(p1::parse(torn.as_bytes()).is_err(), "{new:?}");
    }
    // Two wrong bits, which parity does not see, make an identification of a unit.
    let slash = String::from_utf8(sound).unwrap().replace("0010000*kWh", "0010000/kWh");
    assert_eq!(believed(&TelegramMap { checked: false, ..map("p1") }, slash.as_bytes()), []);
}

#[test]
fn a_telegram_is_found_from_the_middle_of_another_on_and_after_a_torn_one() {
    for (name, language) in LANGUAGES {
        let map = map(name);
        let reading = Reading { import: Some(WattHours(4711)), ..Reading::empty(id(), Timestamp(0)) };
        let telegram = wording::write(&map, &wording::entries(&map, &reading));
        // Without its end of the line a text is whole.
        for start in 1..telegram.len() - 2 {
            let stream = [&telegram[start..], &telegram, &telegram[..start], &telegram, &telegram[..start]].concat();
            let found = believed(&map, &stream);
            // Of mode C a new block does not tear the one before, whose end it then takes for its own.
            let wanted = if language == Language::ModeC { 1..=3 } else { 2..=2 };
            assert!(wanted.contains(&found.len()), "{name} from {start}: {found:?}");
            assert!(found.iter().all(|found| found.import == reading.import), "{name} from {start}: {found:?}");
        }
    }
}

#[test]
fn an_endless_telegram_takes_no_more_memory_than_a_long_one() {
    for (name, start) in
        [("p1", &b"/XYZ5\r\n"[..]), ("sml", b"\x1b\x1b\x1b\x1b\x01\x01\x01\x01"), ("iec62056-21", b"\x02")]
    {
        let (map, mut heard) = (map(name), start.to_vec());
        for _ in 0..100 {
            heard.extend([b'7'; 1000]);
            assert_eq!(next(&map, &mut heard), None);
            assert!(heard.len() <= LONGEST, "{name}: {}", heard.len());
        }
    }
}

#[test]
fn both_checksums_of_sml_count() {
    let map = map("sml");
    let reading = Reading { import: Some(WattHours(4711)), ..Reading::empty(id(), Timestamp(0)) };
    let mut file = wording::write(&map, &wording::entries(&map, &reading));
    assert!(sml::parse(&file).is_ok());
    let mut data: Vec<u8> = file[8..file.len() - 8].to_vec();
    // That of the file.
    *file.last_mut().unwrap() ^= 1;
    assert_eq!(sml::parse(&file), Err(Torn::Checksum));
    // That of the message, in a file whose own fits.
    let padding = data.iter().rev().take_while(|byte| **byte == 0).count() - 1;
    data.truncate(data.len() - padding);
    let digit = data.windows(4).position(|bytes| bytes == [0x77, 0x07, 1, 0]).unwrap() + 5;
    data[digit] ^= 1;
    assert_eq!(sml::parse(&wording::transport(&data)), Err(Torn::Checksum));
}

#[test]
fn a_claimed_length_makes_no_room() {
    // A list of 2^12 entries, of which none is there; and lists in lists.
    let deep = [0x71; 64];
    for data in [&[0x76, 0x01, 0x01, 0x01, 0x72, 0x63, 7, 1, 0x77, 1, 1, 1, 1, 0xFF, 0x8F, 0x0F][..], &deep, &[0x7F]] {
        assert!(matches!(sml::parse(&wording::transport(data)), Err(Torn::Malformed(_))));
    }
}

/// Name, value, scaler and unit.
type Value = (Vec<u8>, i128, i8, Option<u8>);

/// The values of a file as sml-rs reads them.
fn sml_rs(file: &[u8]) -> Option<Vec<Value>> {
    use sml_rs::parser::common::Value as Said;
    use sml_rs::parser::complete::{MessageBody, parse};
    let mut decoder = sml_rs::transport::Decoder::<Vec<u8>>::new();
    let mut data = None;
    for byte in file {
        if let Ok(Some(decoded)) = decoder.push_byte(*byte) {
            data = Some(decoded.to_vec());
        }
    }
    let data = data?;
    let mut values = Vec::new();
    for message in parse(&data).ok()?.messages {
        let MessageBody::GetListResponse(list) = message.message_body else { continue };
        for entry in list.val_list {
            let value: i128 = match entry.value {
                Said::I8(n) => n.into(),
                Said::I16(n) => n.into(),
                Said::I32(n) => n.into(),
                Said::I64(n) => n.into(),
                Said::U8(n) => n.into(),
                Said::U16(n) => n.into(),
                Said::U32(n) => n.into(),
                Said::U64(n) => n.into(),
                _ => continue,
            };
            values.push((entry.obj_name.to_vec(), value, entry.scaler.unwrap_or(0), entry.unit));
        }
    }
    Some(values)
}

fn ours(file: &[u8]) -> Option<Vec<Value>> {
    let cut = sml::find(file);
    let telegram = sml::parse(file.get(cut.noise..)?.get(..cut.whole?)?).ok()?;
    let unit = |entry: &Entry| {
        let name = entry.unit.as_ref()?;
        let known = sml::UNITS.iter().find(|(_, known)| known == name).map(|(code, _)| *code);
        known.or_else(|| name.strip_prefix("unit ")?.parse().ok()).and_then(|code| u8::try_from(code).ok())
    };
    let value = |e: &Entry| (e.code.parts().to_vec(), e.value.parse().unwrap(), e.exponent, unit(e));
    Some(telegram.entries.iter().map(value).collect())
}

/// The telegrams of real meters that sml-rs is tested with; it takes them from the collection of libsml.
fn real_meters() -> Vec<(String, Vec<u8>)> {
    let run = |program: &str, arguments: &[&str]| {
        let mut command = std::process::Command::new(program);
        let ended = command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
        String::from_utf8(ended.stdout).unwrap()
    };
    // Without a platform, cargo wants to see what only other platforms need.
    let host = run("rustc", &["-vV"]).lines().find_map(|l| Some(l.strip_prefix("host: ")?.to_owned())).unwrap();
    let metadata = ["metadata", "--format-version", "1", "--offline", "--filter-platform", &host];
    let metadata: serde_json::Value = serde_json::from_str(&run(env!("CARGO"), &metadata)).unwrap();
    let mut packages = metadata["packages"].as_array().unwrap().iter();
    let package = packages.find(|package| package["name"] == "sml-rs").unwrap();
    let manifest = std::path::Path::new(package["manifest_path"].as_str().unwrap());
    let folder = std::fs::read_dir(manifest.parent().unwrap().join("tests/libsml-testing")).unwrap();
    let files = folder.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "bin"));
    files.map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), std::fs::read(path).unwrap())).collect()
}

#[test]
fn real_meters_say_to_us_what_they_say_to_sml_rs() {
    let files = real_meters();
    let (mut telegrams, mut values) = (0, 0);
    for (name, bytes) in &files {
        let mut heard = bytes.as_slice();
        while let Cut { noise, whole: Some(len) } = sml::find(heard) {
            let (candidate, rest) = heard[noise..].split_at(len);
            heard = rest;
            let ours = ours(candidate);
            assert_eq!(ours, sml_rs(candidate), "{name}");
            telegrams += 1;
            values += ours.map_or(0, |values| values.len());
        }
    }
    println!("{} meters, {telegrams} telegrams, {values} values", files.len());
    assert!(files.len() > 30 && telegrams > 200 && values > 900, "the collection has shrunk");
}

#[test]
fn real_meters_are_read_by_their_models() {
    let (files, library) = (real_meters(), crate::Library::builtin());
    let wh = |wh: i64| Some(WattHours(wh));
    for (file, model, import, export, power) in [
        ("ISKRA_MT175_D1A52-V22-K0t", "sml-obis", wh(10_732_309), wh(28_275_325), Some(-4308)),
        ("ISKRA_MT631-D1A52-K0z-H01_without_PIN", "sml-obis", wh(2_043_000), wh(0), None),
        ("EasyMeter_Q3A_A1064V1009", "sml-obis", wh(2_941_646), wh(110_073), Some(810)),
        ("ITRON_OpenWay-3.HZ_with_PIN", "sml-obis", wh(25_892_776), None, Some(542)),
        ("EMH_mME40-AE6AKF0K0", "sml-obis", wh(428_896), None, Some(2623)),
        ("HOLLEY_DTZ541-BDBA_with_PIN", "sml-obis", wh(2_355_929), None, Some(376)),
        ("HOLLEY_DTZ541-ZDBA", "holley-dtz541-zdba", wh(177_360), wh(314_926), Some(460)),
        ("EMH-ED300L_consumption", "emh-ed300l", wh(17_243_368), None, Some(137)),
        ("EMH_eHZ-GW8E2A500AK2", "emh-ehz-g", wh(14_800_125), None, Some(14)),
        ("DZG_DVS-7412.2_jmberg", "dzg-dvs74", wh(5_430_158), wh(26_244_573), None),
    ] {
        let Protocol::Telegram(map) = &library.get(model).unwrap().protocol else { panic!("{model}") };
        let (_, bytes) = files.iter().find(|(name, _)| name == file).unwrap();
        let first = believed(map, bytes).into_iter().next().unwrap();
        assert_eq!((first.import, first.export, first.power), (import, export, power.map(Watts)), "{file}: {first:?}");
    }
}

fn reading() -> impl Strategy<Value = Reading> {
    let most = WattHours::REGISTER_MAX.0 / 2;
    (0..most, 0..most, -1_000_000..1_000_000_i64, 0..3000_u32).prop_map(|(import, export, power, volts)| Reading {
        import: Some(WattHours(import)),
        export: Some(WattHours(export)),
        power: Some(Watts(power)),
        voltage: Volts::finite(f64::from(volts) / 10.0),
        ..Reading::empty(id(), Timestamp(0))
    })
}

fn language() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(LANGUAGES.map(|(name, _)| name).to_vec())
}

/// What is believed of a telegram in which one byte is another, for every place and every byte.
fn believed_of_the_wrong(name: &str, reading: &Reading) -> impl Iterator<Item = (usize, u8, Vec<Reading>)> {
    let map = map(name);
    let telegram = wording::write(&map, &wording::entries(&map, reading));
    let places = (0..telegram.len()).flat_map(|at| (1..=255_u8).map(move |flip| (at, flip)));
    places.map(move |(at, flip)| {
        let mut wrong = telegram.clone();
        wrong[at] ^= flip;
        (at, flip, believed(&map, &wrong))
    })
}

#[test]
fn one_wrong_byte_wherever_it_is_never_makes_a_wrong_reading() {
    let reading = |wh: i64| Reading {
        import: Some(WattHours(wh)),
        export: Some(WattHours(wh / 7)),
        power: Some(Watts(-wh % 5000)),
        voltage: Volts::finite(230.5),
        ..Reading::empty(id(), Timestamp(0))
    };
    for (name, _) in LANGUAGES {
        // Of these two, one byte each makes a shorter block of mode C whose check character fits.
        for reading in [4711, 15_843_053].map(reading) {
            for (at, flip, found) in believed_of_the_wrong(name, &reading) {
                assert!(found.iter().all(|found| *found == reading), "{name} at {at} ^ {flip}: {found:?}");
            }
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(reading in reading(), name in language()) {
        let map = map(name);
        let telegram = wording::write(&map, &wording::entries(&map, &reading));
        prop_assert_eq!(believed(&map, &telegram), vec![reading]);
    }

    #[test]
    fn one_wrong_byte_never_makes_a_wrong_reading(
        reading in reading(), name in language(), at in any::<proptest::sample::Index>(), flip in 1..=255_u8,
    ) {
        let map = map(name);
        let telegram = wording::write(&map, &wording::entries(&map, &reading));
        let (right, mut wrong) = (believed(&map, &telegram), telegram);
        let at = at.index(wrong.len());
        wrong[at] ^= flip;
        for found in believed(&map, &wrong) {
            prop_assert_eq!(&found, &right[0]);
        }
    }

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..600), name in language()) {
        let map = map(name);
        believed(&map, &bytes);
        let _ = parse(map.language, &bytes);
        // And whatever may stand between the escapes.
        let _ = sml::parse(&wording::transport(&bytes));
        let _ = p1::parse(&p1_of(&String::from_utf8_lossy(&bytes)));
        iec::mode(&bytes);
    }

    #[test]
    fn escapes_in_the_data_are_what_sml_rs_makes_of_them(
        data in proptest::collection::vec(prop_oneof![3 => Just(0x1B_u8), 1 => any::<u8>()], 0..80),
    ) {
        let file = wording::transport(&data);
        prop_assert_eq!(&file, &sml_rs::transport::encode::<Vec<u8>>(&data).unwrap());
        prop_assert_eq!(sml::find(&file), Cut { noise: 0, whole: Some(file.len()) });
    }

    #[test]
    fn our_files_are_read_by_sml_rs(reading in reading()) {
        let map = map("sml");
        let file = wording::write(&map, &wording::entries(&map, &reading));
        let theirs = sml_rs(&file);
        prop_assert!(theirs.as_ref().is_some_and(|values| values.len() == 6));
        prop_assert_eq!(ours(&file), theirs);
    }
}
