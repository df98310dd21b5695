//! The feeder as it was planned, and what the inverters do about it, for the page.

use crate::config::Config;
use crate::narrate;
use actors::{InverterLive, MeterLive, PlanLive};
use domain::dispatch::{Basis, RoundState};
use domain::{InverterId, MeterId, Timestamp};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What is of the moment and shown.
pub struct Moment<'a> {
    /// The newest plan.
    pub plan: Option<&'a PlanLive>,
    /// What the inverters confirmed.
    pub inverters: &'a BTreeMap<InverterId, InverterLive>,
    /// What meters show, the inverters' own among them.
    pub meters: &'a BTreeMap<MeterId, MeterLive>,
    /// What came of the newest plans on the chain.
    pub rounds: &'a [(Timestamp, RoundState)],
}

/// What the page shows of it; nothing where nothing is planned.
pub fn feeder(config: &Config, moment: &Moment<'_>) -> Option<Value> {
    let site = &config.dispatch.as_ref()?.site;
    let power = |meter: &MeterId| moment.meters.get(meter).and_then(|m| m.reading.power);
    let live = moment.plan;
    let plan = live.and_then(|live| live.plan.as_ref());
    let name = |bus: usize| site.network.buses[bus].shown();
    let homes = site
        .homes
        .iter()
        .map(|home| json!({ "meter": home.meter, "bus": name(home.bus), "power_w": power(&home.meter) }));
    let inverters = site.roofs.iter().map(|roof| {
        let said = moment.inverters.get(&roof.id);
        let made = power(&roof.own).map(|made| -made);
        let most = said.and_then(|s| s.most).filter(|_| said.is_some_and(|s| s.limit.is_some()));
        json!({
            "id": roof.id, "meter": roof.meter, "bus": name(roof.bus), "rated_w": roof.rated, "made_w": made,
            "limit": said.and_then(|s| s.limit).map(|limit| limit.to_string()), "most_w": most,
            "until": said.and_then(|s| s.until).map(|until| config.tariff.zone.hh_mm(until)),
            "problem": said.and_then(|s| s.problem.clone()),
            "ignores": made.zip(most).is_some_and(|(made, most)| roof.ignores(made, most)),
        })
    });
    let (basis, why, cost, gap) = match plan.map(|plan| &plan.basis) {
        None => ("none", None, None, None),
        Some(Basis::Free) => ("free", None, None, None),
        Some(Basis::Safe { why }) => ("safe", Some(why.clone()), None, None),
        Some(basis @ Basis::Optimal { cost, .. }) => {
            let show = |money| narrate::short(money, &config.currency);
            ("optimal", None, Some(show(*cost)), basis.gap().map(show))
        }
    };
    let picture = live.map(|live| &live.picture);
    let buses = picture.into_iter().flat_map(|p| &p.buses).map(|bus| {
        let price = bus.price.map(|price| narrate::short(price, &config.currency));
        json!({ "name": bus.name, "volts_pu": bus.volts, "low_pu": bus.band.0, "high_pu": bus.band.1, "price": price })
    });
    Some(json!({
        "basis": basis, "why": why, "cost": cost, "gap": gap,
        "from": plan.map(|p| config.tariff.zone.hh_mm(p.from)), "until": plan.map(|p| config.tariff.zone.hh_mm(p.until)),
        "took_ms": live.map(|live| live.took_ms),
        "problem": live.and_then(|live| live.problem.clone()),
        "binding": plan.map(|p| p.binding.iter().map(ToString::to_string).collect::<Vec<_>>()),
        "source": site.network.generators.first().map(|g| name(g.bus)),
        "export_limit_w": site.export_limit, "import_limit_w": site.import_limit,
        "buses": buses.collect::<Vec<_>>(),
        "lines": picture.map(|p| &p.lines),
        "homes": homes.collect::<Vec<_>>(),
        "inverters": inverters.collect::<Vec<_>>(),
        "judge": config.chain.dispatch.map(|at| at.to_string()),
        "unproved": live.and_then(|live| live.unproved.clone()),
        "rounds": moment.rounds.iter().map(|(from, state)| round(*from, state, config)).collect::<Vec<_>>(),
    }))
}

/// How far a plan has come on the chain.
fn round(from: Timestamp, state: &RoundState, config: &Config) -> Value {
    let show = |money| narrate::short(money, &config.currency);
    let how = state.judged.as_ref();
    let (cost, bound) = match (how, state.revealed) {
        (Some(how), _) => (how.cost, how.bound),
        (None, Some((cost, bound))) => (Some(cost), Some(bound)),
        (None, None) => (None, None),
    };
    let step = match (&state.given_up, how, state) {
        (Some(_), ..) => "given up",
        (None, Some(how), _) if how.won => "won",
        (None, Some(how), _) if how.cost.is_none() => "nobody's",
        (None, Some(_), _) => "lost",
        (None, None, RoundState { revealed: Some(_), .. }) => "revealed",
        (None, None, RoundState { committed: true, .. }) => "committed",
        _ => "planned",
    };
    json!({
        "from": config.tariff.zone.hh_mm(from), "number": state.number, "step": step,
        "cost": cost.map(show), "bound": bound.map(show), "gap": how.map(narrate::gap),
        "others": how.map(|how| how.commits.saturating_sub(1)),
        "stake_back": state.stake_back, "why": state.given_up,
    })
}
