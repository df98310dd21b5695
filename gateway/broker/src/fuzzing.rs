//! Doors for the fuzz targets to what bytes from outside reach first.

use crate::connection::{End, follow};
use crate::hub::{Hub, Leave};
use crate::limits::Limits;
use crate::outbox::{Next, Outbox};
use crate::rights::{Rights, User, Users};
use crate::wire::Wire;
use bytes::BytesMut;
use rmqtt_codec::v5::{Connect, Packet};
use std::rc::Rc;

/// A time like any other.
const NOW: u64 = 1_800_000_000_000;

/// What a stream that comes in these pieces says, packet by packet, up to the first mistake. Every packet that can be
/// written is read again as it was.
#[must_use]
pub fn packets(pieces: &[&[u8]]) -> Vec<String> {
    let (mut wire, mut bytes, mut said) = (Wire::new(1 << 16), BytesMut::new(), Vec::new());
    for piece in pieces {
        bytes.extend_from_slice(piece);
        loop {
            match wire.decode(&mut bytes) {
                Ok(Some(packet)) => {
                    said.push(format!("{packet:?}"));
                    again(&wire, packet);
                }
                Ok(None) => break,
                Err(_) => return said,
            }
        }
    }
    said
}

fn again(wire: &Wire, packet: Packet) {
    let (mut sender, mut reader, mut bytes) = (wire.sender(), wire.sender(), BytesMut::new());
    sender.encode(packet.clone(), &mut bytes);
    if !bytes.is_empty() {
        let read = reader.decode(&mut bytes).ok().flatten();
        assert_eq!(read.as_ref(), Some(&packet), "it was written and read as another");
        assert!(bytes.is_empty(), "more was written than one packet");
    }
}

/// A client says all this to a broker; afterwards, the broker that its records make is the same.
pub fn converse(bytes: &[u8]) {
    let rights = Rights { publish: vec!["a/#".into()], subscribe: vec!["a/#".into(), "b".into()] };
    let user = |name: &str, rights| User { name: name.into(), password: "p".into(), rights };
    let users = Users::new(vec![user("house", Rights::all()), user("u", rights)]);
    let limits = Limits { queue: 10_000, retained: 10_000, outbox: 10_000, ..Limits::default() };
    let mut hub = Hub::new(limits.clone(), users.clone(), None);
    let (mut wire, mut bytes) = (Wire::new(1 << 16), BytesMut::from(bytes));
    let mut place = None;
    let outbox = Rc::new(Outbox::default());
    while let Ok(Some(packet)) = wire.decode(&mut bytes) {
        match (place, packet) {
            (None, Packet::Connect(mut connect)) => {
                // Which password it is, is not what is looked for here.
                (connect.username, connect.password) = (Some("u".into()), Some("p".into()));
                place = enter(&mut hub, *connect, &outbox);
                if place.is_none() {
                    return;
                }
            }
            (None, _) => return,
            (Some(place), packet) => match follow(&mut hub, NOW, place, packet) {
                Ok(()) => {}
                Err(End::Said(how)) => hub.leave(NOW, place, how),
                Err(_) => hub.leave(NOW, place, Leave::Lost),
            },
        }
    }
    let mut sender = wire.sender();
    while let Next::Packet(packet) = outbox.take(|_| true) {
        let mut written = BytesMut::new();
        sender.encode(packet, &mut written);
    }
    hub.sweep(NOW + 1000);
    let records = hub.records();
    let mut other = Hub::new(limits, users, None);
    records.iter().cloned().for_each(|record| other.replay(record));
    assert_eq!(other.records(), records);
}

fn enter(hub: &mut Hub, connect: Connect, outbox: &Rc<Outbox>) -> Option<crate::hub::Place> {
    let admitted = hub.admit(&connect).ok()?;
    hub.connect(NOW, admitted, connect, Rc::clone(outbox)).ok()
}
