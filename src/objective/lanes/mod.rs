//! The evaluator for the processor's vectors: every lane of a vector is another image.
//!
//! A graph is compiled into a [`plan::Plan`], a point of parameter space into a [`point::Point`], and blocks of as many
//! images as a vector has lanes go through the plan's steps. No number ever changes its lane on the way, so a weight
//! is one number for the whole vector, there is nothing to shuffle, and gradients are there image by image. Points
//! and blocks are shared over the cores; every sum over images is taken in the order of the images, so the result is
//! the same whatever the number of threads.
//!
//! Memory: a block's activations, those not in use at once sharing room; one group of blocks a thread where statistics
//! are given, all blocks of a batch where they are taken from it, all activations of a batch for a gradient, and those
//! of one group a thread with their tangents for a product with the Hessian. Products with the Hessians of single
//! images take lane vectors of all parameters beside: one or two a thread, unless more are to be kept. Memory is held
//! for the next pass ([`Lanes::memory`]).

mod apart;
mod backward;
mod block;
mod compile;
mod curvature;
mod direction;
mod forward;
mod geometry;
mod gradient;
mod kernels;
mod loss;
pub mod peak;
mod plan;
mod point;
mod vectors;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock};

use rayon::prelude::*;

use block::{Block, BlockImages};
use compile::compile;
use forward::{Context, Scratch};
use kernels::moments::Moments;
use plan::{Plan, Purpose};
use point::Normalisation;
use vectors::LaneBuffer;

pub use curvature::Expansion;
pub use gradient::GradientPass;
pub use loss::ImageLoss;
pub use point::Point;
pub use vectors::Instructions;

use crate::data::{Dataset, Part};
use crate::network::Graph;

/// Bytes of images kept laid out in lanes.
const KEPT_IMAGES: usize = 256 << 20;
/// Bytes that all activations of one block may take: beyond, tensors with small batches are the better way.
const MOST_BLOCK_BYTES: usize = 2 << 30;

/// Vectors `[d]` that a gradient takes beside its sums: the weights as they are given and, at most twice as many where
/// they are transformed, in the orders in which they are used forward and back; the total in double precision and in
/// single.
const GRADIENT_VECTORS: usize = 8;

/// Images laid out for a pass.
#[derive(Clone, Debug)]
pub struct Batch {
    blocks: Vec<BlockImages>,
    images: usize,
}

/// What a pass that takes the batch's own statistics finds.
#[derive(Clone, Debug)]
pub struct BatchPass {
    /// One an image.
    pub losses: Vec<ImageLoss>,
    /// Means and unbiased variances, `[s]`.
    pub statistics: Vec<f32>,
}

/// The evaluator for one graph and one data set.
#[derive(Debug)]
pub struct Lanes {
    instructions: Instructions,
    lanes: usize,
    graph: Arc<Graph>,
    fixed: Plan,
    batch: OnceLock<Plan>,
    gradient: OnceLock<Plan>,
    blocks: [Mutex<Vec<Block>>; 3],
    scratch: Mutex<Vec<Scratch>>,
    /// Lane vectors of all parameters, `[d, lanes]` each.
    apart: Mutex<Vec<LaneBuffer>>,
    images: Mutex<HashMap<(Part, usize), Arc<LaneBuffer>>>,
}

impl Lanes {
    /// Compiles `graph` for these instructions.
    ///
    /// # Errors
    /// Why it is better left to tensors.
    pub fn new(graph: &Arc<Graph>, instructions: Instructions) -> Result<Self, String> {
        let lanes = instructions.lanes();
        let bytes = graph.activation_count().saturating_mul(lanes * size_of::<f32>());
        if bytes > MOST_BLOCK_BYTES {
            return Err(format!("{lanes} images at once would take {} MiB", bytes >> 20));
        }
        let fixed = compile(graph, Purpose::Fixed, lanes);
        fixed.check()?;
        Ok(Self {
            instructions,
            lanes,
            graph: graph.clone(),
            fixed,
            batch: OnceLock::new(),
            gradient: OnceLock::new(),
            blocks: Default::default(),
            scratch: Mutex::default(),
            apart: Mutex::default(),
            images: Mutex::default(),
        })
    }

    /// Images in one block.
    pub fn lanes(&self) -> usize {
        self.lanes
    }

    /// Bytes that a batch's activations at one point take at most, and its ordered weights.
    pub fn batch_bytes(&self, images: usize) -> usize {
        let activations = images.next_multiple_of(self.lanes) * self.graph.activation_count();
        (activations + 2 * self.graph.parameter_count()) * size_of::<f32>()
    }

    /// Bytes that the gradient of so many images takes while it is computed: activations and their gradients, its sums,
    /// and vectors of the weights.
    pub fn gradient_bytes(&self, images: usize) -> usize {
        let (d, blocks) = (self.graph.parameter_count(), images.div_ceil(self.lanes).max(1));
        let group = self.plan(Purpose::Gradient).group;
        let sums = blocks.div_ceil(gradient::blocks_a_sum(blocks, d, group));
        let activations = 2 * (blocks * self.lanes).saturating_mul(self.graph.activation_count());
        activations
            .saturating_add((sums + GRADIENT_VECTORS) * d)
            .saturating_mul(size_of::<f32>())
    }

    /// Gives back the memory that gradients and products with Hessians took.
    pub fn release_gradients(&self) {
        lock(&self.blocks[Purpose::Gradient as usize]).clear();
        lock(&self.apart).clear();
    }

    /// Bytes held from pass to pass: activations and gradients of all blocks, the threads' scratch, vectors of single
    /// images, and images.
    pub fn memory(&self) -> usize {
        let blocks = self
            .blocks
            .iter()
            .flat_map(|pool| lock(pool).iter().map(Block::numbers).collect::<Vec<_>>());
        let scratch: usize = lock(&self.scratch).iter().map(Scratch::numbers).sum();
        let apart: usize = lock(&self.apart).iter().map(LaneBuffer::capacity).sum();
        let images: usize = lock(&self.images).values().map(|images| images.len()).sum();
        (blocks.sum::<usize>() + scratch + apart + images) * size_of::<f32>()
    }

    fn plan(&self, purpose: Purpose) -> &Plan {
        let new = || compile(&self.graph, purpose, self.lanes);
        match purpose {
            Purpose::Fixed => &self.fixed,
            Purpose::Batch => self.batch.get_or_init(new),
            Purpose::Gradient => self.gradient.get_or_init(new),
        }
    }

    /// Makes a point ready for passes without a gradient.
    pub fn point(&self, parameters: &[f32]) -> Point {
        Point::new(&self.fixed, parameters)
    }

    /// Images of a split, laid out once and kept as long as there is room.
    pub fn images(&self, data: &Dataset, part: Part, range: Range<usize>) -> Batch {
        let labels = &data.split(part).labels;
        let total = labels.len();
        let starts: Vec<usize> = range.clone().step_by(self.lanes).collect();
        let blocks = starts
            .into_par_iter()
            .map(|start| BlockImages {
                values: self.kept(data, part, start..(start + self.lanes).min(total)),
                labels: labels[start..(start + self.lanes).min(range.end)].to_vec(),
            })
            .collect();
        Batch {
            blocks,
            images: range.len(),
        }
    }

    fn kept(&self, data: &Dataset, part: Part, range: Range<usize>) -> Arc<LaneBuffer> {
        let key = (part, range.start);
        if let Some(kept) = lock(&self.images).get(&key) {
            return kept.clone();
        }
        let mut values = Vec::new();
        data.push_images(part, range, &mut values);
        let size = data.shape.iter().product();
        let block = block::lay_out(&values, size, self.lanes).pop().unwrap_or_default();
        let bytes = block.len() * size_of::<f32>();
        let block = Arc::new(block);
        let mut images = lock(&self.images);
        if (images.len() + 1) * bytes <= KEPT_IMAGES {
            images.insert(key, block.clone());
        }
        block
    }

    /// Images `[B, values]` (flat) and their labels.
    pub fn lay_out(&self, images: &[f32], labels: &[u32]) -> Batch {
        let size = images.len() / labels.len().max(1);
        let values = block::lay_out(images, size, self.lanes);
        let blocks = values.into_iter().zip(labels.chunks(self.lanes));
        Batch {
            blocks: blocks
                .map(|(values, labels)| BlockImages {
                    values: Arc::new(values),
                    labels: labels.to_vec(),
                })
                .collect(),
            images: labels.len(),
        }
    }

    /// Losses of a batch at every point, with given statistics `[s]` for each.
    pub fn losses(&self, points: &[Point], statistics: &[Vec<f32>], batch: &Batch) -> Vec<Vec<ImageLoss>> {
        let plan = &self.fixed;
        let normalisations: Vec<Normalisation> = points
            .iter()
            .zip(statistics)
            .map(|(point, statistics)| {
                Normalisation::with_statistics(&self.graph, &plan.affine, &point.parameters, statistics)
            })
            .collect();
        let groups: Vec<&[BlockImages]> = batch.blocks.chunks(plan.group).collect();
        let items: Vec<(usize, &[BlockImages])> = (0..points.len())
            .flat_map(|point| groups.iter().map(move |&group| (point, group)))
            .collect();
        let results: Vec<Vec<ImageLoss>> = items
            .into_par_iter()
            .map(|(index, images)| {
                let mut group = self.take_blocks(plan, Purpose::Fixed, images);
                let context = self.context(plan, &points[index], &normalisations[index]);
                self.with_scratch(|scratch| context.forward(0..plan.steps.len(), &mut group, scratch));
                let losses = group.iter().flat_map(|block| self.block_losses(plan, block)).collect();
                self.return_blocks(Purpose::Fixed, group);
                losses
            })
            .collect();
        let per_point = groups.len().max(1);
        results.chunks(per_point).map(<[_]>::concat).collect()
    }

    /// Losses and statistics of a batch at every point, each normalised by the batch itself.
    pub fn batch_passes(&self, points: &[Point], batch: &Batch) -> Vec<BatchPass> {
        let plan = self.plan(Purpose::Batch);
        points
            .par_iter()
            .map(|point| {
                let mut normalisation = Normalisation::new(&self.graph);
                let mut statistics = vec![0.0; self.graph.statistics_count()];
                let mut blocks = self.take_blocks(plan, Purpose::Batch, &batch.blocks);
                self.batch_forward(plan, point, &mut normalisation, &mut statistics, &mut blocks);
                let losses = blocks.iter().flat_map(|block| self.block_losses(plan, block)).collect();
                self.return_blocks(Purpose::Batch, blocks);
                BatchPass { losses, statistics }
            })
            .collect()
    }

    /// Runs all blocks of a batch from one batch norm to the next, taking its statistics from them.
    fn batch_forward(
        &self,
        plan: &Plan,
        point: &Point,
        normalisation: &mut Normalisation,
        statistics: &mut [f32],
        blocks: &mut [Block],
    ) {
        let mut done = 0;
        for barrier in plan.barriers() {
            let context = self.context(plan, point, normalisation);
            blocks.par_chunks_mut(plan.group).for_each(|group| {
                self.with_scratch(|scratch| context.forward(done..barrier, group, scratch));
            });
            done = barrier;
            for norm in plan.norms.iter().filter(|norm| norm.after == barrier) {
                let first = plan.moments[norm.view.buffer] + norm.view.first;
                let moments: Vec<Moments> = (first..first + norm.view.shape[0])
                    .map(|channel| {
                        let parts = blocks.iter().map(|block| block.moments[channel]);
                        parts.fold(Moments::default(), Moments::united)
                    })
                    .collect();
                let layer = &self.graph.batch_norm_layers[norm.layer];
                for (channel, moments) in moments.iter().enumerate() {
                    statistics[layer.mean().start + channel] = moments.mean as f32;
                    statistics[layer.variance().start + channel] = (moments.squares / (moments.count - 1.0)) as f32;
                }
                let biased = moments.iter().map(|m| (m.mean, m.squares / m.count));
                normalisation.set(
                    &self.graph,
                    plan.affine[norm.layer],
                    norm.layer,
                    &point.parameters,
                    biased,
                );
            }
        }
    }

    /// Lends a thread memory to work in.
    fn with_scratch<R>(&self, work: impl FnOnce(&mut Scratch) -> R) -> R {
        let mut scratch = lock(&self.scratch).pop().unwrap_or_default();
        let result = work(&mut scratch);
        lock(&self.scratch).push(scratch);
        result
    }

    fn context<'a>(&self, plan: &'a Plan, point: &'a Point, normalisation: &'a Normalisation) -> Context<'a> {
        Context {
            instructions: self.instructions,
            lanes: self.lanes,
            plan,
            point,
            normalisation,
        }
    }

    fn block_losses(&self, plan: &Plan, block: &Block) -> Vec<ImageLoss> {
        let Some(images) = &block.images else {
            return Vec::new();
        };
        let range = plan.logits.range();
        let memory = &block.memories[plan.slots[plan.logits.buffer]];
        let logits = &memory[range.start * self.lanes..range.end * self.lanes];
        loss::losses(
            plan.graph.loss,
            logits,
            plan.two_classes,
            self.lanes,
            &images.labels,
            1.0,
            None,
        )
    }

    fn take_blocks(&self, plan: &Plan, purpose: Purpose, images: &[BlockImages]) -> Vec<Block> {
        let mut blocks = self.take_memory(plan, purpose, images.len());
        for (block, images) in blocks.iter_mut().zip(images) {
            block.images = Some(images.clone());
        }
        blocks
    }

    /// Blocks without images.
    fn take_memory(&self, plan: &Plan, purpose: Purpose, count: usize) -> Vec<Block> {
        let mut pool = lock(&self.blocks[purpose as usize]);
        let kept = pool.len().saturating_sub(count);
        let mut blocks = pool.split_off(kept);
        drop(pool);
        blocks.resize_with(count, || Block::new(plan, self.lanes));
        for block in &mut blocks {
            block.images = None;
        }
        blocks
    }

    fn return_blocks(&self, purpose: Purpose, blocks: Vec<Block>) {
        lock(&self.blocks[purpose as usize]).extend(blocks);
    }
}

/// A lock whose holder panicked is taken over: what it guards is memory to be used again, nothing that could be halved.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
