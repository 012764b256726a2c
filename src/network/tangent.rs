//! The forward pass with tangents: beside every activation a(w) its derivative ȧ = d/dε a(w + εv) at ε = 0 along a
//! direction v of parameter space (the R-operator of Pearlmutter, *Fast exact multiplication by the Hessian*, 1994).
//!
//! Tangents are made of ordinary tensor operations, each of which can be differentiated once backwards. The derivative
//! of the loss along v is a number made of them, ⟨∇L(w), v⟩; its gradient with respect to w is the Hessian times v.

use burn::tensor::module::max_pool2d_with_indices;
use burn::tensor::ops::MaxPoolOptions;
use burn::tensor::{Int, Tensor};

use super::forward::{Activation, Images, Leaves, Normaliser, Run, in_order, logits};
use super::graph::{BATCH_NORM_EPSILON, Graph, Operation};

/// The result of a pass with tangents.
#[derive(Clone, Debug)]
pub struct TangentPass {
    /// Logits `[K, B, classes]`.
    pub logits: Tensor<3>,
    /// Their derivatives along the directions, `[K, B, classes]`.
    pub tangents: Tensor<3>,
}

/// Runs `graph` at the K points of `leaves`, each along its own of the K `directions`. Given statistics are constants;
/// with [`Normaliser::Batch`] the tangent flows through each batch's mean and variance. Where ReLU and max-pooling have
/// no derivative, theirs are those of the backward pass: 0 at 0, and the one of the entry that was taken.
///
/// To be differentiated, all tensors must have autodiff enabled, and those to differentiate by must be
/// [`Leaves::tracked`].
pub fn forward(
    graph: &Graph,
    leaves: &Leaves,
    directions: &Leaves,
    images: Images,
    normaliser: Normaliser,
) -> TangentPass {
    let mut run = TangentRun {
        graph,
        values: Run::new(leaves),
        directions: Run::new(directions),
        normaliser,
    };
    let input = Dual {
        value: Activation::from(images),
        tangent: None,
    };
    let last = in_order(graph, input, |operation, first, second| {
        run.node(operation, first, second)
    });
    let points = run.values.points();
    let tangents = last.tangent_or_zeros(points);
    TangentPass {
        logits: logits(graph, points, last.value.per_point(points)),
        tangents: logits(graph, points, tangents),
    }
}

/// An activation and its derivative along the direction, `[B, K·C, H, W]`; without, it does not depend on any
/// parameter. An activation shared by all networks never does.
#[derive(Clone)]
struct Dual {
    value: Activation,
    tangent: Option<Tensor<4>>,
}

impl Dual {
    fn tangent_or_zeros(&self, points: usize) -> Tensor<4> {
        match &self.tangent {
            Some(tangent) => tangent.clone(),
            None => self.value.clone().per_point(points).zeros_like(),
        }
    }
}

struct TangentRun<'a> {
    graph: &'a Graph,
    values: Run<'a>,
    directions: Run<'a>,
    normaliser: Normaliser<'a>,
}

impl TangentRun<'_> {
    /// What the operation computes from activations, with the parameters of the points.
    fn value(&mut self, operation: &Operation, input: Activation, second: Option<Activation>) -> Activation {
        self.values.node(self.graph, operation, input, second, self.normaliser)
    }

    fn node(&mut self, operation: &Operation, input: Dual, second: Option<Dual>) -> Dual {
        match *operation {
            Operation::Convolution {
                weight,
                stride,
                padding,
                bias: _,
            } => {
                let linear = Operation::Convolution {
                    weight,
                    bias: None,
                    stride,
                    padding,
                };
                self.weighted(operation, &linear, input)
            }
            Operation::Linear { weight, bias: _ } => {
                self.weighted(operation, &Operation::Linear { weight, bias: None }, input)
            }
            Operation::BatchNorm { scale, shift, layer } => self.batch_norm(scale, shift, layer, input),
            Operation::Relu => {
                let value = self.value(operation, input.value, None);
                let tangent = input.tangent.map(|tangent| {
                    let closed = value.tensor.clone().lower_equal_elem(0.0);
                    tangent.mask_fill(closed, 0.0)
                });
                Dual { value, tangent }
            }
            Operation::MaxPool { size } => match input.tangent {
                Some(tangent) => max_pool(input.value.tensor, tangent, size),
                None => Dual {
                    value: self.value(operation, input.value, None),
                    tangent: None,
                },
            },
            Operation::Add => {
                let Some(second) = second else {
                    return input;
                };
                let tangent = match (input.tangent, second.tangent) {
                    (Some(left), Some(right)) => Some(left + right),
                    (one, other) => one.or(other),
                };
                Dual {
                    value: self.value(operation, input.value, Some(second.value)),
                    tangent,
                }
            }
            Operation::Concatenate => {
                let Some(second) = second else {
                    return input;
                };
                let points = self.values.points();
                let tangent = (input.tangent.is_some() || second.tangent.is_some()).then(|| {
                    let own = |dual: &Dual| Activation::own(dual.tangent_or_zeros(points));
                    self.value(operation, own(&input), Some(own(&second))).tensor
                });
                Dual {
                    value: self.value(operation, input.value, Some(second.value)),
                    tangent,
                }
            }
            // These are linear: the tangent goes through the same operation.
            Operation::Input
            | Operation::AveragePool { .. }
            | Operation::GlobalAveragePool
            | Operation::PaddedSubsample { .. }
            | Operation::TwoClassLogits => Dual {
                value: self.value(operation, input.value, None),
                tangent: input
                    .tangent
                    .map(|tangent| self.value(operation, Activation::own(tangent), None).tensor),
            },
        }
    }

    /// y = w·x + b has ẏ = w·ẋ + ẇ·x + ḃ; `linear` is the operation without b.
    fn weighted(&mut self, operation: &Operation, linear: &Operation, input: Dual) -> Dual {
        let by_weights = self
            .directions
            .node(self.graph, operation, input.value.clone(), None, self.normaliser)
            .tensor;
        let tangent = match input.tangent {
            Some(tangent) => self.value(linear, Activation::own(tangent), None).tensor + by_weights,
            None => by_weights,
        };
        Dual {
            value: self.value(operation, input.value, None),
            tangent: Some(tangent),
        }
    }

    /// y = γ·x̂ + β with x̂ = (x − μ)·r and r = 1/√(σ² + ε) has ẏ = γr·ẋ + γ̇·x̂ + β̇. Where μ and σ² are the batch's
    /// own, x̂ moves with them: ẋ loses its mean ⟨ẋ⟩ and its part along x̂, ⟨x̂·ẋ⟩·x̂.
    fn batch_norm(&self, scale: usize, shift: usize, layer: usize, input: Dual) -> Dual {
        let value = input.value.per_point(self.values.points());
        let [batch, channels, height, width] = value.dims();
        let flat = |tensor: Tensor<4>| -> Tensor<3> { tensor.reshape([batch, channels, height * width]) };
        let row = |tensor: Tensor<1>| -> Tensor<3> { tensor.reshape([1, channels, 1]) };
        let (value, tangent) = (flat(value), input.tangent.map(flat));
        let (centred, variance) = match self.normaliser {
            Normaliser::Batch => {
                let centred = value.clone() - channel_means(value);
                (centred.clone(), channel_means(centred.clone() * centred))
            }
            Normaliser::Statistics(statistics) => {
                let (mean, variance) = self.values.layer_statistics(self.graph, layer, statistics);
                (value - row(mean), row(variance))
            }
        };
        let inverse = (variance + BATCH_NORM_EPSILON).sqrt().recip();
        let normalised = centred * inverse.clone();
        let (scale_tangent, shift_tangent) = (row(self.directions.leaf(scale)), row(self.directions.leaf(shift)));
        let (scale, shift) = (row(self.values.leaf(scale)), row(self.values.leaf(shift)));
        let value = normalised.clone() * scale.clone() + shift;
        let tangent = match tangent {
            None => normalised * scale_tangent + shift_tangent,
            Some(tangent) => {
                let slope = scale * inverse;
                let (mut along, mut constant) = (scale_tangent, shift_tangent);
                if matches!(self.normaliser, Normaliser::Batch) {
                    let share = channel_means(normalised.clone() * tangent.clone());
                    along = along - slope.clone() * share;
                    constant = constant - slope.clone() * channel_means(tangent.clone());
                }
                tangent * slope + normalised * along + constant
            }
        };
        let shape = [batch, channels, height, width];
        Dual {
            value: Activation::own(value.reshape(shape)),
            tangent: Some(tangent.reshape(shape)),
        }
    }
}

/// Means over images and places `[1, C, 1]` of `[B, C, H·W]`.
fn channel_means(values: Tensor<3>) -> Tensor<3> {
    values.mean_dim(2).mean_dim(0)
}

/// The largest entry of every window, and the tangent of that entry.
fn max_pool(value: Tensor<4>, tangent: Tensor<4>, size: usize) -> Dual {
    let [batch, channels, height, width] = value.dims();
    let (largest, places) = max_pool2d_with_indices(value, MaxPoolOptions::new([size; 2]));
    let shape = largest.dims();
    let [_, _, rows, columns] = shape;
    let places: Tensor<2, Int> = places.reshape([batch * channels, rows * columns]);
    let planes: Tensor<2> = tangent.reshape([batch * channels, height * width]);
    Dual {
        value: Activation::own(largest),
        tangent: Some(planes.gather(1, places).reshape(shape)),
    }
}
