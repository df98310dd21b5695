//! What a device turned out to answer: the model's requests, cut into smaller ones where it refuses.
//!
//! A refused request is halved at its widest gap, since what devices refuse is mostly a register between two that they
//! have. What is refused even alone is not asked again for [`REMEMBERED`].

use crate::template::{RegisterField, Request as Plan};
use std::time::Duration;
use tokio::time::Instant;

/// A device may refuse while it starts, or get new firmware: so long is a refusal believed.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// What is known about one device.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    plan: Vec<Plan>,
    refused: Vec<Plan>,
    since: Instant,
}

/// One reading's way through the plan.
#[derive(Clone, Debug)]
pub(crate) struct Work {
    answered: Vec<Plan>,
    refused: Vec<Plan>,
    /// Still to be asked, the next one last.
    left: Vec<Plan>,
}

impl Known {
    /// A device that nothing is known about.
    pub fn new(requests: &[Plan], now: Instant) -> Self {
        Self { plan: requests.to_vec(), refused: Vec::new(), since: now }
    }

    /// What to ask in one reading.
    pub fn begin(&mut self, requests: &[Plan], now: Instant) -> Work {
        if !self.refused.is_empty() && now.saturating_duration_since(self.since) >= REMEMBERED {
            *self = Self::new(requests, now);
        }
        // If everything was refused, one of it stands for all.
        let plan = if self.plan.is_empty() { self.refused.first() } else { None };
        let left: Vec<Plan> = self.plan.iter().chain(plan).rev().copied().collect();
        let refused = if self.plan.is_empty() { Vec::new() } else { self.refused.clone() };
        Work { answered: Vec::new(), refused, left }
    }

    /// Remembers how far `work` has come.
    pub fn learn(&mut self, work: &Work, now: Instant) {
        if self.is_a_trial() && work.left.is_empty() {
            return;
        }
        self.plan = work.answered.iter().chain(work.left.iter().rev()).copied().collect();
        self.refused.clone_from(&work.refused);
        self.since = now;
    }

    /// Whether everything was refused, so that the next reading only tries whether that still holds.
    pub fn is_a_trial(&self) -> bool {
        self.plan.is_empty()
    }

    /// What is not asked any more.
    pub fn refused(&self) -> &[Plan] {
        &self.refused
    }

    /// What a reading begins with.
    pub fn first(&self) -> Option<Plan> {
        self.plan.first().or(self.refused.first()).copied()
    }
}

impl Work {
    pub fn left(&self) -> usize {
        self.left.len()
    }

    pub fn next(&mut self) -> Option<Plan> {
        self.left.pop()
    }

    pub fn answered(&mut self, part: Plan) {
        self.answered.push(part);
    }

    /// It is left to be asked.
    pub fn unanswered(&mut self, part: Plan) {
        self.left.push(part);
    }

    pub fn refused(&mut self, part: Plan, fields: &[RegisterField]) {
        let pieces = split(part, fields);
        // A quantity that takes all of it, with others inside its gaps, cannot be had in any other way.
        let whole = fields.iter().any(|field| part.is_all_of(field));
        if pieces.is_empty() || whole {
            self.refused.push(part);
        }
        self.left.extend(pieces.into_iter().rev());
    }
}

/// Smaller requests for the fields of `part` that can be had by less; none if no field can.
fn split(part: Plan, fields: &[RegisterField]) -> Vec<Plan> {
    let smaller = |field: &&RegisterField| part.offset_of(field).is_some() && !part.is_all_of(field);
    let mut inside: Vec<&RegisterField> = fields.iter().filter(smaller).collect();
    inside.sort_by_key(|field| field.address);
    let end = |field: &RegisterField| field.address.saturating_add(field.kind.registers());
    // From the first of these to the end of the last, and nothing else.
    let around = |fields: &[&RegisterField]| {
        let address = fields.first()?.address;
        // Counted from the first register: the end of the address space itself is no address.
        let reach = |f: &&RegisterField| f.address.checked_sub(address)?.checked_add(f.kind.registers());
        let quantity = fields.iter().filter_map(reach).max()?;
        Some(Plan { table: part.table, address, quantity })
    };
    // The widest gap, and of several the one nearest to the middle.
    let middle = inside.len() / 2;
    let cut = (1..inside.len()).max_by_key(|at| {
        let gap = inside[*at].address.saturating_sub(end(inside[at - 1]));
        (gap, std::cmp::Reverse(at.abs_diff(middle)))
    });
    let halves: Option<Vec<Plan>> = match cut {
        Some(at) => [around(&inside[..at]), around(&inside[at..])].into_iter().collect(),
        None => around(&inside).map(|one| vec![one]),
    };
    // Where quantities lie in each other's gaps a half may be no smaller: then each is asked for by itself.
    let halves = halves.filter(|halves| halves.iter().all(|half| half.quantity < part.quantity));
    halves.unwrap_or_else(|| {
        let mut alone: Vec<Plan> = inside.iter().filter_map(|field| around(&[*field])).collect();
        alone.dedup();
        alone
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::{Protocol, Quantity, Table, Template};

    fn fields(places: &[u16]) -> Vec<RegisterField> {
        let head = "model = \"x\"\nvendor = \"v\"\nname = \"n\"\nsource = \"s\"\nprotocol = \"modbus\"\n";
        let names = ["import", "export", "power", "voltage", "current", "frequency"];
        let body = names.iter().zip(places).map(|(name, at)| {
            format!(
                "[{name}]\ntable = \"input\"\naddress = {at}\ntype = \"{}\"\n",
                if *name == "import" || *name == "export" { "u32" } else { "f32" }
            )
        });
        let text = head.to_owned() + &body.collect::<String>();
        match Template::parse("x.toml", &text).unwrap().protocol {
            Protocol::Modbus(map) => map.fields,
            Protocol::Mqtt(_) | Protocol::Telegram(_) | Protocol::Gpio(_) => unreachable!(),
        }
    }

    fn part(address: u16, quantity: u16) -> Plan {
        Plan { table: Table::Input, address, quantity }
    }

    #[test]
    fn the_last_register_of_all_is_not_cut_off() {
        let fields = fields(&[65_531, 65_534]);
        assert_eq!(split(part(65_531, 5), &fields), [part(65_531, 2), part(65_534, 2)]);
    }

    #[test]
    fn a_refused_block_is_cut_at_its_widest_gap() {
        let fields = fields(&[0, 2, 10, 12]);
        assert_eq!(split(part(0, 14), &fields), [part(0, 4), part(10, 4)]);
        assert_eq!(split(part(0, 4), &fields), [part(0, 2), part(2, 2)]);
        assert_eq!(split(part(0, 2), &fields), []);
        assert_eq!(split(part(10, 3), &fields), [part(10, 2)]);
    }

    /// The energies of this model share a scale register behind both, so that one lies in the other's gap.
    #[test]
    fn a_quantity_in_the_gap_of_another_is_still_read_when_that_one_is_refused() {
        let template = crate::Library::builtin().get("sunspec-meter-203").unwrap();
        let Protocol::Modbus(map) = &template.protocol else { panic!("no Modbus") };
        let places = |quantity| {
            let field = map.fields.iter().find(|field| field.quantity == quantity).unwrap();
            Plan { table: Table::Holding, address: field.address, quantity: field.kind.registers() }
        };
        let (import, export) = (places(Quantity::Import), places(Quantity::Export));
        let mut known = Known::new(&map.requests, Instant::now());
        let mut work = known.begin(&map.requests, Instant::now());
        let mut answered = Vec::new();
        while let Some(part) = work.next() {
            if part.quantity > import.quantity {
                work.refused(part, &map.fields);
            } else {
                work.answered(part);
                answered.push(part);
            }
        }
        assert!(export.quantity > import.quantity && work.refused.contains(&export), "{work:?}");
        assert!(answered.contains(&import), "{work:?}");
    }

    #[test]
    fn what_was_learned_is_kept_and_after_an_hour_tried_again() {
        let (fields, now) = (fields(&[0, 2, 4, 6]), Instant::now());
        let requests = [part(0, 8)];
        let mut known = Known::new(&requests, now);
        let mut asked = 0;
        let mut read = |known: &mut Known, at| {
            let mut work = known.begin(&requests, at);
            let mut count = 0;
            while let Some(next) = work.next() {
                count += 1;
                // The device lacks registers 4 and 5.
                if next.address < 6 && next.address + next.quantity > 4 {
                    work.refused(next, &fields);
                    known.learn(&work, at);
                } else {
                    work.answered(next);
                }
            }
            asked += count;
            count
        };
        assert_eq!(read(&mut known, now), 5);
        assert_eq!(known.refused(), [part(4, 2)]);
        assert_eq!(read(&mut known, now), 2);
        assert_eq!(read(&mut known, now + REMEMBERED), 5);
    }

    #[test]
    fn a_device_that_refuses_everything_is_asked_for_one_register_only() {
        let (fields, now) = (fields(&[0, 2, 4]), Instant::now());
        let requests = [part(0, 6)];
        let mut known = Known::new(&requests, now);
        let mut counts = Vec::new();
        for _ in 0..3 {
            let mut work = known.begin(&requests, now);
            let mut count = 0;
            while let Some(next) = work.next() {
                count += 1;
                work.refused(next, &fields);
                known.learn(&work, now);
            }
            counts.push(count);
        }
        assert_eq!(counts, [5, 1, 1]);
        assert!(known.is_a_trial());
    }
}
