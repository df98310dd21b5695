use super::*;
use proptest::prelude::*;
use proptest::sample::Index;
use std::collections::BTreeSet;

/// Leaves of which no two are the same: a proof for one of two twins is, rightly, one for the other.
fn leaves(most: usize) -> impl Strategy<Value = Vec<B256>> {
    let lines = prop::collection::btree_set(prop::collection::vec(any::<u8>(), 0..40), 1..most);
    lines.prop_map(|lines: BTreeSet<Vec<u8>>| lines.iter().map(|l| leaf(l)).collect())
}

fn turn(word: B256, bit: u8) -> B256 {
    let mut word = word;
    word[usize::from(bit / 8)] ^= 1 << (bit % 8);
    word
}

#[test]
fn the_root_of_no_lines_is_zero_and_nothing_leads_there() {
    assert_eq!((root(&[]), prove(&[], 0)), (B256::ZERO, None));
    let nothing = Proof { index: 0, leaves: 0, path: Vec::new() };
    assert!(!nothing.leads(B256::ZERO, B256::ZERO));
}

#[test]
fn a_node_does_not_pass_for_a_line() {
    let (a, b, c) = (leaf(b"a"), leaf(b"b"), leaf(b"c"));
    let whole = root(&[a, b, c]);
    // Two of three lines, offered as one line of two.
    let forged = Proof { index: 0, leaves: 2, path: vec![c] };
    assert!(!forged.leads(node(a, b), whole));
    assert_ne!(leaf(&[a.as_slice(), b.as_slice()].concat()), node(a, b));
    assert_ne!(root(&[a]), a, "a root is no leaf");
}

#[test]
fn a_last_line_that_is_said_twice_makes_another_root() {
    let (a, b, c) = (leaf(b"a"), leaf(b"b"), leaf(b"c"));
    assert_ne!(root(&[a, b, c]), root(&[a, b, c, c]));
}

#[test]
fn a_proof_is_plain_json_and_a_wrong_one_is_told_what_to_write() {
    let leaves = [leaf(b"a"), leaf(b"b"), leaf(b"c")];
    let proof = prove(&leaves, 2).unwrap();
    let text = serde_json::to_string(&proof).unwrap();
    assert_eq!(text, format!(r#"{{"index":2,"leaves":3,"path":["{}"]}}"#, node(leaves[0], leaves[1])));
    assert_eq!(serde_json::from_str::<Proof>(&text).unwrap(), proof);
    for bad in ["0x12", "", &"ab".repeat(33), &format!("0x{}", "zz".repeat(32)), &format!("0x{}", "ä".repeat(32))] {
        let text = format!(r#"{{"index":2,"leaves":3,"path":["{bad}"]}}"#);
        let error = serde_json::from_str::<Proof>(&text).unwrap_err().to_string();
        assert!(error.contains("write 0x and 64 hex digits"), "{bad}: {error}");
    }
}

proptest! {
    #[test]
    fn every_line_has_a_proof_and_there_are_no_others(leaves in leaves(70)) {
        let whole = root(&leaves);
        for (index, leaf) in leaves.iter().enumerate() {
            let proof = prove(&leaves, index).unwrap();
            prop_assert!(proof.leads(*leaf, whole));
            let again: Proof = serde_json::from_str(&serde_json::to_string(&proof).unwrap()).unwrap();
            prop_assert_eq!(again, proof);
        }
        prop_assert_eq!(prove(&leaves, leaves.len()), None);
    }

    #[test]
    fn any_changed_bit_breaks_a_proof(leaves in leaves(70), which: Index, bit: u8, place: u32, step: Index) {
        let index = which.index(leaves.len());
        let (proof, here, whole) = (prove(&leaves, index).unwrap(), leaves[index], root(&leaves));
        prop_assert!(!proof.leads(turn(here, bit), whole));
        prop_assert!(!proof.leads(here, turn(whole, bit)));
        let elsewhere = Proof { index: proof.index ^ (1 << (place % 64)), ..proof.clone() };
        let among_others = Proof { leaves: proof.leaves ^ (1 << (place % 64)), ..proof.clone() };
        prop_assert!(!elsewhere.leads(here, whole) && !among_others.leads(here, whole));
        let mut longer = proof.clone();
        longer.path.push(here);
        prop_assert!(!longer.leads(here, whole));
        if !proof.path.is_empty() {
            let at = step.index(proof.path.len());
            let (mut other, mut shorter) = (proof.clone(), proof);
            other.path[at] = turn(other.path[at], bit);
            shorter.path.remove(at);
            prop_assert!(!other.leads(here, whole) && !shorter.leads(here, whole));
        }
    }

    #[test]
    fn a_proof_of_one_tree_is_none_of_another(one in leaves(40), two in leaves(40), which: Index) {
        prop_assume!(one != two);
        let index = which.index(one.len());
        let proof = prove(&one, index).unwrap();
        prop_assert_ne!(root(&one), root(&two));
        prop_assert!(!proof.leads(one[index], root(&two)));
        // Not even when all but one line are the same.
        let mut near = one.clone();
        near.push(leaf(b"one more, and longer than any of the others can be"));
        prop_assert!(!proof.leads(one[index], root(&near)));
    }
}
