use super::*;
use crate::Library;
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
async fn a_device_is_found_at_each_of_the_three_places() {
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
    for model in (101..=103).chain(111..=113).chain(201..=204).chain(211..=214) {
        assert!(Block { model, address: 2, length: 124 }.template().unwrap().is_meter());
        for (address, length) in [(2, 10), (65_520, 124)] {
            assert!(Block { model, address, length }.template().is_none(), "{model} at {address}");
        }
    }
    assert!(Block { model: 1, address: 2, length: 66 }.template().is_none());
}

proptest! {
    #[test]
    fn arbitrary_registers_end_the_walk_without_a_panic(
        base in 0..3_usize, words in proptest::collection::vec(any::<u16>(), 0..300), fill in 0..3_u16,
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
