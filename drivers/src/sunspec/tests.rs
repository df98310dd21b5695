use super::*;
use crate::Library;
use crate::template::{ModbusLimit, Protocol};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// A device with these registers; whatever else is asked gets `otherwise`.
struct Device {
    registers: BTreeMap<u16, u16>,
    otherwise: DeviceError,
}

impl Device {
    fn new(base: u16, words: &[u16]) -> Self {
        let places = base..;
        let words = [&MARKER, words].concat();
        Self { registers: places.zip(words).collect(), otherwise: DeviceError::refused(2) }
    }

    fn read(&self, address: u16, count: u16) -> Result<Vec<u16>, DeviceError> {
        let words = (address..).take(count.into()).map(|at| self.registers.get(&at).copied());
        words.collect::<Option<_>>().ok_or_else(|| self.otherwise.clone())
    }

    async fn discover(&self) -> Result<Option<Chain>, DeviceError> {
        discover(async |address, count| self.read(address, count)).await
    }
}

/// Common block of 66, inverter, meter.
fn words(end: &[u16]) -> Vec<u16> {
    let block = |model: u16, length: u16| [vec![model, length], vec![0; length.into()]].concat();
    [block(1, 66), block(103, 50), block(203, 105), end.to_vec()].concat()
}

#[tokio::test]
async fn a_device_is_found_wherever_makers_put_the_marker() {
    for base in BASES {
        let chain = Device::new(base, &words(&[END, 0])).discover().await.unwrap().unwrap();
        assert_eq!((chain.base, chain.ended), (base, true));
        let found: Vec<_> = chain.blocks.iter().map(|b| (b.model, b.address - base, b.length)).collect();
        assert_eq!(found, [(1, 2, 66), (103, 70, 50), (203, 122, 105)]);
        assert_eq!(chain.template().unwrap().model, format!("sunspec-inverter-103-{}", base + 70));
    }
}

#[tokio::test]
async fn a_chain_without_an_end_is_taken_as_far_as_it_goes() {
    let refusing = Device::new(40_000, &words(&[]));
    let silent = Device {
        otherwise: DeviceError::Silent { waited: std::time::Duration::ZERO },
        ..Device::new(40_000, &words(&[]))
    };
    for device in [refusing, silent, Device::new(40_000, &words(&[0, 0]))] {
        let chain = device.discover().await.unwrap().unwrap();
        assert_eq!((chain.blocks.len(), chain.ended), (3, false));
    }
    let endless = Device::new(40_000, &words(&[103, 0xFFFF]));
    assert_eq!(endless.discover().await.unwrap().unwrap().blocks.len(), 3);
}

#[tokio::test]
async fn a_device_that_is_none_and_a_device_that_is_away_are_told_apart() {
    let other = Device { registers: BTreeMap::from([(0, 1), (1, 2)]), otherwise: DeviceError::refused(2) };
    assert_eq!(other.discover().await, Ok(None));
    for error in
        [DeviceError::Silent { waited: std::time::Duration::ZERO }, DeviceError::refused(6), DeviceError::wire("cut")]
    {
        let away = Device { registers: BTreeMap::new(), otherwise: error.clone() };
        assert_eq!(away.discover().await, Err(error));
    }
}

#[test]
fn what_is_built_from_a_chain_is_what_is_shipped() {
    let library = Library::builtin();
    for (model, length) in [(101, 50), (103, 50), (111, 60), (113, 60), (201, 105), (203, 105), (213, 124)] {
        let built = Block { model, address: 40_069, length }.template().unwrap();
        let what = if model < 200 { "inverter" } else { "meter" };
        let shipped = library.get(&format!("sunspec-{what}-{model}")).unwrap();
        assert_eq!(built.protocol, shipped.protocol, "{model}");
    }
}

#[test]
fn every_model_that_is_known_gives_a_template_and_a_short_one_none() {
    for model in (101..=103).chain(111..=113).chain(201..=204).chain(211..=214).chain([701]) {
        assert!(Block { model, address: 2, length: 153 }.template().unwrap().is_meter());
        for (address, length) in [(2, 10), (65_520, 153)] {
            assert!(Block { model, address, length }.template().is_none(), "{model} at {address}");
        }
    }
    assert!(Block { model: 1, address: 2, length: 66 }.template().is_none());
}

fn limit(blocks: Vec<Block>) -> Option<ModbusLimit> {
    let Protocol::Modbus(map) = Chain { base: 0, blocks, ended: true }.template()?.protocol else { return None };
    map.limit
}

#[test]
fn the_limit_of_a_chain_is_that_of_its_newest_model() {
    let block = |model, address, length| Block { model, address, length };
    let meter = block(103, 100, 50);
    assert_eq!(limit(vec![meter]), None);
    assert_eq!(limit(vec![meter, block(123, 200, 23)]), None, "too short to have a scale factor");
    let old = limit(vec![meter, block(123, 200, 24)]).unwrap();
    assert_eq!((old.value.address, old.value.kind.registers(), old.enable.unwrap().address), (205, 19, 209));
    assert_eq!(old.reversion.map(|r| (r.address, r.registers, r.full, r.off)), Some((207, 1, None, None)));
    let new = limit(vec![meter, block(123, 200, 24), block(704, 300, 65)]).unwrap();
    assert_eq!((new.value.address, new.value.kind.registers(), new.enable.unwrap().address), (315, 40, 314));
    assert_eq!(new.reversion.map(|r| (r.address, r.registers, r.full, r.off)), Some((318, 2, Some(316), Some(317))));
    let alone = Chain { base: 0, blocks: vec![block(704, 300, 65)], ended: true };
    assert!(alone.template().is_none() && alone.limiter().is_some());
}

#[tokio::test]
async fn a_device_says_who_it_is_in_a_common_model_of_either_length() {
    for length in [65, 66] {
        let mut words = vec![1, length];
        let mut say = |text: &str, registers: usize| {
            let mut bytes = text.as_bytes().to_vec();
            bytes.resize(registers * 2, 0);
            words.extend(bytes.chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])));
        };
        say("Acme\u{7} ", 16);
        say("Roof 5000 that fills the field.!", 16);
        say("", 8);
        say(" 1.2 ", 8);
        say("\u{0}spare", 16);
        words.resize(usize::from(length) + 2, 0);
        words.extend([103, 50]);
        words.resize(words.len() + 50, 0);
        words.extend([END, 0]);
        let device = Device::new(40_000, &words);
        let chain = device.discover().await.unwrap().unwrap();
        assert_eq!(chain.template().unwrap().model, format!("sunspec-inverter-103-{}", 40_004 + length));
        let said = chain.identify(async |address, count| device.read(address, count)).await.unwrap().unwrap();
        assert_eq!((said.manufacturer.as_deref(), said.version.as_deref()), (Some("Acme"), Some("1.2")));
        assert_eq!((said.model.as_deref(), said.serial), (Some("Roof 5000 that fills the field.!"), None));
    }
    let nameless = Device::new(0, &[103, 0, END, 0]).discover().await.unwrap().unwrap();
    assert_eq!(nameless.identify(async |_, _| unreachable!("nothing is asked")).await, Ok(None));
}

#[test]
fn a_text_that_says_nothing_is_none() {
    for words in [&[0, 0][..], &[0xFFFF, 0xFFFF], &[0x2020, 0x2000], &[]] {
        assert_eq!(text(words), None, "{words:?}");
    }
    assert_eq!(text(&[0x41FF, 0x4200]).as_deref(), Some("A\u{fffd}B"));
}

proptest! {
    #[test]
    fn arbitrary_registers_end_the_walk_without_a_panic(
        base in 0..BASES.len(), words in proptest::collection::vec(any::<u16>(), 0..300), fill in 0..3_u16,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let registers = Device::new(BASES[base], &words).registers;
        let mut asked = 0;
        let read = |address: u16, count: u16| {
            asked += 1;
            let words = (0..count).map(|i| registers.get(&address.wrapping_add(i)).copied().unwrap_or(fill)).collect();
            std::future::ready(Ok(words))
        };
        let chain = runtime.block_on(discover(read)).unwrap();
        prop_assert!(asked <= MOST + BASES.len() + 1);
        let _ = chain.and_then(|chain| chain.template());
    }
}
