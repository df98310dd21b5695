//! The gateway's MQTT broker: 3.1, 3.1.1 and 5, topic rights for every user, sessions and retained messages that
//! outlive a power cut, TLS, and a bridge to another broker. See the README beside it.
//!
//! ```no_run
//! let broker = broker::start(broker::Settings::new("127.0.0.1:1883".parse().unwrap())).unwrap();
//! println!("listens on {}", broker.address);
//! ```

mod bridge;
mod connection;
mod figures;
pub mod fuzzing;
mod hub;
mod journal;
mod limits;
mod line;
mod outbox;
mod record;
mod rights;
mod server;
pub mod topic;
pub mod wire;

pub use bridge::Bridge;
pub use figures::Figures;
pub use limits::Limits;
pub use rights::{Rights, User, Users};
pub use server::{Broker, Error, start};

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

/// What a broker is started with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where it listens in the clear.
    pub listen: SocketAddr,
    /// Where it listens by TLS, and with which certificate.
    pub tls: Option<(SocketAddr, Arc<tokio_rustls::rustls::ServerConfig>)>,
    /// Who may connect.
    pub users: Users,
    /// What they may ask for.
    pub limits: Limits,
    /// Where sessions and retained messages are kept; `None` keeps them in memory only.
    pub folder: Option<PathBuf>,
    /// The client id of a client that tells all its retained messages again at every start: they are written down once
    /// a minute at most, topic by topic.
    pub herald: Option<String>,
    /// Another broker that this one exchanges messages with.
    pub bridge: Option<Bridge>,
}

impl Settings {
    /// A broker for everybody on this machine, which forgets everything when it ends.
    #[must_use]
    pub fn new(listen: SocketAddr) -> Self {
        let users = Users::new(Vec::new());
        Self { listen, tls: None, users, limits: Limits::default(), folder: None, herald: None, bridge: None }
    }
}
