//! One connection: packets in, packets out, and how long it may be silent.

use crate::figures::Counters;
use crate::hub::{Hub, Leave, Place};
use crate::journal::Synced;
use crate::limits::Limits;
use crate::line::Line;
use crate::outbox::{Next, Outbox};
use crate::server::now;
use crate::wire::{self, Malformed, Wire};
use bytes::BytesMut;
use rmqtt_codec::v5::{Connect, ConnectAck, DisconnectReasonCode, Packet};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, sleep, sleep_until, timeout};

#[cfg(test)]
mod tests;

/// How long somebody may take to say who it is, and to take what it is told last.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// How long who said a wrong password waits for the answer.
const DOUBT: Duration = Duration::from_secs(1);
/// The most bytes of a first packet: nothing is known yet of who sends it.
const FIRST: u32 = 64 << 10;
/// Bytes that are written at once.
const BURST: usize = 64 << 10;
/// The least room that is made for what a client sends.
const LEAST_READ: usize = 2048;
/// How long to look away from a disk or an outbox that is full.
pub(crate) const A_WHILE: Duration = Duration::from_millis(20);
/// Connections from one other machine, or one network of IPv6.
const PER_NETWORK: usize = 100;
/// Connections that are kept for this machine's own.
const OWN: usize = 100;
/// Connections from other machines of which nobody knows yet who they are.
const STRANGERS: usize = 200;

/// What all connections share.
pub(crate) struct Shared {
    hub: RefCell<Hub>,
    pub counters: Arc<Counters>,
    pub limits: Limits,
    /// Of other machines, by network.
    seats: RefCell<BTreeMap<IpAddr, usize>>,
    taken: Cell<usize>,
    outside: Cell<usize>,
    strangers: Cell<usize>,
}

impl Shared {
    pub fn new(hub: Hub, limits: Limits) -> Self {
        let none = || Cell::new(0);
        let (seats, taken, outside, strangers) = (RefCell::default(), none(), none(), none());
        let counters = Arc::clone(&hub.counters);
        Self { hub: RefCell::new(hub), counters, limits, seats, taken, outside, strangers }
    }

    /// Does something with the hub, and hands what it noted to the disk.
    pub fn with<R>(&self, work: impl FnOnce(&mut Hub, u64) -> R) -> R {
        let mut hub = self.hub.borrow_mut();
        let result = work(&mut hub, now());
        hub.journal.flush();
        result
    }

    /// Room for one more connection, if there is some.
    pub fn seat(shared: &Rc<Self>, address: IpAddr) -> Option<Seat> {
        let (most, network) = (shared.limits.connections, network(address));
        if shared.taken.get() >= most {
            return None;
        }
        if let Some(network) = network {
            let mut seats = shared.seats.borrow_mut();
            let from = seats.get(&network).copied().unwrap_or(0);
            if from >= PER_NETWORK
                || shared.outside.get() >= most.saturating_sub(OWN)
                || shared.strangers.get() >= STRANGERS
            {
                return None;
            }
            seats.insert(network, from + 1);
            shared.outside.set(shared.outside.get() + 1);
            shared.strangers.set(shared.strangers.get() + 1);
        }
        shared.taken.set(shared.taken.get() + 1);
        Some(Seat { shared: Rc::clone(shared), network, stranger: Cell::new(network.is_some()) })
    }
}

/// From where an address of another machine is: of version 6 everybody has a whole /64. `None` for this machine.
fn network(address: IpAddr) -> Option<IpAddr> {
    match address.to_canonical() {
        own if own.is_loopback() => None,
        IpAddr::V4(address) => Some(address.into()),
        IpAddr::V6(address) => Some(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into()),
    }
}

fn less_one(count: &Cell<usize>) {
    count.set(count.get().saturating_sub(1));
}

/// A connection's room; free again when it is dropped.
pub(crate) struct Seat {
    shared: Rc<Shared>,
    network: Option<IpAddr>,
    /// Whether it is not known yet who sits here.
    stranger: Cell<bool>,
}

impl Seat {
    /// It is known from now on.
    fn admitted(&self) {
        if self.stranger.replace(false) {
            less_one(&self.shared.strangers);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.admitted();
        less_one(&self.shared.taken);
        let Some(network) = self.network else { return };
        less_one(&self.shared.outside);
        let mut seats = self.shared.seats.borrow_mut();
        if let Some(from) = seats.get_mut(&network) {
            *from -= 1;
            if *from == 0 {
                seats.remove(&network);
            }
        }
    }
}

/// Why a connection ends.
pub(crate) enum End {
    /// The client took leave.
    Said(Leave),
    /// It broke a rule, and is told which.
    Broke(DisconnectReasonCode),
    /// It is gone, silent, or was thrown out.
    Gone,
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

impl From<Malformed> for End {
    fn from(malformed: Malformed) -> Self {
        Self::Broke(match malformed {
            Malformed::TooLarge(_) => DisconnectReasonCode::PacketTooLarge,
            Malformed::Broken(_) | Malformed::Version => DisconnectReasonCode::MalformedPacket,
        })
    }
}

/// Serves a client until it is gone.
pub(crate) async fn serve<S: AsyncRead + AsyncWrite>(stream: S, seat: &Seat) {
    let shared = &seat.shared;
    let (mut reader, mut writer) = tokio::io::split(stream);
    let (mut wire, mut bytes) = (Wire::new(FIRST), BytesMut::new());
    let Ok(Ok(connect)) = timeout(PATIENCE, first(&mut reader, &mut wire, &mut bytes)).await else {
        if matches!(wire, Wire::Unknown(_)) && bytes.first() == Some(&0x10) {
            // A version that nobody has heard of is told so in the words of 3.1.1, as 5 wants it (section 3.1.2.2).
            let _ = timeout(PATIENCE, writer.write_all(&[0x20, 2, 0, 1])).await;
        }
        return;
    };
    let silence = Duration::from_millis(u64::from(connect.keep_alive) * 1500);
    let outbox = Rc::new(Outbox::default());
    let admitted = shared.with(|hub, _| hub.admit(&connect));
    if admitted.is_err() {
        sleep(DOUBT).await;
    }
    let placed =
        admitted.and_then(|somebody| shared.with(|hub, now| hub.connect(now, somebody, connect, Rc::clone(&outbox))));
    let mut sender = wire.sender();
    let place = match placed {
        Ok(place) => place,
        Err(reason) => {
            shared.counters.turned_away.more();
            tracing::warn!(?reason, "a client of the broker was refused");
            let mut last = BytesMut::new();
            let refusal = ConnectAck { reason_code: reason, ..ConnectAck::default() };
            sender.encode(Packet::ConnectAck(Box::new(refusal)), &mut last);
            let _ = timeout(PATIENCE, writer.write_all(&last)).await;
            let _ = timeout(PATIENCE, writer.shutdown()).await;
            return;
        }
    };
    seat.admitted();
    wire.set_largest(shared.limits.packet);
    let client = Client { shared, place, silence, outbox: &outbox };
    let synced = shared.with(|hub, _| hub.journal.synced());
    let sending = send(&mut writer, &mut sender, &outbox, synced, shared, place);
    tokio::pin!(sending);
    let mut sent = false;
    let end = tokio::select! {
        end = client.listen(&mut reader, &mut wire, &mut bytes) => end,
        _ = &mut sending => {
            sent = true;
            End::Gone
        }
    };
    let how = match end {
        End::Said(how) => how,
        End::Gone => Leave::Lost,
        End::Broke(reason) => {
            tracing::warn!(?reason, "a client of the broker is disconnected");
            outbox.put(0, Packet::Disconnect(wire::disconnect(reason)));
            Leave::Lost
        }
    };
    shared.with(|hub, now| hub.leave(now, place, how));
    outbox.close();
    if !sent {
        let _ = timeout(PATIENCE, sending).await;
    }
}

/// The first packet, which says who it is.
async fn first<R: AsyncRead + Unpin>(reader: &mut R, wire: &mut Wire, bytes: &mut BytesMut) -> Result<Connect, End> {
    loop {
        match wire.decode(bytes)? {
            Some(Packet::Connect(connect)) => return Ok(*connect),
            Some(_) => return Err(End::Gone),
            None => {}
        }
        if reader.read_buf(bytes).await? == 0 {
            return Err(End::Gone);
        }
    }
}

/// Sends what is in an outbox as soon as it may, until it is closed and empty or the client is gone.
pub(crate) async fn send<W: AsyncWrite + Unpin>(
    writer: &mut W,
    wire: &mut Wire,
    outbox: &Outbox,
    mut synced: Synced,
    shared: &Shared,
    place: Place,
) -> io::Result<()> {
    let mut bytes = BytesMut::new();
    loop {
        let held = loop {
            if bytes.len() >= BURST {
                break false;
            }
            match outbox.take(|position| synced.reached(position)) {
                Next::Packet(packet) => {
                    if matches!(packet, Packet::Publish(_)) {
                        shared.counters.sent.more();
                    }
                    wire.encode(packet, &mut bytes);
                }
                Next::Held => break true,
                Next::Empty => break false,
            }
        };
        if !bytes.is_empty() {
            writer.write_all_buf(&mut bytes).await?;
            writer.flush().await?;
            continue;
        }
        if bytes.capacity() > BURST {
            bytes = BytesMut::new();
        }
        if held {
            tokio::select! {
                () = synced.more() => {}
                () = outbox.news() => {}
            }
        } else if outbox.is_closed() {
            return writer.shutdown().await;
        } else {
            shared.with(|hub, now| hub.drained(now, place));
            outbox.news().await;
        }
    }
}

/// A client that has its place.
struct Client<'a> {
    shared: &'a Shared,
    place: Place,
    /// How long it may be silent; for ever if zero.
    silence: Duration,
    outbox: &'a Outbox,
}

impl Client<'_> {
    /// Follows what it says until it is gone or must go.
    async fn listen<R: AsyncRead + Unpin>(&self, reader: &mut R, wire: &mut Wire, bytes: &mut BytesMut) -> End {
        let mut allowance = Allowance::new(self.shared.limits.rate);
        let mut room = LEAST_READ;
        let mut line = Line::default();
        let (mut heard, mut looks_again) = (Instant::now(), false);
        loop {
            let most = self.shared.limits.outbox.saturating_mul(2);
            let mut stuck = false;
            let said = self.shared.with(|hub, now| -> Result<(u32, bool, bool), End> {
                let (mut published, before) = (0, hub.journal.position());
                let obey = |hub: &mut Hub, packet| follow(hub, now, self.place, packet);
                line.go_on(hub, self.place, obey)?;
                stuck = line.is_full();
                // Messages alone do not fill its outbox twice: who reads none of our answers is not asked for more.
                while self.outbox.bytes() <= most && !line.is_full() {
                    let Some(packet) = wire.decode(bytes)? else {
                        return Ok((published, hub.journal.position() != before, true));
                    };
                    published += u32::from(matches!(packet, Packet::Publish(_)));
                    line.take(hub, self.place, packet, obey)?;
                }
                Ok((published, hub.journal.position() != before, false))
            });
            let (published, noted, all) = match said {
                Ok(said) => said,
                Err(end) => return end,
            };
            allowance.spend(published).await;
            // Who gives the disk nothing to do goes on: a meter is heard whatever the disk does.
            while noted && self.shared.with(|hub, _| hub.journal.is_behind()) {
                sleep(A_WHILE).await;
            }
            if !self.outbox.has_room(most, self.silence.max(PATIENCE)).await {
                return End::Broke(DisconnectReasonCode::QuotaExceeded);
            }
            if !all {
                looks_again = false;
                if stuck {
                    sleep(A_WHILE).await;
                }
                continue;
            }
            if bytes.is_empty() && bytes.capacity() > 2 * room {
                *bytes = BytesMut::new();
            }
            bytes.reserve(room);
            let space = bytes.capacity() - bytes.len();
            if !looks_again {
                heard = Instant::now();
            }
            let read = tokio::select! {
                read = reader.read_buf(bytes) => read,
                () = sleep_until(heard + self.silence), if !self.silence.is_zero() => {
                    return End::Broke(DisconnectReasonCode::KeepAliveTimeout);
                }
                () = sleep(A_WHILE), if !line.is_empty() => {
                    looks_again = true;
                    continue;
                }
            };
            looks_again = false;
            match read {
                Ok(0) => return self.finish(line).await,
                Err(_) => return End::Gone,
                // Whoever sends much is read in large pieces, whoever is quiet holds little memory.
                Ok(read) => room = if read == space { (room * 2).min(BURST) } else { (room / 2).max(LEAST_READ) },
            }
        }
    }

    /// Follows what it said before it closed.
    async fn finish(&self, mut line: Line) -> End {
        while !line.is_empty() {
            sleep(A_WHILE).await;
            let said = self.shared.with(|hub, now| {
                line.go_on(hub, self.place, |hub: &mut Hub, packet| follow(hub, now, self.place, packet))
            });
            if let Err(end) = said {
                return end;
            }
        }
        End::Gone
    }
}

/// Follows one packet of a client.
pub(crate) fn follow(hub: &mut Hub, now: u64, place: Place, packet: Packet) -> Result<(), End> {
    match packet {
        Packet::Publish(publish) => hub.publish(now, place, *publish).map_err(End::Broke),
        Packet::PublishAck(ack) => {
            hub.acknowledged(now, place, ack.packet_id);
            Ok(())
        }
        Packet::PublishReceived(ack) => {
            hub.arrived(now, place, &ack);
            Ok(())
        }
        Packet::PublishComplete(ack) => {
            hub.acknowledged(now, place, ack.packet_id);
            Ok(())
        }
        Packet::PublishRelease(ack) => {
            hub.completed(place, ack.packet_id);
            Ok(())
        }
        Packet::Subscribe(asked) => hub.subscribe(now, place, asked).map_err(End::Broke),
        Packet::Unsubscribe(asked) => hub.unsubscribe(place, &asked).map_err(End::Broke),
        Packet::PingRequest => {
            hub.pong(place);
            Ok(())
        }
        Packet::Disconnect(leave) => Err(End::Said(match leave.reason_code {
            DisconnectReasonCode::NormalDisconnection => Leave::Said { expiry: leave.session_expiry_interval_secs },
            _ => Leave::Lost,
        })),
        // A second CONNECT, and what only brokers say.
        Packet::Connect(_)
        | Packet::ConnectAck(_)
        | Packet::SubscribeAck(_)
        | Packet::UnsubscribeAck(_)
        | Packet::PingResponse
        | Packet::Auth(_) => Err(End::Broke(DisconnectReasonCode::ProtocolError)),
    }
}

/// How fast a client may publish: ten seconds' worth at once, then by the second.
struct Allowance {
    rate: f64,
    left: f64,
    at: Instant,
}

impl Allowance {
    fn new(rate: u32) -> Self {
        let rate = f64::from(rate);
        Self { rate, left: rate * 10.0, at: Instant::now() }
    }

    async fn spend(&mut self, messages: u32) {
        if messages == 0 || self.rate == 0.0 {
            return;
        }
        let now = Instant::now();
        self.left = (self.left + (now - self.at).as_secs_f64() * self.rate).min(self.rate * 10.0) - f64::from(messages);
        self.at = now;
        if self.left < 0.0 {
            sleep(Duration::from_secs_f64(-self.left / self.rate)).await;
        }
    }
}
