//! What an experiment takes: what it took, and what it will take on this machine, told before it starts.

use std::path::Path;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::demo::Report;
use super::descent::Method;
use super::laboratory::Laboratory;
use super::recipe::{Recipe, RunStage};
use crate::data::Part;
use crate::error::{Error, Result};
use crate::network::cost;
use crate::objective::{BatchNormPolicy, Compute, Evaluation, Objective, Solution};

/// Passes that a rate is taken from.
const TRIES: usize = 3;

/// What it took to make an experiment. Runs and lines that were there already count with what they took when they were
/// made: the whole is what the experiment takes from nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Seconds of training, of runs that other experiments may share.
    pub training: f64,
    /// Seconds of all else.
    pub measuring: f64,
    /// Largest resident memory of the process in bytes, where the system tells.
    pub memory: Option<u64>,
}

impl Cost {
    /// Takes the memory in use now into account.
    pub fn look_at_memory(&mut self) {
        let now = memory_stats::memory_stats().map(|stats| stats.physical_mem as u64);
        self.memory = self.memory.max(now);
    }
}

/// What an experiment measures, as far as it is known before: the points of a run's network that are evaluated on all
/// images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effort<'a> {
    /// Name of the run whose network it is.
    pub run: &'a str,
    /// Points, over all seeds.
    pub points: f64,
    /// Whether what is taken there are gradients of the train loss, each for three evaluations of the train images.
    pub gradients: bool,
    /// Images used of each split, at most.
    pub samples: usize,
    /// Batch-norm policy; `recompute` passes over the training images once more.
    pub policy: BatchNormPolicy,
}

/// Descents that an experiment makes by itself for a seed, as far as they are known before: how many steps they need is
/// not, and they count with all that they may make.
#[derive(Clone, Debug, PartialEq)]
pub struct Descents<'a> {
    /// Model name with options.
    pub model: &'a str,
    /// Data specification.
    pub data: &'a str,
    /// Each way down, with its steps at most.
    pub ways: Vec<(Method, usize)>,
    /// Gradients over all train images that curvature takes.
    pub gradients: f64,
}

/// Multiply-adds a second on this machine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// While evaluating.
    pub evaluating: f64,
    /// While training.
    pub training: f64,
}

/// What an experiment will take here.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Estimate {
    /// Seconds of training that are still to do.
    pub training: f64,
    /// Seconds of measuring, were no line measured yet.
    pub measuring: f64,
}

impl Rates {
    /// Times passes over the images and gradients of the train loss with an objective.
    ///
    /// # Errors
    /// When the device fails.
    pub fn measure(objective: &Objective) -> Result<Self> {
        let graph = objective.graph();
        let solution = Solution {
            parameters: vec![0.01; graph.parameter_count()],
            statistics: vec![1.0; graph.statistics_count()],
        };
        let images = |policy| Evaluation::images(objective, policy, usize::MAX) as f64;
        let policy = BatchNormPolicy::Running;
        let evaluating = best(|| {
            objective.evaluate(&solution.parameters, &solution.statistics, policy)?;
            Ok(images(policy) * cost::multiply_adds(graph) as f64)
        })?;
        let training = best(|| {
            objective.gradient(&solution, policy, Part::Train)?;
            Ok(objective.data().train.len() as f64 * cost::gradient(graph).multiply_adds as f64)
        })?;
        objective.release_gradients();
        Ok(Self { evaluating, training })
    }
}

impl Recipe {
    /// What it will take to make it, with the runs that a laboratory's folder has already.
    ///
    /// # Errors
    /// When its data or models cannot be opened; [`Error::Cancelled`].
    pub fn estimate(&self, laboratory: &mut Laboratory, rates: Rates) -> Result<Estimate> {
        let mut estimate = Estimate::default();
        for seed in &self.seeds {
            for name in self.stages() {
                let Some(stage) = self.runs.get(name) else { continue };
                let objective = laboratory.objective(&stage.model, &stage.data)?;
                for seeds in self.measure.experiment().seeds(name, *seed) {
                    if !laboratory.has(self, name, seeds)? {
                        estimate.training += training_work(stage, &objective, seeds.own) / rates.training;
                    }
                }
            }
        }
        for effort in self.measure.experiment().efforts(self) {
            let Some(stage) = self.runs.get(effort.run) else {
                continue;
            };
            let objective = laboratory.objective(&stage.model, &stage.data)?;
            let images = match effort.gradients {
                true => 3 * objective.data().train.len().min(effort.samples),
                false => Evaluation::images(&objective, effort.policy, effort.samples),
            };
            let work = effort.points * images as f64 * cost::multiply_adds(objective.graph()) as f64;
            estimate.measuring += work / rates.evaluating;
        }
        if let Some(descents) = self.measure.experiment().descents() {
            let objective = laboratory.objective(descents.model, descents.data)?;
            let images = objective.data().train.len();
            let passes = descents
                .ways
                .iter()
                .map(|(method, steps)| method.passes(*steps, images));
            let gradient = images as f64 * cost::gradient(objective.graph()).multiply_adds as f64 / rates.training;
            let seeds = self.seeds.len() as f64;
            estimate.training += seeds * passes.sum::<f64>() * gradient;
            estimate.measuring += seeds * descents.gradients * gradient;
        }
        Ok(estimate)
    }

    /// Names of the runs that it measures and of those that they start from, each once.
    fn stages(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        let mut waiting = self.measure.experiment().runs();
        while let Some(name) = waiting.pop() {
            if !names.contains(&name) {
                names.push(name);
                waiting.extend(self.runs.get(name).and_then(|stage| stage.from.as_deref()));
            }
        }
        names
    }
}

/// The best rate of a few tries: the first prepares what later ones find prepared, and others may be held up.
fn best(work: impl Fn() -> Result<f64>) -> Result<f64> {
    let mut rate = 0.0_f64;
    for _ in 0..TRIES {
        let since = Instant::now();
        rate = rate.max(work()? / since.elapsed().as_secs_f64().max(1e-6));
    }
    Ok(rate)
}

/// Multiply-adds of a run: every epoch's steps, and the test images after each.
fn training_work(stage: &RunStage, objective: &Objective, seed: u64) -> f64 {
    let (graph, data) = (objective.graph(), objective.data());
    let options = stage.options(seed);
    let step = data.train.len() as f64 * cost::gradient(graph).multiply_adds as f64;
    let look = data.test.len() as f64 * cost::multiply_adds(graph) as f64;
    options.total_epochs() as f64 * (step + look)
}

/// Estimates of several recipes, in their order; nothing for one whose data cannot be opened here.
///
/// # Errors
/// [`Error::Cancelled`].
pub fn estimates(
    recipes: &[Recipe],
    compute: &Compute,
    folder: &Path,
    report: &mut Report,
) -> Result<Vec<Option<Estimate>>> {
    let mut laboratory = Laboratory::new(compute.clone(), folder, report);
    let usual = laboratory.objective(super::demo::MODEL, super::demo::DATA)?;
    let rates = Rates::measure(&usual)?;
    recipes
        .iter()
        .map(|recipe| match recipe.estimate(&mut laboratory, rates) {
            Ok(estimate) => Ok(Some(estimate)),
            Err(Error::Cancelled) => Err(Error::Cancelled),
            Err(_) => Ok(None),
        })
        .collect()
}
