//! The simulated device that describes itself: a SunSpec chain with the common model, a measurement of both directions
//! (701) and a limit (704).

use crate::sunspec::{Block, Chain};
use crate::template::{Protocol, Table, Template};

/// Number and length of its models; those of 704 count its four groups too.
const MODELS: [(u16, u16); 3] = [(1, 66), (701, 153), (704, 65)];
const BASE: u16 = 40_000;

/// What it says that it has.
fn chain() -> Chain {
    let mut address = BASE + 2;
    let block = |(model, length): (u16, u16)| {
        let block = Block { model, address, length };
        address += 2 + length;
        block
    };
    Chain { base: BASE, blocks: MODELS.into_iter().map(block).collect(), ended: true }
}

/// What a template stands for in the simulator: itself, or for one that leaves everything to the device, that of the
/// simulated device.
#[must_use]
pub fn simulated(template: &Template) -> Template {
    let describes_itself = matches!(&template.protocol, Protocol::Modbus(map) if map.discovery.is_some());
    let found = if describes_itself { chain().template() } else { None };
    // The chain is made of models that are known.
    found.unwrap_or_else(|| template.clone())
}

/// The registers by which it describes itself.
pub(super) fn description() -> Vec<((Table, u16), u16)> {
    let chain = chain();
    let mut words: Vec<(u16, u16)> = vec![(BASE, 0x5375), (BASE + 1, 0x6E53)];
    for block in &chain.blocks {
        words.extend([(block.address, block.model), (block.address + 1, block.length)]);
    }
    if let (Some(first), Some(last)) = (chain.blocks.first(), chain.blocks.last()) {
        let end = last.address + 2 + last.length;
        words.extend([(end, 0xFFFF), (end + 1, 0)]);
        for (offset, said) in [(2, "simulated"), (18, "SunSpec device"), (42, env!("CARGO_PKG_VERSION")), (50, "1")] {
            let pairs = said.as_bytes().chunks(2);
            let pair = |pair: &[u8]| u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]);
            words.extend((first.address + offset..).zip(pairs.map(pair)));
        }
    }
    words.into_iter().map(|(at, word)| ((Table::Holding, at), word)).collect()
}
