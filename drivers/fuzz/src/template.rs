//! Any text is a model that cannot be wrong, or problems that each stand in the text.

use drivers::Template;
use drivers::template::Protocol;
use std::collections::BTreeSet;

/// A text is taken or its problems are named, with a line that it has. A model that was taken measures, switches
/// or limits something, and its registers exist; none is written for two reasons. A model is taken for what it says: twice the same.
pub fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let template = match Template::parse("fuzz.toml", &text) {
        Ok(template) => template,
        Err(problems) => {
            assert!(!problems.is_empty(), "refused without a reason");
            let lines = text.split('\n').count();
            for problem in problems {
                assert!((1..=lines).contains(&problem.line) && problem.column > 0, "{problem} is nowhere");
                assert!(!problem.what.is_empty() && problem.file == "fuzz.toml");
            }
            return;
        }
    };
    assert!(template.is_meter() || template.is_switch() || template.is_inverter());
    assert_eq!(Template::parse("fuzz.toml", &text).as_ref(), Ok(&template));
    match &template.protocol {
        Protocol::Modbus(map) => {
            for field in &map.fields {
                let registers = field.kind.registers();
                assert!((1..=map.max_quantity).contains(&registers));
                assert!(u32::from(field.address) + u32::from(registers) <= 0x1_0000);
            }
            if let Some(switch) = map.switch {
                assert_ne!(switch.order.closed, switch.order.open);
                assert_ne!(switch.readback.closed, switch.readback.open);
                let last = switch.order.address.max(switch.readback.address);
                assert!(u32::from(last) + u32::from(switch.channels) <= 0x1_0000);
            }
            let limit = map.limit.as_ref();
            let mut written = BTreeSet::new();
            for preset in map.setup.iter().chain(limit.into_iter().flat_map(|limit| &limit.setup)) {
                for at in (u32::from(preset.address)..).take(preset.words.len()) {
                    assert!(at < 0x1_0000 && written.insert((preset.table, at)), "{preset:?}");
                }
            }
            if let Some(limit) = limit {
                let end = u32::from(limit.value.address) + u32::from(limit.value.kind.registers());
                assert!(end <= 0x1_0000 && limit.value.kind.parts.len() == 1);
                assert!(limit.enable.is_none_or(|enable| enable.on != enable.off));
                if let Some(timer) = &limit.reversion {
                    assert_eq!(timer.said(&timer.words()), Some(timer.after));
                }
            }
            for text in &map.identity {
                assert!(text.registers > 0 && u32::from(text.address) + u32::from(text.registers) <= 0x1_0000);
            }
        }
        Protocol::Mqtt(map) => {
            assert!(map.fields.is_empty() || map.topic.contains("{topic}"));
            assert!(!map.topic.contains(['+', '#', '\0']));
            assert!(map.fields.iter().all(|field| field.pointer.is_empty() || field.pointer.starts_with('/')));
            if let Some(switch) = &map.switch {
                assert!(switch.command_closed != switch.command_open && switch.state_closed != switch.state_open);
            }
        }
        Protocol::Telegram(map) => {
            assert!(!map.fields.is_empty() && map.fields.iter().all(|field| !field.parts.is_empty()));
        }
        Protocol::Gpio(map) => {
            assert!(map.pulses.is_some() != map.switch.is_some());
            assert!(map.pulses.is_none_or(|pulses| !pulses.debounce.is_zero()));
        }
    }
}
