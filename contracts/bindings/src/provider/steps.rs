//! Records: what was metered, bound to a sequence number and readable on the chain, without touching an account.
//!
//! The contract keeps neither; it hashes. How steps are packed is ours: for every account in ascending order of its
//! number three [LEB128] numbers, by how many Wh its off-peak, peak and feed-in registers rose since the record before.
//! An interval of a household takes four to six bytes, of which those that are zero cost a quarter.
//!
//! [LEB128]: https://en.wikipedia.org/wiki/LEB128

use super::{Address, B256, Call, ChainError, U256};
use crate::abi::{as_address, ask, function, parts, small, to};
use crate::chain::{Chain, Log};

/// By how many Wh each account's off-peak, peak and feed-in registers rose, in ascending order of the accounts' numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Steps(pub Vec<[u64; 3]>);

impl Steps {
    /// Packs the steps.
    #[must_use]
    pub fn pack(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.0.len() * 6);
        for step in self.0.iter().flatten() {
            let mut rest = *step;
            while rest > 0x7f {
                out.push(u8::try_from(rest & 0x7f).unwrap_or(0) | 0x80);
                rest >>= 7;
            }
            out.push(u8::try_from(rest).unwrap_or(0));
        }
        out
    }

    /// Reads packed steps; `None` unless they are the one spelling of some.
    #[must_use]
    pub fn unpack(bytes: &[u8]) -> Option<Self> {
        let mut numbers = Vec::new();
        let (mut number, mut shift) = (0_u64, 0_u32);
        for byte in bytes {
            let part = u64::from(byte & 0x7f);
            // Ten groups hold 64 bits, the last of them one; a zero at the end says nothing, so it is no spelling.
            if shift > 63 || (shift == 63 && part > 1) || (shift > 0 && *byte == 0) {
                return None;
            }
            number |= part << shift;
            if byte & 0x80 == 0 {
                numbers.push(number);
                (number, shift) = (0, 0);
            } else {
                shift += 7;
            }
        }
        let (steps, rest) = numbers.as_chunks::<3>();
        (shift == 0 && rest.is_empty()).then(|| Self(steps.to_vec()))
    }
}

/// A settler bound itself to what it metered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Who.
    pub settler: Address,
    /// Its number among this settler's records.
    pub sequence: u64,
    /// Accounts in it, as the settler states it.
    pub count: u32,
    /// Keccak-256 of the packed steps.
    pub steps_hash: B256,
    /// Root of a tree over what the settler may want to prove later.
    pub root: B256,
}

/// Binds the sender to these steps.
#[must_use]
pub fn record(provider: Address, sequence: u64, root: B256, steps: &Steps) -> Call {
    let data = function("record(uint64,uint32,bytes32,bytes)", 4).uint(U256::from(sequence));
    to(provider, data.uint(U256::from(steps.0.len())).word(root).bytes(&steps.pack()))
}

/// The number that this settler's next record has to bear.
///
/// # Errors
/// Those of the chain.
pub fn next_record(chain: &dyn Chain, provider: Address, settler: Address) -> Result<u64, ChainError> {
    ask(chain, provider, function("nextRecord(address)", 1).address(settler), |w| w.number(0))
}

/// Reads a `Recorded` event; `None` if the log is another.
#[must_use]
pub fn recorded(log: &Log) -> Option<Recorded> {
    let (topics, data) = parts(log, "Recorded(address,uint64,uint32,bytes32,bytes32)", 2, 3)?;
    Some(Recorded {
        settler: as_address(topics[0])?,
        sequence: small(topics[1])?,
        count: data.number(0)?,
        steps_hash: data.word(1)?,
        root: data.word(2)?,
    })
}

#[cfg(test)]
mod tests {
    use super::Steps;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn steps_come_back_as_they_were_packed(steps in prop::collection::vec(prop::array::uniform3(any::<u64>()), 0..20)) {
            prop_assert_eq!(Steps::unpack(&Steps(steps.clone()).pack()), Some(Steps(steps)));
        }

        #[test]
        fn bytes_are_one_spelling_of_some_steps_or_none(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Some(steps) = Steps::unpack(&bytes) {
                prop_assert_eq!(steps.pack(), bytes);
            }
        }
    }
}
