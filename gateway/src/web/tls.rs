//! TLS for the page and the broker: a certificate that somebody signed, or one that we sign ourselves.

use crate::config::{Web, WebTls};
use crate::failure::{Code, Failure};
use crate::secrets::{private, write_private};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use sha2::{Digest, Sha256};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Which of two files is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The certificate's.
    Certificate,
    /// The key's.
    Key,
}

/// Reads a chain of certificates and the key of its first, both PEM.
pub fn load(certificate: &Path, key: &Path) -> Result<(ServerConfig, String), (Which, String)> {
    let named = |path: &Path, what: String| format!("names {}, {what}", path.display());
    let wrong = |what: String| (Which::Certificate, named(certificate, what));
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(|e| wrong(format!("which cannot be read as PEM: {e}")))?;
    let Some(first) = chain.first() else { return Err(wrong("which holds no certificate".into())) };
    let print = fingerprint(first);
    let private = PrivateKeyDer::from_pem_file(key)
        .map_err(|e| (Which::Key, named(key, format!("which holds no private key in PEM: {e}"))))?;
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| wrong(e.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(|e| match e {
            rustls::Error::InconsistentKeys(_) => {
                (Which::Key, named(key, format!("which is not the key of {}", certificate.display())))
            }
            other => wrong(format!("which cannot be used: {other}")),
        })?;
    Ok((config, print))
}

/// What a client needs to believe whom the authorities in a PEM file vouch for.
pub fn authorities(file: &Path) -> Result<ClientConfig, String> {
    let wrong = |what: String| format!("names {}, {what}", file.display());
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|e| wrong(format!("which cannot be read as PEM: {e}")))?;
    let mut roots = RootCertStore::empty();
    let (taken, _) = roots.add_parsable_certificates(certificates);
    if taken == 0 {
        return Err(wrong("which holds no certificate".into()));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| wrong(e.to_string()))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// What browsers show of a certificate: SHA-256 over its DER, as pairs of hex digits.
fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    let digest = Sha256::digest(certificate);
    digest.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}

/// What the page is served with: nothing for plain HTTP.
pub fn prepare(web: &Web, state: &Path) -> Result<Option<(ServerConfig, String)>, Failure> {
    let own = Own { names: &web.names, listen: web.listen.ip(), certificate: state.join("keys/web.crt") };
    web.tls.as_ref().map(|tls| identity(tls, &own, "[web]")).transpose()
}

/// What a certificate of our own is made for, and where it is.
pub struct Own<'a> {
    /// Names, besides localhost and the machine's.
    pub names: &'a [String],
    /// The address that is listened on.
    pub listen: IpAddr,
    /// Its file; the key is beside it.
    pub certificate: PathBuf,
}

/// A certificate and its fingerprint. One of our own is made once, for the names, addresses and machine of that time.
pub fn identity(tls: &WebTls, own: &Own<'_>, section: &str) -> Result<(ServerConfig, String), Failure> {
    let (certificate, key) = match tls {
        WebTls::Files { certificate, key } => (certificate.clone(), key.clone()),
        WebTls::Own => {
            let (certificate, key) = (own.certificate.clone(), own.certificate.with_extension("key"));
            if !key.exists() || !certificate.exists() {
                make(own, &certificate, &key).map_err(|e| Failure::new(Code::Unavailable, e))?;
            }
            private(&key).map_err(|what| Failure::new(Code::Config, format!("{section} tls {what}")))?;
            (certificate, key)
        }
    };
    load(&certificate, &key).map_err(|(_, what)| Failure::new(Code::Config, format!("{section} {what}")))
}

fn make(own: &Own<'_>, certificate: &Path, key: &Path) -> Result<(), String> {
    let mut names = own.names.to_vec();
    names.push("localhost".into());
    let mut addresses = vec![own.listen];
    addresses.retain(|ip| !ip.is_unspecified());
    addresses.push(std::net::Ipv4Addr::LOCALHOST.into());
    names.extend(addresses.iter().map(ToString::to_string));
    names.extend(std::fs::read_to_string("/etc/hostname").ok().map(|name| name.trim().to_ascii_lowercase()));
    names.retain(|name| !name.is_empty() && name.is_ascii());
    names.sort();
    names.dedup();
    let signed = rcgen::generate_simple_self_signed(names).map_err(|e| format!("no certificate can be made: {e}"))?;
    if let Some(folder) = key.parent() {
        std::fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    }
    let write = |path: &Path, text: String| {
        write_private(path, text.as_bytes()).map_err(|e| format!("{}: {e}", path.display()))
    };
    // The key first: a certificate without one would look finished.
    write(key, signed.signing_key.serialize_pem())?;
    write(certificate, signed.cert.pem())
}
