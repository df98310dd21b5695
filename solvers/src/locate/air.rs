//! A street's air, by a seed: path loss, walls, shadowing and fading, and those who do not play fair.
//!
//! Loss follows the log-distance law of the open street; each wall on the way adds its own; shadowing is normal in dB,
//! once for each link; fading is Rician, anew for each sample. The numbers of [`Air::street`] are ours: free space over
//! the first metre at 2.4 GHz, and the rest such as a street of light houses may have.

use fastrand::Rng;

/// A place, in metres.
pub type Place = (f64, f64);

/// The air.
#[derive(Clone, Debug, PartialEq)]
pub struct Air {
    /// Loss over the first metre, in dB.
    pub first_metre: f64,
    /// Exponent outside of walls.
    pub exponent: f64,
    /// Standard deviation of shadowing, in dB.
    pub shadowing: f64,
    /// Power of the direct path over that of all others (Rice's K), as a ratio.
    pub direct: f64,
    /// Loss of a wall, in dB.
    pub wall: f64,
    /// Walls, from place to place.
    pub walls: Vec<(Place, Place)>,
}

/// A sender and a listener who do not move.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Link {
    /// What is heard in the middle of fading, in dBm.
    pub mean: f64,
    direct: f64,
}

impl Air {
    /// Two rows of houses, eight metres square, 16 m apart along the street and 22 m across, each of four walls; and
    /// where the houses are.
    #[must_use]
    pub fn street(houses: u32) -> (Self, Vec<Place>) {
        let centres: Vec<Place> =
            (0..houses).map(|i| (f64::from(i / 2) * 16.0, if i % 2 == 0 { 0.0 } else { 22.0 })).collect();
        let walls = centres.iter().flat_map(|(x, y)| {
            let corner = |right: f64, up: f64| (x + 4.0 * right, y + 4.0 * up);
            let (a, b, c, d) = (corner(-1.0, -1.0), corner(1.0, -1.0), corner(1.0, 1.0), corner(-1.0, 1.0));
            [(a, b), (b, c), (c, d), (d, a)]
        });
        let walls = walls.collect();
        (Self { first_metre: 40.05, exponent: 2.4, shadowing: 2.0, direct: 4.0, wall: 2.0, walls }, centres)
    }

    /// A link of a sender of this power in dBm, with its own shadowing.
    pub fn link(&self, sent: f64, from: Place, to: Place, rng: &mut Rng) -> Link {
        let metres = (from.0 - to.0).hypot(from.1 - to.1).max(0.1);
        let walls = self.walls.iter().filter(|wall| cross((from, to), **wall)).map(|_| self.wall).sum::<f64>();
        let loss = self.first_metre + 10.0 * self.exponent * metres.log10() + walls;
        Link { mean: sent - loss + self.shadowing * normal(rng), direct: self.direct }
    }
}

impl Link {
    /// One sample, in dBm.
    pub fn sample(&self, rng: &mut Rng) -> f64 {
        let scattered = (1.0 / (2.0 * (self.direct + 1.0))).sqrt();
        let along = (self.direct / (self.direct + 1.0)).sqrt() + scattered * normal(rng);
        self.mean + 20.0 * along.hypot(scattered * normal(rng)).log10()
    }

    /// So many samples.
    pub fn samples(&self, n: usize, rng: &mut Rng) -> Vec<f64> {
        std::iter::repeat_with(|| self.sample(rng)).take(n).collect()
    }
}

/// A standard normal variable (Box and Muller 1958).
pub(super) fn normal(rng: &mut Rng) -> f64 {
    (-2.0 * (1.0 - rng.f64()).ln()).sqrt() * (std::f64::consts::TAU * rng.f64()).cos()
}

fn cross((a, b): (Place, Place), (c, d): (Place, Place)) -> bool {
    let side = |p: Place, q: Place, r: Place| (q.0 - p.0) * (r.1 - p.1) - (q.1 - p.1) * (r.0 - p.0);
    side(a, b, c) * side(a, b, d) < 0.0 && side(c, d, a) * side(c, d, b) < 0.0
}
