//! Who a SunSpec device says that it is: the strings of the common model, number 1.

use super::{Block, Chain};
use crate::capability::{DeviceError, Identity};

/// Points of the common model, counted from its number: manufacturer, model, options, version, serial number.
const STRINGS: [(usize, usize); 5] = [(2, 16), (18, 16), (34, 8), (42, 8), (50, 16)];
/// From the number to the end of the serial number.
const LENGTH: u16 = 66;

impl Chain {
    /// Reads the first common model with `read(address, count)`. `None` for a chain that has none.
    pub async fn identify<F, R>(&self, mut read: F) -> Result<Option<Identity>, DeviceError>
    where
        F: FnMut(u16, u16) -> R,
        R: Future<Output = Result<Vec<u16>, DeviceError>>,
    {
        let common = |block: &&Block| block.model == 1 && block.length >= LENGTH - 2;
        let Some(block) = self.blocks.iter().find(common) else { return Ok(None) };
        let words = read(block.address, LENGTH).await?;
        let said = |(start, length): (usize, usize)| words.get(start..start + length).and_then(text);
        let [manufacturer, model, _, version, serial] = STRINGS.map(said);
        Ok(Some(Identity { manufacturer, model, version, serial }))
    }
}

/// A string in registers, two bytes each, up to the first NUL. Nothing is left of one that says nothing, or that would
/// spoil a terminal.
pub(crate) fn text(words: &[u16]) -> Option<String> {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).take_while(|byte| *byte != 0).collect();
    if bytes.iter().all(|byte| *byte == 0xFF) {
        return None;
    }
    let text = String::from_utf8_lossy(&bytes);
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let clean = clean.trim();
    (!clean.is_empty()).then(|| clean.to_owned())
}
