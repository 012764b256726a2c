//! How much a kind of experiment measures, as far as that is known before.

use crate::experiment::averages;
use crate::experiment::cost::Effort;
use crate::experiment::recipe::Recipe;
use crate::objective::BatchNormPolicy;

/// Efforts of a recipe, each over all of its seeds.
pub(super) struct Efforts<'a> {
    recipe: &'a Recipe,
}

impl<'a> Efforts<'a> {
    /// Of a recipe.
    pub fn of(recipe: &'a Recipe) -> Self {
        Self { recipe }
    }

    /// So many points for each seed.
    pub fn points(&self, run: &'a str, points: f64, policy: BatchNormPolicy, samples: usize) -> Effort<'a> {
        Effort {
            run,
            points: self.recipe.seeds.len() as f64 * points,
            gradients: false,
            samples,
            policy,
        }
    }

    /// So many gradients of the train loss for each seed.
    pub fn gradients(&self, run: &'a str, points: f64, policy: BatchNormPolicy, samples: usize) -> Effort<'a> {
        Effort {
            gradients: true,
            ..self.points(run, points, policy, samples)
        }
    }

    /// So many lines for each seed, on all images.
    pub fn lines(&self, run: &'a str, count: u64, points: usize, policy: BatchNormPolicy) -> Effort<'a> {
        self.points(run, count as f64 * points as f64, policy, usize::MAX)
    }

    /// SGD at every epoch, and so many averages at those that are averaged: on test images, after statistics of the
    /// training images.
    pub fn averages(&self, run: &'a str, masks: u32) -> Effort<'a> {
        let options = self
            .recipe
            .runs
            .get(run)
            .map(|stage| stage.options(0))
            .unwrap_or_default();
        let averaged = options.epochs.saturating_sub(options.swa_start) + 1;
        let points = (averages::LEAD + averaged) as f64 + f64::from(masks) * averaged as f64;
        self.points(run, points, BatchNormPolicy::Running, usize::MAX)
    }

    /// Epochs of a run's main phase.
    pub fn epochs(&self, run: &str) -> f64 {
        self.recipe.runs.get(run).map_or(0, |stage| stage.options(0).epochs) as f64
    }
}
