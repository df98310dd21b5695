//! Vouchers: what an operator's key signs, and whose key it was. What a voucher says is in `domain`; the signature is
//! over its statement, which names the place where it is good.

use crate::key::{KeyError, Signature, Signer, recover};
use crate::{Address, B256, U256, keccak256};
use domain::AccountId;
use domain::voucher::{Code, Nonce, Place, Seal, Voucher};

/// A code as it was opened at a place, for an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Whose key signed it. Of a code that was signed for another place or account, this is nobody's address.
    pub signer: Address,
    /// The number under which it counts once: 32 hex digits that follow from all it says.
    pub number: String,
}

/// A number that no other voucher has.
///
/// # Errors
/// [`KeyError::NoRandomness`].
pub fn nonce() -> Result<Nonce, KeyError> {
    let mut bytes = [0; 6];
    getrandom::fill(&mut bytes).map_err(|e| KeyError::NoRandomness(e.to_string()))?;
    Ok(Nonce(bytes))
}

fn digest(voucher: &Voucher, place: &Place<'_>, account: &AccountId) -> Option<B256> {
    voucher.statement(place, account).map(keccak256)
}

/// Signs a voucher for a place. `account` matters for one that is bound to it only.
///
/// # Errors
/// [`KeyError::Signing`], also for a voucher that no code can say.
pub fn sign(voucher: Voucher, place: &Place<'_>, account: &AccountId, signer: &dyn Signer) -> Result<Code, KeyError> {
    let unsayable = || KeyError::Signing("no code can say this voucher".into());
    let signature = signer.sign(digest(&voucher, place, account).ok_or_else(unsayable)?)?;
    let mut halves = [0; 64];
    let (r, s) = halves.split_at_mut(32);
    r.copy_from_slice(&signature.r.to_be_bytes::<32>());
    s.copy_from_slice(&signature.s.to_be_bytes::<32>());
    Code::new(voucher, Seal { halves, odd: signature.y_odd }).ok_or_else(unsayable)
}

/// Opens a code at a place, for an account. `None` if its signature is none, or if it was signed with a contract and the
/// place has none.
#[must_use]
pub fn open(code: &Code, place: &Place<'_>, account: &AccountId) -> Option<Opened> {
    let digest = digest(&code.voucher, place, account)?;
    let (r, s) = code.seal.halves.split_at(32);
    let signature = Signature { r: U256::from_be_slice(r), s: U256::from_be_slice(s), y_odd: code.seal.odd };
    let signer = recover(digest, &signature)?;
    Some(Opened { signer, number: hex::encode(digest.get(..16)?) })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop here")]

    use super::*;
    use crate::key::LocalKey;
    use domain::Money;
    use proptest::prelude::*;

    fn place(site: &str, chain_id: u64) -> Place<'_> {
        Place { site, chain_id, contract: None }
    }

    fn voucher(amount: i64, bound: bool) -> Voucher {
        Voucher { amount: Money(amount), nonce: nonce().unwrap(), expires: None, bound, contract: false }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
        #[test]
        fn a_voucher_is_its_operators_where_and_for_whom_it_was_signed_and_nobodys_elsewhere(
            amount in 1_i64.., bound in any::<bool>(), at in 0_usize..64, bit in 0_u8..8,
        ) {
            let key = LocalKey::generate().unwrap();
            let (home, other): (AccountId, AccountId) = ("home-1".parse().unwrap(), "home-2".parse().unwrap());
            let here = place("lane", 31337);
            let code = sign(voucher(amount, bound), &here, &home, &key).unwrap();
            let code: Code = code.to_string().parse().unwrap();
            let signer = |code: &Code, place: &Place<'_>, account| open(code, place, account).map(|o| o.signer);
            prop_assert_eq!(signer(&code, &here, &home), Some(key.address()));
            prop_assert_eq!(signer(&code, &here, &other) == Some(key.address()), !bound);
            for elsewhere in [place("lan", 31337), place("lane", 1)] {
                prop_assert_ne!(signer(&code, &elsewhere, &home), Some(key.address()));
            }
            let mut forged = code;
            forged.seal.halves[at] ^= 1 << bit;
            prop_assert_ne!(signer(&forged, &here, &home), Some(key.address()));
            let mut dearer = code;
            dearer.voucher.amount.0 -= 1;
            prop_assert_ne!(signer(&dearer, &here, &home), Some(key.address()));
        }
    }

    #[test]
    fn a_voucher_of_a_contract_is_nothing_where_no_contract_is_known() {
        let key = LocalKey::generate().unwrap();
        let home: AccountId = "home-1".parse().unwrap();
        let with = Place { contract: Some([7; 20]), ..place("lane", 1) };
        let code = sign(Voucher { contract: true, ..voucher(5, false) }, &with, &home, &key).unwrap();
        assert_eq!(open(&code, &with, &home).map(|o| o.signer), Some(key.address()));
        assert_eq!(open(&code, &place("lane", 1), &home), None);
        let other = Place { contract: Some([8; 20]), ..with };
        assert_ne!(open(&code, &other, &home).map(|o| o.signer), Some(key.address()));
    }
}
