//! What can be asked for, and what each needs: whatever is not in this table is not answered.

use super::{ACCESS, FEEDER, ICON, PAGE, PRICES, PRICES_STYLE, SCRIPT, STYLE, WORDS};
use super::{acts, asset, bill, events, health, office, session, state};
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
    get("/prices.css", Need::Nothing, || web::to(|| asset("text/css; charset=utf-8", PRICES_STYLE))),
    get("/feeder.js", Need::Nothing, || web::to(|| asset("text/javascript; charset=utf-8", FEEDER))),
    get("/words.js", Need::Nothing, || web::to(|| asset("text/javascript; charset=utf-8", WORDS))),
    get("/style.css", Need::Nothing, || web::to(|| asset("text/css; charset=utf-8", STYLE))),
    get("/favicon.svg", Need::Nothing, || web::to(|| asset("image/svg+xml", ICON))),
    get("/health", Need::Nothing, || web::to(health)),
    get("/api/v1/session", Need::Nothing, || web::to(session::who)),
    post("/api/v1/session", Need::Nothing, || web::to(session::sign_in)),
    delete("/api/v1/session", Need::Somebody, || web::to(session::sign_out)),
    post("/api/v1/setup", Need::Nothing, || web::to(session::set_up)),
    get("/api/v1/state", READ, || web::to(state)),
    get("/api/v1/events", READ, || web::to(events)),
    get("/api/v1/accounts/{account}/intervals", READ, || web::to(bill::intervals)),
    get("/api/v1/accounts/{account}/receipt", READ, || web::to(bill::receipt)),
    post("/api/v1/accounts/{account}/{act}", Need::Scope(Scope::Money), || web::to(acts::act)),
    post("/api/v1/meters/{meter}/{act}", Need::Scope(Scope::Meters), || web::to(office::meter)),
    get("/api/v1/tariff", READ, || web::to(office::tariff)),
    post("/api/v1/tariff/{act}", Need::Scope(Scope::Prices), || web::to(office::announce)),
];
