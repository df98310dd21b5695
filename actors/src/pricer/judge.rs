//! From balances to leases: applies each customer's terms, writes down what changed, and only then says who may have
//! what.

use super::PricerPlan;
use crate::{AccountLive, Board, Lease, Leases, RecordFailed, Scribe};
use domain::terms::{Situation, lasts};
use domain::{AccountId, Calendar, Clock, ClockTrust, Emergency, Fact, Money, Stamp, Standing, Timestamp, WattHours};
use ledger::{AccountRow, Ledger, LedgerError, Write};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A forecast looks back so far.
const LOOK_BACK: Duration = Duration::from_secs(7 * 24 * 3600);
/// A forecast is made anew after so long on the gateway's clock: it reads a week of every account's bill.
const FORECAST_EVERY: Duration = Duration::from_secs(15 * 60);

/// Judges accounts, round after round.
pub(super) struct Judge {
    calendar: Calendar,
    clock: Clock,
    trust: Option<ClockTrust>,
    begun: Instant,
    /// By account: what it spent of late, and in what time.
    spent: BTreeMap<AccountId, (Money, Duration)>,
    forecast_at: Option<Instant>,
}

/// What the ledger says about everybody.
struct Facts {
    accounts: BTreeMap<AccountId, AccountRow>,
    emergencies: BTreeMap<AccountId, Emergency>,
    /// When each meter was last heard of, unless it is held.
    heard: BTreeMap<domain::MeterId, Timestamp>,
    newest: Option<Stamp>,
    used_today: BTreeMap<AccountId, WattHours>,
    spent: Option<BTreeMap<AccountId, (Money, Duration)>>,
}

impl Judge {
    pub(super) fn new(zone: &domain::TimeZone, clock: &Clock) -> Self {
        Self {
            calendar: Calendar::new(zone),
            clock: clock.clone(),
            trust: None,
            begun: Instant::now(),
            spent: BTreeMap::new(),
            forecast_at: None,
        }
    }

    /// One round over all accounts.
    pub(super) async fn judge(
        &mut self,
        plan: &Arc<PricerPlan>,
        scribe: &Scribe,
        board: &Board,
    ) -> Result<Leases, RecordFailed> {
        let stamp = self.clock.stamp();
        let forecast = self.forecast_at.is_none_or(|at| at.elapsed() >= self.clock.real(FORECAST_EVERY));
        let (p, calendar) = (Arc::clone(plan), self.calendar.clone());
        let facts = scribe.read(move |ledger| Facts::read(ledger, &p, &calendar, stamp.at, forecast)).await?;
        let now = self.trusted(stamp, facts.newest, board);
        let (mut changes, mut leases) = (Vec::new(), Vec::new());
        let mut lives = BTreeMap::new();
        if let Some(spent) = &facts.spent {
            (self.spent, self.forecast_at) = (spent.clone(), Some(Instant::now()));
        }
        for account in &plan.accounts {
            let Some(row) = facts.accounts.get(&account.id) else { continue };
            let before = facts.emergencies.get(&account.id).copied().unwrap_or_default();
            let situation = Situation {
                balance: row.balance,
                paid_in: row.topped_up.0 != 0 && !row.unlocked,
                credit: row.credit,
                emergency: before,
                used_today: facts.used_today.get(&account.id).copied(),
                now,
            };
            let standing = account.terms.judge(&situation, &self.calendar);
            changes.extend(news(&account.id, row, before, &standing));
            let fresh = |meter| facts.heard.get(meter).is_some_and(|at| stamp.at.since(*at) <= plan.stale_after);
            leases.push(Lease {
                account: account.id.clone(),
                supply: standing.supply,
                reason: standing.reason,
                fresh: account.meters.iter().all(fresh),
                lasts: plan.lease,
            });
            let left = account.terms.left(row.balance);
            let lasts = self.spent.get(&account.id).and_then(|(spent, history)| lasts(left, *spent, *history));
            let live = AccountLive {
                supply: standing.supply,
                reason: standing.reason,
                credit: standing.credit,
                emergency: standing.emergency,
                friendly_until: standing.friendly_until,
                hours_left: lasts.map(|lasts| lasts.as_secs() / 3600),
            };
            lives.insert(account.id.clone(), live);
        }
        if !changes.is_empty() {
            for recorded in scribe.write_all(changes.into_iter().map(Write::Fact).collect()).await? {
                recorded?;
            }
        }
        if board.look().accounts != lives {
            board.update(|live| live.accounts = lives);
        }
        Ok(Leases(leases))
    }

    /// The time, if the clock can be trusted with it.
    fn trusted(&mut self, stamp: Stamp, newest: Option<Stamp>, board: &Board) -> Option<Timestamp> {
        let passed = self.begun.elapsed() * self.clock.speed();
        // The clock of a street that lives faster is read a little before or after ours: a second of ours is many there.
        let jitter = Duration::from_secs(u64::from(self.clock.speed()) - 1);
        let trust = self.trust.get_or_insert_with(|| ClockTrust::new(stamp, newest, jitter));
        let (now, problem) = match trust.look(stamp, passed) {
            Ok(now) => (Some(now), None),
            Err(why) => (None, Some(format!("{why}; nobody is disconnected for the hour or the day until it is sure"))),
        };
        let known = board.look().clock_problem.clone();
        if known != problem {
            if let Some(problem) = &problem {
                tracing::warn!("{problem}");
            }
            board.update(|live| live.clock_problem = problem);
        }
        now
    }
}

impl Facts {
    fn read(
        ledger: &Ledger,
        plan: &PricerPlan,
        calendar: &Calendar,
        now: Timestamp,
        forecast: bool,
    ) -> Result<Self, LedgerError> {
        let accounts = ledger.accounts()?.into_iter().map(|a| (a.name.clone(), a)).collect();
        let (mut heard, mut newest) = (BTreeMap::new(), None::<Stamp>);
        for (name, book) in ledger.meters()?.into_iter().filter_map(|m| Some((m.name, m.book?))) {
            if newest.is_none_or(|n| n.at < book.at) {
                newest = Some(Stamp { at: book.at, up: book.up });
            }
            if book.held.is_none() {
                heard.insert(name, book.at);
            }
        }
        let mut used_today = BTreeMap::new();
        for account in &plan.accounts {
            let Some(allowance) = account.terms.allowance else { continue };
            let Some(since) = calendar.day_start(now, allowance.reset) else { continue };
            used_today.insert(account.id.clone(), ledger.used_since(&account.id, since)?.import);
        }
        let spent = forecast.then(|| {
            let used = |id: &AccountId| Ok((id.clone(), ledger.used_since(id, now - LOOK_BACK)?));
            let used: Result<Vec<_>, LedgerError> = plan.accounts.iter().map(|a| used(&a.id)).collect();
            let history = |from: Option<Timestamp>| from.map_or(Duration::ZERO, |from| now.since(from));
            Ok::<_, LedgerError>(used?.into_iter().map(|(id, u)| (id, (u.spent, history(u.from)))).collect())
        });
        let emergencies = ledger.emergencies()?;
        Ok(Self { accounts, emergencies, heard, newest, used_today, spent: spent.transpose()? })
    }
}

/// Who takes emergency credit that needs nobody's act.
const CONTRACT: &str = "the contract";

/// What is to be written down about an account before anyone acts on its standing.
fn news(account: &AccountId, row: &AccountRow, before: Emergency, standing: &Standing) -> Vec<Fact> {
    // Credit that is taken without anybody's act goes through the same stages, so that every record reads alike.
    let steps: &[(Emergency, &str)] = match (before, standing.emergency) {
        (before, now) if before == now => &[],
        (_, Emergency::None) => &[(Emergency::None, "")],
        (_, Emergency::Offered) => &[(Emergency::Offered, "")],
        (Emergency::None, Emergency::Accepted) => &[(Emergency::Offered, ""), (Emergency::Accepted, CONTRACT)],
        (_, Emergency::Accepted) => &[(Emergency::Accepted, CONTRACT)],
        (Emergency::Accepted, Emergency::Spent) => &[(Emergency::Spent, "")],
        (Emergency::Offered, Emergency::Spent) => &[(Emergency::Accepted, CONTRACT), (Emergency::Spent, "")],
        (_, Emergency::Spent) => &[(Emergency::Offered, ""), (Emergency::Accepted, CONTRACT), (Emergency::Spent, "")],
    };
    let step = |(emergency, by): &(Emergency, &str)| Fact::EmergencyChanged {
        account: account.clone(),
        emergency: *emergency,
        by: (*by).to_owned(),
    };
    let mut facts: Vec<Fact> = steps.iter().map(step).collect();
    let credit = standing.credit;
    if credit != row.credit {
        facts.push(Fact::CreditChanged { account: account.clone(), credit, balance: row.balance });
    }
    facts
}
