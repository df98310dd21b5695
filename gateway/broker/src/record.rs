//! What is written down, and how: a length, a checksum, and the record, one after the other.

use bytestring::ByteString;
use rmqtt_codec::types::{Publish, QoS};
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;

/// Something that happened to a session that outlives its connection, or to a retained message. Read in order, from an
/// empty broker on, they make the broker as it was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(clippy::large_enum_variant, reason = "one is made, written and dropped: it is kept nowhere")]
pub(crate) enum Record {
    /// A session began, or its expiry changed.
    Opened { session: u32, user: String, client: String, expiry: u32 },
    /// It is over, with all that it held.
    Ended { session: u32 },
    /// Its client has been away since then, in ms since 1970.
    Left { session: u32, at: u64 },
    /// It subscribed, or changed how.
    Subscribed { session: u32, filter: ByteString, how: Subscription },
    /// It does no more.
    Unsubscribed { session: u32, filter: ByteString },
    /// A message was taken.
    Accepted {
        /// Which; 0 if no session waits for it.
        id: u64,
        /// As it was published, without what concerns one connection only.
        message: Publish,
        /// When it is worth nothing any more, in ms since 1970.
        expires: Option<u64>,
        /// Whether it is the topic's last value from now on; with an empty payload, that there is none.
        retained: bool,
        /// Who waits for it.
        to: Vec<Target>,
        /// The session and packet id that it came from, if it came by QoS 2.
        received: Option<(u32, u16)>,
    },
    /// It may have been sent to that client, by this packet id.
    Sent { session: u32, message: u64, pid: u16 },
    /// The client has it (QoS 2), and is to be told that it may use the id again.
    Released { session: u32, pid: u16 },
    /// The client has acknowledged all.
    Settled { session: u32, pid: u16 },
    /// It was never sent, and will not be: it expired, or the session's queue ran over.
    Dropped { session: u32, message: u64 },
    /// A message with this packet id was taken by QoS 2, and the client has not been told that it may forget it.
    Received { session: u32, pid: u16 },
    /// The client has forgotten it.
    Completed { session: u32, pid: u16 },
}

/// A session that waits for a message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Target {
    pub session: u32,
    pub qos: QoS,
    /// Told as retained.
    pub retain: bool,
    /// Identifiers of the subscriptions that it goes by.
    pub ids: Vec<NonZeroU32>,
}

/// How somebody subscribed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Subscription {
    pub qos: QoS,
    pub no_local: bool,
    pub retain_as_published: bool,
    pub id: Option<NonZeroU32>,
}

/// Of length and checksum.
const HEAD: usize = 8;
/// No record is longer: a message has at most 256 KiB, and sessions that wait for it are few.
const LONGEST: usize = 4 << 20;

impl Record {
    /// Appends it.
    pub fn write(&self, bytes: &mut Vec<u8>) {
        let start = bytes.len();
        bytes.extend_from_slice(&[0; HEAD]);
        match postcard::to_extend(self, std::mem::take(bytes)) {
            Ok(written) => *bytes = written,
            // It cannot fail on a vector; a record that were left out would only be read as never written.
            Err(error) => tracing::error!(%error, "a record of the broker cannot be written"),
        }
        let Some(body) = bytes.get(start + HEAD..) else { return };
        let length = u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes();
        let sum = crc32fast::hash(body).to_le_bytes();
        bytes[start..start + 4].copy_from_slice(&length);
        bytes[start + 4..start + HEAD].copy_from_slice(&sum);
    }

    /// The records of a file, and how many of its bytes they are: what follows was not finished, or is damaged.
    pub fn read_all(mut bytes: &[u8], mut each: impl FnMut(Self)) -> usize {
        let all = bytes.len();
        while let Some((record, rest)) = Self::read(bytes) {
            each(record);
            bytes = rest;
        }
        all - bytes.len()
    }

    fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (head, rest) = bytes.split_at_checked(HEAD)?;
        let length = usize::try_from(u32::from_le_bytes(head[..4].try_into().ok()?)).ok()?;
        let sum = u32::from_le_bytes(head[4..].try_into().ok()?);
        let (body, rest) = rest.split_at_checked(length).filter(|_| length <= LONGEST && length > 0)?;
        if crc32fast::hash(body) != sum {
            return None;
        }
        Some((postcard::from_bytes(body).ok()?, rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rmqtt_codec::v5::PublishProperties;

    fn records() -> Vec<Record> {
        let properties = PublishProperties {
            user_properties: vec![("unit".into(), "Wh".into())],
            correlation_data: Some(vec![0, 255, 7].into()),
            ..PublishProperties::default()
        };
        let message = Publish {
            dup: false,
            retain: true,
            qos: QoS::AtLeastOnce,
            topic: "a/b".into(),
            packet_id: None,
            payload: vec![0, 1, 255].into(),
            properties: Some(properties),
        };
        let how = Subscription { qos: QoS::ExactlyOnce, no_local: true, retain_as_published: false, id: None };
        let ids = vec![NonZeroU32::MIN];
        let to = vec![Target { session: 3, qos: QoS::AtLeastOnce, retain: false, ids }];
        vec![
            Record::Opened { session: 3, user: "u".into(), client: "c".into(), expiry: 60 },
            Record::Subscribed { session: 3, filter: "a/+".into(), how },
            Record::Accepted { id: 9, message, expires: Some(12), retained: true, to, received: Some((4, 7)) },
            Record::Sent { session: 3, message: 9, pid: 1 },
            Record::Settled { session: 3, pid: 1 },
        ]
    }

    #[test]
    fn what_is_written_is_read() {
        let mut bytes = Vec::new();
        records().iter().for_each(|r| r.write(&mut bytes));
        let mut read = Vec::new();
        assert_eq!(Record::read_all(&bytes, |r| read.push(r)), bytes.len());
        assert_eq!(read, records());
    }

    #[test]
    fn a_file_that_was_cut_anywhere_gives_the_records_before_the_cut() {
        let mut bytes = Vec::new();
        let mut ends = Vec::new();
        for record in records() {
            record.write(&mut bytes);
            ends.push(bytes.len());
        }
        for cut in 0..bytes.len() {
            let mut read = Vec::new();
            let used = Record::read_all(&bytes[..cut], |r| read.push(r));
            let whole = ends.iter().filter(|end| **end <= cut).count();
            assert_eq!((read.len(), used), (whole, if whole == 0 { 0 } else { ends[whole - 1] }));
            assert_eq!(read, records()[..whole]);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_and_a_flipped_bit_is_seen(noise in prop::collection::vec(any::<u8>(), 0..200), at: usize, bit in 0..8) {
            Record::read_all(&noise, |_| {});
            let mut bytes = Vec::new();
            records().iter().for_each(|r| r.write(&mut bytes));
            let at = at % bytes.len();
            bytes[at] ^= 1_u8 << bit;
            let mut read = Vec::new();
            let used = Record::read_all(&bytes, |r| read.push(r));
            prop_assert!(used <= at);
            prop_assert_eq!(&read[..], &records()[..read.len()]);
        }
    }
}
