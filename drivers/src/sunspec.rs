//! SunSpec devices describe themselves: a chain of numbered models behind a marker. Here the chain is walked and a
//! model that we know becomes a [`Template`]. Offsets are those of the SunSpec information model definitions.

use crate::capability::DeviceError;
use crate::template::Template;
use std::future::Future;

/// Where the marker may be.
const BASES: [u16; 3] = [40_000, 50_000, 0];
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
    /// The first model that can be read as a meter, as a template.
    #[must_use]
    pub fn template(&self) -> Option<Template> {
        self.blocks.iter().find_map(|block| block.template())
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
        match pair(read(base, 2).await) {
            Ok(found) if found == MARKER => return walk(base, read).await.map(Some),
            Ok(_) => {}
            Err(error) if no_such_place(&error) => {}
            // Some devices do not answer for registers that they lack.
            Err(error @ DeviceError::Silent { .. }) => silence = Some(error),
            Err(error) => return Err(error),
        }
    }
    silence.map_or(Ok(None), Err)
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

/// Where a point stands, counted from the model's number, and where its scale factor does.
type Point = (u16, Option<u16>);

/// How the points of a family of models lie.
struct Family {
    /// How many registers the points take up to the last one that we read.
    length: u16,
    kind: &'static str,
    energy: &'static str,
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
            inverter: false,
            current: plain(4),
            voltage: plain(12),
            power: plain(28),
            frequency: plain(26),
            export: plain(60),
            import: Some(plain(68)),
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
        let turned = if family.inverter { "invert = true\n" } else { "" };
        let limits = "min = 0\nmax = 500\n";
        let points = [
            ("current", Some(family.current), family.kind, "A", ""),
            ("voltage", Some(family.voltage), family.kind, "V", limits),
            ("power", Some(family.power), signed, "W", turned),
            ("frequency", Some(family.frequency), family.kind, "Hz", ""),
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
}

#[cfg(test)]
mod tests;
