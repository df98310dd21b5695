//! Signing in and out, and making the first operator.

use super::Shared;
use super::gate::{Place, broken, say};
use crate::access::{self, Access, LASTS, NotIn, Password, SignedIn, Who};
use actix_web::http::{StatusCode, header};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, web};
use domain::{Access as Change, Fact};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    name: String,
    password: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Coded {
    code: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Entering {
    Named(Named),
    Coded(Coded),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct First {
    code: String,
    name: String,
    password: String,
}

/// `GET /api/v1/session`: who asks; 401 for nobody, with whether the first operator is still to be made.
pub(super) async fn who(access: web::Data<Access>, request: HttpRequest) -> HttpResponse {
    match request.extensions().get::<Who>() {
        Some(who) => HttpResponse::Ok().json(described(who)),
        None => match access.is_new() {
            Ok(new) => HttpResponse::Unauthorized().json(json!({ "new": new })),
            Err(what) => broken(&what),
        },
    }
}

fn described(who: &Who) -> serde_json::Value {
    json!({ "name": who.name, "scopes": who.scopes, "csrf": who.session.as_ref().map(|(_, csrf)| csrf) })
}

/// `POST /api/v1/session`: by name and password, or by a code that is good once.
pub(super) async fn sign_in(
    shared: web::Data<Shared>,
    access: web::Data<Access>,
    place: web::Data<Place>,
    body: web::Bytes,
    request: HttpRequest,
) -> HttpResponse {
    let entering: Entering = match read(&request, &body) {
        Ok(entering) => entering,
        Err(response) => return *response,
    };
    let from = place.of(&request);
    let (name, entered) = match entering {
        Entering::Named(Named { name, password }) => {
            let entered = access.sign_in(&name, Password::typed(password), from).await;
            (Some(name), entered)
        }
        Entering::Coded(Coded { code }) => (None, access.enter(&code, from).await),
    };
    if let (Some(name), Err(NotIn::Wrong(Some((failed, closed))))) = (&name, &entered) {
        tracing::warn!(%from, "{name} is kept out after {failed} wrong passwords");
        let fact = access::fact(name, Change::KeptOut { failed: *failed, seconds: closed.as_secs() }, name);
        let shared = shared.clone();
        // Not waited for: how long an answer takes must not tell which names there are.
        actix_web::rt::spawn(async move { record(&shared, fact).await });
    }
    answer(&shared, &access, &place, &request, entered, Change::SignedIn).await
}

/// `POST /api/v1/setup`: the code that the journal holds makes the first operator.
pub(super) async fn set_up(
    shared: web::Data<Shared>,
    access: web::Data<Access>,
    place: web::Data<Place>,
    body: web::Bytes,
    request: HttpRequest,
) -> HttpResponse {
    let First { code, name, password } = match read(&request, &body) {
        Ok(first) => first,
        Err(response) => return *response,
    };
    let made = access.set_up(&code, &name, password, place.of(&request)).await;
    answer(&shared, &access, &place, &request, made, Change::UserAdded { role: "operator".into() }).await
}

/// `DELETE /api/v1/session`
pub(super) async fn sign_out(
    shared: web::Data<Shared>,
    access: web::Data<Access>,
    place: web::Data<Place>,
    who: web::ReqData<Who>,
) -> HttpResponse {
    let Some((id, _)) = &who.session else {
        return say(StatusCode::BAD_REQUEST, "a token does not sign out: revoke it");
    };
    access.sign_out(id);
    record(&shared, access::fact(&who.name, Change::SignedOut, &who.name)).await;
    let gone = (header::SET_COOKIE, place.set_cookie("", std::time::Duration::ZERO));
    HttpResponse::NoContent().insert_header(gone).finish()
}

/// A body of JSON that says it is: a form of a foreign page cannot.
fn read<T: DeserializeOwned>(request: &HttpRequest, body: &[u8]) -> Result<T, Box<HttpResponse>> {
    if !request.content_type().eq_ignore_ascii_case("application/json") {
        let what = "send JSON, with Content-Type: application/json";
        return Err(say(StatusCode::UNSUPPORTED_MEDIA_TYPE, what).into());
    }
    // The error is not repeated: it may quote a password.
    serde_json::from_slice(body).map_err(|_| {
        let what = "the body must be a JSON object: name and password; or code; or, to set up, code, name and password";
        say(StatusCode::BAD_REQUEST, what).into()
    })
}

async fn answer(
    shared: &Shared,
    access: &Access,
    place: &Place,
    request: &HttpRequest,
    entered: Result<SignedIn, NotIn>,
    change: Change,
) -> HttpResponse {
    let SignedIn { name, role, id, csrf } = match entered {
        Ok(signed_in) => signed_in,
        Err(not) => return refused(&not),
    };
    // Whoever signs in anew leaves the session before.
    if let Some((old, _)) = request.extensions().get::<Who>().and_then(|who| who.session.clone()) {
        access.sign_out(&old);
    }
    record(shared, access::fact(&name, change, &name)).await;
    HttpResponse::Ok()
        .insert_header((header::SET_COOKIE, place.set_cookie(&id, LASTS)))
        .json(json!({ "name": name, "scopes": role.scopes(), "csrf": csrf }))
}

fn refused(not: &NotIn) -> HttpResponse {
    match not {
        NotIn::Wrong(_) => say(StatusCode::UNAUTHORIZED, "that is not right"),
        NotIn::Closed(left) => {
            let seconds = left.as_secs() + 1;
            let mut response =
                say(StatusCode::TOO_MANY_REQUESTS, &format!("too often wrong: no other is looked at for {seconds} s"));
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
            response
        }
        NotIn::Busy => say(StatusCode::SERVICE_UNAVAILABLE, "too many sign in at once: try again"),
        NotIn::Bad(what) => say(StatusCode::BAD_REQUEST, what),
        NotIn::Refused(what) => say(StatusCode::CONFLICT, what),
        NotIn::Broken(what) => broken(what),
    }
}

/// Who cannot be written down comes in all the same: the page says what keeps the ledger from being written.
async fn record(shared: &Shared, fact: Fact) {
    if let Err(error) = shared.scribe().fact(fact).await {
        tracing::warn!(%error, "who came in or left is not recorded");
    }
}
