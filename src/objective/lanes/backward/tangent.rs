//! The gradient and its tangent along a direction, backward together: the second half of the R-operator.
//!
//! Beside the gradient δ = ∂L/∂y of what a step wrote goes R{δ}, how δ moves along the direction. Back through a layer
//! y = W·x they become Wᵀ·δ and Wᵀ·R{δ} + Ẇᵀ·δ, and the product with the Hessian gets R{δ}·xᵀ + δ·ẋᵀ. δ lies in the
//! block of the activations, R{δ} at the same place of the block of their tangents.

use super::{Contribution, Passing, Progress, Sink};
use crate::objective::lanes::block::{Block, standard};
use crate::objective::lanes::direction::{Direction, Weights};
use crate::objective::lanes::forward::{Context, Dual, Scratch};
use crate::objective::lanes::kernels::apart::Apart;
use crate::objective::lanes::kernels::patch::Source;
use crate::objective::lanes::kernels::tangent::{NormSumTangents, ViewGradientTangent};
use crate::objective::lanes::plan::{Plan, Product, Work};
use crate::objective::lanes::vectors::LaneBuffer;

/// What a pass backward does at one step: the same for all blocks, where statistics are constants.
#[derive(Debug)]
pub struct Stage {
    index: usize,
    contributions: Vec<Contribution>,
    passings: Vec<Passing>,
}

/// The stages of a plan, from the last step to the first.
pub fn stages(plan: &Plan) -> Vec<Stage> {
    let mut progress = Progress::new(plan);
    let steps = (0..plan.steps.len()).rev();
    steps
        .map(|index| Stage {
            index,
            contributions: progress.step(plan, index),
            passings: progress.passings(plan, index),
        })
        .collect()
}

impl Contribution {
    /// One more to the same place.
    fn again(&self) -> Self {
        Self {
            fresh: false,
            accumulate: true,
            ..*self
        }
    }
}

impl Context<'_> {
    /// Takes the gradients of the logits in `group` back through all stages, statistics being constants.
    pub fn gradients(&self, stages: &[Stage], group: &mut [Block], sink: &mut Sink, scratch: &mut Scratch) {
        let mut waiting: &[Passing] = &[];
        for stage in stages {
            self.backward(stage.index, waiting, &stage.contributions, group, sink, scratch);
            self.norm_sums(&stage.passings, group, sink, scratch);
            waiting = &stage.passings;
        }
    }

    /// Takes the gradients of the logits in `values` and their tangents in `tangents` back through all stages,
    /// statistics being constants. The sink gets how the gradient moves along `direction`.
    pub fn gradient_tangents(
        &self,
        stages: &[Stage],
        direction: &Direction,
        values: &mut [Block],
        tangents: &mut [Block],
        sink: &mut Sink,
        scratch: &mut Scratch,
    ) {
        // Tangents go first: they need the gradients, which are given back once they are passed on.
        for stage in stages {
            let index = stage.index;
            if let Work::Product(product) = &self.plan.steps[index].work {
                let product: &Product = product;
                let dual = Dual {
                    values: &*values,
                    tangents: &*tangents,
                    direction,
                };
                self.bias_gradient(product, index, dual.tangents, sink, scratch);
                self.weight_gradient_tangent(product, index, dual, sink, scratch);
                if let Some(contribution) = stage.contributions.first() {
                    let point = (product, self.point.backward.as_slice());
                    self.input_gradient(index, point, contribution, tangents, None, scratch);
                    let again = contribution.again();
                    match &direction.weights {
                        Weights::Shared(weights) => {
                            let weights = (product, weights.backward.as_slice());
                            self.input_gradient(index, weights, &again, tangents, Some(&*values), scratch);
                        }
                        Weights::Apart(weights) => {
                            // The images of one block.
                            for (value, tangent) in values.iter().zip(&mut *tangents) {
                                self.apart_gradient(index, (product, weights), &again, (value, tangent), scratch);
                            }
                        }
                    }
                    self.input_gradient(index, point, contribution, values, None, scratch);
                }
            } else {
                for (value, tangent) in values.iter_mut().zip(&mut *tangents) {
                    for contribution in &stage.contributions {
                        self.simple_backward(index, contribution, tangent, Some(&*value));
                        self.simple_backward(index, contribution, value, None);
                    }
                }
            }
            self.release(index, tangents);
            self.release(index, values);
            for passing in &stage.passings {
                for (value, tangent) in values.iter_mut().zip(&mut *tangents) {
                    self.norm_sum_tangents(passing, (&*value, &*tangent), sink, scratch);
                    self.pass_tangent_on(passing, direction, (&*value, &mut *tangent));
                    self.pass_on(passing, value);
                }
            }
        }
    }

    /// R{δ}·xᵀ + δ·ẋᵀ of a layer's weights.
    fn weight_gradient_tangent(
        &self,
        product: &Product,
        index: usize,
        dual: Dual,
        sink: &mut Sink,
        scratch: &mut Scratch,
    ) {
        let view = &self.plan.steps[index].input;
        let mut rooms = std::mem::take(&mut scratch.views);
        let raw = |block: usize| self.memory(&dual.tangents[block], view, None);
        let moving = self.view_tangents(dual, view, raw, &mut rooms[0]);
        let mut sources: Vec<Source> = dual.values.iter().map(|block| self.source(block, view)).collect();
        let mut sets = vec![dual.tangents];
        if let Some(moving) = moving {
            sources.extend(moving);
            sets.push(dual.values);
        }
        self.weight_gradient(product, index, &sources, &sets, sink, scratch);
        drop(sources);
        scratch.views = rooms;
    }

    /// Adds Ẇᵀ·δ, of every image its own Ẇ, to the tangent of the gradient of a layer's input.
    fn apart_gradient(
        &self,
        index: usize,
        (product, weights): (&Product, &LaneBuffer),
        contribution: &Contribution,
        (value, tangent): (&Block, &mut Block),
        scratch: &mut Scratch,
    ) {
        let Some(geometry) = &product.transposed else { return };
        let output = &self.plan.steps[index].output;
        let parameter = &self.plan.graph.parameters[product.weight];
        let [channels, height, width] = geometry.output;
        // The weights are `[out, in, side, side]`.
        let area = parameter.size() / (channels * geometry.input[0]);
        let side = area.isqrt();
        let range = parameter.range();
        let gradient = &value.gradients[output.buffer][self.numbers(output)];
        self.gather(geometry, &[Source::raw(gradient, output.shape)], 0, &mut scratch.patch);
        let mut memory = self.open(tangent, contribution);
        for phase in &geometry.phases {
            let terms: Vec<u32> = (0..geometry.input[0])
                .flat_map(|read| {
                    let taps = phase.taps.iter();
                    taps.map(move |&(y, x)| (read * channels * area + y * side + x) as u32)
                })
                .collect();
            self.instructions.run(Apart {
                weights: &weights[range.start * self.lanes..range.end * self.lanes],
                terms: &terms,
                step: area,
                offsets: &phase.offsets,
                patch: &scratch.patch,
                columns: geometry.columns(phase, 1, 0),
                channels,
                plane: height * width,
                bias: None,
                accumulate: contribution.accumulate,
                output: &mut memory[self.part(contribution)],
            });
        }
        Self::close(tangent, contribution, memory);
    }

    /// For a batch-norm view: how the gradients with respect to γ and β move.
    fn norm_sum_tangents(
        &self,
        passing: &Passing,
        (value, tangent): (&Block, &Block),
        sink: &mut Sink,
        scratch: &mut Scratch,
    ) {
        let view = self.plan.lazies[passing.lazy].view;
        let Some(layer) = view.norm else { return };
        let vectors = view.shape[0] * self.lanes;
        scratch.sums.make_room(2 * vectors);
        let (shift, scale) = scratch.sums[..2 * vectors].split_at_mut(vectors);
        self.instructions.run(NormSumTangents {
            source: self.source(value, &view),
            standard: standard(self.normalisation, layer),
            tangent: self.memory(tangent, &view, None),
            gradient: &value.view_gradients[passing.lazy],
            gradient_tangent: &tangent.view_gradients[passing.lazy],
            shift,
            scale,
        });
        let parameters = &self.plan.graph.parameters;
        let (gamma, beta) = self.plan.affine[layer];
        sink.add(self, parameters[gamma].offset, scale);
        sink.add(self, parameters[beta].offset, shift);
    }

    /// Passes the tangent of a view's gradient on to what the view reads.
    fn pass_tangent_on(&self, passing: &Passing, direction: &Direction, (value, tangent): (&Block, &mut Block)) {
        let view = self.plan.lazies[passing.lazy].view;
        let gradient_tangent = std::mem::take(&mut tangent.view_gradients[passing.lazy]);
        if let Some(to) = &passing.to {
            let mut memory = self.open(tangent, to);
            self.instructions.run(ViewGradientTangent {
                source: self.source(value, &view),
                affine: view
                    .norm
                    .map(|layer| direction.affine(self.normalisation, layer, self.lanes)),
                gradient: &value.view_gradients[passing.lazy],
                gradient_tangent: &gradient_tangent,
                accumulate: to.accumulate,
                result: &mut memory[self.part(to)],
            });
            Self::close(tangent, to, memory);
        }
        tangent.give_back(gradient_tangent);
    }
}
