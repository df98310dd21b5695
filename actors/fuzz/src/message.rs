//! Bytes of a member of the neighbourhood are a message in bounds, or none, and nobody who judges it panics.

use actors::witness::heard::Heard;
use actors::witness::judge::{Judgement, Known, judge};
use actors::witness::wire::{self, Kind, Proposal, Said, Unheard};
use contracts::Address;
use contracts::key::{LocalKey, Signer};
use contracts::provider::AccountOnChain;
use std::collections::BTreeMap;

/// The first byte says of which kind the rest is. Unsigned bytes are never heard; signed ones are what they were when they
/// are said again.
pub fn check(bytes: &[u8]) {
    let Some((first, body)) = bytes.split_first() else { return };
    let kind = Kind::ALL[usize::from(*first) % Kind::ALL.len()];
    let (chain_id, contract) = (1, Address::ZERO);
    let nobody = Address::repeat_byte(1);
    let unsigned = wire::open(kind, body, chain_id, contract, nobody);
    assert!(matches!(unsigned, Err(Unheard::NoSeal | Unheard::NotBy(_) | Unheard::TooLong(_))), "{unsigned:?}");
    let said = match Said::read(kind, body) {
        Ok(said) => said,
        Err(Unheard::Body(why)) => return assert!(!why.is_empty() && why.len() <= 400 && !why.contains('\n')),
        Err(other) => panic!("{other}"),
    };
    assert_eq!(said.kind(), kind);
    let key = LocalKey::from_hex(&format!("{:064x}", 7)).unwrap();
    let Ok(sealed) = wire::seal(&said, chain_id, contract, &key) else { return };
    assert_eq!(wire::open(kind, &sealed, chain_id, contract, key.address()).as_ref(), Ok(&said));
    if let Said::Batch(proposal) = &said {
        judged(proposal);
    }
}

/// The account book has no such accounts: nothing that is billed to them can be sound.
fn judged(proposal: &Proposal) {
    let items = proposal.items().expect("a proposal that was read has items");
    assert!(proposal.digest(Address::ZERO).is_some());
    let (heard, billed, doubted) = (Heard::default(), BTreeMap::new(), BTreeMap::new());
    let with = |there: &BTreeMap<u32, AccountOnChain>| {
        judge(proposal, &Known { there, heard: &heard, billed: &billed, doubted: &doubted })
    };
    let nobody = with(&BTreeMap::new());
    assert!(matches!(nobody, Judgement::Wrong(reasons) if !reasons.is_empty()));
    // And the same with accounts that have nothing yet.
    let open = AccountOnChain { flags: AccountOnChain::OPEN, ..AccountOnChain::default() };
    let there = items.iter().map(|item| (item.number, open)).collect();
    let judged = with(&there);
    if judged == Judgement::Sound {
        let billed: i64 = items.iter().map(|i| i.off_peak.0 + i.peak.0 + i.feed_in.0).sum();
        assert_eq!(billed, 0, "energy that nobody overheard is sound");
    }
}
