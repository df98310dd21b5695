//! Modbus inside TLS, with certificates made for the test.

use crate::bench::{Bench, PATIENCE, as_seen_by, clock, meter_id, samples, template, unit};
use drivers::simulator::{Running, SimDevice, serve_tcp};
use drivers::{Bus, BusKind, BusSpec, DeviceError, Meter, Tls, TlsFile, TlsFiles};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, crypto};

/// An authority of its own, and what it vouches for.
struct Authority {
    folder: tempfile::TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { folder, issuer }
    }

    fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A certificate made out to `name`, and its key.
    fn identity(&self, name: &str) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        let at = |end: &str| self.folder.path().join(format!("{name}.{end}"));
        std::fs::write(at("pem"), certificate.pem()).unwrap();
        std::fs::write(at("key"), key.serialize_pem()).unwrap();
        (at("pem"), at("key"))
    }
}

/// A simulated meter behind a TLS socket that shows `device` and takes only whom `ca` vouches for.
async fn serve(device: (PathBuf, PathBuf), ca: &Path) -> (String, Running) {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
    let provider = Arc::new(crypto::ring::default_provider());
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients)
        .with_single_cert(
            vec![CertificateDer::from_pem_file(device.0).unwrap()],
            PrivateKeyDer::from_pem_file(device.1).unwrap(),
        )
        .unwrap();
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let behind = plain.local_addr().unwrap();
    let model = template("eastron-sdm630");
    let running = serve_tcp(plain, vec![SimDevice::new(unit(1), model, Bench::new(samples()[2].clone()))]).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let (Ok(mut front), Ok(mut back)) = (acceptor.accept(stream).await, TcpStream::connect(behind).await)
                else {
                    return;
                };
                let _ = tokio::io::copy_bidirectional(&mut front, &mut back).await;
            });
        }
    });
    (address, running)
}

fn meter(address: String, tls: Tls) -> Arc<dyn Meter> {
    let kind = BusKind::ModbusTls { address, timeout: PATIENCE, tls };
    let bus = Bus::open(BusSpec::new("tls".parse().unwrap(), kind), clock()).unwrap();
    bus.meter(meter_id(), template("eastron-sdm630"), unit(1)).unwrap()
}

fn load(ca: PathBuf, identity: Option<(PathBuf, PathBuf)>) -> Tls {
    Tls::load(TlsFiles { ca, identity }, "127.0.0.1").unwrap()
}

fn problem(error: DeviceError) -> String {
    assert!(error.is_transient(), "{error:?}");
    error.to_string()
}

#[tokio::test]
async fn a_meter_behind_tls_is_read_when_both_sides_know_each_other() {
    let (street, ours) = (Authority::new(), Authority::new());
    let (address, _running) = serve(street.identity("127.0.0.1"), &ours.ca()).await;
    let tls = load(street.ca(), Some(ours.identity("gateway")));
    let meter = meter(address, tls);
    for _ in 0..3 {
        assert_eq!(meter.read().await, Ok(as_seen_by(&template("eastron-sdm630"), &samples()[2])));
    }
}

#[tokio::test]
async fn an_impostor_is_asked_nothing() {
    let (street, other) = (Authority::new(), Authority::new());
    let (address, _running) = serve(other.identity("127.0.0.1"), &street.ca()).await;
    let unknown = meter(address, load(street.ca(), Some(street.identity("gateway"))));
    let said = problem(unknown.read().await.unwrap_err());
    assert!(said.contains("is not believed") && said.contains("tls_ca"), "{said}");
    // Vouched for, but made out to another device.
    let (address, _running) = serve(street.identity("meter.elsewhere"), &street.ca()).await;
    let wrong = meter(address, load(street.ca(), Some(street.identity("gateway"))));
    let said = problem(wrong.read().await.unwrap_err());
    assert!(said.contains("is not believed") && said.contains("tls_name"), "{said}");
}

#[tokio::test]
async fn a_device_that_wants_to_know_us_says_so() {
    let street = Authority::new();
    let (address, _running) = serve(street.identity("127.0.0.1"), &street.ca()).await;
    let said = problem(meter(address, load(street.ca(), None)).read().await.unwrap_err());
    assert!(said.contains("CertificateRequired") || said.contains("refuses us"), "{said}");
}

#[tokio::test]
async fn a_device_that_speaks_plain_modbus_is_told_from_one_that_does_not_answer() {
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = plain.local_addr().unwrap().to_string();
    let device = SimDevice::new(unit(1), template("eastron-sdm630"), Bench::new(samples()[2].clone()));
    let _running = serve_tcp(plain, vec![device]).unwrap();
    let said = problem(meter(address, load(Authority::new().ca(), None)).read().await.unwrap_err());
    assert!(said.contains("TLS"), "{said}");
}

#[test]
fn every_file_that_is_wrong_is_named() {
    let street = Authority::new();
    let (certificate, key) = street.identity("gateway");
    let nowhere = street.folder.path().join("nowhere.pem");
    let files = TlsFiles { ca: nowhere.clone(), identity: Some((key.clone(), certificate)) };
    let problems = Tls::load(files, "not a name").unwrap_err();
    let which: Vec<TlsFile> = problems.iter().map(|(file, _)| *file).collect();
    assert_eq!(which, [TlsFile::Name, TlsFile::Ca, TlsFile::Certificate, TlsFile::Key], "{problems:?}");
    assert!(problems[1].1.contains(&nowhere.display().to_string()));
    // A key that belongs to another certificate.
    let files = TlsFiles { ca: street.ca(), identity: Some((street.identity("other").0, key)) };
    let [(TlsFile::Key, what)] = &Tls::load(files, "127.0.0.1").unwrap_err()[..] else { panic!() };
    assert!(what.contains("does not belong"), "{what}");
}
