//! Simulated devices on Modbus TCP.

use super::slave::Slave;
use super::{Running, SimDevice};
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Connections that are served at once; a further one is closed at once, as real devices do.
const CONNECTIONS: usize = 64;

/// Serves `devices` on `listener`. A unit that is not among them never answers.
pub fn serve_tcp(listener: TcpListener, devices: Vec<SimDevice>) -> io::Result<Running> {
    let slave = Arc::new(Slave::new(devices)?);
    let task = tokio::spawn(async move {
        // Dropping the set with the task closes every connection.
        let mut connections = JoinSet::new();
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    while connections.try_join_next().is_some() {}
                    if connections.len() < CONNECTIONS {
                        connections.spawn(converse(stream, Arc::clone(&slave)));
                    }
                }
                // Out of descriptors, most likely: let some close.
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
            }
        }
    });
    Ok(Running::new(task.abort_handle()))
}

/// Answers until the peer leaves or breaks the protocol.
async fn converse(mut stream: TcpStream, slave: Arc<Slave>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    loop {
        let mut header = [0; 7];
        stream.read_exact(&mut header).await?;
        let [t0, t1, p0, p1, l0, l1, unit] = header;
        let len = usize::from(u16::from_be_bytes([l0, l1]));
        if (p0, p1) != (0, 0) || !(2..=254).contains(&len) {
            return Ok(());
        }
        let mut pdu = vec![0; len - 1];
        stream.read_exact(&mut pdu).await?;
        if let Some(answer) = slave.answer(unit, &pdu).await {
            let [l0, l1] = u16::try_from(answer.len() + 1).unwrap_or(u16::MAX).to_be_bytes();
            let frame = [&[t0, t1, 0, 0, l0, l1, unit], answer.as_slice()].concat();
            stream.write_all(&frame).await?;
        }
    }
}
