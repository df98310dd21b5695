//! `receipt`: what a customer gets, and how anybody checks it.

use crate::cli::{Make, ReceiptVerb};
use crate::failure::{Code, Failure};
use crate::receipt::{self, Asked, Receipt};
use crate::verbs::{open_ledger, print};
use contracts::rpc::JsonRpc;
use domain::{AccountId, Timestamp};
use std::path::Path;
use std::time::Duration;

/// Larger files are no receipts: a year of quarter hours takes some 60 MiB.
const LARGEST: u64 = 512 << 20;

/// `receipt`
pub fn run(verb: Option<&ReceiptVerb>, make: &Make) -> Result<(), Failure> {
    match verb {
        Some(ReceiptVerb::Verify { file, rpc }) => verify(file, rpc),
        None => self::make(make),
    }
}

fn make(make: &Make) -> Result<(), Failure> {
    let usage = |what: String| Failure::new(Code::Usage, what);
    let Some(account) = &make.account else { return Err(usage("which account? receipt ACCOUNT".into())) };
    let account: AccountId = account.parse().map_err(|e: domain::BadId| usage(e.to_string()))?;
    let (config, ledger) = open_ledger(&make.config)?;
    let zone = &config.tariff.zone;
    let instant = |text: &Option<String>, fallback| match text {
        Some(text) => zone.instant(text).map_err(&usage),
        None => Ok(fallback),
    };
    let now = crate::clock::open(&config)?.now();
    let (from, to) = (instant(&make.from, Timestamp(0))?, instant(&make.to, now + Duration::from_secs(1))?);
    if from >= to {
        return Err(usage(format!("nothing lies between {from} and {to}: --from must be before --to")));
    }
    let asked = Asked {
        site: &config.site,
        currency: &config.currency,
        chain_id: config.chain.chain_id,
        account: &account,
        from,
        to,
        now,
    };
    let Some(receipt) = receipt::receipt(&ledger, &asked)? else {
        return Err(Failure::new(Code::Found, format!("there is no account {account}")));
    };
    match (make.html, make.text) {
        (true, _) => print(&receipt::html(&receipt)),
        (_, true) => print(&format!("{}\n", receipt::short(&receipt))),
        _ => {
            let json = serde_json::to_string_pretty(&receipt).map_err(|e| Failure::new(Code::Internal, e))?;
            print(&format!("{json}\n"))
        }
    }
}

fn verify(file: &Path, rpc: &str) -> Result<(), Failure> {
    let wrong = |what: String| Failure::new(Code::Data, format!("{}: {what}", file.display()));
    let size = std::fs::metadata(file).map_err(|e| wrong(e.to_string()))?.len();
    if size > LARGEST {
        return Err(wrong(format!("{size} bytes are more than a receipt has")));
    }
    let text = std::fs::read_to_string(file).map_err(|e| wrong(e.to_string()))?;
    let receipt: Receipt = serde_json::from_str(&text).map_err(|e| wrong(format!("this is no receipt: {e}")))?;
    let chain = JsonRpc::new(rpc, Duration::from_secs(10))?;
    let verdict = receipt::verify(&receipt, &chain)?;
    let json = serde_json::to_string(&verdict).map_err(|e| Failure::new(Code::Internal, e))?;
    print(&format!("{json}\n"))?;
    match verdict.wrong.as_slice() {
        [] => Ok(()),
        wrong => Err(Failure::new(Code::Found, format!("{}: {}", file.display(), wrong.join("; ")))),
    }
}
