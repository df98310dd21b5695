//! What hangs together.

use super::{BusKind, Network};

/// The island of a bus that takes part in nothing: isolated, or in an island without load, shunt and generator.
pub const DARK: usize = usize::MAX;

/// The islands that take part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Islands {
    /// By bus, its island or [`DARK`].
    pub of: Vec<usize>,
    /// By island, the bus whose angle is given.
    pub reference: Vec<usize>,
    /// By island, whether a generator runs in it. One without has nobody to feed its load.
    pub fed: Vec<bool>,
}

impl Network {
    /// Which buses branches in service connect. The reference of an island is its bus of that kind, else the bus with
    /// the greatest running capacity, the first of equals, else its first bus.
    #[must_use]
    pub fn islands(&self) -> Islands {
        let n = self.buses.len();
        let mut roots: Vec<usize> = (0..n).collect();
        for k in (0..self.branches.len()).filter(|k| self.carries(*k)) {
            let (a, b) = (root(&mut roots, self.branches[k].from), root(&mut roots, self.branches[k].to));
            // The lower place is the root, so that islands are counted in the order of the file.
            roots[a.max(b)] = a.min(b);
        }
        let mut capacity = vec![None; n];
        for g in (0..self.generators.len()).filter(|g| self.runs(*g)) {
            let g = &self.generators[g];
            let sum: &mut Option<f64> = &mut capacity[g.bus];
            *sum = Some(sum.unwrap_or(0.0) + g.p_max_mw.min(1e12));
        }
        let roots: Vec<usize> = (0..n).map(|bus| root(&mut roots, bus)).collect();
        let mut alive = vec![false; n];
        for (bus, root) in self.buses.iter().zip(&roots) {
            let takes = bus.demand_mw != 0.0 || bus.demand_mvar != 0.0 || bus.kind == BusKind::Reference;
            alive[*root] |= takes;
        }
        for (capacity, root) in capacity.iter().zip(&roots) {
            alive[*root] |= capacity.is_some();
        }
        let mut islands = Islands { of: vec![DARK; n], reference: Vec::new(), fed: Vec::new() };
        let mut of_root = vec![DARK; n];
        for bus in (0..n).filter(|bus| self.is_live(*bus) && alive[roots[*bus]]) {
            let island = &mut of_root[roots[bus]];
            if *island == DARK {
                *island = islands.reference.len();
                islands.reference.push(bus);
                islands.fed.push(false);
            }
            islands.of[bus] = *island;
            islands.fed[*island] |= capacity[bus].is_some();
            let best = &mut islands.reference[*island];
            let rank =
                |bus: usize| (self.buses[bus].kind == BusKind::Reference, capacity[bus].unwrap_or(f64::NEG_INFINITY));
            let (mine, its) = (rank(bus), rank(*best));
            if (mine.0 && !its.0) || (mine.0 == its.0 && mine.1 > its.1) {
                *best = bus;
            }
        }
        islands
    }
}

fn root(roots: &mut [usize], mut bus: usize) -> usize {
    while roots[bus] != bus {
        roots[bus] = roots[roots[bus]];
        bus = roots[bus];
    }
    bus
}
