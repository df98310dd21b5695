//! A bridge to another broker. Here it is a client with a session: what is to go out waits in that session, on disk,
//! while the other broker is away. There it is a client too, and what goes out keeps the packet id that it has here, so
//! that the other's acknowledgement settles it here, and what was not acknowledged goes again, in order.

use crate::connection::{A_WHILE, End, PATIENCE, Shared};
use crate::hub::{Hub, Leave, Place};
use crate::journal::Synced;
use crate::line::Line;
use crate::outbox::{Next, Outbox};
use crate::rights::Rights;
use crate::wire::Wire;
use bytes::BytesMut;
use rmqtt_codec::types::QoS;
use rmqtt_codec::v5::{Connect, Packet, RetainHandling, Subscribe, SubscriptionOptions, Unsubscribe};
use std::fmt;
use std::io;
use std::num::NonZeroU16;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

/// The user that a bridge is here; no other name begins so.
pub(crate) const USER: &str = "$bridge";
/// Packet ids that no session gives to a message.
const SUBSCRIBE: u16 = 65_001;
const KEEP_ALIVE: u16 = 60;
const PING: Duration = Duration::from_secs(30);
/// Waits between two tries, from the first to the longest.
const WAITS: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// The other broker, and what is exchanged with it.
#[derive(Clone)]
pub struct Bridge {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Whom to believe that it is the other broker; in the clear if `None`.
    pub tls: Option<Arc<ClientConfig>>,
    /// User and password there.
    pub credentials: Option<(String, String)>,
    /// Client id there: one broker knows two bridges apart by it.
    pub client_id: String,
    /// Whether it leaves no session behind there: for who only looks, and is gone.
    pub passing: bool,
    /// What stands before all topics there.
    pub prefix: String,
    /// Filters of what goes out.
    pub publish: Vec<String>,
    /// Filters of what comes in, without the prefix.
    pub subscribe: Vec<String>,
}

impl fmt::Debug for Bridge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, client_id, prefix, publish, subscribe, .. } = self;
        let mut shown = f.debug_struct("Bridge");
        shown.field("host", host).field("port", port).field("client_id", client_id).field("prefix", prefix);
        shown.field("publish", publish).field("subscribe", subscribe).finish_non_exhaustive()
    }
}

/// Keeps the bridge up for as long as the broker runs.
pub(crate) async fn run(bridge: Bridge, shared: Rc<Shared>) {
    // From now on messages wait for it, whether or not the other broker is there.
    let outbox = Rc::new(Outbox::default());
    if let Some(place) = shared.with(|hub, now| take_place(hub, now, &bridge, &outbox)) {
        shared.with(|hub, now| {
            keep_only(hub, place, &bridge);
            hub.leave(now, place, Leave::Said { expiry: None });
        });
    }
    let mut wait = WAITS.0;
    let mut was_up = true;
    loop {
        match over(&bridge, &shared, &mut wait).await {
            Ok(never) => match never {},
            Err(error) => {
                if was_up || wait == WAITS.0 {
                    tracing::warn!(to = %bridge.host, %error, "the bridge is down; what is to go over waits");
                }
                was_up = false;
            }
        }
        sleep(wait).await;
        wait = (wait * 2).min(WAITS.1);
    }
}

enum Never {}

/// One connection to the other broker, until it breaks.
async fn over(bridge: &Bridge, shared: &Rc<Shared>, wait: &mut Duration) -> io::Result<Never> {
    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
    let stream = timeout(PATIENCE, TcpStream::connect((&*bridge.host, bridge.port))).await.map_err(late)??;
    stream.set_nodelay(true)?;
    match &bridge.tls {
        None => speak(bridge, stream, shared, wait).await,
        Some(config) => {
            let name = ServerName::try_from(bridge.host.clone()).map_err(io::Error::other)?;
            let shake = TlsConnector::from(Arc::clone(config)).connect(name, stream);
            speak(bridge, timeout(PATIENCE, shake).await.map_err(late)??, shared, wait).await
        }
    }
}

async fn speak<S: AsyncRead + AsyncWrite>(
    bridge: &Bridge,
    stream: S,
    shared: &Rc<Shared>,
    wait: &mut Duration,
) -> io::Result<Never> {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let (mut wire, mut bytes) = (Wire::client(shared.limits.packet), BytesMut::new());
    let mut hello = BytesMut::new();
    let mut sender = wire.sender();
    sender.encode(Packet::Connect(Box::new(introduction(bridge))), &mut hello);
    if !bridge.subscribe.is_empty() {
        sender.encode(Packet::Subscribe(wishes(bridge)), &mut hello);
    }
    writer.write_all(&hello).await?;
    writer.flush().await?;
    match timeout(PATIENCE, next(&mut reader, &mut wire, &mut bytes)).await {
        Ok(Ok(Packet::ConnectAck(ack))) if u8::from(ack.reason_code) == 0 => {}
        Ok(Ok(Packet::ConnectAck(ack))) => {
            return Err(io::Error::other(format!("the other broker refuses us: {:?}", ack.reason_code)));
        }
        Ok(Err(error)) => return Err(error),
        _ => return Err(io::Error::other("the other side speaks no MQTT")),
    }
    tracing::info!(to = %bridge.host, "the bridge is up");
    *wait = WAITS.0;
    let outbox = Rc::new(Outbox::default());
    let place = shared.with(|hub, now| take_place(hub, now, bridge, &outbox));
    let Some(place) = place else { return Err(io::Error::other("there is no room for its session")) };
    let synced = shared.with(|hub, _| hub.journal.synced());
    let broken = tokio::select! {
        broken = talk(&mut writer, &mut sender, &outbox, synced, shared, place, bridge) => broken,
        broken = listen(&mut reader, &mut wire, &mut bytes, &outbox, shared, place, bridge) => broken,
    };
    shared.with(|hub, now| hub.leave(now, place, Leave::Said { expiry: None }));
    broken
}

fn introduction(bridge: &Bridge) -> Connect {
    let (username, password) = bridge.credentials.clone().unzip();
    Connect {
        // The other broker keeps for us what comes in while we are away.
        clean_start: bridge.passing,
        keep_alive: KEEP_ALIVE,
        client_id: bridge.client_id.clone().into(),
        username: username.map(Into::into),
        password: password.map(Into::into),
        ..Connect::default()
    }
}

fn wishes(bridge: &Bridge) -> Subscribe {
    let options = SubscriptionOptions { qos: QoS::AtLeastOnce, ..SubscriptionOptions::default() };
    let filter = |filter: &String| (format!("{}{filter}", bridge.prefix).into(), options);
    Subscribe {
        packet_id: NonZeroU16::MIN.saturating_add(SUBSCRIBE - 1),
        id: None,
        user_properties: Vec::new(),
        topic_filters: bridge.subscribe.iter().map(filter).collect(),
    }
}

/// Takes the bridge's session here, with the subscriptions that it is to have.
fn take_place(hub: &mut Hub, now: u64, bridge: &Bridge, outbox: &Rc<Outbox>) -> Option<Place> {
    let connect = Connect {
        clean_start: false,
        session_expiry_interval_secs: u32::MAX,
        client_id: bridge.client_id.clone().into(),
        ..Connect::default()
    };
    let rights = Rights { publish: bridge.subscribe.clone(), subscribe: bridge.publish.clone() };
    let placed = hub.connect(now, (USER.into(), rights), connect, Rc::clone(outbox));
    let place = placed.map_err(|reason| tracing::error!(?reason, "the bridge has no session")).ok()?;
    let options = SubscriptionOptions {
        qos: QoS::AtLeastOnce,
        // What came over it does not go back.
        no_local: true,
        retain_as_published: true,
        retain_handling: RetainHandling::AtSubscribeNew,
    };
    // Where nothing goes out there is nothing to ask for, and to ask for nothing is a mistake.
    if bridge.publish.is_empty() {
        return Some(place);
    }
    let topic_filters = bridge.publish.iter().map(|filter| (filter.clone().into(), options)).collect();
    let asked = Subscribe { packet_id: NonZeroU16::MIN, id: None, user_properties: Vec::new(), topic_filters };
    let subscribed = hub.subscribe(now, place, asked);
    subscribed.map_err(|reason| tracing::error!(?reason, "the bridge cannot have what it is to publish")).ok()?;
    Some(place)
}

/// Drops the subscriptions that the configuration does not name any more.
fn keep_only(hub: &mut Hub, place: Place, bridge: &Bridge) {
    let topic_filters: Vec<_> =
        hub.filters(place).into_iter().filter(|f| !bridge.publish.iter().any(|p| p == &**f)).collect();
    if !topic_filters.is_empty() {
        let asked = Unsubscribe { packet_id: NonZeroU16::MIN, user_properties: Vec::new(), topic_filters };
        // It cannot fail: there is something to unsubscribe from.
        let _ = hub.unsubscribe(place, &asked);
    }
}

async fn next<R: AsyncRead + Unpin>(reader: &mut R, wire: &mut Wire, bytes: &mut BytesMut) -> io::Result<Packet> {
    loop {
        if let Some(packet) = wire.decode(bytes).map_err(io::Error::other)? {
            return Ok(packet);
        }
        if reader.read_buf(bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Sends what waits, and a ping now and then.
async fn talk<W: AsyncWrite + Unpin>(
    writer: &mut W,
    wire: &mut Wire,
    outbox: &Outbox,
    mut synced: Synced,
    shared: &Shared,
    place: Place,
    bridge: &Bridge,
) -> io::Result<Never> {
    let mut bytes = BytesMut::new();
    let mut pings = tokio::time::interval(PING);
    loop {
        let mut held = false;
        while bytes.len() < 64 << 10 {
            match outbox.take(|position| synced.reached(position)) {
                Next::Packet(Packet::Publish(mut publish)) => {
                    shared.counters.sent.more();
                    publish.topic = format!("{}{}", bridge.prefix, publish.topic).into();
                    wire.encode(Packet::Publish(publish), &mut bytes);
                }
                // Answers to our own session, which the other broker knows nothing of.
                Next::Packet(Packet::ConnectAck(_) | Packet::SubscribeAck(_) | Packet::UnsubscribeAck(_)) => {}
                Next::Packet(packet) => wire.encode(packet, &mut bytes),
                Next::Held => {
                    held = true;
                    break;
                }
                Next::Empty => break,
            }
        }
        if !bytes.is_empty() {
            writer.write_all_buf(&mut bytes).await?;
            writer.flush().await?;
            continue;
        }
        if outbox.is_closed() {
            return Err(io::Error::other("its session was taken over"));
        }
        if !held {
            shared.with(|hub, now| hub.drained(now, place));
        }
        tokio::select! {
            () = outbox.news() => {}
            () = synced.more(), if held => {}
            _ = pings.tick() => wire.encode(Packet::PingRequest, &mut bytes),
        }
    }
}

/// Follows what the other broker says.
async fn listen<R: AsyncRead + Unpin>(
    reader: &mut R,
    wire: &mut Wire,
    bytes: &mut BytesMut,
    outbox: &Outbox,
    shared: &Shared,
    place: Place,
    bridge: &Bridge,
) -> io::Result<Never> {
    let mut line = Line::default();
    loop {
        while shared.with(|hub, _| hub.journal.is_behind()) {
            sleep(A_WHILE).await;
        }
        if !outbox.has_room(shared.limits.outbox.saturating_mul(2), PING * 2).await {
            return Err(io::Error::other("the other broker does not read what we answer"));
        }
        let mut came = None;
        tokio::select! {
            packet = timeout(PING * 2, next(reader, wire, bytes)), if !line.is_full() => {
                came = Some(packet.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??);
            }
            () = sleep(A_WHILE), if !line.is_empty() => {}
        }
        let followed = shared.with(|hub, now| {
            let obey = |hub: &mut Hub, packet| follow(hub, now, place, bridge, packet);
            line.go_on(hub, place, obey)?;
            came.map_or(Ok(()), |packet| line.take(hub, place, local(packet, bridge), obey))
        });
        if let Err(End::Broke(reason)) = followed {
            return Err(io::Error::other(format!("the other broker breaks a rule: {reason:?}")));
        }
    }
}

/// A packet of the other broker by the topic that its message has here.
fn local(mut packet: Packet, bridge: &Bridge) -> Packet {
    if let Packet::Publish(publish) = &mut packet {
        // A topic that we did not ask for is still acknowledged, or it would come for ever.
        publish.topic = publish.topic.strip_prefix(&*bridge.prefix).unwrap_or(&publish.topic).into();
    }
    packet
}

fn follow(hub: &mut Hub, now: u64, place: Place, bridge: &Bridge, packet: Packet) -> Result<(), End> {
    match packet {
        Packet::Publish(publish) => return hub.publish(now, place, *publish).map_err(End::Broke),
        Packet::PublishAck(ack) => hub.acknowledged(now, place, ack.packet_id),
        Packet::PublishReceived(ack) => hub.arrived(now, place, &ack),
        Packet::PublishComplete(ack) => hub.acknowledged(now, place, ack.packet_id),
        Packet::PublishRelease(ack) => hub.completed(place, ack.packet_id),
        Packet::SubscribeAck(ack) => {
            for (filter, code) in bridge.subscribe.iter().zip(&ack.status) {
                if u8::from(*code) >= 0x80 {
                    tracing::warn!(%filter, "the other broker does not let the bridge subscribe");
                }
            }
        }
        _ => {}
    }
    Ok(())
}
