//! Knows which price range holds when, and announces tomorrow's by a forecast where that is wanted.
//!
//! Every day at a set local time it forecasts the homes' load of the next day from the recorded registers, makes ranges of
//! it, and announces them through the ledger: a version of the tariff from midnight on. Whatever goes wrong, the ranges
//! that hold stay, and the board says why.

mod prices;
mod propose;

pub use prices::{PricesLive, Stretch};
pub use propose::NoRanges;

use crate::{Board, RecordFailed, Scribe};
use actix::prelude::*;
use domain::{Clock, LoadTable, Schedule, TimeZone, Timestamp};
use ledger::{Grid, Group, Ranged};
use propose::propose;
use std::sync::Arc;
use std::time::Duration;

/// How often it looks at the clock, on that clock; in real time at least every [`LONGEST_SLEEP`].
const EVERY: Duration = Duration::from_secs(60);
const LONGEST_SLEEP: Duration = Duration::from_secs(30);
const SHORTEST_SLEEP: Duration = Duration::from_millis(200);
/// While a forecast is being made, it shows that it lives so often.
const PULSE: Duration = Duration::from_secs(5);
/// After a failure it tries again, on the gateway's clock.
const RETRY: Duration = Duration::from_secs(15 * 60);
/// Prices are looked up anew so often, and when another begins.
const QUARTER: Duration = Duration::from_secs(900);
/// The most that a forecast learns from.
const HISTORY: Duration = Duration::from_secs(400 * 86_400);
/// In whose name ranges are announced.
const WHO: &str = "the forecast";

/// How ranges follow from a forecast.
#[derive(Clone, Debug)]
pub struct ForecastPlan {
    /// The meters whose load it is.
    pub homes: Group,
    /// Length of a slot, and how the registers of these meters are judged.
    pub grid: Grid,
    /// When it forecasts, in minutes of the local day. The history ends there, whenever it is done.
    pub at_minute: u16,
    /// Days of history that are needed.
    pub least_days: u32,
    /// How long before their day ranges are announced at the latest.
    pub notice: Duration,
    /// How long a range lasts at least.
    pub min_run: Duration,
    /// Switches a day at most.
    pub max_switches: usize,
    /// How far beyond the middle a slot has to lie to leave yesterday's range, in thousandths.
    pub hysteresis: u32,
    /// Of all that is random.
    pub seed: u64,
}

/// What the Ranger needs to know.
#[derive(Clone, Debug)]
pub struct RangerPlan {
    /// Where the site is, as far as clocks go.
    pub zone: TimeZone,
    /// How ranges follow from a forecast; `None` if they are fixed.
    pub forecast: Option<ForecastPlan>,
}

/// Makes ranges.
pub struct Ranger {
    plan: Arc<RangerPlan>,
    clock: Clock,
    scribe: Scribe,
    board: Board,
}

impl Ranger {
    /// A ranger.
    #[must_use]
    pub fn new(plan: RangerPlan, clock: Clock, scribe: Scribe, board: Board) -> Self {
        Self { plan: Arc::new(plan), clock, scribe, board }
    }
}

impl Actor for Ranger {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let work = follow(Arc::clone(&self.plan), self.clock.clone(), self.scribe.clone(), self.board.clone());
        ctx.spawn(work.into_actor(self));
    }
}

/// What a schedule said, and for how long it says so.
struct Told {
    version: u32,
    from: Timestamp,
    until: Timestamp,
    prices: PricesLive,
}

/// What came of the last try.
#[derive(Default)]
struct Last {
    waiting: Option<String>,
    problem: Option<String>,
    /// Not before then another.
    again: Timestamp,
}

async fn follow(plan: Arc<RangerPlan>, clock: Clock, scribe: Scribe, board: Board) {
    let (mut last, mut told) = (Last::default(), None);
    loop {
        match scribe.read(|ledger| Ok((ledger.schedule()?, ledger.ranged()?))).await {
            Ok((schedule, mut days)) => {
                if let Some(forecast) = &plan.forecast {
                    days.extend(attempt(&plan, forecast, &days, &mut last, &clock, &scribe, &board).await);
                }
                // Read again if something was announced just now.
                let schedule = match scribe.read(ledger::Ledger::schedule).await {
                    Ok(newest) => newest,
                    Err(_) => schedule,
                };
                tell(&plan, schedule.as_ref(), days.pop(), &last, &mut told, clock.now(), &board);
            }
            Err(error) => tracing::debug!(%error, "prices are told later"),
        }
        board.pulse("ranger");
        tokio::time::sleep(clock.real(EVERY).clamp(SHORTEST_SLEEP, LONGEST_SLEEP)).await;
    }
}

fn tell(
    plan: &RangerPlan,
    schedule: Option<&Schedule>,
    ahead: Option<Ranged>,
    last: &Last,
    told: &mut Option<Told>,
    now: Timestamp,
    board: &Board,
) {
    let Some(schedule) = schedule else { return };
    let version = schedule.newest().version;
    let told = match told {
        Some(told) if told.version == version && told.from <= now && now < told.until => told,
        told => {
            let prices = PricesLive::at(schedule, now);
            // Nothing of it changes within a quarter of an hour but the stretch that it is.
            let border = now.floor_to(QUARTER) + QUARTER;
            let until = prices.now.as_ref().map_or(border, |s| s.to.min(border));
            told.insert(Told { version, from: now, until, prices })
        }
    };
    let prices = PricesLive {
        by_forecast: plan.forecast.is_some(),
        ahead: ahead.filter(|_| plan.forecast.is_some()),
        waiting: last.waiting.clone(),
        problem: last.problem.clone(),
        ..told.prices.clone()
    };
    if board.look().prices != prices {
        board.update(|live| live.prices = prices);
    }
}

/// The day whose ranges are due to be announced: a local day, its beginning, and when its history ends.
fn due(zone: &TimeZone, plan: &ForecastPlan, days: &[Ranged], now: Timestamp) -> Option<(i32, Timestamp, Timestamp)> {
    let local = zone.local(now);
    let from = zone.day_begins(local.day + 1)?;
    let until = zone.day_begins(local.day)? + Duration::from_secs(u64::from(plan.at_minute) * 60);
    // On the days on which clocks change, the set time is an hour off: never mind, but never in the future.
    let is_due = local.minute >= plan.at_minute && until <= now && days.iter().all(|d| d.day.from != from);
    is_due.then_some((local.day + 1, from, until.floor_to(plan.grid.interval)))
}

/// Announces tomorrow if that is due.
async fn attempt(
    plan: &RangerPlan,
    forecast: &ForecastPlan,
    days: &[Ranged],
    last: &mut Last,
    clock: &Clock,
    scribe: &Scribe,
    board: &Board,
) -> Option<Ranged> {
    let now = clock.now();
    let (day, from, until) = due(&plan.zone, forecast, days, now)?;
    // A clock that was set back waits no longer than usual.
    if now < last.again && last.again <= now + RETRY {
        return None;
    }
    last.again = now + RETRY;
    if now + forecast.notice > from {
        if last.problem.is_none() && last.waiting.is_none() {
            last.problem = Some(format!("it is too late to announce ranges from {from} on: today's stay"));
        }
        return None;
    }
    if let Some(why) = board.look().clock_problem.clone() {
        last.waiting = Some(format!("the clock is not trusted: {why}"));
        return None;
    }
    match announce(plan, forecast, days, day, until, clock, scribe, board).await {
        Ok(ranged) => {
            *last = Last::default();
            Some(ranged)
        }
        Err(Failed::No(young @ NoRanges::Young { .. })) => {
            (last.waiting, last.problem) = (Some(young.to_string()), None);
            None
        }
        Err(failed) => {
            let problem = failed.to_string();
            if last.problem.as_ref() != Some(&problem) {
                tracing::warn!(%problem, "tomorrow's price ranges stay as today's");
            }
            (last.waiting, last.problem) = (None, Some(problem));
            None
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    No(#[from] NoRanges),
    #[error(transparent)]
    Ledger(#[from] RecordFailed),
}

#[allow(clippy::too_many_arguments, reason = "one step of the actor")]
async fn announce(
    plan: &RangerPlan,
    forecast: &ForecastPlan,
    days: &[Ranged],
    day: i32,
    until: Timestamp,
    clock: &Clock,
    scribe: &Scribe,
    board: &Board,
) -> Result<Ranged, Failed> {
    let (grid, group, zone) = (forecast.grid.clone(), forecast.homes.clone(), plan.zone.clone());
    let yesterday = plan.zone.day_begins(day - 1);
    let yesterday = days.iter().find(|d| Some(d.day.from) == yesterday).map(|d| d.day.labels.clone());
    let forecast = forecast.clone();
    let history = scribe.read(move |ledger| {
        let (_, gone) = ledger.let_go_of()?;
        let oldest = ledger.readings_after(gone, 1)?.first().map_or(until, |(_, reading)| reading.at);
        ledger.history(oldest.max(until - HISTORY), until, grid, &[group], &zone)
    });
    let history: LoadTable = alive(board, history).await?;
    let zone = plan.zone.clone();
    let work = tokio::task::spawn_blocking(move || propose(&forecast, &zone, &history, day, yesterday.as_deref()));
    // A join error is a panic, on which the process aborts in release.
    let proposed = alive(board, work).await.map_err(|_| RecordFailed::Stopped)??;
    let now = clock.now();
    Ok(scribe.work(move |ledger| ledger.announce_ranges(now, &proposed, WHO)).await?)
}

/// Waits for work that takes a while, and shows meanwhile that the actor lives.
async fn alive<T>(board: &Board, work: impl Future<Output = T>) -> T {
    tokio::pin!(work);
    loop {
        board.pulse("ranger");
        if let Ok(done) = tokio::time::timeout(PULSE, &mut work).await {
            return done;
        }
    }
}
