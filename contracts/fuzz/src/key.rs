//! A text is a key that signs, or an error that does not repeat it.

use contracts::B256;
use contracts::key::{LocalKey, Signer};
use std::os::unix::fs::PermissionsExt as _;

/// A text is taken for a key only if it is 64 hex digits, and with either spelling for the same. A file with the text is
/// taken exactly if the text is, unless it is longer than any key. Neither the error nor what is printed of a key holds the digits.
pub fn check(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let found = LocalKey::from_hex(&text);
    let digits = text.trim();
    let digits = digits.strip_prefix("0x").unwrap_or(digits);
    let shown = match &found {
        Ok(key) => {
            assert!(digits.len() == 64 && digits.bytes().all(|b| b.is_ascii_hexdigit()), "{digits:?} is a key");
            let again = LocalKey::from_hex(&format!(" 0x{}\n", digits.to_uppercase())).expect("another spelling");
            assert_eq!(again.address(), key.address());
            assert!(key.sign(B256::repeat_byte(7)).is_ok());
            format!("{key:?}")
        }
        Err(error) => error.to_string(),
    };
    assert!(digits.len() < 8 || !shown.contains(digits), "{shown}");
    let folder = tempfile::tempdir_in(super::journal::memory()).expect("a folder");
    let path = folder.path().join("fuzz.key");
    std::fs::write(&path, bytes).expect("a file");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("our own file");
    match (LocalKey::load(&path), found) {
        (Ok(file), Ok(text)) => assert_eq!(file.address(), text.address()),
        (Err(error), Ok(_)) => assert!(bytes.len() > 256, "{error}"),
        (Ok(_), Err(_)) => assert!(bytes.len() > 256, "a key only in a file"),
        (Err(error), Err(_)) => {
            let said = error.to_string();
            assert!(said.contains("fuzz.key") && (digits.len() < 16 || !said.contains(digits)), "{said}");
        }
    }
}
