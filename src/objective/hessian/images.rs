//! Products of the Hessians of single images, of many images in one pass.

use super::{Point, check_point, diverged, not_finite};
use crate::data::{Part, Progress};
use crate::error::{Error, Result};
use crate::network::forward::{Images, Leaves};
use crate::network::tangent;
use crate::objective::tensors::upload;
use crate::objective::{Objective, Solution};

/// Numbers in the weights of the networks of one pass at most. A pass holds some eight times as many.
const MOST_NUMBERS: usize = 8 << 20;
/// Networks of one pass at most: more share its overhead between them no better.
const MOST_NETWORKS: usize = 64;

impl Objective {
    /// Hᵢ·vᵢ of each listed image i of a split, `[m, d]` flat: the Hessian of the image's own loss times a vector of
    /// its own, of `vectors` `[m, d]` flat. The mean over all images, of one vector, is the Hessian's product with it.
    /// Batch norm takes the solution's statistics as constants.
    ///
    /// Every image has a network of its own, of as many as fit side by side in one pass. A product costs some three
    /// gradients of one image with weights that no other image shares: reading those is most of it.
    ///
    /// # Errors
    /// When the vectors are of another number or length or not finite, there is no such image, or the point has
    /// diverged; [`Error::Device`] when the device fails, [`Error::Cancelled`].
    pub fn image_hessian_vectors(
        &self,
        solution: &Solution,
        part: Part,
        images: &[usize],
        vectors: &[f32],
        progress: Progress,
    ) -> Result<Vec<f32>> {
        check_point(self.graph(), solution)?;
        let (d, total) = (solution.parameters.len(), self.data().split(part).len());
        if vectors.len() != images.len() * d {
            return Err(Error::Request(format!(
                "{} takes vectors of {d} parameters, one an image; given were {} numbers for {} images",
                self.graph().name,
                vectors.len(),
                images.len()
            )));
        }
        if let Some(image) = images.iter().find(|&&image| image >= total) {
            return Err(Error::Request(format!(
                "there is no {} image {image}; there are {total}, counted from 0",
                part.name()
            )));
        }
        if let Some(value) = not_finite(vectors) {
            return Err(Error::Request(format!(
                "there is no derivative along a vector that holds {value}; give one of finite numbers"
            )));
        }
        let networks = (MOST_NUMBERS / d.max(1)).clamp(1, MOST_NETWORKS);
        let all = vectors.len();
        let mut products = Vec::with_capacity(all);
        for (images, vectors) in images.chunks(networks).zip(vectors.chunks(networks * d.max(1))) {
            products.extend(self.image_pass(solution, part, images, vectors)?);
            if !progress(products.len() as f64 / all as f64) {
                return Err(Error::Cancelled);
            }
        }
        Ok(products)
    }

    /// The products of as many images as there are networks.
    fn image_pass(&self, solution: &Solution, part: Part, images: &[usize], vectors: &[f32]) -> Result<Vec<f32>> {
        let (graph, data, compute) = (self.graph(), self.data(), self.compute());
        let count = images.len();
        let point = Point {
            leaves: Leaves::new(graph, &upload(compute, &solution.parameters.repeat(count), count)),
            statistics: Some(upload(compute, &solution.statistics.repeat(count), count)),
        }
        .on_tape();
        let directions = Leaves::new(graph, &upload(compute, vectors, count).autodiff());
        let [channels, height, width] = data.shape;
        let mut pixels = Vec::with_capacity(count * channels * height * width);
        for &image in images {
            data.push_images(part, image..image + 1, &mut pixels);
        }
        let labels: Vec<u32> = images.iter().map(|&image| data.split(part).labels[image]).collect();
        let pixels = self.images(pixels, [1, count * channels, height, width]).autodiff();
        let labels = self.labels(&labels).autodiff();
        let pass = tangent::forward(
            graph,
            &point.leaves,
            &directions,
            Images::PerPoint(pixels),
            point.normaliser(),
        );
        // The slopes of all networks in one sum, each of which depends on its own weights alone.
        let slopes = graph.loss.slopes(pass.logits, pass.tangents, labels);
        let products = point.gradient(&slopes.sum())?;
        match not_finite(&products) {
            Some(value) => Err(diverged(&format!("an image's product with the vector holds {value}"))),
            None => Ok(products),
        }
    }
}
