//! Brokers beside each other in one run: messages a second, processor time and memory. Prints a Markdown table.
//!
//! `cargo run --release -p broker --example bench -- PUBLISHERSxMESSAGES NAME=PID@127.0.0.1:1883 …`

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

const BYTES: usize = 256;
/// Unacknowledged messages of a publisher.
const WINDOW: u16 = 50;

/// What all publishers together say.
#[derive(Clone, Copy)]
struct Load {
    publishers: u16,
    /// Of each.
    messages: u16,
}

impl Load {
    fn all(self) -> u32 {
        u32::from(self.publishers) * u32::from(self.messages)
    }
}

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

fn publisher(at: SocketAddr, number: u16, messages: u16, qos: QoS) -> Result<()> {
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
        for first in (1..=messages).step_by(usize::from(WINDOW)) {
            client.send((first..=messages.min(first + WINDOW - 1)).map(message))?;
        }
        client.send([Packet::PingRequest])?;
        while !matches!(client.next()?, Packet::PingResponse) {}
        return Ok(());
    }
    let mut sent = WINDOW.min(messages);
    client.send((1..=sent).map(message))?;
    for _ in 0..messages {
        while !matches!(client.next()?, Packet::PublishAck(_)) {}
        if sent < messages {
            sent += 1;
            client.send([message(sent)])?;
        }
    }
    Ok(())
}

/// Messages a second that arrive, how many of those that were sent, and kibibytes that the broker held after a tenth.
fn flow(pid: u32, at: SocketAddr, load: Load, qos: QoS, lasting: bool) -> Result<(f64, u32, Option<u64>)> {
    let mut listener = Client::connect(at, "bench-listener", lasting)?;
    let options = SubscriptionOptions { qos, ..SubscriptionOptions::default() };
    let topic_filters = vec![("bench/#".into(), options)];
    let asked = Subscribe { packet_id: NonZeroU16::MIN, id: None, user_properties: vec![], topic_filters };
    listener.send([Packet::Subscribe(asked)])?;
    while !matches!(listener.next()?, Packet::SubscribeAck(_)) {}
    listener.stream.set_read_timeout(Some(std::time::Duration::from_secs(5)))?;
    let begun = Instant::now();
    let publishers: Vec<_> =
        (0..load.publishers).map(|n| std::thread::spawn(move || publisher(at, n, load.messages, qos))).collect();
    let (mut heard, mut last, mut early) = (0, begun, None);
    while heard < load.all() {
        let Ok(packet) = listener.next() else { break };
        let Packet::Publish(publish) = packet else { continue };
        (heard, last) = (heard + 1, Instant::now());
        if heard == load.all() / 10 {
            early = Some(memory(pid, "VmRSS:")?);
        }
        if let Some(id) = publish.packet_id {
            listener.send([acknowledgement(id)])?;
        }
    }
    for publisher in publishers {
        publisher.join().map_err(|_| "a publisher panicked")??;
    }
    // What lasts is not left behind.
    drop(Client::connect(at, "bench-listener", false)?);
    Ok((f64::from(heard) / (last - begun).as_secs_f64(), heard, early))
}

/// Kibibytes: resident now (`VmRSS:`), or at the most since it began (`VmHWM:`).
fn memory(pid: u32, which: &str) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let found = status.lines().find_map(|l| l.strip_prefix(which)?.split_whitespace().next()?.parse().ok());
    found.ok_or_else(|| format!("process {pid} has no {which}").into())
}

/// Seconds of processor time.
fn spent(pid: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
    Ok((ticks(11) + ticks(12)) / 100.0)
}

fn main() -> Result<()> {
    let mut words = std::env::args().skip(1);
    let said = words.next().unwrap_or_default();
    let (publishers, messages) = said.split_once('x').ok_or("PUBLISHERSxMESSAGES, as in 20x2000")?;
    let load = Load { publishers: publishers.parse()?, messages: messages.parse()? };
    let brokers: Vec<(String, u32, SocketAddr)> = words
        .map(|word| {
            let (name, rest) = word.split_once('=').ok_or("NAME=PID@ADDRESS")?;
            let (pid, at) = rest.split_once('@').ok_or("NAME=PID@ADDRESS")?;
            Ok((name.to_owned(), pid.parse()?, at.parse()?))
        })
        .collect::<Result<_>>()?;
    println!("{publishers} publishers of {messages} messages of {BYTES} bytes, one listener\n");
    println!(
        "| broker | what | arrived | messages/s | µs of processor a message | MiB after a tenth | at the most so far |"
    );
    println!("|---|---|---:|---:|---:|---:|---:|");
    let kinds = [
        ("QoS 0", QoS::AtMostOnce, false),
        ("QoS 1", QoS::AtLeastOnce, false),
        ("QoS 1, session that lasts", QoS::AtLeastOnce, true),
    ];
    for (what, qos, lasting) in kinds {
        for (name, pid, at) in &brokers {
            let before = spent(*pid)?;
            let (rate, heard, early) = flow(*pid, *at, load, qos, lasting)?;
            let each = (spent(*pid)? - before) * 1e6 / f64::from(load.all().max(1));
            let (arrived, mib) =
                (f64::from(heard) * 100.0 / f64::from(load.all().max(1)), |kib: u64| kib as f64 / 1024.0);
            // Nothing, if not even a tenth arrived.
            let early = early.map_or_else(|| "–".into(), |kib| format!("{:.1}", mib(kib)));
            let peak = mib(memory(*pid, "VmHWM:")?);
            println!("| {name} | {what} | {arrived:.1} % | {rate:.0} | {each:.1} | {early} | {peak:.1} |");
        }
    }
    Ok(())
}
