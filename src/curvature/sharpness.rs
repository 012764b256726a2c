//! The sharpness and the non-uniformity of a solution of a network (Wu, Ma and E, 2018, Definition 3), over its first
//! training images with its batch-norm statistics as constants, or of a mean loss that is ready to be differentiated.

use serde::{Deserialize, Serialize};

use super::lanczos::{Effort, LanczosOptions, Spectrum, extreme_eigenpairs};
use super::loss::{HessianOperator, ImageHessians, over};
use super::non_uniformity::{self, NonUniformity};
use crate::data::{Part, Progress};
use crate::error::{Error, Result};
use crate::objective::{BatchNormPolicy, Derivatives, Objective, Solution};

/// The sharpness of a solution, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sharpness {
    /// a = λ_max(H), in losses by squared weight.
    pub value: f64,
    /// ‖Hv − a·v‖ of its eigenvector v: an eigenvalue lies within it.
    pub residual: f64,
    /// Whether it has converged to the tolerance.
    pub converged: bool,
}

impl Sharpness {
    /// The largest eigenvalue of the Hessian's spectrum.
    ///
    /// # Errors
    /// When there is none.
    pub fn of(found: &Spectrum) -> Result<Self> {
        let none = || Error::Request("the Hessian has no eigenvalue; choose a model with weights".to_owned());
        let pair = found.largest.first().ok_or_else(none)?;
        Ok(Self {
            value: pair.value,
            residual: pair.residual,
            converged: found.converged,
        })
    }

    /// Whether it is at most `bound`; not known where a search that has not converged, which bounds it from below, has
    /// found no more than that.
    pub fn is_within(self, bound: f64) -> Option<bool> {
        let is_within = self.value <= bound;
        (self.converged || !is_within).then_some(is_within)
    }
}

/// The images whose Hessians tell a non-uniformity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Images {
    /// All at once: it is exact, and has no error.
    All,
    /// Some disjoint sets of them, drawn with the effort's seed: it has a standard error, and is too large on average,
    /// the less so the larger the sets.
    Sets {
        /// How many sets.
        count: usize,
        /// Images of each.
        images: usize,
    },
}

/// a = λ_max(H) over the first `samples` training images, by Lanczos, telling the share done of as many products as
/// there may be.
///
/// # Errors
/// When the point is of another network or has diverged, or there are no images; as [`extreme_eigenpairs`].
pub fn sharpness(
    objective: &Objective,
    solution: &Solution,
    samples: usize,
    effort: Effort,
    progress: Progress,
) -> Result<Sharpness> {
    sharpness_of(&derivatives(objective, solution, samples)?, effort, progress)
}

/// The same of a mean loss, under its own policy and over its own images.
///
/// # Errors
/// As [`extreme_eigenpairs`], and when a product is not finite.
pub fn sharpness_of(derivatives: &Derivatives, effort: Effort, progress: Progress) -> Result<Sharpness> {
    let options = LanczosOptions {
        largest: 1,
        smallest: 0,
        copies: false,
        effort,
    };
    // One more for the residual.
    let mut told = over(effort.steps + 1, progress);
    let mut hessian = HessianOperator::new(derivatives, &mut told);
    Sharpness::of(&extreme_eigenpairs(&mut hessian, options, &mut |_| true)?)
}

/// s = λ_max(Σ)^½ with Σ = (1/n) Σ Hᵢ² − H² over the first `samples` training images, all of them in every product.
/// That is two products a step with the Hessian of every image, or three where there is no room for those of all.
///
/// # Errors
/// When the point is of another network or has diverged, or there are no images; as [`non_uniformity::non_uniformity`].
pub fn non_uniformity(
    objective: &Objective,
    solution: &Solution,
    samples: usize,
    effort: Effort,
    progress: Progress,
) -> Result<NonUniformity> {
    let derivatives = derivatives(objective, solution, samples)?;
    let found = non_uniformity_of(&derivatives, Images::All, effort, progress);
    // The products of single images take more memory than what comes next.
    objective.release_gradients();
    found
}

/// The same of a mean loss, under its own policy and from these of its images.
///
/// # Errors
/// Under the policy `batch`, where an image has no loss of its own; as [`non_uniformity::non_uniformity`] and
/// [`non_uniformity::estimated_non_uniformity`].
pub fn non_uniformity_of(
    derivatives: &Derivatives,
    from: Images,
    effort: Effort,
    progress: Progress,
) -> Result<NonUniformity> {
    let searches = match from {
        Images::All => 1,
        Images::Sets { count, .. } => count,
    };
    // One more of each for the residual.
    let mut told = over(searches * (effort.steps + 1), progress);
    let mut hessians = ImageHessians::new(derivatives, &mut told)?;
    match from {
        Images::All => non_uniformity::non_uniformity(&mut hessians, effort, &mut |_| true),
        Images::Sets { count, images } => {
            non_uniformity::estimated_non_uniformity(&mut hessians, count, images, effort, &mut |_| true)
        }
    }
}

fn derivatives<'a>(objective: &'a Objective, solution: &'a Solution, samples: usize) -> Result<Derivatives<'a>> {
    let policy = BatchNormPolicy::Running;
    Derivatives::new(objective, solution, policy, Part::Train, samples, &mut |_| true)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::data::{Dataset, Pixels};
    use crate::network::zoo;
    use crate::objective::Compute;

    const EFFORT: Effort = Effort {
        steps: 40,
        tolerance: 1e-6,
        seed: 3,
    };

    fn objective(model: &str, data: &str) -> Objective {
        let data = Arc::new(Dataset::open(data).unwrap());
        let graph = Arc::new(zoo::build(model, data.shape, data.classes.len()).unwrap());
        Objective::new(graph, data, Compute::cpu(), 16).unwrap()
    }

    /// Logistic regression at weight 0.7 and bias −0.2: Hᵢ = p(1 − p)·(x, 1)(x, 1)ᵀ, as [h·x², h·x, h].
    fn logistic(images: usize) -> (Objective, Solution, Vec<[f64; 3]>) {
        let objective = objective("logistic", "two-gaussians:seed=3");
        let solution = Solution {
            parameters: vec![0.7, -0.2],
            statistics: Vec::new(),
        };
        let Pixels::Floats(inputs) = &objective.data().train.images else {
            panic!("numbers");
        };
        let hessians = inputs.iter().take(images).map(|&x| {
            let x = f64::from(x);
            let p = 1.0 / (1.0 + (-(0.7 * x - 0.2)).exp());
            [x * x, x, 1.0].map(|entry| p * (1.0 - p) * entry)
        });
        let hessians = hessians.collect();
        (objective, solution, hessians)
    }

    fn mean(matrices: &[[f64; 3]]) -> [f64; 3] {
        [0, 1, 2].map(|i| matrices.iter().map(|matrix| matrix[i]).sum::<f64>() / matrices.len() as f64)
    }

    fn squared([a, b, c]: [f64; 3]) -> [f64; 3] {
        [a * a + b * b, b * (a + c), b * b + c * c]
    }

    /// The larger eigenvalue of [[a, b], [b, c]].
    fn largest([a, b, c]: [f64; 3]) -> f64 {
        0.5 * (a + c) + (0.25 * (a - c).powi(2) + b * b).sqrt()
    }

    #[test]
    fn of_logistic_regression_both_numbers_are_their_closed_forms() {
        for images in [20, 7] {
            let (objective, solution, hessians) = logistic(images);
            let average = mean(&hessians);
            let found = sharpness(&objective, &solution, images, EFFORT, &mut |_| true).unwrap();
            let expected = largest(average);
            // A handful of roundings of 6e-8 in every product.
            assert!((found.value / expected - 1.0).abs() < 3e-6, "{found:?} {expected}");
            assert!(found.converged && found.residual < 3e-6 * expected, "{found:?}");
            let squares = mean(&hessians.iter().copied().map(squared).collect::<Vec<_>>());
            let square = squared(average);
            let covariance = [0, 1, 2].map(|i| squares[i] - square[i]);
            let found = non_uniformity(&objective, &solution, images, EFFORT, &mut |_| true).unwrap();
            let expected = largest(covariance).sqrt();
            assert!((found.value / expected - 1.0).abs() < 1e-5, "{found:?} {expected}");
            assert!(found.converged && found.squared.samples == 1);
        }
    }

    #[test]
    fn a_search_that_has_not_converged_shows_only_that_it_is_beyond() {
        let within = |value: f64, converged: bool| {
            let sharpness = Sharpness {
                value,
                residual: 0.5,
                converged,
            };
            sharpness.is_within(2.0)
        };
        assert_eq!(
            [1.0, 2.0, 2.1].map(|value| within(value, true)),
            [true, true, false].map(Some)
        );
        assert_eq!(
            [1.0, 2.0, 2.1].map(|value| within(value, false)),
            [None, None, Some(false)]
        );
    }

    #[test]
    fn the_share_done_rises_and_being_told_to_stop_stops() {
        let (objective, solution, _) = logistic(20);
        let mut shares = Vec::new();
        let mut tell = |share: f64| {
            shares.push(share);
            true
        };
        non_uniformity(&objective, &solution, 20, EFFORT, &mut tell).unwrap();
        assert!(
            shares.is_sorted() && shares.iter().all(|share| (0.0..=1.0).contains(share)),
            "{shares:?}"
        );
        let stopped = sharpness(&objective, &solution, 20, EFFORT, &mut |_| false);
        assert!(matches!(stopped, Err(Error::Cancelled)));
        let stopped = non_uniformity(&objective, &solution, 20, EFFORT, &mut |_| false);
        assert!(matches!(stopped, Err(Error::Cancelled)));
    }

    #[test]
    fn a_diverged_point_and_no_images_are_refused() {
        let (objective, solution, _) = logistic(20);
        let lost = Solution {
            parameters: vec![f32::INFINITY, 0.0],
            ..solution.clone()
        };
        assert!(sharpness(&objective, &lost, 20, EFFORT, &mut |_| true).is_err());
        assert!(sharpness(&objective, &solution, 0, EFFORT, &mut |_| true).is_err());
    }
}
