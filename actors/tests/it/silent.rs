//! Meters that do not answer: what they cost the others on their bus, and what the board says of it.

use crate::street::paused_clock;
use actix::Actor as _;
use actors::{Board, MeterPlan, Poller, Recorder};
use async_trait::async_trait;
use domain::{BusId, Clock, MeterId, Reading, WattHours};
use drivers::{DeviceError, Meter, Outlook, Pace};
use ledger::{Enrolment, Ledger};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(1);

struct Fake {
    id: MeterId,
    clock: Clock,
    silent: AtomicBool,
    count: AtomicI64,
}

#[async_trait]
impl Meter for Fake {
    async fn read(&self) -> Result<Reading, DeviceError> {
        if self.silent.load(Ordering::SeqCst) {
            tokio::time::sleep(TIMEOUT).await;
            return Err(DeviceError::Silent { waited: TIMEOUT });
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        let import = Some(WattHours(self.count.fetch_add(1, Ordering::SeqCst)));
        Ok(Reading { import, ..Reading::empty(self.id.clone(), self.clock.now()) })
    }

    fn pace(&self) -> Pace {
        Pace::Polled
    }

    fn outlook(&self) -> Outlook {
        Outlook { not_before: None, patience: TIMEOUT }
    }
}

#[test]
fn five_silent_meters_of_fifty_leave_the_others_their_second_and_are_back_as_soon_as_they_answer() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    actix::System::with_tokio_rt(runtime).block_on(async {
        let clock = paused_clock();
        let ids: Vec<MeterId> = (0..50).map(|n| format!("m{n:02}").parse().unwrap()).collect();
        let ledger = Arc::new(Ledger::open(&dir.path().join("ledger.db")).unwrap());
        let meters = ids.iter().map(|id| (id.clone(), None)).collect();
        ledger.enrol(&Enrolment { accounts: Vec::new(), meters }).unwrap();
        let scribe = Recorder::launch(ledger, clock.clone()).unwrap();
        let fake = |(n, id): (usize, &MeterId)| {
            let silent = AtomicBool::new(n < 5);
            Arc::new(Fake { id: id.clone(), clock: clock.clone(), silent, count: AtomicI64::new(0) })
        };
        let fakes: Vec<Arc<Fake>> = ids.iter().enumerate().map(fake).collect();
        let plan = |fake: &Arc<Fake>| MeterPlan {
            id: fake.id.clone(),
            meter: Arc::clone(fake) as Arc<dyn Meter>,
            period: TIMEOUT,
            patience: TIMEOUT,
            billed: false,
        };
        let (bus, board): (BusId, _) = ("line".parse().unwrap(), Board::default());
        Poller::new(bus, fakes.iter().map(plan).collect(), clock.clone(), scribe, board.clone()).start();

        tokio::time::sleep(Duration::from_secs(60)).await;
        let before: Vec<i64> = fakes.iter().map(|f| f.count.load(Ordering::SeqCst)).collect();
        tokio::time::sleep(Duration::from_secs(600)).await;
        for (n, fake) in fakes.iter().enumerate() {
            let readings = fake.count.load(Ordering::SeqCst) - before[n];
            assert!(if n < 5 { readings == 0 } else { readings >= 570 }, "meter {n}: {readings} in ten minutes");
        }
        let health = |id: &MeterId| board.look().devices[id.as_str()].clone();
        assert!(!health(&ids[0]).ok && health(&ids[0]).failures >= 2);
        let live = health(&ids[49]);
        assert!(live.ok && live.period_ms.is_some_and(|ms| (950..=1100).contains(&ms)), "{live:?}");
        assert!(live.latency_ms.is_some_and(|ms| (10..=12).contains(&ms)), "{live:?}");

        fakes[0].silent.store(false, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_secs(300)).await;
        let back = health(&ids[0]);
        assert!(back.ok && back.problem.is_none() && back.failures == 0, "{back:?}");
        assert!(back.period_ms.is_some_and(|ms| (950..=1100).contains(&ms)), "{back:?}");
    });
}
