//! A point at which the loss has its Hessian, and the pass that finds its batch-norm statistics before that.

use std::sync::Arc;

use crate::data::Part;
use crate::error::Result;
use crate::objective::{BatchNormPolicy, Derivatives, Evaluation, Objective, Solution};

/// The point at which the loss has its Hessian, and the images that it is the mean over.
pub struct Place {
    pub objective: Arc<Objective>,
    pub solution: Arc<Solution>,
    /// Not `recompute`, under which the statistics found are the solution's by now.
    pub policy: BatchNormPolicy,
    /// Training images, from the start of the split.
    pub images: usize,
}

impl Place {
    /// A point under a policy, and under `recompute` the pass over its first `images` training images, all where there
    /// are no more, that is to find its statistics: see [`Place::find_statistics`].
    ///
    /// # Errors
    /// As [`Evaluation::of_parts`].
    pub fn at(
        objective: Arc<Objective>,
        solution: Arc<Solution>,
        policy: BatchNormPolicy,
        images: usize,
    ) -> Result<(Self, Option<Evaluation>)> {
        let recomputes = policy == BatchNormPolicy::Recompute && objective.graph().statistics_count() > 0;
        let place = Self {
            policy: match policy {
                BatchNormPolicy::Recompute => BatchNormPolicy::Running,
                BatchNormPolicy::Running | BatchNormPolicy::Batch => policy,
            },
            images: images.min(objective.data().split(Part::Train).len()),
            objective,
            solution,
        };
        let pass = if recomputes { Some(place.pass()?) } else { None };
        Ok((place, pass))
    }

    fn pass(&self) -> Result<Evaluation> {
        Evaluation::of_parts(
            &self.objective,
            &self.solution.parameters,
            &self.solution.statistics,
            BatchNormPolicy::Recompute,
            self.images,
            &[Part::Train],
        )
    }

    /// Does one batch of the pass. True once the statistics that it finds are the solution's.
    ///
    /// # Errors
    /// When the device fails.
    pub fn find_statistics(&mut self, pass: &mut Evaluation) -> Result<bool> {
        pass.step(&self.objective)?;
        // Losses, which come after the statistics, are not asked for.
        if pass.remaining() > self.images {
            return Ok(false);
        }
        self.solution = Arc::new(Solution {
            parameters: self.solution.parameters.clone(),
            statistics: pass.recomputed_statistics(),
        });
        Ok(true)
    }

    /// d.
    pub fn dimension(&self) -> usize {
        self.objective.graph().parameter_count()
    }

    /// The loss there, ready to be differentiated.
    ///
    /// # Errors
    /// As [`Derivatives::new`].
    pub fn derivatives(&self) -> Result<Derivatives<'_>> {
        let (objective, solution) = (&self.objective, &self.solution);
        let silent = &mut |_: f64| true;
        Derivatives::new(objective, solution, self.policy, Part::Train, self.images, silent)
    }
}
