//! One-point convexity (Kleinberg, Li and Yuan, *An Alternative View: When Does SGD Escape Local Minima?*, ICML 2018):
//! does the negative gradient at a point have a positive inner product with the way to another?

use serde::{Deserialize, Serialize};

use super::direction::{distance, dot};
use crate::data::Progress;
use crate::error::{Error, Result};
use crate::objective::{BatchNormPolicy, Objective, Solution, check_memory, loss_value};

/// How the negative gradient −g at a point w lies to the way from there to a target w*.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alignment {
    /// ⟨−g, w* − w⟩, the left side of the paper's Assumption 1: above 0 where the function is one point convex at w
    /// with respect to w*.
    #[serde(with = "loss_value")]
    pub product: f64,
    /// The same over ‖g‖·‖w* − w‖, from −1 to 1; NaN where either is 0.
    #[serde(with = "loss_value")]
    pub cosine: f64,
    /// The step size η below which a step w − η·g comes nearer to w*, and above which it goes away from it however well
    /// −g points: 2⟨−g, w* − w⟩/‖g‖², as ‖w − η·g − w*‖² = ‖w − w*‖² − 2η⟨−g, w* − w⟩ + η²‖g‖² (Theorem 3 with the c′
    /// of this point, and Fig. 4). Not above 0 where no step comes nearer, and infinite where g is 0.
    #[serde(with = "loss_value")]
    pub largest_step: f64,
}

impl Alignment {
    /// For a gradient `[d]`, a point `[d]` and a target `[d]`, in double precision.
    pub fn new(gradient: &[f32], point: &[f32], target: &[f32]) -> Self {
        let product: f64 = gradient
            .iter()
            .zip(point.iter().zip(target))
            .map(|(&g, (&from, &to))| f64::from(g) * (f64::from(from) - f64::from(to)))
            .sum();
        let square = dot(gradient, gradient);
        let lengths = square.sqrt() * distance(point, target);
        Self {
            product,
            cosine: (product / lengths).clamp(-1.0, 1.0),
            largest_step: if square == 0.0 {
                f64::INFINITY
            } else {
                2.0 * product / square
            },
        }
    }
}

/// What one pass over training images finds at a point: the gradient of their mean loss, and how long the gradients of
/// the minibatches are that it is the mean of.
#[derive(Clone, Debug, PartialEq)]
pub struct GradientPass {
    /// Gradient of the mean loss `[d]`, without weight decay.
    pub gradient: Vec<f32>,
    /// ‖v‖ of every minibatch's own gradient v, in their order.
    pub norms: Vec<f64>,
}

impl GradientPass {
    /// Passes over the training images `order` (their numbers), unaugmented, in minibatches of `batch_size`. Under
    /// `running` and `recompute` the statistics are constants, those of `recompute` from all training images; under
    /// `batch`, as in training, the gradient flows through each minibatch's own. Tells the share done after every
    /// minibatch; told to stop, it does.
    ///
    /// # Errors
    /// When there are no images, a minibatch is too large for memory or too small to be normalised by itself;
    /// [`Error::Device`] when the device fails, [`Error::Cancelled`].
    pub fn at(
        objective: &Objective,
        solution: &Solution,
        policy: BatchNormPolicy,
        order: &[usize],
        batch_size: usize,
        progress: Progress,
    ) -> Result<Self> {
        if order.is_empty() || batch_size == 0 {
            return Err(Error::Request("a gradient takes one image at least".to_owned()));
        }
        check_memory(objective.graph(), batch_size.min(order.len()))?;
        let recomputed;
        let statistics = match policy {
            BatchNormPolicy::Running => Some(solution.statistics.as_slice()),
            BatchNormPolicy::Recompute => {
                recomputed = objective.recompute_statistics_with(&solution.parameters, &mut |_| progress(0.0))?;
                Some(recomputed.as_slice())
            }
            BatchNormPolicy::Batch => {
                let over = order.len() % batch_size;
                objective
                    .graph()
                    .check_batch(if over == 0 { batch_size } else { over })?;
                None
            }
        };
        let mut gradient = vec![0.0_f64; solution.parameters.len()];
        let (mut norms, mut done) = (Vec::with_capacity(order.len().div_ceil(batch_size)), 0);
        for batch in order.chunks(batch_size) {
            let found = objective.gradient_of(&solution.parameters, batch, statistics)?;
            let weight = batch.len() as f64 / order.len() as f64;
            for (sum, &g) in gradient.iter_mut().zip(&found.gradient) {
                *sum += weight * f64::from(g);
            }
            norms.push(dot(&found.gradient, &found.gradient).sqrt());
            done += batch.len();
            if !progress(done as f64 / order.len() as f64) {
                return Err(Error::Cancelled);
            }
        }
        Ok(Self {
            gradient: gradient.into_iter().map(|g| g as f32).collect(),
            norms,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::data::{Dataset, Part};
    use crate::network::initialisation::initial_parameters;
    use crate::network::zoo;
    use crate::objective::Compute;
    use proptest::prelude::*;

    const IMAGES: usize = 70;

    fn objective(model: &str) -> (Objective, Solution) {
        let data = Arc::new(Dataset::open(&format!("builtin:train={IMAGES}:test=10")).unwrap());
        let graph = Arc::new(zoo::build(model, data.shape, 10).unwrap());
        let solution = Solution {
            parameters: initial_parameters(&graph, 1),
            statistics: graph.initial_statistics(),
        };
        // Batches of the same size as below, so that both see the same.
        (Objective::new(graph, data, Compute::cpu(), 32).unwrap(), solution)
    }

    fn largest(values: &[f32]) -> f32 {
        values.iter().fold(0.0, |largest, value| largest.max(value.abs()))
    }

    fn differ(a: &[f32], b: &[f32]) -> f32 {
        let differences: Vec<f32> = a.iter().zip(b).map(|(a, b)| a - b).collect();
        largest(&differences) / largest(b)
    }

    fn at(objective: &Objective, solution: &Solution, policy: BatchNormPolicy, order: &[usize]) -> GradientPass {
        GradientPass::at(objective, solution, policy, order, 32, &mut |_| true).unwrap()
    }

    #[test]
    fn the_way_down_a_parabola_leads_to_its_minimum_and_not_to_a_place_behind() {
        // L = (x² + 4·y²)/2 at (3, 1): the gradient is (3, 4).
        let (point, gradient) = ([3.0, 1.0], [3.0, 4.0]);
        let minimum = Alignment::new(&gradient, &point, &[0.0, 0.0]);
        assert_eq!((minimum.product, minimum.largest_step), (13.0, 26.0 / 25.0));
        assert!((minimum.cosine - 13.0 / (5.0 * 10.0_f64.sqrt())).abs() < 1e-15);
        assert_eq!(Alignment::new(&gradient, &point, &[6.0, 2.0]).product, -13.0);
        // Across the gradient, and nowhere.
        assert_eq!(Alignment::new(&gradient, &point, &[7.0, -2.0]).product, 0.0);
        let nowhere = Alignment::new(&gradient, &point, &point);
        assert!(nowhere.product == 0.0 && nowhere.cosine.is_nan() && nowhere.largest_step == 0.0);
        assert_eq!(Alignment::new(&[0.0; 2], &point, &[0.0; 2]).largest_step, f64::INFINITY);
        let straight = Alignment::new(&gradient, &point, &[0.0, -3.0]);
        assert_eq!((straight.product, straight.cosine), (25.0, 1.0));
    }

    proptest! {
        /// A convex quadratic is one point convex with respect to its minimum: ⟨−∇L(w), w* − w⟩ = Σ aᵢ·(wᵢ − w*ᵢ)².
        #[test]
        fn a_convex_quadratic_is_one_point_convex_everywhere(
            entries in prop::collection::vec((0.5_f32..10.0, -5.0_f32..5.0, -5.0_f32..5.0), 1..30),
        ) {
            let points: Vec<f32> = entries.iter().map(|entry| entry.1).collect();
            let targets: Vec<f32> = entries.iter().map(|entry| entry.2).collect();
            let gradient: Vec<f32> = entries.iter().map(|(a, w, end)| a * (w - end)).collect();
            let expected: f64 = entries
                .iter()
                .map(|&(a, w, end)| f64::from(a) * (f64::from(w) - f64::from(end)).powi(2))
                .sum();
            let found = Alignment::new(&gradient, &points, &targets);
            // Two roundings to single precision in every entry of the gradient, of terms that are all at least 0.
            prop_assert!((found.product - expected).abs() <= 2.0 * f64::from(f32::EPSILON) * expected);
            prop_assert!(expected == 0.0 || (found.product > 0.0 && found.cosine > 0.0));
        }

        /// Whatever the gradient and the target, a step leads nearer below the largest one and away above it.
        #[test]
        fn a_step_below_the_largest_leads_nearer_and_one_above_it_away(
            entries in prop::collection::vec((-5.0_f32..5.0, -5.0_f32..5.0, -5.0_f32..5.0), 1..30),
            share in 0.01_f64..0.99,
        ) {
            let gradient: Vec<f32> = entries.iter().map(|entry| entry.0).collect();
            let point: Vec<f32> = entries.iter().map(|entry| entry.1).collect();
            let target: Vec<f32> = entries.iter().map(|entry| entry.2).collect();
            let found = Alignment::new(&gradient, &point, &target);
            let largest = found.largest_step;
            let square = |rate: f64| -> f64 {
                let away = |&(g, w, end): &(f32, f32, f32)| f64::from(w) - f64::from(end) - rate * f64::from(g);
                entries.iter().map(|entry| away(entry).powi(2)).sum()
            };
            let here = square(0.0);
            // With η* the largest step, the square at η is η·(η − η*)·‖g‖² larger than here, and (η*·‖g‖)² is 4·cos² of
            // the square here: for these shares and cosines far more than some hundred roundings of double precision.
            prop_assume!(found.cosine.abs() > 1e-3);
            prop_assert!((square(largest) - here).abs() <= 1e-12 * here);
            prop_assert!(square(share * largest) < here);
            prop_assert!(square((1.0 + share) * largest) > here && square(-share * largest) > here);
        }
    }

    #[test]
    fn a_pass_finds_the_gradient_of_the_objective_in_any_order() {
        for model in ["mlp:8", "resnet8:width=4"] {
            let (objective, solution) = objective(model);
            let forwards: Vec<usize> = (0..IMAGES).collect();
            for policy in BatchNormPolicy::ALL {
                let (_, expected) = objective.gradient(&solution, policy, Part::Train).unwrap();
                let found = at(&objective, &solution, policy, &forwards);
                // The same sums of the same numbers, in single precision.
                assert!(differ(&found.gradient, &expected) < 1e-5, "{model} {policy}");
                assert_eq!(found.norms.len(), 3);
            }
            // Statistics that are constants make the order of no matter but for rounding: sums of some thousand
            // products, as in the tests of gradients.
            let backwards: Vec<usize> = (0..IMAGES).rev().collect();
            let policy = BatchNormPolicy::Running;
            let [first, second] = [&forwards, &backwards].map(|order| at(&objective, &solution, policy, order));
            assert!(differ(&second.gradient, &first.gradient) < 2e-5, "{model}");
            assert_ne!(first.norms, second.norms);
        }
    }

    #[test]
    fn minibatch_gradients_are_no_shorter_than_their_mean_and_one_of_all_images_is_it() {
        let (objective, solution) = objective("mlp:8");
        let order: Vec<usize> = (0..IMAGES).collect();
        let policy = BatchNormPolicy::Batch;
        let pass = at(&objective, &solution, policy, &order);
        let length = dot(&pass.gradient, &pass.gradient).sqrt();
        // Weighted by their images: 32, 32 and 6.
        let mean = (32.0 * (pass.norms[0] + pass.norms[1]) + 6.0 * pass.norms[2]) / IMAGES as f64;
        assert!(mean > length, "{mean} {length}");
        let whole = GradientPass::at(&objective, &solution, policy, &order, IMAGES, &mut |_| true).unwrap();
        assert_eq!(whole.norms.len(), 1);
        assert!((whole.norms[0] - length).abs() < 1e-5 * length);
    }

    #[test]
    fn what_cannot_be_passed_over_is_told_and_a_pass_can_be_stopped() {
        let (objective, solution) = objective("resnet8:width=4");
        let pass = |order: &[usize], batch_size: usize, most: usize| {
            let mut told = 0;
            let result = GradientPass::at(
                &objective,
                &solution,
                BatchNormPolicy::Batch,
                order,
                batch_size,
                &mut |_| {
                    told += 1;
                    told < most
                },
            );
            (result, told)
        };
        assert!(pass(&[], 32, 9).0.is_err() && pass(&[1], 0, 9).0.is_err());
        let (stopped, told) = pass(&[1, 2, 3, 4], 2, 1);
        assert!(matches!(stopped, Err(Error::Cancelled)) && told == 1);
        let (whole, told) = pass(&[1, 2, 3, 4], 2, 9);
        assert!(whole.is_ok() && told == 2);
    }
}
