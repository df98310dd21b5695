//! A receipt to read: as one page that prints well, and as a text short enough to be sent.

use super::{ProvedLine, Receipt};
use domain::{Currency, Kind, Money, TimeZone, Timestamp};
use std::fmt::Write;

const STYLE: &str = "
body{font:14px/1.4 system-ui,sans-serif;color:#1a1a1a;max-width:60rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 .5rem}
table{border-collapse:collapse;width:100%}th,td{padding:.25rem .5rem;text-align:right;border-bottom:1px solid #ddd}
th{font-weight:600;border-bottom:2px solid #888}th:first-child,td:first-child,.l{text-align:left}
tfoot td{font-weight:600;border-top:2px solid #888}.m{color:#555}code{font-size:.85em;overflow-wrap:anywhere}
@media print{body{margin:0;max-width:none;font-size:10px}thead{display:table-header-group}tr{break-inside:avoid}
@page{size:A4;margin:15mm}}";

/// One page, with everything in it.
pub fn html(receipt: &Receipt) -> String {
    let (unit, zone) = (&receipt.currency, zone(receipt));
    let mut out = String::new();
    let day = |at| zone.day_and_time(at);
    let s = &receipt.sums;
    // Writing to a text cannot fail.
    let _ = write!(
        out,
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>\
         <title>Receipt {account}</title><style>{STYLE}</style><h1>Receipt for {account}</h1>\
         <p class=m>{site}, account {number}. {from} to {to} ({zone}), made {made}.</p>\
         <table><tbody><tr><td>Energy from the grid<td>{import} Wh<tr><td>of that free<td>{free} Wh\
         <tr><td>Energy to the grid<td>{export} Wh<tr><td>Energy<td>{energy}<tr><td>Network<td>{network}\
         <tr><td>Demand<td>{demand}<tr><td>Daily charges<td>{daily}<tr><td>Tax<td>{tax}</tbody>\
         <tfoot><tr><td>Charged<td>{charged}<tr><td>Paid to you for energy<td>{credited}\
         <tr><td>Payments and other movements<td>{moved}<tr><td>Balance when this was made<td>{balance}</tfoot></table>",
        account = escape(receipt.account.as_str()),
        site = escape(&receipt.site),
        number = receipt.number,
        from = day(receipt.from),
        to = day(receipt.to),
        zone = escape(&String::from(zone.clone())),
        made = day(receipt.made_at),
        import = s.import.0,
        free = s.free.0,
        export = s.export.0,
        energy = unit.show(s.energy),
        network = unit.show(s.network),
        demand = unit.show(s.demand),
        daily = unit.show(s.daily),
        tax = unit.show(s.tax),
        charged = unit.show(s.charged),
        credited = unit.show(s.credited),
        moved = unit.show(s.moved),
        balance = unit.show(receipt.balance),
    );
    if receipt.debt != Money::ZERO {
        let _ = write!(out, "<p>Owed beside the balance, and paid back by and by: {}.", unit.show(receipt.debt));
    }
    if !receipt.movements.is_empty() {
        out.push_str("<h2>Payments</h2><table><thead><tr><th>When<th class=l>What<th>Balance<th>Debt<tbody>");
        for m in &receipt.movements {
            let (what, at) = (escape(&m.what), day(m.at));
            let (balance, debt) = (unit.plain(m.balance), unit.plain(m.debt));
            let _ = write!(out, "<tr><td>{at}<td class=l><code>{what}</code><td>{balance}<td>{debt}");
        }
        out.push_str("</table>");
    }
    out.push_str(
        "<h2>Every line</h2><table><thead><tr><th>From<th>To<th class=l>What<th>Register<th>Wh<th>free<th>out\
         <th>Charged<th>Paid<th>Tariff<th>Batch<tbody>",
    );
    for line in &receipt.lines {
        row(&mut out, line, unit, &zone);
    }
    out.push_str("</table><h2>How to check it</h2><p>");
    let _ = write!(
        out,
        "Ask for this receipt as a file, and run <code>microgrid-gateway receipt verify FILE --rpc URL</code> with any \
         node of chain {}. It needs nothing else: each line is shown to lie under the root that its batch left there.",
        receipt.chain_id
    );
    if let Some(provider) = &receipt.provider {
        let _ = write!(out, " The contract is <code>{}</code>.", escape(provider));
    }
    for batch in &receipt.batches {
        let (transaction, root) = (escape(&batch.transaction), escape(&batch.root));
        let _ = write!(
            out,
            "<br><span class=m>Batch {}: transaction <code>{transaction}</code>, root <code>{root}</code></span>",
            batch.sequence
        );
    }
    out.push('\n');
    out
}

fn row(out: &mut String, proved: &ProvedLine, unit: &Currency, zone: &TimeZone) {
    let line = &proved.line;
    let what = match line.kind {
        Kind::OffPeak => "off-peak",
        Kind::Peak => "peak",
        Kind::Daily => "daily charge",
        Kind::PoolShare => "share of the pool",
        Kind::Withheld => "fed in beyond the dispatch, not paid:",
    };
    let meter = line.meter.as_ref().map_or_else(String::new, |m| format!(" {}", escape(m.as_str())));
    let register = if line.kind == Kind::Withheld {
        format!("{} Wh of {} dispatched", line.export_from.0, line.import_from.0)
    } else if line.meter.is_some() {
        format!("{} → {}", line.import_from.0, line.import_from.0.saturating_add(line.import.0))
    } else {
        String::new()
    };
    let batch = match (&proved.proof, proved.batch) {
        (Some(_), Some(batch)) => batch.to_string(),
        _ => "not yet".to_owned(),
    };
    let _ = write!(
        out,
        "<tr><td>{}<td>{}<td class=l>{what}{meter}<td>{register}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{batch}",
        zone.day_and_time(line.from),
        zone.hh_mm(line.to),
        line.import.0,
        line.free.0,
        line.export.0,
        unit.plain(line.debit.total().unwrap_or_default()),
        unit.plain(line.credit),
        line.tariff,
    );
}

/// At most 160 characters of GSM's alphabet, as one message holds.
pub fn short(receipt: &Receipt) -> String {
    let (unit, zone) = (&receipt.currency, zone(receipt));
    let cents = |money: Money| {
        // To the cent, towards zero: a message is no bill.
        let cent = (unit.scale() / 100).max(1);
        unit.show(Money(money.0 / cent * cent))
    };
    let date = |at: Timestamp| zone.day_and_time(at).chars().take(10).collect::<String>();
    let kwh = receipt.sums.import.0 / 10;
    let text = format!(
        "{} {} to {}: {}.{:02} kWh, charged {}, paid in {}. Balance {}.",
        receipt.account,
        date(receipt.from),
        date(Timestamp(receipt.to.0.saturating_sub(1))),
        kwh / 100,
        kwh % 100,
        cents(receipt.sums.charged),
        cents(receipt.sums.moved),
        cents(receipt.balance),
    );
    text.chars().take(160).collect()
}

fn zone(receipt: &Receipt) -> TimeZone {
    receipt.tariffs.last().map_or_else(TimeZone::utc, |t| t.zone.clone())
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}
