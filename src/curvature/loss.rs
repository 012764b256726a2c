//! A network's loss at one point, as the methods of this module take it: the Hessian and the Gauss–Newton matrix of the
//! mean loss, the Hessian of every image's own loss, and the gradients whose covariance is the noise of SGD.
//!
//! All of it is of the images that a [`Derivatives`] was made for, and told to stop after some of them it does. What is
//! of single images takes batch-norm statistics as constants.

use std::ops::Range;

use serde::Serialize;

use super::covariance::Samples;
use super::non_uniformity::{self, PerSample};
use super::operator::SymmetricOperator;
use crate::data::Progress;
use crate::error::{Error, Result};
use crate::objective::{Derivatives, Solution, check_memory};

/// Memory that the gradients of single images may take at once, in bytes, before they are copied to where they belong.
const GRADIENT_BYTES: usize = 512 << 20;

/// A matrix of second derivatives of the mean loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Matrix {
    /// The Hessian H: all second derivatives
    #[default]
    Hessian,
    /// The Gauss–Newton matrix G = mean of JᵀDJ, the part of H that is never negative: J are the derivatives of an
    /// image's logits, D the second derivatives of its loss in them
    GaussNewton,
}

impl Matrix {
    /// The name used on the command line, in files and on figures.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hessian => "hessian",
            Self::GaussNewton => "gauss-newton",
        }
    }

    /// Its symbol.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Hessian => "H",
            Self::GaussNewton => "G",
        }
    }

    /// The matrix at a point, by its products. `progress` sees the share of a product after every batch of it and says
    /// whether to go on.
    pub fn operator<'a>(
        self,
        derivatives: &'a Derivatives<'a>,
        progress: Progress<'a>,
    ) -> Box<dyn SymmetricOperator + 'a> {
        match self {
            Self::Hessian => Box::new(HessianOperator::new(derivatives, progress)),
            Self::GaussNewton => Box::new(GaussNewtonOperator { derivatives, progress }),
        }
    }
}

/// The Hessian H `[d, d]` of the mean loss.
pub struct HessianOperator<'a> {
    derivatives: &'a Derivatives<'a>,
    progress: Progress<'a>,
}

impl<'a> HessianOperator<'a> {
    /// At the point of `derivatives`. `progress` sees the share of a product after every batch of it and says whether
    /// to go on.
    pub fn new(derivatives: &'a Derivatives<'a>, progress: Progress<'a>) -> Self {
        Self { derivatives, progress }
    }
}

impl SymmetricOperator for HessianOperator<'_> {
    fn dimension(&self) -> usize {
        self.derivatives.parameters().len()
    }

    fn apply(&mut self, vector: &[f32]) -> Result<Vec<f32>> {
        self.derivatives.hessian_vector(vector, self.progress)
    }
}

/// The Gauss–Newton matrix G `[d, d]` of the mean loss, see [`Matrix::GaussNewton`].
struct GaussNewtonOperator<'a> {
    derivatives: &'a Derivatives<'a>,
    progress: Progress<'a>,
}

impl SymmetricOperator for GaussNewtonOperator<'_> {
    fn dimension(&self) -> usize {
        self.derivatives.parameters().len()
    }

    fn apply(&mut self, vector: &[f32]) -> Result<Vec<f32>> {
        self.derivatives.gauss_newton_vector(vector, self.progress)
    }
}

/// The Hessian Hᵢ `[d, d]` of every image's own loss; their mean is H.
pub struct ImageHessians<'a> {
    derivatives: &'a Derivatives<'a>,
    progress: Progress<'a>,
}

impl<'a> ImageHessians<'a> {
    /// Of the images of `derivatives`. `progress` sees the share of what was asked for, products or a scatter, after
    /// every few images and says whether to go on.
    ///
    /// # Errors
    /// Under the policy `batch`, where an image has no loss of its own.
    pub fn new(derivatives: &'a Derivatives<'a>, progress: Progress<'a>) -> Result<Self> {
        derivatives.statistics()?;
        Ok(Self { derivatives, progress })
    }
}

impl PerSample for ImageHessians<'_> {
    fn count(&self) -> usize {
        self.derivatives.images()
    }

    fn dimension(&self) -> usize {
        self.derivatives.parameters().len()
    }

    fn apply_each(&mut self, samples: &[usize], vectors: &[f32]) -> Result<Vec<f32>> {
        self.derivatives.image_hessian_vectors(samples, vectors, self.progress)
    }

    fn scatter(&mut self, samples: &[usize], vector: &[f32]) -> Result<Vec<f64>> {
        if let Some(sum) = self.derivatives.image_scatter_vector(samples, vector, self.progress)? {
            return Ok(sum);
        }
        let rows = non_uniformity::rows(self.dimension());
        let mut told = over(non_uniformity::requests(samples.len(), rows), self.progress);
        let mut hessians = ImageHessians {
            derivatives: self.derivatives,
            progress: &mut told,
        };
        non_uniformity::scatter_by_rows(&mut hessians, samples, vector, rows)
    }
}

/// The share done of as many products as there will be at most, from the shares of each.
pub(super) fn over(most: usize, progress: Progress) -> impl FnMut(f64) -> bool {
    let mut done = 0.0;
    move |share| {
        let told = ((done + share) / most.max(1) as f64).min(1.0);
        if share >= 1.0 {
            done += 1.0;
        }
        progress(told)
    }
}

/// The gradients `[d]` of the mean losses of `count` disjoint batches of `batch` images each, one batch after another
/// from the first image on; a batch of one image is that image. `progress` sees the share of what is being read after
/// every batch, or every few images, and says whether to go on.
///
/// # Errors
/// Under the policy `batch`, where an image has no loss of its own; when there are fewer than two batches, they do not
/// fit into the images of `derivatives`, or the activations of one would not fit in memory.
pub fn gradient_samples<'a>(
    derivatives: &Derivatives<'a>,
    count: usize,
    batch: usize,
    progress: Progress<'a>,
) -> Result<Samples<'a>> {
    let (objective, part, images) = (derivatives.objective(), derivatives.part(), derivatives.images());
    let point = Solution {
        parameters: derivatives.parameters().to_vec(),
        statistics: derivatives.statistics()?.to_vec(),
    };
    if batch == 0 || count < 2 || count.saturating_mul(batch) > images {
        let reason = format!("a covariance takes two batches at least, with no image in common, of {images} images");
        return Err(Error::option("batch size", batch, reason));
    }
    check_memory(objective.graph(), batch)?;
    let dimension = point.parameters.len();
    let at_once = match batch {
        1 => (GRADIENT_BYTES / size_of::<f32>() / dimension.max(1)).clamp(1, objective.batch_size()),
        _ => 1,
    };
    Samples::new(count, dimension, move |samples: Range<usize>| {
        let mut rows = Vec::with_capacity(samples.len() * dimension);
        for start in samples.clone().step_by(at_once) {
            let end = (start + at_once).min(samples.end);
            rows.extend(if batch == 1 {
                objective.image_gradients(&point, part, start..end)?
            } else {
                let (data, range) = (objective.data(), start * batch..end * batch);
                let mut pixels = Vec::new();
                data.push_images(part, range.clone(), &mut pixels);
                let (labels, statistics) = (&data.split(part).labels[range], point.statistics.as_slice());
                let result = objective.batch_gradient(&point.parameters, pixels, labels, Some(statistics))?;
                result.gradient
            });
            if !progress((end - samples.start) as f64 / samples.len() as f64) {
                return Err(Error::Cancelled);
            }
        }
        Ok(rows)
    })
}
