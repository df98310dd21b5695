//! What clocks do, and what a bill must not make of it: steps, summer time, smeared seconds, a start in 1970.

use domain::{
    AccountId, Biller, Customer, Kind, Line, MeterId, Metered, Money, Permille, Pool, Price, Rates, Reading, Schedule,
    Step, Tariff, TimeZone, Timestamp, Uptime, WattHours,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const SECOND: i64 = 1_000;
const HOUR: i64 = 3_600 * SECOND;
/// 2026-03-28T23:00:00Z, midnight in Madrid; the next night clocks go forward there.
const MIDNIGHT: i64 = 1_774_738_800_000;

/// One home whose meter counts 1 Wh in 10 s, and a gateway that reads it.
struct Home {
    biller: Biller,
    import: i64,
    lines: Vec<Line>,
    steps: Vec<Step>,
}

impl Home {
    fn new() -> Self {
        let tariff = Tariff {
            version: 1,
            since: Timestamp(0),
            interval_s: 900,
            peak_hours: vec!["17:00-22:00".parse().unwrap()],
            zone: TimeZone::try_from("Europe/Madrid".to_owned()).unwrap(),
            pool_share: Permille::NONE,
            rates: Rates { off_peak: Price(200), peak: Price(400), daily: Money(1_000), ..Rates::default() },
            classes: BTreeMap::new(),
        };
        let account: AccountId = "home-1".parse().unwrap();
        let metered = Metered { account: Some(account.clone()), ..Metered::default() };
        let meters = BTreeMap::from([(meter(), metered)]);
        let customers = BTreeMap::from([(account, Customer::default())]);
        let biller = Biller::new(Schedule::new(tariff), meters, customers, Pool::default());
        Self { biller, import: 1_000, lines: Vec::new(), steps: Vec::new() }
    }

    /// Ten seconds pass and the meter is read: at this time of the wall clock, and of the clock that nobody sets.
    fn read(&mut self, wall: i64, up: Option<Uptime>) {
        self.import += 1;
        let mut reading = Reading::empty(meter(), Timestamp(wall));
        (reading.import, reading.up) = (Some(WattHours(self.import)), up);
        let step = self.biller.bill(&reading);
        if let Step::Advanced(lines) = &step {
            self.lines.extend(lines.iter().cloned());
        }
        self.steps.push(step);
    }

    fn billed(&self) -> i64 {
        self.lines.iter().map(|l| l.import.0).sum()
    }

    fn days(&self) -> Vec<i64> {
        self.lines.iter().filter(|l| l.kind == Kind::Daily).map(|l| l.from.0).collect()
    }

    fn held(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Held(_)))
    }
}

fn meter() -> MeterId {
    "home-1".parse().unwrap()
}

fn up(boot: u32, ms: i64) -> Option<Uptime> {
    Some(Uptime { boot, ms })
}

#[test]
fn a_day_of_23_hours_has_23_hours_of_lines_and_one_daily_charge_and_the_long_one_25() {
    // 2026-10-24T22:00:00Z: clocks go back in the night after.
    for (midnight, hours) in [(MIDNIGHT, 23), (1_792_879_200_000, 25)] {
        let mut home = Home::new();
        for i in 0..=hours * 360 {
            home.read(midnight + i * 10 * SECOND, up(1, i * 10 * SECOND));
        }
        let intervals: BTreeSet<i64> = home.lines.iter().filter(|l| l.meter.is_some()).map(|l| l.interval.0).collect();
        assert_eq!(i64::try_from(intervals.len()).unwrap(), hours * 4);
        assert_eq!((home.days(), home.billed()), (vec![midnight], hours * 360));
        let peak: i64 = home.lines.iter().filter(|l| l.kind == Kind::Peak).map(|l| l.import.0).sum();
        assert_eq!(peak, 5 * 360, "17:00 to 22:00 on the wall, whatever the night did");
    }
}

#[test]
fn a_leap_second_that_is_smeared_over_a_day_leaves_no_gap_and_bills_nothing_twice() {
    let mut home = Home::new();
    for i in 0..=8_640 {
        // The wall clock runs slower by one part in 86,400 and ends a second behind.
        let true_ms = i * 10 * SECOND;
        home.read(MIDNIGHT + true_ms - true_ms / 86_400, up(1, true_ms));
    }
    let metered: Vec<&Line> = home.lines.iter().filter(|l| l.meter.is_some()).collect();
    // A stretch in which no whole watt-hour flowed has no line.
    let gap = |pair: &[&Line]| pair[1].from.0 - pair[0].to.0;
    assert!(metered.windows(2).all(|pair| (0..10 * SECOND).contains(&gap(pair))), "a gap or an overlap");
    assert_eq!((home.billed(), home.held()), (8_640, false));
}

#[test]
fn a_start_with_the_clock_in_1970_bills_nothing_until_it_is_set_and_then_everything_once() {
    let mut home = Home::new();
    for i in 0..=6 {
        home.read(MIDNIGHT + i * 10 * SECOND, up(1, i * 10 * SECOND));
    }
    // The power was away for an hour; the machine has no clock of its own and no network for two days.
    for i in 0..17_280 {
        home.read(60 * SECOND + i * 10 * SECOND, up(2, i * 10 * SECOND));
    }
    assert_eq!((home.billed(), home.held(), home.days().len()), (6, false, 1));
    assert!(home.steps[7..].iter().all(|step| matches!(step, Step::Doubted(..))));
    // The network is back, and with it the time.
    let now = MIDNIGHT + 49 * HOUR;
    home.read(now, up(2, 17_280 * 10 * SECOND));
    assert_eq!((home.billed(), home.held()), (6 + 17_281, false));
    assert_eq!(home.days().len(), 3, "days that were lived are charged, each once");
    assert!(home.lines.iter().all(|l| l.from.0 >= MIDNIGHT && l.to.0 <= now));
}

proptest! {
    /// Steps of up to an hour and a half in either direction, as often as one likes: every watt-hour is billed once, no
    /// time is billed twice as long as it lasted, and no local day is charged twice.
    #[test]
    fn a_clock_that_steps_by_an_hour_changes_neither_energy_nor_the_number_of_days(
        steps in prop::collection::vec((1_i64..400, -5_400_i64..5_400), 1..20),
    ) {
        let mut home = Home::new();
        let (mut wall, mut ms) = (MIDNIGHT + 12 * HOUR, 0);
        home.read(wall, up(1, ms));
        for (readings, set) in steps {
            for i in 0..readings {
                ms += 10 * SECOND;
                wall += 10 * SECOND + if i == 0 { set * SECOND } else { 0 };
                home.read(wall, up(1, ms));
            }
        }
        let lasted: i64 = home.lines.iter().filter(|l| l.meter.is_some()).map(|l| l.to.0 - l.from.0).sum();
        prop_assert!(home.lines.iter().all(|l| l.from <= l.to));
        // Clocks that agree within two seconds are taken for one, so that lines follow each other.
        let settings = i64::try_from(home.steps.len()).unwrap() / 8_640 + 20;
        prop_assert!(lasted <= ms + settings * 2 * SECOND, "{} s of lines in {} s", lasted / 1000, ms / 1000);
        prop_assert_eq!((home.billed(), home.held()), (home.import - 1_001, false));
        let days = home.days();
        let zone = TimeZone::try_from("Europe/Madrid".to_owned()).unwrap();
        let dates: BTreeSet<i32> = days.iter().map(|at| zone.local(Timestamp(*at)).day).collect();
        prop_assert_eq!(dates.len(), days.len(), "a day was charged twice: {:?}", days);
    }
}
