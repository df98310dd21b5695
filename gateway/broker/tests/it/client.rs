//! A client that does as it is told, one packet at a time.

use broker::wire::Wire;
use bytes::BytesMut;
use rmqtt_codec::types::{Publish, QoS};
use rmqtt_codec::v5::{
    Connect, ConnectAck, Packet, PublishAck, PublishAck2, PublishAck2Reason, PublishAckReason, Subscribe,
    SubscriptionOptions,
};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroU16;
use std::time::Duration;

/// Longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Client {
    stream: TcpStream,
    wire: Wire,
    bytes: BytesMut,
    pub session_present: bool,
}

pub fn pid(pid: u16) -> NonZeroU16 {
    NonZeroU16::new(pid).unwrap()
}

impl Client {
    /// Connects by MQTT 3.1.1.
    pub fn connect(at: SocketAddr, connect: Connect) -> Self {
        let (client, ack) = Self::try_connect(at, connect);
        assert_eq!(u8::from(ack.reason_code), 0);
        client
    }

    pub fn try_connect(at: SocketAddr, connect: Connect) -> (Self, ConnectAck) {
        let stream = TcpStream::connect(at).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut client = Self { stream, wire: Wire::client(1 << 20), bytes: BytesMut::new(), session_present: false };
        client.send(Packet::Connect(Box::new(connect)));
        let Some(Packet::ConnectAck(ack)) = client.next() else { panic!("no CONNACK") };
        client.session_present = ack.session_present;
        (client, *ack)
    }

    pub fn send(&mut self, packet: Packet) {
        let mut bytes = BytesMut::new();
        self.wire.encode(packet, &mut bytes);
        // Whoever was disconnected finds out when it reads.
        let _ = self.stream.write_all(&bytes);
    }

    pub fn raw(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// The next packet; `None` when the broker has closed.
    pub fn next(&mut self) -> Option<Packet> {
        loop {
            if let Some(packet) = self.wire.decode(&mut self.bytes).unwrap() {
                return Some(packet);
            }
            let mut some = [0; 4096];
            match self.stream.read(&mut some) {
                Ok(0) => return None,
                Ok(n) => self.bytes.extend_from_slice(&some[..n]),
                Err(e) if matches!(e.kind(), std::io::ErrorKind::ConnectionReset) => return None,
                Err(e) => panic!("nothing came: {e}"),
            }
        }
    }

    pub fn subscribe(&mut self, filter: &str, qos: QoS) -> u8 {
        let options = SubscriptionOptions { qos, ..SubscriptionOptions::default() };
        let topic_filters = vec![(filter.into(), options)];
        self.send(Packet::Subscribe(Subscribe {
            packet_id: pid(60_000),
            id: None,
            user_properties: vec![],
            topic_filters,
        }));
        loop {
            if let Packet::SubscribeAck(ack) = self.next().unwrap() {
                return ack.status[0].into();
            }
        }
    }

    pub fn publish(&mut self, publish: Publish) {
        self.send(Packet::Publish(Box::new(publish)));
    }

    pub fn acknowledge(&mut self, packet_id: NonZeroU16) {
        let reason_code = PublishAckReason::Success;
        self.send(Packet::PublishAck(PublishAck { packet_id, reason_code, properties: vec![], reason_string: None }));
    }

    pub fn release(&mut self, packet_id: NonZeroU16) {
        let reason_code = PublishAck2Reason::Success;
        self.send(Packet::PublishRelease(PublishAck2 {
            packet_id,
            reason_code,
            properties: vec![],
            reason_string: None,
        }));
    }

    /// The next message.
    pub fn message(&mut self) -> Publish {
        loop {
            if let Packet::Publish(publish) = self.next().expect("the broker closed") {
                return *publish;
            }
        }
    }
}

/// Whoever is called so; with a session that stays if `lasting`.
pub fn called(name: &str, lasting: bool) -> Connect {
    Connect { client_id: name.into(), clean_start: !lasting, ..Connect::default() }
}

pub fn message(topic: &str, payload: &str, qos: QoS, id: u16) -> Publish {
    let packet_id = (qos != QoS::AtMostOnce).then(|| pid(id));
    let payload = payload.to_owned().into();
    Publish { dup: false, retain: false, qos, topic: topic.into(), packet_id, payload, properties: None }
}
