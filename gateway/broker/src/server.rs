//! The thread on which a broker lives: listeners, the clock, and a task for every connection.

use crate::Settings;
use crate::bridge;
use crate::connection::{self, Shared};
use crate::figures::{Counters, Figures};
use crate::hub::Hub;
use crate::journal::Journal;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use thiserror::Error;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

/// Why a broker could not be started.
#[derive(Debug, Error)]
pub enum Error {
    /// Its address is taken, or is none of this machine's.
    #[error("the MQTT broker cannot listen on {address}: {error}; is another one running?")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        error: io::Error,
    },
    /// What it keeps can be neither read nor written.
    #[error("the MQTT broker cannot keep its sessions in {}: {error}", folder.display())]
    Folder {
        /// Where.
        folder: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// No thread, or no runtime on it.
    #[error("the MQTT broker cannot be started: {0}")]
    Thread(io::Error),
}

/// A broker that runs. It ends, with all that it took safe on disk, when this is dropped.
#[derive(Debug)]
pub struct Broker {
    /// Where it listens in the clear.
    pub address: SocketAddr,
    /// Where it listens by TLS.
    pub tls_address: Option<SocketAddr>,
    counters: Arc<Counters>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Broker {
    /// How it is doing; counts of what is there at a moment are up to a second old.
    #[must_use]
    pub fn figures(&self) -> Figures {
        self.counters.look()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Starts one. It listens, and knows what it knew before, when this returns.
pub fn start(settings: Settings) -> Result<Broker, Error> {
    let bind = |address: SocketAddr| -> Result<(TcpListener, SocketAddr), Error> {
        let listen = || {
            let listener = TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            let at = listener.local_addr()?;
            Ok((listener, at))
        };
        listen().map_err(|error| Error::Listen { address, error })
    };
    let (plain, address) = bind(settings.listen)?;
    let secure = settings.tls.clone().map(|(at, config)| Ok::<_, Error>((bind(at)?, config))).transpose()?;
    let tls_address = secure.as_ref().map(|((_, at), _)| *at);
    let (stop, stopped) = oneshot::channel::<()>();
    let (ready, started) = std::sync::mpsc::channel();
    let thread = std::thread::Builder::new()
        .name("mqtt-broker".into())
        .spawn(move || {
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(ready.send(Err(Error::Thread(error)))),
            };
            let shared = match remember(&settings) {
                Ok(shared) => Rc::new(shared),
                Err(error) => return drop(ready.send(Err(error))),
            };
            let tasks = tokio::task::LocalSet::new();
            tasks.block_on(&runtime, async {
                let acceptor = |config| TlsAcceptor::from(config);
                let listening = tokio::net::TcpListener::from_std(plain).map(|plain| {
                    tokio::task::spawn_local(accept(plain, None, Rc::clone(&shared)));
                });
                let secured = secure.map_or(Ok(()), |((listener, _), config)| {
                    let listener = tokio::net::TcpListener::from_std(listener)?;
                    tokio::task::spawn_local(accept(listener, Some(acceptor(config)), Rc::clone(&shared)));
                    Ok(())
                });
                if let Err(error) = listening.and(secured) {
                    return drop(ready.send(Err(Error::Thread(error))));
                }
                tokio::task::spawn_local(tick(Rc::clone(&shared)));
                if let Some(bridge) = settings.bridge {
                    tokio::task::spawn_local(bridge::run(bridge, Rc::clone(&shared)));
                }
                let _ = ready.send(Ok(Arc::clone(&shared.counters)));
                let _ = stopped.await;
            });
            // Connections break here, without wills: their clients find the broker gone and come back.
            drop(tasks);
            shared.with(|hub, _| hub.journal.close());
        })
        .map_err(Error::Thread)?;
    let broken = || Error::Thread(io::Error::other("its thread ended"));
    let counters = started.recv().unwrap_or_else(|_| Err(broken()))?;
    Ok(Broker { address, tls_address, counters, stop: Some(stop), thread: Some(thread) })
}

/// The hub as it was when the last broker on this folder ended, however it did.
fn remember(settings: &Settings) -> Result<Shared, Error> {
    let mut hub = Hub::new(settings.limits.clone(), settings.users.clone(), settings.herald.clone());
    if let Some(folder) = &settings.folder {
        let journal = Journal::open(folder, |record| hub.replay(record));
        hub.journal = journal.map_err(|error| Error::Folder { folder: folder.clone(), error })?;
    }
    hub.end_bridges(now(), settings.bridge.as_ref().map(|bridge| &*bridge.client_id));
    hub.wake(now());
    hub.journal.flush();
    Ok(Shared::new(hub, settings.limits.clone()))
}

/// Milliseconds since 1970.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

async fn tick(shared: Rc<Shared>) {
    let mut every = tokio::time::interval(Duration::from_secs(1));
    // After a standstill no seconds are made up for, in which nobody could read.
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        shared.with(|hub, now| hub.sweep(now));
    }
}

async fn accept(listener: tokio::net::TcpListener, tls: Option<TlsAcceptor>, shared: Rc<Shared>) {
    let tls = tls.map(Arc::new);
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, mostly: those that are open go on, and one of them will end.
                tracing::warn!(%error, "the broker cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(200)).await;
                continue;
            }
        };
        let Some(seat) = Shared::seat(&shared, peer.ip()) else {
            shared.counters.turned_away.more();
            continue;
        };
        let _ = stream.set_nodelay(true);
        let tls = tls.clone();
        tokio::task::spawn_local(async move {
            match tls {
                None => connection::serve(stream, &seat).await,
                Some(tls) => {
                    let shake = tokio::time::timeout(connection::PATIENCE, tls.accept(stream));
                    if let Ok(Ok(stream)) = shake.await {
                        connection::serve(stream, &seat).await;
                    }
                }
            }
        });
    }
}
