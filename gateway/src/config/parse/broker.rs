//! `[broker]`: where it listens, who may connect, and what each may publish and read.

use super::fields::address;
use super::{Reader, Table};
use crate::config::{Broker, BrokerTls, Meter, Switch};
use ::broker::{Rights, User, topic};
use drivers::template::Protocol;
use drivers::{Credentials, DeviceAddress, Template};
use std::net::SocketAddr;

impl Reader<'_> {
    pub(super) fn users(&self, table: &Table<'_, '_>) -> Vec<Credentials> {
        let Some(file) = table.text("users_file") else { return Vec::new() };
        match crate::secrets::read_users(&self.base.join(file)) {
            Ok(users) => users,
            Err(problem) => {
                table.problem("users_file", problem);
                Vec::new()
            }
        }
    }

    pub(super) fn broker(&self, table: &Table<'_, '_>) -> Option<Broker> {
        let (listen, users) = (address(table, "listen", true), self.users(table));
        let customer_commands = table.flag("customer_commands").unwrap_or(false);
        let secure = address(table, "tls_listen", false);
        let tls = self.broker_tls(table, secure, &users);
        // Read once the devices are known, see `rights`.
        table.sections("user");
        let listen = listen?;
        if listen.port() == 0 {
            table.problem("listen", "must name a port: clients have to know it");
            return None;
        }
        if !listen.ip().is_loopback() {
            let what = "is not on loopback, where passwords would cross the network in the clear: listen there by \
                        tls_listen, with users_file to say who may connect";
            table.problem("listen", what);
        }
        for reserved in users.iter().filter(|user| user.user.starts_with('$')) {
            let what = format!(
                "lists {:?}, and names that begin with $ are the broker's own: call it otherwise",
                reserved.user
            );
            table.problem("users_file", what);
        }
        let users = users.into_iter().map(|c| User { name: c.user, password: c.password, rights: Rights::default() });
        Some(Broker { listen, tls, users: users.collect(), customer_commands, bridge: None })
    }

    fn broker_tls(
        &self,
        table: &Table<'_, '_>,
        listen: Option<SocketAddr>,
        users: &[Credentials],
    ) -> Option<BrokerTls> {
        let certificate = super::web::certificate(table, self.base);
        let names = super::web::host_names(table, "tls_names");
        let Some(listen) = listen else {
            for key in ["tls", "tls_certificate", "tls_key", "tls_names"] {
                if table.get(key).is_some() {
                    table.problem(key, "belongs to tls_listen, which is not there");
                }
            }
            return None;
        };
        if listen.port() == 0 {
            table.problem("tls_listen", "must name a port: clients have to know it");
        }
        if users.is_empty() && table.get("users_file").is_none() {
            table.problem("tls_listen", "is for others, so users_file must say who may connect");
        }
        let certificate = certificate?;
        if certificate.is_none() {
            table.problem(
                "tls_listen",
                "needs a certificate: set tls = \"self-signed\", or tls_certificate and tls_key",
            );
        }
        Some(BrokerTls { listen, certificate: certificate?, names: names? })
    }
}

/// What users may do. The first of the file is the gateway's own and may do everything, the others what a
/// `[[broker.user]]` says, or, if they are named like a device, what that device must.
pub(super) fn rights(
    table: &Table<'_, '_>,
    broker: &mut Broker,
    (site, discovery): (&str, &str),
    (meters, switches): (&[Meter], &[Switch]),
) {
    let mut said = Vec::new();
    for entry in table.sections("user") {
        let name = entry.required_text("name");
        let home_assistant = entry.choice("role", &[("home-assistant", true)]).is_some();
        let devices = entry.texts("devices").unwrap_or_default();
        let mut rights = Rights::default();
        for (key, into) in [("publish", &mut rights.publish), ("subscribe", &mut rights.subscribe)] {
            for filter in entry.texts(key).unwrap_or_default() {
                if topic::is_filter(&filter) {
                    into.push(filter);
                } else {
                    entry.problem(key, format!("holds {filter:?}, which is no topic filter such as \"street/7/#\""));
                }
            }
        }
        if home_assistant {
            add(&mut rights, home_assistant_rights(site, discovery));
        }
        for device in devices {
            match device_rights(&device, meters, switches) {
                Some(own) => add(&mut rights, own),
                None => {
                    entry.problem("devices", format!("holds {device:?}, which is no meter or switch on an MQTT bus"))
                }
            }
        }
        entry.close();
        let Some(name) = name else { continue };
        if rights == Rights::default() {
            let what = "is given nothing: set role = \"home-assistant\", devices, publish or subscribe";
            entry.problem("name", what);
        }
        if said.iter().any(|(other, _)| *other == name) {
            entry.problem("name", format!("is {name:?}, and so is another user's"));
        }
        match broker.users.iter().position(|user| user.name == name) {
            None => entry.problem("name", format!("is {name:?}, who has no line in users_file")),
            Some(0) => {
                entry.problem(
                    "name",
                    format!("is {name:?}, the first of users_file, who is the gateway's own and may do all"),
                );
            }
            Some(_) => {}
        }
        said.push((name, rights));
    }
    let mut idle = Vec::new();
    for (index, user) in broker.users.iter_mut().enumerate() {
        let told = said.iter().find(|(name, _)| *name == user.name).map(|(_, rights)| rights.clone());
        user.rights = match (index, told) {
            (0, _) => Rights::all(),
            (_, Some(rights)) => rights,
            (_, None) => device_rights(&user.name, meters, switches).unwrap_or_else(|| {
                idle.push(user.name.clone());
                Rights::default()
            }),
        };
    }
    if !idle.is_empty() {
        let names = idle.join(", ");
        table.problem("users_file", format!("lists {names}, who may do nothing: call a user like its meter or switch, or say in a [[broker.user]] what it may do"));
    }
}

fn add(rights: &mut Rights, more: Rights) {
    rights.publish.extend(more.publish);
    rights.subscribe.extend(more.subscribe);
}

/// Reads all states, says that it was born, and asks what customers may ask.
fn home_assistant_rights(site: &str, discovery: &str) -> Rights {
    let account = |what: &str| format!("microgrid/{site}/account/+/{what}");
    Rights {
        publish: vec![format!("{discovery}/status"), account("emergency"), account("reconnect")],
        subscribe: vec![format!("microgrid/{site}/#"), format!("{discovery}/#")],
    }
}

/// All below the topics that a device has for itself, and nothing else.
fn device_rights(id: &str, meters: &[Meter], switches: &[Switch]) -> Option<Rights> {
    let meters = meters.iter().filter(|m| m.id.as_str() == id).map(|m| (&m.address, &m.template));
    let switches = switches.iter().filter(|s| s.id.as_str() == id).map(|s| (&s.address, &s.template));
    let mut rights = Rights::default();
    for (address, template) in meters.chain(switches) {
        if let DeviceAddress::Topic(own) = address
            && topic::is_name(own)
        {
            let trees: Vec<String> = patterns(template).iter().map(|pattern| tree(pattern, own)).collect();
            add(&mut rights, Rights { publish: trees.clone(), subscribe: trees });
        }
    }
    for list in [&mut rights.publish, &mut rights.subscribe] {
        list.sort();
        list.dedup();
    }
    (rights != Rights::default()).then_some(rights)
}

fn patterns(template: &Template) -> Vec<String> {
    let Protocol::Mqtt(map) = &template.protocol else { return Vec::new() };
    let mut patterns = vec![map.topic.clone()];
    if let Some(switch) = &map.switch {
        patterns.extend([switch.command.clone(), switch.state.clone()]);
        patterns.extend(switch.ask.iter().map(|(topic, _)| topic.clone()));
    }
    patterns.retain(|pattern| pattern.contains("{topic}"));
    patterns
}

/// Everything below a device's own level: `tele/{topic}/SENSOR` gives `tele/plug/#`.
fn tree(pattern: &str, own: &str) -> String {
    let before = pattern.split("{topic}").next().unwrap_or_default();
    format!("{before}{own}/#")
}
