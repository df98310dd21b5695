//! The operator's page and its data, and the embedded chain's JSON-RPC. Loopback only; a request that names another
//! host is refused, so that no page from elsewhere can reach it through a rebound name. The page's data are for those
//! who signed in, or have a token: `gate` asks who, `routes` says who may what.

mod acts;
mod balance;
mod bill;
mod feeder;
mod gate;
mod office;
mod prices;
mod routes;
mod session;
mod snapshot;

pub use snapshot::Shared;

use crate::access::{Access, Who};
use crate::failure::{Code, Failure};
use actix_web::dev::{ServerHandle, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{App, Error, HttpMessage, HttpRequest, HttpResponse, HttpServer, middleware, web};
use contracts::embedded::EmbeddedChain;
use futures_util::stream;
use std::net::SocketAddr;
use std::sync::Arc;

const PAGE: &str = include_str!("assets/index.html");
const SCRIPT: &str = include_str!("assets/app.js");
const PRICES: &str = include_str!("assets/prices.js");
const PRICES_STYLE: &str = include_str!("assets/prices.css");
const ACCESS: &str = include_str!("assets/access.js");
const WORDS: &str = include_str!("assets/words.js");
const FEEDER: &str = include_str!("assets/feeder.js");
const STYLE: &str = include_str!("assets/style.css");
const ICON: &str = include_str!("assets/favicon.svg");

/// Pages that may watch at once; each holds a connection open.
const CONNECTIONS: usize = 256;
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
pub fn serve(listen: SocketAddr, shared: Shared, access: Arc<Access>) -> Result<(String, ServerHandle), Failure> {
    let place = web::Data::new(gate::Place::new(&shared.config().site, false));
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
            .wrap(middleware::from_fn(guard))
            .configure(|app| {
                for entry in routes::ENTRIES {
                    app.route(entry.path, (entry.route)().method(entry.method.clone()));
                }
            })
    })
    .workers(1)
    .max_connections(CONNECTIONS)
    .disable_signals()
    .shutdown_timeout(1)
    .bind(listen)
    .map_err(|e| bound(listen, "the page", &e))?;
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

/// Refuses foreign hosts and foreign origins, and says what a browser may do with our pages.
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
    let headers = response.headers_mut();
    for (name, value) in [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        // A page that says more narrowly what it may do keeps its word.
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
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

fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
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
    use super::{is_loopback, is_ours};

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
