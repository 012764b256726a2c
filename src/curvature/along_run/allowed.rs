//! What SGD's stability allows along a training run (Wu, Ma and E, 2018, (9)), whose learning rate is constant within an
//! epoch and jumps between two.

use crate::curvature::stability::Sgd;
use crate::error::Result;
use crate::training::{TrainingOptions, schedule};

/// What SGD's stability allows along a run.
#[derive(Clone, Copy, Debug)]
pub struct Allowed<'a> {
    /// How the run was trained.
    pub options: &'a TrainingOptions,
    /// Training images n; 0 while they are not known.
    pub samples: usize,
}

impl Allowed<'_> {
    /// η of the steps that led to the weights after an epoch; of the initial weights, of those that leave them.
    pub fn learning_rate(self, epoch: usize) -> f64 {
        schedule::learning_rate(self.options, epoch.max(1))
    }

    /// SGD as it was at an epoch.
    ///
    /// # Errors
    /// As [`Sgd::new`]: with fewer images than a batch has, the run was trained on others.
    pub fn sgd(self, epoch: usize) -> Result<Sgd> {
        Sgd::new(self.learning_rate(epoch), self.options.batch_size, self.samples)
    }

    /// 2/η.
    pub fn sharpness(self, epoch: usize) -> Option<f64> {
        self.sgd(epoch).ok().map(Sgd::sharpness_bound)
    }

    /// 2(1 + μ)/η, up to which gradient descent with momentum μ stays; nothing without momentum.
    pub fn heavy_ball(self, epoch: usize) -> Option<f64> {
        let momentum = Some(self.options.momentum).filter(|&momentum| momentum > 0.0)?;
        Some(self.sgd(epoch).ok()?.sharpness_bound_with_momentum(momentum))
    }

    /// (1/η)·√(B(n − 1)/(n − B)); nothing where batches are all images, which leave no noise.
    pub fn non_uniformity(self, epoch: usize) -> Option<f64> {
        let bound = self.sgd(epoch).ok()?.non_uniformity_bound();
        bound.is_finite().then_some(bound)
    }

    /// A bound over epochs 0 to `last` as a line through [epoch, bound]: it is the same all through an epoch.
    pub fn line(self, last: usize, bound: fn(Self, usize) -> Option<f64>) -> Vec<[f64; 2]> {
        let mut points: Vec<[f64; 2]> = Vec::new();
        for epoch in 1..=last.max(1) {
            let Some(value) = bound(self, epoch) else { continue };
            match points.last_mut() {
                Some(end) if end[1] == value => end[0] = epoch as f64,
                _ => points.extend([(epoch - 1) as f64, epoch as f64].map(|x| [x, value])),
            }
        }
        points
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three epochs at 0.1, one on the way to 0.05, and one there; then one of SGD at 0.01.
    fn options() -> TrainingOptions {
        TrainingOptions {
            epochs: 5,
            batch_size: 4,
            swa_start: 4,
            sgd_epochs: 1,
            sgd_learning_rate: 0.01,
            ..TrainingOptions::default()
        }
    }

    #[test]
    fn what_is_allowed_follows_the_schedule() {
        let options = options();
        let allowed = Allowed {
            options: &options,
            samples: 100,
        };
        for (epoch, rate) in [(0, 0.1), (1, 0.1), (2, 0.1), (5, 0.05), (6, 0.01)] {
            assert!((allowed.learning_rate(epoch) - rate).abs() < 1e-12, "epoch {epoch}");
            let near = |bound: Option<f64>, expected: f64| (bound.unwrap() / expected - 1.0).abs() < 1e-12;
            assert!(near(allowed.sharpness(epoch), 2.0 / rate));
            assert!(near(allowed.heavy_ball(epoch), 2.0 * 1.9 / rate));
            assert!(near(
                allowed.non_uniformity(epoch),
                (4.0_f64 * 99.0 / 96.0).sqrt() / rate
            ));
        }
        let plain = TrainingOptions {
            momentum: 0.0,
            batch_size: 100,
            ..options.clone()
        };
        let plain = Allowed {
            options: &plain,
            samples: 100,
        };
        // Batches of all images are gradient descent.
        assert_eq!((plain.heavy_ball(1), plain.non_uniformity(1)), (None, None));
        assert!(plain.sharpness(1).is_some());
        // Data that are not known yet, and such as cannot be the run's.
        for samples in [0, 99] {
            let other = Allowed { samples, ..plain };
            assert_eq!((other.sharpness(1), other.non_uniformity(1)), (None, None));
            assert!(other.sgd(1).is_err());
        }
    }

    #[test]
    fn a_bound_is_level_within_an_epoch() {
        let options = TrainingOptions {
            learning_rate: 0.05,
            ..options()
        };
        let allowed = Allowed {
            options: &options,
            samples: 100,
        };
        let line = allowed.line(6, Allowed::sharpness);
        let expected = [[0.0, 40.0], [5.0, 40.0], [5.0, 200.0], [6.0, 200.0]];
        assert_eq!(line.len(), expected.len());
        for (point, expected) in line.iter().flatten().zip(expected.iter().flatten()) {
            assert!((point - expected).abs() < 1e-9, "{line:?}");
        }
        // A run of initial weights alone has the bound of what comes.
        assert_eq!(allowed.line(0, Allowed::sharpness).len(), 2);
    }
}
