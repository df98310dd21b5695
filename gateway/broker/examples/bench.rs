//! Brokers beside each other in one run: messages a second, processor time and memory. Prints a Markdown table.
//!
//! `cargo run --release -p broker --example bench -- NAME=PID@127.0.0.1:1883 …`

use broker::wire::Wire;
use bytes::BytesMut;
use rmqtt_codec::types::{Publish, QoS};
use rmqtt_codec::v5::{Connect, Packet, PublishAck, PublishAckReason, Subscribe, SubscriptionOptions};
use std::error::Error;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroU16;
use std::time::Instant;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const PUBLISHERS: u16 = 20;
const MESSAGES: u16 = 2_000;
const BYTES: usize = 256;
/// Unacknowledged messages of a publisher.
const WINDOW: u16 = 50;

struct Client {
    stream: TcpStream,
    wire: Wire,
    bytes: BytesMut,
}

impl Client {
    fn connect(at: SocketAddr, name: &str, lasting: bool) -> Result<Self> {
        let stream = TcpStream::connect(at)?;
        stream.set_nodelay(true)?;
        let mut client = Self { stream, wire: Wire::client(1 << 20), bytes: BytesMut::new() };
        let connect = Connect { client_id: name.into(), clean_start: !lasting, ..Connect::default() };
        client.send([Packet::Connect(Box::new(connect))])?;
        match client.next()? {
            Packet::ConnectAck(ack) if u8::from(ack.reason_code) == 0 => Ok(client),
            other => Err(format!("{name} was refused: {other:?}").into()),
        }
    }

    fn send(&mut self, packets: impl IntoIterator<Item = Packet>) -> Result<()> {
        let mut bytes = BytesMut::new();
        packets.into_iter().for_each(|packet| self.wire.encode(packet, &mut bytes));
        Ok(self.stream.write_all(&bytes)?)
    }

    fn next(&mut self) -> Result<Packet> {
        loop {
            if let Some(packet) = self.wire.decode(&mut self.bytes)? {
                return Ok(packet);
            }
            let mut some = [0; 16_384];
            match self.stream.read(&mut some)? {
                0 => return Err("the broker closed".into()),
                n => self.bytes.extend_from_slice(&some[..n]),
            }
        }
    }
}

fn acknowledgement(packet_id: NonZeroU16) -> Packet {
    let reason_code = PublishAckReason::Success;
    Packet::PublishAck(PublishAck { packet_id, reason_code, properties: vec![], reason_string: None })
}

fn publisher(at: SocketAddr, number: u16, qos: QoS) -> Result<()> {
    let mut client = Client::connect(at, &format!("bench-{number}"), false)?;
    let payload = bytes::Bytes::from(vec![b'x'; BYTES]);
    let message = |id: u16| {
        let (topic, packet_id) =
            (format!("bench/{number}").into(), NonZeroU16::new(id).filter(|_| qos != QoS::AtMostOnce));
        let payload = payload.clone();
        Packet::Publish(Box::new(Publish {
            dup: false,
            retain: false,
            qos,
            topic,
            packet_id,
            payload,
            properties: None,
        }))
    };
    if qos == QoS::AtMostOnce {
        for first in (1..=MESSAGES).step_by(usize::from(WINDOW)) {
            client.send((first..first + WINDOW).map(message))?;
        }
        client.send([Packet::PingRequest])?;
        while !matches!(client.next()?, Packet::PingResponse) {}
        return Ok(());
    }
    let mut sent = WINDOW;
    client.send((1..=WINDOW).map(message))?;
    for _ in 0..MESSAGES {
        while !matches!(client.next()?, Packet::PublishAck(_)) {}
        if sent < MESSAGES {
            sent += 1;
            client.send([message(sent)])?;
        }
    }
    Ok(())
}

/// Messages a second that arrive, and how many of those that were sent.
fn flow(at: SocketAddr, qos: QoS, lasting: bool) -> Result<(f64, u32)> {
    let mut listener = Client::connect(at, "bench-listener", lasting)?;
    let options = SubscriptionOptions { qos, ..SubscriptionOptions::default() };
    let topic_filters = vec![("bench/#".into(), options)];
    let asked = Subscribe { packet_id: NonZeroU16::MIN, id: None, user_properties: vec![], topic_filters };
    listener.send([Packet::Subscribe(asked)])?;
    while !matches!(listener.next()?, Packet::SubscribeAck(_)) {}
    listener.stream.set_read_timeout(Some(std::time::Duration::from_secs(5)))?;
    let begun = Instant::now();
    let publishers: Vec<_> =
        (0..PUBLISHERS).map(|number| std::thread::spawn(move || publisher(at, number, qos))).collect();
    let (mut heard, mut last) = (0, begun);
    while heard < u32::from(PUBLISHERS) * u32::from(MESSAGES) {
        let Ok(packet) = listener.next() else { break };
        let Packet::Publish(publish) = packet else { continue };
        (heard, last) = (heard + 1, Instant::now());
        if let Some(id) = publish.packet_id {
            listener.send([acknowledgement(id)])?;
        }
    }
    for publisher in publishers {
        publisher.join().map_err(|_| "a publisher panicked")??;
    }
    // What lasts is not left behind.
    drop(Client::connect(at, "bench-listener", false)?);
    Ok((f64::from(heard) / (last - begun).as_secs_f64(), heard))
}

/// Seconds of processor time, and kibibytes resident at the most.
fn spent(pid: u32) -> Result<(f64, u64)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let peak = status.lines().find_map(|l| l.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse().ok());
    Ok(((ticks(11) + ticks(12)) / 100.0, peak.unwrap_or(0)))
}

fn main() -> Result<()> {
    let brokers: Vec<(String, u32, SocketAddr)> = std::env::args()
        .skip(1)
        .map(|word| {
            let (name, rest) = word.split_once('=').ok_or("NAME=PID@ADDRESS")?;
            let (pid, at) = rest.split_once('@').ok_or("NAME=PID@ADDRESS")?;
            Ok((name.to_owned(), pid.parse()?, at.parse()?))
        })
        .collect::<Result<_>>()?;
    println!("{PUBLISHERS} publishers of {MESSAGES} messages of {BYTES} bytes, one listener\n");
    println!(
        "| broker | what | messages/s | arrived | µs of processor a message | MiB at most |\n|---|---|---:|---:|---:|---:|"
    );
    let kinds = [
        ("QoS 0", QoS::AtMostOnce, false),
        ("QoS 1", QoS::AtLeastOnce, false),
        ("QoS 1, session that lasts", QoS::AtLeastOnce, true),
    ];
    for (what, qos, lasting) in kinds {
        for (name, pid, at) in &brokers {
            let (before, _) = spent(*pid)?;
            let (rate, heard) = flow(*at, qos, lasting)?;
            let (after, peak) = spent(*pid)?;
            let each = (after - before) * 1e6 / f64::from(heard.max(1));
            let peak = peak as f64 / 1024.0;
            println!("| {name} | {what} | {rate:.0} | {heard} | {each:.1} | {peak:.1} |");
        }
    }
    Ok(())
}
