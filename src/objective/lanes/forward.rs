//! The steps of a plan on a group of blocks.

mod tangent;

use std::ops::Range;

use super::block::{Block, affine};
use super::geometry::{Geometry, Method};
use super::kernels::elementwise::Sum;
use super::kernels::moments::TakeMoments;
use super::kernels::patch::{Gather, Source};
use super::kernels::pooling::{Pool, Pooling, Subsample};
use super::kernels::product::{Direct, Finishing};
use super::kernels::winograd::{self, Winograd};
use super::plan::{Plan, Step, View, Work};
use super::point::{Normalisation, Panels, Point};
use super::vectors::{Instructions, LaneBuffer};

pub use tangent::Dual;

/// Memory that a thread works in, whatever the step.
#[derive(Debug, Default)]
pub struct Scratch {
    /// A strip of the input.
    pub patch: LaneBuffer,
    /// Winograd's tiles.
    transformed: LaneBuffer,
    /// Winograd's products.
    products: LaneBuffer,
    /// Sums lane by lane.
    pub sums: LaneBuffer,
    /// Tangents of views that are not raw: a step reads two at most.
    pub views: [LaneBuffer; 2],
}

impl Scratch {
    /// Numbers that it holds.
    pub fn numbers(&self) -> usize {
        let buffers = [&self.patch, &self.transformed, &self.products, &self.sums];
        buffers.into_iter().chain(&self.views).map(|memory| memory.len()).sum()
    }
}

/// What the steps of a pass have in common.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Instructions of the kernels.
    pub instructions: Instructions,
    /// Images in a block.
    pub lanes: usize,
    /// The plan.
    pub plan: &'a Plan,
    /// The weights.
    pub point: &'a Point,
    /// Batch norm as far as it is known.
    pub normalisation: &'a Normalisation,
}

impl Context<'_> {
    /// Does some steps on a group of blocks, one step after another.
    pub fn forward(&self, steps: Range<usize>, group: &mut [Block], scratch: &mut Scratch) {
        for index in steps {
            let step = &self.plan.steps[index];
            let slot = self.plan.slots[step.output.buffer];
            let mut outputs: Vec<LaneBuffer> = group
                .iter_mut()
                .map(|block| std::mem::take(&mut block.memories[slot]))
                .collect();
            self.step(step, group, &mut outputs, scratch);
            for (block, output) in group.iter_mut().zip(outputs) {
                if step.moments {
                    let first = self.plan.moments[step.output.buffer] + step.output.first;
                    let images = block.count();
                    self.instructions.run(TakeMoments {
                        values: &output[self.numbers(&step.output)],
                        plane: step.output.plane(),
                        images,
                        moments: &mut block.moments[first..first + step.output.shape[0]],
                    });
                }
                block.memories[slot] = output;
            }
        }
    }

    /// Where a view lies in its buffer, in numbers.
    pub fn numbers(&self, view: &View) -> Range<usize> {
        let range = view.range();
        range.start * self.lanes..range.end * self.lanes
    }

    /// A view of one block as it is read.
    pub fn source<'b>(&'b self, block: &'b Block, view: &View) -> Source<'b> {
        block.source(self.plan, view, self.normalisation, self.lanes, None)
    }

    fn step(&self, step: &Step, group: &[Block], outputs: &mut [LaneBuffer], scratch: &mut Scratch) {
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
        let source = |block: usize, view: &View| {
            let written = Some((slot, before[block]));
            group[block].source(self.plan, view, self.normalisation, self.lanes, written)
        };
        if let Work::Product(product) = &step.work {
            let graph = &self.plan.graph;
            let blocks = 0..group.len();
            let sources: Vec<Source> = blocks.clone().map(|block| source(block, &step.input)).collect();
            let finish = &product.finish;
            let add: Vec<Source> = finish
                .add
                .iter()
                .flat_map(|view| blocks.clone().map(|block| source(block, view)))
                .collect();
            let finishing = Finishing {
                add: &add,
                bias: product
                    .bias
                    .map(|bias| &self.point.parameters[graph.parameters[bias].range()]),
                affine: finish.norm.map(|layer| affine(self.normalisation, layer)),
                relu: finish.relu,
                accumulate: false,
            };
            let panels = &self.point.forward[product.weight];
            self.product(&product.forward, panels, &sources, &finishing, &mut targets, scratch);
            return;
        }
        for (block, output) in targets.into_iter().enumerate() {
            let right = |view: &View| source(block, view);
            let source = source(block, &step.input);
            let pool = |pooling, window, output| Pool {
                pooling,
                source,
                window,
                output,
            };
            match step.work {
                Work::Product(_) => {}
                Work::Add(view) => self.instructions.run(Sum {
                    left: source,
                    right: Some(right(&view)),
                    accumulate: false,
                    output,
                }),
                Work::Copy => self.instructions.run(Sum {
                    left: source,
                    right: None,
                    accumulate: false,
                    output,
                }),
                Work::MaxPool(size) => self.instructions.run(pool(Pooling::Largest, (size, size), output)),
                Work::AveragePool(height, width) => {
                    self.instructions.run(pool(Pooling::Mean, (height, width), output));
                }
                Work::PaddedSubsample(channels) => self.instructions.run(Subsample {
                    source,
                    channels,
                    output,
                }),
            }
        }
    }

    /// A convolution over the blocks of a group, by its geometry.
    pub fn product(
        &self,
        geometry: &Geometry,
        panels: &Panels,
        sources: &[Source],
        finishing: &Finishing,
        outputs: &mut [&mut [f32]],
        scratch: &mut Scratch,
    ) {
        for (index, outputs) in outputs.chunks_mut(geometry.blocks).enumerate() {
            let first = index * geometry.blocks;
            let sources = &sources[first..first + outputs.len()];
            let finishing = Finishing {
                add: finishing.add.get(first..first + outputs.len()).unwrap_or_default(),
                ..*finishing
            };
            for row in geometry.strips() {
                self.gather(geometry, sources, row, &mut scratch.patch);
                for (phase, panel) in geometry.phases.iter().zip(panels) {
                    let columns = geometry.columns(phase, outputs.len(), row);
                    let [channels, height, width] = geometry.output;
                    match geometry.method {
                        Method::Direct => self.instructions.run(Direct {
                            panel,
                            offsets: &phase.offsets,
                            patch: &scratch.patch,
                            columns,
                            channels,
                            plane: height * width,
                            start: row * width,
                            finishing: &finishing,
                            outputs,
                        }),
                        Method::Winograd => {
                            scratch
                                .transformed
                                .make_room(winograd::room(geometry.input[0]) * self.lanes);
                            scratch.products.make_room(winograd::room(channels) * self.lanes);
                            self.instructions.run(Winograd {
                                panel,
                                offsets: &phase.offsets,
                                patch: &scratch.patch,
                                patch_columns: geometry.patch_columns,
                                columns,
                                channels,
                                size: (height, width),
                                start: row * width,
                                finishing: &finishing,
                                outputs,
                                transformed: &mut scratch.transformed,
                                products: &mut scratch.products,
                            });
                        }
                    }
                }
            }
        }
    }

    /// Copies the strip from output row `row` on into a patch, block after block.
    pub fn gather(&self, geometry: &Geometry, sources: &[Source], row: usize, patch: &mut LaneBuffer) {
        let size = geometry.patch_size() * self.lanes;
        patch.make_room(size * sources.len());
        for (&source, patch) in sources.iter().zip(patch.chunks_exact_mut(size)) {
            self.instructions.run(Gather {
                source,
                first_row: (row * geometry.stride) as isize - geometry.border as isize,
                left: geometry.border,
                rows: geometry.patch_rows,
                columns: geometry.patch_columns,
                patch,
            });
        }
    }
}
