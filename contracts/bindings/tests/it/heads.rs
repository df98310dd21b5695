//! A node over a WebSocket: the same answers, and word of its blocks.

use crate::foreign::Anvil;
use contracts::chain::{Chain, ChainError};
use contracts::heads::Heads;
use contracts::key::Signer;
use contracts::rpc::JsonRpc;
use contracts::trust::Trust;
use contracts::{B256, U256};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;
use tungstenite::Message;

/// Longer than anything here takes on a machine under load.
const PATIENCE: Duration = Duration::from_secs(60);

fn over_ws(url: &str) -> String {
    url.replace("http://", "ws://")
}

fn rpc(url: &str) -> JsonRpc {
    JsonRpc::new(url, Duration::from_secs(30)).unwrap()
}

/// Sends coin to nobody, which makes a block.
fn make_a_block(chain: &dyn Chain) -> B256 {
    let key = crate::street::owner();
    let call = contracts::tx::Call { to: Some(contracts::Address::repeat_byte(9)), value: U256::ONE, data: Vec::new() };
    let (nonce, fees) = (chain.nonce(key.address()).unwrap(), chain.fees().unwrap());
    let transaction = contracts::tx::Transaction { chain_id: 31337, nonce, fees, gas_limit: 30_000, call };
    chain.send(&transaction.sign(&key).unwrap().raw).unwrap()
}

fn woken(by: &Receiver<()>) {
    by.recv_timeout(PATIENCE).expect("nobody was told");
}

#[test]
fn anvil_answers_over_a_websocket_what_it_answers_over_http_and_tells_of_each_block() {
    let Some(anvil) = Anvil::start() else { return };
    let (http, ws) = (rpc(&anvil.url), rpc(&over_ws(&anvil.url)));
    assert_eq!(ws.chain_id(), http.chain_id());
    let (tell, told) = channel();
    let heads = Heads::follow(&over_ws(&anvil.url), &Trust::default(), move || _ = tell.send(()))
        .unwrap()
        .expect("a WebSocket");
    woken(&told);
    for _ in 0..3 {
        let sent = make_a_block(&ws);
        woken(&told);
        assert_eq!(ws.receipt(sent), http.receipt(sent));
        assert_eq!(ws.head(), http.head());
    }
    drop(heads);
    drop(anvil);
    let gone = ws.head();
    assert!(matches!(gone, Err(ChainError::Unreachable { .. })), "{gone:?}");
}

#[test]
fn a_connection_that_breaks_is_made_again_and_what_makes_no_sense_wakes_nobody() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/secret", listener.local_addr().unwrap());
    let node = std::thread::spawn(move || {
        for life in 0..2 {
            let (stream, _) = listener.accept().unwrap();
            let mut socket = tungstenite::accept(stream).unwrap();
            let asked = socket.read().unwrap().into_text().unwrap();
            assert!(asked.contains("eth_subscribe") && asked.contains("newHeads"), "{asked}");
            for said in ["", "{", "[]", r#"{"id":5,"result":"0x1"}"#, r#"{"method":"eth_other"}"#] {
                socket.send(Message::text(said)).unwrap();
            }
            socket.send(Message::binary(vec![0xff; 9])).unwrap();
            socket.send(Message::text(r#"{"id":1,"result":"0x1"}"#)).unwrap();
            if life == 1 {
                socket.send(Message::text(r#"{"method":"eth_subscription","params":{}}"#)).unwrap();
                // Until the other side is gone.
                while socket.read().is_ok() {}
            }
        }
    });
    let (tell, told) = channel();
    let heads = Heads::follow(&url, &Trust::default(), move || _ = tell.send(())).unwrap().unwrap();
    // The first connection, the second, and a block.
    (0..3).for_each(|_| woken(&told));
    assert_eq!(told.try_recv(), Err(std::sync::mpsc::TryRecvError::Empty));
    drop(heads);
    drop(node);
}

#[test]
fn a_request_goes_on_over_a_new_connection_where_the_node_closed_the_old_one() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let chain = rpc(&format!("ws://{}", listener.local_addr().unwrap()));
    let node = std::thread::spawn(move || {
        for _ in 0..2 {
            let (stream, _) = listener.accept().unwrap();
            let mut socket = tungstenite::accept(stream).unwrap();
            let asked: serde_json::Value = serde_json::from_str(&socket.read().unwrap().into_text().unwrap()).unwrap();
            // Somebody's subscription on the same connection is no answer.
            socket.send(Message::text(r#"{"jsonrpc":"2.0","method":"eth_subscription","params":{}}"#)).unwrap();
            let answer = serde_json::json!({ "jsonrpc": "2.0", "id": asked["id"], "result": "0x7a69" });
            socket.send(Message::text(answer.to_string())).unwrap();
        }
    });
    assert_eq!((chain.chain_id(), chain.chain_id()), (Ok(31337), Ok(31337)));
    node.join().unwrap();
}

#[test]
fn a_node_that_says_a_byte_now_and_then_has_no_more_time_than_others() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let chain = JsonRpc::new(&format!("ws://{}", listener.local_addr().unwrap()), Duration::from_millis(500)).unwrap();
    let node = std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut socket = tungstenite::accept(stream).unwrap();
        let asked: serde_json::Value = serde_json::from_str(&socket.read().unwrap().into_text().unwrap()).unwrap();
        let answer = serde_json::json!({ "jsonrpc": "2.0", "id": asked["id"], "result": "0x7a69" }).to_string();
        // The answer, right and whole, in one frame of more than two seconds.
        let frame = [&[0x81, u8::try_from(answer.len()).unwrap()], answer.as_bytes()].concat();
        for byte in frame {
            #[allow(clippy::disallowed_methods, reason = "the node is slow; nobody waits for it")]
            std::thread::sleep(Duration::from_millis(50));
            if socket.get_mut().write_all(&[byte]).is_err() {
                return;
            }
        }
    });
    let answer = chain.chain_id();
    assert!(matches!(answer, Err(ChainError::Unreachable { .. })), "{answer:?}");
    node.join().unwrap();
}

#[test]
fn what_cannot_be_connected_to_is_said_without_its_secret() {
    for url in ["ws://user:hunter2@node.example/", "ws://"] {
        let said = JsonRpc::new(url, Duration::from_secs(1)).unwrap_err().to_string();
        assert!(!said.contains("hunter2"), "{said}");
    }
    assert!(
        Heads::follow("http://127.0.0.1:1", &Trust::default(), || ()).unwrap().is_none(),
        "nobody tells anything over HTTP"
    );
    // Somebody who speaks no TLS: an error, whose words do not hold the path.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let deaf = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
    });
    let said = rpc(&format!("wss://127.0.0.1:{port}/v3/hunter2")).head().unwrap_err();
    assert!(matches!(&said, ChainError::Unreachable { .. }) && !said.to_string().contains("hunter2"), "{said}");
    deaf.join().unwrap();
}

/// Ends TLS before a node, with a certificate that no public authority vouches for; and that authority's, as PEM.
fn behind_tls(node: SocketAddr) -> (u16, String) {
    let authority = rcgen::KeyPair::generate().unwrap();
    let mut of_authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
    of_authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let root = of_authority.self_signed(&authority).unwrap();
    let issuer = rcgen::Issuer::new(of_authority, authority);
    let key = rcgen::KeyPair::generate().unwrap();
    let names = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = names.signed_by(&key, &issuer).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let config = Arc::new(config);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let session = ServerConnection::new(Arc::clone(&config)).unwrap();
            std::thread::spawn(move || carry(StreamOwned::new(session, stream), node));
        }
    });
    (port, root.pem())
}

/// Carries bytes both ways until one side is gone.
fn carry(mut client: StreamOwned<ServerConnection, TcpStream>, node: SocketAddr) {
    let mut node = TcpStream::connect(node).unwrap();
    // Whoever has nothing to say lets the other speak.
    let turn = Some(Duration::from_millis(5));
    node.set_read_timeout(turn).unwrap();
    client.sock.set_read_timeout(turn).unwrap();
    let mut buffer = [0; 4096];
    let passed = |read: std::io::Result<usize>, to: &mut dyn Write, buffer: &[u8]| match read {
        Ok(0) => false,
        Ok(length) => to.write_all(&buffer[..length]).and_then(|()| to.flush()).is_ok(),
        Err(e) => matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
    };
    loop {
        let read = client.read(&mut buffer);
        if !passed(read, &mut node, &buffer) {
            return;
        }
        let read = node.read(&mut buffer);
        if !passed(read, &mut client, &buffer) {
            return;
        }
    }
}

#[test]
fn a_node_behind_tls_is_believed_if_its_authority_is_named_and_not_otherwise() {
    let Some(anvil) = Anvil::start() else { return };
    let (port, authority) = behind_tls(anvil.url.trim_start_matches("http://").parse().unwrap());
    let own = Trust::only(authority.as_bytes()).unwrap();
    let other = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let other = Trust::only(other.cert.pem().as_bytes()).unwrap();
    for scheme in ["https", "wss"] {
        let url = format!("{scheme}://localhost:{port}");
        let node = JsonRpc::trusting(&url, PATIENCE, &own).unwrap();
        assert_eq!(node.chain_id(), Ok(31337), "{scheme}");
        for (who, trust) in [("the public authorities", &Trust::default()), ("another authority", &other)] {
            let said = JsonRpc::trusting(&url, PATIENCE, trust).unwrap().chain_id().unwrap_err();
            assert!(said.to_string().contains("certificate"), "{who} vouched for {scheme}: {said}");
        }
        let elsewhere = format!("{scheme}://127.0.0.1:{port}");
        let said = JsonRpc::trusting(&elsewhere, PATIENCE, &own).unwrap().chain_id().unwrap_err();
        assert!(said.to_string().contains("certificate"), "a certificate of another name was taken: {said}");
    }
    let (tell, told) = channel();
    let _heads = Heads::follow(&format!("wss://localhost:{port}"), &own, move || _ = tell.send(())).unwrap().unwrap();
    woken(&told);
    make_a_block(&rpc(&anvil.url));
    woken(&told);
}

#[test]
fn what_vouches_for_nobody_is_no_authority() {
    for text in [
        "",
        "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        let said = Trust::only(text.as_bytes()).unwrap_err();
        assert!(said.contains("certificate") || said.contains("PEM"), "{said}");
    }
}
