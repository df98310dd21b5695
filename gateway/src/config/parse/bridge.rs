//! `[bridge]`: another broker, and what is exchanged with it.

use super::{Reader, Table};
use crate::config::Bridge;
use ::broker::topic;
use std::path::PathBuf;

impl Reader<'_> {
    pub(super) fn bridge(&self, table: &Table<'_, '_>, site: &str) -> Option<Bridge> {
        let url = table.required_text("url");
        let place = url.as_deref().and_then(place);
        if url.is_some() && place.is_none() {
            table.problem("url", "must be mqtt://host:port or mqtts://host:port");
        }
        let users = self.users(table);
        if users.len() > 1 {
            table.problem("users_file", "must hold one line, by which we sign in there");
        }
        let ca_file = table.text("ca_file").map(|file| self.base.join(file));
        match (&place, &ca_file) {
            (Some((_, _, true)), None) => table.problem(
                "ca_file",
                "is missing: who vouches for the other broker? Public names: /etc/ssl/certs/ca-certificates.crt",
            ),
            (Some((_, _, false)), Some(_)) => table.problem("ca_file", "belongs to an mqtts:// url"),
            (Some((host, _, false)), None) if !users.is_empty() && !is_here(host) => table.problem(
                "url",
                "is not mqtts:// nor on this machine, so the password would cross the network in the clear",
            ),
            (_, Some(file)) => {
                if let Err(problem) = crate::web::tls::authorities(file) {
                    table.problem("ca_file", problem);
                }
            }
            _ => {}
        }
        let prefix = table.text("prefix").unwrap_or_default();
        if !prefix.is_empty() && !topic::is_name(&prefix) {
            table.problem("prefix", format!("is {prefix:?}, and must begin a topic, such as \"street-7/\""));
        }
        let client_id = table.text("client_id").unwrap_or_else(|| format!("microgrid-gateway-{site}-bridge"));
        let (publish, subscribe) = (filters(table, "publish"), filters(table, "subscribe"));
        if publish.is_empty() && subscribe.is_empty() {
            table.problem("publish", "is missing, and so is subscribe: what goes over the bridge?");
        }
        for out in &publish {
            if let Some(back) = subscribe.iter().find(|back| topic::overlap(out, back)) {
                let what =
                    format!("holds {back:?}, which meets {out:?} of publish: a message would go round in a circle");
                table.problem("subscribe", what);
            }
        }
        let (host, port, tls) = place?;
        let tls: Option<PathBuf> = if tls { Some(ca_file?) } else { None };
        Some(Bridge { host, port, ca_file: tls, user: users.into_iter().next(), client_id, prefix, publish, subscribe })
    }
}

fn filters(table: &Table<'_, '_>, key: &'static str) -> Vec<String> {
    let filters = table.texts(key).unwrap_or_default();
    for filter in filters.iter().filter(|filter| !topic::is_filter(filter)) {
        table.problem(key, format!("holds {filter:?}, which is no topic filter such as \"microgrid/#\""));
    }
    filters
}

/// Host, port, and whether by TLS.
fn place(url: &str) -> Option<(String, u16, bool)> {
    let (rest, tls) = match url.strip_prefix("mqtts://") {
        Some(rest) => (rest, true),
        None => (url.strip_prefix("mqtt://")?, false),
    };
    let (host, port) = rest.trim_end_matches('/').rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = port.parse().ok().filter(|port| *port > 0)?;
    let sound = !host.is_empty() && !host.contains(['/', '@', '?', '#', ' ']);
    sound.then(|| (host.to_owned(), port, tls))
}

fn is_here(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}
