use super::*;

mod several;

/// A bus that exists in the head only: time passes when a device is asked or nobody is due.
struct Play {
    round: Round,
    start: Instant,
    now: Instant,
    /// Per device: how long an answer takes, or how long silence is waited for.
    devices: Vec<Result<Duration, Duration>>,
    answers: Vec<Vec<Duration>>,
    in_vain: Duration,
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

impl Play {
    fn new(devices: Vec<Result<Duration, Duration>>, period: Duration) -> Self {
        let start = Instant::now();
        let round = Round::new(devices.iter().map(|_| period), start);
        let answers = vec![Vec::new(); devices.len()];
        Self { round, start, now: start, devices, answers, in_vain: Duration::ZERO }
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        self.in_vain = Duration::ZERO;
        self.answers.iter_mut().for_each(Vec::clear);
        while self.now < end {
            let outlook =
                |i: usize| Outlook { patience: self.devices[i].map_or_else(|e| e, |_| ms(100)), ..Outlook::default() };
            match self.round.next(self.now, outlook) {
                Next::Wait(at) => {
                    assert!(at > self.now, "waits for what has passed");
                    self.now = at.min(end);
                }
                Next::Ask { index, until } => {
                    let began = self.now;
                    match self.devices[index] {
                        Ok(took) if until.is_none_or(|until| began + took < until) => {
                            self.now += took;
                            self.round.answered(index, began, self.now);
                            self.answers[index].push(self.now - self.start);
                        }
                        Ok(waited) | Err(waited) => {
                            self.now = until.map_or(began + waited, |until| until.min(began + waited));
                            self.in_vain += self.now - began;
                            self.round.failed(index, began, self.now, &DeviceError::Silent { waited });
                        }
                    }
                }
            }
        }
    }

    fn longest_gap(&self, index: usize) -> Duration {
        self.answers[index].windows(2).map(|w| w[1] - w[0]).max().unwrap_or_default()
    }
}

#[test]
fn a_bus_that_keeps_up_reads_everybody_at_their_period() {
    let mut play = Play::new(vec![Ok(ms(10)); 50], ms(1000));
    play.run(Duration::from_secs(60));
    for index in 0..50 {
        assert_eq!((play.answers[index].len(), play.longest_gap(index)), (60, ms(1000)));
        assert_eq!(play.round.measured(index), Measured { period: Some(ms(1000)), latency: Some(ms(10)) });
    }
}

#[test]
fn a_bus_that_cannot_keep_up_serves_everybody_alike_and_says_how_often() {
    let mut play = Play::new(vec![Ok(ms(60)); 50], ms(1000));
    play.run(Duration::from_secs(60));
    play.run(Duration::from_secs(120));
    for index in 0..50 {
        assert_eq!(play.longest_gap(index), ms(3000));
        let said = play.round.measured(index).period.unwrap();
        assert!(said.abs_diff(ms(3000)) < ms(30), "{said:?}");
    }
}

#[test]
fn silent_devices_do_not_touch_the_period_of_the_others_where_there_is_time_to_spare() {
    for silent in [1, 5, 25] {
        let mut devices = vec![Ok(ms(5)); 50];
        devices[..silent].fill(Err(ms(1000)));
        let mut play = Play::new(devices, ms(1000));
        play.run(Duration::from_secs(60));
        play.run(Duration::from_secs(600));
        for index in silent..50 {
            let mean = (play.answers[index][play.answers[index].len() - 1] - play.answers[index][0])
                / u32::try_from(play.answers[index].len() - 1).unwrap();
            assert!(mean <= ms(1050), "{silent} silent: {mean:?}");
        }
    }
}

#[test]
fn however_many_are_dead_they_waste_a_small_share_of_a_full_bus() {
    for dead in [1, 3, 20, 31] {
        let mut devices = vec![Ok(ms(70)); 32];
        devices[..dead].fill(Err(ms(560)));
        let mut play = Play::new(devices, ms(1));
        play.run(Duration::from_secs(120));
        play.run(Duration::from_secs(1200));
        assert!(play.in_vain <= Duration::from_secs(1200) / 25, "{dead} dead: {:?}", play.in_vain);
        assert!(!play.in_vain.is_zero(), "nobody looked whether they are back");
    }
}

#[test]
fn a_device_that_comes_back_is_in_the_round_again_with_its_first_answer() {
    let mut devices = vec![Ok(ms(10)); 10];
    devices[3] = Err(ms(200));
    let mut play = Play::new(devices, ms(1000));
    play.run(Duration::from_secs(300));
    play.devices[3] = Ok(ms(10));
    play.run(Duration::from_secs(120));
    let back = play.answers[3][0];
    assert!(back <= Duration::from_secs(300 + 61), "{back:?}");
    assert_eq!(play.longest_gap(3), ms(1000));
}

#[test]
fn one_lost_frame_costs_a_device_half_a_second_and_its_neighbours_nothing() {
    let mut play = Play::new(vec![Ok(ms(10)); 10], ms(1000));
    play.run(Duration::from_secs(30));
    let now = play.now;
    play.round.failed(4, now, now + ms(100), &DeviceError::Silent { waited: ms(100) });
    play.now = now + ms(100);
    play.run(Duration::from_secs(30));
    assert!(play.answers[4][0] - (now - play.start) <= ms(700));
    assert!((0..10).filter(|i| *i != 4).all(|i| play.longest_gap(i) <= ms(1000)));
}

#[test]
fn when_a_dead_line_comes_back_nobody_serves_out_a_back_off() {
    let mut play = Play::new(vec![Err(ms(200)); 10], ms(1000));
    play.run(Duration::from_secs(600));
    play.devices.fill(Ok(ms(10)));
    play.run(Duration::from_secs(62));
    let first = play.answers.iter().map(|a| a[0]).min().unwrap();
    let last = play.answers.iter().map(|a| a[0]).max().unwrap();
    assert!(last - first <= ms(1000), "{:?}", last - first);
}

#[test]
fn a_start_among_dead_devices_reads_the_live_one_at_once_and_keeps_reading_it() {
    let mut devices = vec![Err(ms(1000)); 50];
    devices[49] = Ok(ms(5));
    let mut play = Play::new(devices, ms(1000));
    play.run(Duration::from_secs(120));
    // It may be the last to be tried for the first time; from then on the dead ones have half the time at most.
    assert!(play.answers[49][0] <= Duration::from_secs(60));
    assert!(play.longest_gap(49) <= ms(2100), "{:?}", play.longest_gap(49));
}

#[test]
fn a_device_too_slow_for_the_spare_time_is_heard_all_the_same() {
    let mut devices = vec![Ok(ms(9)); 50];
    devices[0] = Ok(ms(700));
    let mut play = Play::new(devices, ms(1000));
    // The play gives up on no answer of its own, only where the round cuts.
    play.run(Duration::from_secs(120));
    assert!(play.answers[0].len() > 60);
}

#[test]
fn what_a_dead_unit_makes_others_wait_behind_a_gateway_counts_as_its_own() {
    let start = Instant::now();
    let mut round = Round::new([ms(1000), ms(1000)], start);
    let outlook = |_: usize| Outlook { patience: ms(100), ..Outlook::default() };
    round.failed(1, start, start + ms(100), &DeviceError::Silent { waited: ms(100) });
    let mut now = start + ms(100);
    for _ in 0..10 {
        round.answered(0, now, now + ms(10));
        now += ms(1000);
    }
    round.failed(1, now, now + ms(100), &DeviceError::Silent { waited: ms(100) });
    let lane = round.lane;
    assert_eq!(round.next(now + ms(100), outlook), Next::Ask { index: 0, until: None });
    round.answered(0, now + ms(100), now + ms(1010));
    assert!(round.lane >= lane + ms(800) * PROBE_PRICE);
    assert_eq!(round.next(now + ms(1010), outlook), Next::Ask { index: 0, until: None });
}

#[test]
fn the_first_to_be_asked_after_a_probe_in_vain_is_not_blamed_for_its_effects() {
    let start = Instant::now();
    let silent = DeviceError::Silent { waited: ms(100) };
    let mut round = Round::new([ms(1000), ms(1000)], start);
    round.answered(0, start, start + ms(10));
    round.failed(1, start + ms(10), start + ms(110), &silent);
    let now = start + ms(1000);
    let outlook = |_: usize| Outlook { patience: ms(100), ..Outlook::default() };
    assert_eq!(round.next(now, outlook), Next::Ask { index: 0, until: None });
    round.failed(0, now, now + ms(100), &silent);
    assert_eq!(round.next(now + ms(100), outlook), Next::Ask { index: 0, until: None });
    // Twice is its own doing.
    round.failed(0, now + ms(100), now + ms(200), &silent);
    assert!(round.members[0].suspect);
}
