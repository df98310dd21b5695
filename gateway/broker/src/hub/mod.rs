//! The broker without its connections: sessions, subscriptions, retained messages, and who gets what. It knows neither
//! sockets nor, but for its uptime, the clock; what it decides goes into outboxes and into the journal.

mod deliver;
mod memory;
mod pace;
mod pool;
mod route;
mod status;
mod subscribe;
#[cfg(test)]
mod tests;

use crate::bridge;
use crate::figures::Counters;
use crate::journal::Journal;
use crate::limits::Limits;
use crate::outbox::Outbox;
use crate::record::{Record, Subscription};
use crate::rights::{Rights, Users};
use crate::topic::{self, Tree};
use crate::wire;
use bytestring::ByteString;
use pace::Reading;
use pool::Pool;
use rmqtt_codec::types::{Publish, QoS};
use rmqtt_codec::v5::{
    Connect, ConnectAck, ConnectAckReason, DisconnectReasonCode, LastWill, Packet, PublishProperties,
};
pub(crate) use route::compact;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::num::{NonZeroU16, NonZeroU32};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

/// A message that is kept: retained, or waiting in a session.
#[derive(Debug)]
struct Message {
    /// As it was published, without packet id, topic alias and the like.
    publish: Publish,
    /// When it is worth nothing any more, in ms since 1970.
    expires: Option<u64>,
    /// Bytes in memory.
    size: usize,
    /// Bytes on the wire, see [`wire::length`].
    length: usize,
}

impl Message {
    fn new(publish: Publish, expires: Option<u64>) -> Self {
        let (size, length) = (128 + size_of::<Self>() + wire::weight(&publish), wire::length(&publish));
        Self { publish, expires, size, length }
    }

    fn is_over(&self, now: u64) -> bool {
        self.expires.is_some_and(|at| at <= now)
    }
}

/// A message that waits in a session.
#[derive(Clone, Debug)]
struct Entry {
    /// Its number in the journal; 0 if it is not there.
    id: u64,
    message: Rc<Message>,
    qos: QoS,
    retain: bool,
    ids: Vec<NonZeroU32>,
}

impl Entry {
    /// Bytes that it takes in a queue.
    fn size(&self) -> usize {
        self.message.size + size_of_val(&self.ids[..])
    }

    /// Whether its client takes packets so large.
    fn fits(&self, link: &Link) -> bool {
        self.message.length + wire::SUBSCRIPTION_ID * self.ids.len() <= link.largest
    }
}

/// One that was sent, and is not acknowledged.
#[derive(Debug)]
struct Flight {
    pid: NonZeroU16,
    entry: Entry,
    /// The client has it (QoS 2); only that it may forget the id is left to tell.
    released: bool,
}

/// A connection of a session's client.
struct Link {
    turn: u64,
    outbox: Rc<Outbox>,
    rights: Rights,
    window: usize,
    largest: usize,
    will: Option<LastWill>,
}

struct Session {
    user: String,
    client: String,
    /// Seconds that it outlives its connection; 0 for one that does not.
    expiry: u32,
    subscriptions: BTreeMap<ByteString, Subscription>,
    waiting: VecDeque<Entry>,
    flying: VecDeque<Flight>,
    received: BTreeSet<u16>,
    last_pid: u16,
    bytes: usize,
    dropped: u64,
    refused: u64,
    link: Option<Link>,
    /// Outlives a connection: who comes back again and again to read nothing is not waited for each time.
    reading: Reading,
    /// When it is over if its client stays away, in ms since 1970.
    ends: Option<u64>,
    /// A will that is published unless the client is back by then.
    late_will: Option<(u64, LastWill)>,
}

impl Session {
    fn outlives(&self) -> bool {
        self.expiry > 0
    }

    /// Whether that is still its client's connection.
    fn is_at(&self, place: Place) -> bool {
        self.link.as_ref().is_some_and(|link| link.turn == place.turn)
    }
}

struct Retained {
    message: Rc<Message>,
    /// Whose it is.
    owner: String,
    /// When it was last written down; `None` if that was another value.
    noted: Option<u64>,
    /// When any value of this topic was.
    topic_noted: u64,
}

/// A client's place: its session, and which of the session's connections it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    session: u32,
    turn: u64,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    /// In form: without the will, and perhaps with another expiry of the session.
    Said { expiry: Option<u32> },
    /// Otherwise.
    Lost,
}

/// See the module.
pub(crate) struct Hub {
    limits: Limits,
    users: Users,
    /// The client whose retained messages are written down once a minute only: it tells them again at every start.
    herald: Option<String>,
    sessions: BTreeMap<u32, Session>,
    keys: BTreeMap<(String, String), u32>,
    tree: Tree<Subscription>,
    retained: BTreeMap<ByteString, Retained>,
    retained_bytes: Pool,
    queued_bytes: Pool,
    filters: Pool,
    pub counters: Arc<Counters>,
    /// What `$SYS` topics say, and when they are due again.
    status: BTreeMap<ByteString, Rc<Message>>,
    status_due: u64,
    begun: Instant,
    next_session: u32,
    next_message: u64,
    next_turn: u64,
    pub journal: Journal,
}

impl Hub {
    /// An empty one.
    pub fn new(limits: Limits, users: Users, herald: Option<String>) -> Self {
        let retained_bytes = Pool::new(users.first());
        Self {
            limits,
            users,
            herald,
            sessions: BTreeMap::new(),
            keys: BTreeMap::new(),
            tree: Tree::default(),
            retained: BTreeMap::new(),
            retained_bytes,
            queued_bytes: Pool::new(Some(bridge::USER)),
            filters: Pool::default(),
            counters: Arc::default(),
            status: BTreeMap::new(),
            status_due: 0,
            begun: Instant::now(),
            next_session: 1,
            next_message: 1,
            next_turn: 1,
            journal: Journal::none(),
        }
    }

    /// Who says to be this, if it is true.
    pub fn admit(&self, connect: &Connect) -> Result<(String, Rights), ConnectAckReason> {
        if connect.auth_method.is_some() {
            return Err(ConnectAckReason::BadAuthenticationMethod);
        }
        let said = self.users.admit(connect.username.as_deref(), connect.password.as_deref());
        said.ok_or(ConnectAckReason::BadUserNameOrPassword)
    }

    /// A client that was admitted takes its place; what it is told is in its outbox.
    pub fn connect(
        &mut self,
        now: u64,
        (user, rights): (String, Rights),
        connect: Connect,
        outbox: Rc<Outbox>,
    ) -> Result<Place, ConnectAckReason> {
        if let Some(will) = &connect.last_will {
            if !topic::is_name(&will.topic) {
                return Err(ConnectAckReason::TopicNameInvalid);
            }
            if !rights.publishes(&will.topic) {
                return Err(ConnectAckReason::NotAuthorized);
            }
        }
        if connect.client_id.len() > 256 || connect.client_id.contains(char::is_control) {
            return Err(ConnectAckReason::ClientIdentifierNotValid);
        }
        let turn = self.next_turn;
        self.next_turn += 1;
        let assigned = connect.client_id.is_empty().then(|| format!("auto-{now:x}-{turn:x}"));
        let client = assigned.clone().unwrap_or_else(|| connect.client_id.to_string());
        // A session belongs to a user: nobody takes over another's by knowing its client id.
        let key = (user.clone(), client.clone());
        if let Some(&old) = self.keys.get(&key) {
            if let Some(link) = self.sessions.get(&old).and_then(|s| s.link.as_ref()) {
                let place = Place { session: old, turn: link.turn };
                let taken = wire::disconnect(DisconnectReasonCode::SessionTakenOver);
                link.outbox.put(0, Packet::Disconnect(taken));
                self.leave(now, place, Leave::Lost);
            }
            if connect.clean_start {
                self.end(now, old);
            }
        }
        let expiry = connect.session_expiry_interval_secs.min(self.longest(&user));
        let present = self.keys.get(&key).copied();
        if present.is_none() && expiry > 0 {
            let kept = || self.sessions.values().filter(|s| s.outlives());
            let own = kept().filter(|s| s.user == user).count();
            if kept().count() >= self.limits.sessions || own >= pool::part(&user, self.limits.sessions) {
                return Err(ConnectAckReason::QuotaExceeded);
            }
        }
        let number = present.unwrap_or_else(|| self.open(user, client, expiry));
        let link = Link {
            turn,
            outbox: Rc::clone(&outbox),
            rights,
            window: connect.receive_max.map_or(u16::MAX, NonZeroU16::get).min(self.limits.window).into(),
            largest: connect.max_packet_size.map_or(usize::MAX, |size| size.get() as usize),
            will: connect.last_will,
        };
        let acknowledgement = ConnectAck {
            session_present: present.is_some(),
            session_expiry_interval_secs: (expiry != connect.session_expiry_interval_secs).then_some(expiry),
            max_packet_size: Some(self.limits.packet),
            assigned_client_id: assigned.map(Into::into),
            shared_subscription_available: false,
            receive_max: NonZeroU16::MIN.saturating_add(self.limits.window - 1),
            ..ConnectAck::default()
        };
        self.resume(number, expiry, link);
        outbox.put(self.barrier_of(number), Packet::ConnectAck(Box::new(acknowledgement)));
        self.send_again(number, now);
        self.pump(number, now);
        Ok(Place { session: number, turn })
    }

    fn open(&mut self, user: String, client: String, expiry: u32) -> u32 {
        let number = self.next_session;
        self.next_session += 1;
        self.keys.insert((user.clone(), client.clone()), number);
        let session = Session {
            user,
            client,
            expiry,
            subscriptions: BTreeMap::new(),
            waiting: VecDeque::new(),
            flying: VecDeque::new(),
            received: BTreeSet::new(),
            last_pid: 0,
            bytes: 0,
            dropped: 0,
            refused: 0,
            link: None,
            reading: Reading::default(),
            ends: None,
            late_will: None,
        };
        self.sessions.insert(number, session);
        number
    }

    /// A session gets its client back, and keeps what the client may still read.
    fn resume(&mut self, number: u32, expiry: u32, link: Link) {
        let Some(session) = self.sessions.get_mut(&number) else { return };
        let rights = link.rights.clone();
        let outlived = session.outlives();
        (session.expiry, session.link, session.ends, session.late_will) = (expiry, Some(link), None, None);
        let (user, client) = (session.user.clone(), session.client.clone());
        match (outlived, expiry > 0) {
            (_, true) => self.journal.note(&Record::Opened { session: number, user, client, expiry }),
            (true, false) => self.journal.note(&Record::Ended { session: number }),
            (false, false) => {}
        }
        self.revoke(number, &rights);
    }

    /// A connection ended.
    pub fn leave(&mut self, now: u64, place: Place, how: Leave) {
        let Some(session) = self.sessions.get_mut(&place.session) else { return };
        let Some(link) = session.link.take_if(|link| link.turn == place.turn) else { return };
        link.outbox.close();
        if let Leave::Said { expiry: Some(expiry) } = how {
            // A session that was to end with its connection stays so.
            let longest = u32::try_from(self.limits.keep.as_secs()).unwrap_or(u32::MAX);
            session.expiry = if session.expiry == 0 { 0 } else { expiry.min(longest) };
        }
        let expiry = session.expiry;
        let will = link.will.filter(|_| how == Leave::Lost);
        let delay = will.as_ref().and_then(|will| will.will_delay_interval_sec).unwrap_or(0).min(expiry);
        match will {
            Some(will) if delay > 0 => session.late_will = Some((now + u64::from(delay) * 1000, will)),
            Some(will) => self.bequeath(now, place.session, will),
            None => {}
        }
        if expiry == 0 {
            self.end(now, place.session);
        } else if let Some(session) = self.sessions.get_mut(&place.session) {
            session.ends = Some(now + u64::from(expiry) * 1000);
            let (user, client) = (session.user.clone(), session.client.clone());
            self.journal.note(&Record::Opened { session: place.session, user, client, expiry });
            self.journal.note(&Record::Left { session: place.session, at: now });
        }
    }

    /// Ends a session, with all that it held.
    fn end(&mut self, now: u64, number: u32) {
        let Some(mut session) = self.sessions.remove(&number) else { return };
        self.keys.remove(&(session.user.clone(), session.client.clone()));
        for filter in session.subscriptions.keys() {
            self.tree.remove(filter, number);
        }
        self.queued_bytes.give(&session.user, session.bytes);
        self.filters.give(&session.user, session.subscriptions.len());
        self.journal.note(&Record::Ended { session: number });
        if let Some((_, will)) = session.late_will.take() {
            self.bequeath(now, number, will);
        }
    }

    /// Publishes a will.
    fn bequeath(&mut self, now: u64, number: u32, will: LastWill) {
        let properties = PublishProperties {
            correlation_data: will.correlation_data,
            message_expiry_interval: will.message_expiry_interval,
            content_type: will.content_type,
            user_properties: will.user_properties,
            is_utf8_payload: will.is_utf8_payload.unwrap_or(false),
            response_topic: will.response_topic,
            ..PublishProperties::default()
        };
        let publish = Publish {
            dup: false,
            retain: will.retain,
            qos: will.qos,
            topic: will.topic,
            packet_id: None,
            payload: will.message,
            properties: Some(properties),
        };
        self.route(now, publish, number, None);
    }

    /// What time alone brings about: late wills, ends of sessions and of retained messages, and what is written down
    /// now and then only. Called once a second.
    pub fn sweep(&mut self, now: u64) {
        self.watch_readers();
        let due = |at: u64| at <= now;
        let wills: Vec<u32> = self.numbers(|s| s.late_will.as_ref().is_some_and(|(at, _)| due(*at)));
        for number in wills {
            let will = self.sessions.get_mut(&number).and_then(|s| s.late_will.take());
            if let Some((_, will)) = will {
                self.bequeath(now, number, will);
            }
        }
        for number in self.numbers(|s| s.ends.is_some_and(due)) {
            self.end(now, number);
        }
        self.sweep_retained(now);
        self.sweep_status(now);
        if self.journal.is_bloated() {
            self.rewrite();
        }
    }

    fn numbers(&self, which: impl Fn(&Session) -> bool) -> Vec<u32> {
        self.sessions.iter().filter(|(_, s)| which(s)).map(|(number, _)| *number).collect()
    }

    /// How many seconds a session of this user waits at most; that of a bridge does not end.
    fn longest(&self, user: &str) -> u32 {
        let keep = u32::try_from(self.limits.keep.as_secs()).unwrap_or(u32::MAX);
        if user == bridge::USER { u32::MAX } else { keep }
    }

    /// What a client is subscribed to.
    pub fn filters(&self, place: Place) -> Vec<ByteString> {
        let session = self.sessions.get(&place.session);
        session.map(|s| s.subscriptions.keys().cloned().collect()).unwrap_or_default()
    }

    /// The session of a place, if that is still its client's connection.
    fn at(&mut self, place: Place) -> Option<&mut Session> {
        self.sessions.get_mut(&place.session).filter(|s| s.is_at(place))
    }

    /// Whether this is the Herald's session. Where users are told apart it is the first's: nobody else is it by its name.
    fn is_herald(&self, session: &Session) -> bool {
        self.herald.as_ref() == Some(&session.client) && self.users.first().is_none_or(|own| own == session.user)
    }

    /// What must be safe before this session is told something.
    fn barrier_of(&mut self, number: u32) -> u64 {
        let outlives = self.sessions.get(&number).is_some_and(Session::outlives);
        if outlives { self.journal.barrier() } else { 0 }
    }

    /// Tells a client something, without waiting for the journal.
    fn tell(&mut self, place: Place, position: u64, packet: Packet) {
        if let Some(link) = self.at(place).and_then(|s| s.link.as_ref()) {
            link.outbox.put(position, packet);
        }
    }
}
