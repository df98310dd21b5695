//! What an operator does from the page or a script: the same acts as on the command line, one POST each.

use super::Shared;
use crate::access::Who;
use crate::operator::{Act, Done, NotDone, Order, Request};
use actix_web::http::header;
use actix_web::{HttpResponse, web};
use actors::RecordFailed;
use domain::AccountId;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use tokio::sync::Mutex;

/// One code is looked at after the other: guesses that came together would all be looked at before the first is counted.
#[derive(Default)]
pub(super) struct Door(Mutex<()>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Plain {
    amount: String,
    reference: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Refund {
    amount: String,
    reference: String,
    #[serde(default)]
    force: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Adjust {
    amount: String,
    reference: String,
    why: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Lend {
    amount: String,
    reference: String,
    why: String,
    #[serde(default)]
    as_credit: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Voucher {
    code: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Token {
    digits: String,
}

/// `POST /api/v1/accounts/ID/ACT`
pub(super) async fn act(
    shared: web::Data<Shared>,
    door: web::Data<Door>,
    path: web::Path<(String, String)>,
    body: web::Bytes,
    who: web::ReqData<Who>,
) -> HttpResponse {
    let who = who.into_inner().name;
    let (account, act) = path.into_inner();
    let asked = match asked(&shared, &account, &act, &body, who) {
        Ok(asked) => asked,
        Err(not) => return told(&shared, &not),
    };
    let _one_at_a_time = match &asked {
        Request::Order(_) => None,
        Request::Voucher { .. } | Request::Token { .. } => Some(door.0.lock().await),
    };
    match done(&shared, asked).await {
        Ok(Ok(done)) => HttpResponse::Ok().json(done),
        Ok(Err(not)) => told(&shared, &not),
        Err(error) => HttpResponse::ServiceUnavailable().body(error.to_string()),
    }
}

fn asked(shared: &Shared, account: &str, act: &str, body: &[u8], who: String) -> Result<Request, NotDone> {
    fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, NotDone> {
        serde_json::from_slice(body).map_err(|e| NotDone::Wrong(format!("the body must be JSON: {e}")))
    }
    let order = |amount: String, reference: String, act| {
        let currency = &shared.config().currency;
        Order::new(account, &amount, &reference, &who, act, currency).map(Request::Order)
    };
    let id = || account.parse::<AccountId>().map_err(|e| NotDone::NoAccount(e.to_string()));
    match act {
        "cash" => read(body).and_then(|Plain { amount, reference }| order(amount, reference, Act::Cash)),
        "refund" => {
            read(body).and_then(|Refund { amount, reference, force }| order(amount, reference, Act::Refund { force }))
        }
        "adjust" => {
            read(body).and_then(|Adjust { amount, reference, why }| order(amount, reference, Act::Adjust { why }))
        }
        "lend" => read(body).and_then(|Lend { amount, reference, why, as_credit }| {
            order(amount, reference, Act::Lend { why, as_credit })
        }),
        "voucher" => {
            let (Voucher { code }, account) = (read(body)?, id()?);
            Ok(Request::Voucher { account, code, by: who })
        }
        "token" => {
            let (Token { digits }, account) = (read(body)?, id()?);
            Ok(Request::Token { account, digits, by: who })
        }
        _ => Err(NotDone::NoAccount("there is cash, refund, adjust, lend, voucher and token".into())),
    }
}

async fn done(shared: &Shared, asked: Request) -> Result<Result<Done, NotDone>, RecordFailed> {
    let (config, now, asked) = (shared.config(), shared.now(), Arc::new(asked));
    let (there, what) = (Arc::clone(&config), Arc::clone(&asked));
    let prepared = match shared.scribe().read(move |ledger| what.prepare(&there, ledger, now)).await? {
        Ok(prepared) => prepared,
        Err(not) => return Ok(Err(not)),
    };
    let refused = match shared.scribe().write(prepared.write.clone()).await {
        Ok(_) => None,
        Err(RecordFailed::Refused(why)) => Some(why.trim_start_matches("refused: ").to_owned()),
        Err(other) => return Err(other),
    };
    shared.scribe().read(move |ledger| asked.judge(&prepared, &config, ledger, refused)).await
}

pub(super) fn told(shared: &Shared, not: &NotDone) -> HttpResponse {
    let body = not.to_string();
    match not {
        NotDone::Wrong(_) => HttpResponse::BadRequest().body(body),
        NotDone::NoAccount(_) => HttpResponse::NotFound().body(body),
        NotDone::Refused(_) => HttpResponse::Conflict().body(body),
        NotDone::Locked(until) => {
            let seconds = until.since(shared.now()).as_secs() + 1;
            HttpResponse::TooManyRequests().insert_header((header::RETRY_AFTER, seconds)).body(body)
        }
    }
}
