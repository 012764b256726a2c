//! Descents that experiments make by themselves, on all training images or on batches of them, with the curvature where
//! they are: plain, so that what a theory says of a method is said of what runs. They are kept, and made once.

mod way;

use serde::{Deserialize, Serialize};

use self::way::{Way, evaluated};
use super::laboratory::Laboratory;
use super::outcome::points;
use crate::curvature::lanczos::Effort;
use crate::curvature::sharpness::{self, Sharpness};
use crate::curvature::{NonUniformity, Sgd};
use crate::data::Part;
use crate::error::{Error, Result};
use crate::network::initialisation::initial_parameters;
use crate::objective::{Objective, Solution, loss_value};
use crate::training::End;
use crate::training::full_batch::check_learning_rate;
use crate::training::lbfgs::check_memory;

/// How far the sharpness of an end is sought.
const EXACT: Effort = Effort {
    steps: 60,
    tolerance: 1e-4,
    seed: 1,
};
/// How far it is sought on the way. An eigenvalue's error is of the order of the square of its residual.
const ROUGH: Effort = Effort {
    steps: 30,
    tolerance: 1e-2,
    seed: 1,
};
/// How far the non-uniformity is sought on the way, which takes many times as long: to some thousandths.
const ROUGHER: Effort = Effort {
    steps: 30,
    tolerance: 5e-2,
    seed: 1,
};

/// A way to go down.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum Method {
    /// w ← w − η·∇L(w).
    GradientDescent {
        /// η.
        learning_rate: f64,
    },
    /// The same on batches, drawn without replacement within an epoch.
    Sgd {
        /// η.
        learning_rate: f64,
        /// B, images a batch.
        batch_size: usize,
    },
    /// L-BFGS with a line search.
    #[serde(rename = "l-bfgs")]
    LimitedBfgs {
        /// Pairs of changes kept.
        memory: usize,
    },
}

impl Method {
    /// For figures and tables, such as `SGD, η = 0.5, B = 4`.
    pub fn name(self) -> String {
        match self {
            Self::GradientDescent { learning_rate } => format!("GD, η = {learning_rate}"),
            Self::Sgd {
                learning_rate,
                batch_size,
            } => format!("SGD, η = {learning_rate}, B = {batch_size}"),
            Self::LimitedBfgs { memory } => format!("L-BFGS, {memory} pairs"),
        }
    }

    /// What the theory of dynamical stability knows of it, on so many training images; nothing of L-BFGS.
    ///
    /// # Errors
    /// As [`Sgd::new`].
    pub fn stability(self, images: usize) -> Result<Option<Sgd>> {
        match self {
            Self::GradientDescent { learning_rate } => Sgd::new(learning_rate, images, images).map(Some),
            Self::Sgd {
                learning_rate,
                batch_size,
            } => Sgd::new(learning_rate, batch_size, images).map(Some),
            Self::LimitedBfgs { .. } => Ok(None),
        }
    }

    /// Checks its numbers, as far as that needs no data.
    ///
    /// # Errors
    /// [`Error::Option`] for the first that is out of range.
    pub fn check(self) -> Result<()> {
        match self {
            Self::GradientDescent { learning_rate } => check_learning_rate(learning_rate),
            Self::Sgd { batch_size: 0, .. } => Err(Error::option("batch-size", 0, "it must be at least 1")),
            Self::Sgd { learning_rate, .. } => check_learning_rate(learning_rate),
            Self::LimitedBfgs { memory } => check_memory(memory),
        }
    }

    /// Passes over all images that so many steps are.
    pub fn passes(self, steps: usize, images: usize) -> f64 {
        match self {
            Self::Sgd { batch_size, .. } => steps as f64 * batch_size as f64 / images.max(1) as f64,
            Self::GradientDescent { .. } | Self::LimitedBfgs { .. } => steps as f64,
        }
    }
}

/// What is done from given weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Descent {
    /// How.
    pub method: Method,
    /// The train loss at which it has arrived.
    pub loss: f64,
    /// Steps at most.
    pub steps: usize,
    /// Steps from one recorded train loss, over all images, to the next. SGD looks for its end there and after the last
    /// step alone.
    pub every: usize,
    /// Steps from one measured sharpness to the next; none is measured without.
    pub sharpness_every: Option<usize>,
    /// Steps from one measured non-uniformity to the next; none is measured without.
    pub non_uniformity_every: Option<usize>,
    /// Seed of the batches.
    pub seed: u64,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Why it ended. A train loss that has blown up has diverged, finite or not.
    pub end: End,
    /// Steps made.
    pub steps: usize,
    /// Train loss over all images at the end; infinite where it diverged.
    #[serde(with = "loss_value")]
    pub loss: f64,
    /// The largest train loss over all images that was seen: by gradient descent and L-BFGS in every step, by SGD,
    /// whose steps see a batch alone, where its train losses are recorded. Infinite where it diverged.
    #[serde(with = "loss_value")]
    pub highest: f64,
    /// Train losses over all images, by step.
    #[serde(with = "points")]
    pub losses: Vec<(f64, f64)>,
    /// Distances |w − w₀| from the start, by step.
    #[serde(with = "points")]
    pub distances: Vec<(f64, f64)>,
    /// Sharpness, by step, as far as a residual of a hundredth tells it.
    #[serde(with = "points")]
    pub sharpness: Vec<(f64, f64)>,
    /// Non-uniformity, by step, as far as a residual of a twentieth tells it; not of the end, of which
    /// [`Laboratory::non_uniformity`] knows it better.
    #[serde(with = "points")]
    pub non_uniformity: Vec<(f64, f64)>,
}

impl Record {
    /// Whether the train loss became as low as asked.
    pub fn has_arrived(&self) -> bool {
        self.end == End::Loss
    }

    /// The distance of the end from the start.
    pub fn distance(&self) -> f64 {
        self.distances.last().map_or(0.0, |(_, distance)| *distance)
    }
}

/// A descent that is done.
#[derive(Clone, Debug, PartialEq)]
pub struct Descended {
    /// Where it ended.
    pub solution: Solution,
    /// How it went.
    pub record: Record,
}

/// The weights that a seed starts from.
///
/// # Errors
/// For a network with batch norm: its loss is no function of its weights alone, and plain descents follow no
/// statistics.
pub fn start(objective: &Objective, seed: u64) -> Result<Solution> {
    let graph = objective.graph();
    if graph.statistics_count() > 0 {
        return Err(Error::Request(format!(
            "{} has batch norm, whose statistics these descents do not follow; choose a network without, such as one \
             with `:bn=off`",
            graph.name
        )));
    }
    Ok(Solution {
        parameters: initial_parameters(graph, seed),
        statistics: Vec::new(),
    })
}

impl Laboratory<'_> {
    /// Makes a descent from weights, or finds it made before. `what` tells whoever waits what it is.
    ///
    /// # Errors
    /// When a number is out of range, the device fails, or it cannot be kept; [`Error::Cancelled`]. Divergence is an
    /// [`End`] and no error.
    pub fn descend(
        &mut self,
        objective: &Objective,
        from: &Solution,
        descent: &Descent,
        what: &str,
    ) -> Result<Descended> {
        let made = format!("descent, {descent:?}");
        let (parameters, record) = self.point(objective, &made, &from.parameters, |laboratory| {
            let mut tell = |share: f64| laboratory.report(what, share);
            let done = Way::new(objective, from, descent, &mut tell).go();
            objective.release_gradients();
            done
        })?;
        let statistics = from.statistics.clone();
        Ok(Descended {
            solution: Solution { parameters, statistics },
            record,
        })
    }

    /// The sharpness a = λ_max(H) at a solution, over all training images.
    ///
    /// # Errors
    /// As [`sharpness::sharpness`].
    pub fn sharpness(&mut self, objective: &Objective, solution: &Solution, what: &str) -> Result<Sharpness> {
        let (made, what) = (format!("sharpness, {EXACT:?}"), format!("{what}: sharpness"));
        let numbers: [&[u8]; 1] = [bytemuck::cast_slice(&solution.parameters)];
        self.remember(objective, &made, &numbers, |laboratory| {
            let mut told = |share: f64| laboratory.report(&what, share).is_ok();
            sharpness::sharpness(objective, solution, usize::MAX, EXACT, &mut told)
        })
    }

    /// The non-uniformity s = λ_max(Σ)^½ at a solution, over all training images.
    ///
    /// # Errors
    /// As [`sharpness::non_uniformity`].
    pub fn non_uniformity(&mut self, objective: &Objective, solution: &Solution, what: &str) -> Result<NonUniformity> {
        let (made, what) = (format!("non-uniformity, {ROUGH:?}"), format!("{what}: non-uniformity"));
        let numbers: [&[u8]; 1] = [bytemuck::cast_slice(&solution.parameters)];
        self.remember(objective, &made, &numbers, |laboratory| {
            let mut told = |share: f64| laboratory.report(&what, share).is_ok();
            sharpness::non_uniformity(objective, solution, usize::MAX, ROUGH, &mut told)
        })
    }
}

/// The share of test images that a solution of a network without batch norm classifies correctly, 0..1.
///
/// # Errors
/// When the device fails.
pub fn test_accuracy(objective: &Objective, solution: &Solution) -> Result<f64> {
    Ok(evaluated(objective, &solution.parameters, Part::Test)?.1)
}

#[cfg(test)]
mod tests;
