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
    let clock = crate::clock::real();
    let id: BusId = "scanned".parse().map_err(|e| Failure::new(Code::Internal, e))?;
    let mut any = false;
    for (kind, block) in ways(place, options) {
        let spec = BusSpec::new(id.clone(), kind);
        let bus = Bus::open(spec, clock.clone()).map_err(|e| Failure::new(Code::Usage, e))?;
        let label = block.label.clone();
        let found = block_on(async {
            bus.try_connect().await.map_err(|e| Failure::new(Code::Unavailable, format!("{place}: {e}")))?;
            let units = u32::from(options.units.1 - options.units.0) + 1;
            // Two silent questions a unit, if nobody is there.
            let about = (options.timeout * 2 * units).as_secs() + 1;
            eprintln!(
                "{label}: asking units {} to {}, about {about} s if few answer",
                options.units.0, options.units.1
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
        if !found.is_empty() {
            any = true;
            print(&describe(&block, &found))?;
        }
    }
    if any { Ok(()) } else { Err(Failure::new(Code::Found, format!("nobody answers on {place}"))) }
}

/// How a bus was reached, in the words of the configuration.
struct Block {
    label: String,
    toml: String,
}

/// Every way in which the place may be spoken to.
fn ways(place: &str, options: &Scan) -> Vec<(BusKind, Block)> {
    let timeout = options.timeout;
    if !place.starts_with('/') && place.contains(':') {
        let block = Block {
            label: place.to_owned(),
            toml: format!("[[bus]]\nid = \"lan0\"\nkind = \"modbus-tcp\"\naddress = {place:?}\n"),
        };
        return vec![(BusKind::ModbusTcp { address: place.to_owned(), timeout }, block)];
    }
    let mut ways = Vec::new();
    for baud in &options.baud {
        for (name, parity) in [("none", Parity::None), ("even", Parity::Even), ("odd", Parity::Odd)] {
            if !options.parity.iter().any(|p| p == name) {
                continue;
            }
            let port = PathBuf::from(place);
            let block = Block {
                label: format!("{place} at {baud} baud, parity {name}"),
                toml: format!(
                    "[[bus]]\nid = \"rtu0\"\nkind = \"modbus-rtu\"\nport = {place:?}\nbaud = {baud}\nparity = {name:?}\n"
                ),
            };
            ways.push((BusKind::ModbusRtu { port, baud: *baud, parity, stop_bits: 1, timeout }, block));
        }
    }
    ways
}

/// What was found, as a block to paste. What is uncertain is a comment.
fn describe(block: &Block, found: &[Found]) -> String {
    let bus = if block.toml.contains("modbus-tcp") { "lan0" } else { "rtu0" };
    let mut text = format!("# {}: {} found\n{}", block.label, found.len(), block.toml);
    for f in found {
        if let Some((chain, who)) = &f.sunspec {
            let models: Vec<String> = chain.blocks.iter().map(|block| block.model.to_string()).collect();
            let who = who.as_ref().map_or_else(|| "a SunSpec device without a name".to_owned(), ToString::to_string);
            text += &format!("\n# unit {} is {who}; SunSpec models {} from {}", f.unit, models.join(", "), chain.base);
        }
        let best = f.models.first().map_or(0, |m| m.score);
        let likely: Vec<&str> = f.models.iter().filter(|m| m.score == best).map(|m| m.model.as_str()).collect();
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

fn progress(line: &str) {
    let mut err = std::io::stderr().lock();
    if err.is_terminal() {
        // Back to the start of the line, and clear what is left of the one before.
        let _ = write!(err, "\r\x1b[K{line}");
        let _ = err.flush();
    }
}

/// Serial ports by the names that survive re-plugging, where there are any.
fn list_ports() -> Result<(), Failure> {
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
