//! `key`.

use super::print;
use crate::cli::{Key, KeyFile, NewKey};
use crate::failure::{Code, Failure};
use contracts::key::{Cost, KeyError, LocalKey, Password, Signer};
use std::io::Read;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The name under which systemd's `LoadCredential=` hands over the password of the settler's keystore.
const CREDENTIAL: &str = "settler.password";

/// `key`
pub fn key(what: &Key) -> Result<(), Failure> {
    match what {
        Key::New(new) => store(&LocalKey::generate().map_err(failed)?, new),
        Key::Import(new) => {
            let mut text = String::new();
            std::io::stdin().take(4_096).read_to_string(&mut text).map_err(|e| Failure::new(Code::Usage, e))?;
            let key = match text.trim_start().starts_with('{') {
                true => password(new.password_file.as_deref()).and_then(|p| LocalKey::from_keystore(&text, &p)),
                false => LocalKey::from_hex(text.trim()),
            };
            zeroize::Zeroize::zeroize(&mut text);
            store(&key.map_err(failed)?, new)
        }
        Key::Export { from, into, from_password_file } => {
            let key = LocalKey::open(from, false, || password(from_password_file.as_deref())).map_err(failed)?;
            store(&key, into)
        }
        Key::Address(KeyFile { file, password_file }) => {
            print(&format!("{}\n", open(file, password_file.as_deref())?.address()))
        }
    }
}

/// Opens a key file of either kind.
pub fn open(file: &Path, password_file: Option<&Path>) -> Result<LocalKey, Failure> {
    LocalKey::open(file, false, || password(password_file)).map_err(failed)
}

/// The password: from this file, or else from the service manager. Never from the command line or the environment,
/// which others can read.
pub fn password(file: Option<&Path>) -> Result<Password, KeyError> {
    let credential = std::env::var_os("CREDENTIALS_DIRECTORY").map(|dir| PathBuf::from(dir).join(CREDENTIAL));
    match (credential.filter(|c| c.exists()), file) {
        (_, Some(file)) => Password::load(file),
        (Some(credential), None) => Password::load_credential(&credential),
        (None, None) => Err(KeyError::NoPassword),
    }
}

fn store(key: &LocalKey, new: &NewKey) -> Result<(), Failure> {
    // A folder that is made for keys is nobody else's.
    if let Some(folder) = new.file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|e| Failure::file(Code::Unavailable, folder, &e))?;
    }
    let stored = match new.keystore {
        true => password(new.password_file.as_deref())
            .and_then(|password| key.save_keystore(&new.file, &password, Cost::default())),
        false => key.save_new(&new.file),
    };
    stored.map_err(failed)?;
    print(&format!("{}\n", key.address()))
}

fn failed(e: KeyError) -> Failure {
    Failure::new(Code::Config, e)
}
