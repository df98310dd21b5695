//! Transactions as bytes: EIP-1559 out; EIP-1559, EIP-2930 and EIP-155 in. RLP by the `rlp` crate.

use crate::key::{KeyError, Signature, Signer, recover};
use crate::{Address, B256, U256};
use revm::primitives::keccak256;
use rlp::{Rlp, RlpStream};
use thiserror::Error;

/// What a transaction does: a call, or a deployment when `to` is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Call {
    /// The callee; `None` deploys `data` as a contract.
    pub to: Option<Address>,
    /// Coin sent along, in wei.
    pub value: U256,
    /// Calldata, or init code.
    pub data: Vec<u8>,
}

/// What a unit of gas may cost, in wei.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fees {
    /// The most that is paid per gas, base fee included.
    pub max_fee: u128,
    /// The part of it that the block's author may get.
    pub max_priority: u128,
}

/// An EIP-1559 transaction before signing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// The chain it is valid on.
    pub chain_id: u64,
    /// How many transactions of the sender precede it.
    pub nonce: u64,
    /// What gas may cost.
    pub fees: Fees,
    /// The most gas it may use.
    pub gas_limit: u64,
    /// What it does.
    pub call: Call,
}

/// A signed transaction, ready to be recorded and sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// The bytes for `eth_sendRawTransaction`.
    pub raw: Vec<u8>,
    /// Its hash, known before it is sent.
    pub hash: B256,
}

/// Why bytes are no transaction that this chain takes.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TxError {
    /// Not RLP of the expected shape.
    #[error("malformed transaction: {0}")]
    Malformed(String),
    /// Decodes, but would encode to other bytes.
    #[error("malformed transaction: not in canonical RLP")]
    NotCanonical,
    /// A type of transaction that is not served here.
    #[error("transaction type {0:#04x} is not supported")]
    UnsupportedType(u8),
    /// A legacy transaction that is valid on every chain.
    #[error("only replay-protected (EIP-155) transactions are accepted")]
    NotReplayProtected,
    /// An access list with entries.
    #[error("access lists with entries are not supported")]
    AccessList,
    /// A malformed signature, a high `s`, or no recoverable signer.
    #[error("invalid transaction signature")]
    BadSignature,
}

impl From<rlp::DecoderError> for TxError {
    fn from(e: rlp::DecoderError) -> Self {
        Self::Malformed(e.to_string())
    }
}

const EIP2930: u8 = 1;
const EIP1559: u8 = 2;

impl Transaction {
    /// What the sender signs.
    #[must_use]
    pub fn digest(&self) -> B256 {
        keccak256(self.encode(Kind::Eip1559, None))
    }

    /// Signs the transaction.
    ///
    /// # Errors
    /// Those of the signer.
    pub fn sign(&self, signer: &dyn Signer) -> Result<Signed, KeyError> {
        let signature = signer.sign(self.digest())?;
        let raw = self.encode(Kind::Eip1559, Some(&signature));
        Ok(Signed { hash: keccak256(&raw), raw })
    }

    /// Signs it for a chain whose head has this base fee; where there is none, as a legacy transaction (EIP-155) whose gas
    /// price is `fees.max_fee`.
    ///
    /// # Errors
    /// Those of the signer.
    pub fn sign_for(&self, base_fee: Option<u128>, signer: &dyn Signer) -> Result<Signed, KeyError> {
        if base_fee.is_some() {
            return self.sign(signer);
        }
        let signature = signer.sign(keccak256(self.encode(Kind::Legacy, None)))?;
        let raw = self.encode(Kind::Legacy, Some(&signature));
        Ok(Signed { hash: keccak256(&raw), raw })
    }

    fn encode(&self, kind: Kind, signature: Option<&Signature>) -> Vec<u8> {
        let mut s = RlpStream::new();
        s.begin_unbounded_list();
        if kind != Kind::Legacy {
            s.append(&self.chain_id);
        }
        s.append(&self.nonce);
        if kind == Kind::Eip1559 {
            s.append(&self.fees.max_priority);
        }
        s.append(&self.fees.max_fee).append(&self.gas_limit);
        match &self.call.to {
            Some(to) => s.append(&to.as_slice()),
            None => s.append_empty_data(),
        };
        append_u256(&mut s, self.call.value);
        s.append(&self.call.data.as_slice());
        if kind != Kind::Legacy {
            s.begin_list(0);
        }
        match (kind, signature) {
            (Kind::Legacy, None) => {
                s.append(&self.chain_id).append(&0_u8).append(&0_u8);
            }
            (Kind::Legacy, Some(g)) => {
                append_u256(&mut s, U256::from(self.chain_id) * U256::from(2) + U256::from(35 + u8::from(g.y_odd)));
            }
            (_, Some(g)) => {
                s.append(&u8::from(g.y_odd));
            }
            (_, None) => {}
        }
        if let Some(g) = signature {
            append_u256(&mut s, g.r);
            append_u256(&mut s, g.s);
        }
        s.finalize_unbounded_list();
        let mut raw = match kind {
            Kind::Legacy => Vec::new(),
            Kind::Eip2930 => vec![EIP2930],
            Kind::Eip1559 => vec![EIP1559],
        };
        raw.extend_from_slice(s.as_raw());
        raw
    }
}

/// Reads a signed transaction and finds its sender. Takes EIP-1559, and EIP-2930 and EIP-155 legacy transactions as
/// what they amount to: both fees are then the gas price. Strict: canonical RLP, low `s`, empty access lists.
///
/// # Errors
/// Says what is wrong with the bytes.
pub fn decode(raw: &[u8]) -> Result<(Transaction, Address), TxError> {
    let (kind, body) = match raw {
        [] => return Err(TxError::Malformed("no bytes".into())),
        [EIP1559, body @ ..] => (Kind::Eip1559, body),
        [EIP2930, body @ ..] => (Kind::Eip2930, body),
        [0xc0..=0xff, ..] => (Kind::Legacy, raw),
        [other, ..] => return Err(TxError::UnsupportedType(*other)),
    };
    let (tx, signature) = fields(kind, body)?;
    // One comparison refuses every non-canonical spelling at once: leading zeros, long lengths, trailing bytes.
    if tx.encode(kind, Some(&signature)) != raw {
        return Err(TxError::NotCanonical);
    }
    let digest = keccak256(tx.encode(kind, None));
    let sender = recover(digest, &signature).ok_or(TxError::BadSignature)?;
    Ok((tx, sender))
}

/// The type byte of raw transaction bytes, as receipts and JSON-RPC state it.
pub(crate) fn type_of(raw: &[u8]) -> u8 {
    raw.first().copied().filter(|t| *t < 0xc0).unwrap_or(0)
}

/// The signature of a transaction that [`decode`] has accepted.
pub(crate) fn signature_of(raw: &[u8]) -> Result<Signature, TxError> {
    let (kind, body) = match raw {
        [EIP1559, body @ ..] => (Kind::Eip1559, body),
        [EIP2930, body @ ..] => (Kind::Eip2930, body),
        _ => (Kind::Legacy, raw),
    };
    fields(kind, body).map(|(_, signature)| signature)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Legacy,
    Eip2930,
    Eip1559,
}

fn fields(kind: Kind, body: &[u8]) -> Result<(Transaction, Signature), TxError> {
    let list = Rlp::new(body);
    let wanted = match kind {
        Kind::Legacy => 9,
        Kind::Eip2930 => 11,
        Kind::Eip1559 => 12,
    };
    if !list.is_list() || list.item_count()? != wanted {
        return Err(TxError::Malformed(format!("not a list of {wanted} fields")));
    }
    let mut items = list.iter();
    let mut next = || items.next().ok_or_else(|| TxError::Malformed("too few fields".into()));
    let mut chain_id = if kind == Kind::Legacy { 0 } else { next()?.as_val()? };
    let nonce = next()?.as_val()?;
    let first_fee: u128 = next()?.as_val()?;
    let max_fee = if kind == Kind::Eip1559 { next()?.as_val()? } else { first_fee };
    let gas_limit = next()?.as_val()?;
    let to = match next()?.data()? {
        [] => None,
        to => Some(Address::try_from(to).map_err(|_| TxError::Malformed("the callee is no address".into()))?),
    };
    let value = u256(&next()?)?;
    let data = next()?.data()?.to_vec();
    if kind != Kind::Legacy {
        let list = next()?;
        if !list.is_list() {
            return Err(TxError::Malformed("the access list is no list".into()));
        }
        if list.item_count()? > 0 {
            return Err(TxError::AccessList);
        }
    }
    let v = next()?;
    let y_odd = if kind == Kind::Legacy {
        let v: u64 = v.as_val()?;
        let v = v.checked_sub(35).ok_or(TxError::NotReplayProtected)?;
        chain_id = v / 2;
        v % 2 == 1
    } else {
        match v.as_val::<u8>()? {
            0 => false,
            1 => true,
            _ => return Err(TxError::BadSignature),
        }
    };
    let signature = Signature { r: u256(&next()?)?, s: u256(&next()?)?, y_odd };
    let fees = Fees { max_fee, max_priority: first_fee };
    Ok((Transaction { chain_id, nonce, fees, gas_limit, call: Call { to, value, data } }, signature))
}

/// Appends a number in as few bytes as it needs.
pub(crate) fn append_u256(s: &mut RlpStream, value: U256) {
    let bytes = value.to_be_bytes::<32>();
    let zeros = bytes.iter().take_while(|b| **b == 0).count();
    s.append(&bytes.get(zeros..).unwrap_or_default());
}

/// Reads a number of at most 32 bytes without leading zeros.
pub(crate) fn u256(item: &Rlp<'_>) -> Result<U256, rlp::DecoderError> {
    let bytes = item.data()?;
    if bytes.len() > 32 || bytes.first() == Some(&0) {
        return Err(rlp::DecoderError::RlpInvalidIndirection);
    }
    Ok(U256::from_be_slice(bytes))
}

#[cfg(test)]
mod tests;
