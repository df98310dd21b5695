//! What the tests share: devices that show what they are told, clocks that stand still, buses on both ends of a wire.

use domain::{Amps, Clock, Hertz, MeterId, Position, Reading, SwitchId, Timestamp, Volts, WattHours, Watts};
use drivers::simulator::{Appliance, Running, SimDevice, serve_tcp};
use drivers::template::Quantity;
use drivers::{Bus, BusKind, BusSpec, DeviceAddress, Library, Parity, TelegramPlace, TelegramSpec, Template};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

pub const NOW: Timestamp = Timestamp(1_767_225_600_000);

/// How long any of these tests waits for what must come.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub fn clock() -> Clock {
    Clock::new(1, || NOW)
}

/// Shows what it is told.
pub struct Bench(Mutex<(Reading, Position)>);

impl Bench {
    pub fn new(reading: Reading) -> Arc<Self> {
        Arc::new(Self(Mutex::new((reading, Position::Closed))))
    }

    pub fn turn(&self, reading: Reading) {
        self.0.lock().unwrap().0 = reading;
    }
}

impl Appliance for Bench {
    fn show(&self) -> Reading {
        self.0.lock().unwrap().0.clone()
    }

    fn position(&self) -> Option<Position> {
        Some(self.0.lock().unwrap().1)
    }

    fn operate(&self, position: Position) -> io::Result<()> {
        self.0.lock().unwrap().1 = position;
        Ok(())
    }
}

pub fn meter_id() -> MeterId {
    "m".parse().unwrap()
}

pub fn switch_id() -> SwitchId {
    "s".parse().unwrap()
}

/// Values that every model can show exactly.
pub fn samples() -> Vec<Reading> {
    let sample = |import, export, power, volts, amps, hertz| Reading {
        import: Some(WattHours(import)),
        export: Some(WattHours(export)),
        power: Some(Watts(power)),
        voltage: Volts::finite(volts),
        current: Amps::finite(amps),
        frequency: Hertz::finite(hertz),
        ..Reading::empty(meter_id(), NOW)
    };
    vec![
        sample(0, 0, 0, 0.0, 0.0, 50.0),
        sample(1, 999, -1, 229.5, 0.25, 49.5),
        sample(1_234_567, 89_012, -4321, 230.5, 18.75, 50.0),
        sample(16_777_215, 16_000_001, 65_537, 240.0, 99.5, 50.25),
    ]
}

/// What is left of `reading` on a device of this model.
pub fn as_seen_by(template: &Template, reading: &Reading) -> Reading {
    let has = |quantity| template.quantities().any(|q| q == quantity);
    Reading {
        import: reading.import.filter(|_| has(Quantity::Import)),
        export: reading.export.filter(|_| has(Quantity::Export)),
        power: reading.power.filter(|_| has(Quantity::Power)),
        voltage: reading.voltage.filter(|_| has(Quantity::Voltage)),
        current: reading.current.filter(|_| has(Quantity::Current)),
        frequency: reading.frequency.filter(|_| has(Quantity::Frequency)),
        ..reading.clone()
    }
}

pub fn template(model: &str) -> Arc<Template> {
    Library::builtin().get(model).unwrap()
}

pub fn unit(unit: u8) -> DeviceAddress {
    DeviceAddress::Unit(unit)
}

pub fn tcp_bus(address: String, timeout: Duration) -> Bus {
    let kind = BusKind::ModbusTcp { address, timeout };
    Bus::open(BusSpec::new("bus".parse().unwrap(), kind), clock()).unwrap()
}

/// Asked so many questions at a time.
pub fn pipelined(address: String, timeout: Duration, pipeline: u8) -> Bus {
    let kind = BusKind::ModbusTcp { address, timeout };
    Bus::open(BusSpec { pipeline, ..BusSpec::new("bus".parse().unwrap(), kind) }, clock()).unwrap()
}

pub fn rtu_bus(port: &Path, timeout: Duration) -> Bus {
    let (port, parity) = (port.to_owned(), Parity::None);
    let kind = BusKind::ModbusRtu { port, baud: 115_200, parity, stop_bits: 1, timeout };
    Bus::open(BusSpec::new("bus".parse().unwrap(), kind), clock()).unwrap()
}

pub fn telegram_bus(place: TelegramPlace) -> Bus {
    let timeout = Duration::from_secs(2);
    let kind = BusKind::Telegram(TelegramSpec { place, baud: None, parity: None, timeout });
    Bus::open(BusSpec::new("bus".parse().unwrap(), kind), clock()).unwrap()
}

/// Simulated devices behind a socket of their own, and a bus that leads there.
pub async fn tcp_street(devices: Vec<SimDevice>, timeout: Duration) -> (Bus, Running) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (tcp_bus(address, timeout), serve_tcp(listener, devices).unwrap())
}

/// One Modbus TCP request, as it was asked.
pub struct Asked {
    pub header: [u8; 7],
    pub pdu: Vec<u8>,
}

impl Asked {
    pub async fn from(stream: &mut TcpStream) -> io::Result<Self> {
        let mut header = [0; 7];
        stream.read_exact(&mut header).await?;
        let mut pdu = vec![0; usize::from(u16::from_be_bytes([header[4], header[5]])) - 1];
        stream.read_exact(&mut pdu).await?;
        Ok(Self { header, pdu })
    }

    /// Answers a read of registers with `value` in the last of them, or confirms an order.
    pub async fn answer(&self, stream: &mut TcpStream, value: u16) -> io::Result<()> {
        let pdu = match self.pdu[0] {
            // The answer to an order is its echo.
            5 => self.pdu.clone(),
            function => registers(function, usize::from(self.pdu[4]), value),
        };
        let len = u16::try_from(pdu.len() + 1).unwrap().to_be_bytes();
        let head = [self.header[0], self.header[1], 0, 0, len[0], len[1], self.header[6]];
        stream.write_all(&[&head[..], &pdu].concat()).await
    }
}

/// The answer to a read of `count` registers: all zero but the last.
pub fn registers(function: u8, count: usize, value: u16) -> Vec<u8> {
    let mut pdu = vec![function, u8::try_from(count * 2).unwrap()];
    pdu.extend(vec![0; count * 2 - 2]);
    pdu.extend(value.to_be_bytes());
    pdu
}

/// A model with one register of energy at address 0, and a coil.
pub fn simple_meter() -> Arc<Template> {
    parse("[import]\ntable = \"input\"\naddress = 0\ntype = \"u64\"\n[switch]\ntable = \"coil\"\naddress = 0\n")
}

/// A model with two numbers too far apart for one request.
pub fn split_meter() -> Arc<Template> {
    let head = "[import]\ntable = \"input\"\naddress = 0\ntype = \"u64\"\n";
    let tail = "[export]\ntable = \"input\"\naddress = 100\ntype = \"u64\"\n[switch]\ntable = \"coil\"\naddress = 0\n";
    parse(&format!("{head}{tail}"))
}

pub fn parse(body: &str) -> Arc<Template> {
    let head = "model = \"x\"\nvendor = \"v\"\nname = \"n\"\nsource = \"s\"\nprotocol = \"modbus\"\n";
    Arc::new(Template::parse("x.toml", &format!("{head}{body}")).unwrap())
}

/// A pseudo-terminal whose far end a driver can open.
pub struct Pty {
    pub port: PathBuf,
    pub ear: tokio::net::unix::pipe::Receiver,
    pub mouth: tokio::net::unix::pipe::Sender,
    _far: std::fs::File,
}

impl Pty {
    pub fn open() -> Self {
        use nix::fcntl::{FcntlArg, OFlag, fcntl};
        use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};
        let master = nix::pty::posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY).unwrap();
        nix::pty::grantpt(&master).unwrap();
        nix::pty::unlockpt(&master).unwrap();
        let port = PathBuf::from(nix::pty::ptsname_r(&master).unwrap());
        let far = std::fs::File::options().read(true).write(true).open(&port).unwrap();
        let mut settings = tcgetattr(&far).unwrap();
        cfmakeraw(&mut settings);
        tcsetattr(&far, SetArg::TCSANOW, &settings).unwrap();
        fcntl(&master, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
        let master = std::fs::File::from(std::os::fd::OwnedFd::from(master));
        let mouth = tokio::net::unix::pipe::Sender::from_file_unchecked(master.try_clone().unwrap()).unwrap();
        let ear = tokio::net::unix::pipe::Receiver::from_file_unchecked(master).unwrap();
        Self { port, ear, mouth, _far: far }
    }

    /// The next request: all that these tests ask are eight bytes long.
    pub async fn hear(&mut self) -> [u8; 8] {
        let mut request = [0; 8];
        self.ear.read_exact(&mut request).await.unwrap();
        request
    }

    pub async fn say(&mut self, bytes: &[u8]) {
        self.mouth.write_all(bytes).await.unwrap();
    }
}

/// A frame with its checksum.
pub fn framed(unit: u8, pdu: &[u8]) -> Vec<u8> {
    let mut frame = [&[unit], pdu].concat();
    let mut crc = 0xFFFF_u16;
    for byte in &frame {
        crc ^= u16::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xA001 } else { crc >> 1 };
        }
    }
    frame.extend(crc.to_le_bytes());
    frame
}
