//! The evaluator for the processor's vectors: every lane of a vector is another image.
//!
//! A graph is compiled into a [`plan::Plan`], a point of parameter space into a [`point::Point`], and blocks of as many
//! images as a vector has lanes go through the plan's steps. No number ever changes its lane on the way, so a weight
//! is one number for the whole vector, there is nothing to shuffle, and gradients are there image by image. Points
//! and blocks are shared over the cores; every sum over images is taken in the order of the images, so the result is
//! the same whatever the number of threads.
//!
//! Memory: a block's activations, those not in use at once sharing room; one group of blocks a thread where statistics
//! are given, all blocks of a batch where they are taken from it, and all activations of a batch for a gradient. It is
//! kept for the next pass ([`Lanes::memory`]).

mod backward;
mod block;
mod forward;
mod geometry;
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

use backward::{Passing, Progress, Sink};
use block::{Block, BlockImages};
use forward::{Context, Scratch};
use kernels::moments::Moments;
use plan::{Plan, Purpose};
use point::Normalisation;
use vectors::LaneBuffer;

pub use loss::ImageLoss;
pub use point::Point;
pub use vectors::Instructions;

use crate::data::{Dataset, Part};
use crate::network::Graph;

/// Bytes of images kept laid out in lanes.
const KEPT_IMAGES: usize = 256 << 20;
/// Sums of gradients over some images each, one after another, that are added up at last; and bytes that they may take.
const MOST_SUMS: usize = 16;
const SUM_BYTES: usize = 1 << 30;
/// Bytes that all activations of one block may take: beyond, tensors with small batches are the better way.
const MOST_BLOCK_BYTES: usize = 2 << 30;

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
        let fixed = Plan::new(graph, Purpose::Fixed, lanes);
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

    /// Gives back the memory that gradients took.
    pub fn release_gradients(&self) {
        lock(&self.blocks[Purpose::Gradient as usize]).clear();
    }

    /// Bytes held from pass to pass: activations and gradients of all blocks, the threads' scratch, and images.
    pub fn memory(&self) -> usize {
        let blocks = self
            .blocks
            .iter()
            .flat_map(|pool| lock(pool).iter().map(Block::numbers).collect::<Vec<_>>());
        let scratch: usize = lock(&self.scratch).iter().map(Scratch::numbers).sum();
        let images: usize = lock(&self.images).values().map(|images| images.len()).sum();
        (blocks.sum::<usize>() + scratch + images) * size_of::<f32>()
    }

    fn plan(&self, purpose: Purpose) -> &Plan {
        let new = || Plan::new(&self.graph, purpose, self.lanes);
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
        // Image by image, a block is a group of its own. Otherwise as many groups share a sum as memory asks, whatever
        // the number of threads.
        let most_sums = (SUM_BYTES / (d * size_of::<f32>()).max(1)).clamp(1, MOST_SUMS);
        let (size, length) = if apart {
            (1, self.lanes * d)
        } else {
            (blocks.len().div_ceil(most_sums).next_multiple_of(plan.group), d)
        };
        let mut sinks: Vec<Sink> = (0..blocks.len().div_ceil(size))
            .map(|_| Sink::new(vec![0.0; length], apart))
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
            let rows = sinks.iter().flat_map(|sink| sink.values.chunks_exact(d));
            rows.take(batch.images).flatten().copied().collect()
        } else {
            let mut total = vec![0.0_f64; d];
            for sink in &sinks {
                for (total, &part) in total.iter_mut().zip(&sink.values) {
                    *total += f64::from(part);
                }
            }
            total.into_iter().map(|g| g as f32).collect()
        };
        GradientPass {
            losses: losses.concat(),
            statistics,
            gradient,
        }
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
        loss::cross_entropy(logits, plan.two_classes, self.lanes, &images.labels, 1.0, None)
    }

    fn loss_gradient(&self, plan: &Plan, block: &mut Block, scale: f64) -> Vec<ImageLoss> {
        let Some(images) = block.images.clone() else {
            return Vec::new();
        };
        let buffer = plan.logits.buffer;
        let mut gradient = block.take_free(plan.buffers[buffer] * self.lanes);
        let range = plan.logits.range();
        let logits = &block.memories[plan.slots[buffer]][range.start * self.lanes..range.end * self.lanes];
        let losses = loss::cross_entropy(
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

    fn take_blocks(&self, plan: &Plan, purpose: Purpose, images: &[BlockImages]) -> Vec<Block> {
        let mut pool = lock(&self.blocks[purpose as usize]);
        let kept = pool.len().saturating_sub(images.len());
        let mut blocks = pool.split_off(kept);
        drop(pool);
        blocks.resize_with(images.len(), || Block::new(plan, self.lanes));
        for (block, images) in blocks.iter_mut().zip(images) {
            block.images = Some(images.clone());
        }
        blocks
    }

    fn return_blocks(&self, purpose: Purpose, blocks: Vec<Block>) {
        lock(&self.blocks[purpose as usize]).extend(blocks);
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

/// A lock whose holder panicked is taken over: what it guards is memory to be used again, nothing that could be halved.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
