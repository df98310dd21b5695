//! `scan`: who is on a bus, and what to write into the configuration for it.

use crate::cli::Scan;
use crate::failure::{Code, Failure};
use crate::verbs::{block_on, print};
use domain::BusId;
use drivers::scan::{Found, Progress, scan};
use drivers::{Bus, BusKind, BusSpec, Library, Parity};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

/// `scan`
pub fn run(options: &Scan) -> Result<(), Failure> {
    let Some(place) = &options.place else { return list_ports() };
    let mut any = false;
    for way in ways(place, options) {
        let found = look(&way, options)?;
        if !found.is_empty() {
            any = true;
            let bus = if way.toml.contains("modbus-tcp") { "lan0" } else { "rtu0" };
            print(&describe(&way, bus, &found))?;
        }
    }
    if any { Ok(()) } else { Err(Failure::new(Code::Found, format!("nobody answers on {place}"))) }
}

/// Who answers in this way.
pub fn look(way: &Way, options: &Scan) -> Result<Vec<Found>, Failure> {
    let id: BusId = "scanned".parse().map_err(|e| Failure::new(Code::Internal, e))?;
    let spec = BusSpec::new(id, way.kind.clone());
    let bus = Bus::open(spec, crate::clock::real()).map_err(|e| Failure::new(Code::Usage, e))?;
    let found = block_on(async {
        bus.try_connect().await.map_err(|e| Failure::new(Code::Unavailable, format!("{}: {e}", way.label)))?;
        let units = u32::from(options.units.1 - options.units.0) + 1;
        // Two silent questions a unit, if nobody is there.
        let about = (options.timeout * 2 * units).as_secs() + 1;
        eprintln!(
            "{}: asking units {} to {}, about {about} s if few answer",
            way.label, options.units.0, options.units.1
        );
        let tell = |how: Progress<'_>| match how {
            Progress::Asking(unit) => progress(&format!("unit {unit}")),
            Progress::Found(found) => {
                progress("");
                let model = found.models.first().map_or("no model that is known", |m| m.model.as_str());
                eprintln!("unit {} answers: {model}", found.unit);
            }
        };
        Ok::<_, Failure>(scan(&bus, options.units.0..=options.units.1, &Library::builtin(), tell).await)
    })?;
    progress("");
    Ok(found)
}

/// How a bus may be spoken to.
pub struct Way {
    kind: BusKind,
    /// For people.
    pub label: String,
    /// In the words of the configuration: the lines of a `[[bus]]` after its `id`.
    pub toml: String,
}

/// Every way in which the place may be spoken to.
pub fn ways(place: &str, options: &Scan) -> Vec<Way> {
    let timeout = options.timeout;
    if !place.starts_with('/') && place.contains(':') {
        return vec![Way {
            kind: BusKind::ModbusTcp { address: place.to_owned(), timeout },
            label: place.to_owned(),
            toml: format!("kind = \"modbus-tcp\"\naddress = {place:?}\n"),
        }];
    }
    let mut ways = Vec::new();
    for baud in &options.baud {
        for (name, parity) in [("none", Parity::None), ("even", Parity::Even), ("odd", Parity::Odd)] {
            if !options.parity.iter().any(|p| p == name) {
                continue;
            }
            let port = PathBuf::from(place);
            ways.push(Way {
                kind: BusKind::ModbusRtu { port, baud: *baud, parity, stop_bits: 1, timeout },
                label: format!("{place} at {baud} baud, parity {name}"),
                toml: format!("kind = \"modbus-rtu\"\nport = {place:?}\nbaud = {baud}\nparity = {name:?}\n"),
            });
        }
    }
    ways
}

/// What was found, as a block to paste. What is uncertain is a comment.
fn describe(way: &Way, bus: &str, found: &[Found]) -> String {
    let mut text = format!("# {}: {} found\n[[bus]]\nid = \"{bus}\"\n{}", way.label, found.len(), way.toml);
    for f in found {
        if let Some((chain, who)) = &f.sunspec {
            let models: Vec<String> = chain.blocks.iter().map(|block| block.model.to_string()).collect();
            let who = who.as_ref().map_or_else(|| "a SunSpec device without a name".to_owned(), ToString::to_string);
            text += &format!("\n# unit {} is {who}; SunSpec models {} from {}", f.unit, models.join(", "), chain.base);
        }
        let likely = likely(f);
        text += &format!("\n[[meter]]\nid = \"{bus}-{}\"\nbus = \"{bus}\"\nunit = {}\n", f.unit, f.unit);
        match (likely.as_slice(), f.models.first()) {
            ([], _) | (_, None) => {
                text += "# model = \"…\"   # it answers, but no model that is known makes sense of it\n";
            }
            ([first, others @ ..], Some(shown)) => {
                text += &format!("model = \"{first}\"");
                if !others.is_empty() {
                    text += &format!("   # or {}, which have the same registers here", others.join(", "));
                }
                let said = serde_json::to_string(&shown.reading).unwrap_or_default();
                text += &format!("\n# it said: {said}\n");
            }
        }
        text += "# account = \"…\"\n";
    }
    text
}

/// The models that make as much sense of it as any.
pub fn likely(found: &Found) -> Vec<&str> {
    let best = found.models.first().map_or(0, |m| m.score);
    found.models.iter().filter(|m| m.score == best).map(|m| m.model.as_str()).collect()
}

fn progress(line: &str) {
    let mut err = std::io::stderr().lock();
    if err.is_terminal() {
        // Back to the start of the line, and clear what is left of the one before.
        let _ = write!(err, "\r\x1b[K{line}");
        let _ = err.flush();
    }
}

/// Serial ports by the names that survive re-plugging, where there are any.
pub fn ports() -> Vec<PathBuf> {
    let entries = |folder: &str| -> Vec<PathBuf> {
        let found = std::fs::read_dir(folder).map(|d| d.filter_map(|e| Some(e.ok()?.path())).collect());
        found.unwrap_or_default()
    };
    let by_id = entries("/dev/serial/by-id");
    let targets: Vec<PathBuf> = by_id.iter().filter_map(|p| p.canonicalize().ok()).collect();
    let serial = |p: &PathBuf| {
        let name = p.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        ["ttyUSB", "ttyACM", "ttyAMA"].iter().any(|kind| name.starts_with(kind)) && !targets.contains(p)
    };
    let mut ports = by_id;
    ports.extend(entries("/dev").into_iter().filter(serial));
    ports.sort();
    ports
}

fn list_ports() -> Result<(), Failure> {
    let ports = ports();
    if ports.is_empty() {
        return Err(Failure::new(
            Code::Found,
            "no serial port found (/dev/serial/by-id, ttyUSB, ttyACM, ttyAMA); name a port, or host:port for Modbus TCP",
        ));
    }
    let names: Vec<String> = ports.iter().map(|p: &PathBuf| show(p)).collect();
    print(&format!("{}\nscan one of them: microgrid-gateway scan {}\n", names.join("\n"), names[0]))
}

fn show(path: &Path) -> String {
    path.display().to_string()
}
