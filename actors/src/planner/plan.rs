//! Decides what the inverters may make, without touching the world: a network, what was read of late, and the time that
//! may be used go in, a plan comes out.
//!
//! First a power flow asks whether anything would be overloaded if every roof made what it is rated for; if not, nobody
//! is held back. Otherwise the optimal power flow shares out what the network carries. What is held back costs a little,
//! and more the larger the part of a roof that it is, so that like roofs are treated alike. A roof that ignores its limit
//! or takes none makes what it makes: the others give way, and it keeps the limit that it is not paid beyond.

use domain::dispatch::{Basis, Bound, BusPrice, Plan, Setpoint};
use domain::network::{Cost, Generator, Network};
use domain::{InverterId, MeterId, Money, Permille, Timestamp, Watts};
use serde::Serialize;
use solvers::flow::{self, Newton};
use solvers::opf::certificate::Duals;
use solvers::opf::{Answer, Binding, Limit, Status, ac, socp};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

/// Loads are taken as the least of so many looks: what may be switched off must not be counted on.
const LOOKS: usize = 4;
/// An inverter that makes this much of its limit is held back by it, in thousandths.
const AT_THE_LIMIT: i64 = 950;
/// What a roof that nothing holds back may make more until the next plan: a quarter of what it makes, and a twentieth of
/// what it is rated for.
const GROWS: (i64, i64) = (4, 20);
/// More than its limit by this part of what it is rated for, an inverter ignores it: clouds and a meter's class are no
/// mutiny. So much more is also reckoned with until the next plan.
const IGNORES: i64 = 20;
/// The cost of holding all of a roof back, of the source's price.
const HELD_BACK: f64 = 0.01;
/// This near (p.u.) to a limit is at it.
const NEAR: f64 = 1e-4;

/// Where a meter is.
#[derive(Clone, Debug)]
pub struct Home {
    /// The meter of what it takes from the street, or feeds in.
    pub meter: MeterId,
    /// Its bus, by place in the network.
    pub bus: usize,
}

/// An inverter.
#[derive(Clone, Debug)]
pub struct Roof {
    /// Its name.
    pub id: InverterId,
    /// Its bus, by place in the network.
    pub bus: usize,
    /// The meter that its feed-in is paid by.
    pub meter: MeterId,
    /// Its own meter, which counts what it makes.
    pub own: MeterId,
    /// What it can make.
    pub rated: Watts,
}

impl Roof {
    /// Whether it makes plainly more than it may.
    #[must_use]
    pub fn ignores(&self, made: Watts, most: Watts) -> bool {
        made.0 > most.0.saturating_add(self.rated.0 / IGNORES)
    }
}

/// A street, as the planner knows it.
#[derive(Clone, Debug)]
pub struct Site {
    /// Lines, limits and the source. Its loads are not looked at; of its generators, only the first: the source.
    pub network: Network,
    /// The meters behind the source.
    pub homes: Vec<Home>,
    /// The inverters behind these meters.
    pub roofs: Vec<Roof>,
    /// The most that the source takes back; none: what the network says.
    pub export_limit: Option<Watts>,
    /// The most that the source gives.
    pub import_limit: Option<Watts>,
    /// How far ratings and the source's limits are kept clear of.
    pub headroom: Permille,
    /// Minor units of one unit of the network's currency.
    pub scale: i64,
}

/// What is known now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Look {
    /// By meter, what it takes from the street.
    pub net: BTreeMap<MeterId, Watts>,
    /// By inverter, what it makes.
    pub made: BTreeMap<InverterId, Watts>,
    /// By inverter, the limit that it stands under.
    pub limits: BTreeMap<InverterId, Permille>,
    /// Inverters that stand under no limit because they do not take one.
    pub lost: BTreeSet<InverterId>,
}

/// The street as the plan has it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Picture {
    /// The buses.
    pub buses: Vec<BusPicture>,
    /// The lines that are closed.
    pub lines: Vec<LinePicture>,
}

/// A bus.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BusPicture {
    /// Its name.
    pub name: String,
    /// Voltage, per unit, in the band that it is to keep.
    pub volts: f64,
    /// Lowest and highest.
    pub band: (f64, f64),
    /// What one more kilowatt-hour costs here, in minor units.
    pub price: Option<Money>,
}

/// A line.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LinePicture {
    /// One end.
    pub from: String,
    /// The other.
    pub to: String,
    /// What flows into the first end.
    pub power: Watts,
    /// The larger of both ends' apparent power, of the rating, in thousandths; none for a line without one.
    pub loading_permille: Option<u32>,
}

/// What was made.
#[derive(Clone, Debug)]
pub struct Made {
    /// The plan.
    pub plan: Plan,
    /// The street as it has it.
    pub picture: Picture,
    /// Where it comes from, if it is an optimum.
    pub solved: Option<Solved>,
}

/// An optimum, and what proves how good it is.
#[derive(Clone, Debug)]
pub struct Solved {
    /// The network with what was demanded, and what the roofs could make.
    pub network: Network,
    /// The optimum.
    pub answer: Answer,
    /// The multipliers of its bound.
    pub duals: Duals,
}

/// Makes plans. What it remembers is the loads of the last looks.
#[derive(Clone, Debug, Default)]
pub struct Reckoner {
    loads: BTreeMap<MeterId, VecDeque<Watts>>,
}

impl Reckoner {
    /// A plan for `from..until`. `left` says how much time there is to find it.
    ///
    /// # Errors
    /// The meters and inverters of which nothing is known.
    pub fn plan(
        &mut self,
        site: &Site,
        look: &Look,
        (from, until): (Timestamp, Timestamp),
        left: &dyn Fn() -> Duration,
    ) -> Result<Made, Vec<String>> {
        let homes = site.homes.iter().filter(|h| !look.net.contains_key(&h.meter)).map(|h| h.meter.to_string());
        let roofs = site.roofs.iter().filter(|r| !look.made.contains_key(&r.id)).map(|r| r.id.to_string());
        let missing: Vec<String> = homes.chain(roofs).collect();
        if !missing.is_empty() {
            return Err(missing);
        }
        self.remember(site, look);
        let rated = site.roofs.iter().map(|roof| roof.rated).collect::<Vec<_>>();
        let plan = |basis, setpoints| Plan { from, until, basis, setpoints, prices: Vec::new(), binding: Vec::new() };
        if let Some(picture) = self.carries(site, &rated) {
            let plan = plan(Basis::Free, site.roofs.iter().map(|r| setpoint(r, r.rated)).collect());
            return Ok(Made { plan, picture, solved: None });
        }
        let held: Vec<Option<Setpoint>> =
            site.roofs.iter().map(|roof| ignored(roof, look).or_else(|| lost(roof, look))).collect();
        let most: Vec<Watts> = site.roofs.iter().map(|roof| could_make(roof, look)).collect();
        let network = fixed(self.network(site, &most), &held);
        let mut answer = ac::solve(&network, left);
        if answer.status == Status::Optimal {
            let given = |answer: &Answer, most: &[Watts]| -> Vec<Watts> {
                let roofs = answer.generators.iter().skip(1).zip(most);
                roofs.map(|(g, most)| dispatched(g.p_mw, *most)).collect()
            };
            let binding = binding(&network, &answer);
            let mut shares = given(&answer, &most);
            if binding.is_empty() {
                shares.clone_from(&most);
                // Nothing has to be held back now. What the network carries whatever the sun does is a better limit than
                // what the roofs are expected to make.
                let rated =
                    rated.iter().zip(&most).zip(&held).map(|((r, m), held)| if held.is_some() { *m } else { *r });
                let rated: Vec<Watts> = rated.collect();
                let wide = ac::solve(&fixed(self.network(site, &rated), &held), left);
                let wide = given(&wide, &rated);
                if wide.len() == most.len() && wide.iter().zip(&most).all(|(wide, most)| wide >= most) {
                    shares = wide;
                }
            }
            let relaxed = socp::solve(&network, left);
            answer.lower_bound = relaxed.answer.lower_bound;
            let picture = picture(&network, &answer, site.scale);
            let prices = picture.buses.iter();
            let prices = prices.filter_map(|b| Some(BusPrice { bus: b.name.clone(), price: b.price? })).collect();
            let setpoints = site.roofs.iter().zip(shares).zip(held);
            let setpoints =
                setpoints.map(|((roof, share), held)| held.unwrap_or_else(|| setpoint(roof, share))).collect();
            let plan = Plan { prices, binding, ..plan(basis(&answer, site.scale), setpoints) };
            let solved = Some(Solved { network, answer, duals: relaxed.duals });
            return Ok(Made { plan, picture, solved });
        }
        let why = refusal(&network, &answer);
        let plan = plan(Basis::Safe { why }, safe(site, &most, held));
        Ok(Made { plan, picture: Picture::default(), solved: None })
    }

    /// The network as every plan has it, whatever is demanded and whatever the roofs could make.
    pub(super) fn framed(site: &Site) -> Network {
        let rated = site.roofs.iter().map(|roof| roof.rated).collect::<Vec<_>>();
        Self::default().network(site, &rated)
    }

    /// Load without what the roof behind the same meter makes.
    fn remember(&mut self, site: &Site, look: &Look) {
        for home in &site.homes {
            let made = site.roofs.iter().filter(|roof| roof.meter == home.meter);
            let made: Watts = made.map(|roof| look.made[&roof.id]).sum();
            let load = Watts((look.net[&home.meter] + made).0.max(0));
            let known = self.loads.entry(home.meter.clone()).or_default();
            known.push_back(load);
            while known.len() > LOOKS {
                known.pop_front();
            }
        }
    }

    /// The network with the least loads of late, and with roofs that could make so much.
    fn network(&self, site: &Site, most: &[Watts]) -> Network {
        let mut network = site.network.clone();
        let mw = |watts: Watts| exact(watts.0) / 1e6;
        for bus in &mut network.buses {
            (bus.demand_mw, bus.demand_mvar) = (0.0, 0.0);
        }
        for home in &site.homes {
            let least = self.loads.get(&home.meter).and_then(|loads| loads.iter().min());
            network.buses[home.bus].demand_mw += mw(least.copied().unwrap_or(Watts(0)));
        }
        network.generators.truncate(1);
        let clear = f64::from(1000 - site.headroom.get()) / 1000.0;
        let (mut price, mut volts) = (1.0, 1.0);
        if let Some(source) = network.generators.first_mut() {
            (price, volts) = (slope(&source.cost).unwrap_or(1.0), source.v_pu);
            let low = site.export_limit.map_or(source.p_min_mw, |most| -mw(most));
            let high = site.import_limit.map_or(source.p_max_mw, mw);
            (source.p_min_mw, source.p_max_mw) = (low * clear, high * clear);
            // The station's voltage is as it is: no dispatch moves it.
            let bus = &mut network.buses[source.bus];
            (bus.vmin_pu, bus.vmax_pu) = (source.v_pu, source.v_pu);
        }
        for branch in &mut network.branches {
            branch.rate_mva = branch.rate_mva.map(|rate| rate * clear);
        }
        for (roof, most) in site.roofs.iter().zip(most) {
            let (cost, size) = (HELD_BACK * price, mw(roof.rated).max(1e-6));
            network.generators.push(Generator {
                bus: roof.bus,
                p_mw: mw(*most),
                q_mvar: 0.0,
                p_min_mw: 0.0,
                p_max_mw: mw(*most),
                q_min_mvar: 0.0,
                q_max_mvar: 0.0,
                v_pu: volts,
                in_service: true,
                // cost · (size − p)² / size
                cost: Cost::Polynomial(vec![cost * size, -2.0 * cost, cost / size]),
                reactive_cost: None,
            });
        }
        network
    }

    /// The power flow if the roofs make all of this, if it keeps all limits.
    fn carries(&self, site: &Site, made: &[Watts]) -> Option<Picture> {
        let network = self.network(site, made);
        let mut newton = Newton::new(&network);
        let flow::Outcome::Converged(state) = newton.solve(false) else { return None };
        let report = state.report(&network, &newton.grid);
        let source = network.generators.first()?;
        let fed = report.generators.first()?.0;
        let kept = (source.p_min_mw..=source.p_max_mw).contains(&fed)
            && report.buses.iter().zip(&network.buses).all(|((v, _), bus)| {
                // The station's own voltage is fixed, up to rounding.
                *v == 0.0 || (bus.vmin_pu - NEAR / 10.0..=bus.vmax_pu + NEAR / 10.0).contains(v)
            })
            && report
                .branches
                .iter()
                .zip(&network.branches)
                .all(|(ends, b)| b.rate_mva.is_none_or(|rate| ends.iter().all(|(p, q)| p.hypot(*q) <= rate)));
        kept.then(|| {
            let flows: Vec<_> = report.branches.iter().map(|ends| (ends[0], ends[1])).collect();
            let volts: Vec<f64> = report.buses.iter().map(|(v, _)| *v).collect();
            let prices = vec![slope(&source.cost).filter(|_| fed >= 0.0); volts.len()];
            sketch(&network, &volts, &prices, &flows, site.scale)
        })
    }
}

/// The limit that an inverter ignores; none of one that follows.
fn ignored(roof: &Roof, look: &Look) -> Option<Setpoint> {
    let limit = *look.limits.get(&roof.id)?;
    let most = Watts(roof.rated.0 * i64::from(limit.get()) / 1000);
    let ignores = look.made.get(&roof.id).is_some_and(|made| roof.ignores(*made, most));
    ignores.then(|| Setpoint { inverter: roof.id.clone(), limit: Some(limit), most })
}

/// The limit that an inverter is asked for which takes none; none of one that follows. It makes what it makes, and once
/// it takes a limit again it has its share by the next plan.
fn lost(roof: &Roof, look: &Look) -> Option<Setpoint> {
    let least_limit = Watts(roof.rated.0.saturating_mul(999) / 1000);
    look.lost.contains(&roof.id).then(|| setpoint(roof, could_make(roof, look).min(least_limit)))
}

/// What ignores its limit or takes none is not asked.
fn fixed(mut network: Network, held: &[Option<Setpoint>]) -> Network {
    for (unit, held) in network.generators.iter_mut().skip(1).zip(held) {
        if held.is_some() {
            unit.p_min_mw = unit.p_max_mw;
        }
    }
    network
}

/// What the source charges for a MW in an hour.
fn slope(cost: &Cost) -> Option<f64> {
    let slope = match cost {
        Cost::Polynomial(c) => c.get(1).copied()?,
        Cost::Piecewise(points) => {
            let last = points.last_chunk::<2>()?;
            (last[1].1 - last[0].1) / (last[1].0 - last[0].0)
        }
    };
    (slope > 0.0).then_some(slope)
}

/// The most that an inverter could make until the next plan. Of one that stands at its limit nobody knows what the sun
/// would give.
fn could_make(roof: &Roof, look: &Look) -> Watts {
    let made = look.made.get(&roof.id).map_or(0, |made| made.0.max(0));
    if ignored(roof, look).is_some() {
        return Watts(made.saturating_add(roof.rated.0 / IGNORES)).min(roof.rated.max(Watts(made)));
    }
    let held = look.limits.get(&roof.id).is_some_and(|limit| {
        made.saturating_mul(1_000_000) >= roof.rated.0.saturating_mul(i64::from(limit.get()) * AT_THE_LIMIT)
    });
    if held {
        return roof.rated;
    }
    Watts(made.saturating_add(made / GROWS.0).saturating_add(roof.rated.0 / GROWS.1)).min(roof.rated)
}

/// What an answer gives a roof, rounded down to the watt.
fn dispatched(p_mw: f64, most: Watts) -> Watts {
    Watts(whole((p_mw * 1e6).floor()).clamp(0, most.0))
}

/// A setpoint in whole thousandths of what the roof is rated for, never more than was dispatched.
fn setpoint(roof: &Roof, most: Watts) -> Setpoint {
    let share = u16::try_from(most.0.max(0).saturating_mul(1000) / roof.rated.0.max(1)).unwrap_or(u16::MAX);
    let limit = Permille::new(share).filter(|limit| *limit < Permille::FULL);
    let most = limit.map_or(roof.rated, |limit| Watts(roof.rated.0 * i64::from(limit.get()) / 1000));
    Setpoint { inverter: roof.id.clone(), limit, most }
}

/// The same share of every roof, so that even with nobody at home all together are within what the source takes and within
/// the smallest line. What those make that ignore their limits is taken off first.
fn safe(site: &Site, most: &[Watts], held: Vec<Option<Setpoint>>) -> Vec<Setpoint> {
    let clear = i64::from(1000 - site.headroom.get());
    let watts = |mva: f64| whole((mva * 1e6).floor());
    let source = site.export_limit.map(|limit| limit.0);
    let source = source.or(site.network.generators.first().map(|g| watts(-g.p_min_mw)));
    let closed = site.network.branches.iter().enumerate().filter(|(k, _)| site.network.carries(*k));
    let ratings = closed.filter_map(|(_, b)| b.rate_mva).map(watts);
    let gone: i64 = most.iter().zip(&held).filter(|(_, held)| held.is_some()).map(|(most, _)| most.0).sum();
    let least = (ratings.chain(source).min().unwrap_or(0).max(0) / 1000 * clear - gone).max(0);
    let follow = site.roofs.iter().zip(&held).filter(|(_, held)| held.is_none());
    let all: i64 = follow.map(|(roof, _)| roof.rated.0).sum();
    let share = |roof: &Roof| i128::from(roof.rated.0) * i128::from(least) / i128::from(all.max(1));
    let give = |roof: &Roof| Watts(i64::try_from(share(roof)).unwrap_or(0).min(roof.rated.0));
    site.roofs.iter().zip(held).map(|(roof, held)| held.unwrap_or_else(|| setpoint(roof, give(roof)))).collect()
}

fn basis(answer: &Answer, scale: i64) -> Basis {
    let money = |amount: f64, round: fn(f64) -> f64| Money(whole(round(amount * exact(scale))));
    Basis::Optimal {
        cost: money(answer.objective.unwrap_or(0.0), f64::ceil),
        bound: answer.lower_bound.map(|bound| money(bound, f64::floor)),
    }
}

fn binding(network: &Network, answer: &Answer) -> Vec<Bound> {
    let mut found = Vec::new();
    let near = |a: f64, b: f64| (a - b).abs() <= NEAR * network.base_mva;
    if let (Some(source), Some(g)) = (network.generators.first(), answer.generators.first())
        && (near(g.p_mw, source.p_min_mw) || near(g.p_mw, source.p_max_mw))
    {
        found.push(Bound::Source);
    }
    for (branch, b) in answer.branches.iter().zip(&network.branches) {
        if branch.binding == Some(Binding::Rating) {
            found.push(Bound::Line { from: name(network, b.from), to: name(network, b.to) });
        }
    }
    for (place, (a, bus)) in answer.buses.iter().zip(&network.buses).enumerate() {
        if bus.vmax_pu > bus.vmin_pu && a.vm_pu > 0.0 {
            if a.vm_pu >= bus.vmax_pu - NEAR {
                found.push(Bound::HighVoltage { bus: name(network, place) });
            } else if a.vm_pu <= bus.vmin_pu + NEAR {
                found.push(Bound::LowVoltage { bus: name(network, place) });
            }
        }
    }
    found
}

fn picture(network: &Network, answer: &Answer, scale: i64) -> Picture {
    let volts: Vec<f64> = answer.buses.iter().map(|b| b.vm_pu).collect();
    let prices: Vec<_> = answer.buses.iter().map(|b| b.price_p).collect();
    let end = |p, q: Option<f64>| (p, q.unwrap_or(0.0));
    let flows = answer.branches.iter();
    let flows: Vec<_> = flows.map(|b| (end(b.p_from_mw, b.q_from_mvar), end(b.p_to_mw, b.q_to_mvar))).collect();
    sketch(network, &volts, &prices, &flows, scale)
}

type Ends = ((f64, f64), (f64, f64));

fn sketch(network: &Network, volts: &[f64], prices: &[Option<f64>], flows: &[Ends], scale: i64) -> Picture {
    let buses = network.buses.iter().enumerate().zip(volts.iter().zip(prices));
    let buses = buses.map(|((place, bus), (v, price))| BusPicture {
        name: name(network, place),
        volts: *v,
        band: (bus.vmin_pu, bus.vmax_pu),
        // Of a MWh, in units; shown of a kWh, in minor units.
        price: price.map(|p| Money(whole((p / 1000.0 * exact(scale)).round()))),
    });
    let lines = network.branches.iter().zip(flows).enumerate().filter(|(k, _)| network.carries(*k));
    let lines = lines.map(|(_, (b, (from, to)))| {
        let loading = b.rate_mva.map(|rate| from.0.hypot(from.1).max(to.0.hypot(to.1)) / rate);
        LinePicture {
            from: name(network, b.from),
            to: name(network, b.to),
            power: Watts(whole((from.0 * 1e6).round())),
            loading_permille: loading.and_then(|l| u32::try_from(whole((l * 1e3).round())).ok()),
        }
    });
    Picture { buses: buses.collect(), lines: lines.collect() }
}

fn refusal(network: &Network, answer: &Answer) -> String {
    let bus = |bus: usize| name(network, bus);
    let line = |k: usize| format!("{} to {}", bus(network.branches[k].from), bus(network.branches[k].to));
    let worst = answer.violations.first().map(|v| match v.limit {
        Limit::Demand(k) => format!("{} lacks {:.0} W", bus(k), v.by * 1e6),
        Limit::Surplus(k) => format!("{} has {:.0} W that nobody can take", bus(k), v.by * 1e6),
        Limit::Reactive(k) => format!("{} is {:.0} var out of balance", bus(k), v.by * 1e6),
        Limit::Rating(k) => format!("the line from {} is {:.0} VA above its rating", line(k), v.by * 1e6),
        Limit::Angle(k) => format!("the line from {} is beyond its limit of angles", line(k)),
        Limit::Voltage(k) => format!("the voltage at {} is {:.4} p.u. out of its band", bus(k), v.by),
    });
    match answer.status {
        Status::Infeasible => format!("no dispatch keeps all limits: {}", worst.unwrap_or_default()),
        Status::OutOfTime => "no optimum was found in time".to_owned(),
        Status::Refused => answer.reason.clone().unwrap_or_else(|| "the solver refused the network".to_owned()),
        Status::Inaccurate | Status::Optimal => "no answer of the solver passed the check".to_owned(),
    }
}

/// What a bus is called.
pub(super) fn name(network: &Network, place: usize) -> String {
    network.buses[place].shown()
}

/// How long is left of a time that begins now.
pub(super) fn within(time: Duration) -> impl Fn() -> Duration {
    let begin = Instant::now();
    move || time.saturating_sub(begin.elapsed())
}

#[expect(clippy::cast_precision_loss, reason = "powers and scales are far below 2^53")]
fn exact(value: i64) -> f64 {
    value as f64
}

/// A whole number as one; what is none is 0.
#[expect(clippy::cast_possible_truncation, reason = "a cast saturates, and NaN becomes 0")]
pub(super) fn whole(value: f64) -> i64 {
    value as i64
}

#[cfg(test)]
mod tests;
