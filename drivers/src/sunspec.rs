//! SunSpec devices describe themselves: a chain of numbered models behind a marker. Here the chain is walked, and a
//! model that we know becomes a [`Template`].

mod common;
mod models;

pub(crate) use common::text;

use crate::capability::DeviceError;
use crate::template::{ModbusLimit, Protocol, Template};
use std::future::Future;

/// Where the marker may be. The last is the first one of a device whose maker counted from 1 and subtracted twice.
pub(crate) const BASES: [u16; 4] = [40_000, 50_000, 0, 39_999];
/// `SunS`.
const MARKER: [u16; 2] = [0x5375, 0x6E53];
/// The model number that ends the chain.
const END: u16 = 0xFFFF;
/// No device has more models than this; one that claims to would keep us reading for minutes.
const MOST: usize = 100;

/// One model of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its SunSpec number: 103 is a three-phase inverter, 203 a three-phase meter.
    pub model: u16,
    /// Protocol address (from 0) of its number; its length stands next, then its points.
    pub address: u16,
    /// How many registers its points take.
    pub length: u16,
}

/// What a device says that it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Where the marker is.
    pub base: u16,
    /// Its models, in the order of their addresses.
    pub blocks: Vec<Block>,
    /// Whether the chain had its end. Some devices refuse to be read there, or do not answer; then a model behind a
    /// question that got lost may be missing.
    pub ended: bool,
}

impl Chain {
    /// The first model that can be read as a meter, as a template, with the limit if the chain has one.
    #[must_use]
    pub fn template(&self) -> Option<Template> {
        self.templates().next()
    }

    /// Every model that can be read as a meter, as a template with the number of its model.
    pub(crate) fn readable(&self) -> impl Iterator<Item = (u16, Template)> {
        self.blocks.iter().filter_map(|block| {
            let text = block.document()? + &self.limit().unwrap_or_default();
            Some((block.model, Template::parse("SunSpec", &text).ok()?))
        })
    }

    fn templates(&self) -> impl Iterator<Item = Template> {
        self.readable().map(|(_, template)| template)
    }

    /// `[limit]` of the newest model that can limit active power.
    fn limit(&self) -> Option<String> {
        [704, 123].into_iter().find_map(|model| self.blocks.iter().filter(|b| b.model == model).find_map(Block::limit))
    }

    /// The limit alone, for a device that measures nothing which we know.
    pub(crate) fn limiter(&self) -> Option<ModbusLimit> {
        let head = "model = \"sunspec\"\nvendor = \"SunSpec\"\nname = \"limit\"\nsource = \"SunSpec\"\nprotocol = \"modbus\"\n";
        match Template::parse("SunSpec", &(head.to_owned() + &self.limit()?)).ok()?.protocol {
            Protocol::Modbus(map) => map.limit,
            Protocol::Mqtt(_) | Protocol::Telegram(_) | Protocol::Gpio(_) => None,
        }
    }
}

/// Finds the marker and walks the chain with `read(address, count)`, which reads holding registers. `None` is a device
/// that answers, but is no SunSpec device. A silent device and a broken line are errors.
pub async fn discover<F, R>(mut read: F) -> Result<Option<Chain>, DeviceError>
where
    F: FnMut(u16, u16) -> R,
    R: Future<Output = Result<Vec<u16>, DeviceError>>,
{
    let mut silence = None;
    for base in BASES {
        match discover_at(base, &mut read).await {
            Ok(None) => {}
            // Some devices do not answer for registers that they lack.
            Err(error @ DeviceError::Silent { .. }) => silence = Some(error),
            found => return found,
        }
    }
    silence.map_or(Ok(None), Err)
}

/// The same for one place.
pub(crate) async fn discover_at<F, R>(base: u16, mut read: F) -> Result<Option<Chain>, DeviceError>
where
    F: FnMut(u16, u16) -> R,
    R: Future<Output = Result<Vec<u16>, DeviceError>>,
{
    match pair(read(base, 2).await) {
        Ok(found) if found == MARKER => walk(base, read).await.map(Some),
        Ok(_) => Ok(None),
        Err(error) if no_such_place(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn walk<F, R>(base: u16, mut read: F) -> Result<Chain, DeviceError>
where
    F: FnMut(u16, u16) -> R,
    R: Future<Output = Result<Vec<u16>, DeviceError>>,
{
    let (mut blocks, mut ended) = (Vec::new(), false);
    let mut next = base.checked_add(2);
    while let (Some(address), true) = (next, blocks.len() < MOST) {
        let [model, length] = match pair(read(address, 2).await) {
            Ok(head) => head,
            Err(error) if no_such_place(&error) => break,
            Err(DeviceError::Silent { .. }) if !blocks.is_empty() => break,
            Err(error) => return Err(error),
        };
        // Zero is no model: such a device answers with zeros where it has nothing.
        if model == END || model == 0 {
            ended = model == END;
            break;
        }
        next = address.checked_add(2).and_then(|start| start.checked_add(length));
        if next.is_none() {
            break;
        }
        blocks.push(Block { model, address, length });
    }
    Ok(Chain { base, blocks, ended })
}

fn pair(words: Result<Vec<u16>, DeviceError>) -> Result<[u16; 2], DeviceError> {
    words?
        .try_into()
        .map_err(|words: Vec<u16>| DeviceError::nonsense(format!("{} registers instead of 2", words.len())))
}

fn no_such_place(error: &DeviceError) -> bool {
    matches!(error, DeviceError::Refused { .. }) && !error.is_transient()
}

#[cfg(test)]
mod tests;
