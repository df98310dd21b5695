//! `[location]`, `[[radio]]`, `[[anchor]]`, and what a `[[meter]]` says of its place and its beacon.

use super::fields::{DAY, duration};
use super::{Place as Site, Reader, Table};
use crate::beacon;
use crate::config::{Anchor, Broker, Location, Meter, Radio, RadioKind};
use actors::{Beacon, MeterPlace, Trick};
use contracts::location::Secret;
use contracts::{B256, keccak256};
use domain::place::{HoldRule, Place, RadioModel};
use domain::{BusId, MeterId, Permille};
use drivers::document::did_you_mean;
use solvers::locate::{LARGEST, Limits, MOST, PathLoss, failures, sharp};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The year that a rate of false holds is meant for.
const YEAR: Duration = Duration::from_secs(31_557_600);
/// What an itinerary through a simulated air without walls gives: its own loss over the first metre and exponent, its
/// shadowing, and what fading leaves of it in a dozen samples.
const SIMULATED: RadioModel = RadioModel { at_one_metre: -4_005, exponent: 2_400, spread: 220 };

fn whole(value: f64) -> i64 {
    #[allow(clippy::cast_possible_truncation, reason = "a cast of a float saturates, and it was looked at before")]
    let whole = value.round() as i64;
    whole
}

fn millimetres((east, north): (f64, f64)) -> Place {
    Place { x: whole(east * 1000.0), y: whole(north * 1000.0) }
}

/// Metres as they are written.
fn required(table: &Table<'_, '_>, key: &'static str) -> Option<Place> {
    if table.get(key).is_none() {
        table.problem(key, "is missing");
    }
    beacon::position(table, key).map(millimetres)
}

fn share(table: &Table<'_, '_>, key: &'static str, usual: &str, most: u16) -> Option<f64> {
    match table.text(key).as_deref().unwrap_or(usual).parse::<Permille>() {
        Ok(share) if (1..=most).contains(&share.get()) => Some(f64::from(share.get()) / 1000.0),
        Ok(_) => {
            table.problem(key, format!("must be from 0.1% to {}%", most / 10));
            None
        }
        Err(problem) => {
            table.problem(key, problem);
            None
        }
    }
}

fn thousandths(value: f64) -> i32 {
    i32::try_from(whole(value)).unwrap_or(i32::MAX)
}

fn rounded(model: &PathLoss) -> RadioModel {
    RadioModel {
        at_one_metre: thousandths(model.rssi(1.0) * 100.0),
        exponent: thousandths(model.exponent * 1000.0),
        // A spread of nothing would tolerate nothing.
        spread: thousandths(model.spread * 100.0).max(10),
    }
}

impl Reader<'_> {
    pub(super) fn location(
        &self,
        root: &Table<'_, '_>,
        broker: Option<&Broker>,
        site: Site<'_>,
        meters: &[Meter],
    ) -> Option<Location> {
        let table = root.section("location");
        let radios = self.radios(root, broker, site);
        let anchors = anchors(root, &radios);
        let Some(table) = table else {
            for (key, there) in [("radio", root.get("radio").is_some()), ("anchor", root.get("anchor").is_some())] {
                if there {
                    root.problem(key, "needs a [location] section, which may be empty");
                }
            }
            for meter in root.sections("meter") {
                for key in ["position", "beacon"] {
                    if meter.get(key).is_some() {
                        meter.problem(key, "needs a [location] section, which may be empty");
                    }
                }
            }
            return None;
        };
        let epoch = duration(&table, "epoch", "1h", Duration::from_secs(1)..=DAY);
        let false_rejections = share(&table, "false_rejections", "0.1%", 200);
        let false_holds = share(&table, "false_holds", "1%", 500);
        let window: u32 = table.number("window", 1..65).unwrap_or(8);
        let reach: u32 = table.number("reach", 1..1001).unwrap_or(18);
        let samples = table.number("samples", 1..201).unwrap_or(5);
        let hold = table.flag("hold").unwrap_or(false);
        let least = epoch.zip(false_rejections).zip(false_holds).and_then(|((epoch, rejected), held)| {
            let proofs = YEAR.as_secs_f64() / epoch.as_secs_f64();
            let least = failures(window, rejected, proofs, held);
            if least.is_none() {
                table.problem(
                    "window",
                    format!("is too short: {window} failed proofs in a row would happen to honest meters more often than false_holds allows"),
                );
            }
            least
        });
        table.close();
        let settings = (false_rejections?, f64::from(reach));
        let (places, tricks) = self.places(root, meters, &anchors, &radios, settings);
        Some(Location {
            epoch: epoch?,
            false_rejections: settings.0,
            rule: HoldRule { failures: least?, window },
            hold,
            reach: settings.1,
            samples,
            radios,
            anchors,
            places,
            tricks,
        })
    }

    fn radios(&self, root: &Table<'_, '_>, broker: Option<&Broker>, site: Site<'_>) -> Vec<Radio> {
        let (mut radios, mut seen, mut ports) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
        for table in root.sections("radio") {
            let id = super::parsed::<BusId>(&table, "id", true).map(|id| id.to_string());
            if let Some(id) = id.as_ref().filter(|id| !seen.insert((*id).clone())) {
                table.problem("id", format!("is {id}, and so is another radio"));
            }
            let kind = table.required_choice("kind", &[("espresense", 0), ("bridge", 1), ("simulated", 2)]);
            let kind = match kind {
                Some(0) => {
                    let name = id.as_deref().unwrap_or("radio");
                    let client_id = format!("microgrid-gateway-{}-radio-{name}", site.site);
                    self.mqtt(&table, client_id, broker).map(RadioKind::Espresense)
                }
                Some(1) => table.required_text("port").map(|port| {
                    let port = self.base.join(port);
                    if !ports.insert(port.clone()) {
                        table.problem("port", "is another radio's already: one port has one owner");
                    }
                    RadioKind::Bridge(port)
                }),
                Some(_) => Some(RadioKind::Simulated),
                None => {
                    // Which keys belong here follows from the kind, so none of them is called unknown.
                    for key in ["broker", "users_file", "port"] {
                        table.get(key);
                    }
                    None
                }
            };
            table.close();
            if let (Some(id), Some(kind)) = (id, kind) {
                radios.push(Radio { id, kind });
            }
        }
        radios
    }

    /// Where meters say that they are.
    fn places(
        &self,
        root: &Table<'_, '_>,
        meters: &[Meter],
        anchors: &[Anchor],
        radios: &[Radio],
        (rejected, reach): (f64, f64),
    ) -> (Vec<MeterPlace>, Vec<(MeterId, Trick)>) {
        let (mut places, mut tricks, mut codes) = (Vec::new(), Vec::new(), BTreeSet::new());
        let simulated = !radios.is_empty() && radios.iter().all(|r| matches!(r.kind, RadioKind::Simulated));
        for table in root.sections("meter") {
            // A meter that is wrong otherwise was complained about already.
            let name = table.get("id").and_then(|v| v.get_ref().as_str());
            let Some(meter) = meters.iter().find(|m| Some(m.id.as_str()) == name) else { continue };
            if table.get("position").is_none() {
                if table.get("beacon").is_some() {
                    table.problem("position", "is missing: where should this beacon be?");
                }
                continue;
            }
            let place = beacon::position(&table, "position").map(millimetres);
            let beacon = table.section("beacon");
            if beacon.is_none() && table.get("beacon").is_none() && !simulated {
                table.problem("beacon", "is missing: by what is it heard, and how loud?");
            }
            let known = match &beacon {
                Some(beacon) => self.known_by(beacon, &meter.id, simulated),
                None => simulated.then(|| made_up(&meter.id)),
            };
            let model = match &beacon {
                Some(b) if !simulated || ["at_one_metre", "itinerary"].iter().any(|k| b.get(k).is_some()) => {
                    beacon::model(b, self.base).map(|model| rounded(&model))
                }
                _ => simulated.then_some(SIMULATED),
            };
            if let Some(beacon) = beacon {
                tricks.extend(trick(&beacon, simulated).map(|trick| (meter.id.clone(), trick)));
                beacon.close();
            }
            if let Some(beacon) = &known
                && !codes.insert(beacon.code(B256::ZERO))
            {
                table.problem("beacon", "has the sender or the secret of another meter's");
            }
            if let (Some(place), Some(beacon), Some(model)) = (place, known, model) {
                if !tells(place, anchors, &model, (rejected, reach)) {
                    table.problem(
                        "position",
                        format!(
                            "cannot be proved: the {} anchors stand so that a meter {reach} m away could pass for this one; \
                             add some around it, or allow a longer reach in [location]",
                            anchors.len()
                        ),
                    );
                }
                places.push(MeterPlace { id: meter.id.clone(), place, beacon, model });
            }
        }
        (places, tricks)
    }

    fn known_by(&self, table: &Table<'_, '_>, meter: &MeterId, simulated: bool) -> Option<Beacon> {
        match (table.text("sender"), table.text("secret")) {
            (Some(sender), None) => Some(Beacon::Fixed(sender)),
            (None, Some(file)) => {
                let secret = beacon::secret(&self.base.join(file)).map_err(|what| table.problem("secret", what));
                secret.ok().map(Beacon::Secret)
            }
            (Some(_), Some(_)) => {
                table.problem("secret", "and `sender` exclude each other");
                None
            }
            (None, None) if table.get("sender").is_some() || table.get("secret").is_some() => None,
            (None, None) if simulated => Some(made_up(meter)),
            (None, None) => {
                table.problem("secret", "is missing, and so is `sender`");
                None
            }
        }
    }
}

/// A simulated beacon needs no secret that is one.
fn made_up(meter: &MeterId) -> Beacon {
    Beacon::Secret(Secret::new(keccak256(format!("simulated beacon {meter}")).0))
}

fn trick(table: &Table<'_, '_>, simulated: bool) -> Option<Trick> {
    let moved = beacon::position(table, "simulated_position").map(millimetres);
    let replayed = table.flag("simulated_replay").unwrap_or(false);
    if (moved.is_some() || replayed) && !simulated {
        let key = if moved.is_some() { "simulated_position" } else { "simulated_replay" };
        table.problem(key, "is for simulated radios: nothing can be made wrong about a real beacon");
    }
    match (moved, replayed) {
        (Some(place), _) => Some(Trick::Moved(place)),
        (None, true) => Some(Trick::Replayed),
        (None, false) => None,
    }
}

/// Whether the nearest anchors could tell this place from others. Fewer than three are complained about elsewhere.
fn tells(place: Place, anchors: &[Anchor], model: &RadioModel, (rejected, reach): (f64, f64)) -> bool {
    let mut near: Vec<Place> = anchors.iter().map(|a| a.place).collect();
    near.retain(|a| (a.x - place.x).abs() <= LARGEST && (a.y - place.y).abs() <= LARGEST);
    near.sort_by_key(|a| a.apart(place));
    near.truncate(MOST);
    let stand: Vec<(i64, i64)> = near.iter().map(|a| (a.x, a.y)).collect();
    let path = PathLoss {
        sent: 0.0,
        first_metre: 0.0,
        exponent: f64::from(model.exponent) / 1000.0,
        spread: f64::from(model.spread) / 100.0,
    };
    let limits = Limits::by_covariance(path.relative(), rejected, reach);
    anchors.len() < 3 || sharp(place.x, place.y, &stand, &limits).unwrap_or(false)
}

fn anchors(root: &Table<'_, '_>, radios: &[Radio]) -> Vec<Anchor> {
    let (mut anchors, mut ids): (Vec<Anchor>, BTreeSet<String>) = (Vec::new(), BTreeSet::new());
    let mut nodes: BTreeMap<(String, String), String> = BTreeMap::new();
    let tables = root.sections("anchor");
    let many = tables.len();
    for table in tables {
        let id = super::parsed::<BusId>(&table, "id", true).map(|id| id.to_string());
        if let Some(id) = id.as_ref().filter(|id| !ids.insert((*id).clone())) {
            table.problem("id", format!("is {id}, and so is another anchor"));
        }
        let node = table.text("node");
        let name = table.required_text("radio");
        let radio = name.as_ref().and_then(|name| {
            let found = radios.iter().find(|r| r.id == *name);
            // A radio that is there and wrong was complained about already.
            if found.is_none() && !super::devices::named(root, "radio").any(|id| id == name) {
                let hint = did_you_mean(name, radios.iter().map(|r| r.id.as_str()));
                table.problem("radio", format!("is {name:?}, but there is no such [[radio]]{hint}"));
            }
            found
        });
        if let (Some(_), Some(Radio { kind: RadioKind::Bridge(_) | RadioKind::Simulated, .. })) = (&node, radio) {
            table.problem("node", "is for radios of the kind espresense");
        }
        let place = required(&table, "position");
        let named = if node.is_some() { "node" } else { "radio" };
        let node = node.or_else(|| id.clone());
        if let (Some(radio), Some(node), Some(id)) = (radio, &node, &id) {
            // A bridge listens at one place.
            let one = if matches!(radio.kind, RadioKind::Bridge(_)) { String::new() } else { node.clone() };
            if let Some(other) = nodes.insert((radio.id.clone(), one), id.clone()) {
                table.problem(
                    named,
                    format!("is heard by anchor {other} in the same way: each has its own bridge or node"),
                );
            }
            if node.contains(['/', '+', '#']) {
                table.problem("node", format!("is {node:?}, must be a level of a topic: no '/', '+' or '#'"));
            }
        }
        table.close();
        if let (Some(id), Some(radio), Some(node), Some(place)) = (id, radio, node, place) {
            anchors.push(Anchor { id, radio: radio.id.clone(), node, place });
        }
    }
    if many < 3 && root.get("location").is_some() {
        let key = if root.get("anchor").is_some() { "anchor" } else { "location" };
        root.problem(key, format!("{many} anchors are too few: a place needs three [[anchor]] tables at least"));
    }
    anchors
}
