use super::*;
use proptest::prelude::*;
use std::fs::Permissions;

/// Half the order of the group: a signature above it has a twin that says the same.
fn half_order() -> U256 {
    U256::from_str_radix("7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0", 16).unwrap()
}

proptest! {
    #[test]
    fn every_signature_is_low_and_recovers_to_its_signer(digest in any::<[u8; 32]>(), scalar in any::<[u8; 16]>()) {
        let key = LocalKey::from_hex(&format!("{}{}", "01".repeat(16), hex::encode(scalar))).unwrap();
        let signature = key.sign(digest.into()).unwrap();
        prop_assert!(signature.s <= half_order());
        prop_assert_eq!(recover(digest.into(), &signature), Some(key.address()));
    }

    #[test]
    fn no_text_makes_reading_a_key_panic(text in ".{0,80}") {
        let _ = LocalKey::from_hex(&text);
    }
}

fn file(content: &str, mode: u32) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("chain.key");
    std::fs::write(&path, content).unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    (dir, path)
}

#[test]
fn a_saved_key_comes_back_and_only_its_owner_can_read_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("chain.key");
    let key = LocalKey::generate().unwrap();
    key.save_new(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(LocalKey::load(&path).unwrap().address(), key.address());
    assert!(matches!(LocalKey::generate().unwrap().save_new(&path), Err(KeyError::File { .. })));
    assert_eq!(LocalKey::load(&path).unwrap().address(), key.address(), "the file was overwritten");
}

#[test]
fn a_key_that_others_can_read_is_refused_with_the_cure() {
    for mode in [0o640, 0o604, 0o660, 0o644] {
        let (_dir, path) = file(&"11".repeat(32), mode);
        let message = LocalKey::load(&path).unwrap_err().to_string();
        assert!(message.contains(&format!("chmod 600 {}", path.display())), "{message}");
    }
    let (_dir, path) = file(&format!("0x{}\n", "11".repeat(32)), 0o400);
    assert!(LocalKey::load(&path).is_ok());
}

#[test]
fn what_is_no_key_is_named_with_its_file_and_never_repeated() {
    let beyond = "f".repeat(64);
    let zero = "0".repeat(64);
    let (short, long) = ("12ab".repeat(15), "12ab".repeat(17));
    let cases = [
        ("", "empty"),
        ("\n \n", "empty"),
        (&short, "64 hex"),
        (&long, "64 hex"),
        (&zero, "no key"),
        (&beyond, "no key"),
    ];
    for (content, wanted) in cases {
        let (_dir, path) = file(content, 0o600);
        let message = LocalKey::load(&path).unwrap_err().to_string();
        assert!(message.contains(wanted) && message.contains("chain.key"), "{message}");
        assert!(content.trim().is_empty() || !message.contains(content.trim()), "{message}");
    }
    let missing = Path::new("/nonexistent/chain.key");
    assert!(LocalKey::load(missing).unwrap_err().to_string().contains("/nonexistent/chain.key"));
}

#[test]
fn a_key_shows_its_address_and_nothing_else() {
    let secret = "a1b2".repeat(16);
    let shown = format!("{:?}", LocalKey::from_hex(&secret).unwrap());
    assert!(shown.contains("0x") && !shown.contains("a1b2a1b2"), "{shown}");
}

/// Cheap enough for tests.
const CHEAP: Cost = Cost { log_n: 4 };

/// The scrypt vector of the Web3 Secret Storage definition: N 262144, r 1, p 8.
const DEFINED: &str = r#"{"crypto":{"cipher":"aes-128-ctr","cipherparams":{"iv":"83dbcc02d8ccb40e466191a123791e0e"},
"ciphertext":"d172bf743a674da9cdad04534d56926ef8358534d458fffccd4e6ad2fbde479c","kdf":"scrypt",
"kdfparams":{"dklen":32,"n":262144,"p":8,"r":1,"salt":"ab0c7876052600dd703518d6fc3fe8984592145b591fc8fb5c6d43190334ba19"},
"mac":"2103ac29920d71da29f15d75b4a16dbe95cfd7ff8faea1056c33131d846e3097"},"id":"3198bc9c-6672-5ab3-d995-4942343ae5b6","version":3}"#;

#[test]
fn the_defined_keystore_opens_to_the_defined_key() {
    let key = LocalKey::from_keystore(DEFINED, &Password::from("testpassword")).unwrap();
    let defined = LocalKey::from_hex("7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d").unwrap();
    assert_eq!(key.address(), defined.address());
}

#[test]
fn a_keystore_opens_with_its_password_and_no_other_and_shows_no_key() {
    let key = LocalKey::from_hex(&"5a".repeat(32)).unwrap();
    let text = key.to_keystore(&Password::from("pass wörd"), CHEAP).unwrap();
    assert_eq!(LocalKey::from_keystore(&text, &Password::from("pass wörd")).unwrap().address(), key.address());
    assert!(matches!(LocalKey::from_keystore(&text, &Password::from("pass word")), Err(KeyError::WrongPassword)));
    assert!(!text.contains(&"5a".repeat(8)));
    assert_ne!(text, key.to_keystore(&Password::from("pass wörd"), CHEAP).unwrap(), "salt and iv are fresh each time");
    assert_eq!(format!("{:?}", Password::from("pass")), "Password(…)");
}

#[test]
fn a_keystore_that_demands_too_much_or_is_none_says_so() {
    let password = Password::from("testpassword");
    for (was, is, says) in [
        ("\"version\":3", "\"version\":1", "version is 1"),
        ("262144", "1073741824", "512 MiB"),
        ("262144", "262145", "nonsense"),
        ("262144,\"p\":8", "16,\"p\":4294967295", "eight times"),
        ("\"kdf\":\"scrypt\"", "\"kdf\":\"pbkdf2\"", "not scrypt"),
        ("aes-128-ctr\"", "aes-256-gcm\"", "aes-128-ctr"),
        ("83dbcc02d8", "83dbcc02", "16 bytes"),
        ("\"dklen\":32", "\"dklen\":16", "32 bytes"),
        ("\"mac\":\"2103", "\"mac\":\"zz03", "mac is not hex"),
        ("\"ciphertext\"", "\"text\"", "ciphertext"),
    ] {
        let error = LocalKey::from_keystore(&DEFINED.replace(was, is), &password).unwrap_err().to_string();
        assert!(error.contains(says), "{is}: {error}");
    }
}

#[test]
fn a_key_file_may_be_either_kind_and_the_password_is_asked_for_only_if_it_is_needed() {
    let dir = tempfile::tempdir().unwrap();
    let (bare, stored, word) = (dir.path().join("bare"), dir.path().join("stored"), dir.path().join("word"));
    let key = LocalKey::generate().unwrap();
    key.save_new(&bare).unwrap();
    key.save_keystore(&stored, &Password::from("tiger"), CHEAP).unwrap();
    assert_eq!(std::fs::metadata(&stored).unwrap().permissions().mode() & 0o777, 0o600);
    let open = |path: &Path| LocalKey::open(path, false, || Password::load(&word));
    assert_eq!(open(&bare).unwrap().address(), key.address());
    assert!(matches!(open(&stored), Err(KeyError::File { .. })));
    std::fs::write(&word, "tiger\n").unwrap();
    std::fs::set_permissions(&word, Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(open(&stored), Err(KeyError::Exposed { .. })));
    std::fs::set_permissions(&word, Permissions::from_mode(0o600)).unwrap();
    assert_eq!(open(&stored).unwrap().address(), key.address());
    assert!(LocalKey::load(&stored).unwrap_err().to_string().contains("needs a password"));
}

proptest! {
    #[test]
    fn no_text_makes_reading_a_keystore_panic(at in 0..600_usize, byte in any::<u8>(), text in ".{0,80}") {
        let mut bytes = DEFINED.replace("262144", "16").into_bytes();
        let at = at % bytes.len();
        bytes[at] = byte;
        let mangled = String::from_utf8_lossy(&bytes);
        prop_assert!(LocalKey::from_keystore(&mangled, &Password::from("x")).is_err());
        prop_assert!(LocalKey::from_keystore(&text, &Password::from("x")).is_err());
    }
}
