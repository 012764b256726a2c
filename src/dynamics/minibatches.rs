//! Gradients of minibatches at a point of a network, and their covariance Σ: the noise of SGD (*The Anisotropic Noise
//! in Stochastic Gradient Descent*, Eq. 5).

use nalgebra::{DMatrix, DVector};
use rayon::prelude::*;
use serde::Deserialize;

use super::covariance::GradientCovariance;
use crate::data::{Part, Progress};
use crate::error::{Error, Result};
use crate::objective::{BatchGradient, Objective, Solution, check_memory};
use crate::random::{Purpose, Random};

/// Part of the random numbers of noise that the division into batches is drawn from.
const DIVISION: u32 = 1;
/// Images whose own gradients are taken at once, at most.
const IMAGES: usize = 64;
/// Bytes of the gradients of batches that are held beside what is made of them.
const WAITING_BYTES: usize = 64 << 20;
/// Bytes that gradients may take while they are computed. One batch, or one block of images, is computed in any case.
const WORKING_BYTES: usize = 2 << 30;
/// Bytes that the gradients behind a whole Σ may take.
const MOST_BYTES: usize = 8 << 30;

/// What Σ is taken from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sigma {
    /// The gradients of disjoint batches that all images are divided into once: as the published code does, and
    /// Supplementary D.3 says.
    #[default]
    Batches,
    /// The gradients of single images, their covariance divided by the size of a batch: Eq. 5. It takes as many
    /// gradients as there are images.
    Images,
}

impl Sigma {
    /// For figures, with the size m of a batch.
    pub fn name(self, size: usize) -> String {
        match self {
            Self::Batches => format!("Σ of batches of {size}"),
            Self::Images => format!("Σ of single images, over {size}"),
        }
    }
}

/// All training images, divided into batches of one size.
pub struct Minibatches<'a> {
    objective: &'a Objective,
    /// All images; as many in turn as a batch has are one.
    order: Vec<usize>,
    size: usize,
    sigma: Sigma,
    /// Whether batches are shared over the cores.
    is_parallel: bool,
}

impl<'a> Minibatches<'a> {
    /// Batches of m = `size` images, in a division that is drawn from the seed.
    ///
    /// # Errors
    /// [`Error::Option`] where the size does not divide the training images into two batches or more, and for a network
    /// with batch norm: its loss is no mean over images.
    pub fn new(objective: &'a Objective, size: usize, sigma: Sigma, seed: u64) -> Result<Self> {
        let (graph, images) = (objective.graph(), objective.data().train.len());
        if graph.statistics_count() > 0 {
            let reason = "it has batch norm, with which the loss is no mean over images; choose a network without, \
                          such as lenet, or one with `:bn=off`";
            return Err(Error::option("model", &graph.name, reason));
        }
        if size == 0 || !images.is_multiple_of(size) || images < 2 * size {
            let reason = format!("it must divide the {images} training images into two batches at least");
            return Err(Error::option("batch-size", size, reason));
        }
        check_memory(graph, size)?;
        Ok(Self {
            objective,
            order: Random::new(seed, Purpose::Noise, DIVISION).permutation(images),
            size,
            sigma,
            // Tensors are shared over the cores within a batch, under locks that must not wait for another batch.
            is_parallel: objective.memory().is_some(),
        })
    }

    /// Number of gradients that Σ is taken from.
    pub fn count(&self) -> usize {
        match self.sigma {
            Sigma::Batches => self.order.len() / self.size,
            Sigma::Images => self.order.len(),
        }
    }

    /// Gradient of the mean loss over some training images at a point `[D]`.
    ///
    /// # Errors
    /// [`Error::Device`] when the device fails.
    pub fn gradient(&self, parameters: &[f32], images: &[usize]) -> Result<BatchGradient> {
        self.objective.gradient_of(parameters, images, Some(&[]))
    }

    /// ∇L `[D]` over all training images, and Σ. `progress` is told the share of the gradients done.
    ///
    /// # Errors
    /// When the gradients would not fit in memory, or the device fails; [`Error::Cancelled`].
    pub fn covariance(&self, solution: &Solution, progress: Progress) -> Result<(DVector<f64>, GradientCovariance)> {
        let (dimensions, count) = (solution.parameters.len(), self.count());
        // As they are read, with their mean taken off, and as a factor.
        let bytes = dimensions.saturating_mul(count).saturating_mul(3 * size_of::<f64>());
        if bytes > MOST_BYTES {
            return Err(Error::Request(format!(
                "the covariance of {count} gradients of {dimensions} parameters would take {} GiB; choose a smaller \
                 network, or noise that needs its diagonal alone",
                bytes >> 30
            )));
        }
        let mut values = Vec::with_capacity(dimensions * count);
        self.each(solution, progress, &mut |gradient: &[f32]| {
            values.extend(gradient.iter().map(|&g| f64::from(g)));
        })?;
        let gradients = DMatrix::from_vec(dimensions, count, values);
        let mean = gradients.column_mean();
        let sigma = match self.sigma {
            Sigma::Batches => GradientCovariance::of(&gradients),
            Sigma::Images => GradientCovariance::of(&(gradients / (self.size as f64).sqrt())),
        };
        Ok((mean, sigma))
    }

    /// ∇L `[D]` over all training images, and the diagonal of Σ `[D]`, in no more memory than some gradients.
    ///
    /// # Errors
    /// When the device fails; [`Error::Cancelled`].
    pub fn variances(&self, solution: &Solution, progress: Progress) -> Result<(DVector<f64>, DVector<f64>)> {
        let dimensions = solution.parameters.len();
        let (mut mean, mut squares) = (DVector::<f64>::zeros(dimensions), DVector::<f64>::zeros(dimensions));
        let mut count = 0.0_f64;
        // As Welford (1962) does, so that nothing cancels.
        self.each(solution, progress, &mut |gradient: &[f32]| {
            count += 1.0;
            for ((mean, square), &g) in mean.iter_mut().zip(squares.iter_mut()).zip(gradient) {
                let (g, before) = (f64::from(g), *mean);
                *mean += (g - before) / count;
                *square += (g - before) * (g - *mean);
            }
        })?;
        let over = match self.sigma {
            Sigma::Batches => count,
            Sigma::Images => count * self.size as f64,
        };
        Ok((mean, squares / over))
    }

    /// Gives every gradient `[D]` that Σ is taken from, in an order that is always the same.
    fn each(&self, solution: &Solution, progress: Progress, enter: &mut dyn FnMut(&[f32])) -> Result<()> {
        let (dimensions, images) = (solution.parameters.len().max(1), self.order.len());
        let mut done = 0;
        let mut tell = |more: usize| {
            done += more;
            match progress(done as f64 / images as f64) {
                true => Ok(()),
                false => Err(Error::Cancelled),
            }
        };
        match self.sigma {
            Sigma::Batches => {
                let batches: Vec<&[usize]> = self.order.chunks(self.size).collect();
                let bytes = self.objective.gradient_bytes(self.size);
                let at_once = batches_at_once(rayon::current_num_threads(), dimensions, bytes);
                for some in batches.chunks(at_once) {
                    for found in self.gradients(&solution.parameters, some)? {
                        enter(&found.gradient);
                    }
                    tell(some.len() * self.size)?;
                }
            }
            Sigma::Images => {
                let at_once = images_at_once(self.objective.fewest_images(), dimensions);
                for start in (0..images).step_by(at_once) {
                    let range = start..(start + at_once).min(images);
                    let count = range.len();
                    let rows = self.objective.image_gradients(solution, Part::Train, range)?;
                    rows.chunks_exact(dimensions).for_each(&mut *enter);
                    tell(count)?;
                }
            }
        }
        Ok(())
    }

    fn gradients(&self, parameters: &[f32], batches: &[&[usize]]) -> Result<Vec<BatchGradient>> {
        let one = |images: &&[usize]| self.gradient(parameters, images);
        match self.is_parallel {
            true => batches.par_iter().map(one).collect(),
            false => batches.iter().map(one).collect(),
        }
    }
}

/// How many batches' gradients `[D]` are taken at once, where one takes so many bytes while it is computed: as many as
/// may wait, and enough for all threads; fewer where that would take too much memory.
fn batches_at_once(threads: usize, dimensions: usize, bytes: usize) -> usize {
    let under_way = WORKING_BYTES / bytes.max(1);
    match under_way < threads {
        true => under_way.max(1),
        // A thread that waits within a batch begins another one, so that all of them may be under way.
        false => (WAITING_BYTES / (dimensions * size_of::<f32>())).clamp(threads, under_way),
    }
}

/// How many images' own gradients `[D]` are taken at once, where blocks of so many are computed and then copied.
fn images_at_once(block: usize, dimensions: usize) -> usize {
    let fit = WORKING_BYTES / (2 * dimensions * size_of::<f32>());
    (fit.min(IMAGES) / block * block).max(block)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::data::Dataset;
    use crate::network::initialisation::initial_parameters;
    use crate::network::zoo;
    use crate::objective::{BatchNormPolicy, Compute};

    fn objective(model: &str, data: &str, compute: Compute) -> Objective {
        let data = Arc::new(Dataset::open(data).unwrap());
        let graph = Arc::new(zoo::build(model, data.shape, data.classes.len()).unwrap());
        Objective::new(graph, data, compute, 16).unwrap()
    }

    fn at(objective: &Objective) -> Solution {
        Solution {
            parameters: initial_parameters(objective.graph(), 3),
            statistics: Vec::new(),
        }
    }

    #[test]
    fn the_gradient_is_that_of_the_loss_and_the_diagonal_that_of_the_covariance() {
        for compute in [Compute::cpu(), Compute::flex()] {
            let objective = objective("mlp:5", "builtin:train=24:test=5:augment=off", compute);
            let solution = at(&objective);
            let (_, whole) = objective
                .gradient(&solution, BatchNormPolicy::Running, Part::Train)
                .unwrap();
            let size = whole.iter().map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt();
            for sigma in [Sigma::Batches, Sigma::Images] {
                let minibatches = Minibatches::new(&objective, 4, sigma, 7).unwrap();
                let (gradient, covariance) = minibatches.covariance(&solution, &mut |_| true).unwrap();
                let apart = whole
                    .iter()
                    .zip(gradient.iter())
                    .map(|(&a, b)| (f64::from(a) - b).powi(2));
                // Roundings of single precision in sums over 24 images and 768 pixels.
                assert!(apart.sum::<f64>().sqrt() < 1e-5 * size);
                let (mean, variances) = minibatches.variances(&solution, &mut |_| true).unwrap();
                assert!((mean - gradient).norm() < 1e-12 * size);
                let expected = covariance.diagonal();
                assert!(expected.sum() > 0.0);
                assert!((variances - &expected).norm() < 1e-12 * expected.norm());
                assert_eq!(covariance.factor().ncols(), minibatches.count());
            }
        }
    }

    #[test]
    fn both_ways_to_take_it_estimate_the_same_matrix() {
        let objective = objective("mlp:3", "builtin:train=60:test=5:augment=off", Compute::cpu());
        let solution = at(&objective);
        let trace = |sigma, seed| {
            let minibatches = Minibatches::new(&objective, 5, sigma, seed).unwrap();
            minibatches.variances(&solution, &mut |_| true).unwrap().1.sum()
        };
        // Of n images in batches of m, drawn without replacement, a batch's mean has the variance S/m·(n − m)/n with
        // S = (variance of the images)·n/(n − 1); the batches' mean is that of all images, so nothing more is lost.
        let images = trace(Sigma::Images, 1) * (60.0 - 5.0) / (60.0 - 1.0);
        let divisions: Vec<f64> = (1..=40).map(|seed| trace(Sigma::Batches, seed)).collect();
        let count = divisions.len() as f64;
        let mean = divisions.iter().sum::<f64>() / count;
        let squares: f64 = divisions.iter().map(|found| (found - mean).powi(2)).sum();
        let error = (squares / (count * (count - 1.0))).sqrt();
        // Five standard errors of the mean over divisions, which differ.
        assert!(
            error > 0.0 && (mean - images).abs() < 5.0 * error,
            "{mean} {images} {error}"
        );
        // One image has the same covariance whichever way the others are divided, but for rounding.
        assert!((trace(Sigma::Images, 2) / trace(Sigma::Images, 1) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_division_is_its_seeds_and_the_same_on_any_number_of_threads() {
        let objective = objective("lenet", "builtin:train=40:test=5:augment=off", Compute::cpu());
        let solution = at(&objective);
        let find = |seed| {
            let minibatches = Minibatches::new(&objective, 4, Sigma::Batches, seed).unwrap();
            minibatches.covariance(&solution, &mut |_| true).unwrap()
        };
        let first = find(1);
        let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        assert_eq!(first, alone.install(|| find(1)));
        assert_ne!(first.1, find(2).1);
    }

    #[test]
    fn gradients_of_a_large_network_are_taken_a_few_at_a_time() {
        // The paper's two networks: 11,330 and 9,750,922 parameters, whose gradients take 45 kB and 39 MB.
        let (small, large) = (11_330, 9_750_922);
        let bytes = |vectors: usize, dimensions: usize| vectors * dimensions * size_of::<f32>();
        let waiting = WAITING_BYTES / bytes(1, small);
        assert_eq!(batches_at_once(16, small, bytes(10, small)), waiting);
        assert_eq!(images_at_once(16, small), IMAGES);
        // 15 vectors a batch: three batches in 2 GiB, and two threads need no more than two.
        assert_eq!(batches_at_once(2, large, bytes(15, large)), 2);
        assert_eq!(batches_at_once(16, large, bytes(15, large)), 3);
        assert_eq!(batches_at_once(16, large, 2 * WORKING_BYTES), 1);
        // 27 images would fit, which are a block of 16, or three of 8.
        assert_eq!((images_at_once(16, large), images_at_once(8, large)), (16, 24));
        assert_eq!(images_at_once(16, 100 * large), 16);
        let data = "builtin:train=40:test=5:augment=off";
        let lenet = objective("lenet", data, Compute::cpu());
        // A vector for each sum, for the result and for the weights at least.
        assert!(lenet.gradient_bytes(4) >= bytes(3, lenet.graph().parameter_count()));
        assert!(lenet.gradient_bytes(400) > lenet.gradient_bytes(4));
        // Tensors are one batch after another as it is.
        assert_eq!(objective("lenet", data, Compute::flex()).gradient_bytes(4), 0);
    }

    #[test]
    fn what_cannot_be_divided_is_refused_and_being_told_to_stop_stops() {
        let lenet = objective("lenet", "builtin:train=40:test=5:augment=off", Compute::cpu());
        for size in [0, 3, 40] {
            let message = Minibatches::new(&lenet, size, Sigma::Batches, 1)
                .err()
                .unwrap()
                .to_string();
            assert!(message.contains("batch-size") && message.contains("40"), "{message}");
        }
        let norms = objective("resnet8:width=2", "builtin:train=40:test=5:augment=off", Compute::cpu());
        let message = Minibatches::new(&norms, 4, Sigma::Batches, 1)
            .err()
            .unwrap()
            .to_string();
        assert!(message.contains(":bn=off"), "{message}");
        for sigma in [Sigma::Batches, Sigma::Images] {
            let minibatches = Minibatches::new(&lenet, 4, sigma, 1).unwrap();
            let stopped = minibatches.variances(&at(&lenet), &mut |_| false);
            assert!(matches!(stopped, Err(Error::Cancelled)));
        }
    }
}
