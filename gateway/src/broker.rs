//! The embedded MQTT broker, as the configuration wants it.

use crate::config::{Bridge, Broker, Config};
use crate::failure::{Code, Failure};
use crate::web::tls::{Own, authorities, identity};
use ::broker::{Settings, Users};
use std::net::SocketAddr;
use std::sync::Arc;

/// The client id of the Herald, which tells everything again at every start.
#[must_use]
pub fn herald(site: &str) -> String {
    format!("microgrid-gateway-{site}-herald")
}

/// Starts the broker of a gateway. It keeps its sessions and retained messages beside the ledger.
pub fn start(config: &Config, broker: &Broker) -> Result<::broker::Broker, Failure> {
    let mut settings = settings(broker);
    settings.folder = Some(config.state.join("broker"));
    settings.herald = Some(herald(&config.site));
    if let Some(tls) = &broker.tls {
        let certificate = config.state.join("keys/mqtt.crt");
        let own = Own { names: &tls.names, listen: tls.listen.ip(), certificate };
        let (certified, fingerprint) = identity(&tls.certificate, &own, "[broker]")?;
        tracing::info!("the broker's certificate has the SHA-256 fingerprint {fingerprint}");
        settings.tls = Some((tls.listen, Arc::new(certified)));
    }
    settings.bridge = broker.bridge.as_ref().map(bridge).transpose()?;
    run(settings)
}

/// A broker within a verb, which looks at the other broker through a bridge of its own and leaves nothing behind there.
pub fn looking(at: &Bridge, filter: &str) -> Result<::broker::Broker, Failure> {
    let mut settings = Settings::new(SocketAddr::from(([127, 0, 0, 1], 0)));
    settings.bridge = Some(::broker::Bridge {
        passing: true,
        // A broker throws out the older of two clients with one name.
        client_id: format!("{}-look-{}", at.client_id, std::process::id()),
        prefix: String::new(),
        publish: Vec::new(),
        subscribe: vec![filter.to_owned()],
        ..bridge(at)?
    });
    run(settings)
}

fn bridge(bridge: &Bridge) -> Result<::broker::Bridge, Failure> {
    let trusted = bridge.ca_file.as_deref().map(authorities).transpose();
    let tls = trusted.map_err(|what| Failure::new(Code::Config, format!("[bridge] ca_file {what}")))?.map(Arc::new);
    let Bridge { host, port, user, client_id, prefix, publish, subscribe, .. } = bridge.clone();
    let credentials = user.map(|user| (user.user, user.password));
    Ok(::broker::Bridge { host, port, tls, credentials, client_id, passing: false, prefix, publish, subscribe })
}

/// Starts a broker for simulated devices only: it forgets everything when it ends.
pub fn for_devices(broker: &Broker) -> Result<::broker::Broker, Failure> {
    run(settings(broker))
}

fn settings(broker: &Broker) -> Settings {
    Settings { users: Users::new(broker.users.clone()), ..Settings::new(broker.listen) }
}

fn run(settings: Settings) -> Result<::broker::Broker, Failure> {
    ::broker::start(settings).map_err(|error| Failure::new(Code::Unavailable, error))
}
