//! Products with the Hessians of single images' losses, of which a non-uniformity is made: over the processor's vectors
//! an image a lane; on tensors some images at once, as so many points in one pass that share their parameters and have an
//! image and a direction each.

use super::{Derivatives, Point, check_direction, check_point, check_statistics, checked};
use crate::data::{Part, Progress};
use crate::error::{Error, Result};
use crate::network::forward::{Images, Leaves};
use crate::network::{Graph, tangent};
use crate::objective::lanes::{Batch, Lanes};
use crate::objective::tensors::upload;
use crate::objective::{BatchNormPolicy, MOST_BATCH_BYTES, Objective, Solution};

/// Memory that a pass on tensors may take, in bytes.
const PASS_BYTES: usize = 256 << 20;
/// Vectors `[d]` of an image that are there at once: its parameters, direction and gradient, whole and cut into leaves,
/// and the two terms of the gradient.
const VECTORS: usize = 8;
/// Times that the activations of an image are there at once: values, tangents, the gradients of both, and what is kept
/// for the way back.
const ACTIVATIONS: usize = 8;
/// Images of a pass on tensors at most. By then the overhead of a pass is small beside its work, and it can still be stopped soon.
const MOST_IMAGES: usize = 16;

/// Images of a pass over the processor's vectors at most, likewise.
pub(super) const MOST_LANE_IMAGES: usize = 256;

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
        let dimension = self.parameters.len();
        let at_once = match &self.objective.lanes {
            Some(_) => lane_images_at_once(self.graph(), self.objective.fewest_images()),
            None => images_at_once(self.graph()),
        };
        let mut products = Vec::with_capacity(vectors.len());
        for (some, theirs) in images.chunks(at_once).zip(vectors.chunks(at_once * dimension)) {
            // One vector for all is cheaper than the same one for each.
            let first = &theirs[..dimension];
            let shared = theirs.chunks(dimension).all(|vector| vector == first);
            let theirs = if shared { first } else { theirs };
            products.extend(
                self.objective
                    .image_products(self.parameters, statistics, self.part, some, theirs)?,
            );
            if !progress(products.len() as f64 / vectors.len() as f64) {
                return Err(Error::Cancelled);
            }
        }
        checked(products)
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
        let dimension = self.parameters.len();
        if vectors.len() != images.len().saturating_mul(dimension) {
            return Err(Error::Request(format!(
                "{} images take as many vectors of {dimension} parameters; given were {} numbers",
                images.len(),
                vectors.len()
            )));
        }
        self.check_listed(images)?;
        check_direction(vectors)
    }

    /// Refuses images that are not among those of the mean.
    pub(super) fn check_listed(&self, images: &[usize]) -> Result<()> {
        let count = self.images();
        match images.iter().find(|&&image| image >= count) {
            Some(image) => Err(Error::Request(format!(
                "there is no image {image} among the {count} of the mean; images are counted from 0"
            ))),
            None => Ok(()),
        }
    }
}

impl Objective {
    /// Hᵢ·vᵢ `[m, d]` flat, Hᵢ being the Hessian of the loss of the i-th of `images` of a split; an image may be named
    /// more than once. `vectors` are one for all images `[d]` or one for each `[m, d]`. The mean of the products of all
    /// images with one vector is H times it. Batch norm takes the solution's statistics as constants; with a batch's
    /// own, an image's loss would depend on the others'.
    ///
    /// With the processor's vectors one vector costs some three times [`Objective::image_gradients`], and one for each
    /// somewhat more, since a weight is then read for every lane.
    ///
    /// # Errors
    /// When the vectors are of another length or not finite, there is no such image, the result would not fit in
    /// memory, or the point has diverged; [`Error::Device`] when the device fails.
    pub fn image_hessian_vectors(
        &self,
        solution: &Solution,
        part: Part,
        images: &[usize],
        vectors: &[f32],
    ) -> Result<Vec<f32>> {
        let graph = self.graph();
        check_point(graph, solution)?;
        check_statistics(&solution.statistics)?;
        let (d, all) = (graph.parameter_count(), self.data().split(part).len());
        if let Some(image) = images.iter().find(|&&image| image >= all) {
            return Err(Error::Request(format!(
                "there is no image {image} among the {all} of the {} split; the first is 0",
                part.name()
            )));
        }
        if vectors.len() != d && vectors.len() != images.len() * d {
            return Err(Error::Request(format!(
                "{} takes vectors of {d} parameters, one for all or one for each of {} images; given were {} numbers",
                graph.name,
                images.len(),
                vectors.len()
            )));
        }
        check_direction(vectors)?;
        // Blocks in the making hold their vectors and their products in lanes, beside the result.
        let rows = 3 * images.len().next_multiple_of(self.fewest_images());
        let bytes = rows.saturating_mul(d).saturating_mul(size_of::<f32>());
        if bytes > MOST_BATCH_BYTES {
            return Err(Error::Request(format!(
                "the products of {} images in {d} parameters would take {} GiB; ask for fewer images at a time",
                images.len(),
                bytes >> 30
            )));
        }
        if images.is_empty() {
            return Ok(Vec::new());
        }
        let (parameters, statistics) = (&solution.parameters, &solution.statistics);
        checked(self.image_products(parameters, statistics, part, images, vectors)?)
    }

    /// The products of a point that was checked, with vectors that were.
    fn image_products(
        &self,
        parameters: &[f32],
        statistics: &[f32],
        part: Part,
        images: &[usize],
        vectors: &[f32],
    ) -> Result<Vec<f32>> {
        let Some(lanes) = &self.lanes else {
            let (dimension, at_once) = (parameters.len(), images_at_once(self.graph()));
            let mut products = Vec::with_capacity(images.len() * dimension);
            for (index, some) in images.chunks(at_once).enumerate() {
                let repeated;
                let theirs = match vectors.len() == dimension {
                    true => {
                        repeated = vectors.repeat(some.len());
                        repeated.as_slice()
                    }
                    false => &vectors[index * at_once * dimension..][..some.len() * dimension],
                };
                products.extend(self.tensor_image_products(parameters, statistics, part, some, theirs)?);
            }
            return Ok(products);
        };
        let batch = self.listed(lanes, part, images);
        Ok(lanes
            .expansion(parameters, statistics)
            .image_hessian_vectors(vectors, &batch))
    }

    /// Images of a split, laid out in their order.
    pub(super) fn listed(&self, lanes: &Lanes, part: Part, images: &[usize]) -> Batch {
        let data = self.data();
        let mut values = Vec::new();
        for &image in images {
            data.push_images(part, image..image + 1, &mut values);
        }
        let labels: Vec<u32> = images.iter().map(|&image| data.split(part).labels[image]).collect();
        lanes.lay_out(&values, &labels)
    }

    /// One pass over as many points as images.
    fn tensor_image_products(
        &self,
        parameters: &[f32],
        statistics: &[f32],
        part: Part,
        images: &[usize],
        vectors: &[f32],
    ) -> Result<Vec<f32>> {
        let (graph, compute, count) = (self.graph(), self.compute(), images.len());
        let point = Point {
            leaves: Leaves::new(graph, &upload(compute, &parameters.repeat(count), count)),
            statistics: Some(upload(compute, &statistics.repeat(count), count)),
        };
        let point = point.on_tape();
        let directions = Leaves::new(graph, &upload(compute, vectors, count).autodiff());
        let data = self.data();
        let (mut pixels, mut labels) = (Vec::new(), Vec::with_capacity(count));
        for &image in images {
            data.push_images(part, image..image + 1, &mut pixels);
            labels.push(data.split(part).labels[image]);
        }
        let [channels, height, width] = data.shape;
        let pixels = self.images(pixels, [1, count * channels, height, width]).autodiff();
        let labels = self.labels(&labels).autodiff();
        let own = Images::PerPoint(pixels);
        let pass = tangent::forward(graph, &point.leaves, &directions, own, point.normaliser());
        let slopes = graph.loss.slopes(pass.logits, pass.tangents, labels);
        // A point's parameters move its own image's slope alone.
        point.gradient(&slopes.sum())
    }
}

/// Images whose products are found in one pass over the processor's vectors: whole blocks, which hold their vectors and
/// their products in lanes beside the result.
fn lane_images_at_once(graph: &Graph, lanes: usize) -> usize {
    let bytes = 3 * size_of::<f32>() * graph.parameter_count().max(1);
    let most = (MOST_BATCH_BYTES / 4 / bytes).clamp(1, MOST_LANE_IMAGES);
    (most / lanes.max(1)).max(1) * lanes.max(1)
}

/// Images whose products are found in one pass on tensors.
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
