//! The feeder against all homes of the neighbourhood, as they were overheard: what tells a gateway that publishes false
//! readings. Only a gateway whose own meter stands before all homes can look.

use super::heard::Heard;
use crate::auditor::watch::Watch;
use contracts::Address;
use domain::{MeterId, Timestamp, WattHours};
use solvers::balance::{Flow, Settings, Verdict, Window, balance};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long after a border the readings on its other side may come.
const LATE: Duration = Duration::from_secs(60);

/// What is compared, and how.
#[derive(Clone, Debug)]
pub struct FeederPlan {
    /// Our meters whose sum is what the feeder brings.
    pub feeders: Vec<MeterId>,
    /// What is compared: the energies of one such interval.
    pub interval: Duration,
    /// How far back.
    pub window: Duration,
    /// What is known beforehand, and how sure one wants to be.
    pub settings: Settings,
}

/// What the balance says of meters. It begins anew with the process, and whenever a meter comes that was not there.
#[derive(Debug, Default)]
pub struct Feeder {
    window: Option<Window>,
    /// Whose meter is which of the window's.
    meters: Vec<(Address, MeterId)>,
    next: Option<Timestamp>,
    watch: Watch,
}

impl Feeder {
    /// Takes up the intervals that are over.
    pub fn look(&mut self, plan: &FeederPlan, now: Timestamp, me: Address, heard: &BTreeMap<Address, &Heard>) {
        let known: BTreeSet<_> = self.meters.iter().cloned().collect();
        let fresh = heard.iter().flat_map(|(gateway, said)| said.newest().map(|s| (*gateway, s.meter.clone())));
        let feeder = |(gateway, meter): &(Address, MeterId)| *gateway == me && plan.feeders.contains(meter);
        let fresh: Vec<_> = fresh.filter(|m| !feeder(m) && !known.contains(m)).collect();
        let whole = (now - LATE).floor_to(plan.interval);
        if !fresh.is_empty() || self.next.is_some_and(|next| next > whole) {
            // A clock that was set back begins again, too.
            let meters = [std::mem::take(&mut self.meters), fresh].concat();
            *self = Self { meters, next: Some(whole), ..Self::default() };
        }
        let Some(mut from) = self.next else { return };
        let numbered = |i: usize| format!("m{i}").parse().ok();
        let names = || (0..self.meters.len()).filter_map(numbered).collect();
        let window = self.window.get_or_insert_with(|| Window::new(plan.window, plan.interval, names()));
        let before = from;
        while from < whole {
            let to = from + plan.interval;
            let flow = |gateway: &Address, meter: &MeterId| {
                let (import, export) = heard.get(gateway)?.between(meter, from, to, plan.interval)?;
                Some(Flow { net: import - export, through: import + export })
            };
            let brought: Option<WattHours> = plan.feeders.iter().map(|m| Some(flow(&me, m)?.net)).sum();
            let homes: Vec<Option<Flow>> = self.meters.iter().map(|(gateway, meter)| flow(gateway, meter)).collect();
            window.push(from, brought, &homes);
            from = to;
        }
        self.next = Some(from);
        if from > before
            && let Verdict::Judged(judged) = balance(window, &plan.settings)
        {
            self.watch.look(&judged.found);
        }
    }

    /// The meters of a gateway that the balance speaks against, with what it says.
    #[must_use]
    pub fn doubted(&self, gateway: Address) -> BTreeMap<MeterId, String> {
        let standing = self.watch.standing().into_iter().filter_map(|(cause, meter)| {
            let number: usize = meter?.as_str().strip_prefix('m')?.parse().ok()?;
            let (of, meter) = self.meters.get(number)?;
            (*of == gateway).then(|| (meter.clone(), format!("by the feeder, {cause}")))
        });
        standing.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::witness::wire::{Readings, Sample};
    use domain::{Permille, Volts, Watts};

    const QUARTER: Duration = Duration::from_secs(900);

    fn plan() -> FeederPlan {
        FeederPlan {
            feeders: vec!["street".parse().unwrap()],
            interval: QUARTER,
            window: QUARTER * 96 * 14,
            settings: Settings {
                resistance: None,
                voltage: Volts::finite(230.0).unwrap(),
                loss: None,
                meter_error: Permille::new(10).unwrap(),
                own_use: Watts(1),
                confidence: Permille::new(997).unwrap(),
                step: WattHours(1),
            },
        }
    }

    /// Three gateways with two homes each; the third publishes so many thousandths of what its second home takes.
    fn lived(told: i64, quarters: i64) -> (Feeder, Vec<Address>) {
        let mut rng = fastrand::Rng::with_seed(20_261_127);
        let gateways: Vec<Address> = (1..=3).map(Address::repeat_byte).collect();
        let mut heard: Vec<Heard> = vec![Heard::default(); 3];
        let mut registers = [0_i64; 6];
        let (mut street, mut feeder, plan) = (0_i64, Feeder::default(), plan());
        for quarter in 0..quarters {
            let at = Timestamp(1_780_000_200_000) + QUARTER * u32::try_from(quarter).unwrap();
            for (i, said) in heard.iter_mut().enumerate() {
                let home = |name: &str, import: i64| Sample {
                    meter: name.parse().unwrap(),
                    at,
                    import: WattHours(import),
                    export: Some(WattHours(0)),
                };
                let second = if i == 2 { registers[5] * told / 1000 } else { registers[2 * i + 1] };
                let mut meters = vec![home("upper", registers[2 * i]), home("lower", second)];
                if i == 0 {
                    meters.push(home("street", street));
                }
                said.listen(&Readings { meters });
            }
            let all = gateways.iter().copied().zip(&heard).collect();
            feeder.look(&plan, at + LATE, gateways[0], &all);
            for register in &mut registers {
                let used = rng.i64(20..900);
                *register += used;
                street += used;
            }
            // What the meters themselves use.
            street += 1 + quarter % 2;
        }
        (feeder, gateways)
    }

    #[test]
    fn a_gateway_that_publishes_less_than_flows_is_told_by_the_feeder_and_nobody_else_is() {
        let (feeder, gateways) = lived(800, 300);
        let doubted: Vec<_> = gateways.iter().map(|g| feeder.doubted(*g)).collect();
        assert!(doubted[0].is_empty() && doubted[1].is_empty(), "{doubted:?}");
        assert_eq!(doubted[2].keys().map(MeterId::as_str).collect::<Vec<_>>(), ["lower"], "{doubted:?}");
    }

    #[test]
    fn where_all_publish_the_truth_nobody_is_doubted() {
        let (feeder, gateways) = lived(1000, 300);
        assert!(gateways.iter().all(|g| feeder.doubted(*g).is_empty()));
    }
}
