//! What is seen of a dynamics on its way from a minimum, and whether it has left it.

use serde::{Deserialize, Serialize};

use super::is_aligned;
use crate::curvature::Estimate;
use crate::dynamics::noise::Noise;
use crate::experiment::kinds::noise_on_networks::{Record, curve_with_errors, over_seeds};
use crate::experiment::outcome::Series;
use crate::objective::Measurement;

/// What is seen after some steps.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Look {
    /// How many steps.
    pub step: usize,
    /// Losses and accuracies.
    pub measured: Measurement,
    /// The expected sharpness, where it is finite.
    pub sharpness: Option<Estimate>,
}

impl Record<Look> {
    /// What was seen after so many steps; NaN where it never came there.
    pub fn value(&self, step: usize, value: fn(&Look) -> f64) -> f64 {
        let found = self.looks.iter().find(|look| look.step == step);
        found.map_or(f64::NAN, value)
    }

    /// Whether it left a place with this train loss.
    pub fn has_left(&self, loss: f64, burst: f64) -> bool {
        let is_far = |look: &Look| look.measured.train.loss.is_nan() || look.measured.train.loss >= burst * loss;
        self.diverged.is_some() || self.looks.iter().any(is_far)
    }
}

/// Test accuracy in percent.
pub fn test_accuracy(look: &Look) -> f64 {
    100.0 * look.measured.test.accuracy
}

/// Train accuracy in percent.
pub fn train_accuracy(look: &Look) -> f64 {
    100.0 * look.measured.train.accuracy
}

/// Train loss.
pub fn train_loss(look: &Look) -> f64 {
    look.measured.train.loss
}

/// Expected sharpness; NaN where it is not finite.
pub fn sharpness(look: &Look) -> f64 {
    look.sharpness.map_or(f64::NAN, |found| found.mean)
}

/// A dynamics, from the minimum of every seed.
pub struct Way {
    /// The dynamics.
    pub noise: Noise,
    /// How it went with each seed.
    pub records: Vec<Record<Look>>,
    /// Of each seed, whether it left.
    pub left: Vec<bool>,
}

impl Way {
    /// What was seen after so many steps, seed by seed.
    pub fn values(&self, step: usize, value: fn(&Look) -> f64) -> Vec<f64> {
        self.records.iter().map(|record| record.value(step, value)).collect()
    }

    /// Means over the seeds by step, with their standard errors.
    pub fn curve(&self, steps: &[usize], value: fn(&Look) -> f64, logarithmic: bool) -> Series {
        let points = steps
            .iter()
            .map(|&step| (step as f64, over_seeds(&self.values(step, value))));
        curve_with_errors(self.noise.name(), points, !is_aligned(self.noise), logarithmic)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{lost, way};
    use super::*;

    #[test]
    fn what_diverges_has_left_and_has_no_end() {
        assert!(lost().has_left(0.01, 10.0));
        assert!(lost().value(10, test_accuracy).is_nan());
        let stays = way(Noise::Gd, 0.02, 0.5, 0.1);
        assert_eq!(stays.left, [false; 3]);
        let mut leaves = way(Noise::Sgd, 1.0, 0.6, 0.05);
        assert_eq!(leaves.left, [true; 3]);
        leaves.records[1] = lost();
        let curve = leaves.curve(&[0, 4, 10], train_loss, true);
        assert!(curve.points[0].1 == 0.01 && curve.points[2].0 == 10.0 && curve.points[2].1.is_nan() && !curve.dashed);
        assert!(stays.curve(&[0, 4, 10], train_loss, true).dashed);
    }
}
