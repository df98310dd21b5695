//! A network on a day on which little is as it should be.

use domain::network::Network;

/// All demand at 50 to 130 %, every bus up to a tenth away from that; half of the days a branch is out, on a quarter of
/// them a generator. The same seed gives the same day.
pub fn disturbed(network: &Network, seed: u64) -> Network {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut network = network.clone();
    let level = 0.5 + 0.8 * random.f64();
    for bus in &mut network.buses {
        let own = level * (0.9 + 0.2 * random.f64());
        bus.demand_mw *= own;
        bus.demand_mvar *= own;
    }
    if random.u8(..2) == 0 {
        let out = random.usize(..network.branches.len());
        network.branches[out].in_service = false;
    }
    if random.u8(..4) == 0 {
        let out = random.usize(..network.generators.len());
        network.generators[out].in_service = false;
    }
    network
}
