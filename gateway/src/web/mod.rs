//! The operator's page and its data, and the embedded chain's JSON-RPC, which stays on loopback. A request that names a
//! host that is not ours is refused, so that no page from elsewhere can reach us through a rebound name. The page's data
//! are for those who signed in, have a token, or a customer's link: `gate` asks who, `routes` says who may what.

mod acts;
mod balance;
mod bill;
mod customer;
mod feeder;
mod gate;
mod metrics;
mod office;
mod places;
mod prices;
mod routes;
mod session;
mod snapshot;
pub mod tls;
mod watched;

pub use snapshot::Shared;
pub use watched::Watched;

use crate::access::{Access, Who};
use crate::config::Web;
use crate::failure::{Code, Failure};
use actix_web::dev::{ServerHandle, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::middleware::Next;
use actix_web::{App, Error, HttpMessage, HttpRequest, HttpResponse, HttpServer, middleware, web};
use contracts::embedded::EmbeddedChain;
use futures_util::stream;
use std::net::SocketAddr;
use std::sync::Arc;

const PAGE: &str = include_str!("assets/index.html");
const SCRIPT: &str = include_str!("assets/app.js");
const PRICES: &str = include_str!("assets/prices.js");
const WITNESS: &str = include_str!("assets/witness.js");
const PRICES_STYLE: &str = include_str!("assets/prices.css");
const ACCESS: &str = include_str!("assets/access.js");
const CUSTOMER: &str = include_str!("assets/customer.html");
const CUSTOMER_SCRIPT: &str = include_str!("assets/customer.js");
const OPENAPI: &str = include_str!("assets/openapi.json");
const WORDS: &str = include_str!("assets/words.js");
const PHRASES: &str = include_str!("assets/phrases.js");
const FEEDER: &str = include_str!("assets/feeder.js");
const ROUNDS: &str = include_str!("assets/rounds.js");
const PLACES: &str = include_str!("assets/places.js");
const PLACES_STYLE: &str = include_str!("assets/places.css");
const STYLE: &str = include_str!("assets/style.css");
const ICON: &str = include_str!("assets/favicon.svg");

/// Pages that may watch at once; each holds a connection open.
const CONNECTIONS: usize = 1024;
/// How long a request's head may take, so that nobody holds a place by sending slowly.
const HEAD_WITHIN: std::time::Duration = std::time::Duration::from_secs(5);
/// The longest that a watching page hears nothing.
const HEARTBEAT: std::time::Duration = std::time::Duration::from_secs(10);
/// Largest request to the page.
const BODY_BYTES: usize = 64 << 10;
/// Largest JSON-RPC request: a contract deployment with room to spare.
const RPC_BYTES: usize = 2 << 20;

fn bound(listen: SocketAddr, what: &str, e: &std::io::Error) -> Failure {
    Failure::new(Code::Unavailable, format!("{what} cannot listen on {listen}: {e}; is another one running?"))
}

/// Serves the page. Answers where, and how to stop it.
pub fn serve(plan: &Web, shared: Shared, access: Arc<Access>) -> Result<(String, ServerHandle), Failure> {
    let listen = plan.listen;
    let tls = tls::prepare(plan, &shared.config().state)?;
    let place = web::Data::new(gate::Place::new(&shared.config().site, plan));
    let (shared, door) = (web::Data::new(shared), web::Data::new(acts::Door::default()));
    let access = web::Data::from(access);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(shared.clone())
            .app_data(access.clone())
            .app_data(place.clone())
            .app_data(door.clone())
            .app_data(web::PayloadConfig::new(BODY_BYTES))
            .wrap(middleware::from_fn(gate::gate))
            .wrap(middleware::from_fn(gate::guard))
            .configure(|app| {
                for entry in routes::ENTRIES {
                    app.route(entry.path, (entry.route)().method(entry.method.clone()));
                }
            })
    })
    .workers(1)
    .max_connections(CONNECTIONS)
    .client_request_timeout(HEAD_WITHIN)
    .disable_signals()
    .shutdown_timeout(1);
    let server = match tls {
        None => server.bind(listen),
        Some((config, fingerprint)) => {
            tracing::info!("the page's certificate has the SHA-256 fingerprint {fingerprint}");
            server.bind_rustls_0_23(listen, config)
        }
    };
    let server = server.map_err(|e| bound(listen, "the page", &e))?;
    Ok(run(server.addrs(), server.run(), listen))
}

/// Serves the embedded chain's JSON-RPC.
pub fn serve_rpc(listen: SocketAddr, chain: Arc<EmbeddedChain>) -> Result<(String, ServerHandle), Failure> {
    let chain = web::Data::from(chain);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(chain.clone())
            .app_data(web::PayloadConfig::new(RPC_BYTES))
            .wrap(middleware::from_fn(guard))
            .route("/", web::post().to(json_rpc))
    })
    .workers(1)
    .max_connections(CONNECTIONS)
    .disable_signals()
    .shutdown_timeout(1)
    .bind(listen)
    .map_err(|e| bound(listen, "the chain's JSON-RPC", &e))?;
    Ok(run(server.addrs(), server.run(), listen))
}

fn run(addrs: Vec<SocketAddr>, server: actix_web::dev::Server, asked: SocketAddr) -> (String, ServerHandle) {
    let at = addrs.first().copied().unwrap_or(asked).to_string();
    let handle = server.handle();
    actix_web::rt::spawn(server);
    (at, handle)
}

/// Refuses foreign hosts and foreign origins.
async fn guard(
    request: actix_web::dev::ServiceRequest,
    next: Next<impl actix_web::body::MessageBody + 'static>,
) -> Result<ServiceResponse<impl actix_web::body::MessageBody>, Error> {
    let host = request.headers().get(header::HOST).and_then(|h| h.to_str().ok()).unwrap_or_default();
    let origin = request.headers().get(header::ORIGIN).and_then(|h| h.to_str().ok());
    if !is_loopback(host) || origin.is_some_and(|o| !is_ours(o)) {
        return Err(actix_web::error::ErrorForbidden("this service answers on this machine only"));
    }
    let mut response = next.call(request).await?;
    gate::say_what_a_browser_may(response.headers_mut());
    Ok(response)
}

/// Pages of this machine, and extensions that its user installed: a wallet is one.
fn is_ours(origin: &str) -> bool {
    match origin.split_once("://") {
        Some(("http" | "https", host)) => is_loopback(host),
        Some((scheme, _)) => matches!(scheme, "chrome-extension" | "moz-extension"),
        None => false,
    }
}

/// A host without its port.
fn name_in(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    }
}

fn is_loopback(host: &str) -> bool {
    let name = name_in(host);
    name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

async fn asset(kind: &'static str, body: &'static str) -> HttpResponse {
    HttpResponse::Ok().content_type(kind).body(body)
}

async fn state(shared: web::Data<Shared>) -> HttpResponse {
    match shared.snapshot().await {
        Ok(json) => HttpResponse::Ok().content_type("application/json").body(json.to_string()),
        Err(error) => HttpResponse::ServiceUnavailable().body(error.to_string()),
    }
}

async fn health(shared: web::Data<Shared>, request: HttpRequest) -> HttpResponse {
    let problems = shared.problems();
    let status = if problems.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    // A probe needs to know whether, and only who may look at the street what.
    let told = request.extensions().get::<Who>().is_some_and(|who| who.scopes.contains(&crate::access::Scope::Read));
    let problems_told = told.then_some(&problems);
    HttpResponse::build(status).json(serde_json::json!({ "ok": problems.is_empty(), "problems": problems_told }))
}

async fn events(shared: web::Data<Shared>, access: web::Data<Access>, who: web::ReqData<Who>) -> HttpResponse {
    let updates = shared.subscribe();
    let first = shared.snapshot().await.ok();
    let who = who.into_inner();
    let stream = stream::unfold((first, updates, shared), move |(first, mut updates, shared)| {
        let (access, who) = (access.clone(), who.clone());
        async move {
            let json = match first {
                Some(json) => json,
                None => {
                    // A quiet street says so now and then: the page takes long silence for a dead connection.
                    match tokio::time::timeout(HEARTBEAT, updates.changed()).await {
                        Ok(changed) => {
                            changed.ok()?;
                            updates.borrow_and_update().clone()
                        }
                        Err(_) => shared.snapshot().await.unwrap_or_else(|_| Arc::from("")),
                    }
                }
            };
            // Whoever signed out, or may not look any more, is told nothing further.
            if !access.still(&who) {
                return None;
            }
            let event = match json.is_empty() {
                true => web::Bytes::from_static(b": quiet\n\n"),
                false => web::Bytes::from(format!("event: state\ndata: {json}\n\n")),
            };
            Some((Ok::<_, Error>(event), (None, updates, shared)))
        }
    });
    HttpResponse::Ok().content_type("text/event-stream").streaming(stream)
}

async fn json_rpc(chain: web::Data<EmbeddedChain>, body: web::Bytes) -> HttpResponse {
    let chain = chain.into_inner();
    // Executing a transaction and syncing it to the disk takes milliseconds: not on the thread that serves.
    match web::block(move || chain.handle(&body)).await {
        // Notifications only.
        Ok(answer) if answer.is_empty() => HttpResponse::NoContent().finish(),
        Ok(answer) => HttpResponse::Ok().content_type("application/json").body(answer),
        Err(_) => HttpResponse::ServiceUnavailable().finish(),
    }
}

#[cfg(test)]
mod tests {
    use super::{PAGE, is_loopback, is_ours};

    #[test]
    fn every_id_on_the_page_is_there_once() {
        let mut seen = std::collections::BTreeSet::new();
        for id in PAGE.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(seen.insert(id), "two elements are called {id}");
        }
        assert!(seen.contains("l-note") && seen.len() > 50, "{seen:?}");
    }

    #[test]
    fn a_wallets_extension_may_ask_and_a_foreign_page_may_not() {
        for good in ["http://localhost:8080", "http://127.0.0.1", "chrome-extension://nkbihfbeogaeaoehlefnkodbefgpgknn"]
        {
            assert!(is_ours(good), "{good}");
        }
        for bad in ["null", "https://example.org", "http://localhost.example.org", "file://", "127.0.0.1"] {
            assert!(!is_ours(bad), "{bad}");
        }
    }

    #[test]
    fn only_this_machines_own_names_are_answered() {
        for good in ["localhost", "localhost:8080", "127.0.0.1:80", "127.9.9.9", "[::1]:8080"] {
            assert!(is_loopback(good), "{good}");
        }
        for bad in ["", "example.org", "localhost.example.org", "192.168.1.2:80", "127.0.0.1.example.org", "[::2]"] {
            assert!(!is_loopback(bad), "{bad}");
        }
    }
}
