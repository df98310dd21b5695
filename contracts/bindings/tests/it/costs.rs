//! What everything costs, in fixed scenes on a bare machine: Osaka rules, the base of a transaction included.

use crate::machine::{CHAIN_ID, Machine};
use crate::provers;
use contracts::dispatch;
use contracts::key::{LocalKey, Signer};
use contracts::operator::{self, Position, Reading, Roles};
use contracts::provider::{self, Item, Prices, Steps, Terms};
use contracts::tou::{self, Post};
use contracts::tx::Call;
use contracts::{Address, B256, U256};
use domain::{Money, Price, WattHours};

const PRICES: Prices = Prices { off_peak: Price(200), peak: Price(300), feed_in: Price(80) };
const WINDOW: u32 = 7 * 86_400;
const HOLDER: Address = Address::repeat_byte(2);
const GATEWAY: Address = Address::repeat_byte(3);
const MEMBER: Address = Address::repeat_byte(4);

fn one() -> U256 {
    U256::from(1_000)
}

struct Scene {
    machine: Machine,
    owner: Address,
    provider: Address,
}

impl Scene {
    fn new(accounts: u32, terms: &Terms) -> Self {
        let owner = Address::repeat_byte(1);
        let machine = Machine::new(&[owner, HOLDER, GATEWAY, MEMBER]);
        Self::on(machine, owner, accounts, terms)
    }

    fn on(machine: Machine, owner: Address, accounts: u32, terms: &Terms) -> Self {
        let provider = machine.deploy(owner, provider::deploy_under(one(), PRICES, Money(0), terms).unwrap());
        let scene = Self { machine, owner, provider };
        let all: Vec<(u32, B256)> = (1..=accounts).map(|n| (n, B256::from(U256::from(n)))).collect();
        all.chunks(100).for_each(|some| _ = scene.gas(provider::open_many(provider, some)));
        scene
    }

    fn gas(&self, call: Call) -> u64 {
        self.gas_of(self.owner, call)
    }

    fn gas_of(&self, from: Address, call: Call) -> u64 {
        self.machine.send(from, call).unwrap().gas
    }

    fn deposit(&self, number: u32, units: i64) -> u64 {
        self.gas(provider::deposit(self.provider, number, Money(units), one()).unwrap())
    }

    /// The `round`th settlement of all accounts: 4 kWh each, in three registers.
    fn settle(&self, accounts: u32, round: i64, charge: i64) -> u64 {
        let wh = |n: u32, step: i64| WattHours(100_000 + step * round + i64::from(n * 37 % 500));
        let item = |number: u32| Item {
            number,
            off_peak: wh(number, 1_200),
            peak: wh(number, 2_300),
            feed_in: wh(number, 700),
            charge: Money(charge * i64::from(number)),
        };
        let items: Vec<Item> = (1..=accounts).map(item).collect();
        let sequence = u64::try_from(round).unwrap();
        self.gas(provider::settle(self.provider, sequence, 1, B256::ZERO, &items).unwrap())
    }
}

/// Name and gas of every row, in a fixed order.
pub fn measure() -> Vec<(String, u64)> {
    let mut rows = Vec::new();
    settlements(&mut rows);
    records(&mut rows);
    customers(&mut rows);
    grid(&mut rows);
    flows(&mut rows);
    locations(&mut rows);
    ranges(&mut rows);
    rows
}

fn settlements(rows: &mut Vec<(String, u64)>) {
    for accounts in [1, 10, 100, 500] {
        let scene = Scene::new(accounts, &Terms::default());
        (1..=accounts).for_each(|n| _ = scene.deposit(n, 1_000_000_000));
        // The second settlement is the one that recurs: all registers are non-zero before and after.
        scene.settle(accounts, 1, 0);
        rows.push((format!("settle {accounts}"), scene.settle(accounts, 2, 0)));
        rows.push((format!("settle {accounts}, charges"), scene.settle(accounts, 3, 12_345)));
    }
    let scene = Scene::new(100, &Terms::default());
    (1..=2).for_each(|round| _ = scene.settle(100, round, 0));
    rows.push(("settle 100, all in debt".into(), scene.settle(100, 3, 0)));
    let scene = Scene::new(100, &Terms::default());
    scene.settle(100, 1, 0);
    (1..=100).for_each(|n| _ = scene.deposit(n, 60_000_000));
    rows.push(("settle 100, all run out".into(), scene.settle(100, 2, 1_000_000)));
}

/// A quarter of an hour of 2,000 households: some Wh in one of the import registers, every third feeds in.
fn records(rows: &mut Vec<(String, u64)>) {
    let scene = Scene::new(0, &Terms::default());
    let step = |n: u64| [20 + n * 7 % 400, 0, if n.is_multiple_of(3) { n * 13 % 700 } else { 0 }];
    let steps = Steps((0..2_000).map(step).collect());
    for sequence in 1..=2 {
        let gas = scene.gas(provider::record(scene.provider, sequence, B256::repeat_byte(7), &steps));
        if sequence == 2 {
            rows.push(("record 2000".into(), gas));
        }
    }
}

fn customers(rows: &mut Vec<(String, u64)>) {
    let (owner, meter) = (Address::repeat_byte(1), LocalKey::from_hex(&"11".repeat(32)).unwrap());
    let machine = Machine::new(&[owner, HOLDER, GATEWAY, MEMBER]);
    let registry = machine.deploy(owner, operator::deploy_call());
    let terms = Terms { registry, window: WINDOW, exit_delay: 86_400, ..Terms::default() };
    let scene = Scene::on(machine, owner, 0, &terms);
    let at = scene.provider;
    let mut row = |name: &str, gas: u64| rows.push((name.to_owned(), gas));
    row("open", scene.gas(provider::open(at, 1, B256::repeat_byte(9))));
    row("open, name its holder", scene.gas(provider::set_holder(at, 1, HOLDER)));
    let numbers: Vec<u32> = (1_001..=1_100).collect();
    let named: Vec<_> = numbers.iter().map(|n| (*n, B256::from(U256::from(*n)))).collect();
    scene.gas(provider::open_many(at, &named));
    let holders: Vec<_> = numbers.iter().map(|n| (*n, HOLDER)).collect();
    row("name 100 holders", scene.gas(provider::set_holders(at, &holders)));
    row("deposit, first", scene.deposit(1, 3_000_000));
    row("deposit", scene.deposit(1, 3_000_000_000));
    let point = B256::repeat_byte(5);
    scene.gas(operator::route(registry, point, at, 1, Address::ZERO));
    scene.gas(operator::put_meter(registry, point, meter.address(), Position::default(), 0));
    scene.settle(1, 1, 0);
    row("contest", scene.gas_of(HOLDER, provider::contest(at, 1)));
    scene.machine.wait(3_600);
    let reading = Reading { time: scene.machine.now(), imported: 50_000, exported: 0 };
    let seal = reading.sign(CHAIN_ID, registry, &meter).unwrap();
    row("overturn", scene.gas_of(HOLDER, provider::overturn(at, 1, &reading, &seal)));
    scene.settle(1, 2, 0);
    scene.machine.wait(u64::from(3 * WINDOW));
    scene.settle(1, 3, 0);
    row("withdraw", scene.gas(provider::withdraw(at, owner, Money(1_000)).unwrap()));
    scene.gas(provider::set_member(at, MEMBER, 1, None));
    scene.gas(provider::set_member(at, owner, 2, None));
    row("share out to 2", scene.gas(provider::share_out(at)));
    row("claim", scene.gas_of(MEMBER, provider::claim(at, MEMBER)));
    row("close", scene.gas_of(HOLDER, provider::close(at, 1)));
    scene.machine.wait(86_400);
    row("refund", scene.gas_of(HOLDER, provider::refund(at, 1)));
}

fn grid(rows: &mut Vec<(String, u64)>) {
    let scene = Scene::new(1, &Terms::default());
    let at = scene.machine.deploy(scene.owner, operator::deploy_call());
    scene.gas(operator::set_roles(at, GATEWAY, Roles { gateway: true, prover: false }));
    let points: Vec<B256> = (1..=10).map(B256::repeat_byte).collect();
    for (number, point) in (1..).zip(&points) {
        scene.gas(operator::route(at, *point, scene.provider, number, GATEWAY));
    }
    let all = |closed| points.iter().map(|p| (*p, closed)).collect::<Vec<_>>();
    scene.gas_of(GATEWAY, operator::attest_many(at, &all(true)));
    scene.machine.wait(60);
    let mut row = |name: &str, gas: u64| rows.push((name.to_owned(), gas));
    row("order a disconnection", scene.gas(operator::order(at, points[0], true)));
    row("attest the open switch", scene.gas_of(GATEWAY, operator::attest(at, points[0], false)));
    row("attest 10 switches", scene.gas_of(GATEWAY, operator::attest_many(at, &all(true))));
}

/// Power flows: published, judged in a transaction of its own and in a round, and solved.
fn flows(rows: &mut Vec<(String, u64)>) {
    let all: serde_json::Value = serde_json::from_str(include_str!("../../../vectors/flows.json")).unwrap();
    let bytes = |v: &serde_json::Value| hex::decode(v.as_str().unwrap().trim_start_matches("0x")).unwrap();
    let owner = Address::repeat_byte(1);
    let machine = Machine::new(&[owner, MEMBER]);
    let at = machine.deploy(owner, dispatch::deploy_call());
    let gas_of = |from: Address, call: Call| machine.send(from, call).unwrap().gas;
    let (salt, stake) = (B256::repeat_byte(7), U256::from(1_000));
    let mut round = 0;
    for (number, flow) in (1..).zip(all.as_array().unwrap()) {
        let name = flow["name"].as_str().unwrap();
        let [network, conditions, solution] = ["network", "conditions", "solution"].map(|k| bytes(&flow[k]));
        rows.push((format!("publish {name}"), gas_of(owner, dispatch::publish(at, &network, 50_000))));
        rows.push((format!("check {name}"), gas_of(owner, dispatch::check(at, number, &conditions, &solution))));
        let open = || {
            let (now, reward) = (machine.now(), U256::ZERO);
            let terms =
                dispatch::Terms { commit_until: now + 100, reveal_until: now + 200, duration: 900, stake, reward };
            gas_of(owner, dispatch::open(at, number, &conditions, &terms))
        };
        open();
        round += 1;
        let hash = dispatch::commitment(round, MEMBER, salt, &solution);
        let commit = gas_of(MEMBER, dispatch::commit(at, round, hash, stake));
        machine.wait(150);
        let reveal = gas_of(MEMBER, dispatch::reveal(at, round, salt, &conditions, &solution));
        rows.push((format!("reveal {name}"), reveal));
        machine.wait(100);
        let close = gas_of(MEMBER, dispatch::close(at, round));
        if number == 1 {
            rows.push(("commit to a flow".into(), commit));
            rows.push(("close a round of flows".into(), close));
            open();
            round += 1;
            rows.push((format!("solve {name}"), gas_of(MEMBER, dispatch::solve(at, round, &conditions))));
        }
    }
}

/// Proofs of location: all of one, and of nine provers every step.
fn locations(rows: &mut Vec<(String, u64)>) {
    for drawn in [3, 5, 7, 9] {
        let parts = provers::cost(drawn);
        rows.push((format!("prove a place by {drawn}"), parts.iter().map(|part| part.1).sum()));
        if drawn == 9 {
            rows.extend(parts.into_iter().map(|(name, gas)| (format!("prove a place: {name}"), gas)));
        }
    }
}

/// Days of the vectors: asked for in a transaction that does nothing else, posted, and agreed to by the other gateway of two.
/// The third day is the one that recurs: its words are those of the first.
fn ranges(rows: &mut Vec<(String, u64)>) {
    let all: serde_json::Value = serde_json::from_str(include_str!("../../../vectors/tou.json")).unwrap();
    let owner = Address::repeat_byte(1);
    for (slots, clusters) in [(24, 2), (24, 3), (48, 2), (48, 3), (96, 2), (96, 3)] {
        let name = format!("a day of {slots}");
        let mut days = all["kmeans"].as_array().unwrap().iter();
        let day = days.find(|c| c["name"] == name.as_str() && c["k"] == clusters).unwrap();
        let values: Vec<i32> = serde_json::from_value(day["values"].clone()).unwrap();
        let found = tou::kmeans_here(&values, clusters).unwrap();
        rows.push((format!("ranges {slots}/{clusters}"), found.gas));
        let machine = Machine::new(&[owner, GATEWAY, MEMBER]);
        let at = machine.deploy(owner, tou::deploy_call(60));
        let send = |from: Address, call: Call| machine.send(from, call).unwrap().gas;
        for who in [GATEWAY, MEMBER] {
            send(owner, tou::set_gateway(at, who, true));
        }
        let mut last = (0, 0);
        for round in 1..=3 {
            let now = u32::try_from(machine.now() / 60).unwrap();
            let post = Post {
                round,
                starts_at: now + 60,
                slot_minutes: u16::try_from(1_440 / slots).unwrap(),
                data: (now - 9_000, now),
                clusters,
                model: B256::repeat_byte(6),
                labels: found.ranges.labels.clone(),
                values: values.clone(),
            };
            let posted = send(GATEWAY, tou::post(at, &post));
            last = (posted, send(MEMBER, tou::attest(at, round, tou::forecast_hash(&values), post.model)));
            machine.wait(86_400);
        }
        rows.push((format!("post ranges {slots}/{clusters}"), last.0));
        if (slots, clusters) == (24, 3) {
            rows.push(("agree to ranges".into(), last.1));
        }
    }
}
