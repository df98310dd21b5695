//! Modbus/TCP Security: the same frames inside TLS 1.2 or later, where device and gateway show each other certificates
//! (Modbus Organization, MODBUS/TCP Security Protocol Specification, v21; its port is 802).

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};
use tokio_rustls::{TlsConnector, rustls};

/// Where the certificates are, all in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The authorities that may vouch for the device.
    pub ca: PathBuf,
    /// Our certificate and its key. Devices that keep to the specification do not talk to us without.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// Which of the files is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsFile {
    /// The authorities.
    Ca,
    /// Our certificate.
    Certificate,
    /// Our key.
    Key,
    /// None of them: the name that the device's certificate is to have.
    Name,
}

/// How to tell the device from an impostor, and who we are.
#[derive(Clone)]
pub struct Tls {
    files: TlsFiles,
    name: ServerName<'static>,
    config: Arc<ClientConfig>,
}

impl PartialEq for Tls {
    fn eq(&self, other: &Self) -> bool {
        (&self.files, &self.name) == (&other.files, &other.name)
    }
}

impl Eq for Tls {}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("files", &self.files).field("name", &self.name).finish_non_exhaustive()
    }
}

impl Tls {
    /// Reads the files. `name` is what the device's certificate must be made out to: a host name or an IP address.
    /// All problems are reported together.
    pub fn load(files: TlsFiles, name: &str) -> Result<Self, Vec<(TlsFile, String)>> {
        let mut problems = Vec::new();
        let mut keep = |file, what: String| problems.push((file, what));
        let name = ServerName::try_from(name.to_owned())
            .map_err(|_| keep(TlsFile::Name, format!("is {name:?}, which no certificate can be made out to")))
            .ok();
        let mut roots = RootCertStore::empty();
        match certificates(&files.ca) {
            Ok(list) => {
                let (_, ignored) = roots.add_parsable_certificates(list);
                if ignored > 0 {
                    keep(TlsFile::Ca, format!("names {}, which holds what is no certificate", files.ca.display()));
                }
            }
            Err(what) => keep(TlsFile::Ca, what),
        }
        let identity = files.identity.as_ref().and_then(|(certificate, key)| {
            let chain = certificates(certificate).map_err(|what| keep(TlsFile::Certificate, what)).ok();
            let key = PrivateKeyDer::from_pem_file(key)
                .map_err(|e| keep(TlsFile::Key, format!("names {}: {}", key.display(), pem(&e))))
                .ok();
            chain.zip(key)
        });
        let builder = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map(|builder| builder.with_root_certificates(roots));
        let config = match (builder, identity) {
            (Ok(builder), Some((chain, key))) => builder.with_client_auth_cert(chain, key),
            (Ok(builder), None) => Ok(builder.with_no_client_auth()),
            (Err(error), _) => Err(error),
        };
        let config = config.map_err(|e| keep(TlsFile::Key, format!("does not belong to the certificate: {e}"))).ok();
        match (name, config) {
            (Some(name), Some(config)) if problems.is_empty() => Ok(Self { files, name, config: Arc::new(config) }),
            _ => Err(problems),
        }
    }

    /// Shakes hands over a connection.
    pub(crate) async fn connect(&self, stream: TcpStream) -> Result<TlsStream<TcpStream>, String> {
        TlsConnector::from(Arc::clone(&self.config)).connect(self.name.clone(), stream).await.map_err(|e| refusal(&e))
    }
}

/// The certificates of a file; at least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let problem = |what: String| format!("names {}: {what}", path.display());
    let list = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match list {
        Ok(list) if list.is_empty() => Err(problem("it holds no certificate in PEM".into())),
        Ok(list) => Ok(list),
        Err(error) => Err(problem(pem(&error))),
    }
}

/// What is wrong with a PEM file, without a line of it: it may hold a key.
fn pem(error: &rustls::pki_types::pem::Error) -> String {
    use rustls::pki_types::pem::Error;
    match error {
        Error::Io(e) => e.to_string(),
        Error::NoItemsFound => "it holds nothing of the kind in PEM".into(),
        _ => "it is no sound PEM file".into(),
    }
}

/// A failed handshake in words that say what to do.
fn refusal(error: &io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(why)) => {
            format!("the device's certificate is not believed ({why:?}): see tls_ca and tls_name")
        }
        Some(rustls::Error::AlertReceived(alert)) => {
            format!("the device refuses us ({alert:?}): see tls_certificate and tls_key")
        }
        _ => format!("no TLS: {error}"),
    }
}
