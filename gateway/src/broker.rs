//! The embedded MQTT broker.
//!
//! `rumqttd` 0.20 keeps everything in memory and cannot be stopped once started, so it lives on a thread of its own
//! until the process ends; what it forgets at a restart, the Herald publishes again.

use crate::config::Broker;
use crate::failure::{Code, Failure};
use rumqttd::{Config, ConnectionSettings, RouterConfig, ServerSettings};
use std::collections::HashMap;
use std::net::TcpListener;

/// Small segments: with the defaults a burst of 100,000 messages leaves 60 to 240 MiB in use.
const SEGMENT_BYTES: usize = 256 << 10;
const SEGMENTS: usize = 8;

/// Starts the broker, after making sure that its port is free: once started it could not say so.
pub fn start(broker: &Broker) -> Result<(), Failure> {
    let listen = broker.listen;
    drop(TcpListener::bind(listen).map_err(|e| {
        Failure::new(
            Code::Unavailable,
            format!("the MQTT broker cannot listen on {listen}: {e}; is another one running?"),
        )
    })?);
    let auth = (!broker.users.is_empty())
        .then(|| broker.users.iter().map(|c| (c.user.clone(), c.password.clone())).collect::<HashMap<_, _>>());
    let connections = ConnectionSettings {
        connection_timeout_ms: 10_000,
        max_payload_size: 256 << 10,
        max_inflight_count: 100,
        auth,
        external_auth: None,
        dynamic_filters: true,
    };
    let server = ServerSettings { name: "gateway".into(), listen, tls: None, next_connection_delay_ms: 1, connections };
    let router = RouterConfig {
        max_connections: 1_000,
        max_outgoing_packet_count: 200,
        max_segment_size: SEGMENT_BYTES,
        max_segment_count: SEGMENTS,
        ..RouterConfig::default()
    };
    let config =
        Config { id: 0, router, v4: Some(HashMap::from([("gateway".to_owned(), server)])), ..Config::default() };
    let mut broker = rumqttd::Broker::new(config);
    std::thread::Builder::new()
        .name("mqtt-broker".into())
        .spawn(move || {
            if let Err(error) = broker.start() {
                tracing::error!(%error, "the MQTT broker stopped");
            }
        })
        .map_err(|e| Failure::new(Code::Internal, format!("no thread for the MQTT broker: {e}")))?;
    Ok(())
}
