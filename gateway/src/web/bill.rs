//! What a customer was billed.

use super::Shared;
use crate::receipt::{self, Asked};
use actix_web::{HttpResponse, web};
use domain::{AccountId, Timestamp};
use serde::Deserialize;
use std::time::Duration;

pub(super) async fn intervals(shared: web::Data<Shared>, account: web::Path<String>) -> HttpResponse {
    let Ok(account) = account.parse::<AccountId>() else {
        return HttpResponse::NotFound().body("no such account");
    };
    let asked = move |ledger: &ledger::Ledger| {
        let known = ledger.accounts()?.iter().any(|a| a.name == account);
        Ok(if known { Some(ledger.newest_lines(&account, 500)?) } else { None })
    };
    match shared.scribe().read(asked).await {
        Ok(None) => HttpResponse::NotFound().body("no such account"),
        Ok(Some(lines)) => HttpResponse::Ok().json(lines),
        Err(error) => HttpResponse::ServiceUnavailable().body(error.to_string()),
    }
}

/// Over what a receipt is asked.
#[derive(Debug, Deserialize)]
pub(super) struct Query {
    from: Option<String>,
    to: Option<String>,
    r#as: Option<String>,
}

/// A receipt, as JSON or, with `as=html`, as a page that prints well.
pub(super) async fn receipt(
    shared: web::Data<Shared>,
    account: web::Path<String>,
    query: web::Query<Query>,
) -> HttpResponse {
    let Ok(account) = account.parse::<AccountId>() else {
        return HttpResponse::NotFound().body("no such account");
    };
    let (config, now) = (shared.config(), shared.now());
    let instant = |text: &Option<String>, fallback| match text {
        Some(text) => config.tariff.zone.instant(text),
        None => Ok(fallback),
    };
    let asked = instant(&query.from, Timestamp(0))
        .and_then(|from| Ok((from, instant(&query.to, now + Duration::from_secs(1))?)));
    let (from, to) = match asked {
        Ok(asked) => asked,
        Err(problem) => return HttpResponse::BadRequest().body(problem),
    };
    let made = shared.scribe().read(move |ledger| {
        let (site, currency, chain_id) = (&config.site, &config.currency, config.chain.chain_id);
        receipt::receipt(ledger, &Asked { site, currency, chain_id, account: &account, from, to, now })
    });
    match made.await {
        Ok(None) => HttpResponse::NotFound().body("no such account"),
        Ok(Some(receipt)) if query.r#as.as_deref() == Some("html") => HttpResponse::Ok()
            .content_type("text/html; charset=utf-8")
            // The page carries its own style and runs nothing.
            .insert_header(("content-security-policy", "default-src 'none'; style-src 'unsafe-inline'"))
            .body(receipt::html(&receipt)),
        Ok(Some(receipt)) => HttpResponse::Ok().json(receipt),
        Err(error) => HttpResponse::ServiceUnavailable().body(error.to_string()),
    }
}
