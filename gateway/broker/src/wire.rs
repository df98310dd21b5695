//! Packets as bytes. Inside, everything is spoken as MQTT 5; a client of MQTT 3.1 or 3.1.1 is translated here.

use bytes::{Bytes, BytesMut};
use rmqtt_codec::error::DecodeError;
use rmqtt_codec::types::{Publish, QoS};
use rmqtt_codec::v5::{
    Connect, ConnectAck, ConnectAckReason, Disconnect, DisconnectReasonCode, LastWill, Packet, PublishAck, PublishAck2,
    PublishAck2Reason, PublishAckReason, RetainHandling, Subscribe, SubscribeAckReason, SubscriptionOptions,
    Unsubscribe, UnsubscribeAck,
};
use rmqtt_codec::version::{ProtocolVersion, VersionCodec};
use rmqtt_codec::{v3, v5};
use std::num::NonZeroU16;
use thiserror::Error;
use tokio_util::codec::{Decoder, Encoder};

/// Why bytes are no packet.
#[derive(Clone, Debug, Error)]
pub enum Malformed {
    /// They break the rules of the protocol.
    #[error("{0}")]
    Broken(DecodeError),
    /// They announce more than is taken.
    #[error("a packet of {0} bytes is too large")]
    TooLarge(u32),
    /// A version that is not spoken here.
    #[error("an unknown version of the protocol")]
    Version,
}

impl From<DecodeError> for Malformed {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::MaxSizeExceeded { size, .. } => Self::TooLarge(size),
            other => Self::Broken(other),
        }
    }
}

/// The codec of one connection. Its version follows from the first packet.
#[derive(Debug)]
pub enum Wire {
    /// Nothing was read yet; the most bytes of the first packet.
    Unknown(u32),
    /// MQTT 3.1 or 3.1.1.
    V3(v3::Codec),
    /// MQTT 5.
    V5(v5::Codec),
}

impl Wire {
    /// A codec that takes a first packet of at most `largest` bytes.
    #[must_use]
    pub fn new(largest: u32) -> Self {
        Self::Unknown(largest)
    }

    /// For one who connects to another broker by MQTT 3.1.1.
    #[must_use]
    pub fn client(largest: u32) -> Self {
        Self::V3(v3::Codec::new(largest))
    }

    /// The most bytes of a packet from now on.
    pub fn set_largest(&mut self, largest: u32) {
        match self {
            Self::Unknown(size) => *size = largest,
            Self::V3(codec) => codec.set_max_size(largest),
            Self::V5(codec) => codec.set_max_inbound_size(largest),
        }
    }

    /// The next packet, if all of it is there.
    pub fn decode(&mut self, bytes: &mut BytesMut) -> Result<Option<Packet>, Malformed> {
        if let Self::Unknown(largest) = *self {
            match VersionCodec.decode(bytes) {
                Ok(None) if bytes.len() > 16 => return Err(Malformed::Version),
                Ok(None) => return Ok(None),
                Ok(Some(ProtocolVersion::MQTT3)) => *self = Self::V3(v3::Codec::new(largest)),
                Ok(Some(ProtocolVersion::MQTT5)) => *self = Self::V5(v5::Codec::new(largest, 0)),
                Err(DecodeError::InvalidProtocol) => return Err(Malformed::Version),
                Err(error) => return Err(error.into()),
            }
        }
        match self {
            Self::Unknown(_) => Ok(None),
            Self::V3(codec) => Ok(codec.decode(bytes)?.and_then(|(packet, _)| upgrade(packet))),
            Self::V5(codec) => Ok(codec.decode(bytes)?.map(|(packet, _)| packet)),
        }
    }

    /// Appends a packet. What the version does not know is left out; what cannot be encoded is not sent.
    pub fn encode(&mut self, packet: Packet, bytes: &mut BytesMut) {
        let before = bytes.len();
        let done = match self {
            // Nobody who has not said a version is told anything.
            Self::Unknown(_) => Ok(()),
            Self::V3(codec) => downgrade(packet).map_or(Ok(()), |packet| codec.encode(packet, bytes)),
            Self::V5(codec) => codec.encode(packet, bytes),
        };
        if let Err(error) = done {
            tracing::warn!(%error, "a packet cannot be encoded");
            bytes.truncate(before);
        }
    }

    /// A codec of the same version for what is sent.
    #[must_use]
    pub fn sender(&self) -> Self {
        match self {
            Self::Unknown(largest) => Self::Unknown(*largest),
            Self::V3(_) => Self::V3(v3::Codec::new(0)),
            Self::V5(_) => Self::V5(v5::Codec::new(0, 0)),
        }
    }
}

/// What a client of 3.1.1 says; `None` for what only brokers say.
fn upgrade(packet: v3::Packet) -> Option<Packet> {
    Some(match packet {
        v3::Packet::Connect(c) => Packet::Connect(Box::new(Connect {
            clean_start: c.clean_session,
            keep_alive: c.keep_alive,
            // A session that is not clean has no end in 3.1.1; ours has one, see `Limits::keep`.
            session_expiry_interval_secs: if c.clean_session { 0 } else { u32::MAX },
            last_will: c.last_will.map(|will| LastWill {
                qos: will.qos,
                retain: will.retain,
                topic: will.topic,
                message: will.message,
                will_delay_interval_sec: None,
                correlation_data: None,
                message_expiry_interval: None,
                content_type: None,
                user_properties: Vec::new(),
                is_utf8_payload: None,
                response_topic: None,
            }),
            client_id: c.client_id,
            username: c.username,
            password: c.password,
            ..Connect::default()
        })),
        v3::Packet::ConnectAck(a) => Packet::ConnectAck(Box::new(ConnectAck {
            session_present: a.session_present,
            reason_code: match a.return_code {
                v3::ConnectAckReason::ConnectionAccepted => ConnectAckReason::Success,
                v3::ConnectAckReason::UnacceptableProtocolVersion => ConnectAckReason::UnsupportedProtocolVersion,
                v3::ConnectAckReason::IdentifierRejected => ConnectAckReason::ClientIdentifierNotValid,
                v3::ConnectAckReason::ServiceUnavailable => ConnectAckReason::ServerUnavailable,
                v3::ConnectAckReason::BadUserNameOrPassword => ConnectAckReason::BadUserNameOrPassword,
                v3::ConnectAckReason::NotAuthorized => ConnectAckReason::NotAuthorized,
                v3::ConnectAckReason::Reserved => ConnectAckReason::UnspecifiedError,
            },
            ..ConnectAck::default()
        })),
        v3::Packet::Publish(p) => Packet::Publish(p),
        v3::Packet::PublishAck { packet_id } => Packet::PublishAck(ack(packet_id)),
        v3::Packet::PublishReceived { packet_id } => Packet::PublishReceived(ack(packet_id)),
        v3::Packet::PublishRelease { packet_id } => Packet::PublishRelease(ack2(packet_id)),
        v3::Packet::PublishComplete { packet_id } => Packet::PublishComplete(ack2(packet_id)),
        v3::Packet::Subscribe { packet_id, topic_filters } => Packet::Subscribe(Subscribe {
            packet_id,
            id: None,
            user_properties: Vec::new(),
            topic_filters: topic_filters
                .into_iter()
                .map(|(filter, qos)| {
                    let retain_handling = RetainHandling::AtSubscribe;
                    let options =
                        SubscriptionOptions { qos, no_local: false, retain_as_published: false, retain_handling };
                    (filter, options)
                })
                .collect(),
        }),
        v3::Packet::SubscribeAck { packet_id, status } => Packet::SubscribeAck(v5::SubscribeAck {
            packet_id,
            properties: Vec::new(),
            reason_string: None,
            status: status
                .into_iter()
                .map(|code| match code {
                    v3::SubscribeReturnCode::Success(qos) => granted(qos),
                    v3::SubscribeReturnCode::Failure => SubscribeAckReason::UnspecifiedError,
                })
                .collect(),
        }),
        v3::Packet::Unsubscribe { packet_id, topic_filters } => {
            Packet::Unsubscribe(Unsubscribe { packet_id, user_properties: Vec::new(), topic_filters })
        }
        v3::Packet::UnsubscribeAck { packet_id } => Packet::UnsubscribeAck(UnsubscribeAck {
            packet_id,
            properties: Vec::new(),
            reason_string: None,
            status: Vec::new(),
        }),
        v3::Packet::PingRequest => Packet::PingRequest,
        v3::Packet::PingResponse => Packet::PingResponse,
        v3::Packet::Disconnect => Packet::Disconnect(disconnect(DisconnectReasonCode::NormalDisconnection)),
    })
}

/// What a client of 3.1.1 is told; `None` where that version has no word for it.
fn downgrade(packet: Packet) -> Option<v3::Packet> {
    Some(match packet {
        Packet::Connect(c) => v3::Packet::Connect(Box::new(v3::Connect {
            clean_session: c.clean_start,
            keep_alive: c.keep_alive,
            last_will: c.last_will.map(|will| v3::LastWill {
                qos: will.qos,
                retain: will.retain,
                topic: will.topic,
                message: will.message,
            }),
            client_id: c.client_id,
            username: c.username,
            password: c.password,
            ..v3::Connect::default()
        })),
        Packet::ConnectAck(a) => v3::Packet::ConnectAck(v3::ConnectAck {
            session_present: a.session_present,
            return_code: match a.reason_code {
                ConnectAckReason::Success => v3::ConnectAckReason::ConnectionAccepted,
                ConnectAckReason::UnsupportedProtocolVersion => v3::ConnectAckReason::UnacceptableProtocolVersion,
                ConnectAckReason::ClientIdentifierNotValid => v3::ConnectAckReason::IdentifierRejected,
                ConnectAckReason::BadUserNameOrPassword => v3::ConnectAckReason::BadUserNameOrPassword,
                ConnectAckReason::NotAuthorized => v3::ConnectAckReason::NotAuthorized,
                _ => v3::ConnectAckReason::ServiceUnavailable,
            },
        }),
        Packet::Publish(p) => v3::Packet::Publish(p),
        // A refusal has no word either: the client would send for ever what is never taken.
        Packet::PublishAck(a) => v3::Packet::PublishAck { packet_id: a.packet_id },
        Packet::PublishReceived(a) => v3::Packet::PublishReceived { packet_id: a.packet_id },
        Packet::PublishRelease(a) => v3::Packet::PublishRelease { packet_id: a.packet_id },
        Packet::PublishComplete(a) => v3::Packet::PublishComplete { packet_id: a.packet_id },
        Packet::Subscribe(s) => v3::Packet::Subscribe {
            packet_id: s.packet_id,
            topic_filters: s.topic_filters.into_iter().map(|(filter, options)| (filter, options.qos)).collect(),
        },
        Packet::SubscribeAck(a) => v3::Packet::SubscribeAck {
            packet_id: a.packet_id,
            status: a
                .status
                .into_iter()
                .map(|code| match code {
                    SubscribeAckReason::GrantedQos0 => v3::SubscribeReturnCode::Success(QoS::AtMostOnce),
                    SubscribeAckReason::GrantedQos1 => v3::SubscribeReturnCode::Success(QoS::AtLeastOnce),
                    SubscribeAckReason::GrantedQos2 => v3::SubscribeReturnCode::Success(QoS::ExactlyOnce),
                    _ => v3::SubscribeReturnCode::Failure,
                })
                .collect(),
        },
        Packet::Unsubscribe(u) => v3::Packet::Unsubscribe { packet_id: u.packet_id, topic_filters: u.topic_filters },
        Packet::UnsubscribeAck(a) => v3::Packet::UnsubscribeAck { packet_id: a.packet_id },
        Packet::PingRequest => v3::Packet::PingRequest,
        Packet::PingResponse => v3::Packet::PingResponse,
        // A client may take leave in 3.1.1, a broker just closes.
        Packet::Disconnect(d) if d.reason_code == DisconnectReasonCode::NormalDisconnection => v3::Packet::Disconnect,
        Packet::Disconnect(_) | Packet::Auth(_) => return None,
    })
}

pub(crate) fn granted(qos: QoS) -> SubscribeAckReason {
    match qos {
        QoS::AtMostOnce => SubscribeAckReason::GrantedQos0,
        QoS::AtLeastOnce => SubscribeAckReason::GrantedQos1,
        QoS::ExactlyOnce => SubscribeAckReason::GrantedQos2,
    }
}

pub(crate) fn ack(packet_id: NonZeroU16) -> PublishAck {
    PublishAck { packet_id, reason_code: PublishAckReason::Success, properties: Vec::new(), reason_string: None }
}

pub(crate) fn ack2(packet_id: NonZeroU16) -> PublishAck2 {
    PublishAck2 { packet_id, reason_code: PublishAck2Reason::Success, properties: Vec::new(), reason_string: None }
}

pub(crate) fn disconnect(reason_code: DisconnectReasonCode) -> Disconnect {
    Disconnect {
        reason_code,
        session_expiry_interval_secs: None,
        server_reference: None,
        reason_string: None,
        user_properties: Vec::new(),
    }
}

/// Bytes of a message, and of what its properties take in memory.
pub(crate) fn weight(publish: &Publish) -> usize {
    let properties = publish.properties.as_ref().map_or(0, |p| {
        let texts = [&p.content_type, &p.response_topic];
        let texts: usize = texts.into_iter().flatten().map(|text| text.len()).sum();
        let users: usize = p.user_properties.iter().map(|(key, value)| 64 + key.len() + value.len()).sum();
        texts + users + p.correlation_data.as_ref().map_or(0, Bytes::len) + size_of_val(&p.subscription_ids[..])
    });
    publish.topic.len() + publish.payload.len() + properties
}

/// The most bytes that a message takes on the wire, but for the ids of subscriptions, which are at most
/// [`SUBSCRIPTION_ID`] each.
pub(crate) fn length(publish: &Publish) -> usize {
    // First byte, remaining length, length of the topic, packet id, length of the properties.
    let head = 1 + 4 + 2 + 2 + 4;
    let properties = publish.properties.as_ref().map_or(0, |p| {
        let texts = [&p.content_type, &p.response_topic];
        let texts: usize = texts.into_iter().flatten().map(|text| 3 + text.len()).sum();
        let users: usize = p.user_properties.iter().map(|(key, value)| 5 + key.len() + value.len()).sum();
        // With expiry and format.
        texts + users + p.correlation_data.as_ref().map_or(0, |data| 3 + data.len()) + 5 + 2
    });
    head + publish.topic.len() + publish.payload.len() + properties
}

/// Bytes of a subscription's id on the wire, at most.
pub(crate) const SUBSCRIPTION_ID: usize = 5;
