//! `Dispatch.sol` from the outside: networks and solutions as bytes, calldata, answers, events, and what the contract will
//! say of a solution.

mod events;
pub mod network;
mod verify;
mod views;
mod word;

pub use events::{Complied, Dispatched, Revealed, Solved, complied, dispatched, opened, revealed, solved};
pub use network::{Conditions, Network, Solution, Unpackable};
pub use verify::{Refused, Verdict, verify};
pub use views::{Round, State, is_too_early, network_of, networks, owing, owner, round_of};

use crate::abi::{Reader, function, init_code, to};
use crate::tx::Call;
use crate::{Address, B256, U256, keccak256};
use std::sync::LazyLock;

/// The committed artefact: ABI, bytecode, compiler and settings, as `contracts/build.mjs` wrote it.
pub const ARTIFACT: &str = include_str!("../../../artifacts/Dispatch.json");

static INIT_CODE: LazyLock<Vec<u8>> = LazyLock::new(|| init_code(ARTIFACT));

/// When a round's steps end, how long its dispatch holds, and what is at stake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Solutions are committed until this time, in seconds since 1970.
    pub commit_until: u64,
    /// And revealed until this one.
    pub reveal_until: u64,
    /// How long the dispatch holds, in seconds.
    pub duration: u32,
    /// What goes with a commitment, in wei.
    pub stake: U256,
    /// What the winner gets beside the stakes of those who do not reveal, in wei.
    pub reward: U256,
}

/// What a generator fed in during a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fed {
    /// By its meter, in Wh; below 2^39.
    pub energy: i64,
    /// The resource was not there, which excuses feeding in less.
    pub excused: bool,
}

fn of(round: u32) -> U256 {
    U256::from(round)
}

/// Deploys the contract; the sender owns it.
#[must_use]
pub fn deploy_call() -> Call {
    Call { to: None, value: U256::ZERO, data: INIT_CODE.clone() }
}

/// Publishes a packed network. `band`: how far a generator may deviate, in millionths of what was dispatched.
#[must_use]
pub fn publish(dispatch: Address, network: &[u8], band: u32) -> Call {
    to(dispatch, function("publish(bytes,uint32)", 2).bytes(network).uint(U256::from(band)))
}

/// Opens a round.
#[must_use]
pub fn open(dispatch: Address, network: u32, conditions: &[u8], terms: &Terms) -> Call {
    let data = function("open(uint32,bytes,uint40,uint40,uint32,uint96)", 6)
        .uint(of(network))
        .bytes(conditions)
        .uint(U256::from(terms.commit_until))
        .uint(U256::from(terms.reveal_until))
        .uint(U256::from(terms.duration))
        .uint(terms.stake);
    Call { value: terms.reward, ..to(dispatch, data) }
}

/// What has to be committed to, so that nobody else can reveal it.
#[must_use]
pub fn commitment(round: u32, who: Address, salt: B256, solution: &[u8]) -> B256 {
    let words = [of(round).into(), who.into_word(), salt, keccak256(solution)];
    keccak256(words.concat())
}

/// Commits, with the stake.
#[must_use]
pub fn commit(dispatch: Address, round: u32, hash: B256, stake: U256) -> Call {
    let data = function("commit(uint32,bytes32)", 2).uint(of(round)).word(hash);
    Call { value: stake, ..to(dispatch, data) }
}

/// Reveals.
#[must_use]
pub fn reveal(dispatch: Address, round: u32, salt: B256, conditions: &[u8], solution: &[u8]) -> Call {
    to(
        dispatch,
        function("reveal(uint32,bytes32,bytes,bytes)", 4).uint(of(round)).word(salt).bytes(conditions).bytes(solution),
    )
}

/// Ends a round whose time to reveal is over.
#[must_use]
pub fn close(dispatch: Address, round: u32) -> Call {
    to(dispatch, function("close(uint32)", 1).uint(of(round)))
}

/// Takes the stake back after a round.
#[must_use]
pub fn reclaim(dispatch: Address, round: u32) -> Call {
    to(dispatch, function("reclaim(uint32)", 1).uint(of(round)))
}

/// Has everything paid out that is owing to the sender.
#[must_use]
pub fn collect(dispatch: Address) -> Call {
    to(dispatch, function("collect()", 0))
}

/// Has a DC network of three buses solved by the contract.
#[must_use]
pub fn solve(dispatch: Address, round: u32, conditions: &[u8]) -> Call {
    to(dispatch, function("solve(uint32,bytes)", 2).uint(of(round)).bytes(conditions))
}

/// Compares what was fed in with what was dispatched.
#[must_use]
pub fn report(dispatch: Address, round: u32, salt: B256, solution: &[u8], fed: &[Fed]) -> Call {
    let mut packed = Vec::with_capacity(6 * fed.len());
    for one in fed {
        packed.extend_from_slice(&one.energy.to_be_bytes()[3..]);
        packed.push(one.excused.into());
    }
    to(
        dispatch,
        function("report(uint32,bytes32,bytes,bytes)", 4).uint(of(round)).word(salt).bytes(solution).bytes(&packed),
    )
}

/// Asks what a solution costs and proves; a revert says why it is none.
#[must_use]
pub fn check(dispatch: Address, network: u32, conditions: &[u8], solution: &[u8]) -> Call {
    to(dispatch, function("check(uint32,bytes,bytes)", 3).uint(of(network)).bytes(conditions).bytes(solution))
}

/// The answer to [`check`].
#[must_use]
pub fn checked(answer: &[u8]) -> Option<Verdict> {
    let words = Reader(answer);
    Some(Verdict { cost: words.int(0)?, bound: words.int(1)? })
}

/// Asks for the optimum of a DC network of three buses.
#[must_use]
pub fn optimum(dispatch: Address, network: u32, conditions: &[u8]) -> Call {
    to(dispatch, function("optimum(uint32,bytes)", 2).uint(of(network)).bytes(conditions))
}

/// The optimum of three buses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Optimum {
    /// Of each generator, 1e-9 p.u.
    pub power: [i128; 3],
    /// At each bus, 1e-9 quanta.
    pub price: [i128; 3],
    /// On each branch, 1e-9 p.u.
    pub flow: [i128; 3],
    /// 1e-9 quanta an hour.
    pub cost: i128,
}

/// The answer to [`optimum`].
#[must_use]
pub fn optimum_of(answer: &[u8]) -> Option<Optimum> {
    let words = Reader(answer);
    let three = |at: usize| Some([words.int(at)?, words.int(at + 1)?, words.int(at + 2)?]);
    Some(Optimum { power: three(0)?, price: three(3)?, flow: three(6)?, cost: words.int(9)? })
}
