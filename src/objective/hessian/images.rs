//! Products of single images' Hessians, each with a vector of its own: some images at once, as so many points in one
//! pass that share their parameters and have an image and a direction each.

use super::{Derivatives, Point, diverged, not_finite};
use crate::data::Progress;
use crate::error::{Error, Result};
use crate::network::forward::{Images, Leaves};
use crate::network::{Graph, tangent};
use crate::objective::BatchNormPolicy;
use crate::objective::tensors::upload;

/// Memory that a pass may take, in bytes.
const PASS_BYTES: usize = 256 << 20;
/// Vectors `[d]` of an image that are there at once: its parameters, direction and gradient, whole and cut into leaves,
/// and the two terms of the gradient.
const VECTORS: usize = 8;
/// Times that the activations of an image are there at once: values, tangents, the gradients of both, and what is kept
/// for the way back.
const ACTIVATIONS: usize = 8;
/// Images of a pass at most. By then the overhead of a pass is small beside its work, and it can still be stopped soon.
const MOST_IMAGES: usize = 16;

impl Derivatives<'_> {
    /// Hᵢ·vᵢ of each listed image i and a vector vᵢ of its own, both one after another `[m, d]`; Hᵢ is the Hessian of
    /// the image's own loss, so that H is their mean. Images are counted from the start of the split. The share done is
    /// told after every few of them.
    ///
    /// # Errors
    /// Under the policy `batch`, where an image has no loss of its own; when the vectors are of another length or not
    /// finite, an image is not among those of the mean, or a product is not finite; [`Error::Device`] when the device
    /// fails, [`Error::Cancelled`].
    pub fn image_hessian_vectors(&self, images: &[usize], vectors: &[f32], progress: Progress) -> Result<Vec<f32>> {
        let statistics = self.statistics()?;
        self.check_images(images, vectors)?;
        let (dimension, at_once) = (self.parameters.len(), images_at_once(self.graph()));
        let mut products = Vec::with_capacity(vectors.len());
        for (some, theirs) in images.chunks(at_once).zip(vectors.chunks(at_once * dimension)) {
            products.extend(self.image_pass(some, theirs, statistics)?);
            if !progress(products.len() as f64 / vectors.len() as f64) {
                return Err(Error::Cancelled);
            }
        }
        match not_finite(&products) {
            Some(value) => Err(diverged(&format!("an image's product with its vector holds {value}"))),
            None => Ok(products),
        }
    }

    /// The batch-norm statistics `[s]` that are constants, under `recompute` those that were found; empty for a network
    /// without batch norm.
    ///
    /// # Errors
    /// Under the policy `batch`, where they move with the parameters and an image's loss depends on the others of its
    /// batch.
    pub fn statistics(&self) -> Result<&[f32]> {
        match self.statistics.as_deref() {
            Some(statistics) => Ok(statistics),
            None if self.graph().statistics_count() == 0 => Ok(&[]),
            None => Err(Error::option(
                "--bn",
                BatchNormPolicy::Batch,
                "normalised by its batch, an image has no loss of its own, and so no gradient and no Hessian; choose \
                 running or recompute",
            )),
        }
    }

    fn check_images(&self, images: &[usize], vectors: &[f32]) -> Result<()> {
        let (dimension, count) = (self.parameters.len(), self.images());
        if vectors.len() != images.len().saturating_mul(dimension) {
            return Err(Error::Request(format!(
                "{} images take as many vectors of {dimension} parameters; given were {} numbers",
                images.len(),
                vectors.len()
            )));
        }
        if let Some(image) = images.iter().find(|&&image| image >= count) {
            return Err(Error::Request(format!(
                "there is no image {image} among the {count} of the mean; images are counted from 0"
            )));
        }
        match not_finite(vectors) {
            Some(value) => Err(Error::Request(format!(
                "there is no derivative along a vector that holds {value}; give one of finite numbers"
            ))),
            None => Ok(()),
        }
    }

    /// One pass over as many points as images.
    fn image_pass(&self, images: &[usize], vectors: &[f32], statistics: &[f32]) -> Result<Vec<f32>> {
        let (graph, compute, count) = (self.graph(), self.objective.compute(), images.len());
        let point = Point {
            leaves: Leaves::new(graph, &upload(compute, &self.parameters.repeat(count), count)),
            statistics: Some(upload(compute, &statistics.repeat(count), count)),
        };
        let point = point.on_tape();
        let directions = Leaves::new(graph, &upload(compute, vectors, count).autodiff());
        let data = self.objective.data();
        let (mut pixels, mut labels) = (Vec::new(), Vec::with_capacity(count));
        for &image in images {
            data.push_images(self.part, image..image + 1, &mut pixels);
            labels.push(data.split(self.part).labels[image]);
        }
        let [channels, height, width] = data.shape;
        let pixels = self
            .objective
            .images(pixels, [1, count * channels, height, width])
            .autodiff();
        let labels = self.objective.labels(&labels).autodiff();
        let own = Images::PerPoint(pixels);
        let pass = tangent::forward(graph, &point.leaves, &directions, own, point.normaliser());
        let slopes = graph.loss.slopes(pass.logits, pass.tangents, labels);
        // A point's parameters move its own image's slope alone.
        point.gradient(&slopes.sum())
    }
}

/// Images whose products are found in one pass.
fn images_at_once(graph: &Graph) -> usize {
    let numbers = VECTORS
        .saturating_mul(graph.parameter_count())
        .saturating_add(ACTIVATIONS.saturating_mul(graph.activation_count()));
    (PASS_BYTES / size_of::<f32>() / numbers.max(1)).clamp(1, MOST_IMAGES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::zoo;

    #[test]
    fn a_pass_takes_fewer_images_of_a_larger_network() {
        let at_once = |model: &str, side: usize| images_at_once(&zoo::build(model, [3, side, side], 10).unwrap());
        assert_eq!(at_once("mlp:3", 2), MOST_IMAGES);
        // 15 million parameters take 490 MB for one image.
        assert_eq!(at_once("vgg16", 32), 1);
        let between = at_once("fnn", 16);
        assert!((2..MOST_IMAGES).contains(&between), "{between}");
    }
}
