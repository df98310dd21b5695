//! What `AcProof.sol` and `DcProof.sol` compute, in the same integers: a solution can be judged before it costs gas, and
//! the two are held together by vectors and by chance.

use super::network::{AcBranch, Conditions, DcBranch, Elements, Generator, NO_TANGENT, Network, Solution};
use revm::primitives::I256;
use thiserror::Error;

/// What a solution costs, and what none can cost less than, in 1e-9 quanta an hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Its cost, with what is not balanced at the network's price.
    pub cost: i128,
    /// The bound that its prices prove.
    pub bound: i128,
}

/// Why something is no solution. Indices count from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refused {
    /// It is for another network, or a number does not fit its place.
    #[error("it is not for this network, or a number does not fit its place")]
    Shape,
    /// A voltage is beyond its limits.
    #[error("the voltage at bus {0} is beyond its limits")]
    Voltage(usize),
    /// A power is beyond its limits.
    #[error("generator {0} is beyond its limits")]
    Power(usize),
    /// An angle is beyond its limits.
    #[error("the angle across branch {0} is beyond its limits")]
    Angle(usize),
    /// A flow is beyond its limits.
    #[error("branch {0} carries more than it may")]
    Flow(usize),
    /// A ratio is zero.
    #[error("the ratio of branch {0} is zero")]
    Ratio(usize),
    /// A balance does not close.
    #[error("bus {0} is not balanced")]
    Balance(usize),
}

/// Judges a solution.
///
/// # Errors
/// [`Refused`], for the first thing that is wrong.
pub fn verify(network: &Network, conditions: &Conditions, solution: &Solution) -> Result<Verdict, Refused> {
    let generators = network.generators.len();
    if conditions.demand.len() != network.buses() || conditions.range.len() != generators {
        return Err(Refused::Shape);
    }
    // What does not fit its place cannot be on the chain, and could overflow what follows.
    if network.pack().is_err() || conditions.pack().is_err() || solution.pack().is_err() {
        return Err(Refused::Shape);
    }
    let sums = Sums { cost: unit(network.header.constant), bound: unit(network.header.constant) };
    match (&network.elements, solution) {
        (Elements::Dc { branches, .. }, Solution::Dc { buses, powers, limits }) => {
            let limited = branches.iter().filter(|b| b.limits.is_some()).count();
            if buses.len() != network.buses() || powers.len() != generators || limits.len() != limited {
                return Err(Refused::Shape);
            }
            dc(sums, network, branches, conditions, buses, powers, limits)
        }
        (Elements::Ac { branches, .. }, Solution::Ac { buses, powers, branches: told }) => {
            if buses.len() != network.buses() || powers.len() != generators || told.len() != branches.len() {
                return Err(Refused::Shape);
            }
            ac(sums, network, branches, conditions, buses, powers, told)
        }
        _ => Err(Refused::Shape),
    }
}

struct Sums {
    cost: I256,
    bound: I256,
}

impl Sums {
    /// A generator's cost, and the least that it can cost at a price.
    fn generator(&mut self, unit_of: &Generator, power: i64, range: (i64, i64), price: I256) {
        let (square, slope) = (big(i128::from(unit_of.cost.0)), int(unit_of.cost.1));
        let power = int(power);
        self.cost += slope * power + ceil(square * power * power, unit(1));
        self.bound += parabola(square, slope - price, int(range.0), int(range.1));
    }

    fn verdict(self) -> Verdict {
        let narrow = |x: I256| i128::try_from(x).unwrap_or(if x.is_negative() { i128::MIN } else { i128::MAX });
        Verdict { cost: narrow(self.cost), bound: narrow(self.bound) }
    }
}

fn dc(
    mut sums: Sums,
    network: &Network,
    branches: &[DcBranch],
    conditions: &Conditions,
    buses: &[(i64, i64)],
    powers: &[i64],
    limits: &[i64],
) -> Result<Verdict, Refused> {
    let flow_scale = big(100_000_000);
    let mut left: Vec<I256> = conditions.demand.iter().map(|(p, _)| -int(*p) * flow_scale).collect();
    let mut pull = vec![I256::ZERO; buses.len()];
    for (demand, bus) in conditions.demand.iter().zip(buses) {
        sums.bound += int(bus.1) * int(demand.0);
    }
    for (i, ((generator, power), range)) in network.generators.iter().zip(powers).zip(&conditions.range).enumerate() {
        if power < &range.0 || power > &range.1 {
            return Err(Refused::Power(i));
        }
        let bus = place(generator.bus, buses.len())?;
        left[bus] += int(*power) * flow_scale;
        sums.generator(generator, *power, *range, int(buses[bus].1));
    }
    let mut told = limits.iter();
    for (i, branch) in branches.iter().enumerate() {
        let (from, to) = (place(branch.buses.0, buses.len())?, place(branch.buses.1, buses.len())?);
        let beta = int(branch.susceptance);
        let flow = beta * (int(buses[from].0) - int(buses[to].0) - int(branch.shift));
        let mut kappa = int(buses[from].1) - int(buses[to].1);
        if let Some((low, high)) = branch.limits {
            if flow < int(low) * flow_scale || flow > int(high) * flow_scale {
                return Err(Refused::Flow(i));
            }
            let mu = int(told.next().copied().unwrap_or_default());
            kappa += mu;
            sums.bound -= mu * int(if mu.is_positive() { high } else { low });
        }
        left[from] -= flow;
        left[to] += flow;
        pull[from] += beta * kappa;
        pull[to] -= beta * kappa;
        sums.bound += floor(-(beta * kappa) * int(branch.shift), flow_scale);
    }
    let pulls: I256 = pull.iter().fold(I256::ZERO, |sum, p| sum + size(*p));
    sums.bound -= ceil(pulls * big(1 << 31), flow_scale);
    close(sums, network, &left, &[], flow_scale)
}

/// A bus while it is checked.
struct Node {
    w: I256,
    left: (I256, I256),
    kappa: I256,
}

fn ac(
    mut sums: Sums,
    network: &Network,
    branches: &[AcBranch],
    conditions: &Conditions,
    buses: &[[i64; 4]],
    powers: &[(i64, i64)],
    told: &[(u64, Option<[i64; 4]>)],
) -> Result<Verdict, Refused> {
    let Elements::Ac { buses: limits, .. } = &network.elements else { return Err(Refused::Shape) };
    let flow_scale = big(100_000_000_000_000_000);
    let mut nodes = Vec::with_capacity(buses.len());
    for (i, ((told, bus), demand)) in buses.iter().zip(limits).zip(&conditions.demand).enumerate() {
        let [e, f, lambda, nu] = told.map(int);
        let w = e * e + f * f;
        if w < unit_of(bus.square.0) || w > unit_of(bus.square.1) {
            return Err(Refused::Voltage(i));
        }
        let (gs, bs) = (int(bus.shunt.0), int(bus.shunt.1));
        let (p, q) = (int(demand.0), int(demand.1));
        sums.bound += lambda * p + nu * q;
        let left = (-p * flow_scale - gs * w, -q * flow_scale + bs * w);
        nodes.push(Node { w, left, kappa: lambda * gs - nu * bs });
    }
    for (i, ((generator, power), range)) in network.generators.iter().zip(powers).zip(&conditions.range).enumerate() {
        let (least, most) = generator.reactive;
        if power.0 < range.0 || power.0 > range.1 || power.1 < least || power.1 > most {
            return Err(Refused::Power(i));
        }
        let bus = place(generator.bus, buses.len())?;
        let [_, _, lambda, nu] = buses[bus].map(int);
        nodes[bus].left.0 += int(power.0) * flow_scale;
        nodes[bus].left.1 += int(power.1) * flow_scale;
        sums.generator(generator, power.0, *range, lambda);
        sums.bound -= nu * int(if nu.is_positive() { most } else { least });
    }
    for (i, (branch, (ratio, multipliers))) in branches.iter().zip(told).enumerate() {
        let at = [place(branch.ends[0].bus, buses.len())?, place(branch.ends[1].bus, buses.len())?];
        let [e, f, ..] = buses[at[0]].map(int);
        let [g, h, ..] = buses[at[1]].map(int);
        let (c, s) = (e * g + f * h, f * g - e * h);
        let (low, high) = branch.tangents;
        let tangent = big(8192);
        if (low != NO_TANGENT && (!c.is_positive() || s * tangent < int(low) * c))
            || (high != NO_TANGENT && (!c.is_positive() || s * tangent > int(high) * c))
        {
            return Err(Refused::Angle(i));
        }
        let most = big(i128::from(branch.rating)) * flow_scale;
        let multipliers = multipliers.unwrap_or_default().map(int);
        let (mut gamma, mut sigma) = (I256::ZERO, I256::ZERO);
        for (end, sign) in [(0, 1), (1, -1)] {
            let node = &mut nodes[at[end]];
            let [_, _, lambda, nu] = buses[at[end]].map(int);
            let (x, y) = (lambda + multipliers[2 * end], nu + multipliers[2 * end + 1]);
            let (own, mutual) = (branch.ends[end].own, branch.ends[end].mutual);
            let (g, b, gm, bm) = (int(own.0), int(own.1), int(mutual.0), int(mutual.1));
            let s = s * int(sign);
            let (p, q) = (g * node.w + gm * c + bm * s, gm * s - b * node.w - bm * c);
            if branch.rating != 0 && p * p + q * q > most * most {
                return Err(Refused::Flow(i));
            }
            node.left.0 -= p;
            node.left.1 -= q;
            node.kappa += g * x - b * y;
            gamma += x * gm - y * bm;
            sigma += int(sign) * (x * bm + y * gm);
            let (up, uq) = (multipliers[2 * end], multipliers[2 * end + 1]);
            if !(up.is_zero() && uq.is_zero()) {
                sums.bound -= big(i128::from(branch.rating)) * length(up, uq);
            }
        }
        if *ratio == 0 {
            return Err(Refused::Ratio(i));
        }
        let (rho, ratio) = (length(gamma, sigma), big(i128::from(*ratio)));
        nodes[at[0]].kappa -= ((rho * ratio) >> 32_usize) + I256::ONE;
        nodes[at[1]].kappa -= (rho << 30_usize) / ratio + I256::ONE;
    }
    let parts = nodes.iter().zip(limits).map(|(node, bus)| {
        node.kappa * big(i128::from(if node.kappa.is_positive() { bus.square.0 } else { bus.square.1 }))
    });
    sums.bound += floor(parts.fold(I256::ZERO, |sum, part| sum + part), big(100_000_000));
    let (active, reactive): (Vec<I256>, Vec<I256>) = nodes.iter().map(|n| n.left).unzip();
    close(sums, network, &active, &reactive, flow_scale)
}

/// What is left of the balances is small, and costs.
fn close(
    mut sums: Sums,
    network: &Network,
    active: &[I256],
    reactive: &[I256],
    flow_scale: I256,
) -> Result<Verdict, Refused> {
    let most = big(i128::from(network.header.slack)) * flow_scale;
    let over = |left: &[I256]| left.iter().position(|x| size(*x) > most);
    if let Some(bus) = over(active).into_iter().chain(over(reactive)).min() {
        return Err(Refused::Balance(bus));
    }
    let left = active.iter().chain(reactive).fold(I256::ZERO, |sum, x| sum + size(*x));
    sums.cost += ceil(left * big(i128::from(network.header.penalty)), flow_scale);
    Ok(sums.verdict())
}

fn place(bus: u64, buses: usize) -> Result<usize, Refused> {
    usize::try_from(bus).ok().filter(|b| *b < buses).ok_or(Refused::Shape)
}

fn int(x: i64) -> I256 {
    big(i128::from(x))
}

fn big(x: i128) -> I256 {
    // Every i128 is an I256.
    I256::try_from(x).unwrap_or(I256::ZERO)
}

/// In units of 1e-9.
fn unit(x: i64) -> I256 {
    int(x) * big(1_000_000_000)
}

fn unit_of(x: u64) -> I256 {
    big(i128::from(x)) * big(1_000_000_000)
}

fn size(x: I256) -> I256 {
    if x.is_negative() { -x } else { x }
}

fn floor(x: I256, y: I256) -> I256 {
    let quotient = x / y;
    if (x % y).is_negative() { quotient - I256::ONE } else { quotient }
}

/// Up, for x that is not negative.
fn ceil(x: I256, y: I256) -> I256 {
    (x + y - I256::ONE) / y
}

/// See `Packed.parabola`.
fn parabola(square: I256, slope: I256, low: I256, high: I256) -> I256 {
    let twice = square + square;
    let vertex = -slope * unit(1);
    let mut x = low;
    if vertex > low * twice {
        if vertex < high * twice {
            return floor(-(slope * slope) * unit(1), twice + twice);
        }
        x = high;
    }
    slope * x + square * x * x / unit(1)
}

/// See `Packed.length`.
fn length(x: I256, y: I256) -> I256 {
    let square = x * x + y * y;
    let (a, b) = (size(x), size(y));
    let (most, least) = if b > a { (b, a) } else { (a, b) };
    let mut z = most + (least >> 1_usize);
    for _ in 0..3 {
        z = (z + square.checked_div(z).unwrap_or(I256::ZERO)) >> 1_usize;
    }
    z + I256::ONE
}
