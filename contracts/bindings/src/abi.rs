//! The little of the contract ABI that our contracts need: words, and one level of dynamic arguments.

use crate::chain::{Chain, ChainError, Log};
use crate::tx::Call;
use crate::{Address, B256, U256, keccak256};
use domain::{Money, WattHours};

/// The first four bytes of a function's or an error's signature hash.
pub(crate) fn selector(signature: &str) -> [u8; 4] {
    let hash = keccak256(signature);
    [hash[0], hash[1], hash[2], hash[3]]
}

/// The deploying code in an artefact as `contracts/build.mjs` writes it.
pub(crate) fn init_code(artifact: &str) -> Vec<u8> {
    code(artifact, "bytecode")
}

/// The code in a field of it.
pub(crate) fn code(artifact: &str, field: &str) -> Vec<u8> {
    let artifact: serde_json::Value = serde_json::from_str(artifact).unwrap_or_default();
    let text = artifact[field].as_str().unwrap_or_default();
    hex::decode(text.trim_start_matches("0x")).unwrap_or_default()
}

/// A call of a function under construction.
pub(crate) fn function(signature: &str, words: usize) -> Writer {
    Writer::new(&selector(signature), words)
}

/// A call that brings no coin.
pub(crate) fn to(contract: Address, data: Writer) -> Call {
    Call { to: Some(contract), value: U256::ZERO, data: data.done() }
}

/// Asks a contract at the head of the chain.
pub(crate) fn ask<T>(
    chain: &dyn Chain,
    contract: Address,
    data: Writer,
    read: impl FnOnce(&Reader<'_>) -> Option<T>,
) -> Result<T, ChainError> {
    let answer = chain.call(Address::ZERO, &to(contract, data))?;
    let what = || {
        // No code answers with no bytes: the commonest mistake, a wrong address, gets its own words.
        if answer.is_empty() {
            format!("nothing at {contract} answers: is this the contract's address?")
        } else {
            format!("{} bytes from {contract} that are no such answer", answer.len())
        }
    };
    read(&Reader(&answer)).ok_or_else(|| ChainError::nonsense("eth_call", what()))
}

/// The indexed words behind the event's name and the data, if the log is this event and whole.
pub(crate) fn parts<'a>(
    log: &'a Log,
    signature: &str,
    indexed: usize,
    words: usize,
) -> Option<(&'a [B256], Reader<'a>)> {
    let (first, rest) = log.topics.split_first()?;
    (*first == keccak256(signature) && rest.len() == indexed && log.data.len() == words * 32)
        .then_some((rest, Reader(&log.data)))
}

/// A word as a small number, if it is one.
pub(crate) fn small<T: TryFrom<u64>>(word: B256) -> Option<T> {
    T::try_from(u64::try_from(U256::from_be_bytes(word.0)).ok()?).ok()
}

/// Calldata under construction: the head words, and behind them what the dynamic ones point to.
pub(crate) struct Writer {
    prefix: Vec<u8>,
    head: Vec<B256>,
    tail: Vec<u8>,
    /// Words in the finished head: offsets of dynamic arguments count from its start.
    words: usize,
}

impl Writer {
    /// A writer for `words` arguments behind `prefix`: a selector, or init code.
    pub(crate) fn new(prefix: &[u8], words: usize) -> Self {
        Self { prefix: prefix.to_vec(), head: Vec::with_capacity(words), tail: Vec::new(), words }
    }

    pub(crate) fn uint(mut self, value: impl TryInto<U256>) -> Self {
        // Every caller hands over a u32, u64 or U256, which always fit.
        self.head.push(value.try_into().map_or(B256::ZERO, |v: U256| v.into()));
        self
    }

    pub(crate) fn word(mut self, value: B256) -> Self {
        self.head.push(value);
        self
    }

    pub(crate) fn address(self, value: Address) -> Self {
        self.word(value.into_word())
    }

    /// A signed number.
    pub(crate) fn int(self, value: i64) -> Self {
        self.uint(signed(value))
    }

    pub(crate) fn flag(self, value: bool) -> Self {
        self.uint(U256::from(u8::from(value)))
    }

    pub(crate) fn bytes(mut self, value: &[u8]) -> Self {
        self = self.here(value.len());
        self.tail.extend_from_slice(value);
        self.tail.resize(self.tail.len().next_multiple_of(32), 0);
        self
    }

    pub(crate) fn words(mut self, values: impl ExactSizeIterator<Item = B256>) -> Self {
        self = self.here(values.len());
        values.for_each(|v| self.tail.extend_from_slice(v.as_slice()));
        self
    }

    fn here(mut self, len: usize) -> Self {
        self.head.push(B256::from(U256::from(self.words * 32 + self.tail.len())));
        self.tail.extend_from_slice(&U256::from(len).to_be_bytes::<32>());
        self
    }

    pub(crate) fn done(self) -> Vec<u8> {
        debug_assert_eq!(self.head.len(), self.words, "as many arguments as announced");
        let mut out = self.prefix;
        self.head.iter().for_each(|w| out.extend_from_slice(w.as_slice()));
        out.extend_from_slice(&self.tail);
        out
    }
}

/// A signed number in two's complement.
pub(crate) fn signed(value: i64) -> U256 {
    let low = U256::from(value.unsigned_abs());
    if value < 0 { U256::ZERO.wrapping_sub(low) } else { low }
}

/// Reads 32-byte words; every getter is `None` past the end or when the word is out of the type's range.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl Reader<'_> {
    pub(crate) fn word(&self, index: usize) -> Option<B256> {
        let start = index.checked_mul(32)?;
        self.0.get(start..start.checked_add(32)?).map(B256::from_slice)
    }

    pub(crate) fn uint(&self, index: usize) -> Option<U256> {
        self.word(index).map(Into::into)
    }

    pub(crate) fn number<T: TryFrom<u64>>(&self, index: usize) -> Option<T> {
        T::try_from(u64::try_from(self.uint(index)?).ok()?).ok()
    }

    pub(crate) fn bool(&self, index: usize) -> Option<bool> {
        match self.number::<u8>(index)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    pub(crate) fn address(&self, index: usize) -> Option<Address> {
        as_address(self.word(index)?)
    }

    pub(crate) fn energy(&self, index: usize) -> Option<WattHours> {
        WattHours(self.number(index)?).as_register()
    }

    /// A signed word as an integer.
    pub(crate) fn int(&self, index: usize) -> Option<i128> {
        let value = self.uint(index)?;
        if value.bit(255) {
            // Two's complement: -x is not x, plus one.
            i128::try_from(u128::try_from(!value).ok()?).ok().map(|v| -v - 1)
        } else {
            i128::try_from(u128::try_from(value).ok()?).ok()
        }
    }

    pub(crate) fn money(&self, index: usize) -> Option<Money> {
        i64::try_from(self.int(index)?).ok().map(Money)
    }

    /// An unsigned word as money: never negative, whatever stands in its highest bit.
    pub(crate) fn amount(&self, index: usize) -> Option<Money> {
        self.number(index).map(Money)
    }

    /// The bytes of the dynamic argument whose head word is at `index`.
    pub(crate) fn bytes(&self, index: usize) -> Option<&[u8]> {
        let start = self.number::<usize>(index)?;
        let body = self.0.get(start..)?;
        let len = Reader(body).number::<usize>(0)?;
        body.get(32..len.checked_add(32)?)
    }
}

/// The address in a word, if the word holds nothing else.
pub(crate) fn as_address(word: B256) -> Option<Address> {
    word[..12].iter().all(|b| *b == 0).then(|| Address::from_word(word))
}
