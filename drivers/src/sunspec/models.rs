//! What stands where in the models that we know. Offsets are those of the information model definitions that the SunSpec
//! Alliance publishes (github.com/sunspec/models, `json/model_*.json`).

use super::Block;
use crate::template::Template;

/// Where a point stands, counted from the model's number, and where its scale factor does.
type Point = (u16, Option<u16>);

/// How the points of a family of models lie.
struct Family {
    /// How many registers the points take up to the last one that we read.
    length: u16,
    kind: &'static str,
    energy: &'static str,
    /// How frequency is counted, if not as `kind`.
    slow: &'static str,
    /// Produces: what it makes is export, and its power is negative.
    inverter: bool,
    current: Point,
    voltage: Point,
    power: Point,
    frequency: Point,
    export: Point,
    import: Option<Point>,
}

fn family(model: u16) -> Option<Family> {
    let scaled = |at, by| (at, Some(by));
    let plain = |at| (at, None);
    Some(match model {
        101..=103 => Family {
            length: 25,
            kind: "u16",
            energy: "u32",
            slow: "u16",
            inverter: true,
            current: scaled(3, 6),
            voltage: scaled(10, 13),
            power: scaled(14, 15),
            frequency: scaled(16, 17),
            export: scaled(24, 26),
            import: None,
        },
        111..=113 => Family {
            length: 32,
            kind: "f32",
            energy: "f32",
            slow: "f32",
            inverter: true,
            current: plain(4),
            voltage: plain(16),
            power: plain(22),
            frequency: plain(24),
            export: plain(32),
            import: None,
        },
        201..=204 => Family {
            length: 53,
            kind: "i16",
            energy: "u32",
            slow: "i16",
            inverter: false,
            current: scaled(3, 6),
            voltage: scaled(8, 15),
            power: scaled(18, 22),
            frequency: scaled(16, 17),
            export: scaled(38, 54),
            import: Some(scaled(46, 54)),
        },
        211..=214 => Family {
            length: 68,
            kind: "f32",
            energy: "f32",
            slow: "f32",
            inverter: false,
            current: plain(4),
            voltage: plain(12),
            power: plain(28),
            frequency: plain(26),
            export: plain(60),
            import: Some(plain(68)),
        },
        // Counts both ways, and as the other inverters do: what it makes is positive.
        701 => Family {
            length: 119,
            kind: "u16",
            energy: "u64",
            slow: "u32",
            inverter: true,
            current: scaled(14, 113),
            voltage: scaled(16, 114),
            power: scaled(10, 116),
            frequency: scaled(17, 115),
            export: scaled(19, 120),
            import: Some(scaled(23, 120)),
        },
        _ => return None,
    })
}

impl Block {
    /// The model as a template; `None` for a model that is no meter or inverter, or is shorter than it must be.
    #[must_use]
    pub fn template(&self) -> Option<Template> {
        Template::parse("SunSpec", &self.document()?).ok()
    }

    /// The same as a file, to be kept in a folder of models.
    #[must_use]
    pub fn document(&self) -> Option<String> {
        let family = family(self.model).filter(|family| family.length <= self.length)?;
        let what = if family.inverter { "inverter" } else { "meter" };
        let Block { model, address, .. } = *self;
        let mut text = format!(
            "model = \"sunspec-{what}-{model}-{address}\"\nvendor = \"SunSpec\"\nname = \"Model {model} at {address}\"\n\
             source = \"SunSpec Alliance, information model {model}\"\nprotocol = \"modbus\"\n"
        );
        let signed = if family.kind == "u16" { "i16" } else { family.kind };
        // Alone among the inverters, 701 signs its current.
        let current = if model == 701 { "i16" } else { family.kind };
        let turned = if family.inverter { "invert = true\n" } else { "" };
        let limits = "min = 0\nmax = 500\n";
        let points = [
            ("current", Some(family.current), current, "A", ""),
            ("voltage", Some(family.voltage), family.kind, "V", limits),
            ("power", Some(family.power), signed, "W", turned),
            ("frequency", Some(family.frequency), family.slow, "Hz", ""),
            ("export", Some(family.export), family.energy, "Wh", ""),
            ("import", family.import, family.energy, "Wh", ""),
        ];
        for (name, point, kind, unit, more) in points {
            let Some((at, scale)) = point else { continue };
            let at = address.checked_add(at)?;
            text += &format!(
                "\n[{name}]\ntable = \"holding\"\naddress = {at}\ntype = \"{kind}\"\nunit = \"{unit}\"\n{more}"
            );
            if let Some(scale) = scale {
                let scale = address.checked_add(scale)?;
                text += &format!("absent = \"sunspec\"\nscale_register = {{ address = {scale} }}\n");
            }
        }
        Some(text)
    }

    /// `[limit]` of a model that limits active power in percent of the rated power; `None` for any other model.
    pub(super) fn limit(&self) -> Option<String> {
        let (value, scale, enable, timer, kind, more) = match self.model {
            123 if self.length >= 24 => (5, 23, 9, 7, "u16", None),
            704 if self.length >= 57 => (15, 54, 14, 18, "u32", Some((16, 17))),
            _ => return None,
        };
        let at = |point: u16| self.address.checked_add(point);
        let mut text = format!(
            "\n[limit]\ntable = \"holding\"\naddress = {}\ntype = \"u16\"\nunit = \"%\"\nabsent = \"sunspec\"\n\
             scale_register = {{ address = {} }}\nfunction = 16\n\n[limit.enable]\naddress = {}\n\n\
             [limit.reversion]\naddress = {}\ntype = \"{kind}\"\n",
            at(value)?,
            at(scale)?,
            at(enable)?,
            at(timer)?
        );
        if let Some((full, off)) = more {
            text += &format!("full = {}\noff = {}\n", at(full)?, at(off)?);
        }
        Some(text)
    }
}
