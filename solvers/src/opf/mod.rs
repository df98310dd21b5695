//! Optimal power flow: who generates how much, so that it costs least and nothing is overloaded.
//!
//! [`dc`] solves the linear model as a quadratic program, [`ac`] the whole one by an interior point, [`socp`] a convex
//! relaxation that bounds it from below; [`certificate`] checks what they say without sharing anything with them. Every
//! outcome is a value: optimal, infeasible with what stands in the way, out of time, or inaccurate; an objective comes
//! with a bound below it wherever one is known.

pub mod ac;
pub mod certificate;
pub mod dc;
pub mod socp;

use serde::Serialize;

/// How a solve ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Within the tolerance of the best there is, as far as the method can tell.
    Optimal,
    /// Nothing satisfies all limits; [`Answer::violations`] says which stand in the way.
    Infeasible,
    /// The deadline came first.
    OutOfTime,
    /// No answer passed the check within the iterations there are.
    Inaccurate,
    /// This method does not solve this kind of problem; [`Answer::reason`] says why.
    Refused,
}

/// A dispatch, in the order of the network's lists. What takes no part is zero there, with no price.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Answer {
    /// How it ended.
    pub status: Status,
    /// Why it was refused.
    pub reason: Option<String>,
    /// Cost of an hour.
    pub objective: Option<f64>,
    /// No dispatch of this model costs less.
    pub lower_bound: Option<f64>,
    /// Iterations of the solver that gave the answer.
    pub iterations: u32,
    /// By bus.
    pub buses: Vec<BusAnswer>,
    /// By generator.
    pub generators: Vec<GeneratorAnswer>,
    /// By branch.
    pub branches: Vec<BranchAnswer>,
    /// What cannot be kept, the worst first.
    pub violations: Vec<Violation>,
    /// Whether multipliers that were checked apart from the solver prove that no dispatch keeps all limits.
    pub proved: bool,
}

/// A bus.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct BusAnswer {
    /// Voltage magnitude.
    pub vm_pu: f64,
    /// Voltage angle.
    pub va_deg: f64,
    /// What one more MW here costs an hour.
    pub price_p: Option<f64>,
    /// What one more Mvar here costs an hour, where the model has reactive power.
    pub price_q: Option<f64>,
}

/// A generator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct GeneratorAnswer {
    /// Active power.
    pub p_mw: f64,
    /// Reactive power, where the model has it.
    pub q_mvar: Option<f64>,
}

/// A branch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct BranchAnswer {
    /// Active power into the `from` end.
    pub p_from_mw: f64,
    /// Reactive power into the `from` end, where the model has it.
    pub q_from_mvar: Option<f64>,
    /// Active power into the `to` end.
    pub p_to_mw: f64,
    /// Reactive power into the `to` end, where the model has it.
    pub q_to_mvar: Option<f64>,
    /// Which of its limits holds the dispatch back.
    pub binding: Option<Binding>,
    /// What one more MVA (or degree) of that limit would save an hour.
    pub price: f64,
}

/// A limit of a branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Binding {
    /// Its rating.
    Rating,
    /// Its limit of angles.
    Angle,
}

/// A limit that no dispatch keeps, by how much it is exceeded where all limits together are exceeded least.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Violation {
    /// Which.
    pub limit: Limit,
    /// By how much, in MW, degrees or per unit of voltage.
    pub by: f64,
}

/// A limit, by its place in the network's lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// Demand at this bus that cannot be served.
    Demand(usize),
    /// Power at this bus that nobody takes: generators there cannot go low enough.
    Surplus(usize),
    /// Reactive power at this bus that is short, or that nobody takes.
    Reactive(usize),
    /// The rating of this branch.
    Rating(usize),
    /// The angle limit of this branch.
    Angle(usize),
    /// A voltage limit of this bus.
    Voltage(usize),
}

impl Answer {
    /// An answer with nothing in it.
    #[must_use]
    pub fn empty(status: Status) -> Self {
        Self {
            status,
            reason: None,
            objective: None,
            lower_bound: None,
            iterations: 0,
            buses: Vec::new(),
            generators: Vec::new(),
            branches: Vec::new(),
            violations: Vec::new(),
            proved: false,
        }
    }

    /// The objective above its bound, relative to the objective.
    #[must_use]
    pub fn gap(&self) -> Option<f64> {
        let (objective, bound) = (self.objective?, self.lower_bound?);
        Some((objective - bound).max(0.0) / objective.abs().max(1.0))
    }
}
