//! A network, the conditions of a round and a solution, as bytes; all numbers are integers in the contract's scales.

use super::word::{Fields, Word};
use thiserror::Error;

/// Power and voltage: 1e-9 p.u.
pub const POWER: f64 = 1e9;
/// Admittance: 1e-8 p.u.
pub const ADMITTANCE: f64 = 1e8;
/// The ratio t of a branch: 2^-31.
pub const RATIO: f64 = 2_147_483_648.0;
/// Tangents of angles: 1/8192.
pub const TANGENT: f64 = 8192.0;
/// No limit of an angle.
pub const NO_TANGENT: i64 = -32_768;

/// A number that its place cannot hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{what} {value} does not fit {bits} bits: choose another base power or quantum")]
pub struct Unpackable {
    /// Which.
    pub what: &'static str,
    /// The number.
    pub value: i128,
    /// What there is room for.
    pub bits: usize,
}

/// What holds for the whole network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Cost that is always there, in quanta an hour.
    pub constant: i64,
    /// What may be left of a balance.
    pub slack: u64,
    /// What is left costs this, in quanta an hour and p.u.
    pub penalty: u64,
    /// How far the cost may be above the bound to be proven, in 1e-9 of the bound.
    pub tolerance: u64,
    /// Kilowatts in a p.u.
    pub kilowatts: u64,
}

/// A bus of an AC network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcBus {
    /// Shunt conductance and susceptance.
    pub shunt: (i64, i64),
    /// Least and highest squared voltage.
    pub square: (u64, u64),
}

/// A generator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generator {
    /// Its bus, from 0.
    pub bus: u64,
    /// Least and highest reactive power.
    pub reactive: (i64, i64),
    /// Cost: quanta an hour per p.u. squared, never negative, and per p.u.
    pub cost: (u64, i64),
}

/// One end of a branch: conductance and susceptance towards itself and towards the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// The bus, from 0.
    pub bus: u64,
    /// Re and Im of the diagonal entry.
    pub own: (i64, i64),
    /// Re and Im of the entry towards the other end.
    pub mutual: (i64, i64),
}

/// A branch of an AC network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcBranch {
    /// Its ends.
    pub ends: [End; 2],
    /// Apparent power that it may carry at each end; 0 for any.
    pub rating: u64,
    /// Least and highest tangent of the angle across it; [`NO_TANGENT`] for none.
    pub tangents: (i64, i64),
}

/// A branch of a DC network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DcBranch {
    /// Its buses, from 0.
    pub buses: (u64, u64),
    /// Its susceptance.
    pub susceptance: i64,
    /// The shift of its angle, 1e-9 rad.
    pub shift: i64,
    /// Least and highest flow.
    pub limits: Option<(i64, i64)>,
}

/// What stands between the buses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Elements {
    /// The linear model.
    Dc {
        /// How many buses.
        buses: u64,
        /// The branches.
        branches: Vec<DcBranch>,
    },
    /// The full one.
    Ac {
        /// The buses.
        buses: Vec<AcBus>,
        /// The branches.
        branches: Vec<AcBranch>,
    },
}

/// A network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// What holds for all of it.
    pub header: Header,
    /// Its generators.
    pub generators: Vec<Generator>,
    /// Its buses and branches.
    pub elements: Elements,
}

impl Network {
    /// How many buses it has.
    #[must_use]
    pub fn buses(&self) -> usize {
        match &self.elements {
            Elements::Dc { buses, .. } => usize::try_from(*buses).unwrap_or(0),
            Elements::Ac { buses, .. } => buses.len(),
        }
    }

    /// The bytes that the contract keeps.
    ///
    /// # Errors
    /// [`Unpackable`].
    pub fn pack(&self) -> Result<Vec<u8>, Unpackable> {
        let h = &self.header;
        let (kind, branches) = match &self.elements {
            Elements::Dc { branches, .. } => (0, branches.len()),
            Elements::Ac { branches, .. } => (1, branches.len()),
        };
        let mut out = Word::default()
            .unsigned("kind", kind, 8)?
            .unsigned("number of buses", self.buses() as u64, 16)?
            .unsigned("number of generators", self.generators.len() as u64, 16)?
            .unsigned("number of branches", branches as u64, 16)?
            .signed("constant cost", h.constant, 64)?
            .unsigned("slack", h.slack, 32)?
            .unsigned("penalty", h.penalty, 48)?
            .unsigned("tolerance", h.tolerance, 32)?
            .unsigned("base power in kW", h.kilowatts, 24)?
            .bytes(32);
        if let Elements::Ac { buses, .. } = &self.elements {
            for bus in buses {
                let word = Word::default()
                    .signed("shunt", bus.shunt.0, 48)?
                    .signed("shunt", bus.shunt.1, 48)?
                    .unsigned("squared voltage", bus.square.0, 40)?
                    .unsigned("squared voltage", bus.square.1, 40)?;
                out.extend(word.bytes(32));
            }
        }
        for generator in &self.generators {
            let word = Word::default()
                .unsigned("bus", generator.bus, 16)?
                .signed("reactive power", generator.reactive.0, 40)?
                .signed("reactive power", generator.reactive.1, 40)?
                .unsigned("cost per p.u. squared", generator.cost.0, 48)?
                .signed("cost per p.u.", generator.cost.1, 48)?;
            out.extend(word.bytes(32));
        }
        match &self.elements {
            Elements::Dc { branches, .. } => {
                for branch in branches {
                    let limits = branch.limits.unwrap_or_default();
                    let word = Word::default()
                        .unsigned("bus", branch.buses.0, 16)?
                        .unsigned("bus", branch.buses.1, 16)?
                        .signed("susceptance", branch.susceptance, 56)?
                        .signed("shift", branch.shift, 40)?
                        .signed("limit", limits.0, 40)?
                        .signed("limit", limits.1, 40)?
                        .unsigned("limited", branch.limits.is_some().into(), 8)?;
                    out.extend(word.bytes(32));
                }
            }
            Elements::Ac { branches, .. } => {
                for branch in branches {
                    let [near, far] = branch.ends;
                    out.extend(end(near)?.unsigned("rating", branch.rating, 40)?.bytes(32));
                    let far = end(far)?.signed("tangent", branch.tangents.0, 16)?;
                    out.extend(far.signed("tangent", branch.tangents.1, 16)?.bytes(32));
                }
            }
        }
        Ok(out)
    }

    /// Reads such bytes; `None` if they are none.
    #[must_use]
    pub fn unpack(bytes: &[u8]) -> Option<Self> {
        let f = &mut Fields::new(bytes);
        let kind = f.unsigned(8);
        let (buses, generators, branches) = (f.unsigned(16), f.unsigned(16), f.unsigned(16));
        let words = 1 + generators + if kind == 1 { buses + 2 * branches } else { branches };
        if kind > 1 || u64::try_from(bytes.len()).ok()? != 32 * words {
            return None;
        }
        let header = Header {
            constant: f.signed(64),
            slack: f.unsigned(32),
            penalty: f.unsigned(48),
            tolerance: f.unsigned(32),
            kilowatts: f.unsigned(24),
        };
        let f = &mut Fields::new(bytes.get(32..)?);
        let mut nodes = Vec::new();
        for _ in 0..if kind == 1 { buses } else { 0 } {
            nodes.push(AcBus { shunt: (f.signed(48), f.signed(48)), square: (f.unsigned(40), f.unsigned(40)) });
            f.skip(10);
        }
        let mut units = Vec::new();
        for _ in 0..generators {
            let bus = f.unsigned(16);
            let reactive = (f.signed(40), f.signed(40));
            units.push(Generator { bus, reactive, cost: (f.unsigned(48), f.signed(48)) });
            f.skip(8);
        }
        let elements = if kind == 1 {
            let mut lines = Vec::new();
            for _ in 0..branches {
                let near = read_end(f);
                let rating = f.unsigned(40);
                f.skip(1);
                let far = read_end(f);
                let tangents = (f.signed(16), f.signed(16));
                f.skip(2);
                lines.push(AcBranch { ends: [near, far], rating, tangents });
            }
            Elements::Ac { buses: nodes, branches: lines }
        } else {
            let mut lines = Vec::new();
            for _ in 0..branches {
                let ends = (f.unsigned(16), f.unsigned(16));
                let (susceptance, shift) = (f.signed(56), f.signed(40));
                let limits = (f.signed(40), f.signed(40));
                let limited = f.unsigned(8) != 0;
                f.skip(5);
                lines.push(DcBranch { buses: ends, susceptance, shift, limits: limited.then_some(limits) });
            }
            Elements::Dc { buses, branches: lines }
        };
        Some(Self { header, generators: units, elements })
    }
}

fn end(end: End) -> Result<Word, Unpackable> {
    Word::default()
        .unsigned("bus", end.bus, 16)?
        .signed("conductance", end.own.0, 48)?
        .signed("susceptance", end.own.1, 48)?
        .signed("conductance", end.mutual.0, 48)?
        .signed("susceptance", end.mutual.1, 48)
}

fn read_end(f: &mut Fields<'_>) -> End {
    End { bus: f.unsigned(16), own: (f.signed(48), f.signed(48)), mutual: (f.signed(48), f.signed(48)) }
}

/// What a round is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conditions {
    /// Active and reactive power that every bus takes.
    pub demand: Vec<(i64, i64)>,
    /// Least and highest active power of every generator.
    pub range: Vec<(i64, i64)>,
}

impl Conditions {
    /// The bytes that a round is opened with.
    ///
    /// # Errors
    /// [`Unpackable`].
    pub fn pack(&self) -> Result<Vec<u8>, Unpackable> {
        let mut out = Vec::with_capacity(10 * (self.demand.len() + self.range.len()));
        for (first, second) in self.demand.iter().chain(&self.range) {
            out.extend(Word::default().signed("power", *first, 40)?.signed("power", *second, 40)?.bytes(10));
        }
        Ok(out)
    }

    /// Reads them, for a network; `None` if they are none.
    #[must_use]
    pub fn unpack(network: &Network, bytes: &[u8]) -> Option<Self> {
        let (buses, generators) = (network.buses(), network.generators.len());
        if bytes.len() != 10 * (buses + generators) {
            return None;
        }
        let f = &mut Fields::new(bytes);
        let mut pairs = |n: usize| (0..n).map(|_| (f.signed(40), f.signed(40))).collect();
        Some(Self { demand: pairs(buses), range: pairs(generators) })
    }
}

/// A solution with its prices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Solution {
    /// Of a DC network.
    Dc {
        /// Angle (1e-9 rad) and price (quanta) of every bus.
        buses: Vec<(i64, i64)>,
        /// Power of every generator.
        powers: Vec<i64>,
        /// Multiplier of every limited branch: positive at its upper limit, negative at its lower.
        limits: Vec<i64>,
    },
    /// Of an AC network.
    Ac {
        /// Voltage e + jf, price of active and of reactive power of every bus.
        buses: Vec<[i64; 4]>,
        /// Active and reactive power of every generator.
        powers: Vec<(i64, i64)>,
        /// Of every branch: t, and, if it has a rating, the multipliers of active and reactive power at both ends.
        branches: Vec<(u64, Option<[i64; 4]>)>,
    },
}

impl Solution {
    /// The bytes that are committed to and revealed.
    ///
    /// # Errors
    /// [`Unpackable`].
    pub fn pack(&self) -> Result<Vec<u8>, Unpackable> {
        let mut out = Vec::new();
        match self {
            Self::Dc { buses, powers, limits } => {
                for (angle, price) in buses {
                    out.extend(Word::default().signed("angle", *angle, 32)?.signed("price", *price, 32)?.bytes(8));
                }
                for power in powers {
                    out.extend(Word::default().signed("power", *power, 40)?.bytes(5));
                }
                for multiplier in limits {
                    out.extend(Word::default().signed("multiplier", *multiplier, 32)?.bytes(4));
                }
            }
            Self::Ac { buses, powers, branches } => {
                for [e, f, lambda, nu] in buses {
                    let word = Word::default().signed("voltage", *e, 32)?.signed("voltage", *f, 32)?;
                    out.extend(word.signed("price", *lambda, 32)?.signed("price", *nu, 32)?.bytes(16));
                }
                for (active, reactive) in powers {
                    let word = Word::default().signed("power", *active, 40)?;
                    out.extend(word.signed("reactive power", *reactive, 40)?.bytes(10));
                }
                for (ratio, limits) in branches {
                    let mut word = Word::default().unsigned("ratio", *ratio, 32)?;
                    for multiplier in limits.iter().flatten() {
                        word = word.signed("multiplier", *multiplier, 32)?;
                    }
                    out.extend(word.bytes(if limits.is_some() { 20 } else { 4 }));
                }
            }
        }
        Ok(out)
    }

    /// Reads them, for a network; `None` if they are none.
    #[must_use]
    pub fn unpack(network: &Network, bytes: &[u8]) -> Option<Self> {
        let f = &mut Fields::new(bytes);
        let (buses, generators) = (network.buses(), network.generators.len());
        let solution = match &network.elements {
            Elements::Dc { branches, .. } => Self::Dc {
                buses: (0..buses).map(|_| (f.signed(32), f.signed(32))).collect(),
                powers: (0..generators).map(|_| f.signed(40)).collect(),
                limits: branches.iter().filter(|b| b.limits.is_some()).map(|_| f.signed(32)).collect(),
            },
            Elements::Ac { branches, .. } => {
                let four = |f: &mut Fields<'_>| [f.signed(32), f.signed(32), f.signed(32), f.signed(32)];
                Self::Ac {
                    buses: (0..buses).map(|_| four(f)).collect(),
                    powers: (0..generators).map(|_| (f.signed(40), f.signed(40))).collect(),
                    branches: branches.iter().map(|b| (f.unsigned(32), (b.rating != 0).then(|| four(f)))).collect(),
                }
            }
        };
        (f.at() == bytes.len()).then_some(solution)
    }
}
