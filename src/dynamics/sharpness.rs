//! The expected sharpness E[L(θ + ν)] − L(θ) with ν ~ N(0, δ²·I): how much the train loss rises around a point (*The
//! Anisotropic Noise in Stochastic Gradient Descent*, Eq. 88; Neyshabur and others, 2017).

use serde::Deserialize;

use crate::curvature::Estimate;
use crate::data::{Part, Progress};
use crate::error::{Error, Result};
use crate::objective::{BatchNormPolicy, Evaluation, Objective, Solution};
use crate::random::{Purpose, Random};

/// Part of the random numbers of noise that ν is drawn from.
const AROUND: u32 = 2;

/// What is averaged over the draws.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// L(θ + ν) − L(θ), as the paper says.
    #[default]
    Paper,
    /// |L(θ + ν) − L(θ)|, as the published code does. Away from a minimum it is mostly the slope.
    Code,
}

impl Change {
    /// For figures.
    pub fn formula(self) -> &'static str {
        match self {
            Self::Paper => "E[L(θ+ν)] − L(θ)",
            Self::Code => "E|L(θ+ν) − L(θ)|",
        }
    }
}

/// How it is estimated. The default is the paper's FashionMNIST experiment.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Around {
    /// δ.
    pub deviation: f64,
    /// M, how many ν are drawn.
    pub draws: usize,
    /// What is averaged.
    pub change: Change,
}

impl Default for Around {
    fn default() -> Self {
        Self {
            deviation: 0.01,
            draws: 1000,
            change: Change::Paper,
        }
    }
}

impl Around {
    /// Checks its numbers.
    ///
    /// # Errors
    /// [`Error::Option`] for the first that is out of range.
    pub fn check(&self) -> Result<()> {
        if self.draws == 0 {
            return Err(Error::option("draws", self.draws, "it must be at least 1"));
        }
        if !(self.deviation.is_finite() && self.deviation > 0.0) {
            let reason = "it must be a finite number above 0";
            return Err(Error::option("deviation", self.deviation, reason));
        }
        Ok(())
    }

    /// The expected sharpness over all training images at a point, whose statistics stay as they are. The same seed
    /// draws the same ν at every point: what two points have in common then shows in both. `progress` is told the share
    /// done.
    ///
    /// # Errors
    /// As [`Self::check`]; when the device fails; [`Error::Cancelled`].
    pub fn sharpness(
        &self,
        objective: &Objective,
        solution: &Solution,
        seed: u64,
        progress: Progress,
    ) -> Result<Estimate> {
        self.check()?;
        let mut random = Random::new(seed, Purpose::Noise, AROUND);
        let at_once = objective.points_at_once(usize::MAX);
        let here = losses(objective, &solution.parameters, solution)?;
        let loss = here.first().copied().unwrap_or(f64::NAN);
        let mut changes = Vec::with_capacity(self.draws);
        while changes.len() < self.draws {
            let count = at_once.min(self.draws - changes.len());
            let points: Vec<f32> = (0..count)
                .flat_map(|_| solution.parameters.iter())
                .map(|&w| (f64::from(w) + self.deviation * f64::from(random.normal())) as f32)
                .collect();
            let around = losses(objective, &points, solution)?;
            changes.extend(around.iter().map(|other| match self.change {
                Change::Paper => other - loss,
                Change::Code => (other - loss).abs(),
            }));
            if !progress(changes.len() as f64 / self.draws as f64) {
                return Err(Error::Cancelled);
            }
        }
        Estimate::of(&changes).ok_or_else(|| Error::option("draws", self.draws, "it must be at least 1"))
    }
}

/// The train losses at points `[K, D]` (flat).
fn losses(objective: &Objective, points: &[f32], solution: &Solution) -> Result<Vec<f64>> {
    let policy = BatchNormPolicy::Running;
    let parts = [Part::Train];
    let mut evaluation = Evaluation::of_parts(objective, points, &solution.statistics, policy, usize::MAX, &parts)?;
    loop {
        if let Some(found) = evaluation.step(objective)? {
            return Ok(found.iter().map(|measured| measured.train.loss).collect());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::curvature::{HessianOperator, SymmetricOperator};
    use crate::data::Dataset;
    use crate::dynamics::network::derivatives;
    use crate::network::zoo;
    use crate::objective::Compute;

    fn logistic() -> (Objective, Solution) {
        let data = Arc::new(Dataset::open("two-gaussians:seed=3").unwrap());
        let graph = Arc::new(zoo::build("logistic", data.shape, data.classes.len()).unwrap());
        let solution = Solution {
            parameters: vec![0.7, -0.2],
            statistics: Vec::new(),
        };
        (Objective::usual(graph, data, Compute::cpu()).unwrap(), solution)
    }

    /// The minimum, but for a little.
    fn lowest(objective: &Objective, mut solution: Solution) -> Solution {
        for _ in 0..1000 {
            let policy = BatchNormPolicy::Running;
            let (_, gradient) = objective.gradient(&solution, policy, Part::Train).unwrap();
            for (w, g) in solution.parameters.iter_mut().zip(gradient) {
                *w -= g;
            }
        }
        solution
    }

    fn around(change: Change) -> Around {
        Around {
            deviation: 0.05,
            draws: 4000,
            change,
        }
    }

    #[test]
    fn it_is_half_the_trace_of_the_hessian_times_the_variance() {
        let (objective, start) = logistic();
        let solution = lowest(&objective, start);
        let (at_minimum, mut goes_on) = (derivatives(&objective, &solution, usize::MAX).unwrap(), |_: f64| true);
        let mut hessian = HessianOperator::new(&at_minimum, &mut goes_on);
        let mut entry = |axis: usize| {
            let unit = [0, 1].map(|index| if index == axis { 1.0 } else { 0.0 });
            f64::from(hessian.apply(&unit).unwrap()[axis])
        };
        let expected = 0.5 * (entry(0) + entry(1)) * 0.05_f64.powi(2);
        let found = around(Change::Paper)
            .sharpness(&objective, &solution, 1, &mut |_| true)
            .unwrap();
        let error = found.standard_error.unwrap();
        // Five standard errors, and the term of fourth order: the logistic function's fourth derivative is at most 1/8,
        // the inputs are below 4, and so it is below 3·(4² + 1)²·δ⁴/(8·24).
        let fourth = 3.0 * 17.0_f64.powi(2) * 0.05_f64.powi(4) / (8.0 * 24.0);
        assert!(
            (found.mean - expected).abs() < 5.0 * error + fourth,
            "{found:?} {expected}"
        );
        assert!(5.0 * error + fourth < expected, "{found:?} {expected}");
        assert_eq!(found.samples, 4000);
    }

    #[test]
    fn the_codes_average_is_of_sizes() {
        let (objective, solution) = logistic();
        let find = |change, seed| {
            around(change)
                .sharpness(&objective, &solution, seed, &mut |_| true)
                .unwrap()
        };
        let (paper, code) = (find(Change::Paper, 1), find(Change::Code, 1));
        // Where there is a slope, most of the change is it, and goes both ways.
        assert!(code.mean > 3.0 * paper.mean.abs(), "{code:?} {paper:?}");
        assert_eq!(paper, find(Change::Paper, 1));
        assert_ne!(paper, find(Change::Paper, 2));
    }

    #[test]
    fn what_cannot_be_drawn_is_refused_and_being_told_to_stop_stops() {
        let (objective, solution) = logistic();
        let told = |settings: Around| settings.check().unwrap_err().to_string();
        let none = Around {
            draws: 0,
            ..around(Change::Paper)
        };
        let negative = Around {
            deviation: -0.1,
            ..around(Change::Paper)
        };
        assert!(told(none).starts_with("draws") && told(negative).starts_with("deviation"));
        let stopped = around(Change::Paper).sharpness(&objective, &solution, 1, &mut |_| false);
        assert!(matches!(stopped, Err(Error::Cancelled)));
    }
}
