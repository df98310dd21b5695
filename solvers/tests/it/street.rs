//! A street whose truth is known: what flows, what is lost, and what each meter makes of it.

use domain::{MeterId, Permille, Timestamp, Volts, WattHours, Watts};
use fastrand::Rng;
use solvers::balance::{Flow, Settings, Window};
use std::time::Duration;

pub const QUARTER: Duration = Duration::from_secs(900);
/// Quarter hours of a day.
pub const DAY: usize = 96;
/// 2026-03-02T00:00:00Z
pub const MIDNIGHT: Timestamp = Timestamp(1_772_409_600_000);

/// Mean power of a home at each full hour, in watts.
const SHAPE: [f64; 24] = [
    140.0, 120.0, 110.0, 110.0, 120.0, 190.0, 380.0, 500.0, 420.0, 300.0, 270.0, 290.0, 340.0, 320.0, 280.0, 270.0,
    320.0, 480.0, 720.0, 820.0, 740.0, 560.0, 360.0, 220.0,
];

/// What is wrong, by interval.
pub type Wrong<'a, T> = &'a dyn Fn(usize) -> T;

pub struct Street<'a> {
    pub seed: u64,
    pub homes: usize,
    /// Watts taken before any meter.
    pub theft: Wrong<'a, f64>,
    /// A home, and what its meter counts of what flows.
    pub fault: Option<(usize, Wrong<'a, f64>)>,
    /// All powers are multiplied by it.
    pub scale: f64,
}

impl Street<'_> {
    pub fn honest(seed: u64, homes: usize) -> Self {
        Self { seed, homes, theft: &|_| 0.0, fault: None, scale: 1.0 }
    }

    /// Registers of the feeder and of each home's import and export at every border, in watt-hours. Meters are off by
    /// half a percent (one standard deviation), the line loses 0 to 4 % in proportion and 0 to 4 % at mean flow by the
    /// square, each meter uses half a watt to a watt and a half, a fifth of the homes has a roof, and every register is
    /// read some seconds before or after the border (two, one standard deviation).
    pub fn energies(&self, intervals: usize) -> Vec<(f64, Vec<(f64, f64)>)> {
        let mut rng = Rng::with_seed(self.seed);
        let homes: Vec<Home> = (0..self.homes).map(|_| Home::new(&mut rng)).collect();
        let feeder_scale = 1.0 + 0.005 * normal(&mut rng);
        let loss = 0.04 * rng.f64();
        let square = 0.04 * rng.f64() / (340.0 * self.homes as f64);
        let own = (0.5 + rng.f64()) * self.homes as f64;
        let mut wander = vec![0.0; self.homes];
        let mut early = vec![0.0; self.homes + 1];
        let mut out = Vec::with_capacity(intervals);
        for t in 0..intervals {
            let hour = (t % DAY) / 4;
            let cloud = 0.3 + 0.7 * rng.f64();
            let (mut net, mut through) = (0.0, 0.0);
            let mut counted = Vec::with_capacity(self.homes);
            for (i, home) in homes.iter().enumerate() {
                wander[i] = 0.7 * wander[i] + 0.4 * normal(&mut rng);
                let kettle = if rng.f64() < 0.04 { 400.0 + 1600.0 * rng.f64() } else { 0.0 };
                let load = home.size * SHAPE[hour] * f64::exp(wander[i]) + kettle;
                let sun = if (7..17).contains(&hour) {
                    home.roof * cloud * (std::f64::consts::PI * (hour as f64 - 7.0) / 10.0).sin()
                } else {
                    0.0
                };
                let (import, export) = ((load - sun).max(0.0), (sun - load).max(0.0));
                net += import - export;
                through += import + export;
                let late = 2.0 * normal(&mut rng);
                let shift = 1.0 + (late - std::mem::replace(&mut early[i], late)) / 900.0;
                let share = self.fault.as_ref().filter(|(which, _)| *which == i).map_or(1.0, |(_, share)| share(t));
                let part = home.error * share * shift * self.scale / 4.0;
                let (import, export) = (import * part, export * part);
                counted.push(if part < 0.0 { (-export, -import) } else { (import, export) });
            }
            let lost = loss * through + square * net * net + own;
            let late = 2.0 * normal(&mut rng);
            let shift = 1.0 + (late - std::mem::replace(&mut early[self.homes], late)) / 900.0;
            let feeder = (net + lost + (self.theft)(t)) * feeder_scale * shift * self.scale / 4.0;
            out.push((feeder, counted));
        }
        out
    }

    /// A window over the newest `days` of so many intervals, as the gateway would have it.
    pub fn window(&self, intervals: usize, days: usize) -> Window {
        let mut filled = Filling::new(self.homes, days);
        for row in self.energies(intervals) {
            filled.add(&row);
        }
        filled.window
    }
}

/// A window that is filled interval by interval, from registers that count whole watt-hours.
pub struct Filling {
    pub window: Window,
    next: usize,
    feeder: f64,
    homes: Vec<(f64, f64)>,
}

impl Filling {
    pub fn new(homes: usize, days: usize) -> Self {
        let window = Window::new(QUARTER * 96 * days as u32, QUARTER, (0..homes).map(meter).collect());
        Self { window, next: 0, feeder: 0.5, homes: vec![(0.5, 0.5); homes] }
    }

    pub fn add(&mut self, (feeder, homes): &(f64, Vec<(f64, f64)>)) {
        let step = |register: &mut f64, by: f64| {
            let before = register.floor();
            *register += by;
            WattHours((register.floor() - before) as i64)
        };
        let feeder = step(&mut self.feeder, *feeder);
        let flows: Vec<Option<Flow>> = homes
            .iter()
            .zip(&mut self.homes)
            .map(|((import, export), registers)| {
                let (import, export) = (step(&mut registers.0, *import), step(&mut registers.1, *export));
                Some(Flow { net: import - export, through: import + export })
            })
            .collect();
        self.window.push(MIDNIGHT + QUARTER * self.next as u32, Some(feeder), &flows);
        self.next += 1;
    }
}

struct Home {
    size: f64,
    roof: f64,
    error: f64,
}

impl Home {
    fn new(rng: &mut Rng) -> Self {
        let roof = if rng.f64() < 0.2 { 2000.0 + 3000.0 * rng.f64() } else { 0.0 };
        Self { size: 0.5 + rng.f64(), roof, error: 1.0 / (1.0 + 0.005 * normal(rng)) }
    }
}

pub fn meter(home: usize) -> MeterId {
    format!("home-{home}").parse().unwrap()
}

pub fn settings() -> Settings {
    Settings {
        resistance: None,
        voltage: Volts::finite(230.0).unwrap(),
        loss: None,
        meter_error: Permille::new(10).unwrap(),
        own_use: Watts(1),
        confidence: Permille::new(997).unwrap(),
        step: WattHours(1),
    }
}

/// Box and Muller.
fn normal(rng: &mut Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.f64()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.f64()).cos()
}
