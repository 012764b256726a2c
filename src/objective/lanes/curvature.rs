//! Second derivatives of the loss about a point, applied to directions: forward with tangents, the loss, and back with
//! tangents, one group of blocks after another.
//!
//! Statistics are constants, so that no group waits for another, and every image's own product is there before the
//! lanes are added up.
//!
//! In multiply-adds a gradient takes three times what the network's weights take once: W·x, Wᵀ·δ and δ·xᵀ. A product
//! with the Hessian takes eight: W·x, W·ẋ, Ẇ·x; Wᵀ·δ, Wᵀ·R{δ}, Ẇᵀ·δ; R{δ}·xᵀ and δ·ẋᵀ. One with the Gauss–Newton matrix
//! takes five, and a slope three. With a vector of its own for each image there are the same eight, of which the two
//! with Ẇ read a weight for every lane. Passes of one image each, by the kernels whose weights the lanes share, would
//! leave all lanes but one empty: eight times the number of lanes.

mod scatter;

use rayon::prelude::*;

use super::apart::{to_lanes, to_rows};
use super::backward::{Sink, Stage, stages};
use super::block::{Block, BlockImages};
use super::direction::Direction;
use super::forward::{Context, Scratch};
use super::gradient::{blocks_a_sum, total};
use super::loss;
use super::plan::{Plan, Purpose};
use super::point::{Normalisation, Point};
use super::vectors::LaneBuffer;
use super::{Batch, Lanes};

/// A point and constant statistics, ready for any number of directions.
#[derive(Debug)]
pub struct Expansion<'a> {
    lanes: &'a Lanes,
    plan: &'a Plan,
    point: Point,
    normalisation: Normalisation,
    stages: Vec<Stage>,
}

impl Lanes {
    /// Prepares the point `parameters` `[d]` with `statistics` `[s]`.
    pub fn expansion(&self, parameters: &[f32], statistics: &[f32]) -> Expansion<'_> {
        let plan = self.plan(Purpose::Gradient);
        Expansion {
            lanes: self,
            plan,
            point: Point::new(plan, parameters),
            normalisation: Normalisation::with_statistics(&self.graph, &plan.affine, parameters, statistics),
            stages: stages(plan),
        }
    }
}

impl Expansion<'_> {
    /// Prepares a direction `[d]` that is the same for all images.
    pub fn direction(&self, vector: &[f32]) -> Direction {
        Direction::shared(self.plan, &self.normalisation, self.lanes.lanes, vector)
    }

    /// H·v `[d]` of the mean loss of a batch.
    pub fn hessian_vector(&self, direction: &Direction, batch: &Batch) -> Vec<f32> {
        let scale = 1.0 / batch.images as f64;
        self.summed(batch, |images, sink| self.hessian(direction, images, scale, sink))
    }

    /// G·v `[d]` of the mean loss of a batch, G being its Gauss–Newton matrix.
    pub fn gauss_newton_vector(&self, direction: &Direction, batch: &Batch) -> Vec<f32> {
        let scale = 1.0 / batch.images as f64;
        self.summed(batch, |images, sink| self.gauss_newton(direction, images, scale, sink))
    }

    /// Hᵢ·vᵢ `[B, d]` of every image's own loss. `vectors` are one for all images `[d]` or one for each `[B, d]`.
    /// Beside the result a thread takes lanes · d numbers for the products of a block, and as many again where there is
    /// a vector for each image.
    pub fn image_hessian_vectors(&self, vectors: &[f32], batch: &Batch) -> Vec<f32> {
        let (lanes, d) = (self.lanes.lanes, self.point.parameters.len());
        let shared = (vectors.len() == d).then(|| self.direction(vectors));
        let mut products = vec![0.0; batch.images * d];
        let blocks = products.par_chunks_mut(lanes * d).zip(&batch.blocks).enumerate();
        blocks.for_each(|(index, (rows, images))| {
            let of_block = match &shared {
                Some(direction) => self.block_products(direction, images),
                None => {
                    let mut own = self.lanes.take_apart();
                    to_lanes(&vectors[index * lanes * d..][..rows.len()], lanes, &mut own);
                    let direction = self.own_direction(own);
                    let of_block = self.block_products(&direction, images);
                    self.lanes.return_apart(direction.memory());
                    of_block
                }
            };
            to_rows(&of_block, lanes, rows);
            self.lanes.return_apart([of_block]);
        });
        products
    }

    /// A direction for each image of a block: lane vectors `[d, lanes]`.
    fn own_direction(&self, vectors: LaneBuffer) -> Direction {
        Direction::apart(self.plan, &self.normalisation, self.lanes.lanes, vectors)
    }

    /// Hᵢ·vᵢ of the images of one block: lane vectors `[d, lanes]`, 0 in lanes without an image.
    fn block_products(&self, direction: &Direction, images: &BlockImages) -> LaneBuffer {
        let mut products = self.lanes.take_apart();
        products.fill(0.0);
        let images = std::slice::from_ref(images);
        self.hessian(direction, images, 1.0, &mut Sink::Apart(&mut products));
        products
    }

    /// Over a batch, the sum of the losses and of their derivatives along a direction.
    pub fn slopes(&self, direction: &Direction, batch: &Batch) -> (f64, f64) {
        let groups = batch.blocks.par_chunks(self.plan.group);
        let images: Vec<Vec<(f64, f64)>> = groups
            .map(|images| {
                self.pass(direction, images, |_, values, tangents, _| {
                    let blocks = values.iter().zip(&*tangents);
                    blocks
                        .flat_map(|(value, tangent)| self.block_slopes(value, tangent))
                        .collect()
                })
            })
            .collect();
        let add = |(losses, slopes): (f64, f64), (loss, slope): (f64, f64)| (losses + loss, slopes + slope);
        images.into_iter().flatten().fold((0.0, 0.0), add)
    }

    /// What `product` adds up over the groups of a batch, `[d]`.
    fn summed(&self, batch: &Batch, product: impl Fn(&[BlockImages], &mut Sink) + Sync) -> Vec<f32> {
        let d = self.point.parameters.len();
        let size = blocks_a_sum(batch.blocks.len(), d, self.plan.group);
        let parts = batch.blocks.par_chunks(size);
        let sums: Vec<Vec<f32>> = parts
            .map(|images| {
                let mut sum = vec![0.0; d];
                let mut sink = Sink::Summed(&mut sum);
                for group in images.chunks(self.plan.group) {
                    product(group, &mut sink);
                }
                sum
            })
            .collect();
        total(sums.iter().map(Vec::as_slice), d)
    }

    /// Adds the Hessian of `scale` times the images' losses, times the direction.
    fn hessian(&self, direction: &Direction, images: &[BlockImages], scale: f64, sink: &mut Sink) {
        self.pass(direction, images, |context, values, tangents, scratch| {
            for (value, tangent) in values.iter_mut().zip(&mut *tangents) {
                self.lanes.loss_gradient(self.plan, value, scale);
                tangent.gradients[self.plan.logits.buffer] = self.curvatures(value, tangent, scale);
            }
            context.gradient_tangents(&self.stages, direction, values, tangents, sink, scratch);
        });
    }

    /// Likewise with the Gauss–Newton matrix: Jᵀ·(D·J·v), J·v being the logits' tangents.
    fn gauss_newton(&self, direction: &Direction, images: &[BlockImages], scale: f64, sink: &mut Sink) {
        self.pass(direction, images, |context, values, tangents, scratch| {
            for (value, tangent) in values.iter_mut().zip(tangents) {
                value.gradients[self.plan.logits.buffer] = self.curvatures(value, tangent, scale);
            }
            context.gradients(&self.stages, values, sink, scratch);
        });
    }

    /// Runs a group forward with tangents, and then `work` on its activations and tangents.
    fn pass<R>(
        &self,
        direction: &Direction,
        images: &[BlockImages],
        work: impl FnOnce(&Context, &mut [Block], &mut [Block], &mut Scratch) -> R,
    ) -> R {
        let (lanes, plan) = (self.lanes, self.plan);
        let mut values = lanes.take_blocks(plan, Purpose::Gradient, images);
        let mut tangents = lanes.take_memory(plan, Purpose::Gradient, images.len());
        let context = lanes.context(plan, &self.point, &self.normalisation);
        let result = lanes.with_scratch(|scratch| {
            context.forward(0..plan.steps.len(), &mut values, scratch);
            context.tangents(direction, &values, &mut tangents, scratch);
            work(&context, &mut values, &mut tangents, scratch)
        });
        lanes.return_blocks(Purpose::Gradient, values);
        lanes.return_blocks(Purpose::Gradient, tangents);
        result
    }

    /// What a block holds at the place of the logits, `[classes, lanes]`.
    fn logits<'b>(&self, block: &'b Block) -> &'b [f32] {
        let (range, lanes) = (self.plan.logits.range(), self.lanes.lanes);
        let memory = &block.memories[self.plan.slots[self.plan.logits.buffer]];
        &memory[range.start * lanes..range.end * lanes]
    }

    /// The second derivative of `scale` times the losses in the logits, times the logits' tangents.
    fn curvatures(&self, value: &Block, tangent: &mut Block, scale: f64) -> LaneBuffer {
        let lanes = self.lanes.lanes;
        let mut result = tangent.take_free(self.plan.buffers[self.plan.logits.buffer] * lanes);
        loss::curvatures(
            self.plan.graph.loss,
            (self.logits(value), self.logits(tangent)),
            self.plan.two_classes,
            lanes,
            value.count(),
            scale,
            &mut result,
        );
        result
    }

    /// The loss of every image of a block, and its derivative along the direction.
    fn block_slopes(&self, value: &Block, tangent: &Block) -> Vec<(f64, f64)> {
        let Some(images) = &value.images else {
            return Vec::new();
        };
        let lanes = self.lanes.lanes;
        let (logits, tangents) = (self.logits(value), self.logits(tangent));
        let mut gradient = vec![0.0_f32; logits.len()];
        let losses = loss::losses(
            self.plan.graph.loss,
            logits,
            self.plan.two_classes,
            lanes,
            &images.labels,
            1.0,
            Some(&mut gradient),
        );
        let slope = |lane: usize| {
            let pairs = gradient[lane..].iter().zip(&tangents[lane..]).step_by(lanes);
            pairs.map(|(&g, &z)| f64::from(g) * f64::from(z)).sum::<f64>()
        };
        let images = losses.iter().enumerate();
        images.map(|(lane, image)| (image.loss, slope(lane))).collect()
    }
}
