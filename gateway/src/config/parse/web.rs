//! `[web]`: where the page is served, by which names, and how what is said stays between the two who say it.

use super::Table;
use super::fields::address;
use crate::config::{Web, WebTls};
use crate::secrets;
use crate::web::tls;
use std::path::Path;

/// The section; `None` without one, or with mistakes in it.
pub(super) fn web(table: Option<&Table<'_, '_>>, base: &Path) -> Option<Web> {
    let table = table?;
    let listen = address(table, "listen", true);
    let names = host_names(table, "names");
    let behind_proxy = table.flag("behind_proxy").unwrap_or(false);
    let tls = certificate(table, base)?;
    let listen = listen?;
    if !listen.ip().is_loopback() && tls.is_none() && !behind_proxy {
        table.problem(
            "listen",
            "is not on loopback, where passwords would cross the network in the clear: set tls = \"self-signed\", or \
             tls_certificate and tls_key, or behind_proxy = true if a proxy on another machine ends TLS",
        );
    }
    Some(Web { listen, names: names?, tls, behind_proxy })
}

/// What is shown to whoever connects, if anything; `None` for a mistake.
pub(super) fn certificate(table: &Table<'_, '_>, base: &Path) -> Option<Option<WebTls>> {
    let own = table.choice("tls", &[("self-signed", true)]).is_some();
    let files = files(table, base);
    if own && files != Some(None) {
        table.problem("tls", "is \"self-signed\", so tls_certificate and tls_key do not belong here");
    }
    if own { Some(Some(WebTls::Own)) } else { files }
}

/// Names by which it is called, besides addresses and localhost.
pub(super) fn host_names(table: &Table<'_, '_>, key: &'static str) -> Option<Vec<String>> {
    let names: Vec<String> = table.texts(key).unwrap_or_default();
    let label = |l: &str| {
        !l.is_empty()
            && l.len() <= 63
            && !l.starts_with('-')
            && !l.ends_with('-')
            && l.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    let mut sound = true;
    for name in &names {
        if name.len() > 253 || !name.split('.').all(label) {
            let what =
                format!("holds {name:?}, which is no host name in small letters such as \"gateway.example.org\"");
            table.problem(key, what);
            sound = false;
        }
    }
    sound.then_some(names)
}

/// A certificate and its key, looked at here so that a wrong one is found before the service starts.
fn files(table: &Table<'_, '_>, base: &Path) -> Option<Option<WebTls>> {
    let file = |key| table.text(key).map(|name| base.join(name));
    let (certificate, key) = match (file("tls_certificate"), file("tls_key")) {
        (None, None) => return Some(None),
        (Some(certificate), Some(key)) => (certificate, key),
        (Some(_), None) => {
            table.problem("tls_key", "is missing: a certificate is shown with its key");
            return None;
        }
        (None, Some(_)) => {
            table.problem("tls_certificate", "is missing: whose key is it?");
            return None;
        }
    };
    if let Err(problem) = secrets::private(&key) {
        table.problem("tls_key", problem);
        return None;
    }
    match tls::load(&certificate, &key) {
        Ok(_) => Some(Some(WebTls::Files { certificate, key })),
        Err((tls::Which::Certificate, what)) => {
            table.problem("tls_certificate", what);
            None
        }
        Err((tls::Which::Key, what)) => {
            table.problem("tls_key", what);
            None
        }
    }
}
