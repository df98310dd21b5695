//! Meters that do not answer: what they cost the others on their bus, and what the board says of it.

use crate::street::paused_clock;
use actix::Actor as _;
use actors::{Board, MeterPlan, Poller, Recorder};
use async_trait::async_trait;
use domain::{BusId, Clock, MeterId, Reading, WattHours};
use drivers::{DeviceError, Meter, Outlook, Pace};
use ledger::{Enrolment, Ledger};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(1);

/// How many are asked at the same time.
#[derive(Default)]
struct Together {
    now: AtomicUsize,
    most: AtomicUsize,
}

struct Turn<'a>(&'a Together);

impl<'a> Turn<'a> {
    fn begin(together: &'a Together) -> Self {
        let now = together.now.fetch_add(1, Ordering::SeqCst) + 1;
        together.most.fetch_max(now, Ordering::SeqCst);
        Self(together)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::SeqCst);
    }
}

struct Fake {
    id: MeterId,
    clock: Clock,
    silent: AtomicBool,
    count: AtomicI64,
    takes: Duration,
    beside: usize,
    together: Arc<Together>,
}

#[async_trait]
impl Meter for Fake {
    async fn read(&self) -> Result<Reading, DeviceError> {
        let _turn = Turn::begin(&self.together);
        if self.silent.load(Ordering::SeqCst) {
            tokio::time::sleep(TIMEOUT).await;
            return Err(DeviceError::Silent { waited: TIMEOUT });
        }
        tokio::time::sleep(self.takes).await;
        let import = Some(WattHours(self.count.fetch_add(1, Ordering::SeqCst)));
        Ok(Reading { import, ..Reading::empty(self.id.clone(), self.clock.now()) })
    }

    fn pace(&self) -> Pace {
        Pace::Polled
    }

    fn outlook(&self) -> Outlook {
        Outlook { patience: TIMEOUT, beside: self.beside, ..Outlook::default() }
    }
}

/// A poller of so many meters, of which the first ones are silent.
fn watch(dir: &Path, fakes: impl Iterator<Item = Fake>, period: Duration, clock: &Clock) -> (Vec<Arc<Fake>>, Board) {
    let fakes: Vec<Arc<Fake>> = fakes.map(Arc::new).collect();
    let ledger = Arc::new(Ledger::open(&dir.join("ledger.db")).unwrap());
    let meters = fakes.iter().map(|fake| (fake.id.clone(), None)).collect();
    ledger.enrol(&Enrolment { accounts: Vec::new(), meters }).unwrap();
    let scribe = Recorder::launch(ledger, clock.clone()).unwrap();
    let plan = |fake: &Arc<Fake>| MeterPlan {
        id: fake.id.clone(),
        meter: Arc::clone(fake) as Arc<dyn Meter>,
        period,
        patience: TIMEOUT,
        billed: false,
    };
    let (bus, board): (BusId, _) = ("line".parse().unwrap(), Board::default());
    Poller::new(bus, fakes.iter().map(plan).collect(), clock.clone(), scribe, board.clone()).start();
    (fakes, board)
}

fn counts(fakes: &[Arc<Fake>]) -> Vec<i64> {
    fakes.iter().map(|f| f.count.load(Ordering::SeqCst)).collect()
}

fn in_virtual_time(test: impl AsyncFnOnce(Clock)) {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    actix::System::with_tokio_rt(runtime).block_on(async { test(paused_clock()).await });
}

fn fake(n: usize, silent: usize, clock: &Clock) -> Fake {
    Fake {
        id: format!("m{n:02}").parse().unwrap(),
        clock: clock.clone(),
        silent: AtomicBool::new(n < silent),
        count: AtomicI64::new(0),
        takes: Duration::from_millis(10),
        beside: 0,
        together: Arc::default(),
    }
}

#[test]
fn four_at_a_time_keep_a_period_that_one_after_the_other_cannot_also_with_a_silent_unit_among_them() {
    let dir = tempfile::tempdir().unwrap();
    in_virtual_time(async |clock| {
        // Twenty at 60 ms are 1.2 s one after the other.
        let (period, together) = (Duration::from_millis(500), Arc::new(Together::default()));
        let slow = |n| Fake {
            takes: Duration::from_millis(60),
            beside: 3,
            together: Arc::clone(&together),
            ..fake(n, 1, &clock)
        };
        let (fakes, board) = watch(dir.path(), (0..20).map(slow), period, &clock);
        tokio::time::sleep(Duration::from_secs(60)).await;
        let before = counts(&fakes);
        tokio::time::sleep(Duration::from_secs(300)).await;
        for (n, count) in counts(&fakes).into_iter().enumerate() {
            let readings = count - before[n];
            assert!(if n < 1 { readings == 0 } else { readings >= 590 }, "meter {n}: {readings} in five minutes");
        }
        assert_eq!(together.most.load(Ordering::SeqCst), 4);
        assert!(!board.look().devices["m00"].ok && board.look().devices["m19"].ok);
        assert!(board.pulses().values().all(|age| *age < Duration::from_secs(1)));
    });
}

#[test]
fn five_silent_meters_of_fifty_leave_the_others_their_second_and_are_back_as_soon_as_they_answer() {
    let dir = tempfile::tempdir().unwrap();
    in_virtual_time(async |clock| {
        let (fakes, board) = watch(dir.path(), (0..50).map(|n| fake(n, 5, &clock)), TIMEOUT, &clock);
        tokio::time::sleep(Duration::from_secs(60)).await;
        let before = counts(&fakes);
        tokio::time::sleep(Duration::from_secs(600)).await;
        for (n, fake) in fakes.iter().enumerate() {
            let readings = fake.count.load(Ordering::SeqCst) - before[n];
            assert!(if n < 5 { readings == 0 } else { readings >= 570 }, "meter {n}: {readings} in ten minutes");
        }
        let health = |n: usize| board.look().devices[fakes[n].id.as_str()].clone();
        assert!(!health(0).ok && health(0).failures >= 2);
        let live = health(49);
        assert!(live.ok && live.period_ms.is_some_and(|ms| (950..=1100).contains(&ms)), "{live:?}");
        assert!(live.latency_ms.is_some_and(|ms| (10..=12).contains(&ms)), "{live:?}");

        fakes[0].silent.store(false, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_secs(300)).await;
        let back = health(0);
        assert!(back.ok && back.problem.is_none() && back.failures == 0, "{back:?}");
        assert!(back.period_ms.is_some_and(|ms| (950..=1100).contains(&ms)), "{back:?}");
    });
}
