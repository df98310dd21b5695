//! Several devices asked at a time.

use super::*;
use proptest::prelude::*;

/// How a far end works through what it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// All at a time.
    Abreast,
    /// One after the other, as a gateway to a serial line does; it waits so long for a dead unit, whoever has given up.
    InLine(Duration),
}

struct Turn {
    index: usize,
    began: Instant,
    ends: Instant,
    answers: bool,
}

/// As [`Play`], with so many places.
struct Several {
    round: Round,
    places: usize,
    manner: Manner,
    /// How long each takes; a dead one for ever.
    devices: Vec<Option<Duration>>,
    start: Instant,
    now: Instant,
    free_at: Instant,
    turns: Vec<Turn>,
    most: usize,
    answers: Vec<Vec<Duration>>,
}

impl Several {
    fn new(devices: Vec<Option<Duration>>, period: Duration, places: usize, manner: Manner) -> Self {
        let start = Instant::now();
        let round = Round::new(devices.iter().map(|_| period), start);
        let answers = vec![Vec::new(); devices.len()];
        Self { round, places, manner, devices, start, now: start, free_at: start, turns: Vec::new(), most: 0, answers }
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        self.most = 0;
        self.answers.iter_mut().for_each(Vec::clear);
        while self.now < end {
            let outlook = |_: usize| Outlook { not_before: None, patience: ms(400), beside: self.places - 1 };
            match self.round.next(self.now, outlook) {
                Next::Ask { index, until } => self.ask(index, until),
                Next::Wait(at) => {
                    let first = (0..self.turns.len()).min_by_key(|turn| self.turns[*turn].ends);
                    match first.filter(|turn| self.turns[*turn].ends <= at) {
                        Some(turn) => self.end(turn),
                        None => {
                            assert!(at > self.now, "waits for what has passed");
                            self.now = at.min(end);
                        }
                    }
                }
            }
        }
    }

    fn ask(&mut self, index: usize, until: Option<Instant>) {
        let probes = |turn: &&Turn| self.round.members[turn.index].is_probe();
        assert!(self.turns.iter().all(|turn| turn.index != index), "{index} is asked already");
        assert!(!self.round.members[index].is_probe() || !self.turns.iter().any(|turn| probes(&turn)), "two probes");
        assert!(until.is_none() || self.places == 1);
        let (began, took) = (self.now, self.devices[index]);
        let starts = if self.manner == Manner::Abreast { began } else { began.max(self.free_at) };
        if let Manner::InLine(dead) = self.manner {
            self.free_at = starts + took.unwrap_or(dead);
        }
        // As long as the driver would wait: longer behind others.
        let gives_up = began + ms(400) * u32::try_from(1 + self.turns.len()).unwrap();
        let gives_up = until.map_or(gives_up, |until| until.min(gives_up));
        let answered = took.map(|took| starts + took).filter(|at| *at <= gives_up);
        self.turns.push(Turn { index, began, ends: answered.unwrap_or(gives_up), answers: answered.is_some() });
        self.most = self.most.max(self.turns.len());
        assert!(self.turns.len() <= self.places, "more than there are places");
    }

    fn end(&mut self, turn: usize) {
        let Turn { index, began, ends, answers } = self.turns.swap_remove(turn);
        self.now = self.now.max(ends);
        if answers {
            self.answers[index].push(ends - self.start);
            self.round.answered(index, began, ends);
        } else {
            self.round.failed(index, began, ends, &DeviceError::Silent { waited: ends - began });
        }
    }

    /// Mean time from answer to answer.
    fn refresh(&self, index: usize) -> Duration {
        let answers = &self.answers[index];
        (answers[answers.len() - 1] - answers[0]) / u32::try_from(answers.len() - 1).unwrap()
    }
}

#[test]
fn four_at_a_time_are_four_times_as_quick_where_the_far_end_works_on_all_of_them() {
    for (places, round) in [(1, 1200), (4, 300), (8, 150)] {
        let mut play = Several::new(vec![Some(ms(60)); 20], ms(1), places, Manner::Abreast);
        play.run(Duration::from_secs(10));
        play.run(Duration::from_secs(60));
        assert_eq!(play.most, places);
        for index in 0..20 {
            let said = play.refresh(index);
            assert!(said.abs_diff(ms(round)) <= ms(round) / 20, "{places} places: {said:?}");
        }
    }
}

#[test]
fn one_dead_unit_of_twenty_takes_one_place_now_and_then_and_no_time_of_the_others() {
    let mut devices = vec![Some(ms(60)); 20];
    devices[7] = None;
    let mut play = Several::new(devices, ms(400), 4, Manner::Abreast);
    play.run(Duration::from_secs(120));
    play.run(Duration::from_secs(600));
    for index in (0..20).filter(|index| *index != 7) {
        assert!(play.refresh(index) <= ms(404), "{:?}", play.refresh(index));
    }
}

#[test]
fn behind_a_gateway_that_waits_for_its_dead_unit_the_others_lose_little_and_none_is_taken_for_dead() {
    for (places, dead) in [(1, 400), (4, 400), (4, 1000), (8, 1000)] {
        let mut devices = vec![Some(ms(40)); 20];
        devices[7] = None;
        let mut play = Several::new(devices, ms(1000), places, Manner::InLine(ms(dead)));
        play.run(Duration::from_secs(300));
        play.run(Duration::from_secs(600));
        for index in (0..20).filter(|index| *index != 7) {
            assert!(play.refresh(index) <= ms(1050), "{places} places, {dead} ms: {:?}", play.refresh(index));
            assert!(!play.round.members[index].suspect);
        }
    }
}

#[test]
fn at_a_start_all_places_are_used_and_a_dead_half_leaves_the_other_its_period() {
    let devices = (0..40).map(|n| (n % 2 == 0).then_some(ms(20))).collect();
    let mut play = Several::new(devices, ms(1000), 4, Manner::Abreast);
    play.run(Duration::from_secs(20));
    assert_eq!(play.most, 4);
    play.run(Duration::from_secs(300));
    assert!((0..40).step_by(2).all(|index| play.refresh(index) <= ms(1010)));
}

#[test]
fn a_device_that_comes_back_behind_a_busy_bus_is_in_the_round_again() {
    let mut devices = vec![Some(ms(60)); 20];
    devices[3] = None;
    let mut play = Several::new(devices, ms(1), 4, Manner::Abreast);
    play.run(Duration::from_secs(300));
    play.devices[3] = Some(ms(60));
    play.run(Duration::from_secs(200));
    assert!(play.refresh(3) <= ms(320), "{:?}", play.refresh(3));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    /// A far end that waits for its dead units for longer than we do is beyond this. The play itself says when one is asked twice, when more are under way than may be, and when two probes are.
    #[test]
    fn whoever_is_dead_and_however_slow_the_far_end_everybody_alive_is_read_again_and_again(
        took in proptest::collection::vec(proptest::option::weighted(0.8, 1_u64..300), 1..30),
        places in 1_usize..17,
        period in 50_u64..3000,
        in_line in proptest::option::of(1_u64..400),
        revived in any::<bool>(),
    ) {
        let manner = in_line.map_or(Manner::Abreast, |dead| Manner::InLine(ms(dead)));
        let mut play = Several::new(took.iter().map(|t| t.map(ms)).collect(), ms(period), places, manner);
        play.run(Duration::from_secs(300));
        if revived {
            play.devices.iter_mut().for_each(|d| *d = d.or(Some(ms(5))));
            play.run(Duration::from_secs(200));
        }
        play.run(Duration::from_secs(300));
        let needed: u64 = took.iter().flatten().sum();
        for (index, _) in play.devices.iter().enumerate().filter(|(_, device)| device.is_some()) {
            prop_assert!(play.answers[index].len() > 3, "{index} was read {} times", play.answers[index].len());
            if manner == Manner::Abreast && !revived && needed < period / 2 {
                prop_assert!(play.refresh(index) <= ms(period) * 21 / 20, "{index}: {:?}", play.refresh(index));
            }
        }
    }
}
