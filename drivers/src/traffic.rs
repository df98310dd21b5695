//! What goes over a bus, for whoever wants to look: the bytes as they are, and what they mean to a model.

use crate::codec;
use crate::template::{Protocol, Quantity, RegisterField, Table, Template};
use domain::{MeterId, Reading, Timestamp};
use std::fmt;
use std::sync::{Arc, OnceLock};

/// Something that went over a bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic<'a> {
    /// A question or an order, as it was sent.
    Sent(&'a [u8]),
    /// The answer to it.
    Answer(&'a [u8]),
    /// What was heard beside an answer, or instead of one: noise, an echo, somebody else's frame.
    Ignored(&'a [u8]),
    /// Registers that were read together, out of an answer.
    Registers {
        /// Which table.
        table: Table,
        /// Protocol address (from 0) of the first.
        address: u16,
        /// What they hold.
        words: &'a [u16],
    },
    /// A message on a topic.
    Message {
        /// The topic.
        topic: &'a str,
        /// The payload.
        payload: &'a [u8],
    },
    /// An entry of a telegram.
    Entry {
        /// Its OBIS code.
        code: &'a str,
        /// The digits as they were said.
        value: &'a str,
        /// The power of ten that they are multiplied by.
        exponent: i8,
        /// The unit, if one was said.
        unit: &'a str,
    },
}

/// Is shown everything that goes over a bus, as it goes.
pub type Watcher = Arc<dyn Fn(Traffic<'_>) + Send + Sync>;

/// The place of a watcher on a bus. Clones are one place.
#[derive(Clone, Default)]
pub(crate) struct Watch(Arc<OnceLock<Watcher>>);

impl Watch {
    /// The first watcher stays.
    pub fn set(&self, watcher: Watcher) {
        let _ = self.0.set(watcher);
    }

    pub fn tell(&self, traffic: Traffic<'_>) {
        if let Some(watcher) = self.0.get() {
            watcher(traffic);
        }
    }
}

/// What one place says, and what that means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// The quantity.
    pub quantity: Quantity,
    /// Where it stands, and as what.
    pub place: String,
    /// What stands there.
    pub raw: String,
    /// What it means.
    pub value: String,
}

impl fmt::Display for Meaning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<9} {:<20} {:<24} {}", self.quantity.name(), self.place, self.raw, self.value)
    }
}

/// What a model makes of traffic; empty for what says nothing to it.
#[must_use]
pub fn meanings(template: &Template, traffic: Traffic<'_>) -> Vec<Meaning> {
    match (&template.protocol, traffic) {
        (Protocol::Modbus(map), Traffic::Registers { table, address, words }) => {
            map.fields.iter().filter(|field| field.table == table).filter_map(|f| register(f, address, words)).collect()
        }
        (Protocol::Mqtt(map), Traffic::Message { payload, .. }) => {
            let Ok(payload) = serde_json::from_slice::<serde_json::Value>(payload) else { return Vec::new() };
            let meaning = |field: &crate::template::JsonField| {
                let found = payload.pointer(&field.pointer);
                let decoded = codec::decode_json(field.quantity, found);
                Meaning {
                    quantity: field.quantity,
                    place: field.pointer.clone(),
                    raw: found.map_or_else(|| "not there".to_owned(), ToString::to_string),
                    value: shown(field.quantity, &field.scaling, decoded),
                }
            };
            map.fields.iter().map(meaning).collect()
        }
        _ => Vec::new(),
    }
}

fn register(field: &RegisterField, address: u16, words: &[u16]) -> Option<Meaning> {
    let start = usize::from(field.address.checked_sub(address)?);
    let own = words.get(start..start.checked_add(field.kind.registers().into())?)?;
    let raw: Vec<String> = own.iter().map(|word| format!("{word:04X}")).collect();
    let kinds: Vec<&str> = field.kind.parts.iter().map(|part| part.kind.name()).collect();
    Some(Meaning {
        quantity: field.quantity,
        place: format!("{} 0x{:04X} {}", field.table.name(), field.address, kinds.join("+")),
        raw: raw.join(" "),
        value: shown(field.quantity, &field.scaling, codec::decode(field, own)),
    })
}

fn shown(
    quantity: Quantity,
    scaling: &crate::template::Scaling,
    decoded: Result<Option<codec::Raw>, crate::DeviceError>,
) -> String {
    let raw = match decoded {
        Ok(Some(raw)) => raw,
        Ok(None) => return "absent".to_owned(),
        Err(error) => return error.to_string(),
    };
    let Ok(id) = "probed".parse::<MeterId>() else { return String::new() };
    let mut reading = Reading::empty(id, Timestamp(0));
    if let Err(error) = codec::put(&mut reading, quantity, scaling, raw) {
        return error.to_string();
    }
    let value = match quantity {
        Quantity::Import => reading.import.map(|v| v.to_string()),
        Quantity::Export => reading.export.map(|v| v.to_string()),
        Quantity::Power => reading.power.map(|v| v.to_string()),
        Quantity::Voltage => reading.voltage.map(|v| v.to_string()),
        Quantity::Current => reading.current.map(|v| v.to_string()),
        Quantity::Frequency => reading.frequency.map(|v| v.to_string()),
    };
    value.unwrap_or_else(|| "left out: beyond what is believed".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Library;

    #[test]
    fn registers_are_shown_beside_what_they_mean() {
        let template = Library::builtin().get("eastron-sdm120").unwrap();
        let mut words = [0_u16; 0x50];
        (words[0], words[1]) = (0x4366, 0x8000);
        (words[0x48], words[0x49]) = (0x7FC0, 0);
        let all = meanings(&template, Traffic::Registers { table: Table::Input, address: 0, words: &words });
        let of = |quantity| all.iter().find(|m| m.quantity == quantity).unwrap();
        let voltage = of(Quantity::Voltage);
        assert_eq!(
            (voltage.place.as_str(), voltage.raw.as_str(), voltage.value.as_str()),
            ("input 0x0000 f32", "4366 8000", "230.50 V")
        );
        assert_eq!(of(Quantity::Import).value, "absent");
        let beside = meanings(&template, Traffic::Registers { table: Table::Holding, address: 0, words: &words });
        assert_eq!(beside, []);
    }

    #[test]
    fn a_payload_is_shown_pointer_by_pointer() {
        let template = Library::builtin().get("generic-json").unwrap();
        let payload = br#"{"import_wh": 41, "power_w": "much"}"#;
        let all = meanings(&template, Traffic::Message { topic: "t", payload });
        let said: Vec<(&str, &str)> = all.iter().map(|m| (m.quantity.name(), m.value.as_str())).collect();
        assert!(said.contains(&("import", "41 Wh")) && said.contains(&("voltage", "absent")), "{said:?}");
        assert!(said.iter().any(|(name, value)| *name == "power" && value.contains("no number")), "{said:?}");
    }
}
