//! `Witness.sol` from the outside: who is drawn to check a batch, what they sign, and what becomes of those who dissent.
//! Byte for byte what ethers makes of the same ABI; `contracts/vectors/witness.json` holds both to it.

use crate::abi::{Reader, Writer, as_address, init_code, selector};
use crate::chain::{Chain, ChainError, Log};
use crate::key::{KeyError, Signer};
use crate::tx::Call;
use crate::{Address, B256, U256, keccak256};
use std::sync::LazyLock;

/// The committed artefact: ABI, bytecode, compiler and settings, as `contracts/build.mjs` wrote it.
pub const ARTIFACT: &str = include_str!("../../artifacts/Witness.json");

/// The code that deploys the contract, without the constructor's arguments.
static INIT_CODE: LazyLock<Vec<u8>> = LazyLock::new(|| init_code(ARTIFACT));

/// How members are drawn, and when they are flagged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Batches of a window.
    pub batches: u32,
    /// Dissents within it that flag.
    pub dissents: u16,
    /// Blocks after which a draw lapses, from 2.
    pub patience: u8,
    /// Signatures that are enough, by the size of the set less one; zero where no number is. As many as are drawn.
    pub needed: Vec<u8>,
}

/// The open draw, or the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// Number of the draw.
    pub draw: u64,
    /// The height of the block that opened it; zero if it was confirmed.
    pub made: u64,
    /// The last batch that was confirmed.
    pub batch: u64,
    /// What is to be checked.
    pub digest: B256,
}

/// How an address stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Whether it may be drawn.
    pub member: bool,
    /// Whether it was flagged.
    pub flagged: bool,
    /// How often it dissented in that window.
    pub dissents: u16,
    /// The last window in which it dissented.
    pub window: u64,
}

/// A batch that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirmed {
    /// Number of the batch.
    pub batch: u64,
    /// Its digest.
    pub digest: B256,
    /// Number of the draw.
    pub draw: u64,
    /// Who was drawn, in order.
    pub set: Vec<Address>,
    /// How many of them signed.
    pub agreed: u8,
}

/// What a witness signs: EIP-712, so that it counts on this chain and for this contract only.
#[must_use]
pub fn finding(chain_id: u64, witness: Address, draw: u64, digest: B256) -> B256 {
    let kind = keccak256("Finding(uint64 draw,bytes32 digest)");
    let finding = keccak256(Writer::new(&[], 3).word(kind).uint(U256::from(draw)).word(digest).done());
    typed("microgrid witness", chain_id, witness, finding)
}

/// EIP-712: what is said, for one chain and one contract.
pub(crate) fn typed(name: &str, chain_id: u64, contract: Address, said: B256) -> B256 {
    let kind = keccak256("EIP712Domain(string name,uint256 chainId,address verifyingContract)");
    let domain = Writer::new(&[], 4).word(kind).word(keccak256(name)).uint(U256::from(chain_id));
    let domain = keccak256(domain.address(contract).done());
    keccak256([&[0x19, 0x01], &domain[..], &said[..]].concat())
}

/// Signs a finding: r, s and v.
///
/// # Errors
/// [`KeyError::Signing`].
pub fn sign(finding: B256, signer: &dyn Signer) -> Result<[u8; 65], KeyError> {
    let signature = signer.sign(finding)?;
    let mut out = [0; 65];
    out[..32].copy_from_slice(&signature.r.to_be_bytes::<32>());
    out[32..64].copy_from_slice(&signature.s.to_be_bytes::<32>());
    out[64] = 27 + u8::from(signature.y_odd);
    Ok(out)
}

fn function(signature: &str, words: usize) -> Writer {
    Writer::new(&selector(signature), words)
}

fn to(witness: Address, data: Writer) -> Call {
    Call { to: Some(witness), value: U256::ZERO, data: data.done() }
}

fn rule_words(data: Writer, rules: &Rules) -> Writer {
    // A set beyond 255 becomes 0, which the contract refuses.
    let set = u8::try_from(rules.needed.len()).unwrap_or_default();
    data.uint(U256::from(set))
        .uint(U256::from(rules.batches))
        .uint(U256::from(rules.dissents))
        .uint(U256::from(rules.patience))
        .bytes(&rules.needed)
}

/// Deploys the contract. The sender becomes its owner.
#[must_use]
pub fn deploy_call(rules: &Rules) -> Call {
    Call { to: None, value: U256::ZERO, data: rule_words(Writer::new(&INIT_CODE, 5), rules).done() }
}

/// Sets how members are drawn, and when they are flagged.
#[must_use]
pub fn set_rules(witness: Address, rules: &Rules) -> Call {
    to(witness, rule_words(function("setRules(uint8,uint32,uint16,uint8,bytes)", 5), rules))
}

/// Lets an address witness.
#[must_use]
pub fn admit(witness: Address, member: Address) -> Call {
    to(witness, function("admit(address)", 1).address(member))
}

/// Lets an address witness no longer.
#[must_use]
pub fn remove(witness: Address, member: Address) -> Call {
    to(witness, function("remove(address)", 1).address(member))
}

/// Lets a flagged member witness again.
#[must_use]
pub fn clear(witness: Address, member: Address) -> Call {
    to(witness, function("clear(address)", 1).address(member))
}

/// Opens a draw for a batch.
#[must_use]
pub fn open(witness: Address, batch: u64, digest: B256) -> Call {
    to(witness, function("open(uint64,bytes32)", 2).uint(U256::from(batch)).word(digest))
}

/// Accepts the open batch: places in the set, rising, with what each signed.
#[must_use]
pub fn confirm(witness: Address, votes: &[(u8, [u8; 65])]) -> Call {
    let packed: Vec<u8> = votes.iter().flat_map(|(place, signature)| [&[*place], &signature[..]].concat()).collect();
    to(witness, function("confirm(bytes)", 1).bytes(&packed))
}

/// Reports that the member at `place` signed another digest than the accepted one.
#[must_use]
pub fn report(witness: Address, batch: &Confirmed, place: u8, other: B256, signature: &[u8; 65]) -> Call {
    let data = function("report(uint64,uint64,bytes32,address[],uint8,bytes32,bytes)", 7)
        .uint(U256::from(batch.batch))
        .uint(U256::from(batch.draw))
        .word(batch.digest)
        .words(batch.set.iter().map(|member| member.into_word()))
        .uint(U256::from(place))
        .word(other)
        .bytes(signature);
    to(witness, data)
}

fn ask<T>(
    chain: &dyn Chain,
    witness: Address,
    data: Writer,
    read: impl FnOnce(&Reader<'_>) -> Option<T>,
) -> Result<T, ChainError> {
    let answer = chain.call(Address::ZERO, &to(witness, data))?;
    let nonsense = || ChainError::nonsense("eth_call", format!("{} bytes that are no such answer", answer.len()));
    read(&Reader(&answer)).ok_or_else(nonsense)
}

/// The addresses of a list whose head word is at `index`, and nothing behind them.
fn addresses(words: &Reader<'_>, index: usize) -> Option<Vec<Address>> {
    let start = words.number::<usize>(index)?;
    let list = Reader(words.0.get(start..)?);
    let count = list.number::<usize>(0)?;
    (list.0.len() == count.checked_mul(32)?.checked_add(32)?).then_some(())?;
    (0..count).map(|i| list.address(1 + i)).collect()
}

/// Who is drawn for the open batch, in order.
///
/// # Errors
/// Those of the chain; [`ChainError::Reverted`] if nothing is open, or not yet, or no longer.
pub fn drawn(chain: &dyn Chain, witness: Address) -> Result<Vec<Address>, ChainError> {
    ask(chain, witness, function("drawn()", 0), |w| addresses(w, 0))
}

/// Who may be drawn, in no order.
///
/// # Errors
/// Those of the chain.
pub fn members(chain: &dyn Chain, witness: Address) -> Result<Vec<Address>, ChainError> {
    ask(chain, witness, function("members()", 0), |w| addresses(w, 0))
}

/// The open draw, or the last.
///
/// # Errors
/// Those of the chain.
pub fn state(chain: &dyn Chain, witness: Address) -> Result<State, ChainError> {
    ask(chain, witness, function("state()", 0), |w| {
        Some(State { draw: w.number(0)?, made: w.number(1)?, batch: w.number(2)?, digest: w.word(3)? })
    })
}

/// How an address stands.
///
/// # Errors
/// Those of the chain.
pub fn standing(chain: &dyn Chain, witness: Address, who: Address) -> Result<Standing, ChainError> {
    ask(chain, witness, function("standing(address)", 1).address(who), |w| {
        Some(Standing { member: w.bool(0)?, flagged: w.bool(1)?, dissents: w.number(2)?, window: w.number(3)? })
    })
}

/// How members are drawn, and when they are flagged.
///
/// # Errors
/// Those of the chain.
pub fn rules(chain: &dyn Chain, witness: Address) -> Result<Rules, ChainError> {
    ask(chain, witness, function("rules()", 0), |w| {
        let needed = w.bytes(4)?.to_vec();
        (w.number::<usize>(0)? == needed.len()).then_some(())?;
        Some(Rules { batches: w.number(1)?, dissents: w.number(2)?, patience: w.number(3)?, needed })
    })
}

/// What was accepted for a batch: [`record`] of it; `None` if nothing was.
///
/// # Errors
/// Those of the chain.
pub fn record_of(chain: &dyn Chain, witness: Address, batch: u64) -> Result<Option<B256>, ChainError> {
    let data = function("recordOf(uint64)", 1).uint(U256::from(batch));
    ask(chain, witness, data, |w| w.word(0)).map(|record| (record != B256::ZERO).then_some(record))
}

/// What the contract keeps of a batch.
#[must_use]
pub fn record(batch: &Confirmed) -> B256 {
    let set = batch.set.iter().map(|member| member.into_word());
    keccak256(Writer::new(&[], 3).uint(U256::from(batch.draw)).word(batch.digest).words(set).done())
}

/// Reads a batch that counts.
#[must_use]
pub fn confirmed(log: &Log) -> Option<Confirmed> {
    let [topic, batch, digest] = log.topics[..] else { return None };
    if topic != keccak256("Confirmed(uint64,bytes32,uint64,address[],uint8)") {
        return None;
    }
    let words = Reader(&log.data);
    Some(Confirmed {
        batch: Reader(&batch[..]).number(0)?,
        digest,
        draw: words.number(0)?,
        set: addresses(&words, 1)?,
        agreed: words.number(2)?,
    })
}

/// Reads who was flagged: the member, the window, and how often it dissented in it.
#[must_use]
pub fn flagged(log: &Log) -> Option<(Address, u64, u16)> {
    let [topic, member] = log.topics[..] else { return None };
    let words = Reader(&log.data);
    (topic == keccak256("Flagged(address,uint64,uint16)") && log.data.len() == 64).then_some(())?;
    Some((as_address(member)?, words.number(0)?, words.number(1)?))
}
