//! A meter, and provers around it, under test.

use crate::machine::{CHAIN_ID, Machine, Ran};
use contracts::chain::Chain;
use contracts::key::{LocalKey, Signer};
use contracts::location::{self, Drawn, Located, Terms};
use contracts::operator::{self, Position, Roles};
use contracts::tx::Call;
use contracts::{Address, B256, U256, keccak256};
use solvers::locate::{Limits, Sighting};

pub const OPERATOR: Address = Address::repeat_byte(0xa1);
pub const REQUESTER: Address = Address::repeat_byte(0xa2);
pub const SINK: Address = Address::repeat_byte(0xa3);
/// Where the meter is registered.
pub const CLAIM: (i32, i32) = (12_345, -6_789);
pub const DEPOSIT: u128 = 40_000;
pub const REWARD: u128 = 1_000;

/// What a prover says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Says {
    /// A distance, in millimetres; zero for nothing heard.
    Distance(u32),
    /// It commits, and reveals nothing.
    Withheld(u32),
    /// It commits nothing.
    Silence,
}

pub struct Ring {
    pub machine: Machine,
    pub registry: Address,
    pub at: Address,
    pub terms: Terms,
    pub meter: LocalKey,
    /// Who, and where.
    pub provers: Vec<(Address, (i32, i32))>,
}

pub fn limits() -> Limits {
    Limits::by_covariance(0.22, 0.01, 18.0)
}

pub fn far(a: (i32, i32), b: (i32, i32)) -> u32 {
    let (x, y) = (f64::from(a.0 - b.0), f64::from(a.1 - b.1));
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let whole = x.hypot(y) as u32;
    whole.max(1)
}

/// The places of the bits that are set.
pub fn places(bits: u64) -> Vec<u8> {
    (0..64).filter(|i| bits >> i & 1 == 1).collect()
}

/// What somebody commits for a request: nobody else knows it.
pub fn number(id: u64, who: Address) -> U256 {
    keccak256([&id.to_be_bytes()[..], who.as_slice()].concat()).into()
}

pub fn salt(id: u64, who: Address) -> B256 {
    keccak256(number(id, who).to_be_bytes::<32>())
}

impl Ring {
    /// So many provers 12 to 40 m around the meter, of whom so many are drawn.
    pub fn new(provers: u8, drawn: u8) -> Self {
        Self::timed(provers, drawn, [600, 300, 120, 180])
    }

    /// With so many seconds to apply, to reveal numbers, to measure, and to reveal distances.
    pub fn timed(provers: u8, drawn: u8, [apply, reveal, measure, open]: [u32; 4]) -> Self {
        let provers: Vec<(Address, (i32, i32))> = (0..provers)
            .map(|i| {
                let (angle, range) = (2.4 * f64::from(i), 12_000.0 + f64::from(u32::from(i) * 7_919 % 28_000));
                #[allow(clippy::cast_possible_truncation)]
                let at = |v: f64| (range * v) as i32;
                (Address::repeat_byte(i + 1), (CLAIM.0 + at(angle.cos()), CLAIM.1 + at(angle.sin())))
            })
            .collect();
        let people: Vec<Address> = provers.iter().map(|p| p.0).chain([OPERATOR, REQUESTER, SINK]).collect();
        let machine = Machine::new(&people);
        machine.mine();
        let send = |call| machine.send(OPERATOR, call).unwrap();
        let registry = machine.deploy(OPERATOR, operator::deploy_call());
        let limits = limits();
        let terms = Terms {
            registry,
            sink: SINK,
            provers: drawn,
            deposit: DEPOSIT,
            reward: REWARD,
            range: 60_000,
            apply,
            reveal,
            measure,
            open,
            off: limits.off,
            reach: limits.reach,
            left: limits.left,
        };
        let at = machine.deploy(OPERATOR, location::deploy_call(&terms));
        let meter = LocalKey::from_hex(&"5e".repeat(32)).unwrap();
        let position = Position { east: CLAIM.0, north: CLAIM.1, up: 1_500 };
        send(operator::put_meter(registry, B256::repeat_byte(7), meter.address(), position, 0));
        for (who, place) in &provers {
            send(operator::set_roles(registry, *who, Roles { gateway: false, prover: true }));
            send(location::set_anchor(at, *who, Some(*place)));
        }
        Self { machine, registry, at, terms, meter, provers }
    }

    pub fn send(&self, from: Address, call: Call) -> Result<Ran, String> {
        self.machine.send(from, call)
    }

    pub fn commitment(&self, id: u64, who: Address, value: U256, salt: B256) -> B256 {
        location::commitment(CHAIN_ID, self.at, id, who, value, salt)
    }

    pub fn signed(&self, number: u64, requester: Address) -> [u8; 65] {
        location::sign(location::ask_hash(CHAIN_ID, self.at, number, requester), &self.meter).unwrap()
    }

    pub fn request(&self) -> (u64, u64) {
        let number = location::asked(&self.machine, self.at, self.meter.address()).unwrap();
        let signature = self.signed(number, REQUESTER);
        let call = location::request(self.at, self.meter.address(), &signature, self.terms.price());
        let ran = self.send(REQUESTER, call).unwrap();
        (location::requested(&ran.logs[0]).unwrap().id, ran.gas)
    }

    pub fn apply(&self, id: u64, who: Address) -> Result<Ran, String> {
        let hash = self.commitment(id, who, number(id, who), B256::ZERO);
        self.send(who, location::apply_for(self.at, id, hash, DEPOSIT))
    }

    pub fn pledge(&self, id: u64) -> Result<Ran, String> {
        let hash = self.commitment(id, OPERATOR, number(id, OPERATOR), B256::ZERO);
        self.send(OPERATOR, location::pledge(self.at, id, hash, DEPOSIT))
    }

    pub fn reveal(&self, id: u64, place: u8, who: Address) -> Result<Ran, String> {
        self.send(who, location::reveal(self.at, id, place, number(id, who)))
    }

    pub fn disclose(&self, id: u64) -> Result<Ran, String> {
        self.send(OPERATOR, location::disclose(self.at, id, number(id, OPERATOR)))
    }

    pub fn measure(&self, id: u64, place: u8, distance: u32) -> Result<Ran, String> {
        let who = self.provers[usize::from(place)].0;
        let hash = self.commitment(id, who, U256::from(distance), salt(id, who));
        self.send(who, location::measure(self.at, id, place, hash))
    }

    pub fn open(&self, id: u64, place: u8, distance: u32) -> Result<Ran, String> {
        let who = self.provers[usize::from(place)].0;
        self.send(who, location::open(self.at, id, place, distance, salt(id, who)))
    }

    /// Asks, and has everybody apply and reveal, so that only the draw is left. With it, the gas.
    pub fn ready(&self) -> (u64, u64) {
        let (id, mut gas) = self.request();
        let mut spend = |ran: Result<Ran, String>| gas += ran.unwrap().gas;
        spend(self.pledge(id));
        self.provers.iter().for_each(|(who, _)| spend(self.apply(id, *who)));
        self.machine.wait(u64::from(self.terms.apply) + 1);
        (0..).zip(&self.provers).for_each(|(place, (who, _))| spend(self.reveal(id, place, *who)));
        spend(self.disclose(id));
        (id, gas)
    }

    /// Draws, now that numbers are in.
    pub fn draw(&self, id: u64) -> (Drawn, u64) {
        self.machine.wait(u64::from(self.terms.reveal) + 1);
        self.machine.mine();
        let pinned = self.send(OPERATOR, location::pin(self.at, id)).unwrap();
        self.machine.mine();
        let ran = self.send(OPERATOR, location::draw(self.at, id)).unwrap();
        (location::drawn(&ran.logs[0]).unwrap(), pinned.gas + ran.gas)
    }

    /// Has the drawn say something, and the contract judge. With it, the gas.
    pub fn judge(&self, id: u64, drawn: &Drawn, says: impl Fn(u8) -> Says) -> (Located, u64) {
        let mut gas = 0;
        let mut spend = |ran: Result<Ran, String>| gas += ran.unwrap().gas;
        for place in places(drawn.chosen) {
            if let Says::Distance(d) | Says::Withheld(d) = says(place) {
                spend(self.measure(id, place, d));
            }
        }
        if places(drawn.chosen).into_iter().any(|p| says(p) == Says::Silence) {
            self.machine.wait(u64::from(self.terms.measure) + 1);
        }
        for place in places(drawn.chosen) {
            if let Says::Distance(d) = says(place) {
                spend(self.open(id, place, d));
            }
        }
        if places(drawn.chosen).into_iter().any(|p| !matches!(says(p), Says::Distance(_))) {
            self.machine.wait(u64::from(self.terms.open) + 1);
        }
        let ran = self.send(REQUESTER, location::conclude(self.at, id)).unwrap();
        (location::located(&ran.logs[0]).unwrap(), gas + ran.gas)
    }

    /// How far a prover is from a place.
    pub fn range(&self, place: u8, at: (i32, i32)) -> u32 {
        far(self.provers[usize::from(place)].1, at)
    }

    /// What a prover measures of a meter there.
    pub fn sighting(&self, place: u8, at: (i32, i32)) -> Sighting {
        let (x, y) = self.provers[usize::from(place)].1;
        Sighting { x: (x - CLAIM.0).into(), y: (y - CLAIM.1).into(), distance: self.range(place, at).into() }
    }

    /// What a prover gets, put in included; and everybody takes what is owing.
    pub fn due(&self, id: u64, place: u8) -> u128 {
        let who = self.provers[usize::from(place)].0;
        let before = self.owing(who);
        match self.send(who, location::reclaim(self.at, id, place)) {
            Ok(_) => self.owing(who) - before,
            Err(why) => {
                // A prover that did not apply has no place.
                assert!(["NothingOwing()", "NotCommitted()"].contains(&&*why), "{why}");
                0
            }
        }
    }

    pub fn owing(&self, who: Address) -> u128 {
        location::owing(&self.machine, self.at, who).unwrap().try_into().unwrap()
    }

    pub fn held(&self) -> u128 {
        self.machine.balance(self.at).unwrap().try_into().unwrap()
    }
}

/// What the second proof by so many provers costs, two more having applied: by step, the verdict last.
pub fn cost(drawn: u8) -> Vec<(String, u64)> {
    let ring = Ring::new(drawn + 2, drawn);
    let (id, _) = ring.ready();
    let (first, _) = ring.draw(id);
    let honest = |p| Says::Distance(ring.range(p, CLAIM));
    ring.judge(id, &first, honest);
    (0..drawn + 2).for_each(|p| _ = ring.due(id, p));
    let gas = |ran: Result<Ran, String>| ran.unwrap().gas;
    let (id, request) = ring.request();
    let pledge = gas(ring.pledge(id));
    let apply = ring.provers.iter().map(|(who, _)| gas(ring.apply(id, *who))).sum();
    ring.machine.wait(u64::from(ring.terms.apply) + 1);
    let reveal = (0..).zip(&ring.provers).map(|(place, (who, _))| gas(ring.reveal(id, place, *who))).sum();
    let disclose = gas(ring.disclose(id));
    let (draw, drawing) = ring.draw(id);
    let chosen = places(draw.chosen);
    let measure = chosen.iter().map(|p| gas(ring.measure(id, *p, ring.range(*p, CLAIM)))).sum();
    let open = chosen.iter().map(|p| gas(ring.open(id, *p, ring.range(*p, CLAIM)))).sum();
    let verdict = gas(ring.send(REQUESTER, location::conclude(ring.at, id)));
    let all = (0..).zip(&ring.provers);
    let reclaim = all.map(|(place, (who, _))| gas(ring.send(*who, location::reclaim(ring.at, id, place)))).sum();
    let (n, all) = (drawn, drawn + 2);
    vec![
        ("request".into(), request),
        ("operator: commit, reveal".into(), pledge + disclose),
        (format!("{all} apply"), apply),
        (format!("{all} reveal their numbers"), reveal),
        ("pin, draw".into(), drawing),
        (format!("{n} commit distances"), measure),
        (format!("{n} reveal them"), open),
        (format!("{all} reclaim"), reclaim),
        ("verdict".into(), verdict),
    ]
}
