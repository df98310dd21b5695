//! A proof that somebody hands in is one, or none, and never more than that.

use contracts::B256;
use contracts::merkle::{Proof, leaf, prove, root};

/// A text is a proof in one meaning, or refused with words. Whatever it claims, checking it ends and leads a leaf to one
/// root at most. And of the tree that these bytes make, every leaf's proof leads there, and no other leaf's.
pub fn check(bytes: &[u8]) {
    match serde_json::from_slice::<Proof>(bytes) {
        Ok(proof) => {
            let again = serde_json::to_string(&proof).map(|text| serde_json::from_str::<Proof>(&text));
            assert_eq!(again.unwrap().unwrap(), proof);
            assert!(!proof.leads(leaf(bytes), B256::ZERO));
            assert!(!proof.leads(leaf(bytes), leaf(bytes)));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    let Some((size, lines)) = bytes.split_first() else { return };
    let leaves: Vec<B256> = lines.chunks(usize::from(size % 32) + 1).map(leaf).collect();
    let whole = root(&leaves);
    for (index, here) in leaves.iter().enumerate() {
        let proof = prove(&leaves, index).unwrap();
        assert!(proof.leads(*here, whole));
        let next = leaves[(index + 1) % leaves.len()];
        assert!(next == *here || !proof.leads(next, whole));
    }
    assert_eq!(prove(&leaves, leaves.len()), None);
}
