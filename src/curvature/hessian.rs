//! The Hessian of an objective at a solution as a matrix known by its products, with those of single images: the
//! sharpness and the non-uniformity of a minimum (Wu, Ma and E, 2018, Definition 3).

use serde::{Deserialize, Serialize};

use super::lanczos::{Effort, LanczosOptions, extreme_eigenpairs};
use super::non_uniformity::{self, NonUniformity, PerSample};
use super::operator::SymmetricOperator;
use crate::data::{Part, Progress};
use crate::error::{Error, Result};
use crate::objective::{BatchNormPolicy, Derivatives, Objective, Solution};

/// H of the mean loss over the first training images, `[d, d]`, and Hᵢ of each of them. Batch norm takes the solution's
/// statistics as constants.
///
/// A product with H costs some three gradients over these images; a product with every Hᵢ as much arithmetic, and the
/// time to read as many copies of the weights. Both are computed by Burn's tensors.
pub struct Hessian<'a> {
    objective: &'a Objective,
    solution: &'a Solution,
    derivatives: Derivatives<'a>,
    images: usize,
    /// Images of all products so far, and of as many as there will be at most.
    done: f64,
    most: f64,
    progress: Progress<'a>,
}

impl<'a> Hessian<'a> {
    /// Over the first `samples` training images. `products` is how many there will be at most, of which the share done
    /// is told; told to stop, a product is [`Error::Cancelled`].
    ///
    /// # Errors
    /// When the point is of another network or has diverged, or there are no images.
    pub fn new(
        objective: &'a Objective,
        solution: &'a Solution,
        samples: usize,
        products: usize,
        progress: Progress<'a>,
    ) -> Result<Self> {
        let policy = BatchNormPolicy::Running;
        let derivatives = Derivatives::new(objective, solution, policy, Part::Train, samples, &mut |_| true)?;
        let images = objective.data().train.len().min(samples);
        Ok(Self {
            objective,
            solution,
            derivatives,
            images,
            done: 0.0,
            most: products.max(1) as f64 * images as f64,
            progress,
        })
    }
}

impl SymmetricOperator for Hessian<'_> {
    fn dimension(&self) -> usize {
        self.solution.parameters.len()
    }

    fn apply(&mut self, vector: &[f32]) -> Result<Vec<f32>> {
        let (before, images, most) = (self.done, self.images as f64, self.most);
        let progress = &mut self.progress;
        let mut told = |share: f64| progress(((before + share * images) / most).min(1.0));
        let product = self.derivatives.hessian_vector(vector, &mut told)?;
        self.done = before + images;
        Ok(product)
    }
}

impl PerSample for Hessian<'_> {
    fn count(&self) -> usize {
        self.images
    }

    fn dimension(&self) -> usize {
        self.solution.parameters.len()
    }

    fn apply_each(&mut self, samples: &[usize], vectors: &[f32]) -> Result<Vec<f32>> {
        let (before, images, most) = (self.done, samples.len() as f64, self.most);
        let progress = &mut self.progress;
        let mut told = |share: f64| progress(((before + share * images) / most).min(1.0));
        let products =
            self.objective
                .image_hessian_vectors(self.solution, Part::Train, samples, vectors, &mut told)?;
        self.done = before + images;
        Ok(products)
    }
}

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

/// a = λ_max(H) over the first `samples` training images, by Lanczos, telling the share done of as many products as
/// there may be.
///
/// # Errors
/// As [`Hessian::new`] and [`extreme_eigenpairs`].
pub fn sharpness(
    objective: &Objective,
    solution: &Solution,
    samples: usize,
    effort: Effort,
    progress: Progress,
) -> Result<Sharpness> {
    let options = LanczosOptions {
        largest: 1,
        smallest: 0,
        copies: false,
        effort,
    };
    // One more for the residual.
    let mut hessian = Hessian::new(objective, solution, samples, effort.steps + 1, progress)?;
    let found = extreme_eigenpairs(&mut hessian, options, &mut |_| true)?;
    let largest = found.largest.first().map(|pair| (pair.value, pair.residual));
    let (value, residual) =
        largest.ok_or_else(|| Error::Request("the Hessian has no eigenvalue; choose a model with weights".to_owned()))?;
    Ok(Sharpness {
        value,
        residual,
        converged: found.converged,
    })
}

/// s = λ_max(Σ)^½ with Σ = (1/n) Σ Hᵢ² − H² over the first `samples` training images, all of them in every product.
/// That is two products a step with the Hessian of every image.
///
/// # Errors
/// As [`Hessian::new`] and [`non_uniformity::non_uniformity`].
pub fn non_uniformity(
    objective: &Objective,
    solution: &Solution,
    samples: usize,
    effort: Effort,
    progress: Progress,
) -> Result<NonUniformity> {
    let mut hessian = Hessian::new(objective, solution, samples, 2 * (effort.steps + 1), progress)?;
    non_uniformity::non_uniformity(&mut hessian, effort, &mut |_| true)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::data::{Dataset, Pixels};
    use crate::network::initialisation::initial_parameters;
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
    fn an_images_product_is_its_own_matrix_times_its_own_vector() {
        let (objective, solution, hessians) = logistic(20);
        let images = [3, 17, 0, 3];
        let vectors = [1.0_f32, 0.0, 0.0, 1.0, 2.0, -1.0, 0.5, 0.25];
        let products = objective
            .image_hessian_vectors(&solution, Part::Train, &images, &vectors, &mut |_| true)
            .unwrap();
        for ((image, vector), product) in images.iter().zip(vectors.chunks(2)).zip(products.chunks(2)) {
            let ([a, b, c], [x, y]) = (hessians[*image], [0, 1].map(|i| f64::from(vector[i])));
            for (found, expected) in product.iter().zip([a * x + b * y, b * x + c * y]) {
                assert!((f64::from(*found) - expected).abs() < 3e-6, "{found} {expected}");
            }
        }
    }

    #[test]
    fn the_mean_of_the_images_products_is_the_hessians() {
        // More images than networks of one pass, and in another order than theirs.
        for (model, data) in [
            ("mlp:6x5:loss=squared-error", "builtin:train=70:test=5"),
            ("lenet", "builtin:train=12:test=5"),
            ("resnet8:width=2", "builtin:train=12:test=5"),
        ] {
            let objective = objective(model, data);
            let graph = objective.graph();
            let solution = Solution {
                parameters: initial_parameters(graph, 1),
                statistics: graph.initial_statistics(),
            };
            let vector = initial_parameters(graph, 2);
            let images = objective.data().train.len();
            let mut goes_on = |_: f64| true;
            let mut hessian = Hessian::new(&objective, &solution, usize::MAX, 1, &mut goes_on).unwrap();
            assert_eq!(PerSample::count(&hessian), images);
            let whole = hessian.apply(&vector).unwrap();
            let order: Vec<usize> = (0..images).rev().collect();
            let each = hessian.apply_each(&order, &vector.repeat(images)).unwrap();
            let mut mean = vec![0.0; vector.len()];
            for row in each.chunks(vector.len()) {
                for (mean, &entry) in mean.iter_mut().zip(row) {
                    *mean += f64::from(entry) / images as f64;
                }
            }
            let apart = mean.iter().zip(&whole).map(|(a, &b)| (a - f64::from(b)).powi(2)).sum::<f64>();
            let size = mean.iter().map(|a| a * a).sum::<f64>();
            // Products of single precision that cancel in part.
            assert!(size > 0.0 && apart.sqrt() < 1e-4 * size.sqrt(), "{model}: {apart} of {size}");
        }
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
        assert!(shares.is_sorted() && shares.iter().all(|share| (0.0..=1.0).contains(share)), "{shares:?}");
        let stopped = sharpness(&objective, &solution, 20, EFFORT, &mut |_| false);
        assert!(matches!(stopped, Err(Error::Cancelled)));
        let stopped = non_uniformity(&objective, &solution, 20, EFFORT, &mut |_| false);
        assert!(matches!(stopped, Err(Error::Cancelled)));
    }

    #[test]
    fn what_has_no_product_is_explained() {
        let (objective, solution, _) = logistic(20);
        let mut goes_on = |_: f64| true;
        let mut says = |images: &[usize], vectors: &[f32], part: &str| {
            let found = objective.image_hessian_vectors(&solution, Part::Train, images, vectors, &mut goes_on);
            let text = found.unwrap_err().to_string();
            assert!(text.contains(part), "`{text}` does not say `{part}`");
        };
        says(&[0, 1], &[1.0; 3], "3 numbers for 2 images");
        says(&[20], &[1.0; 2], "there is no train image 20; there are 20");
        says(&[0], &[1.0, f32::NAN], "holds NaN");
        let lost = Solution {
            parameters: vec![f32::INFINITY, 0.0],
            ..solution.clone()
        };
        assert!(sharpness(&objective, &lost, 20, EFFORT, &mut |_| true).is_err());
        assert!(sharpness(&objective, &solution, 0, EFFORT, &mut |_| true).is_err());
    }
}
