//! Buses that are the lines of a GPIO chip, and the devices on them.

use super::fields::duration;
use super::{Reader, Table};
use crate::config::{Meter, Switch};
use domain::{BusId, WattHours};
use drivers::template::{GpioMap, Protocol, PulseModel, SwitchModel};
use drivers::{Bias, BusKind, DeviceAddress, Feedback, GpioSpec, Level, PulseLine, PulsesPerKwh, SwitchLine, Template};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// Every key that a device on a line may have, for a table of which it is not known where it belongs.
const KEYS: &[&str] = &[
    "line",
    "imp_per_kwh",
    "debounce",
    "bias",
    "active",
    "start_wh",
    "feedback_line",
    "feedback_active",
    "feedback_bias",
];

/// Asks for every such key, so that none of them is called unknown as well.
pub(super) fn leave_alone(table: &Table<'_, '_>) {
    for key in KEYS {
        table.get(key);
    }
}

impl Reader<'_> {
    /// The kind, and the chip that nobody else may own.
    pub(super) fn gpio_bus(
        &self,
        table: &Table<'_, '_>,
        simulated: bool,
        state: Option<&Path>,
    ) -> Option<(BusKind, Option<String>)> {
        let chip = table.required_text("chip")?;
        if chip.trim().is_empty() {
            table.problem("chip", "is empty, must be a device file such as \"/dev/gpiochip0\"");
            return None;
        }
        let chip = self.base.join(chip);
        let owner = chip.display().to_string();
        // A site without a state folder was complained about already.
        let counts = state.unwrap_or(Path::new("")).join("pulses");
        Some((BusKind::Gpio(GpioSpec { chip, counts, keep: true, simulated }), Some(owner)))
    }
}

/// Where on a chip a device of this model is.
pub(super) fn address(table: &Table<'_, '_>, bus: &BusId, template: Option<&Template>) -> Option<DeviceAddress> {
    for key in ["unit", "topic"] {
        if table.get(key).is_some() {
            table.problem(key, format!("is not used on bus {bus}: a device on a GPIO chip has a line"));
        }
    }
    let Some(Protocol::Gpio(GpioMap { pulses, switch })) = template.map(|t| &t.protocol) else {
        // A model that speaks something else is complained about where that is found out.
        leave_alone(table);
        return None;
    };
    let line = match table.get("line") {
        Some(_) => table.number("line", LINES),
        None => {
            table.problem("line", "is missing: which line of the chip; on a Raspberry Pi that is the GPIO's number");
            None
        }
    };
    match (pulses, switch) {
        (Some(model), _) => pulse_line(table, line, model).map(DeviceAddress::Pulses),
        (None, Some(model)) => switch_line(table, line, model).map(DeviceAddress::Output),
        (None, None) => None,
    }
}

/// No chip has more lines than the kernel can number.
const LINES: std::ops::Range<i128> = 0..65_536;

fn pulse_line(table: &Table<'_, '_>, line: Option<u32>, model: &PulseModel) -> Option<PulseLine> {
    let before = table.notes.count();
    let constant = match table.get("imp_per_kwh") {
        Some(_) => table.number("imp_per_kwh", 1..i128::from(PulsesPerKwh::MOST) + 1).and_then(PulsesPerKwh::new),
        None => model.constant,
    };
    if constant.is_none() && table.get("imp_per_kwh").is_none() {
        table.problem("imp_per_kwh", "is missing: the pulses that make a kWh, as printed on the meter, such as 1000");
    }
    let usual = format!("{}ms", model.debounce.as_millis());
    let debounce = duration(table, "debounce", &usual, Duration::from_millis(1)..=Duration::from_secs(1));
    let bias = table.choice("bias", &Bias::ALL).unwrap_or(model.bias);
    let active = table.choice("active", &Level::ALL).unwrap_or(model.active);
    let start = WattHours(table.number("start_wh", 0..1 << 40).unwrap_or(0));
    if table.notes.count() > before {
        return None;
    }
    Some(PulseLine { line: line?, constant: constant?, debounce: debounce?, bias, active, start })
}

fn switch_line(table: &Table<'_, '_>, line: Option<u32>, model: &SwitchModel) -> Option<SwitchLine> {
    let before = table.notes.count();
    let active = table.choice("active", &Level::ALL).unwrap_or(model.active);
    let feedback = table.number("feedback_line", LINES).map(|line| Feedback {
        line,
        active: table.choice("feedback_active", &Level::ALL).unwrap_or(Level::Low),
        bias: table.choice("feedback_bias", &Bias::ALL).unwrap_or(Bias::PullUp),
    });
    if table.get("feedback_line").is_none() {
        for key in ["feedback_active", "feedback_bias"] {
            if table.get(key).is_some() {
                table.problem(key, "needs feedback_line beside it");
            }
        }
    }
    if table.notes.count() > before {
        return None;
    }
    Some(SwitchLine { line: line?, active, feedback })
}

/// The lines that a device takes, with the keys that name them.
fn lines(address: &DeviceAddress) -> Vec<(&'static str, u32)> {
    match address {
        DeviceAddress::Pulses(line) => vec![("line", line.line)],
        DeviceAddress::Output(line) => {
            let feedback = line.feedback.map(|f| ("feedback_line", f.line));
            std::iter::once(("line", line.line)).chain(feedback).collect()
        }
        _ => Vec::new(),
    }
}

/// A line has one device.
pub(super) fn shared_lines(root: &Table<'_, '_>, meters: &[Meter], switches: &[Switch]) {
    let mut owners: BTreeMap<(BusId, u32), String> = BTreeMap::new();
    let mut claim = |table: &Table<'_, '_>, name: String, bus: &BusId, address: &DeviceAddress| {
        for (key, line) in lines(address) {
            if let Some(other) = owners.get(&(bus.clone(), line)) {
                let whose =
                    if *other == name { "this device has already".to_owned() } else { format!("{other} has already") };
                table.problem(key, format!("is {line}, a line of bus {bus} that {whose}"));
                continue;
            }
            owners.insert((bus.clone(), line), name.clone());
        }
    };
    for table in root.sections("meter") {
        if let Some(m) = meters.iter().find(|m| Some(m.id.as_str()) == table.text("id").as_deref()) {
            claim(&table, format!("meter {}", m.id), &m.bus, &m.address);
        }
    }
    for table in root.sections("switch") {
        if let Some(s) = switches.iter().find(|s| Some(s.id.as_str()) == table.text("id").as_deref()) {
            claim(&table, format!("switch {}", s.id), &s.bus, &s.address);
        }
    }
}
