//! The tables that say which OBIS code is which quantity.

use super::{limits, ratio};
use crate::document::Section;
use crate::spec::Parity;
use crate::template::{Factor, Language, ObisField, ObisPart, Quantity, TelegramMap};
use std::time::Duration;

/// Parities with the data bits that go with them.
const PARITIES: [(&str, Parity); 2] = [("none", Parity::None), ("even", Parity::Even)];

pub(super) fn telegram(root: &Section<'_, '_>) -> Option<TelegramMap> {
    let language = root.required_choice("language", &Language::ALL);
    let checked = root.choice("checksum", &[("crc16", true), ("none", false)]);
    if checked == Some(false) && language.is_some_and(|l| l != Language::P1) {
        root.problem("checksum", "can be \"none\" of P1 telegrams only: the others always have one");
    }
    let (baud, parity) = match language {
        Some(Language::ModeC) => (300, Parity::Even),
        Some(Language::Sml) => (9600, Parity::None),
        _ => (115_200, Parity::None),
    };
    let baud = root.number("baud", 300..4_000_001).unwrap_or(baud);
    let parity = root.choice("parity", &PARITIES).unwrap_or(parity);
    let quiet: u32 = root.number("quiet_s", 1..86_401).unwrap_or(60);
    let mut fields = Vec::new();
    for quantity in Quantity::ALL {
        if let Some(section) = root.section(quantity.name()) {
            fields.extend(field(quantity, &section));
            section.close();
        }
    }
    if fields.is_empty() && root.notes.count() == 0 {
        root.notes.add(&root.span, "", "the template has no quantity");
    }
    let (language, quiet) = (language?, Duration::from_secs(u64::from(quiet)));
    Some(TelegramMap { language, checked: checked.unwrap_or(true), baud, parity, quiet, fields })
}

fn field(quantity: Quantity, section: &Section<'_, '_>) -> Option<ObisField> {
    let sums = section.sections("sum");
    let parts = if sums.is_empty() {
        part(quantity, section).map(|part| vec![part])
    } else {
        let read = |sum: &Section<'_, '_>| {
            let found = part(quantity, sum);
            let subtract = sum.flag("subtract").unwrap_or(false);
            sum.close();
            found.map(|found| ObisPart { subtract, ..found })
        };
        // Every one is read before the first mistake counts.
        let found: Vec<Option<ObisPart>> = sums.iter().map(read).collect();
        found.into_iter().collect()
    };
    let scaling = limits(quantity, section, Some(Factor::ONE));
    Some(ObisField { quantity, parts: parts?, scaling: scaling? })
}

/// One entry: `obis`, `unit`, `scale`, `absent`.
fn part(quantity: Quantity, section: &Section<'_, '_>) -> Option<ObisPart> {
    let before = section.notes.count();
    let code = section.required_text("obis").and_then(|text| {
        let code = text.parse().ok();
        if code.is_none() {
            section.problem("obis", format!("is {text:?}, must be an OBIS code such as \"1-0:1.8.0\""));
        }
        code
    });
    let unit = section.choice("unit", quantity.units());
    let scale = section.get("scale").map(|value| {
        let found = crate::document::decimal(value.get_ref()).and_then(|text| ratio(&text));
        if found.is_none() {
            section.problem("scale", "must be a positive decimal number with at most 9 digits, such as 0.01");
        }
        found
    });
    let absent = section.texts("absent").unwrap_or_default();
    if section.notes.count() > before {
        return None;
    }
    Some(ObisPart { code: code?, unit, scale: scale.flatten().unwrap_or(Factor::ONE), subtract: false, absent })
}

#[cfg(test)]
mod tests {
    use super::super::template;
    use crate::template::{Factor, Language, Protocol, TelegramMap};

    const HEAD: &str =
        "model = \"x\"\nvendor = \"v\"\nname = \"n\"\nsource = \"s\"\nprotocol = \"telegram\"\nlanguage = \"p1\"\n";

    fn map(body: &str) -> TelegramMap {
        let Protocol::Telegram(map) = template("x", &format!("{HEAD}{body}")).unwrap().protocol else { panic!() };
        map
    }

    fn problems(body: &str) -> Vec<String> {
        let found = template("x.toml", &format!("{HEAD}{body}")).unwrap_err();
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_sum_has_entries_with_units_and_signs_of_their_own() {
        let body = "[power]\nmin = -9\n[[power.sum]]\nobis = \"1-0:1.7.0\"\nunit = \"kW\"\n\
                    [[power.sum]]\nobis = \"2.7.0\"\nsubtract = true\nscale = 40\nabsent = [\"--\"]\n";
        let map = map(body);
        let [plus, minus] = map.fields[0].parts.as_slice() else { panic!("{map:?}") };
        assert_eq!((plus.unit, plus.subtract), (Some(Factor { num: 1000, den: 1 }), false));
        assert_eq!((minus.unit, minus.subtract, minus.scale), (None, true, Factor { num: 40, den: 1 }));
        assert_eq!((minus.absent[0].as_str(), map.fields[0].scaling.min), ("--", Some(-9.0)));
        assert_eq!((map.language, map.baud, map.checked), (Language::P1, 115_200, true));
    }

    #[test]
    fn every_mistake_is_named_at_once() {
        let found = problems(
            "checksum = \"crc\"\nbaud = 3\nparity = \"odd\"\n[import]\nobis = \"kWh\"\nunit = \"W\"\nscale = 0\n\
             absent = 5\nfactor = 2\n[export]\n",
        );
        for key in [
            "checksum",
            "baud",
            "parity",
            "import.obis",
            "import.unit",
            "import.scale",
            "import.absent",
            "import.factor",
            "export.obis",
        ] {
            assert!(found.iter().any(|p| p.contains(&format!(": {key} "))), "{key}: {found:#?}");
        }
        assert_eq!(found.len(), 9, "{found:#?}");
        let sml = format!("{HEAD}checksum = \"none\"\n[import]\nobis = \"1.8.0\"\n").replace("\"p1\"", "\"sml\"");
        assert!(template("x", &sml).is_err());
    }
}
