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
