//! Optimal power flows on the chain: solutions are checked as they should be, lies are refused, and rounds pay out.

use crate::street::{Street, genesis, owner, why};
use contracts::chain::{Chain, ChainError, Log, Receipt};
use contracts::dispatch::network::{Conditions, DcBranch, Elements, Generator, Header, Network, Solution};
use contracts::dispatch::{self, Fed, Terms, Verdict, verify};
use contracts::embedded::EmbeddedChain;
use contracts::key::{LocalKey, Signer};
use contracts::tx::Call;
use contracts::{Address, B256, U256};
use domain::{Clock, Timestamp};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

const START: i64 = 1_800_000_000;

/// A flow that PYPOWER solved, with prices from the cone relaxation as Clarabel solved it, and what the contract on anvil
/// said of it.
struct Flow {
    name: String,
    optimum: f64,
    quantum: f64,
    said: Verdict,
    network: Vec<u8>,
    conditions: Vec<u8>,
    solution: Vec<u8>,
}

fn flows() -> Vec<Flow> {
    let all: serde_json::Value = serde_json::from_str(include_str!("../../../vectors/flows.json")).unwrap();
    let bytes = |v: &serde_json::Value| hex::decode(v.as_str().unwrap().trim_start_matches("0x")).unwrap();
    let number = |v: &serde_json::Value| v.as_str().unwrap().parse().unwrap();
    all.as_array()
        .unwrap()
        .iter()
        .map(|v| Flow {
            name: v["name"].as_str().unwrap().to_owned(),
            optimum: v["optimum"].as_f64().unwrap(),
            quantum: v["quantum"].as_f64().unwrap(),
            said: Verdict { cost: number(&v["cost"]), bound: number(&v["bound"]) },
            network: bytes(&v["network"]),
            conditions: bytes(&v["conditions"]),
            solution: bytes(&v["solution"]),
        })
        .collect()
}

fn flow(name: &str) -> Flow {
    flows().into_iter().find(|f| f.name == name).unwrap()
}

impl Flow {
    fn read(&self) -> (Network, Conditions, Solution) {
        let network = Network::unpack(&self.network).unwrap();
        let conditions = Conditions::unpack(&network, &self.conditions).unwrap();
        let solution = Solution::unpack(&network, &self.solution).unwrap();
        (network, conditions, solution)
    }

    /// What the Rust side says of some bytes.
    fn judge(&self, solution: &[u8]) -> Option<Verdict> {
        let network = Network::unpack(&self.network)?;
        let conditions = Conditions::unpack(&network, &self.conditions)?;
        verify(&network, &conditions, &Solution::unpack(&network, solution)?).ok()
    }
}

/// A chain whose time is told, with the contract on it.
struct Grid {
    chain: EmbeddedChain,
    now: Arc<AtomicI64>,
    dispatch: Address,
    _dir: tempfile::TempDir,
}

impl Grid {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let now = Arc::new(AtomicI64::new(START));
        let told = Arc::clone(&now);
        let clock = Clock::new(1, move || Timestamp(told.load(Ordering::SeqCst) * 1000));
        let chain = EmbeddedChain::open(dir.path(), genesis(), clock).unwrap();
        let mut grid = Self { chain, now, dispatch: Address::ZERO, _dir: dir };
        grid.dispatch = grid.send(dispatch::deploy_call()).unwrap().contract.unwrap();
        grid
    }

    fn at(&self, seconds: i64) {
        self.now.store(START + seconds, Ordering::SeqCst);
    }

    fn send(&self, call: Call) -> Result<Receipt, ChainError> {
        self.send_as(&owner(), call)
    }

    fn send_as(&self, key: &LocalKey, call: Call) -> Result<Receipt, ChainError> {
        Street { chain: &self.chain, key: owner(), provider: self.dispatch }.send_as(key, call)
    }

    fn ask(&self, call: &Call) -> Result<Vec<u8>, ChainError> {
        self.chain.call(owner().address(), call)
    }

    fn publish(&self, flow: &Flow) {
        self.send(dispatch::publish(self.dispatch, &flow.network, 50_000)).unwrap();
    }

    fn check(&self, network: u32, flow: &Flow, solution: &[u8]) -> Result<Verdict, ChainError> {
        let answer = self.ask(&dispatch::check(self.dispatch, network, &flow.conditions, solution))?;
        Ok(dispatch::checked(&answer).unwrap())
    }

    /// A player with coin.
    fn player(&self, number: u8) -> LocalKey {
        let key = LocalKey::from_hex(&hex::encode([number; 32])).unwrap();
        let value = U256::from(10).pow(U256::from(18));
        self.send(Call { to: Some(key.address()), value, data: Vec::new() }).unwrap();
        key
    }

    /// Commits to a solution with a stake of 1,000 wei.
    fn commit(&self, round: u32, key: &LocalKey, solution: &[u8]) -> Result<Receipt, ChainError> {
        let hash = dispatch::commitment(round, key.address(), SALT, solution);
        self.send_as(key, dispatch::commit(self.dispatch, round, hash, U256::from(1000)))
    }

    fn reveal(&self, round: u32, key: &LocalKey, flow: &Flow, solution: &[u8]) -> Result<Receipt, ChainError> {
        self.send_as(key, dispatch::reveal(self.dispatch, round, SALT, &flow.conditions, solution))
    }
}

const SALT: B256 = B256::repeat_byte(7);

fn terms() -> Terms {
    let start = START.unsigned_abs();
    Terms {
        commit_until: start + 100,
        reveal_until: start + 200,
        duration: 900,
        stake: U256::from(1000),
        reward: U256::from(5000),
    }
}

#[test]
fn the_contract_and_rust_judge_published_flows_alike_and_prove_how_good_they_are() {
    let grid = Grid::new();
    for (i, flow) in flows().iter().enumerate() {
        grid.publish(flow);
        let said = grid.check(u32::try_from(i + 1).unwrap(), flow, &flow.solution).unwrap();
        assert_eq!(said, flow.said, "{}: the embedded chain says the same as anvil", flow.name);
        let (network, conditions, solution) = flow.read();
        assert_eq!(verify(&network, &conditions, &solution), Ok(said), "{}", flow.name);
        assert_eq!(network.pack().unwrap(), flow.network);
        assert_eq!(conditions.pack().unwrap(), flow.conditions);
        assert_eq!(solution.pack().unwrap(), flow.solution);
        #[expect(clippy::cast_precision_loss, reason = "six digits are compared")]
        let money = |x: i128| x as f64 * 1e-9 * flow.quantum;
        assert!((money(said.cost) / flow.optimum - 1.0).abs() < 2e-5, "{}: {}", flow.name, money(said.cost));
        // A relaxation is no tighter than it is: case3_lmbd is known for its gap.
        let gap = money(said.cost) / money(said.bound) - 1.0;
        let most = if flow.name.ends_with("dc") { 1e-6 } else { 0.0135 };
        assert!((0.0..most).contains(&gap), "{}: gap {gap}", flow.name);
    }
}

#[test]
fn no_prices_prove_more_than_the_optimum() {
    for flow in flows().iter().filter(|f| f.network.len() < 2000) {
        let (network, conditions, solution) = flow.read();
        let mut random = fastrand::Rng::with_seed(11);
        for _ in 0..300 {
            let mut wrong = solution.clone();
            let mut ratios = random.fork();
            let mut shake = |x: &mut i64, by: i64| *x = (*x + random.i64(-by..=by)).clamp(-(1 << 31), (1 << 31) - 1);
            match &mut wrong {
                Solution::Dc { buses, limits, .. } => {
                    buses.iter_mut().for_each(|b| shake(&mut b.1, 1 << 20));
                    limits.iter_mut().for_each(|mu| shake(mu, 1 << 20));
                }
                Solution::Ac { buses, branches, .. } => {
                    for [_, _, lambda, nu] in buses.iter_mut() {
                        shake(lambda, 1 << 24);
                        shake(nu, 1 << 24);
                    }
                    for (ratio, limits) in branches.iter_mut() {
                        limits.iter_mut().flatten().for_each(|u| shake(u, 1 << 22));
                        *ratio = ratios.u64(1..1 << 32);
                    }
                }
            }
            let verdict = verify(&network, &conditions, &wrong).unwrap();
            assert!(verdict.bound <= flow.said.cost, "{}: {verdict:?}", flow.name);
            assert_eq!(verdict.cost, flow.said.cost);
        }
    }
}

#[test]
fn a_solution_with_any_byte_changed_is_judged_alike_by_the_contract_and_by_rust() {
    let grid = Grid::new();
    let all: Vec<Flow> = flows().into_iter().filter(|f| f.network.len() < 2000).collect();
    all.iter().for_each(|flow| grid.publish(flow));
    let mut random = fastrand::Rng::with_seed(12);
    let (mut refused, mut taken) = (0, 0);
    for _ in 0..400 {
        let i = random.usize(0..all.len());
        let flow = &all[i];
        let mut wrong = flow.solution.clone();
        for _ in 0..random.usize(1..4) {
            let at = random.usize(0..wrong.len());
            // The last byte of a field is a small change, any other a large one.
            wrong[at] = wrong[at].wrapping_add(random.u8(..));
        }
        if random.u8(..) < 10 {
            wrong.pop();
        }
        let said = grid.check(u32::try_from(i + 1).unwrap(), flow, &wrong);
        match flow.judge(&wrong) {
            Some(verdict) => {
                assert_eq!(said.unwrap(), verdict, "{}", flow.name);
                taken += 1;
            }
            None => {
                assert!(matches!(said, Err(ChainError::Reverted { .. })), "{}: {said:?}", flow.name);
                refused += 1;
            }
        }
    }
    assert!(refused > 100 && taken > 50, "{refused} refused, {taken} taken: both kinds were tried");
}

#[test]
fn a_round_pays_the_cheapest_that_was_proven_and_takes_the_stake_of_who_did_not_reveal() {
    let grid = Grid::new();
    let flow = flow("case9 ac");
    grid.publish(&flow);
    let opened = grid.send(dispatch::open(grid.dispatch, 1, &flow.conditions, &terms()));
    opened.unwrap();
    let [good, lazy, dear, thief] = [2, 3, 4, 5].map(|n| grid.player(n));
    // Worse by what it leaves unbalanced, and with worthless prices.
    let (network, _, solution) = flow.read();
    let mut worse = solution;
    if let Solution::Ac { buses, powers, .. } = &mut worse {
        powers[0].0 += 20;
        buses.iter_mut().for_each(|b| (b[2], b[3]) = (0, 0));
    }
    let worse = worse.pack().unwrap();
    assert!(flow.judge(&worse).unwrap().cost > flow.said.cost);
    grid.commit(1, &dear, &worse).unwrap();
    grid.commit(1, &lazy, &flow.solution).unwrap();
    grid.commit(1, &good, &flow.solution).unwrap();
    // Whoever copies a commitment cannot reveal it: the hash holds the committer's address.
    let copied = dispatch::commitment(1, good.address(), SALT, &flow.solution);
    grid.send_as(&thief, dispatch::commit(grid.dispatch, 1, copied, U256::from(1000))).unwrap();
    assert_eq!(why(grid.commit(1, &good, &worse)), "AlreadyCommitted()");
    assert_eq!(why(grid.reveal(1, &good, &flow, &flow.solution)), "TooEarly()");

    grid.at(150);
    assert_eq!(why(grid.commit(1, &grid.player(6), &worse)), "TooLate()");
    assert_eq!(why(grid.reveal(1, &thief, &flow, &flow.solution)), "NotCommitted()");
    grid.reveal(1, &dear, &flow, &worse).unwrap();
    let receipt = grid.reveal(1, &good, &flow, &flow.solution).unwrap();
    let revealed = receipt.logs.iter().find_map(dispatch::revealed).unwrap();
    assert_eq!((revealed.cost, revealed.bound), (flow.said.cost, flow.said.bound));
    assert_eq!(why(grid.reveal(1, &good, &flow, &flow.solution)), "NotCommitted()", "once only");
    assert_eq!(why(grid.send(dispatch::close(grid.dispatch, 1))), "TooEarly()");

    grid.at(250);
    let closed = grid.send(dispatch::close(grid.dispatch, 1)).unwrap();
    let ended = closed.logs.iter().find_map(dispatch::dispatched).unwrap();
    assert_eq!(
        (ended.winner, ended.cost, ended.bound, ended.proven),
        (good.address(), flow.said.cost, flow.said.bound, true)
    );
    for key in [&good, &dear] {
        grid.send_as(key, dispatch::reclaim(grid.dispatch, 1)).unwrap();
        assert_eq!(why(grid.send_as(key, dispatch::reclaim(grid.dispatch, 1))), "NothingOwing()");
    }
    for key in [&lazy, &thief] {
        assert_eq!(why(grid.send_as(key, dispatch::reclaim(grid.dispatch, 1))), "NothingOwing()");
    }
    let held = || grid.chain.balance(grid.dispatch).unwrap();
    let paid = |key: &LocalKey| {
        let before = held();
        grid.send_as(key, dispatch::collect(grid.dispatch)).unwrap();
        before - held()
    };
    assert_eq!(paid(&good), U256::from(5000 + 2 * 1000 + 1000), "the reward, two stakes, and the own one back");
    assert_eq!(paid(&dear), U256::from(1000));

    // What was fed in beside what was dispatched: within the band, above it, below it, and below it for want of wind.
    let Solution::Ac { powers, .. } = Solution::unpack(&network, &flow.solution).unwrap() else { panic!("it is AC") };
    let energy = |i: usize| i64::try_from(i128::from(powers[i].0) * 100_000 * 900 / 3_600_000_000).unwrap();
    let fed = [(0, 104, false), (1, 110, false), (2, 50, true)]
        .map(|(i, percent, excused)| Fed { energy: energy(i) * percent / 100, excused });
    let told = dispatch::report(grid.dispatch, 1, SALT, &flow.solution, &fed);
    let complied: Vec<_> = grid.send(told).unwrap().logs.iter().filter_map(dispatch::complied).collect();
    assert_eq!(complied.iter().map(|c| c.complied).collect::<Vec<_>>(), [true, false, true]);
    let payable: Vec<i128> = complied.iter().map(|c| c.payable).collect();
    assert_eq!(payable, [i128::from(fed[0].energy), i128::from(energy(1)), i128::from(fed[2].energy)]);
    let other = dispatch::report(grid.dispatch, 1, SALT, &worse, &fed);
    assert_eq!(why(grid.send(other)), "WrongSolution()");
}

#[test]
fn if_nobody_reveals_all_stakes_and_the_reward_go_back() {
    let grid = Grid::new();
    let flow = flow("case14 dc");
    grid.publish(&flow);
    grid.send(dispatch::open(grid.dispatch, 1, &flow.conditions, &terms())).unwrap();
    let player = grid.player(2);
    grid.commit(1, &player, &flow.solution).unwrap();
    grid.at(250);
    assert_eq!(why(grid.reveal(1, &player, &flow, &flow.solution)), "TooLate()");
    let ended = grid.send(dispatch::close(grid.dispatch, 1)).unwrap();
    let ended = ended.logs.iter().find_map(dispatch::dispatched).unwrap();
    assert_eq!((ended.winner, ended.proven), (Address::ZERO, false));
    grid.send_as(&player, dispatch::reclaim(grid.dispatch, 1)).unwrap();
    grid.send_as(&player, dispatch::collect(grid.dispatch)).unwrap();
    grid.send(dispatch::collect(grid.dispatch)).unwrap();
    assert_eq!(grid.chain.balance(grid.dispatch).unwrap(), U256::ZERO);
}

/// PGLib's `case3_lmbd` at a share of its load: in percent, power of generators 1 and 2 in MW, prices at buses 1 to 3, cost.
/// Solved by active-set enumeration with `b = 1/x`.
const HOURS: [(i64, f64, f64, [f64; 3], f64); 7] = [
    (59, 71.268, 114.582, [20.679; 3], 2168.51),
    (74, 91.864, 141.236, [25.210; 3], 3252.64),
    (86, 108.341, 162.559, [28.835; 3], 4274.09),
    (91, 119.993, 166.657, [31.399, 29.532, 32.685], 4744.61),
    (94, 128.107, 167.993, [33.183, 29.759, 35.543], 5046.22),
    (99, 141.629, 170.221, [36.158, 30.138, 40.306], 5581.77),
    (100, 144.333, 170.667, [36.753, 30.213, 41.259], 5693.80),
];

#[test]
fn three_buses_are_solved_on_the_chain_for_the_hours_of_a_day() {
    let grid = Grid::new();
    let flow = flow("case3_lmbd dc");
    grid.publish(&flow);
    let (_, conditions, _) = flow.read();
    for (round, (percent, first, second, prices, cost)) in (1..).zip(HOURS) {
        let mut hour = conditions.clone();
        hour.demand.iter_mut().for_each(|d| d.0 = d.0 * percent / 100);
        let hour = hour.pack().unwrap();
        grid.send(dispatch::open(grid.dispatch, 1, &hour, &terms())).unwrap();
        let receipt = grid.send(dispatch::solve(grid.dispatch, round, &hour)).unwrap();
        let solved = receipt.logs.iter().find_map(dispatch::solved).unwrap();
        #[expect(clippy::cast_precision_loss, reason = "five digits are compared")]
        let close = |got: i128, scale: f64, wanted: f64| {
            assert!(
                (got as f64 * scale - wanted).abs() <= 6e-4 * wanted.max(10.0) / 10.0,
                "{percent} %: {got} is not {wanted}"
            );
        };
        close(solved.power[0], 1e-7, first);
        close(solved.power[1], 1e-7, second);
        // Prices of a p.u., of 100 MW.
        (0..3).for_each(|i| close(solved.price[i], 1e-9 * flow.quantum / 100.0, prices[i]));
        close(solved.cost, 1e-9 * flow.quantum, cost);
    }
}

/// The cheapest of three generators by nested search, in floats: for every power of the first, what is left is one
/// parabola between two ends.
fn searched(network: &Network, conditions: &Conditions) -> Option<f64> {
    let Elements::Dc { branches, .. } = &network.elements else { return None };
    #[expect(clippy::cast_precision_loss, reason = "the reference is in floats")]
    let f = |x: i64| x as f64;
    let beta = |a: u64, b: u64| {
        let of = |br: &&DcBranch| br.buses == (a, b) || br.buses == (b, a);
        branches.iter().filter(of).map(|br| f(br.susceptance) * 1e-8).sum::<f64>()
    };
    let (b01, b02, b12) = (beta(0, 1), beta(0, 2), beta(1, 2));
    let whole = b01 * b02 + b01 * b12 + b02 * b12;
    let angles = |first: f64, second: f64| {
        [((b01 + b12) * first + b01 * second) / whole, (b01 * first + (b01 + b02) * second) / whole, 0.0]
    };
    let demand: Vec<f64> = conditions.demand.iter().map(|d| f(d.0) * 1e-9).collect();
    let range: Vec<(f64, f64)> = conditions.range.iter().map(|r| (f(r.0) * 1e-9, f(r.1) * 1e-9)).collect();
    let total: f64 = demand.iter().sum();
    let cost = |i: usize, p: f64| {
        #[expect(clippy::cast_precision_loss, reason = "the reference is in floats")]
        let (square, slope) = (network.generators[i].cost.0 as f64, f(network.generators[i].cost.1));
        square * p * p + slope * p
    };
    // Where the second's power may be, given the first's; the ends cross where it may not be anywhere.
    let between = |p0: f64| {
        let (mut low, mut high) = range[1];
        (low, high) = (low.max(total - p0 - range[2].1), high.min(total - p0 - range[2].0));
        for branch in branches {
            let Some((least, most)) = branch.limits else { continue };
            let (i, j) = (usize::try_from(branch.buses.0).unwrap(), usize::try_from(branch.buses.1).unwrap());
            let own = f(branch.susceptance) * 1e-8;
            let at = |p1: f64| {
                let t = angles(p0 - demand[0], p1 - demand[1]);
                own * (t[i] - t[j])
            };
            let (base, tilt) = (at(0.0), at(1.0) - at(0.0));
            let ends = [(f(least) * 1e-9 - base) / tilt, (f(most) * 1e-9 - base) / tilt];
            (low, high) = (low.max(ends[0].min(ends[1])), high.min(ends[0].max(ends[1])));
        }
        (low, high)
    };
    let best = |p0: f64| {
        let (low, high) = between(p0);
        let of = |p1: f64| cost(0, p0) + cost(1, p1) + cost(2, total - p0 - p1);
        let (mut a, mut b) = (low, high);
        for _ in 0..100 {
            let (x, y) = (a + (b - a) / 3.0, b - (b - a) / 3.0);
            if of(x) < of(y) { b = y } else { a = x }
        }
        of((a + b) / 2.0)
    };
    let gap = |p0: f64| between(p0).0 - between(p0).1;
    let search = |mut a: f64, mut b: f64, of: &dyn Fn(f64) -> f64| {
        for _ in 0..200 {
            let (x, y) = (a + (b - a) / 3.0, b - (b - a) / 3.0);
            if of(x) < of(y) { b = y } else { a = x }
        }
        (a + b) / 2.0
    };
    let inside = search(range[0].0, range[0].1, &gap);
    if gap(inside) > -1e-6 {
        return None;
    }
    let edge = |mut inside: f64, mut outside: f64| {
        if gap(outside) <= 0.0 {
            return outside;
        }
        for _ in 0..100 {
            let middle = (inside + outside) / 2.0;
            if gap(middle) <= 0.0 { inside = middle } else { outside = middle }
        }
        inside
    };
    let (low, high) = (edge(inside, range[0].0), edge(inside, range[0].1));
    Some(best(search(low, high, &best)))
}

#[test]
fn three_buses_with_any_limits_are_solved_as_a_search_solves_them() {
    let grid = Grid::new();
    let mut random = fastrand::Rng::with_seed(13);
    let (mut solved, mut congested) = (0, 0);
    for id in 1..=60_u32 {
        let mut share = |least: i64, most: i64| random.i64(least..=most) * 10_000_000;
        let demand: Vec<(i64, i64)> = (0..3).map(|_| (share(0, 120), 0)).collect();
        let range: Vec<(i64, i64)> = (0..3).map(|_| (share(0, 20), share(60, 300))).collect();
        let limit = |low: i64| Some((-low, low));
        let limits = [limit(share(20, 90)), limit(share(20, 90)), limit(share(20, 90))];
        let buses = [(0, 1), (2, 0), (1, 2)];
        let branches = (0..3)
            .map(|k| DcBranch {
                buses: buses[k],
                susceptance: random.i64(50_000_000..500_000_000),
                shift: 0,
                limits: limits[k],
            })
            .collect();
        let generators = (0..3)
            .map(|bus| Generator {
                bus,
                reactive: (0, 0),
                cost: (random.u64(1_000_000..300_000_000), random.i64(10_000_000..400_000_000)),
            })
            .collect();
        let header = Header { constant: 0, slack: 1000, penalty: 1 << 40, tolerance: 1000, kilowatts: 100 };
        let network = Network { header, generators, elements: Elements::Dc { buses: 3, branches } };
        let conditions = Conditions { demand, range };
        grid.send(dispatch::publish(grid.dispatch, &network.pack().unwrap(), 0)).unwrap();
        let answer = grid.ask(&dispatch::optimum(grid.dispatch, id, &conditions.pack().unwrap()));
        match searched(&network, &conditions) {
            None => assert_eq!(why(answer), "NoSolution()"),
            Some(wanted) => {
                let got = dispatch::optimum_of(&answer.unwrap()).unwrap();
                #[expect(clippy::cast_precision_loss, reason = "seven digits are compared")]
                let cost = got.cost as f64 * 1e-9;
                assert!((cost / wanted - 1.0).abs() < 1e-6, "problem {id}: {cost} instead of {wanted}");
                solved += 1;
                congested += u32::from(got.price.iter().any(|p| (p - got.price[0]).abs() > 1_000_000_000));
            }
        }
    }
    assert!(solved > 20 && congested > 10, "{solved} solved, {congested} of them congested");
}

#[test]
fn a_network_that_contradicts_itself_is_not_published() {
    let grid = Grid::new();
    let flow = flow("case9 ac");
    let publish = |bytes: &[u8]| why(grid.send(dispatch::publish(grid.dispatch, bytes, 0)));
    assert_eq!(publish(&[]), "BadNetwork()");
    assert_eq!(publish(&flow.network[..flow.network.len() - 32]), "BadNetwork()");
    let (mut network, ..) = flow.read();
    network.generators[0].bus = 9;
    assert_eq!(publish(&network.pack().unwrap()), "BadNetwork()");
}

#[test]
fn calls_answers_and_events_are_what_ethers_makes_of_them() {
    let all: serde_json::Value = serde_json::from_str(include_str!("../../../vectors/dispatch.json")).unwrap();
    let bytes = |v: &serde_json::Value| hex::decode(v.as_str().unwrap().trim_start_matches("0x")).unwrap();
    let find = |kind: &str, name: &str| {
        all[kind].as_array().unwrap().iter().find(|v| v["name"] == name).unwrap_or_else(|| panic!("no {name}")).clone()
    };
    let word = |v: &serde_json::Value| B256::from_slice(&bytes(v));
    let (network, conditions, solution) = ([0xab; 96], [0xcd; 60], [0xef; 51]);
    let reveal = find("calls", "reveal");
    let (salt, hash) = (word(&reveal["args"][1]), word(&find("calls", "commit")["args"][1]));
    let who: Address = find("events", "Committed")["args"][1].as_str().unwrap().parse().unwrap();
    let at = Address::ZERO;
    let terms = Terms { reward: U256::ZERO, ..terms() };
    let fed = [Fed { energy: 1000, excused: true }, Fed { energy: -1, excused: false }];
    for (name, call) in [
        ("publish", dispatch::publish(at, &network, 50_000)),
        ("open", dispatch::open(at, 1, &conditions, &terms)),
        ("commit", dispatch::commit(at, 7, hash, U256::ZERO)),
        ("reveal", dispatch::reveal(at, 7, salt, &conditions, &solution)),
        ("close", dispatch::close(at, 7)),
        ("reclaim", dispatch::reclaim(at, 7)),
        ("collect", dispatch::collect(at)),
        ("solve", dispatch::solve(at, u32::MAX, &conditions)),
        ("report", dispatch::report(at, 7, salt, &solution, &fed)),
    ] {
        assert_eq!(call.data, bytes(&find("calls", name)["data"]), "{name}");
    }
    for (name, call) in
        [("check", dispatch::check(at, 1, &conditions, &solution)), ("optimum", dispatch::optimum(at, 1, &conditions))]
    {
        assert_eq!(call.data, bytes(&find("views", name)["data"]), "{name}");
    }
    assert_eq!(dispatch::commitment(7, who, salt, &solution), word(&find("views", "commitment")["result"]));
    let verdict = dispatch::checked(&bytes(&find("views", "check")["result"])).unwrap();
    assert_eq!(verdict, Verdict { cost: 1 << 126, bound: -(1 << 126) });
    let optimum = dispatch::optimum_of(&bytes(&find("views", "optimum")["result"])).unwrap();
    let wanted = dispatch::Optimum { power: [1, 2, 3], price: [-4, 5, 6], flow: [7, -8, 9], cost: 10 };
    assert_eq!(optimum, wanted);
    let log = |name: &str| {
        let event = find("events", name);
        let topics = event["topics"].as_array().unwrap().iter().map(word).collect();
        Log { address: at, topics, data: bytes(&event["data"]), block: 1, transaction: B256::ZERO, log_index: 0 }
    };
    let revealed = dispatch::revealed(&log("Revealed")).unwrap();
    assert_eq!((revealed.round, revealed.who, revealed.cost, revealed.bound), (7, who, 1 << 100, -5));
    let ended = dispatch::dispatched(&log("Dispatched")).unwrap();
    assert_eq!((ended.round, ended.winner, ended.cost, ended.bound, ended.proven), (7, who, 1 << 100, 1 << 99, true));
    let solved = dispatch::solved(&log("Solved")).unwrap();
    assert_eq!((solved.round, solved.power, solved.price, solved.cost), (7, [1, 2, 3], [-4, 5, 6], 10));
    let complied = dispatch::complied(&log("Complied")).unwrap();
    assert_eq!((complied.round, complied.generator, complied.dispatched, complied.fed), (7, 2, 100, 110));
    assert_eq!((complied.payable, complied.complied), (100, false));
    assert!(dispatch::revealed(&log("Solved")).is_none());
}
