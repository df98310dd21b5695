//! A street as its owner knows it: a source, cables by the kilometre, homes and inverters by the kilowatt. Read as three
//! balanced phases: what is in here of one phase is not seen.

use super::named;
use domain::network::{Branch, Bus, BusKind, Cost, Draft, Generator, Network, Placed, Problem};
use drivers::document::{self, Notes, Section, did_you_mean};
use toml::Spanned;
use toml::de::DeTable;

/// Base of the per-unit system.
const BASE_MVA: f64 = 0.1;

type Read = Result<(Network, Vec<Problem>), Vec<document::Problem>>;

/// Reads a street.
pub fn read(file: &str, text: &str) -> Read {
    let notes = Notes::new(file, text);
    match DeTable::parse(text) {
        Err(error) => notes.add(&error.span().unwrap_or(0..0), "", error.message().to_owned()),
        Ok(table) => {
            let root = Section::root(&notes, table.get_ref(), 0..text.len().min(1));
            let street = Street { text, root: &root, names: Vec::new(), first: Vec::new() };
            let draft = street.draft();
            root.close();
            if notes.count() == 0
                && let Some(draft) = draft
            {
                return draft.check().map_err(|problems| named(file, problems));
            }
        }
    }
    Err(notes.finish())
}

struct Cable {
    name: String,
    r: f64,
    x: f64,
    b: f64,
    amps: Option<f64>,
}

struct Street<'s, 'a, 't> {
    text: &'s str,
    root: &'s Section<'a, 't>,
    /// Names of the buses, the source's first, and where each stands first.
    names: Vec<String>,
    first: Vec<usize>,
}

impl Street<'_, '_, '_> {
    fn line(&self, section: &Section<'_, '_>) -> usize {
        self.text.get(..section.span.start).unwrap_or_default().matches('\n').count() + 1
    }

    /// The number of a bus, from 1; a new one if it may be.
    fn bus(&mut self, section: &Section<'_, '_>, key: &'static str, may_be_new: bool) -> Option<u32> {
        let name = section.required_text(key)?;
        let at = self.names.iter().position(|n| *n == name);
        if at.is_none() && !may_be_new {
            let hint = did_you_mean(&name, self.names.iter().map(String::as_str));
            section.problem(key, format!("is {name:?}, where no [[line]] leads{hint}"));
            return None;
        }
        let at = at.unwrap_or_else(|| {
            self.first.push(self.line(section));
            self.names.push(name);
            self.names.len() - 1
        });
        u32::try_from(at + 1).ok()
    }

    fn draft(mut self) -> Option<Draft> {
        let root = self.root;
        let name = root.text("name").unwrap_or_default();
        let kv = above_zero(root, "volts", Some(400.0)).unwrap_or(400.0) / 1e3;
        let (low, high) = (above_zero(root, "vmin_pu", Some(0.9)), above_zero(root, "vmax_pu", Some(1.1)));
        let cables = self.cables();
        let mut draft = Draft { name, base_mva: BASE_MVA, base_line: 1, ..Draft::default() };
        match root.section("source") {
            Some(source) => {
                self.bus(&source, "bus", true);
                draft.generators.extend(self.source(&source));
            }
            None if root.get("source").is_some() => {}
            None => root.problem("source", "is missing: add [source] with the bus where the street is fed"),
        }
        for section in root.sections("line") {
            draft.branches.extend(self.cable_run(&section, kv, &cables));
        }
        self.reached(&draft);
        let mut taken = vec![(0.0, 0.0); self.names.len()];
        for home in root.sections("home") {
            let _ = home.text("name");
            let bus = self.bus(&home, "bus", false);
            let (kw, kvar) = (required(&home, "kw"), home.float("kvar"));
            home.close();
            if let (Some(bus), Some(kw)) = (bus, kw) {
                let sum = &mut taken[bus as usize - 1];
                *sum = (sum.0 + kw, sum.1 + kvar.unwrap_or(0.0));
            }
        }
        for section in root.sections("inverter") {
            draft.generators.extend(self.inverter(&section));
        }
        let named = self.names.iter().zip(&self.first).zip(&taken).zip(1..);
        draft.buses = named
            .map(|(((name, line), (kw, kvar)), number)| {
                let what = Bus {
                    number,
                    name: Some(name.clone()),
                    kind: if number == 1 { BusKind::Reference } else { BusKind::Load },
                    demand_mw: kw / 1e3,
                    demand_mvar: kvar / 1e3,
                    shunt_mw: 0.0,
                    shunt_mvar: 0.0,
                    vm_pu: 1.0,
                    va_deg: 0.0,
                    base_kv: kv,
                    vmin_pu: low.unwrap_or(0.9),
                    vmax_pu: high.unwrap_or(1.1),
                    area: 1.0,
                };
                Placed { line: *line, what }
            })
            .collect();
        Some(draft)
    }

    fn cables(&self) -> Vec<Cable> {
        let mut cables: Vec<Cable> = Vec::new();
        for section in self.root.sections("cable") {
            let name = section.required_text("name");
            let r = not_negative(&section, "r_ohm_per_km", None);
            let x = not_negative(&section, "x_ohm_per_km", None);
            let b = not_negative(&section, "b_us_per_km", Some(0.0));
            let amps = section.get("amps").and_then(|_| above_zero(&section, "amps", None));
            section.close();
            if let (Some(name), Some(r), Some(x), Some(b)) = (name, r, x, b) {
                if cables.iter().any(|c| c.name == name) {
                    section.problem("name", format!("{name:?} is another cable's: give each its own"));
                }
                if r == 0.0 && x == 0.0 {
                    section.problem("r_ohm_per_km", "and x_ohm_per_km are both 0: a cable has one of them");
                }
                cables.push(Cable { name, r, x, b, amps });
            }
        }
        cables
    }

    fn source(&self, section: &Section<'_, '_>) -> Option<Placed<Generator<u32>>> {
        let volts = above_zero(section, "volts_pu", Some(1.0));
        let price = required(section, "price");
        let export = section.float("export_price").unwrap_or(0.0);
        let kva = above_zero(section, "kva", Some(1e4));
        section.close();
        let (volts, price, kva) = (volts?, price?, kva?);
        if export > price {
            section
                .problem("export_price", format!("{export} is above price {price}: energy would be bought to be sold"));
            return None;
        }
        let (mw, per_mwh) = (kva / 1e3, 1e3);
        let cost = if export == price {
            Cost::Polynomial(vec![0.0, price * per_mwh])
        } else {
            Cost::Piecewise(vec![(-mw, -mw * export * per_mwh), (0.0, 0.0), (mw, mw * price * per_mwh)])
        };
        let limits = (-mw, mw);
        Some(Placed { line: self.line(section), what: generator(1, volts, limits, mw, cost) })
    }

    fn inverter(&mut self, section: &Section<'_, '_>) -> Option<Placed<Generator<u32>>> {
        let _ = section.text("name");
        let bus = self.bus(section, "bus", false);
        let kw = not_negative(section, "kw", None);
        let kvar = not_negative(section, "kvar", Some(0.0));
        let price = section.float("price").unwrap_or(0.0);
        section.close();
        let (bus, kw, kvar) = (bus?, kw?, kvar?);
        let cost = Cost::Polynomial(vec![0.0, price * 1e3]);
        let mut what = generator(bus, 1.0, (0.0, kw / 1e3), kvar / 1e3, cost);
        what.p_mw = kw / 1e3;
        Some(Placed { line: self.line(section), what })
    }

    fn cable_run(&mut self, section: &Section<'_, '_>, kv: f64, cables: &[Cable]) -> Option<Placed<Branch<u32>>> {
        let (from, to) = (self.bus(section, "from", true), self.bus(section, "to", true));
        let name = section.required_text("cable");
        let km = above_zero(section, "metres", None).map(|m| m / 1e3);
        let parallel = above_zero(section, "parallel", Some(1.0));
        let closed = section.flag("closed").unwrap_or(true);
        section.close();
        let (from, to, name, km, parallel) = (from?, to?, name?, km?, parallel?);
        let Some(cable) = cables.iter().find(|c| c.name == name) else {
            let hint = did_you_mean(&name, cables.iter().map(|c| c.name.as_str()));
            section.problem("cable", format!("is {name:?}, which no [[cable]] describes{hint}"));
            return None;
        };
        if from == to {
            section.problem("to", "is where the line begins: a line joins two buses");
            return None;
        }
        let ohms = kv * kv / BASE_MVA;
        let what = Branch {
            from,
            to,
            r_pu: cable.r * km / parallel / ohms,
            x_pu: cable.x * km / parallel / ohms,
            b_pu: cable.b * 1e-6 * km * parallel * ohms,
            rate_mva: cable.amps.map(|amps| 3.0_f64.sqrt() * kv * amps * parallel / 1e3),
            tap: 1.0,
            shift_deg: 0.0,
            in_service: closed,
            angle_min_deg: None,
            angle_max_deg: None,
        };
        Some(Placed { line: self.line(section), what })
    }

    /// Notes the buses that no closed line connects with the source.
    fn reached(&self, draft: &Draft) {
        let mut reached = vec![false; self.names.len()];
        if let Some(source) = reached.first_mut() {
            *source = true;
        }
        let ends = |b: &Branch<u32>| (b.from as usize - 1, b.to as usize - 1);
        let closed: Vec<_> = draft.branches.iter().filter(|b| b.what.in_service).map(|b| ends(&b.what)).collect();
        for _ in 0..self.names.len() {
            for (a, b) in &closed {
                (reached[*a], reached[*b]) = (reached[*a] || reached[*b], reached[*a] || reached[*b]);
            }
        }
        let lost: Vec<&str> =
            self.names.iter().zip(&reached).filter(|(_, reached)| !**reached).map(|(name, _)| name.as_str()).collect();
        if !lost.is_empty() && draft.branches.len() == self.root.sections("line").len() {
            self.root
                .problem("line", format!("leaves {} without a way to the source: add or close one", lost.join(", ")));
        }
    }
}

fn generator(bus: u32, volts: f64, p: (f64, f64), q: f64, cost: Cost) -> Generator<u32> {
    Generator {
        bus,
        p_mw: 0.0,
        q_mvar: 0.0,
        p_min_mw: p.0,
        p_max_mw: p.1,
        q_min_mvar: -q,
        q_max_mvar: q,
        v_pu: volts,
        in_service: true,
        cost,
        reactive_cost: None,
    }
}

fn required(section: &Section<'_, '_>, key: &'static str) -> Option<f64> {
    let found: Option<&Spanned<_>> = section.get(key);
    if found.is_none() {
        section.problem(key, "is missing");
    }
    section.float(key)
}

fn not_negative(section: &Section<'_, '_>, key: &'static str, or: Option<f64>) -> Option<f64> {
    bounded(section, key, or, |v| v >= 0.0, "must not be negative")
}

fn above_zero(section: &Section<'_, '_>, key: &'static str, or: Option<f64>) -> Option<f64> {
    bounded(section, key, or, |v| v > 0.0, "must be above 0")
}

fn bounded(
    section: &Section<'_, '_>,
    key: &'static str,
    or: Option<f64>,
    fits: fn(f64) -> bool,
    what: &str,
) -> Option<f64> {
    if let (None, Some(or)) = (section.get(key), or) {
        return Some(or);
    }
    let value = required(section, key)?;
    if !fits(value) {
        section.problem(key, what);
    }
    fits(value).then_some(value)
}

#[cfg(test)]
mod tests;
