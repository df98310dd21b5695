//! Finds out who is on a bus: asks every unit, in the language of every model that is known, and says which answers make
//! sense.

use crate::Bus;
use crate::capability::{DeviceError, Identity};
use crate::spec::DeviceAddress;
use crate::sunspec::Chain;
use crate::template::{Library, Protocol, Template};
use domain::{MeterId, Reading};
use std::ops::RangeInclusive;
use std::sync::Arc;

/// A unit that answered.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its address.
    pub unit: u8,
    /// The models whose language it speaks, the likeliest first. Empty for a device that no template describes.
    pub models: Vec<Match>,
    /// What it says about itself, if it is a SunSpec device: its chain of models, and who it is.
    pub sunspec: Option<(Chain, Option<Identity>)>,
}

/// What a unit said when it was read as one model.
#[derive(Clone, Debug)]
pub struct Match {
    /// The model.
    pub model: String,
    /// What it said.
    pub reading: Reading,
    /// How much of that makes sense: one point for each quantity, more for a mains voltage and a mains frequency, which
    /// random registers hardly ever hold.
    pub score: u32,
}

/// How far a scan has come.
#[derive(Clone, Copy, Debug)]
pub enum Progress<'a> {
    /// This unit is asked now.
    Asking(u8),
    /// It answers.
    Found(&'a Found),
}

/// Asks all of these units, and tells how far it has come.
///
/// A unit is taken for absent when it is silent to a question for input registers and to one for holding registers;
/// each costs one timeout of the bus.
pub async fn scan(
    bus: &Bus,
    units: RangeInclusive<u8>,
    library: &Library,
    mut tell: impl FnMut(Progress<'_>),
) -> Vec<Found> {
    let models: Vec<Arc<Template>> = library
        .models()
        .filter_map(|name| library.get(name))
        .filter(|t| t.is_meter() && matches!(t.protocol, Protocol::Modbus(_)))
        .collect();
    let mut found = Vec::new();
    for unit in units {
        tell(Progress::Asking(unit));
        if let Some(models) = ask(bus, unit, &models).await {
            // Whatever goes wrong there, the unit was found.
            let sunspec = bus.sunspec(&DeviceAddress::Unit(unit)).await.ok().flatten();
            let new = Found { unit, models, sunspec };
            tell(Progress::Found(&new));
            found.push(new);
        }
    }
    found
}

/// `None` if nobody is there.
async fn ask(bus: &Bus, unit: u8, models: &[Arc<Template>]) -> Option<Vec<Match>> {
    let (mut there, mut matches, mut silent) = (false, Vec::new(), Vec::new());
    for template in models {
        let table = first_table(template);
        // One silence for each function is enough.
        if !there && silent.contains(&table) {
            continue;
        }
        match read(bus, unit, template).await {
            Ok(reading) => {
                there = true;
                let score = score(&reading);
                if score > 0 {
                    matches.push(Match { model: template.model.clone(), reading, score });
                }
            }
            Err(DeviceError::Silent { .. } | DeviceError::Wire { .. }) => silent.push(table),
            Err(_) => there = true,
        }
    }
    matches.sort_by(|a, b| b.score.cmp(&a.score).then_with(|| a.model.cmp(&b.model)));
    there.then_some(matches)
}

async fn read(bus: &Bus, unit: u8, template: &Arc<Template>) -> Result<Reading, DeviceError> {
    let id: MeterId = "scanned".parse().map_err(DeviceError::nonsense)?;
    let mut template = Arc::clone(template);
    // Nobody knows yet what this device is: nothing is written to it.
    if let Protocol::Modbus(map) = &template.protocol
        && !map.setup.is_empty()
    {
        let map = crate::template::ModbusMap { setup: Vec::new(), ..map.clone() };
        template = Arc::new(Template { protocol: Protocol::Modbus(map), ..Template::clone(&template) });
    }
    let meter = bus.meter(id, template, DeviceAddress::Unit(unit)).map_err(DeviceError::nonsense)?;
    meter.read().await
}

fn first_table(template: &Template) -> &'static str {
    match &template.protocol {
        // One that describes itself does so in holding registers.
        Protocol::Modbus(map) => map.fields.first().map_or("holding", |f| f.table.name()),
        Protocol::Mqtt(_) | Protocol::Telegram(_) | Protocol::Gpio(_) => "",
    }
}

fn score(reading: &Reading) -> u32 {
    let within = |value: Option<f64>, low: f64, high: f64| value.is_some_and(|v| (low..=high).contains(&v));
    let volts = reading.voltage.map(domain::Volts::get);
    let mains = within(volts, 85.0, 265.0) || within(volts, 340.0, 500.0);
    let frequency = within(reading.frequency.map(domain::Hertz::get), 45.0, 65.0);
    // A register full of zeros is a language that any device speaks.
    let counted = |something: bool| u32::from(something);
    let energy = reading.import.is_some_and(|e| e.0 > 0) || reading.export.is_some_and(|e| e.0 > 0);
    10 * counted(mains) + 10 * counted(frequency) + counted(energy) + counted(reading.power.is_some_and(|p| p.0 != 0))
}
