//! What can be asked for, and what each needs: whatever is not in this table is not answered.

use super::{ACCESS, CUSTOMER_SCRIPT, FEEDER, ICON, OPENAPI, PAGE, PLACES, PLACES_STYLE, PRICES, PRICES_STYLE, ROUNDS};
use super::{PHRASES, SCRIPT, STYLE, WITNESS, WORDS};
use super::{acts, asset, bill, customer, events, health, metrics, office, session, state};
use crate::access::Scope;
use actix_web::http::Method;
use actix_web::{Route, web};

/// What somebody needs to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing: it tells nothing about the street.
    Nothing,
    /// To be somebody.
    Somebody,
    /// A customer's link.
    Link,
    /// This.
    Scope(Scope),
}

/// One thing that can be asked for.
pub struct Entry {
    /// How.
    pub method: Method,
    /// Where, with `{names}` of what varies.
    pub path: &'static str,
    /// By whom.
    pub need: Need,
    /// Who answers.
    pub route: fn() -> Route,
}

const fn get(path: &'static str, need: Need, route: fn() -> Route) -> Entry {
    Entry { method: Method::GET, path, need, route }
}

const fn post(path: &'static str, need: Need, route: fn() -> Route) -> Entry {
    Entry { method: Method::POST, path, need, route }
}

const fn delete(path: &'static str, need: Need, route: fn() -> Route) -> Entry {
    Entry { method: Method::DELETE, path, need, route }
}

const READ: Need = Need::Scope(Scope::Read);

/// All of them.
pub const ENTRIES: &[Entry] = &[
    get("/", Need::Nothing, || web::to(|| asset("text/html; charset=utf-8", PAGE))),
    get("/app.js", Need::Nothing, || web::to(|| asset("text/javascript; charset=utf-8", SCRIPT))),
    get("/access.js", Need::Nothing, || web::to(|| asset("text/javascript; charset=utf-8", ACCESS))),
    get("/prices.js", Need::Nothing, || web::to(|| asset("text/javascript; charset=utf-8", PRICES))),
    get("/witness.js", Need::Nothing, || web::to(|| asset("text/javascript; charset=utf-8", WITNESS))),
    get("/prices.css", Need::Nothing, || web::to(|| asset("text/css; charset=utf-8", PRICES_STYLE))),
    get("/feeder.js", Need::Nothing, || web::to(|| asset("text/javascript; charset=utf-8", FEEDER))),
    get("/rounds.js", Need::Nothing, || web::to(|| asset("text/javascript; charset=utf-8", ROUNDS))),
    get("/places.js", Need::Nothing, || web::to(|| asset("text/javascript; charset=utf-8", PLACES))),
    get("/places.css", Need::Nothing, || web::to(|| asset("text/css; charset=utf-8", PLACES_STYLE))),
    get("/phrases.js", Need::Nothing, || web::to(|| asset("text/javascript; charset=utf-8", PHRASES))),
    get("/words.js", Need::Nothing, || web::to(|| asset("text/javascript; charset=utf-8", WORDS))),
    get("/style.css", Need::Nothing, || web::to(|| asset("text/css; charset=utf-8", STYLE))),
    get("/favicon.svg", Need::Nothing, || web::to(|| asset("image/svg+xml", ICON))),
    get("/customer.js", Need::Nothing, || web::to(|| asset("text/javascript; charset=utf-8", CUSTOMER_SCRIPT))),
    get("/health/live", Need::Nothing, || web::to(metrics::alive)),
    get("/health/ready", Need::Nothing, || web::to(metrics::ready)),
    get("/metrics", Need::Scope(Scope::Metrics), || web::to(metrics::metrics)),
    get("/c/{link}", Need::Link, || web::to(customer::page)),
    get("/c/{link}/state", Need::Link, || web::to(customer::state)),
    get("/c/{link}/receipt", Need::Link, || web::to(customer::receipt)),
    get("/c/{link}/intervals.csv", Need::Link, || web::to(customer::csv)),
    get("/health", Need::Nothing, || web::to(health)),
    get("/api/v1/session", Need::Nothing, || web::to(session::who)),
    post("/api/v1/session", Need::Nothing, || web::to(session::sign_in)),
    delete("/api/v1/session", Need::Somebody, || web::to(session::sign_out)),
    post("/api/v1/setup", Need::Nothing, || web::to(session::set_up)),
    get("/api/v1/openapi.json", Need::Nothing, || web::to(|| asset("application/json", OPENAPI))),
    get("/api/v1/state", READ, || web::to(state)),
    get("/api/v1/events", READ, || web::to(events)),
    get("/api/v1/accounts/{account}/intervals", READ, || web::to(bill::intervals)),
    get("/api/v1/accounts/{account}/intervals.csv", READ, || web::to(bill::csv)),
    get("/api/v1/accounts/{account}/receipt", READ, || web::to(bill::receipt)),
    post("/api/v1/accounts/{account}/{act}", Need::Scope(Scope::Money), || web::to(acts::act)),
    post("/api/v1/meters/{meter}/{act}", Need::Scope(Scope::Meters), || web::to(office::meter)),
    get("/api/v1/tariff", READ, || web::to(office::tariff)),
    post("/api/v1/tariff/{act}", Need::Scope(Scope::Prices), || web::to(office::announce)),
];

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::collections::BTreeSet;

    /// Whether a documented path is asked for where an entry is: an act is documented by its name.
    fn fits(documented: &str, entry: &str) -> bool {
        let (mut documented, mut entry) = (documented.split('/'), entry.split('/'));
        loop {
            match (documented.next(), entry.next()) {
                (None, None) => return true,
                (Some(said), Some("{act}")) if !said.starts_with('{') => {}
                (Some(said), Some(is)) if said == is => {}
                _ => return false,
            }
        }
    }

    #[test]
    fn the_interface_is_documented_whole_and_nothing_else_is() {
        let document: Value = serde_json::from_str(OPENAPI).unwrap();
        let mut left: BTreeSet<usize> = (0..ENTRIES.len()).collect();
        for (path, operations) in document["paths"].as_object().unwrap() {
            for (method, operation) in operations.as_object().unwrap() {
                let here = |e: &Entry| e.method.as_str().eq_ignore_ascii_case(method) && fits(path, e.path);
                let at = ENTRIES.iter().position(here).unwrap_or_else(|| panic!("{method} {path} is not answered"));
                left.remove(&at);
                let text = operation["description"].as_str().unwrap_or_default();
                let (security, responses) = (&operation["security"], &operation["responses"]);
                match ENTRIES[at].need {
                    Need::Scope(scope) => {
                        assert_eq!(text, format!("Needs the scope `{}`.", scope.name()), "{method} {path}");
                        assert_eq!(security.as_array().unwrap().len(), 2, "{method} {path}");
                        assert!(responses["401"].is_object() && responses["403"].is_object(), "{method} {path}");
                    }
                    Need::Somebody => assert_eq!(security.as_array().unwrap().len(), 2, "{method} {path}"),
                    Need::Link => assert!(responses["404"].is_object(), "{method} {path}"),
                    Need::Nothing => assert!(!text.contains("scope"), "{method} {path}"),
                }
                let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
                let documented = operation["parameters"].as_array().into_iter().flatten();
                let documented = documented.filter(|p| p["in"] == "path").map(|p| p["name"].as_str().unwrap());
                assert_eq!(names.collect::<Vec<_>>(), documented.collect::<Vec<_>>(), "{method} {path}");
            }
        }
        for at in left {
            let path = ENTRIES[at].path;
            let is_asset = path == "/" || path.ends_with(".js") || path.ends_with(".css") || path.ends_with(".svg");
            assert!(is_asset, "{} {path} is not documented", ENTRIES[at].method);
        }
    }

    #[test]
    fn whatever_tells_of_the_street_needs_somebody() {
        let open: Vec<&str> = ENTRIES.iter().filter(|e| e.need == Need::Nothing).map(|e| e.path).collect();
        let data = |path: &&str| path.starts_with("/api/") || *path == "/metrics" || path.starts_with("/c/");
        let open: Vec<&str> = open.into_iter().filter(data).collect();
        assert_eq!(open, ["/api/v1/session", "/api/v1/session", "/api/v1/setup", "/api/v1/openapi.json"]);
    }
}
