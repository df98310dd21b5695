//! What goes in and out: ports that listen, serial adapters, hosts on the network.

use super::Finding;
use crate::config::{ChainKind, Config};
use drivers::{BusKind, TelegramPlace};
use nix::unistd::{AccessFlags, Gid, Group, access};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a host on the network may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Whether the gateway can listen where it should; one that runs does.
pub fn listeners(config: &Config, runs: bool) -> Vec<Finding> {
    let rpc = match &config.chain.kind {
        ChainKind::Embedded { rpc, .. } => *rpc,
        ChainKind::Rpc { .. } => None,
    };
    let all = [
        ("page", config.web.as_ref().map(|w| w.listen)),
        ("broker", config.broker.as_ref().map(|b| b.listen)),
        ("broker by TLS", config.broker.as_ref().and_then(|b| b.tls.as_ref()).map(|tls| tls.listen)),
        ("json-rpc", rpc),
    ];
    let wanted = all.into_iter().filter_map(|(name, at)| Some((name, at?)));
    wanted
        .map(|(name, at)| match TcpListener::bind(at) {
            _ if runs => Finding::good(name, format!("the gateway listens on {at}")),
            Ok(_) => Finding::good(name, format!("{at} is free")),
            Err(e) => {
                let fix = format!("give it another port, or end who has it: ss -ltnp sport = :{}", at.port());
                Finding::bad(name, format!("{at}: {e}"), fix)
            }
        })
        .collect()
}

/// Whether each bus can be reached, as far as that shows without asking a device.
pub fn buses(config: &Config) -> Vec<Finding> {
    let mut found = Vec::new();
    for bus in &config.buses {
        let about = format!("bus {}", bus.spec.id);
        if bus.simulate {
            found.push(Finding::good(about, "simulated"));
            continue;
        }
        found.push(match &bus.spec.kind {
            BusKind::ModbusRtu { port, .. } => serial(about, port),
            BusKind::Telegram(telegram) => match &telegram.place {
                TelegramPlace::Serial(port) => serial(about, port),
                TelegramPlace::Tcp(address) => host(about, address),
            },
            BusKind::ModbusTcp { address, .. }
            | BusKind::ModbusTls { address, .. }
            | BusKind::RtuOverTcp { address, .. } => host(about, address),
            BusKind::Gpio(gpio) => character(about, &gpio.chip, "gpiodetect lists the chips", "gpio"),
            BusKind::Mqtt(_) if config.broker.as_ref().is_some_and(|broker| bus.uses(broker)) => {
                Finding::good(about, "goes through the gateway's own broker")
            }
            BusKind::Mqtt(mqtt) => host(about, &mqtt.broker),
        });
    }
    found
}

fn serial(about: String, port: &Path) -> Finding {
    let ports = names("/dev/serial/by-id");
    let fix = if ports.is_empty() {
        "plug the adapter in; /dev/serial/by-id names none".to_owned()
    } else {
        format!("there are: {}", ports.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(" "))
    };
    let found = character(about, port, &fix, "dialout");
    // By that name it is another adapter after the next power cut.
    let stable = |p: &&PathBuf| std::fs::canonicalize(p).is_ok_and(|real| real == *port);
    match ports.iter().find(stable) {
        Some(name) if found.fix.is_none() => Finding::doubtful(
            found.about,
            format!("{}: there, but the name may be another's after a restart", port.display()),
            format!("port = \"{}\"", name.display()),
        ),
        _ => found,
    }
}

/// A device file: there, of the right kind, and ours to open.
fn character(about: String, path: &Path, absent: &str, group: &str) -> Finding {
    let shown = path.display();
    let meta = match std::fs::metadata(path) {
        Ok(meta) => meta,
        Err(e) => return Finding::bad(about, format!("{shown}: {e}"), absent),
    };
    if !meta.file_type().is_char_device() {
        return Finding::bad(about, format!("{shown} is no device"), absent);
    }
    if access(path, AccessFlags::R_OK | AccessFlags::W_OK).is_err() {
        let owner = Group::from_gid(Gid::from_raw(meta.gid())).ok().flatten().map_or(group.to_owned(), |g| g.name);
        let fix = format!("sudo usermod -aG {owner} $USER, and log in again; the service's user is in dialout already");
        return Finding::bad(about, format!("{shown}: belongs to {owner}, and this user is not in it"), fix);
    }
    Finding::good(about, format!("{shown}: there, and may be opened"))
}

/// A host that should take a connection.
fn host(about: String, address: &str) -> Finding {
    let mut why = "the name is known to nobody".to_owned();
    let known: Vec<SocketAddr> = match address.to_socket_addrs() {
        Ok(all) => all.collect(),
        Err(e) => {
            why = e.to_string();
            Vec::new()
        }
    };
    for at in &known {
        match TcpStream::connect_timeout(at, PATIENCE) {
            Ok(_) => return Finding::good(about, format!("{address} takes connections")),
            Err(e) => why = e.to_string(),
        }
    }
    Finding::bad(
        about,
        format!("{address}: {why}"),
        "look at its power, its cable and its address; it is tried again for ever",
    )
}

fn names(folder: &str) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> =
        std::fs::read_dir(folder).into_iter().flatten().filter_map(|e| Some(e.ok()?.path())).collect();
    all.sort();
    all
}
