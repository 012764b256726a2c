//! The gradient: the steps of a plan in reverse, on a group of blocks.
//!
//! Since every lane is another image, the gradient with respect to a weight is there image by image before the lanes
//! are added up; a [`Sink`] takes either.

mod tangent;

use super::block::{Block, standard};
use super::forward::{Context, Scratch};
use super::kernels::backward::{ChannelSums, Correlate, NormSums, SumLanes, ViewGradient};
use super::kernels::elementwise::Sum;
use super::kernels::patch::Source;
use super::kernels::pooling::{PoolGradient, Pooling, SubsampleGradient};
use super::kernels::product::Finishing;
use super::plan::{Plan, Product, View, Work};
use super::point::{Panels, TILE};
use super::vectors::LaneBuffer;

pub use tangent::{Stage, stages};

/// Where gradients with respect to parameters go: they are added to what is there.
#[derive(Debug)]
pub enum Sink<'a> {
    /// Summed over images, `[d]`.
    Summed(&'a mut [f32]),
    /// Image by image, lane vectors `[d, lanes]`.
    Apart(&'a mut [f32]),
}

impl Sink<'_> {
    /// Adds lane vectors for consecutive parameters from `first` on.
    fn add(&mut self, context: &Context, first: usize, values: &[f32]) {
        let lanes = context.lanes;
        match self {
            Self::Summed(sums) => {
                let sums = &mut sums[first..first + values.len() / lanes];
                context.instructions.run(SumLanes { values, sums });
            }
            Self::Apart(vectors) => {
                let vectors = &mut vectors[first * lanes..][..values.len()];
                for (sum, &value) in vectors.iter_mut().zip(values) {
                    *sum += value;
                }
            }
        }
    }
}

/// Where a step's gradient goes: to a buffer, or to a view that is not raw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Buffer(usize),
    View(usize),
}

/// What a contribution finds: nothing yet, or something that it is added to.
#[derive(Clone, Copy, Debug)]
pub struct Contribution {
    view: View,
    place: Place,
    /// Memory is taken first.
    fresh: bool,
    /// Added to what is there.
    accumulate: bool,
}

/// A view's gradient, to be passed on to what the view reads.
#[derive(Clone, Debug)]
pub struct Passing {
    lazy: usize,
    /// None where the images were read.
    to: Option<Contribution>,
    /// For every channel the terms through the batch's mean and deviation; empty where statistics are constants.
    pub terms: Vec<(f32, f32)>,
}

impl Passing {
    /// The view whose gradient it is, by its place in [`Plan::lazies`].
    pub fn lazy(&self) -> usize {
        self.lazy
    }
}

/// Which gradients have something in them; the same for all blocks.
#[derive(Debug)]
pub struct Progress {
    buffers: Vec<bool>,
    views: Vec<bool>,
}

impl Progress {
    /// None but the logits'.
    pub fn new(plan: &Plan) -> Self {
        let mut buffers = vec![false; plan.buffers.len()];
        buffers[plan.logits.buffer] = true;
        Self {
            buffers,
            views: vec![false; plan.lazies.len()],
        }
    }

    fn contribution(&mut self, plan: &Plan, view: View) -> Contribution {
        let lazy = plan.lazies.iter().position(|lazy| lazy.view == view);
        let (place, started, whole) = match lazy {
            Some(lazy) => (Place::View(lazy), &mut self.views[lazy], true),
            None => {
                let whole = view.range() == (0..plan.buffers[view.buffer]);
                (Place::Buffer(view.buffer), &mut self.buffers[view.buffer], whole)
            }
        };
        let fresh = !std::mem::replace(started, true);
        Contribution {
            view,
            place,
            fresh,
            // A part of a fresh buffer is added to zeros, so that the rest is zero.
            accumulate: !fresh || !whole,
        }
    }

    /// Where the gradients of a step's inputs go. The images' own is not wanted.
    pub fn step(&mut self, plan: &Plan, index: usize) -> Vec<Contribution> {
        let step = &plan.steps[index];
        let other = match step.work {
            Work::Add(right) => Some(right),
            _ => None,
        };
        std::iter::once(step.input)
            .chain(other)
            .filter(|view| view.buffer != plan.images)
            .map(|view| self.contribution(plan, view))
            .collect()
    }

    /// The views first read by a step, whose gradients are whole once the step is gone through.
    pub fn passings(&mut self, plan: &Plan, index: usize) -> Vec<Passing> {
        (0..plan.lazies.len())
            .filter(|&lazy| plan.lazies[lazy].defined == index && self.views[lazy])
            .collect::<Vec<_>>()
            .into_iter()
            .map(|lazy| {
                let view = plan.lazies[lazy].view;
                Passing {
                    lazy,
                    to: (view.buffer != plan.images).then(|| self.contribution(plan, view.raw())),
                    terms: Vec::new(),
                }
            })
            .collect()
    }
}

impl Context<'_> {
    /// The memory that a contribution is written to.
    fn open(&self, block: &mut Block, contribution: &Contribution) -> LaneBuffer {
        let place = match contribution.place {
            Place::Buffer(buffer) => &mut block.gradients[buffer],
            Place::View(lazy) => &mut block.view_gradients[lazy],
        };
        let memory = std::mem::take(place);
        if !contribution.fresh {
            return memory;
        }
        let length = match contribution.place {
            Place::Buffer(buffer) => self.plan.buffers[buffer],
            Place::View(_) => contribution.view.range().len(),
        };
        let mut memory = block.take_free(length * self.lanes);
        if contribution.accumulate {
            memory.fill(0.0);
        }
        memory
    }

    /// The part of that memory that it is about.
    fn part(&self, contribution: &Contribution) -> std::ops::Range<usize> {
        match contribution.place {
            Place::Buffer(_) => self.numbers(&contribution.view),
            Place::View(_) => 0..contribution.view.range().len() * self.lanes,
        }
    }

    fn close(block: &mut Block, contribution: &Contribution, memory: LaneBuffer) {
        match contribution.place {
            Place::Buffer(buffer) => block.gradients[buffer] = memory,
            Place::View(lazy) => block.view_gradients[lazy] = memory,
        }
    }

    /// Passes the gradients of views on to what they read, then goes back through one step.
    pub fn backward(
        &self,
        index: usize,
        passings: &[Passing],
        contributions: &[Contribution],
        group: &mut [Block],
        sink: &mut Sink,
        scratch: &mut Scratch,
    ) {
        for passing in passings {
            for block in &mut *group {
                self.pass_on(passing, block);
            }
        }
        match &self.plan.steps[index].work {
            Work::Product(product) => self.product_backward(product, index, contributions, group, sink, scratch),
            _ => {
                for block in &mut *group {
                    for contribution in contributions {
                        self.simple_backward(index, contribution, block, None);
                    }
                }
            }
        }
        self.release(index, group);
    }

    /// The gradient of a buffer is not needed any more once its first writer is gone through.
    fn release(&self, index: usize, group: &mut [Block]) {
        let buffer = self.plan.steps[index].output.buffer;
        let first_writer = self.plan.steps.iter().position(|s| s.output.buffer == buffer);
        if first_writer == Some(index) {
            for block in group {
                let memory = std::mem::take(&mut block.gradients[buffer]);
                block.give_back(memory);
            }
        }
    }

    fn pass_on(&self, passing: &Passing, block: &mut Block) {
        let view = self.plan.lazies[passing.lazy].view;
        let gradient = std::mem::take(&mut block.view_gradients[passing.lazy]);
        let Some(to) = &passing.to else { return };
        let mut memory = self.open(block, to);
        let part = self.part(to);
        let layer = view.norm.filter(|_| !passing.terms.is_empty());
        self.instructions.run(ViewGradient {
            source: self.source(block, &view),
            through: layer.map(|layer| (standard(self.normalisation, layer), passing.terms.as_slice())),
            gradient: &gradient,
            accumulate: to.accumulate,
            result: &mut memory[part.clone()],
        });
        if layer.is_some() && block.count() < self.lanes {
            // Through the batch's statistics something reaches lanes without an image.
            for vector in memory[part].chunks_exact_mut(self.lanes) {
                vector[block.count()..].fill(0.0);
            }
        }
        Self::close(block, to, memory);
        block.give_back(gradient);
    }

    /// For the batch-norm views among `passings`: gradients with respect to γ and β, and the sums that the batch's
    /// statistics need.
    pub fn norm_sums(&self, passings: &[Passing], group: &mut [Block], sink: &mut Sink, scratch: &mut Scratch) {
        for passing in passings {
            let view = self.plan.lazies[passing.lazy].view;
            let Some(layer) = view.norm else { continue };
            let channels = view.shape[0];
            let vectors = channels * self.lanes;
            scratch.sums.make_room(2 * vectors);
            for block in &mut *group {
                let (shift, scale) = scratch.sums[..2 * vectors].split_at_mut(vectors);
                self.instructions.run(NormSums {
                    source: self.source(block, &view),
                    standard: standard(self.normalisation, layer),
                    gradient: &block.view_gradients[passing.lazy],
                    shift,
                    scale,
                });
                let total = |sums: &[f32]| sums.iter().map(|&x| f64::from(x)).sum::<f64>();
                let pairs = shift.chunks_exact(self.lanes).zip(scale.chunks_exact(self.lanes));
                let sums = pairs.map(|(shift, scale)| [total(shift), total(scale)]).collect();
                let graph = &self.plan.graph;
                let (gamma, beta) = self.plan.affine[layer];
                sink.add(self, graph.parameters[gamma].offset, scale);
                sink.add(self, graph.parameters[beta].offset, shift);
                block.norm_sums[passing.lazy] = sums;
            }
        }
    }

    fn product_backward(
        &self,
        product: &Product,
        index: usize,
        contributions: &[Contribution],
        group: &mut [Block],
        sink: &mut Sink,
        scratch: &mut Scratch,
    ) {
        self.bias_gradient(product, index, group, sink, scratch);
        let Some(geometry) = &product.correlation else { return };
        let input = &self.plan.steps[index].input;
        for blocks in group.chunks(geometry.blocks) {
            let sources: Vec<Source> = blocks.iter().map(|block| self.source(block, input)).collect();
            self.weight_gradient(product, index, &sources, &[blocks], sink, scratch);
        }
        if let Some(contribution) = contributions.first() {
            let weights = (product, self.point.backward.as_slice());
            self.input_gradient(index, weights, contribution, group, None, scratch);
        }
    }

    /// The gradient with respect to a layer's bias.
    fn bias_gradient(&self, product: &Product, index: usize, group: &[Block], sink: &mut Sink, scratch: &mut Scratch) {
        let Some(bias) = product.bias else { return };
        let view = &self.plan.steps[index].output;
        let vectors = view.shape[0] * self.lanes;
        scratch.sums.make_room(vectors);
        for block in group {
            let sums = &mut scratch.sums[..vectors];
            self.instructions.run(ChannelSums {
                values: &block.gradients[view.buffer][self.numbers(view)],
                plane: view.plane(),
                sums,
            });
            sink.add(self, self.plan.graph.parameters[bias].offset, sums);
        }
    }

    /// The gradient with respect to a layer's weights: of one or more sets of blocks, each no more than a patch holds,
    /// the sum of what the gradients of their outputs make with `sources`, one a block in the same order.
    fn weight_gradient(
        &self,
        product: &Product,
        index: usize,
        sources: &[Source],
        sets: &[&[Block]],
        sink: &mut Sink,
        scratch: &mut Scratch,
    ) {
        let Some(geometry) = &product.correlation else { return };
        let view = &self.plan.steps[index].output;
        let (range, plane, channels) = (self.numbers(view), view.plane(), view.shape[0]);
        let phase = &geometry.phases[0];
        let terms = phase.offsets.len();
        let weight = self.plan.graph.parameters[product.weight].offset;
        self.gather(geometry, sources, 0, &mut scratch.patch);
        let sums_length = TILE * terms * self.lanes;
        scratch.sums.make_room(sums_length);
        for first in (0..channels).step_by(TILE) {
            let count = TILE.min(channels - first);
            let start = range.start + first * plane * self.lanes;
            let sums = &mut scratch.sums[..sums_length];
            sums.fill(0.0);
            let mut patch = &scratch.patch[..];
            for &blocks in sets {
                let gradients: Vec<&[f32]> = blocks
                    .iter()
                    .map(|block| &block.gradients[view.buffer][start..range.end])
                    .collect();
                self.instructions.run(Correlate {
                    offsets: &phase.offsets,
                    patch,
                    columns: geometry.columns(phase, blocks.len(), 0),
                    channels: count,
                    plane,
                    gradients: &gradients,
                    sums,
                });
                patch = &patch[blocks.len() * geometry.patch_size() * self.lanes..];
            }
            sink.add(self, weight + first * terms, &sums[..count * terms * self.lanes]);
        }
    }

    /// Adds to the gradients of a layer's input in `group`, by a point's ordered weights, what the gradients of its
    /// output make: those in `group` itself or, if given, in `others`.
    fn input_gradient(
        &self,
        index: usize,
        (product, panels): (&Product, &[Panels]),
        contribution: &Contribution,
        group: &mut [Block],
        others: Option<&[Block]>,
        scratch: &mut Scratch,
    ) {
        let Some(geometry) = &product.backward else { return };
        let step = &self.plan.steps[index];
        let range = self.numbers(&step.output);
        let buffer = step.output.buffer;
        let mut memories: Vec<LaneBuffer> = group.iter_mut().map(|block| self.open(block, contribution)).collect();
        let part = self.part(contribution);
        // A layer that reads the buffer it writes to finds both gradients in one memory.
        let shared = others.is_none() && contribution.place == Place::Buffer(buffer);
        let read = others.unwrap_or(&*group);
        let (mut outputs, sources): (Vec<&mut [f32]>, Vec<Source>) = memories
            .iter_mut()
            .zip(read)
            .map(|(memory, block)| {
                let (target, values): (&mut [f32], &[f32]) = if shared {
                    let (before, rest) = memory.split_at_mut(range.start);
                    (before, &rest[..range.len()])
                } else {
                    (memory, &block.gradients[buffer][range.clone()])
                };
                (&mut target[part.clone()], Source::raw(values, step.output.shape))
            })
            .unzip();
        let finishing = Finishing {
            accumulate: contribution.accumulate,
            ..Finishing::default()
        };
        let panels = &panels[product.weight];
        self.product(geometry, panels, &sources, &finishing, &mut outputs, scratch);
        drop(sources);
        for (block, memory) in group.iter_mut().zip(memories) {
            Self::close(block, contribution, memory);
        }
    }

    /// Back through a step that is no product. The activations are those of `block` itself or, if given, of `others`.
    fn simple_backward(&self, index: usize, contribution: &Contribution, block: &mut Block, others: Option<&Block>) {
        let step = &self.plan.steps[index];
        let mut memory = self.open(block, contribution);
        let part = self.part(contribution);
        let range = self.numbers(&step.output);
        let buffer = step.output.buffer;
        let shared = contribution.place == Place::Buffer(buffer);
        let (target, gradient): (&mut [f32], &[f32]) = if shared {
            let (before, rest) = memory.split_at_mut(range.start);
            (before, &rest[..range.len()])
        } else {
            (&mut memory, &block.gradients[buffer][range])
        };
        let result = &mut target[part];
        let accumulate = contribution.accumulate;
        let source = self.source(others.unwrap_or(&*block), &step.input);
        let pool = |pooling, window, result| PoolGradient {
            pooling,
            source,
            window,
            gradient,
            accumulate,
            result,
        };
        match step.work {
            Work::Product(_) => {}
            Work::Add(_) | Work::Copy => self.instructions.run(Sum {
                left: Source::raw(gradient, step.output.shape),
                right: None,
                accumulate,
                output: result,
            }),
            Work::MaxPool(size) => self.instructions.run(pool(Pooling::Largest, (size, size), result)),
            Work::AveragePool(height, width) => self.instructions.run(pool(Pooling::Mean, (height, width), result)),
            Work::PaddedSubsample(channels) => self.instructions.run(SubsampleGradient {
                shape: step.input.shape,
                channels,
                gradient,
                accumulate,
                result,
            }),
        }
        Self::close(block, contribution, memory);
    }
}
