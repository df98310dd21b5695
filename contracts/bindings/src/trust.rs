//! Who vouches for nodes behind `https` and `wss`.

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;
use tungstenite::Connector;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// The authorities whose certificates are believed: the public ones, unless others are named.
#[derive(Clone, Default)]
pub struct Trust(Option<Own>);

#[derive(Clone)]
struct Own {
    roots: RootCerts,
    client: Arc<ClientConfig>,
}

impl std::fmt::Debug for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Trust(own)" } else { "Trust(public)" })
    }
}

impl Trust {
    /// Only the authorities in a PEM file: that of a node of one's own, which no public one vouches for.
    ///
    /// # Errors
    /// In words, if it holds no certificate that can vouch for anybody.
    pub fn only(pem: &[u8]) -> Result<Self, String> {
        let found: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<_, _>>()
            .map_err(|e| format!("cannot be read as PEM: {e}"))?;
        let roots: Vec<_> = found.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
        let mut store = RootCertStore::empty();
        // Machines' own collections hold one or another that nobody can use.
        if store.add_parsable_certificates(found).0 == 0 {
            return Err("holds no certificate of an authority".into());
        }
        let client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|e| e.to_string())?
            .with_root_certificates(store)
            .with_no_client_auth();
        Ok(Self(Some(Own { roots: RootCerts::from(roots), client: Arc::new(client) })))
    }

    /// For requests over HTTP.
    pub(crate) fn http(&self) -> TlsConfig {
        let usual = TlsConfig::builder();
        match &self.0 {
            Some(own) => usual.root_certs(own.roots.clone()).build(),
            None => usual.build(),
        }
    }

    /// For WebSockets; `None` for the public authorities.
    pub(crate) fn websocket(&self) -> Option<Connector> {
        self.0.as_ref().map(|own| Connector::Rustls(Arc::clone(&own.client)))
    }
}
