//! Tables of models on a line of a GPIO chip: `[pulses]` or `[switch]`.

use crate::document::Section;
use crate::gpio::{Bias, Level, PulsesPerKwh};
use crate::template::{GpioMap, PulseModel, SwitchModel};
use std::time::Duration;

/// Levels of a pulse output of IEC 62053-31 last for 30 ms or more, of which up to 5 ms are the change to them. So 10 ms
/// is longer than any bounce that the standard allows, and as far from swallowing the shortest pulse.
const DEBOUNCE_MS: u32 = 10;

pub(super) fn gpio(root: &Section<'_, '_>) -> Option<GpioMap> {
    let pulses = root.section("pulses").map(|section| {
        let constant = section.number("imp_per_kwh", 1..i128::from(PulsesPerKwh::MOST) + 1);
        let debounce: u32 = section.number("debounce_ms", 1..1001).unwrap_or(DEBOUNCE_MS);
        let bias = section.choice("bias", &Bias::ALL).unwrap_or(Bias::PullUp);
        let active = section.choice("active", &Level::ALL).unwrap_or(Level::Low);
        section.close();
        let debounce = Duration::from_millis(u64::from(debounce));
        PulseModel { constant: constant.and_then(PulsesPerKwh::new), debounce, bias, active }
    });
    let switch = root.section("switch").and_then(|section| {
        let active = section.required_choice("active", &Level::ALL);
        section.close();
        Some(SwitchModel { active: active? })
    });
    if pulses.is_some() && root.get("switch").is_some() {
        root.problem("switch", "stands beside [pulses], but a line is an input or an output");
    }
    if pulses.is_none() && switch.is_none() && root.notes.count() == 0 {
        root.notes.add(&root.span, "", "the template has neither [pulses] nor a [switch]");
    }
    Some(GpioMap { pulses, switch })
}

#[cfg(test)]
mod tests {
    use super::super::template;
    use super::*;
    use crate::template::Protocol;

    const HEAD: &str = "model = \"x\"\nvendor = \"v\"\nname = \"n\"\nsource = \"s\"\nprotocol = \"gpio\"\n";

    fn map(body: &str) -> GpioMap {
        let Protocol::Gpio(map) = template("x", &format!("{HEAD}{body}")).unwrap().protocol else { panic!() };
        map
    }

    fn problems(body: &str) -> String {
        let found = template("x.toml", &format!("{HEAD}{body}")).unwrap_err();
        found.iter().map(|problem| format!("{problem}\n")).collect()
    }

    #[test]
    fn a_pulse_output_is_that_of_the_standard_unless_the_model_says_otherwise() {
        let plain = map("[pulses]\n").pulses.unwrap();
        assert_eq!((plain.constant, plain.debounce), (None, Duration::from_millis(10)));
        assert_eq!((plain.bias, plain.active), (Bias::PullUp, Level::Low));
        let other = map("[pulses]\nimp_per_kwh = 800\ndebounce_ms = 3\nbias = \"disabled\"\nactive = \"high\"\n")
            .pulses
            .unwrap();
        assert_eq!((other.constant, other.debounce), (PulsesPerKwh::new(800), Duration::from_millis(3)));
        assert_eq!((other.bias, other.active), (Bias::Disabled, Level::High));
        assert_eq!(map("[switch]\nactive = \"low\"\n").switch, Some(SwitchModel { active: Level::Low }));
    }

    #[test]
    fn every_mistake_is_named_at_once() {
        let found =
            problems("[pulses]\nimp_per_kwh = 0\ndebounce_ms = 0\nbias = \"up\"\nactive = 1\nedge = 2\n[switch]\n");
        for key in ["imp_per_kwh", "debounce_ms", "bias", "active", "edge", "switch.active", "switch stands beside"] {
            assert!(found.contains(key), "nothing about {key}:\n{found}");
        }
        assert!(problems("").contains("neither"), "{}", problems(""));
    }
}
