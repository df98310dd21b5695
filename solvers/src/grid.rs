//! A network in per unit and radians, without what is out of service: the form in which it is solved.

use domain::network::{BusKind, DARK, Network};
use nalgebra::Complex;

/// No place.
pub const NOWHERE: usize = usize::MAX;

/// What takes part of a network. Places count from 0 without gaps; `place` leads back to the network's lists.
#[derive(Clone, Debug)]
pub struct Grid {
    /// MVA of one per unit.
    pub base: f64,
    /// The buses.
    pub buses: Vec<Node>,
    /// The branches.
    pub lines: Vec<Line>,
    /// The generators.
    pub units: Vec<Unit>,
    /// By island, the bus whose angle is given, and whether a generator runs there.
    pub references: Vec<(usize, bool)>,
    /// By place in the network, the bus here, or [`NOWHERE`].
    pub bus_at: Vec<usize>,
}

/// A bus.
#[derive(Clone, Copy, Debug)]
pub struct Node {
    /// Its place in the network.
    pub place: usize,
    /// Its island.
    pub island: usize,
    /// What it holds in a power flow. Type 2 without a running generator is type 1 here; the reference is its island's.
    pub kind: BusKind,
    /// Demand.
    pub load: Complex<f64>,
    /// Admittance of the shunt: gs + j·bs.
    pub shunt: Complex<f64>,
    /// Voltage to begin with, magnitude and angle.
    pub start: (f64, f64),
    /// Lowest and highest voltage.
    pub volts: (f64, f64),
}

/// A branch. Currents into its ends are `from_from·Vf + from_to·Vt` and `to_from·Vf + to_to·Vt` (MATPOWER manual, 3.2).
#[derive(Clone, Copy, Debug)]
pub struct Line {
    /// Its place in the network.
    pub place: usize,
    /// The end with the transformer.
    pub from: usize,
    /// The other end.
    pub to: usize,
    /// Series impedance.
    pub z: Complex<f64>,
    /// Charging susceptance.
    pub b: f64,
    /// Turns ratio.
    pub tap: f64,
    /// Phase shift.
    pub shift: f64,
    /// Rating, infinite when there is none.
    pub rate: f64,
    /// Least and greatest difference of angles, infinite when there is none.
    pub angles: (f64, f64),
    /// Elements of the admittance matrix.
    pub from_from: Complex<f64>,
    /// Elements of the admittance matrix.
    pub from_to: Complex<f64>,
    /// Elements of the admittance matrix.
    pub to_from: Complex<f64>,
    /// Elements of the admittance matrix.
    pub to_to: Complex<f64>,
}

/// A generator.
#[derive(Clone, Copy, Debug)]
pub struct Unit {
    /// Its place in the network.
    pub place: usize,
    /// Where.
    pub bus: usize,
    /// Power to begin with.
    pub start: Complex<f64>,
    /// Least and greatest active power.
    pub p: (f64, f64),
    /// Least and greatest reactive power.
    pub q: (f64, f64),
    /// Voltage that it holds.
    pub volts: f64,
}

impl Grid {
    /// The parts of a network that take part.
    #[must_use]
    pub fn new(network: &Network) -> Self {
        let islands = network.islands();
        let base = network.base_mva;
        let mut held = vec![false; network.buses.len()];
        for (k, g) in network.generators.iter().enumerate() {
            held[g.bus] |= network.runs(k);
        }
        let mut bus_at = vec![NOWHERE; network.buses.len()];
        let mut buses = Vec::with_capacity(network.buses.len());
        for (place, bus) in network.buses.iter().enumerate() {
            let island = islands.of[place];
            if island == DARK {
                continue;
            }
            bus_at[place] = buses.len();
            let kind = match bus.kind {
                _ if islands.reference[island] == place => BusKind::Reference,
                BusKind::Generator | BusKind::Reference if held[place] => BusKind::Generator,
                _ => BusKind::Load,
            };
            buses.push(Node {
                place,
                island,
                kind,
                load: Complex::new(bus.demand_mw, bus.demand_mvar) / base,
                shunt: Complex::new(bus.shunt_mw, bus.shunt_mvar) / base,
                start: (bus.vm_pu, bus.va_deg.to_radians()),
                volts: (bus.vmin_pu, bus.vmax_pu),
            });
        }
        let lines = (0..network.branches.len())
            .filter(|k| network.carries(*k) && bus_at[network.branches[*k].from] != NOWHERE)
            .map(|k| line(network, k, &bus_at))
            .collect();
        let units = (0..network.generators.len())
            .filter(|k| network.runs(*k))
            .map(|k| {
                let g = &network.generators[k];
                Unit {
                    place: k,
                    bus: bus_at[g.bus],
                    start: Complex::new(g.p_mw, g.q_mvar) / base,
                    p: (g.p_min_mw / base, g.p_max_mw / base),
                    q: (g.q_min_mvar / base, g.q_max_mvar / base),
                    volts: g.v_pu,
                }
            })
            .collect();
        let references = islands.reference.iter().zip(&islands.fed).map(|(bus, fed)| (bus_at[*bus], *fed)).collect();
        Self { base, buses, lines, units, references, bus_at }
    }

    /// The pairs of buses that lines connect, each once, the lower place first, in ascending order.
    #[must_use]
    pub fn pairs(&self) -> Vec<(usize, usize)> {
        let mut pairs: Vec<_> = self.lines.iter().map(|l| (l.from.min(l.to), l.from.max(l.to))).collect();
        pairs.sort_unstable();
        pairs.dedup();
        pairs
    }
}

/// A voltage or a ratio by its magnitude and angle. The platform's own sine may differ in the last digit from another's.
pub fn polar(magnitude: f64, angle: f64) -> Complex<f64> {
    let (sin, cos) = libm::sincos(angle);
    Complex::new(magnitude * cos, magnitude * sin)
}

fn line(network: &Network, place: usize, bus_at: &[usize]) -> Line {
    let b = &network.branches[place];
    let (z, tap, shift) = (Complex::new(b.r_pu, b.x_pu), b.tap, b.shift_deg.to_radians());
    let series = z.inv();
    let turn = polar(tap, shift);
    let to_to = series + Complex::new(0.0, b.b_pu / 2.0);
    Line {
        place,
        from: bus_at[b.from],
        to: bus_at[b.to],
        z,
        b: b.b_pu,
        tap,
        shift,
        rate: b.rate_mva.map_or(f64::INFINITY, |rate| rate / network.base_mva),
        angles: (
            b.angle_min_deg.map_or(f64::NEG_INFINITY, f64::to_radians),
            b.angle_max_deg.map_or(f64::INFINITY, f64::to_radians),
        ),
        from_from: to_to / (tap * tap),
        from_to: -series / turn.conj(),
        to_from: -series / turn,
        to_to,
    }
}
