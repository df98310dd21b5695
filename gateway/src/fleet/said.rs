//! What a gateway says of itself. A message is its signature as 0x and 130 hex digits, a line feed, and a JSON object.

use contracts::key::Signer;
use contracts::{Address, B256, witness};
use domain::Timestamp;
use serde::{Deserialize, Serialize, Serializer};

/// Bytes of a message; more is not looked at.
const LARGEST: usize = 4096;
/// Letters of a text within it.
const LONGEST: usize = 80;
const SEAL: usize = 2 + 130;
/// What the signature is for: no other message that a settler signs has this kind.
const KIND: &str = "gateway state";

/// A gateway, at one moment. It tells nothing of customers: who reads it may be a neighbour. Neighbours are not of one
/// version: what a later one adds is passed over here, and what is added here must be `#[serde(default)]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Its site.
    pub site: String,
    /// When, by its own clock, in milliseconds since 1970.
    pub at: Timestamp,
    /// Whether it trusts that clock.
    pub clock_trusted: bool,
    /// Its version.
    pub version: String,
    /// SHA-256 of its configuration's text.
    pub config: String,
    /// SHA-256 of the tariff that its configuration has.
    pub tariff: String,
    /// Its chain.
    pub chain_id: u64,
    /// The contract that it settles in, once it is known; `None` on a chain of its own, where nobody else settles.
    pub provider: Option<String>,
    /// The contract that draws its witnesses, if any.
    pub witness: Option<String>,
    /// The newest block that it saw.
    pub block: u64,
    /// Batches that are settled.
    pub settled_batches: i64,
    /// Energy that is billed and not settled, in Wh.
    pub pending_wh: i64,
    /// Readings in its ledger.
    pub readings: i64,
    /// Meters and switches that do not answer or do not follow.
    pub devices_ailing: usize,
    /// Whether its ledger can be written.
    pub ledger_ok: bool,
    /// Whether it can settle.
    pub chain_ok: bool,
}

/// A state, and who signed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Said {
    /// The signer's address.
    #[serde(serialize_with = "text")]
    pub address: Address,
    /// What it said.
    pub state: State,
}

fn text<S: Serializer>(address: &Address, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(address)
}

fn digest(chain_id: u64, body: &[u8]) -> B256 {
    witness::message(chain_id, Address::ZERO, KIND, body)
}

/// The message.
pub fn seal(state: &State, signer: &dyn Signer) -> Result<Vec<u8>, String> {
    let body = serde_json::to_vec(state).map_err(|e| e.to_string())?;
    let signature = witness::sign(digest(state.chain_id, &body), signer).map_err(|e| e.to_string())?;
    Ok([format!("0x{}\n", hex::encode(signature)).into_bytes(), body].concat())
}

impl Said {
    /// Reads one that was kept on this topic; why it counts for nothing, if it does.
    pub fn open(topic: &str, message: &[u8]) -> Result<Self, String> {
        if message.len() > LARGEST {
            return Err(format!("{} bytes, of which at most {LARGEST} are read", message.len()));
        }
        let sealed = || "it does not begin with a signature: 0x, 130 hex digits and a line feed".to_owned();
        let (seal, rest) = message.split_at_checked(SEAL).ok_or_else(sealed)?;
        let body = rest.strip_prefix(b"\n").ok_or_else(sealed)?;
        let mut signature = [0; 65];
        let digits = seal.strip_prefix(b"0x").ok_or_else(sealed)?;
        hex::decode_to_slice(digits, &mut signature).map_err(|_| sealed())?;
        let state: State = serde_json::from_slice(body).map_err(|e| format!("its state cannot be read: {e}"))?;
        let address = witness::signer(digest(state.chain_id, body), &signature).ok_or("its signature is none")?;
        if let Some(name) = unfit(&state) {
            return Err(format!("its {name} has control characters, or more than {LONGEST} letters"));
        }
        // Whoever may publish for one site does not speak for another, nor in another's place.
        let mut levels = topic.rsplit('/');
        let (by, kind, site) = (levels.next(), levels.next(), levels.next());
        if (site, kind) != (Some(&*state.site), Some("gateway")) {
            return Err(format!("it speaks for site {}", state.site));
        }
        if by != Some(&*format!("{address:#x}")) {
            return Err(format!("it was signed by {address:#x}"));
        }
        Ok(Self { address, state })
    }
}

/// The text that nobody should print: it comes from outside, and a terminal obeys control characters.
fn unfit(state: &State) -> Option<&'static str> {
    let texts = [
        ("site", Some(&state.site)),
        ("version", Some(&state.version)),
        ("config", Some(&state.config)),
        ("tariff", Some(&state.tariff)),
        ("provider", state.provider.as_ref()),
        ("witness", state.witness.as_ref()),
    ];
    let fits = |text: &String| text.chars().count() <= LONGEST && !text.contains(char::is_control);
    texts.into_iter().find(|(_, text)| text.is_some_and(|text| !fits(text))).map(|(name, _)| name)
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::topic;
    use super::*;
    use contracts::key::LocalKey;
    use proptest::prelude::*;

    pub(in crate::fleet) fn state(site: &str) -> State {
        State {
            site: site.into(),
            at: Timestamp(1_772_409_600_000),
            clock_trusted: true,
            version: "0.1.0".into(),
            config: "c0".into(),
            tariff: "7a".into(),
            chain_id: 31337,
            provider: Some(Address::ZERO.to_string()),
            witness: None,
            block: 12,
            settled_batches: 3,
            pending_wh: 40,
            readings: 1_000,
            devices_ailing: 0,
            ledger_ok: true,
            chain_ok: true,
        }
    }

    #[test]
    fn what_is_said_is_read_back_with_who_said_it() {
        let key = LocalKey::generate().unwrap();
        let message = seal(&state("lane"), &key).unwrap();
        let said = Said::open(&format!("town/{}", topic("lane", key.address())), &message).unwrap();
        assert_eq!((said.address, said.state), (key.address(), state("lane")));
    }

    #[test]
    fn nobody_speaks_for_another_site() {
        let key = LocalKey::generate().unwrap();
        let message = seal(&state("lane"), &key).unwrap();
        let open = |site, by| Said::open(&topic(site, by), &message).unwrap_err();
        assert!(open("mill", key.address()).contains("lane"));
        assert!(open("lane", Address::ZERO).contains(&format!("{:#x}", key.address())));
    }

    #[test]
    fn what_a_later_version_adds_is_passed_over() {
        let key = LocalKey::generate().unwrap();
        let mut later = serde_json::to_value(state("lane")).unwrap();
        later["moon"] = "full".into();
        let body = later.to_string().into_bytes();
        let signature = witness::sign(digest(31337, &body), &key).unwrap();
        let message = [format!("0x{}\n", hex::encode(signature)).into_bytes(), body].concat();
        assert_eq!(Said::open(&topic("lane", key.address()), &message).unwrap().state, state("lane"));
    }

    #[test]
    fn a_text_that_a_terminal_would_obey_is_refused_wherever_it_stands() {
        let key = LocalKey::generate().unwrap();
        for evil in ["\u{1b}[2J", "a\nb", &"x".repeat(LONGEST + 1)] {
            let said = |change: fn(&mut State, String)| {
                let mut state = state("lane");
                change(&mut state, evil.into());
                Said::open(&topic(&state.site, key.address()), &seal(&state, &key).unwrap()).unwrap_err()
            };
            assert!(said(|s, text| s.site = text).starts_with("its site has"));
            assert!(said(|s, text| s.version = text).starts_with("its version has"));
            assert!(said(|s, text| s.config = text).starts_with("its config has"));
            assert!(said(|s, text| s.tariff = text).starts_with("its tariff has"));
            assert!(said(|s, text| s.provider = Some(text)).starts_with("its provider has"));
            assert!(said(|s, text| s.witness = Some(text)).starts_with("its witness has"));
        }
    }

    proptest! {
        #[test]
        fn a_byte_that_was_changed_is_not_believed(at in 0_usize..LARGEST, with in 1_u8..) {
            let key = LocalKey::from_hex(&"17".repeat(32)).unwrap();
            let mut message = seal(&state("lane"), &key).unwrap();
            let at = at % message.len();
            message[at] ^= with;
            // A digit of the seal in the other case is the same digit.
            let same = at < SEAL && with == 0x20;
            let said = Said::open(&topic("lane", key.address()), &message);
            prop_assert!(same || said.is_err(), "{said:?}");
        }

        #[test]
        fn no_bytes_break_it(message in proptest::collection::vec(any::<u8>(), 0..600), topic in ".{0,40}") {
            let _ = Said::open(&topic, &message);
        }
    }
}
