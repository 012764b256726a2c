//! The gradient of a batch: forward through all blocks, the loss, and back step by step.

use rayon::prelude::*;

use super::apart::to_rows;
use super::backward::{Passing, Progress, Sink};
use super::block::Block;
use super::forward::Context;
use super::loss::{self, ImageLoss};
use super::plan::{Plan, Purpose};
use super::point::{Normalisation, Point};
use super::vectors::LaneBuffer;
use super::{Batch, Lanes};

/// Sums of gradients over some images each, one after another, that are added up at last; and bytes that they may take.
const MOST_SUMS: usize = 16;
const SUM_BYTES: usize = 1 << 30;

/// Gradients of a pass.
#[derive(Clone, Debug)]
pub struct GradientPass {
    /// One an image.
    pub losses: Vec<ImageLoss>,
    /// Means and unbiased variances `[s]`; empty where statistics were given.
    pub statistics: Vec<f32>,
    /// Gradient of the mean loss, `[d]`; image by image `[B, d]` the gradient of each image's own loss.
    pub gradient: Vec<f32>,
}

/// How many blocks' gradients go into one sum `[d]`: as many sums as memory allows, whatever the number of threads.
pub fn blocks_a_sum(blocks: usize, d: usize, group: usize) -> usize {
    let most_sums = (SUM_BYTES / size_of::<f32>() / d.max(1)).clamp(1, MOST_SUMS);
    blocks.div_ceil(most_sums).next_multiple_of(group)
}

/// Sums `[d]` added up in their order.
pub fn total<'a>(sums: impl Iterator<Item = &'a [f32]>, d: usize) -> Vec<f32> {
    let mut total = vec![0.0_f64; d];
    for sum in sums {
        for (total, &part) in total.iter_mut().zip(sum) {
            *total += f64::from(part);
        }
    }
    total.into_iter().map(|g| g as f32).collect()
}

impl Lanes {
    /// Gradient of the mean loss of a batch, normalised with `statistics` `[s]` or, without, with the batch's own.
    pub fn gradient(&self, parameters: &[f32], batch: &Batch, statistics: Option<&[f32]>) -> GradientPass {
        self.gradients(parameters, batch, statistics, false)
    }

    /// The gradient of every image's own loss, with given statistics `[s]`.
    pub fn image_gradients(&self, parameters: &[f32], batch: &Batch, statistics: &[f32]) -> GradientPass {
        self.gradients(parameters, batch, Some(statistics), true)
    }

    fn gradients(&self, parameters: &[f32], batch: &Batch, given: Option<&[f32]>, apart: bool) -> GradientPass {
        let plan = self.plan(Purpose::Gradient);
        let point = Point::new(plan, parameters);
        let mut blocks = self.take_blocks(plan, Purpose::Gradient, &batch.blocks);
        let mut statistics = Vec::new();
        let mut normalisation = Normalisation::new(&self.graph);
        if let Some(given) = given {
            normalisation = Normalisation::with_statistics(&self.graph, &plan.affine, parameters, given);
            let context = self.context(plan, &point, &normalisation);
            blocks.par_chunks_mut(plan.group).for_each(|group| {
                self.with_scratch(|scratch| context.forward(0..plan.steps.len(), group, scratch));
            });
        } else {
            statistics = vec![0.0; self.graph.statistics_count()];
            self.batch_forward(plan, &point, &mut normalisation, &mut statistics, &mut blocks);
        }
        let context = self.context(plan, &point, &normalisation);
        let scale = if apart { 1.0 } else { 1.0 / batch.images as f64 };
        let losses: Vec<Vec<ImageLoss>> = blocks
            .par_iter_mut()
            .map(|block| self.loss_gradient(plan, block, scale))
            .collect();
        let d = parameters.len();
        // Image by image, a block is a group of its own.
        let (size, length) = if apart {
            (1, self.lanes * d)
        } else {
            (blocks_a_sum(blocks.len(), d, plan.group), d)
        };
        let mut memories: Vec<LaneBuffer> = (0..blocks.len().div_ceil(size))
            .map(|_| LaneBuffer::new(length))
            .collect();
        let mut sinks: Vec<Sink> = memories
            .iter_mut()
            .map(|memory| match apart {
                true => Sink::Apart(memory),
                false => Sink::Summed(memory),
            })
            .collect();
        let mut progress = Progress::new(plan);
        let mut waiting: Vec<Passing> = Vec::new();
        for index in (0..plan.steps.len()).rev() {
            let contributions = progress.step(plan, index);
            let mut passings = progress.passings(plan, index);
            let groups = blocks.par_chunks_mut(size).zip(&mut sinks);
            groups.for_each(|(group, sink)| {
                self.with_scratch(|scratch| {
                    context.backward(index, &waiting, &contributions, group, sink, scratch);
                    context.norm_sums(&passings, group, sink, scratch);
                });
            });
            if given.is_none() {
                for passing in &mut passings {
                    passing.terms = through_statistics(&context, passing.lazy(), &blocks, batch.images);
                }
            }
            waiting = passings;
        }
        self.return_blocks(Purpose::Gradient, blocks);
        let gradient = if apart {
            let mut rows = vec![0.0; batch.images * d];
            let of_blocks = rows.par_chunks_mut(self.lanes * d).zip(&memories);
            of_blocks.for_each(|(rows, vectors)| to_rows(vectors, self.lanes, rows));
            rows
        } else {
            total(memories.iter().map(|memory| &memory[..]), d)
        };
        GradientPass {
            losses: losses.concat(),
            statistics,
            gradient,
        }
    }

    /// Losses of a block, and the gradient of `scale` times them with respect to the logits.
    pub(super) fn loss_gradient(&self, plan: &Plan, block: &mut Block, scale: f64) -> Vec<ImageLoss> {
        let Some(images) = block.images.clone() else {
            return Vec::new();
        };
        let buffer = plan.logits.buffer;
        let mut gradient = block.take_free(plan.buffers[buffer] * self.lanes);
        let range = plan.logits.range();
        let logits = &block.memories[plan.slots[buffer]][range.start * self.lanes..range.end * self.lanes];
        let losses = loss::losses(
            plan.graph.loss,
            logits,
            plan.two_classes,
            self.lanes,
            &images.labels,
            scale,
            Some(&mut gradient),
        );
        block.gradients[buffer] = gradient;
        losses
    }
}

/// How the gradient depends on a batch's own mean and deviation: for every channel −scale · (mean of ĝ) and −scale ·
/// (mean of ĝ · x̂) (Ioffe and Szegedy 2015, §3).
fn through_statistics(context: &Context, lazy: usize, blocks: &[Block], images: usize) -> Vec<(f32, f32)> {
    let view = context.plan.lazies[lazy].view;
    let Some(layer) = view.norm else {
        return Vec::new();
    };
    let count = (images * view.plane()) as f64;
    let scales = &context.normalisation.scale[context.normalisation.range(layer)];
    let scales = scales.iter().enumerate();
    scales
        .map(|(channel, &scale)| {
            let mut sums = [0.0; 2];
            for block in blocks {
                let part = block.norm_sums[lazy][channel];
                sums = [sums[0] + part[0], sums[1] + part[1]];
            }
            let scale = f64::from(scale);
            ((-scale * sums[0] / count) as f32, (-scale * sums[1] / count) as f32)
        })
        .collect()
}
