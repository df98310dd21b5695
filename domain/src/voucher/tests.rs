use super::*;
use proptest::prelude::*;

fn voucher() -> Voucher {
    let expires = Some(Voucher::end_of_day(Timestamp(1_790_000_000_000)));
    Voucher { amount: Money(10_000_000_000), nonce: Nonce(*b"abcdef"), expires, bound: true, contract: true }
}

fn place(site: &str) -> Place<'_> {
    Place { site, chain_id: 31337, contract: Some([7; 20]) }
}

#[test]
fn a_code_reads_back_however_it_is_typed() {
    let code = Code::new(voucher(), Seal { halves: [0x5A; 64], odd: true }).unwrap();
    let text = code.to_string();
    assert_eq!(text.len(), 149, "{text}");
    for typed in [text.clone(), text.to_lowercase(), text.replace('-', " "), text.replace('0', "o").replace('1', "l")] {
        assert_eq!(typed.parse(), Ok(code), "{typed}");
    }
    assert_eq!("".parse::<Code>(), Err(BadCode::Checksum));
    assert_eq!(text.replacen('-', "u", 1).parse::<Code>(), Err(BadCode::Character('u')));
}

#[test]
fn what_is_signed_differs_by_site_chain_contract_account_and_everything_said() {
    let (a, b): (AccountId, AccountId) = ("home-1".parse().unwrap(), "home-2".parse().unwrap());
    let v = voucher();
    let here = place("lane");
    let mut all = vec![
        v.statement(&here, &a),
        v.statement(&here, &b),
        v.statement(&place("lan"), &a),
        v.statement(&Place { chain_id: 1, ..here }, &a),
        v.statement(&Place { contract: Some([8; 20]), ..here }, &a),
        Voucher { bound: false, ..v }.statement(&here, &a),
        Voucher { contract: false, ..v }.statement(&here, &a),
        Voucher { expires: None, ..v }.statement(&here, &a),
        Voucher { amount: Money(1), ..v }.statement(&here, &a),
        Voucher { nonce: Nonce([0; 6]), ..v }.statement(&here, &a),
    ];
    let n = all.len();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), n);
    assert_eq!(v.statement(&Place { contract: None, ..here }, &a), None);
    let free = Voucher { bound: false, ..v };
    assert_eq!(free.statement(&here, &a), free.statement(&here, &b));
}

#[test]
fn a_voucher_is_good_through_its_last_day_and_up_to_what_its_operator_may_sign_for() {
    let v = voucher();
    let end = v.expires.unwrap();
    assert_eq!(v.check(end - Duration::from_millis(1), v.amount), Ok(()));
    assert_eq!(v.check(end, v.amount), Err(NotTaken::Expired(end)));
    assert_eq!(v.check(Timestamp(0), Money(v.amount.0 - 1)), Err(NotTaken::TooMuch));
}

prop_compose! {
    fn any_code()(
        amount in 1_i64.., nonce in any::<[u8; 6]>(), days in prop::option::of(any::<u16>()), bound in any::<bool>(),
        contract in any::<bool>(), first in any::<[u8; 32]>(), second in any::<[u8; 32]>(), odd in any::<bool>(),
    ) -> Code {
        let expires = days.map(|d| Timestamp(0) + DAY * u32::from(d));
        let mut halves = [0; 64];
        halves[..32].copy_from_slice(&first);
        halves[32..].copy_from_slice(&second);
        Code::new(
            Voucher { amount: Money(amount), nonce: Nonce(nonce), expires, bound, contract },
            Seal { halves, odd },
        ).unwrap()
    }
}

proptest! {
    #[test]
    fn whatever_is_said_is_read_back(code in any_code()) {
        prop_assert_eq!(code.to_string().parse::<Code>(), Ok(code));
    }

    #[test]
    fn one_wrong_character_or_two_swapped_are_noticed(code in any_code(), at in any::<prop::sample::Index>(), to in 1_usize..32) {
        const ALPHABET: &[u8] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
        let mut text: Vec<u8> = code.to_string().replace('-', "").into_bytes();
        let at = at.index(text.len() - 1);
        let mut swapped = text.clone();
        swapped.swap(at, at + 1);
        if swapped != text {
            prop_assert_eq!(String::from_utf8(swapped).unwrap().parse::<Code>(), Err(BadCode::Checksum));
        }
        let was = ALPHABET.iter().position(|a| *a == text[at]).unwrap();
        text[at] = ALPHABET[(was + to) % 32];
        prop_assert_eq!(String::from_utf8(text).unwrap().parse::<Code>(), Err(BadCode::Checksum));
    }

    #[test]
    fn no_text_makes_it_stumble(text in "\\PC{0,200}", letters in "[0-9A-Z]{0,200}") {
        let _ = (text.parse::<Code>(), letters.parse::<Code>());
    }
}
