//! What a customer was billed.

use super::Shared;
use crate::receipt::{self, Asked};
use actix_web::{HttpResponse, web};
use domain::{AccountId, Currency, Kind, Timestamp};
use ledger::BilledLine;
use serde::Deserialize;
use std::fmt::Write;
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

/// How it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum As {
    Json,
    Html,
}

/// Over what something is asked.
#[derive(Debug, Deserialize)]
pub(super) struct Query {
    from: Option<String>,
    to: Option<String>,
    r#as: Option<As>,
}

impl Query {
    /// From when to when: from the beginning, and until now, if left out.
    fn span(&self, shared: &Shared) -> Result<(Timestamp, Timestamp), String> {
        let (config, now) = (shared.config(), shared.now());
        let instant = |text: &Option<String>, fallback| match text {
            Some(text) => config.tariff.zone.instant(text),
            None => Ok(fallback),
        };
        Ok((instant(&self.from, Timestamp(0))?, instant(&self.to, now + Duration::from_secs(1))?))
    }
}

fn no_account() -> HttpResponse {
    HttpResponse::NotFound().body("no such account")
}

/// A receipt, as JSON or, with `as=html`, as a page that prints well.
pub(super) async fn receipt(
    shared: web::Data<Shared>,
    account: web::Path<String>,
    query: web::Query<Query>,
) -> HttpResponse {
    match account.parse() {
        Ok(account) => receipt_of(&shared, account, query.into_inner()).await,
        Err(_) => no_account(),
    }
}

pub(super) async fn receipt_of(shared: &Shared, account: AccountId, query: Query) -> HttpResponse {
    let (from, to) = match query.span(shared) {
        Ok(span) => span,
        Err(problem) => return HttpResponse::BadRequest().body(problem),
    };
    let (config, now) = (shared.config(), shared.now());
    let made = shared.scribe().read(move |ledger| {
        let (site, currency, chain_id) = (&config.site, &config.currency, config.chain.chain_id);
        receipt::receipt(ledger, &Asked { site, currency, chain_id, account: &account, from, to, now })
    });
    match made.await {
        Ok(None) => no_account(),
        Ok(Some(receipt)) if query.r#as == Some(As::Html) => HttpResponse::Ok()
            .content_type("text/html; charset=utf-8")
            // The page carries its own style and runs nothing.
            .insert_header(("content-security-policy", "default-src 'none'; style-src 'unsafe-inline'"))
            .body(receipt::html(&receipt)),
        Ok(Some(receipt)) => HttpResponse::Ok().json(receipt),
        Err(error) => HttpResponse::ServiceUnavailable().body(error.to_string()),
    }
}

/// Every line of a bill as a table, for a spreadsheet.
pub(super) async fn csv(
    shared: web::Data<Shared>,
    account: web::Path<String>,
    query: web::Query<Query>,
) -> HttpResponse {
    match account.parse() {
        Ok(account) => csv_of(&shared, account, query.into_inner()).await,
        Err(_) => no_account(),
    }
}

pub(super) async fn csv_of(shared: &Shared, account: AccountId, query: Query) -> HttpResponse {
    let (from, to) = match query.span(shared) {
        Ok(span) => span,
        Err(problem) => return HttpResponse::BadRequest().body(problem),
    };
    let name = account.clone();
    let asked = move |ledger: &ledger::Ledger| {
        let known = ledger.accounts()?.iter().any(|a| a.name == account);
        Ok(if known { Some(ledger.lines(&account, from, to)?) } else { None })
    };
    match shared.scribe().read(asked).await {
        Ok(None) => no_account(),
        Ok(Some(lines)) => HttpResponse::Ok()
            .content_type("text/csv; charset=utf-8; header=present")
            .insert_header(("content-disposition", format!("attachment; filename=\"{name}.csv\"")))
            .body(table(&lines, &shared.config().currency)),
        Err(error) => HttpResponse::ServiceUnavailable().body(error.to_string()),
    }
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::OffPeak => "off_peak",
        Kind::Peak => "peak",
        Kind::Daily => "daily",
        Kind::PoolShare => "pool_share",
        Kind::Withheld => "withheld",
    }
}

/// RFC 4180. Nothing in it needs quotes: names, numbers and instants have neither commas nor line ends.
fn table(lines: &[BilledLine], currency: &Currency) -> String {
    let mut out = String::from(
        "from,to,kind,meter,tariff,import_wh,free_wh,export_wh,energy,network,demand,daily,tax,charged,credited,currency,settled\r\n",
    );
    for BilledLine { line, batch } in lines {
        let d = &line.debit;
        let plain = |money| currency.plain(money);
        let charged = d.total().map(plain).unwrap_or_default();
        let meter = line.meter.as_ref().map_or("", |m| m.as_str());
        // Writing to a text does not fail.
        let _ = write!(
            out,
            "{},{},{},{meter},{},{},{},{},{},{},{},{},{},{charged},{},{},{}\r\n",
            line.from,
            line.to,
            word(line.kind),
            line.tariff,
            line.import.0,
            line.free.0,
            line.export.0,
            plain(d.energy),
            plain(d.network),
            plain(d.demand),
            plain(d.daily),
            plain(d.tax),
            plain(line.credit),
            currency.code,
            batch.is_some(),
        );
    }
    out
}
