//! Opens the radios that hear where meters are.

use crate::config::{Config, Location, RadioKind};
use crate::failure::{Code, Failure};
use actors::{AnchorPlan, Board, LocatorPlan, SimulatedAir};
use contracts::chain::Chain;
use domain::Clock;
use drivers::mqtt::Link;
use drivers::radio::{Bridge, Node};
use solvers::locate::air::Air;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How often a simulated beacon is heard in an epoch.
const BEACONS: u32 = 12;

/// What the Locator needs, with every radio listening.
pub fn plan(
    location: &Location,
    config: &Config,
    clock: &Clock,
    board: &Board,
    chain: Arc<dyn Chain>,
) -> Result<LocatorPlan, Failure> {
    let mut links: BTreeMap<&str, Link> = BTreeMap::new();
    let air = simulated(location, config, clock, board);
    let mut anchors = Vec::new();
    for (number, anchor) in location.anchors.iter().enumerate() {
        let Some(radio) = location.radios.iter().find(|r| r.id == anchor.radio) else { continue };
        let radio: Arc<dyn drivers::Radio> = match &radio.kind {
            RadioKind::Espresense(broker) => {
                let link = links.entry(&radio.id).or_insert_with(|| Link::connect(broker.clone(), None));
                Arc::new(Node::listen(link, &anchor.node).map_err(|e| Failure::new(Code::Config, e))?)
            }
            RadioKind::Bridge(port) => Arc::new(Bridge::at(&port.display().to_string())),
            RadioKind::Simulated => air.anchor(number, anchor.place),
        };
        anchors.push(AnchorPlan { id: anchor.id.clone(), place: anchor.place, radio });
    }
    Ok(LocatorPlan {
        epoch: location.epoch,
        samples: location.samples,
        false_rejections: location.false_rejections,
        reach: location.reach,
        rule: location.rule,
        hold: location.hold,
        anchors,
        meters: location.places.clone(),
        guards: config.guards(),
        chain: Some(chain),
    })
}

/// The open street's air, without walls: where those of a street that does not exist stand nobody has said.
fn simulated(location: &Location, config: &Config, clock: &Clock, board: &Board) -> SimulatedAir {
    let (street, _) = Air::street(0);
    let every = location.epoch / BEACONS;
    let air = SimulatedAir::new(street, config.simulator.seed, every, clock.clone(), board.clone());
    for meter in &location.places {
        let at_one_metre = f64::from(meter.model.at_one_metre) / 100.0;
        air.put(&meter.id, meter.place, meter.beacon.clone(), at_one_metre);
    }
    for (meter, trick) in &location.tricks {
        air.trick(meter, Some(trick.clone()));
    }
    air
}
