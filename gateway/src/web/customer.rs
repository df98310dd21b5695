//! A customer's own page, by a link that nobody can guess: one home's data and nothing of its neighbours.

use super::bill::{self, Query};
use super::gate::say;
use super::{CUSTOMER, Shared, asset};
use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use domain::AccountId;
use serde_json::{Value, json};

/// Whose link it was; the gate looked.
#[derive(Clone, Debug)]
pub struct Customer(pub AccountId);

/// What of the whole street is everybody's business.
const COMMON: &[&str] = &["site", "now", "local", "speed", "simulated", "tariff", "clock_problem"];
/// What of a home is its customer's.
const OWN: &[&str] = &[
    "account",
    "balance",
    "credit",
    "stage",
    "prepaid",
    "supply",
    "supply_reason",
    "emergency",
    "friendly_until_local",
    "days_left",
    "prosumer",
    "debt",
    "owes",
    "used_kwh",
    "fed_in_kwh",
];
/// What of a meter.
const METER: &[&str] = &["id", "ok", "at", "power_w", "import_kwh", "export_kwh", "voltage_v"];

/// `GET /c/LINK`
pub(super) async fn page() -> HttpResponse {
    asset("text/html; charset=utf-8", CUSTOMER).await
}

/// `GET /c/LINK/state`
pub(super) async fn state(shared: web::Data<Shared>, customer: web::ReqData<Customer>) -> HttpResponse {
    let street: Value = match shared.snapshot().await {
        Ok(json) => serde_json::from_str(&json).unwrap_or_default(),
        Err(error) => return HttpResponse::ServiceUnavailable().body(error.to_string()),
    };
    let homes = street["homes"].as_array();
    let home = homes.and_then(|homes| homes.iter().find(|h| h["account"] == customer.0.as_str()));
    let Some(home) = home else { return say(StatusCode::NOT_FOUND, "this account is served here no more") };
    let picked = |from: &Value, keys: &[&str]| -> serde_json::Map<String, Value> {
        keys.iter().map(|key| ((*key).to_owned(), from[*key].clone())).collect()
    };
    let mut own = picked(home, OWN);
    let meters = home["meters"].as_array().into_iter().flatten().map(|m| Value::Object(picked(m, METER)));
    own.insert("meters".into(), meters.collect());
    let switches = home["switches"].as_array().into_iter().flatten();
    own.insert("connected".into(), switches.map(|s| s["position"].clone()).collect());
    let mut answer = picked(&street, COMMON);
    answer.insert("home".into(), Value::Object(own));
    HttpResponse::Ok().json(json!(answer))
}

/// `GET /c/LINK/receipt`
pub(super) async fn receipt(
    shared: web::Data<Shared>,
    customer: web::ReqData<Customer>,
    query: web::Query<Query>,
) -> HttpResponse {
    bill::receipt_of(&shared, customer.into_inner().0, query.into_inner()).await
}

/// `GET /c/LINK/intervals.csv`
pub(super) async fn csv(
    shared: web::Data<Shared>,
    customer: web::ReqData<Customer>,
    query: web::Query<Query>,
) -> HttpResponse {
    bill::csv_of(&shared, customer.into_inner().0, query.into_inner()).await
}
