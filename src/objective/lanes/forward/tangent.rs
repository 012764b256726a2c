//! Tangents of activations: how everything that the steps wrote moves along a direction of parameter space, by the
//! R-operator of Pearlmutter (*Fast exact multiplication by the Hessian*, 1994).
//!
//! A tangent lies in a second block as its value does in the first, so that a layer's Ẇ·x + W·ẋ is the same kernel
//! twice. What a view adds to memory, batch norm and ReLU, is no linear function: its tangent is made before it is
//! read, and is then read as it lies.

use std::ops::Range;

use super::{Context, Scratch};
use crate::objective::lanes::block::Block;
use crate::objective::lanes::direction::{Direction, Weights};
use crate::objective::lanes::kernels::apart::Apart;
use crate::objective::lanes::kernels::elementwise::Sum;
use crate::objective::lanes::kernels::patch::Source;
use crate::objective::lanes::kernels::pooling::{LargestTangent, Pool, Pooling, Subsample};
use crate::objective::lanes::kernels::product::Finishing;
use crate::objective::lanes::kernels::tangent::ViewTangent;
use crate::objective::lanes::plan::{Product, Step, View, Work};
use crate::objective::lanes::vectors::LaneBuffer;

/// A group of blocks that moves along a direction.
#[derive(Clone, Copy)]
pub struct Dual<'a> {
    /// Activations, and perhaps gradients.
    pub values: &'a [Block],
    /// Their tangents; these blocks have no images.
    pub tangents: &'a [Block],
    /// The direction.
    pub direction: &'a Direction,
}

impl Context<'_> {
    /// Writes the tangents of all that the steps wrote into `values`.
    pub fn tangents(&self, direction: &Direction, values: &[Block], tangents: &mut [Block], scratch: &mut Scratch) {
        let mut rooms = std::mem::take(&mut scratch.views);
        for step in &self.plan.steps {
            let slot = self.plan.slots[step.output.buffer];
            let mut outputs: Vec<LaneBuffer> = tangents
                .iter_mut()
                .map(|block| std::mem::take(&mut block.memories[slot]))
                .collect();
            let dual = Dual {
                values,
                tangents: &*tangents,
                direction,
            };
            self.tangent_step(step, dual, &mut outputs, &mut rooms, scratch);
            for (block, output) in tangents.iter_mut().zip(outputs) {
                block.memories[slot] = output;
            }
        }
        scratch.views = rooms;
    }

    /// A view's memory in a block, without what is still to be applied to it. While a slot is `written`, only what
    /// lies before the written part can be read of it.
    pub fn memory<'b>(&self, block: &'b Block, view: &View, written: Option<(usize, &'b [f32])>) -> &'b [f32] {
        let slot = self.plan.slots[view.buffer];
        let memory: &[f32] = match written {
            Some((busy, before)) if busy == slot => before,
            _ => &block.memories[slot],
        };
        &memory[self.numbers(view)]
    }

    /// Tangents of a view as they are read, in every block, from its memory's tangents `raw`; none of the images,
    /// which do not move.
    pub fn view_tangents<'b>(
        &self,
        dual: Dual<'b>,
        view: &View,
        raw: impl Fn(usize) -> &'b [f32],
        room: &'b mut LaneBuffer,
    ) -> Option<Vec<Source<'b>>> {
        if view.buffer == self.plan.images {
            return None;
        }
        if view.is_raw() {
            let blocks = 0..dual.values.len();
            return Some(blocks.map(|block| Source::raw(raw(block), view.shape)).collect());
        }
        let length = view.range().len() * self.lanes;
        room.make_room(length * dual.values.len());
        let blocks = dual.values.iter().zip(room.chunks_exact_mut(length)).enumerate();
        let sources = blocks.map(|(index, (block, part))| {
            self.instructions.run(ViewTangent {
                source: self.source(block, view),
                affine: view
                    .norm
                    .map(|layer| dual.direction.affine(self.normalisation, layer, self.lanes)),
                tangent: raw(index),
                result: part,
            });
            Source::raw(part, view.shape)
        });
        Some(sources.collect())
    }

    fn tangent_step(
        &self,
        step: &Step,
        dual: Dual,
        outputs: &mut [LaneBuffer],
        rooms: &mut [LaneBuffer; 2],
        scratch: &mut Scratch,
    ) {
        let range = self.numbers(&step.output);
        let slot = self.plan.slots[step.output.buffer];
        // A layer of a dense block reads the channels before those that it writes.
        let (before, mut targets): (Vec<&[f32]>, Vec<&mut [f32]>) = outputs
            .iter_mut()
            .map(|output| {
                let (before, rest) = output.split_at_mut(range.start);
                (&*before, &mut rest[..range.len()])
            })
            .unzip();
        let raw = |index: usize, view: &View| {
            let written = Some((slot, before[index]));
            self.memory(&dual.tangents[index], view, written)
        };
        let [room, other_room] = rooms;
        let input = self.view_tangents(dual, &step.input, |index| raw(index, &step.input), room);
        let other = match &step.work {
            Work::Product(product) => {
                if let Some(sources) = &input {
                    let panels = &self.point.forward[product.weight];
                    let finishing = Finishing::default();
                    self.product(&product.forward, panels, sources, &finishing, &mut targets, scratch);
                }
                let accumulate = input.is_some();
                self.along_direction(product, step, dual, accumulate, &mut targets, scratch);
                return;
            }
            Work::Add(view) => self.view_tangents(dual, view, |index| raw(index, view), other_room),
            _ => None,
        };
        for (index, output) in targets.into_iter().enumerate() {
            let first = input.as_ref().map(|sources| sources[index]);
            let second = other.as_ref().map(|sources| sources[index]);
            // Of a sum with the images, what is not an image moves alone.
            let Some(source) = first.or(second) else {
                output.fill(0.0);
                continue;
            };
            match step.work {
                Work::Product(_) => {}
                Work::Add(_) | Work::Copy => self.instructions.run(Sum {
                    left: source,
                    right: first.and(second),
                    accumulate: false,
                    output,
                }),
                Work::MaxPool(size) => self.instructions.run(LargestTangent {
                    source: self.source(&dual.values[index], &step.input),
                    tangent: source.values,
                    window: (size, size),
                    output,
                }),
                Work::AveragePool(height, width) => self.instructions.run(Pool {
                    pooling: Pooling::Mean,
                    source,
                    window: (height, width),
                    output,
                }),
                Work::PaddedSubsample(channels) => self.instructions.run(Subsample {
                    source,
                    channels,
                    output,
                }),
            }
        }
    }

    /// Ẇ·x + ḃ of a layer.
    fn along_direction(
        &self,
        product: &Product,
        step: &Step,
        dual: Dual,
        accumulate: bool,
        targets: &mut [&mut [f32]],
        scratch: &mut Scratch,
    ) {
        let parameters = &self.plan.graph.parameters;
        let bias = product.bias.map(|bias| parameters[bias].range());
        let sources: Vec<Source> = dual
            .values
            .iter()
            .map(|block| self.source(block, &step.input))
            .collect();
        match &dual.direction.weights {
            Weights::Shared(point) => {
                let finishing = Finishing {
                    bias: bias.map(|range| &point.parameters[range]),
                    accumulate,
                    ..Finishing::default()
                };
                let panels = &point.forward[product.weight];
                self.product(&product.forward, panels, &sources, &finishing, targets, scratch);
            }
            Weights::Apart(weights) => {
                // The images of one block.
                let (Some(geometry), Some(target)) = (&product.correlation, targets.first_mut()) else {
                    return;
                };
                let of = |range: Range<usize>| &weights[range.start * self.lanes..range.end * self.lanes];
                let phase = &geometry.phases[0];
                let terms: Vec<u32> = (0..phase.offsets.len() as u32).collect();
                self.gather(geometry, &sources, 0, &mut scratch.patch);
                self.instructions.run(Apart {
                    weights: of(parameters[product.weight].range()),
                    terms: &terms,
                    step: terms.len(),
                    offsets: &phase.offsets,
                    patch: &scratch.patch,
                    columns: geometry.columns(phase, 1, 0),
                    channels: step.output.shape[0],
                    plane: step.output.plane(),
                    bias: bias.map(of),
                    accumulate,
                    output: target,
                });
            }
        }
    }
}
