//! `LocationVerifier.sol` from the outside: proofs of location by provers who are drawn. Byte for byte what ethers makes of
//! the same ABI; `contracts/vectors/location.json` holds it to that.

mod events;
mod views;

pub use events::{Applied, Drawn, Located, Opened, Requested, applied, drawn, located, opened, requested};
pub use views::{
    Anchor, Applicant, Request, Standing, State, Step, anchor_of, applicant_of, asked, owing, request_of, requests,
    standing_of, terms,
};

use crate::abi::{Reader, Writer, function, init_code, signed, to};
use crate::key::{KeyError, Signer};
use crate::tx::Call;
use crate::{Address, B256, U256, keccak256};
use std::fmt;
use std::sync::{Arc, LazyLock};
use zeroize::Zeroizing;

/// The committed artefact: ABI, bytecode, compiler and settings, as `contracts/build.mjs` wrote it.
pub const ARTIFACT: &str = include_str!("../../../artifacts/LocationVerifier.json");

static INIT_CODE: LazyLock<Vec<u8>> = LazyLock::new(|| init_code(ARTIFACT));

/// What is agreed when the contract is made. Money in wei, lengths in millimetres, times in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The operator's registry.
    pub registry: Address,
    /// Who gets what is forfeited.
    pub sink: Address,
    /// How many provers are drawn, from 3 to 15.
    pub provers: u8,
    /// What each prover, the operator and the requester put in.
    pub deposit: u128,
    /// What each prover gets who is not dropped.
    pub reward: u128,
    /// How far from the claimed place a prover may stand.
    pub range: u32,
    /// Time to apply.
    pub apply: u32,
    /// Time to reveal numbers.
    pub reveal: u32,
    /// Time to measure.
    pub measure: u32,
    /// Time to reveal distances.
    pub open: u32,
    /// How far a place may be from its claim: squares of logarithms, times 2^20.
    pub off: u32,
    /// How far the ellipse of honest places may reach.
    pub reach: u32,
    /// What distances may leave, by their number less three.
    pub left: [u32; 13],
}

impl Terms {
    /// What a request costs: all rewards and a deposit.
    #[must_use]
    pub fn price(&self) -> U256 {
        U256::from(self.provers) * U256::from(self.reward) + U256::from(self.deposit)
    }

    fn words(&self, data: Writer) -> Writer {
        let data = data.address(self.registry).address(self.sink).uint(U256::from(self.provers));
        let data = data.uint(U256::from(self.deposit)).uint(U256::from(self.reward));
        let rest = [self.range, self.apply, self.reveal, self.measure, self.open, self.off, self.reach];
        rest.into_iter().chain(self.left).fold(data, |d, n| d.uint(U256::from(n)))
    }
}

/// What the contract says of a claim. Values as the contract has them: 0 unclear, 1 here, 2 elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing is known.
    Unclear,
    /// The device is where it says.
    Here,
    /// It is somewhere else.
    Elsewhere,
}

impl Verdict {
    fn of(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Unclear),
            1 => Some(Self::Here),
            2 => Some(Self::Elsewhere),
            _ => None,
        }
    }
}

/// What the contract makes of distances; the place is relative to the claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judged {
    /// What it says.
    pub verdict: Verdict,
    /// Millimetres.
    pub x: i64,
    /// Millimetres.
    pub y: i64,
    /// The provers that were dropped, bit by bit.
    pub dropped: u16,
    /// How far the distances pull away from the claim.
    pub off: u64,
    /// What they leave.
    pub left: u64,
}

fn of(id: u64) -> U256 {
    U256::from(id)
}

/// Deploys the contract; the sender is the operator.
#[must_use]
pub fn deploy_call(terms: &Terms) -> Call {
    Call { to: None, value: U256::ZERO, data: terms.words(Writer::new(&INIT_CODE, 25)).done() }
}

/// Says where a prover stands, in millimetres from the site's origin; `None` takes it away.
#[must_use]
pub fn set_anchor(verifier: Address, prover: Address, place: Option<(i32, i32)>) -> Call {
    let (east, north) = place.unwrap_or_default();
    let data = function("setAnchor(address,bool,int32,int32)", 4).address(prover).flag(place.is_some());
    to(verifier, data.int(east.into()).int(north.into()))
}

/// What a meter signs to ask for a proof: EIP-712, for one requester, once. `number` is how many it has asked for before.
#[must_use]
pub fn ask_hash(chain_id: u64, verifier: Address, number: u64, requester: Address) -> B256 {
    let kind = keccak256("LocationRequest(uint64 number,address requester)");
    let asked = keccak256(Writer::new(&[], 3).word(kind).uint(of(number)).address(requester).done());
    crate::witness::typed("microgrid location", chain_id, verifier, asked)
}

/// Signs what a meter asks for: r, s and v.
///
/// # Errors
/// Those of the key.
pub fn sign(ask_hash: B256, meter: &dyn Signer) -> Result<[u8; 65], KeyError> {
    crate::witness::sign(ask_hash, meter)
}

/// Asks for a proof, and pays for it: [`Terms::price`].
#[must_use]
pub fn request(verifier: Address, meter: Address, signature: &[u8; 65], price: U256) -> Call {
    let data = function("request(address,bytes)", 2).address(meter).bytes(signature);
    Call { value: price, ..to(verifier, data) }
}

/// What has to be committed to: a number without a salt, or a distance in millimetres with one.
#[must_use]
pub fn commitment(chain_id: u64, verifier: Address, id: u64, who: Address, value: U256, salt: B256) -> B256 {
    let data = Writer::new(&[], 6).uint(of(chain_id)).address(verifier).uint(of(id)).address(who);
    keccak256(data.uint(value).word(salt).done())
}

/// The operator commits to a number, with the deposit.
#[must_use]
pub fn pledge(verifier: Address, id: u64, hash: B256, deposit: u128) -> Call {
    let data = function("pledge(uint64,bytes32)", 2).uint(of(id)).word(hash);
    Call { value: U256::from(deposit), ..to(verifier, data) }
}

/// A prover applies with a hidden number, with the deposit.
#[must_use]
pub fn apply_for(verifier: Address, id: u64, hash: B256, deposit: u128) -> Call {
    let data = function("applyFor(uint64,bytes32)", 2).uint(of(id)).word(hash);
    Call { value: U256::from(deposit), ..to(verifier, data) }
}

/// The operator reveals its number.
#[must_use]
pub fn disclose(verifier: Address, id: u64, number: U256) -> Call {
    to(verifier, function("disclose(uint64,uint256)", 2).uint(of(id)).uint(number))
}

/// A prover reveals its number.
#[must_use]
pub fn reveal(verifier: Address, id: u64, place: u8, number: U256) -> Call {
    to(verifier, function("reveal(uint64,uint8,uint256)", 3).uint(of(id)).uint(U256::from(place)).uint(number))
}

/// Fixes the block whose hash draws.
#[must_use]
pub fn pin(verifier: Address, id: u64) -> Call {
    to(verifier, function("pin(uint64)", 1).uint(of(id)))
}

/// Draws the provers.
#[must_use]
pub fn draw(verifier: Address, id: u64) -> Call {
    to(verifier, function("draw(uint64)", 1).uint(of(id)))
}

/// Commits to a distance.
#[must_use]
pub fn measure(verifier: Address, id: u64, place: u8, hash: B256) -> Call {
    to(verifier, function("measure(uint64,uint8,bytes32)", 3).uint(of(id)).uint(U256::from(place)).word(hash))
}

/// Reveals a distance; zero says that nothing was heard.
#[must_use]
pub fn open(verifier: Address, id: u64, place: u8, distance: u32, salt: B256) -> Call {
    let data = function("open(uint64,uint8,uint24,bytes32)", 4).uint(of(id)).uint(U256::from(place));
    to(verifier, data.uint(U256::from(distance)).word(salt))
}

/// Has the contract judge.
#[must_use]
pub fn conclude(verifier: Address, id: u64) -> Call {
    to(verifier, function("conclude(uint64)", 1).uint(of(id)))
}

/// Has what an applicant has coming credited.
#[must_use]
pub fn reclaim(verifier: Address, id: u64, place: u8) -> Call {
    to(verifier, function("reclaim(uint64,uint8)", 2).uint(of(id)).uint(U256::from(place)))
}

/// Has everything paid out that is owing to the sender.
#[must_use]
pub fn collect(verifier: Address) -> Call {
    to(verifier, function("collect()", 0))
}

/// The code that a device's beacons bear once provers are drawn: the first 16 bytes of Keccak-256 of what it shares with
/// those who listen, and the seed of the draw. Nobody can know it before, so what was recorded on another day says nothing.
#[must_use]
pub fn beacon(secret: &[u8; 32], seed: B256) -> [u8; 16] {
    let hash = keccak256([&secret[..], &seed[..]].concat());
    std::array::from_fn(|i| hash[i])
}

/// What a device's beacons share with those who listen. Never shown.
#[derive(Clone)]
pub struct Secret(Arc<Zeroizing<[u8; 32]>>);

impl Secret {
    /// From 32 bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Arc::new(Zeroizing::new(bytes)))
    }

    /// As [`beacon`].
    #[must_use]
    pub fn beacon(&self, seed: B256) -> [u8; 16] {
        beacon(&self.0, seed)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The challenge of an epoch of a gateway's own: Keccak-256 of a block's hash and the number of the epoch as 8 bytes.
#[must_use]
pub fn challenge(block: B256, epoch: i64) -> B256 {
    keccak256([&block[..], &epoch.to_be_bytes()].concat())
}

/// A challenge that follows from nothing, for where no chain is reached.
///
/// # Errors
/// [`KeyError::NoRandomness`].
pub fn own_challenge() -> Result<B256, KeyError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|e| KeyError::NoRandomness(e.to_string()))?;
    Ok(B256::from(bytes))
}

/// Asks what the contract would say of distances: places relative to the claim, and the distance, in millimetres.
#[must_use]
pub fn judge_call(verifier: Address, sightings: &[(i32, i32, i32)]) -> Call {
    let words =
        sightings.iter().flat_map(|(x, y, d)| [*x, *y, *d]).map(|word| signed(word.into()).into()).collect::<Vec<_>>();
    to(verifier, function("judge(int32[])", 1).words(words.into_iter()))
}

/// The answer to [`judge_call`].
#[must_use]
pub fn judged(answer: &[u8]) -> Option<Judged> {
    let words = Reader(answer);
    let place = |i| words.int(i).and_then(|v| i64::try_from(v).ok());
    Some(Judged {
        verdict: Verdict::of(words.number(0)?)?,
        x: place(1)?,
        y: place(2)?,
        dropped: words.number(3)?,
        off: words.number(4)?,
        left: words.number(5)?,
    })
}
