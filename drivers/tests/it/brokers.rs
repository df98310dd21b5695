//! One real broker for all tests of this binary, and a wire to it that can be cut.

use drivers::MqttSpec;
use rumqttd::{Broker, Config, ConnectionSettings, RouterConfig, ServerSettings};
use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::OnceLock;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};

/// The broker's address. It may not listen yet: links keep trying, and so does everybody here.
fn address() -> SocketAddr {
    static BROKER: OnceLock<SocketAddr> = OnceLock::new();
    *BROKER.get_or_init(|| {
        // The broker wants a number, so that one is reserved and let go again.
        let listen = StdListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let connections = ConnectionSettings {
            connection_timeout_ms: 5000,
            max_payload_size: 300_000,
            max_inflight_count: 200,
            auth: None,
            external_auth: None,
            dynamic_filters: false,
        };
        let server =
            ServerSettings { name: "test".into(), listen, tls: None, next_connection_delay_ms: 0, connections };
        let router = RouterConfig {
            max_connections: 200,
            max_outgoing_packet_count: 200,
            max_segment_size: 1_048_576,
            max_segment_count: 10,
            ..RouterConfig::default()
        };
        let config = Config { router, v4: Some(HashMap::from([("v4".to_owned(), server)])), ..Config::default() };
        // It never returns, so that it has a thread of its own until the process ends.
        std::thread::spawn(move || {
            let _ = Broker::new(config).start();
        });
        listen
    })
}

pub fn spec(client_id: &str) -> MqttSpec {
    MqttSpec { broker: address().to_string(), client_id: client_id.to_owned(), credentials: None }
}

/// A wire to the broker.
pub struct Wire {
    address: SocketAddr,
    whole: watch::Sender<bool>,
    task: AbortHandle,
}

impl Wire {
    pub async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let here = listener.local_addr().unwrap();
        let (whole, mut state) = watch::channel(true);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        let (mut near, _) = accepted.unwrap();
                        if *state.borrow() && let Ok(mut far) = TcpStream::connect(address()).await {
                            connections.spawn(async move { tokio::io::copy_bidirectional(&mut near, &mut far).await });
                        }
                    }
                    _ = state.changed() => if !*state.borrow_and_update() { connections.abort_all() },
                }
            }
        });
        Self { address: here, whole, task: task.abort_handle() }
    }

    pub fn spec(&self, client_id: &str) -> MqttSpec {
        MqttSpec { broker: self.address.to_string(), ..spec(client_id) }
    }

    pub fn cut(&self) {
        self.whole.send_replace(false);
    }

    pub fn mend(&self) {
        self.whole.send_replace(true);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
    }
}
