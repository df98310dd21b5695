//! `Witness.sol` from the outside: who is drawn to check a batch, what they sign, and what becomes of those who dissent.
//! Byte for byte what ethers makes of the same ABI; `contracts/vectors/witness.json` holds both to it.

use crate::abi::{Reader, Writer, as_address, init_code, selector};
use crate::chain::{Chain, ChainError, Log};
use crate::key::{KeyError, Signature, Signer, recover};
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
    /// Findings of a window.
    pub batches: u32,
    /// Dissents within it that flag.
    pub dissents: u16,
    /// Blocks after which a draw lapses, from 2.
    pub patience: u8,
    /// Signatures that are enough, by the size of the set less one; zero where no number is. As many as are drawn.
    pub needed: Vec<u8>,
}

/// The newest draw of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// Number of the draw; zero if there was none.
    pub draw: u64,
    /// The height of the block that opened it; zero once something was found.
    pub made: u64,
    /// Whether the batch counts.
    pub accepted: bool,
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

/// What was found of a batch: that it counts, or does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirmed {
    /// Number of the finding.
    pub batch: u64,
    /// The batch's digest, or its [refusal].
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

/// What witnesses sign for: everything that a batch says, by whom and to which account book, which has the same
/// (`WitnessedProvider.batchDigest`).
#[must_use]
pub fn batch_digest(
    provider: Address,
    settler: Address,
    sequence: u64,
    tariff_version: u32,
    lines_root: B256,
    items_hash: B256,
) -> B256 {
    let said = Writer::new(&[], 6).address(provider).address(settler).uint(U256::from(sequence));
    keccak256(said.uint(U256::from(tariff_version)).word(lines_root).word(items_hash).done())
}

/// What a witness signs a finding of that holds a batch to be wrong.
#[must_use]
pub fn refusal(digest: B256) -> B256 {
    keccak256(Writer::new(&[], 2).word(keccak256("refused")).word(digest).done())
}

/// Who is drawn of a list of members: the first places of a shuffle (Fisher and Yates) by the hash of the block that
/// opened the draw. What the contract computes, for whoever has no contract to ask.
#[must_use]
pub fn draw(block: B256, draw: u64, witness: Address, members: &[Address], most: u8) -> Vec<Address> {
    let seed = keccak256(Writer::new(&[], 3).word(block).uint(U256::from(draw)).address(witness).done());
    let mut places: Vec<Address> = members.to_vec();
    let size = members.len().min(usize::from(most));
    for i in 0..size {
        let hash = keccak256(Writer::new(&[], 2).word(seed).uint(U256::from(i)).done());
        let left = U256::from(members.len() - i);
        let other = U256::from_be_bytes(hash.0) % left;
        places.swap(i, i + usize::try_from(other).unwrap_or(0));
    }
    places.truncate(size);
    places
}

/// What members sign of what they say to each other beside the chain: EIP-712, so that it counts in this neighbourhood
/// only. `kind` keeps one kind of message from being taken for another.
#[must_use]
pub fn message(chain_id: u64, witness: Address, kind: &str, body: &[u8]) -> B256 {
    let struct_type = keccak256("Message(string kind,bytes body)");
    let said = Writer::new(&[], 3).word(struct_type).word(keccak256(kind)).word(keccak256(body));
    typed("microgrid witness", chain_id, witness, keccak256(said.done()))
}

/// Whose signature (r, s, v) of a hash this is; `None` if it is none, or has the higher of the two values of s, which the
/// contract does not take.
#[must_use]
pub fn signer(hash: B256, signature: &[u8; 65]) -> Option<Address> {
    let (r, rest) = signature.split_at(32);
    let (s, v) = rest.split_at(32);
    let y_odd = match v {
        [27] => false,
        [28] => true,
        _ => return None,
    };
    recover(hash, &Signature { r: U256::from_be_slice(r), s: U256::from_be_slice(s), y_odd })
}

/// Signs a finding or a message: r, s and v.
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
pub fn open(witness: Address, digest: B256) -> Call {
    to(witness, function("open(bytes32)", 1).word(digest))
}

fn pack(votes: &[(u8, [u8; 65])]) -> Vec<u8> {
    votes.iter().flat_map(|(place, signature)| [&[*place], &signature[..]].concat()).collect()
}

/// Accepts the open batch of a member: places in the set, rising, with what each signed.
#[must_use]
pub fn confirm(witness: Address, opener: Address, votes: &[(u8, [u8; 65])]) -> Call {
    to(witness, function("confirm(address,bytes)", 2).address(opener).bytes(&pack(votes)))
}

/// Refuses the open batch of a member: places in the set, rising, with the refusal that each signed.
#[must_use]
pub fn refuse(witness: Address, opener: Address, votes: &[(u8, [u8; 65])]) -> Call {
    to(witness, function("refuse(address,bytes)", 2).address(opener).bytes(&pack(votes)))
}

/// Reports that the member at `place` signed another digest than the one that was found.
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

/// Who is drawn for the open batch of a member, in order.
///
/// # Errors
/// Those of the chain; [`ChainError::Reverted`] if nothing is open, or not yet, or no longer.
pub fn drawn(chain: &dyn Chain, witness: Address, opener: Address) -> Result<Vec<Address>, ChainError> {
    ask(chain, witness, function("drawn(address)", 1).address(opener), |w| addresses(w, 0))
}

/// Who may be drawn, in no order.
///
/// # Errors
/// Those of the chain.
pub fn members(chain: &dyn Chain, witness: Address) -> Result<Vec<Address>, ChainError> {
    ask(chain, witness, function("members()", 0), |w| addresses(w, 0))
}

/// The newest draw of a member.
///
/// # Errors
/// Those of the chain.
pub fn state(chain: &dyn Chain, witness: Address, opener: Address) -> Result<State, ChainError> {
    ask(chain, witness, function("state(address)", 1).address(opener), |w| {
        Some(State { draw: w.number(0)?, made: w.number(1)?, accepted: w.bool(2)?, digest: w.word(3)? })
    })
}

/// The digest of the batch that was last accepted of a member; `None` while its newest draw is open or was refused.
///
/// # Errors
/// Those of the chain.
pub fn accepted(chain: &dyn Chain, witness: Address, opener: Address) -> Result<Option<B256>, ChainError> {
    let data = function("accepted(address)", 1).address(opener);
    ask(chain, witness, data, |w| w.word(0)).map(|digest| (digest != B256::ZERO).then_some(digest))
}

/// How many findings there are.
///
/// # Errors
/// Those of the chain.
pub fn findings(chain: &dyn Chain, witness: Address) -> Result<u64, ChainError> {
    ask(chain, witness, function("findings()", 0), |w| w.number(0))
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

/// What was found under a number: [`record`] of it; `None` if nothing was yet.
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

/// Reads that a draw was opened: its number, by whom, and for which digest.
#[must_use]
pub fn opened(log: &Log) -> Option<(u64, Address, B256)> {
    let [topic, draw, by] = log.topics[..] else { return None };
    (topic == keccak256("Opened(uint64,address,bytes32)") && log.data.len() == 32).then_some(())?;
    Some((Reader(&draw[..]).number(0)?, as_address(by)?, Reader(&log.data).word(0)?))
}

/// Whether members or rules changed: all open draws are void then.
#[must_use]
pub fn changes_list(log: &Log) -> bool {
    let events =
        ["Admitted(address)", "Removed(address)", "Cleared(address)", "RulesSet(uint8,uint32,uint16,uint8,bytes)"];
    let first = log.topics.first();
    flagged(log).is_some() || events.iter().any(|event| first == Some(&keccak256(event)))
}

/// Reads a batch that counts.
#[must_use]
pub fn confirmed(log: &Log) -> Option<Confirmed> {
    found(log, "Confirmed(uint64,bytes32,uint64,address[],uint8)")
}

/// Reads a batch that was refused.
#[must_use]
pub fn refused(log: &Log) -> Option<Confirmed> {
    found(log, "Refused(uint64,bytes32,uint64,address[],uint8)")
}

/// Reads who stood behind another digest than the one that was found: the number of the finding, and who.
#[must_use]
pub fn dissented(log: &Log) -> Option<(u64, Address)> {
    let [topic, batch, member] = log.topics[..] else { return None };
    (topic == keccak256("Dissented(uint64,address,bytes32)") && log.data.len() == 32).then_some(())?;
    Some((Reader(&batch[..]).number(0)?, as_address(member)?))
}

fn found(log: &Log, event: &str) -> Option<Confirmed> {
    let [topic, batch, digest] = log.topics[..] else { return None };
    if topic != keccak256(event) {
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
