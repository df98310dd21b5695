//! Any payload is a reading, a position, or an error; any topic fits the filters that the specification says.

use super::registers::value;
use arbitrary::Unstructured;
use domain::Position;
use drivers::fuzzing::{fits, measured, position};
use drivers::template::{Factor, JsonField, MqttMap, MqttSwitch, Quantity, Scaling};
use drivers::{Library, template::Protocol};
use serde_json::Value;
use std::sync::LazyLock;

static SHIPPED: LazyLock<Vec<MqttMap>> = LazyLock::new(|| {
    let library = Library::builtin();
    let maps = library.models().filter_map(|model| match &library.get(model)?.protocol {
        Protocol::Mqtt(map) => Some(map.clone()),
        _ => None,
    });
    maps.collect()
});

/// An energy in a payload is a register that can be, any other quantity is finite; a payload that is taken has every
/// quantity that it gives, and what is null or not there stays absent. A whole number of Wh is that number. The same JSON
/// spelled in another way says the same. A contact is closed or open only by the very value that the model names. A
/// topic fits a filter as level after level says.
pub fn check(bytes: &[u8]) {
    let mut u = Unstructured::new(bytes);
    let which: u8 = u.arbitrary().unwrap_or(0);
    let rest = u.take_rest();
    if which >= 0xF0 {
        let text = String::from_utf8_lossy(rest);
        let (filter, topic) = text.split_once('\n').unwrap_or((&text, ""));
        let hidden = topic.starts_with('$') && filter.starts_with(['+', '#']);
        let (wanted, levels): (Vec<_>, Vec<_>) = (filter.split('/').collect(), topic.split('/').collect());
        assert_eq!(fits(filter, topic), !hidden && level_by_level(&wanted, &levels), "{filter} {topic}");
        return;
    }
    let wh = Scaling { factor: Factor { num: 1, den: 1 }, invert: false, min: None, max: None, rollover: None };
    let plain = Quantity::ALL.map(|quantity| JsonField { quantity, pointer: format!("/{quantity}"), scaling: wh });
    let topic = "{topic}/s".to_owned();
    let plain = MqttMap { topic, quiet: std::time::Duration::from_secs(1), fields: plain.to_vec(), switch: None };
    match SHIPPED.get(usize::from(which)) {
        Some(map) => payload(map, rest, false),
        None => payload(&plain, rest, true),
    }
}

fn level_by_level(filter: &[&str], topic: &[&str]) -> bool {
    match (filter.split_first(), topic.split_first()) {
        (Some((&"#", _)), _) | (None, None) => true,
        (Some((wanted, filter)), Some((level, topic))) => {
            (*wanted == "+" || wanted == level) && level_by_level(filter, topic)
        }
        _ => false,
    }
}

fn payload(map: &MqttMap, bytes: &[u8], plain: bool) {
    if let Some(switch) = &map.switch {
        contact(switch, bytes);
    }
    let Ok(reading) = measured(map, bytes) else { return };
    let json: Value = serde_json::from_slice(bytes).expect("what was read is JSON");
    for field in &map.fields {
        let (said, value) = (json.pointer(&field.pointer), value(&reading, field.quantity));
        let energy = matches!(field.quantity, Quantity::Import | Quantity::Export);
        match said {
            None | Some(Value::Null) => assert_eq!(value, None, "{} was not said", field.quantity),
            Some(said) => {
                assert!(said.is_number(), "{said} was taken for {}", field.quantity);
                assert!(!energy || value.is_some_and(|wh| (0.0..1_099_511_627_776.0).contains(&wh)));
                if let (true, true, Some(wh)) = (plain, energy, said.as_i64()) {
                    assert_eq!(value, Some(wh as f64));
                }
            }
        }
        assert!(value.is_none_or(f64::is_finite));
    }
    let again = measured(map, json.to_string().as_bytes()).expect("the same JSON in another spelling");
    for quantity in Quantity::ALL {
        match (value(&reading, quantity), value(&again, quantity)) {
            (None, None) => {}
            // The last bit of a float may be read in another way; rounding it may make one Wh or W of it.
            (Some(a), Some(b)) => assert!((a - b).abs() <= 1.0 + a.abs() * 1e-12, "{quantity}: {a} and then {b}"),
            (a, b) => panic!("{quantity}: {a:?} and then {b:?}"),
        }
    }
}

fn contact(switch: &MqttSwitch, bytes: &[u8]) {
    let Ok(position) = position(switch, bytes) else { return };
    let wanted = if position == Position::Closed { &switch.state_closed } else { &switch.state_open };
    let json = serde_json::from_slice::<Value>(bytes).ok();
    let said = json.as_ref().and_then(|json| json.pointer(&switch.pointer));
    let text = String::from_utf8_lossy(bytes);
    let bare = switch.pointer.is_empty() && Some(text.trim()) == wanted.as_str();
    assert!(said == Some(wanted) || bare, "{text:?} was taken for {position:?}");
}
