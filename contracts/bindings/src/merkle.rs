//! Merkle trees: one hash on the chain for all lines of a batch's bills, and for each line a proof that it is one of
//! them, which a customer can check without seeing the others'.
//!
//! A leaf is `keccak256(0x00 ‖ bytes)`, a node `keccak256(0x01 ‖ left ‖ right)`: neither can pass for the other. Levels
//! are paired from the left; a node that stays alone moves up as it is. The root is `keccak256(0x02 ‖ number of leaves
//! as uint64, big-endian ‖ top)`, so that a proof also holds its place among how many; the root of no leaves is zero.
//!
//! A bill line has few possible values, and who sees the leaf beside their own could try them all. So the bytes of a
//! leaf have to hold a salt that nobody can guess: 16 random bytes or more, another for every line.

use crate::{B256, keccak256};
use serde::{Deserialize, Serialize};

const LEAF: u8 = 0;
const NODE: u8 = 1;
const ROOT: u8 = 2;

/// A leaf from its bytes, salt included.
#[must_use]
pub fn leaf(bytes: &[u8]) -> B256 {
    keccak256([&[LEAF], bytes].concat())
}

/// The root over these leaves, in this order; zero if there are none.
#[must_use]
pub fn root(leaves: &[B256]) -> B256 {
    let mut level = leaves.to_vec();
    while level.len() > 1 {
        level = above(&level);
    }
    level.first().map_or(B256::ZERO, |top| bound(count(leaves), *top))
}

/// The proof that leaf number `index`, from 0, is one of these; `None` if there is no such leaf.
#[must_use]
pub fn prove(leaves: &[B256], index: usize) -> Option<Proof> {
    if index >= leaves.len() {
        return None;
    }
    let (mut level, mut at, mut path) = (leaves.to_vec(), index, Vec::new());
    while level.len() > 1 {
        path.extend(level.get(at ^ 1));
        level = above(&level);
        at /= 2;
    }
    Some(Proof { index: u64::try_from(index).ok()?, leaves: count(leaves), path })
}

/// What shows that a leaf is one of those under a root. As JSON: two numbers, and the hashes as texts of `0x` and 64
/// hex digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// Which of the leaves it is, from 0.
    pub index: u64,
    /// How many leaves there are.
    pub leaves: u64,
    /// What stands beside on the way up, from the bottom; levels at which nothing does are left out.
    #[serde(with = "hashes")]
    pub path: Vec<B256>,
}

impl Proof {
    /// Whether this leaf, at this place among this many, is under this root.
    #[must_use]
    pub fn leads(&self, leaf: B256, root: B256) -> bool {
        let (mut at, mut width, mut here) = (self.index, self.leaves, leaf);
        if at >= width {
            return false;
        }
        let mut path = self.path.iter();
        while width > 1 {
            if at ^ 1 < width {
                let Some(beside) = path.next() else { return false };
                here = if at & 1 == 0 { node(here, *beside) } else { node(*beside, here) };
            }
            (at, width) = (at / 2, width.div_ceil(2));
        }
        path.next().is_none() && bound(self.leaves, here) == root
    }
}

fn above(level: &[B256]) -> Vec<B256> {
    let pair = |pair: &[B256]| match pair {
        [left, right] => Some(node(*left, *right)),
        alone => alone.first().copied(),
    };
    level.chunks(2).filter_map(pair).collect()
}

fn node(left: B256, right: B256) -> B256 {
    keccak256([&[NODE], left.as_slice(), right.as_slice()].concat())
}

fn bound(leaves: u64, top: B256) -> B256 {
    keccak256([&[ROOT], &leaves.to_be_bytes()[..], top.as_slice()].concat())
}

fn count(leaves: &[B256]) -> u64 {
    // No machine holds more.
    u64::try_from(leaves.len()).unwrap_or(u64::MAX)
}

mod hashes {
    use crate::B256;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(path: &[B256], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(path.iter().map(B256::to_string))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<B256>, D::Error> {
        let parse = |text: String| {
            let digits = text.strip_prefix("0x").filter(|d| d.len() == 64);
            let word = digits.and_then(|d| d.parse().ok());
            word.ok_or_else(|| D::Error::custom(format!("{text:.80?} is no hash: write 0x and 64 hex digits")))
        };
        Vec::<String>::deserialize(from)?.into_iter().map(parse).collect()
    }
}

#[cfg(test)]
mod tests;
