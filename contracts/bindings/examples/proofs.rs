//! Prints how long a proof of location takes, by how often proofs are asked for and by how many meters: `cargo run -p
//! contracts --example proofs -- [PROOFS] [SECONDS]`, proofs a row and seconds between blocks. Every transaction runs in
//! the contract; a block has room for so much gas, and who comes first is served first.
#![allow(
    missing_docs,
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "shares the tests' scenes, and a measurement that cannot go on should stop"
)]

#[path = "../tests/it/machine.rs"]
mod machine;
#[path = "../tests/it/provers.rs"]
mod provers;

use contracts::key::{LocalKey, Signer};
use contracts::location::{self, Drawn, State, Verdict};
use contracts::operator::{self, Position};
use contracts::{B256, U256};
use fastrand::Rng;
use machine::{CHAIN_ID, Ran};
use provers::{CLAIM, OPERATOR, REQUESTER, Ring, far, places, salt};
use std::collections::VecDeque;

/// Gas of a block.
const ROOM: u64 = 30_000_000;
/// Seconds to apply, to reveal numbers, to measure, and to reveal distances.
const TIMES: [u32; 4] = [36, 36, 120, 60];
/// Seconds that provers listen: 25 beacons, one a second.
const LISTEN: u64 = 25;
const APPLICANTS: u8 = 7;
const DRAWN: u8 = 5;

/// What somebody wants to send for a proof. Provers by number, and by place among the applicants.
#[derive(Clone, Copy, Debug)]
enum Act {
    Request,
    Pledge,
    Apply(usize),
    Reveal(u8),
    Disclose,
    Pin,
    Draw,
    Measure(u8),
    Open(u8),
    Conclude,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    Asking,
    Applying,
    Revealing,
    Drawing,
    Listening,
    Measuring,
    Opening,
    Concluding,
    Over,
}

/// A proof under way.
struct Proof {
    meter: usize,
    asked: u64,
    id: u64,
    stage: Stage,
    /// Until when the stage lasts at most.
    until: u64,
    pledged: bool,
    /// Provers by place.
    applied: Vec<usize>,
    drawn: Option<Drawn>,
    measured: Vec<u8>,
    opened: usize,
    verdict: Option<(u64, Verdict)>,
}

struct Street {
    ring: Ring,
    meters: Vec<(LocalKey, (i32, i32))>,
    queue: VecDeque<(usize, Act)>,
    proofs: Vec<Proof>,
}

impl Street {
    fn new(meters: u8) -> Self {
        let ring = Ring::timed(APPLICANTS, DRAWN, TIMES);
        let meters = (0..meters).map(|i| {
            let key = LocalKey::from_hex(&format!("{:02x}", i + 1).repeat(32)).unwrap();
            let at = (CLAIM.0 + 300 * i32::from(i % 8), CLAIM.1 + 300 * i32::from(i / 8));
            let position = Position { east: at.0, north: at.1, up: 0 };
            let point = B256::repeat_byte(i + 20);
            ring.send(OPERATOR, operator::put_meter(ring.registry, point, key.address(), position, 0)).unwrap();
            (key, at)
        });
        let meters = meters.collect();
        Self { ring, meters, queue: VecDeque::new(), proofs: Vec::new() }
    }

    fn run(&self, proof: &Proof, act: Act) -> Result<Ran, String> {
        let (ring, id, at) = (&self.ring, proof.id, self.ring.at);
        let who = |place: u8| ring.provers[proof.applied[usize::from(place)]];
        let distance = |stands: (i32, i32)| far(stands, self.meters[proof.meter].1);
        match act {
            Act::Request => {
                let meter = &self.meters[proof.meter].0;
                let count = location::asked(&ring.machine, at, meter.address()).unwrap();
                let hash = location::ask_hash(CHAIN_ID, at, count, REQUESTER);
                let signature = location::sign(hash, meter).unwrap();
                ring.send(REQUESTER, location::request(at, meter.address(), &signature, ring.terms.price()))
            }
            Act::Pledge => ring.pledge(id),
            Act::Apply(prover) => ring.apply(id, ring.provers[prover].0),
            Act::Reveal(place) => ring.reveal(id, place, who(place).0),
            Act::Disclose => ring.disclose(id),
            Act::Pin => ring.send(OPERATOR, location::pin(at, id)),
            Act::Draw => ring.send(OPERATOR, location::draw(at, id)),
            Act::Measure(place) => {
                let (who, stands) = who(place);
                let hash = ring.commitment(id, who, U256::from(distance(stands)), salt(id, who));
                ring.send(who, location::measure(at, id, place, hash))
            }
            Act::Open(place) => {
                let (who, stands) = who(place);
                ring.send(who, location::open(at, id, place, distance(stands), salt(id, who)))
            }
            Act::Conclude => ring.send(REQUESTER, location::conclude(at, id)),
        }
    }

    /// Of too few provers nothing follows.
    fn end_if_void(&mut self, index: usize) {
        let proof = &mut self.proofs[index];
        let request = location::request_of(&self.ring.machine, self.ring.at, proof.id).unwrap();
        if request.is_some_and(|r| r.state == State::Void) {
            proof.stage = Stage::Over;
        }
    }

    /// Fills a block.
    fn block(&mut self, seconds: u64) {
        self.ring.machine.wait(seconds);
        self.ring.machine.mine();
        let (mut room, now) = (ROOM, self.ring.machine.now());
        // What follows from a block comes in the next one.
        for _ in 0..self.queue.len() {
            let Some((index, act)) = self.queue.pop_front() else { break };
            // Refused is who came too late: the others decide.
            if let Ok(ran) = self.run(&self.proofs[index], act) {
                room = room.saturating_sub(ran.gas);
                self.proofs[index].heard(act, &ran, now);
                self.end_if_void(index);
            }
            if room == 0 {
                break;
            }
        }
        // Who looks at the block sends what the next one takes.
        let next = now + seconds;
        for index in 0..self.proofs.len() {
            for act in self.proofs[index].then(next) {
                self.queue.push_back((index, act));
            }
        }
    }
}

impl Proof {
    fn new(meter: usize, asked: u64) -> Self {
        Self {
            meter,
            asked,
            id: 0,
            stage: Stage::Asking,
            until: u64::MAX,
            pledged: false,
            applied: Vec::new(),
            drawn: None,
            measured: Vec::new(),
            opened: 0,
            verdict: None,
        }
    }

    fn heard(&mut self, act: Act, ran: &Ran, now: u64) {
        match act {
            Act::Request => {
                let requested = location::requested(&ran.logs[0]).unwrap();
                (self.id, self.until) = (requested.id, requested.apply_until);
            }
            Act::Pledge => self.pledged = true,
            Act::Apply(prover) => self.applied.push(prover),
            Act::Reveal(_) | Act::Disclose => {}
            Act::Pin => self.until = now,
            Act::Draw => {
                let drawn = location::drawn(&ran.logs[0]).unwrap();
                (self.drawn, self.stage, self.until) = (Some(drawn), Stage::Listening, now + LISTEN);
            }
            Act::Measure(place) => self.measured.push(place),
            Act::Open(_) => self.opened += 1,
            Act::Conclude => {
                self.verdict = Some((now, location::located(&ran.logs[0]).unwrap().verdict));
                self.stage = Stage::Over;
            }
        }
    }

    /// What is to be sent into the block of this time.
    fn then(&mut self, next: u64) -> Vec<Act> {
        let over = next > self.until;
        let drawn = self.drawn.map(|d| places(d.chosen)).unwrap_or_default();
        match self.stage {
            Stage::Asking if self.id != 0 => {
                self.stage = Stage::Applying;
                let provers = (0..usize::from(APPLICANTS)).map(Act::Apply);
                std::iter::once(Act::Pledge).chain(provers).collect()
            }
            Stage::Applying if over => {
                (self.stage, self.until) = (Stage::Revealing, self.until + u64::from(TIMES[1]));
                let places = (0..).zip(&self.applied).map(|(place, _)| Act::Reveal(place));
                places.chain(self.pledged.then_some(Act::Disclose)).collect()
            }
            Stage::Revealing if over => {
                (self.stage, self.until) = (Stage::Drawing, u64::MAX);
                vec![Act::Pin]
            }
            Stage::Drawing if over => {
                self.until = u64::MAX;
                vec![Act::Draw]
            }
            Stage::Listening if next >= self.until => {
                (self.stage, self.until) = (Stage::Measuring, self.drawn.unwrap().measure_until);
                drawn.into_iter().map(Act::Measure).collect()
            }
            Stage::Measuring if over || self.measured.len() == drawn.len() => {
                let from = if over { self.until } else { next };
                (self.stage, self.until) = (Stage::Opening, from + u64::from(TIMES[3]));
                self.measured.iter().copied().map(Act::Open).collect()
            }
            Stage::Opening if over || self.opened == drawn.len() => {
                self.stage = Stage::Concluding;
                vec![Act::Conclude]
            }
            _ => Vec::new(),
        }
    }
}

fn main() {
    let mut numbers = std::env::args().skip(1);
    let proofs: usize = numbers.next().map_or(60, |n| n.parse().expect("how many proofs"));
    let seconds: u64 = numbers.next().map_or(12, |n| n.parse().expect("seconds between blocks"));
    println!("blocks every {seconds} s with {ROOM} gas; {proofs} proofs a row; {APPLICANTS} apply, {DRAWN} are drawn");
    println!("| meters | asked for each minute | median | nine of ten within | not called here |");
    println!("| --- | --- | --- | --- | --- |");
    for meters in [1, 4, 16] {
        for each_hour in [10, 60, 240, 600] {
            row(meters, each_hour, proofs, seconds);
        }
    }
}

/// Asks so often an hour, at random, of any meter; a meter that is being proven is asked afterwards.
fn row(meters: u8, each_hour: u32, proofs: usize, seconds: u64) {
    let (mut rng, mut street) = (Rng::with_seed(1), Street::new(meters));
    let mut at = street.ring.machine.now();
    let mut to_come: VecDeque<(u64, usize)> = (0..proofs)
        .map(|_| {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds between two requests")]
            let gap = (-(1.0 - rng.f64()).ln() * 3600.0 / f64::from(each_hour)) as u64;
            at += gap;
            (at, rng.usize(..usize::from(meters)))
        })
        .collect();
    let mut waiting: Vec<VecDeque<u64>> = vec![VecDeque::new(); usize::from(meters)];
    while !to_come.is_empty()
        || waiting.iter().any(|w| !w.is_empty())
        || street.proofs.iter().any(|p| p.stage != Stage::Over)
    {
        let now = street.ring.machine.now();
        while let Some((at, meter)) = to_come.front().copied().filter(|(at, _)| *at <= now) {
            waiting[meter].push_back(at);
            to_come.pop_front();
        }
        for (meter, queue) in waiting.iter_mut().enumerate() {
            let busy = street.proofs.iter().any(|p| p.meter == meter && p.stage != Stage::Over);
            if let Some(asked) = if busy { None } else { queue.pop_front() } {
                street.proofs.push(Proof::new(meter, asked));
                street.queue.push_back((street.proofs.len() - 1, Act::Request));
            }
        }
        street.block(seconds);
    }
    let mut took: Vec<u64> = street.proofs.iter().filter_map(|p| Some(p.verdict?.0 - p.asked)).collect();
    took.sort_unstable();
    let of = |share: usize| took.get(took.len() * share / 100).map_or("-".to_owned(), |s| format!("{s} s"));
    let without = street.proofs.iter().filter(|p| p.verdict.is_none_or(|v| v.1 != Verdict::Here)).count();
    let rate = f64::from(each_hour) / 60.0;
    println!("| {meters} | {rate:.2} | {} | {} | {without} of {proofs} |", of(50), of(90));
}
