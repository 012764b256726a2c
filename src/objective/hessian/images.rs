//! Products with the Hessians of single images' losses, of which a non-uniformity is made.

use std::borrow::Cow;

use burn::tensor::Tensor;

use super::{Derivatives, check_direction, check_point, check_statistics, checked};
use crate::data::Part;
use crate::error::{Error, Result};
use crate::network::forward::Leaves;
use crate::objective::{MOST_BATCH_BYTES, Objective, Solution};

impl Objective {
    /// Hᵢ·vᵢ `[m, d]` flat, Hᵢ being the Hessian of the loss of the i-th of `images` of a split; an image may be named
    /// more than once. `vectors` are one for all images `[d]` or one for each `[m, d]`. The mean of the products of all
    /// images with one vector is H times it. Batch norm takes the solution's statistics as constants; with a batch's
    /// own, an image's loss would depend on the others'.
    ///
    /// With the processor's vectors one vector costs some three times [`Objective::image_gradients`], and one for each
    /// somewhat more, since a weight is then read for every lane. Tensors take a pass for each image.
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
        match &self.lanes {
            Some(lanes) => {
                let (mut values, data) = (Vec::new(), self.data());
                for &image in images {
                    data.push_images(part, image..image + 1, &mut values);
                }
                let labels: Vec<u32> = images.iter().map(|&image| data.split(part).labels[image]).collect();
                let batch = lanes.lay_out(&values, &labels);
                let expansion = lanes.expansion(&solution.parameters, &solution.statistics);
                checked(expansion.image_hessian_vectors(vectors, &batch))
            }
            None => self.tensor_image_products(solution, part, images, vectors),
        }
    }

    fn tensor_image_products(
        &self,
        solution: &Solution,
        part: Part,
        images: &[usize],
        vectors: &[f32],
    ) -> Result<Vec<f32>> {
        let derivatives = Derivatives {
            objective: self,
            parameters: &solution.parameters,
            statistics: Some(Cow::Borrowed(solution.statistics.as_slice())),
            part,
            batches: Vec::new(),
        };
        let point = derivatives.point().on_tape();
        let d = solution.parameters.len();
        let on_tape = |vector: &[f32]| {
            let vector: Tensor<2> = derivatives.directions(vector).autodiff();
            Leaves::new(self.graph(), &vector)
        };
        let first = on_tape(&vectors[..d]);
        let mut products = Vec::with_capacity(images.len() * d);
        for (index, &image) in images.iter().enumerate() {
            let own = (vectors.len() > d).then(|| on_tape(&vectors[index * d..][..d]));
            let directions = own.as_ref().unwrap_or(&first);
            products.extend(derivatives.tensor_product(&point, directions, image..image + 1)?);
        }
        checked(products)
    }
}
