//! The gate: who asks, whether they may, and how long an answer may take. Whoever is nobody learns nothing of the street.

use super::customer::Customer;
use super::routes::{ENTRIES, Need};
use super::{is_loopback, name_in};
use crate::access::{Access, Who, Worth};
use crate::config::Web;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::{Method, StatusCode, header};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpRequest, HttpResponse, HttpResponseBuilder, web};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

/// How long a request may take, with its body and the beginning of its answer, so that nobody holds a place for long.
const PATIENCE: Duration = Duration::from_secs(20);
/// The header of the token that a session's acts carry: a form on a foreign page cannot send it.
pub const CSRF: &str = "x-csrf-token";

/// How the page is reached, as far as cookies and addresses go.
#[derive(Clone, Debug)]
pub struct Place {
    /// The name of the session's cookie: cookies know no ports, and another site's gateway may be on this machine too.
    pub cookie: String,
    /// Whether browsers reach us by TLS.
    pub secure: bool,
    /// Names by which they may, besides localhost and addresses.
    names: Vec<String>,
    /// Whether only this machine can.
    loopback: bool,
    /// Whether a proxy says for whom it asks.
    behind_proxy: bool,
}

impl Place {
    /// Of a site.
    #[must_use]
    pub fn new(site: &str, web: &Web) -> Self {
        let secure = web.tls.is_some() || web.behind_proxy;
        let prefix = if secure { "__Host-" } else { "" };
        Self {
            cookie: format!("{prefix}session-{site}"),
            secure,
            names: web.names.clone(),
            loopback: web.listen.ip().is_loopback() && !web.behind_proxy,
            behind_proxy: web.behind_proxy,
        }
    }

    /// Whether a host is ours to answer for. A name that somebody points at us is none; an address cannot be pointed.
    #[must_use]
    pub fn answers(&self, host: &str) -> bool {
        let name = name_in(host);
        let address = || !self.loopback && name.parse::<IpAddr>().is_ok();
        is_loopback(host) || address() || self.names.iter().any(|n| n.eq_ignore_ascii_case(name))
    }

    /// The header that gives a browser its session, or takes it away.
    #[must_use]
    pub fn set_cookie(&self, id: &str, lasts: Duration) -> String {
        let secure = if self.secure { "; Secure" } else { "" };
        format!("{}={id}; Path=/; Max-Age={}; HttpOnly; SameSite=Strict{secure}", self.cookie, lasts.as_secs())
    }

    /// Where a request comes from.
    #[must_use]
    pub fn of(&self, request: &HttpRequest) -> IpAddr {
        let peer = request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |a| a.ip());
        if !self.behind_proxy {
            return peer;
        }
        // The last entry is the proxy's own; what stands before it, anybody may have written.
        let lines = request.headers().get_all("x-forwarded-for").filter_map(|h| h.to_str().ok());
        let last = lines.last().and_then(|line| line.rsplit(',').next());
        last.and_then(|text| text.trim().parse().ok()).unwrap_or(peer)
    }

    fn session<'r>(&self, request: &'r ServiceRequest) -> Option<&'r str> {
        let cookies = request.headers().get_all(header::COOKIE).filter_map(|h| h.to_str().ok());
        let mut pairs = cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(name, _)| *name == self.cookie).map(|(_, id)| id)
    }
}

/// An answer in words.
pub fn say(status: StatusCode, what: &str) -> HttpResponse {
    HttpResponseBuilder::new(status).content_type("text/plain; charset=utf-8").body(what.to_owned())
}

/// What nobody is told.
fn nobody() -> HttpResponse {
    let mut response = say(StatusCode::UNAUTHORIZED, "sign in, or send a token: Authorization: Bearer mgw_…");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
    response
}

/// What whoever has a token is told whose term is not now: with it they are nobody, and only they can know why.
fn over(why: &str) -> HttpResponse {
    let what = format!("{why}; make another with: microgrid-gateway access token create");
    let mut response = say(StatusCode::UNAUTHORIZED, &what);
    // RFC 6750, section 3.1.
    let challenge = header::HeaderValue::from_static("Bearer error=\"invalid_token\"");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    response
}

/// What everybody is told while nobody can be known.
pub fn broken(what: &str) -> HttpResponse {
    tracing::error!("nobody can come in: {what}");
    say(StatusCode::SERVICE_UNAVAILABLE, "nobody can come in now: the gateway's journal says why")
}

/// Refuses hosts that are not ours and foreign origins, and says what a browser may do with our pages.
pub async fn guard(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let header = |name| request.headers().get(name).and_then(|h| h.to_str().ok());
    let (host, origin) = (header(header::HOST).unwrap_or_default(), request.headers().get(header::ORIGIN));
    let ours = |origin: &header::HeaderValue| {
        let origin = origin.to_str().ok().and_then(|o| o.split_once("://"));
        origin.is_some_and(|(scheme, at)| matches!(scheme, "http" | "https") && at.eq_ignore_ascii_case(host))
    };
    let answers = request.app_data::<web::Data<Place>>().is_some_and(|place| place.answers(host));
    if !answers || origin.is_some_and(|o| !ours(o)) {
        return Err(actix_web::error::ErrorForbidden("this page does not answer by that name, nor to other pages"));
    }
    let mut response = next.call(request).await?;
    if response.status() != StatusCode::NO_CONTENT && !response.headers().contains_key(header::CONTENT_TYPE) {
        // What is answered in words.
        let words = header::HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(header::CONTENT_TYPE, words);
    }
    say_what_a_browser_may(response.headers_mut());
    Ok(response)
}

/// Headers of every answer. A page that says more narrowly what it may do keeps its word.
pub fn say_what_a_browser_may(headers: &mut header::HeaderMap) {
    for (name, value) in [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        if !headers.contains_key(&name) {
            headers.insert(name, header::HeaderValue::from_static(value));
        }
    }
}

/// The answer to whoever may not.
type Denial = Box<HttpResponse>;

/// Lets a request through or answers it.
pub async fn gate(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    match admitted(&request) {
        Ok(()) => {}
        Err(response) => return Ok(request.into_response(*response)),
    }
    match tokio::time::timeout(PATIENCE, next.call(request)).await {
        Ok(response) => Ok(response?.map_into_boxed_body()),
        Err(late) => {
            let response = say(
                StatusCode::REQUEST_TIMEOUT,
                "this took longer than 20 s; what was asked for may be done all the same: look, then ask again",
            );
            Err(actix_web::error::InternalError::from_response(late, response).into())
        }
    }
}

fn admitted(request: &ServiceRequest) -> Result<(), Denial> {
    let who = known(request)?;
    let pattern = request.match_pattern();
    let here = || ENTRIES.iter().filter(|e| Some(e.path) == pattern.as_deref());
    let Some(entry) = here().find(|e| e.method == *request.method()) else {
        let methods: Vec<&str> = here().map(|e| e.method.as_str()).collect();
        if methods.is_empty() {
            return Err(say(StatusCode::NOT_FOUND, "there is nothing here").into());
        }
        let mut response = say(StatusCode::METHOD_NOT_ALLOWED, "this cannot be asked for in that way");
        if let Ok(allowed) = header::HeaderValue::from_str(&methods.join(", ")) {
            response.headers_mut().insert(header::ALLOW, allowed);
        }
        return Err(response.into());
    };
    match (entry.need, &who) {
        (Need::Nothing, _) | (Need::Somebody, Some(_)) => {}
        (Need::Link, _) => {
            request.extensions_mut().insert(linked(request)?);
        }
        (Need::Scope(scope), Some(who)) if who.scopes.contains(&scope) => {}
        (Need::Scope(scope), Some(who)) => {
            let what = format!("{} may not: this needs the scope {}", who.name, scope.name());
            return Err(say(StatusCode::FORBIDDEN, &what).into());
        }
        (_, None) => return Err(nobody().into()),
    }
    if let Some(who) = who {
        let acts = *request.method() != Method::GET && entry.need != Need::Nothing;
        if let (true, Some((_, csrf))) = (acts, &who.session) {
            let sent = request.headers().get(CSRF).map(header::HeaderValue::as_bytes).unwrap_or_default();
            if !crate::access::same(sent, csrf.as_bytes()) {
                let what = "the header X-CSRF-Token must carry what GET /api/v1/session answers as csrf";
                return Err(say(StatusCode::FORBIDDEN, what).into());
            }
        }
        request.extensions_mut().insert(who);
    }
    Ok(())
}

/// Who asks; a token that is none is an answer, a session that is over is nobody.
fn known(request: &ServiceRequest) -> Result<Option<Who>, Denial> {
    let access = request.app_data::<web::Data<Access>>().map(|a| Arc::clone(a));
    let place = request.app_data::<web::Data<Place>>();
    let (Some(access), Some(place)) = (access, place) else { return Ok(None) };
    if let Some(header) = request.headers().get(header::AUTHORIZATION) {
        let token = header.to_str().ok().and_then(|h| h.split_once(' '));
        let token = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim());
        return match token.map(|token| access.by_token(token)) {
            Some(Ok(Worth::Good(who))) => Ok(Some(who)),
            Some(Ok(Worth::Over(why))) => Err(over(&why).into()),
            Some(Err(what)) => Err(broken(&what).into()),
            Some(Ok(Worth::Nothing)) | None => Err(nobody().into()),
        };
    }
    match place.session(request).map(|id| access.by_session(id)) {
        Some(Ok(who)) => Ok(who),
        // Whoever needs to be nobody is not kept out by it.
        Some(Err(what)) => Err(broken(&what).into()),
        None => Ok(None),
    }
}

/// Whose page a link opens.
fn linked(request: &ServiceRequest) -> Result<Customer, Denial> {
    let gone = || say(StatusCode::NOT_FOUND, "this link is not valid any more: ask your operator for a new one");
    let access = request.app_data::<web::Data<Access>>().ok_or_else(gone)?;
    let link = request.path().strip_prefix("/c/").and_then(|rest| rest.split('/').next()).unwrap_or_default();
    let book = access.store().book().map_err(|what| broken(&what))?;
    Ok(Customer(book.links.whose(link).ok_or_else(gone)?))
}
