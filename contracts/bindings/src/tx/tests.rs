use super::*;
use crate::key::LocalKey;
use proptest::prelude::*;

fn key() -> LocalKey {
    LocalKey::from_hex(&"11".repeat(32)).unwrap()
}

fn transactions() -> impl Strategy<Value = Transaction> {
    let call = (any::<Option<[u8; 20]>>(), any::<[u8; 32]>(), prop::collection::vec(any::<u8>(), 0..300));
    let call =
        call.prop_map(|(to, value, data)| Call { to: to.map(Address::from), value: U256::from_be_bytes(value), data });
    (any::<u64>(), any::<u64>(), any::<u128>(), any::<u128>(), any::<u64>(), call).prop_map(
        |(chain_id, nonce, max_fee, max_priority, gas_limit, call)| Transaction {
            chain_id,
            nonce,
            fees: Fees { max_fee, max_priority },
            gas_limit,
            call,
        },
    )
}

fn signed_as(kind: Kind, tx: &Transaction) -> Vec<u8> {
    let signature = key().sign(keccak256(tx.encode(kind, None))).unwrap();
    tx.encode(kind, Some(&signature))
}

proptest! {
    #[test]
    fn what_is_signed_decodes_to_itself_and_its_sender(tx in transactions()) {
        let signed = tx.sign(&key()).unwrap();
        prop_assert_eq!(decode(&signed.raw), Ok((tx, key().address())));
        prop_assert_eq!(keccak256(&signed.raw), signed.hash);
    }

    #[test]
    fn older_kinds_decode_to_what_they_amount_to(mut tx in transactions()) {
        // EIP-155 squeezes the chain id into v, which is read as 64 bits here.
        tx.chain_id >>= 2;
        tx.fees.max_priority = tx.fees.max_fee;
        for kind in [Kind::Legacy, Kind::Eip2930] {
            prop_assert_eq!(decode(&signed_as(kind, &tx)), Ok((tx.clone(), key().address())));
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(raw in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = (decode(&raw), signature_of(&raw), type_of(&raw));
        for kind in [1, 2] {
            let _ = decode(&[&[kind], &raw[..]].concat());
        }
    }

    #[test]
    fn a_flipped_bit_never_passes_as_the_same_sender(tx in transactions(), at in any::<prop::sample::Index>(), bit in 0..8) {
        let mut raw = tx.sign(&key()).unwrap().raw;
        let at = at.index(raw.len());
        raw[at] ^= 1_u8 << bit;
        if let Ok((_, sender)) = decode(&raw) {
            prop_assert_ne!(sender, key().address());
        }
    }

    #[test]
    fn bytes_behind_a_transaction_are_refused(tx in transactions(), tail in prop::collection::vec(any::<u8>(), 1..9)) {
        let raw = tx.sign(&key()).unwrap().raw;
        prop_assert!(decode(&[raw, tail].concat()).is_err());
    }
}

#[test]
fn a_high_s_is_refused_although_it_verifies() {
    let order = U256::from_str_radix("fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141", 16).unwrap();
    let tx = Transaction { chain_id: 1, nonce: 0, fees: Fees::default(), gas_limit: 1, call: Call::default() };
    let low = key().sign(tx.digest()).unwrap();
    let high = Signature { s: order - low.s, y_odd: !low.y_odd, ..low };
    assert!(decode(&tx.encode(Kind::Eip1559, Some(&low))).is_ok());
    assert_eq!(decode(&tx.encode(Kind::Eip1559, Some(&high))), Err(TxError::BadSignature));
}

#[test]
fn unknown_and_unprotected_kinds_are_named() {
    assert_eq!(decode(&[3, 0xc0]), Err(TxError::UnsupportedType(3)));
    assert_eq!(decode(&[0x7f]), Err(TxError::UnsupportedType(0x7f)));
    let tx = Transaction { chain_id: 0, nonce: 0, fees: Fees::default(), gas_limit: 1, call: Call::default() };
    let mut s = RlpStream::new_list(9);
    s.append(&0_u8).append(&0_u8).append(&1_u8).append_empty_data().append(&0_u8).append_empty_data();
    s.append(&27_u8).append(&1_u8).append(&1_u8);
    assert_eq!(decode(s.as_raw()), Err(TxError::NotReplayProtected));
    assert!(decode(&tx.encode(Kind::Eip1559, None)).is_err());
}
