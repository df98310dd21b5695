//! What an operator does to meters and prices from the page or a script: the same acts as on the command line.

use super::Shared;
use super::acts::told;
use crate::access::Who;
use crate::operator::{Announcement, MeterAct, NotDone, Typed, changes, since};
use actix_web::{HttpResponse, web};
use actors::RecordFailed;
use domain::AccountId;
use ledger::{Ledger, LedgerError};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// The fields of a body, taken one by one, and what is wrong with them.
struct Fields {
    left: Map<String, Value>,
    wrong: Vec<String>,
}

impl Fields {
    fn read(body: &[u8]) -> Result<Self, NotDone> {
        match serde_json::from_slice(body) {
            _ if body.is_empty() => Ok(Self { left: Map::new(), wrong: Vec::new() }),
            Ok(Value::Object(left)) => Ok(Self { left, wrong: Vec::new() }),
            Ok(other) => Err(NotDone::Wrong(format!("the body is {other}, must be a JSON object"))),
            Err(e) => Err(NotDone::Wrong(format!("the body must be JSON: {e}"))),
        }
    }

    fn optional(&mut self, key: &str) -> Option<String> {
        match self.left.remove(key)? {
            Value::Null => None,
            Value::String(text) if text.trim().is_empty() => None,
            Value::String(text) => Some(text.trim().to_owned()),
            other => {
                self.wrong.push(format!("{key} is {other}, must be text"));
                None
            }
        }
    }

    fn required(&mut self, key: &str) -> String {
        let before = self.wrong.len();
        let found = self.optional(key);
        if found.is_none() && self.wrong.len() == before {
            self.wrong.push(format!("{key} is missing"));
        }
        found.unwrap_or_default()
    }

    /// What is wrong with the fields, and which are left over.
    fn finish(mut self) -> Result<(), Vec<String>> {
        self.wrong.extend(self.left.keys().map(|key| format!("{key} is no field of this act")));
        if self.wrong.is_empty() { Ok(()) } else { Err(self.wrong) }
    }
}

/// `POST /api/v1/meters/ID/ACT`
pub(super) async fn meter(
    shared: web::Data<Shared>,
    path: web::Path<(String, String)>,
    body: web::Bytes,
    who: web::ReqData<Who>,
) -> HttpResponse {
    let by = who.into_inner().name;
    let (meter, act) = path.into_inner();
    let act = match meter_act(&act, &body, &shared) {
        Ok(act) => act,
        Err(not) => return told(&shared, &not),
    };
    let (config, now) = (shared.config(), shared.stamp());
    answer(&shared, move |ledger| act.carry_out(&meter, &config, ledger, now, &by)).await
}

fn meter_act(act: &str, body: &[u8], shared: &Shared) -> Result<MeterAct, NotDone> {
    let mut fields = Fields::read(body)?;
    let wrong = |wrong: Vec<String>| NotDone::Wrong(wrong.join("; "));
    match act {
        "release" => fields.finish().map_err(wrong).map(|()| MeterAct::Release),
        "replace" => {
            let (last, last_export) = (fields.required("final_import"), fields.optional("final_export"));
            let (first, first_export) = (fields.required("start_import"), fields.optional("start_export"));
            let at = fields.optional("at");
            // What is missing is said once; what is there is judged all the same.
            let filled = |text: &str| if text.is_empty() { "0Wh".to_owned() } else { text.to_owned() };
            let (last, first) = (filled(&last), filled(&first));
            let typed = Typed {
                last: (&last, last_export.as_deref()),
                first: (&first, first_export.as_deref()),
                at: at.as_deref(),
            };
            let read = MeterAct::replace(typed, &shared.config());
            match (fields.finish(), read) {
                (Ok(()), read) => read,
                (Err(first), Err(more)) => Err(wrong([first, vec![more.to_string()]].concat())),
                (Err(first), Ok(_)) => Err(wrong(first)),
            }
        }
        "move" => {
            let account = fields.required("account");
            if let (false, Err(e)) = (account.is_empty(), account.parse::<AccountId>()) {
                fields.wrong.push(format!("account: {e}"));
            }
            fields.finish().map_err(wrong)?;
            let to = account.parse().map_err(|e: domain::BadId| NotDone::Wrong(e.to_string()))?;
            Ok(MeterAct::Move { to })
        }
        _ => Err(NotDone::NoAccount("there is release, replace and move".into())),
    }
}

/// `GET /api/v1/tariff`: every version in words, and the newest as the table that announces it again.
pub(super) async fn tariff(shared: web::Data<Shared>) -> HttpResponse {
    let (config, now) = (shared.config(), shared.now());
    let read = move |ledger: &Ledger| {
        let Some(schedule) = ledger.schedule()? else { return Ok(json!({ "versions": [] })) };
        let (newest, holds) = (schedule.newest(), schedule.at(now).version);
        let mut before = None;
        let mut versions = Vec::new();
        for version in schedule.versions() {
            let state = match version.version {
                v if v == holds => "holds",
                _ if version.since > now => "announced",
                _ => "past",
            };
            versions.push(json!({
                "version": version.version, "state": state, "since": since(version),
                "since_local": version.zone.day_and_time(version.since),
                "changes": before.map(|before| changes(before, version, &config)).unwrap_or_default(),
            }));
            before = Some(version);
        }
        Ok(json!({
            "versions": versions,
            "newest": newest.version,
            "currency": config.currency.code,
            "timezone": config.tariff.zone,
            "terms": crate::config::prices::written(newest, &config.currency, false),
            "configuration": changes(newest, &config.tariff, &config),
        }))
    };
    match shared.scribe().read(read).await {
        Ok(json) => HttpResponse::Ok().json(json),
        Err(error) => HttpResponse::ServiceUnavailable().body(error.to_string()),
    }
}

/// `POST /api/v1/tariff/announce`, and `…/preview`, which changes nothing.
pub(super) async fn announce(
    shared: web::Data<Shared>,
    act: web::Path<String>,
    body: web::Bytes,
    who: web::ReqData<Who>,
) -> HttpResponse {
    let by = who.into_inner().name;
    let try_only = match act.as_str() {
        "announce" => false,
        "preview" => true,
        _ => return told(&shared, &NotDone::NoAccount("there is announce and preview".into())),
    };
    let fields = match Fields::read(&body) {
        Ok(fields) => fields.left,
        Err(not) => return told(&shared, &not),
    };
    let (config, now) = (shared.config(), shared.now());
    let work = move |ledger: &Ledger| {
        let Some(schedule) = ledger.schedule()? else {
            return Ok(Err(NotDone::Refused("there is no tariff yet".into())));
        };
        match Announcement::new(fields, &config, &schedule) {
            Ok(announcement) => announcement.announce(&config, ledger, now, &by, try_only),
            Err(not) => Ok(Err(not)),
        }
    };
    answer(&shared, work).await
}

async fn answer<T: Serialize + Send + 'static>(
    shared: &Shared,
    work: impl FnOnce(&Ledger) -> Result<Result<T, NotDone>, LedgerError> + Send + 'static,
) -> HttpResponse {
    let done: Result<_, RecordFailed> = shared.scribe().work(work).await;
    match done {
        Ok(Ok(done)) => HttpResponse::Ok().json(done),
        Ok(Err(not)) => told(shared, &not),
        Err(error) => HttpResponse::ServiceUnavailable().body(error.to_string()),
    }
}
