//! The interpreter: runs a graph over Burn tensors for `K` parameter vectors in one pass.
//!
//! The `K` networks live side by side in the channel dimension. An activation is either *shared* by all of them,
//! `[B, C, H, W]` (the images, as long as nothing with parameters has touched them), or *per point*,
//! `[B, K·C, H, W]`. A convolution on a shared activation is one convolution with K·out channels; on a per-point one
//! it has K groups; batch norm normalises K·C channels at once. So K = 1 is ordinary training with no overhead, K > 1
//! on a shared batch is K points of a slice, and K > 1 with per-point images of one sample each gives per-sample
//! gradients. The element type is that of the tensors: `f32` in use, `f64` where gradients are checked.

use burn::tensor::activation::relu;
use burn::tensor::module::{avg_pool2d, batch_norm, batch_norm_train, conv2d, max_pool2d};
use burn::tensor::ops::{AvgPoolOptions, ConvOptions, MaxPoolOptions};
use burn::tensor::{Gradients, Int, Tensor};

use super::graph::{BATCH_NORM_EPSILON, Graph, Operation};
use super::loss::labels_for_points;

/// `K` parameter vectors cut into one tensor `[K · size]` a parameter, so that each is a leaf of the backward pass.
/// (Slicing one large leaf would make the backward pass write the whole vector once for every layer.)
#[derive(Clone, Debug)]
pub struct Leaves {
    points: usize,
    tensors: Vec<Tensor<1>>,
}

impl Leaves {
    /// Cuts `points` `[K, d]` by the graph's parameter table.
    pub fn new(graph: &Graph, points: &Tensor<2>) -> Self {
        let [count, _] = points.dims();
        let tensors = graph
            .parameters
            .iter()
            .map(|p| points.clone().slice([0..count, p.range()]).reshape([count * p.size()]))
            .collect();
        Self { points: count, tensors }
    }

    /// The same leaves on the tape, so that [`Leaves::gradient`] can be asked after a backward pass.
    pub fn tracked(self) -> Self {
        Self {
            points: self.points,
            tensors: self.tensors.into_iter().map(|t| t.autodiff().require_grad()).collect(),
        }
    }

    /// The gradient `[K, d]`, put back into one flat vector a point. A parameter that the loss does not reach gets 0.
    pub fn gradient(&self, gradients: &mut Gradients) -> Tensor<2> {
        let parts = self
            .tensors
            .iter()
            .map(|leaf| {
                let size = leaf.dims()[0] / self.points;
                leaf.grad_remove(gradients)
                    .unwrap_or_else(|| leaf.clone().inner().zeros_like())
                    .reshape([self.points, size])
            })
            .collect();
        Tensor::cat(parts, 1)
    }
}

/// The images of a pass.
#[derive(Clone, Debug)]
pub enum Images {
    /// The same batch `[B, C, H, W]` for every point.
    Shared(Tensor<4>),
    /// A batch of its own for every point, `[B, K·C, H, W]`.
    PerPoint(Tensor<4>),
}

/// What batch-norm layers normalise with.
#[derive(Clone, Copy, Debug)]
pub enum Normaliser<'a> {
    /// Given statistics `[K, s]`, as PyTorch's `eval()`.
    Statistics(&'a Tensor<2>),
    /// The batch's own mean and (biased) variance, as PyTorch's `train()`.
    Batch,
}

/// A batch-norm layer's statistics in one pass.
#[derive(Clone, Debug)]
pub struct BatchStatistics {
    /// Mean, `[K · channels]`.
    pub mean: Tensor<1>,
    /// Biased variance, `[K · channels]`.
    pub variance: Tensor<1>,
    /// Number of values each was taken over: images × height × width.
    pub values: usize,
}

/// The result of a pass.
#[derive(Clone, Debug)]
pub struct Pass {
    /// Logits `[K, B, classes]`.
    pub logits: Tensor<3>,
    /// With [`Normaliser::Batch`], one entry a batch-norm layer; otherwise empty.
    pub statistics: Vec<BatchStatistics>,
}

#[derive(Clone)]
pub(super) struct Activation {
    pub(super) tensor: Tensor<4>,
    shared: bool,
}

impl From<Images> for Activation {
    fn from(images: Images) -> Self {
        match images {
            Images::Shared(tensor) => Self { tensor, shared: true },
            Images::PerPoint(tensor) => Self::own(tensor),
        }
    }
}

impl Activation {
    /// An activation of every network's own, `[B, K·C, H, W]`.
    pub(super) fn own(tensor: Tensor<4>) -> Self {
        Self { tensor, shared: false }
    }

    /// The activation with a copy for each of `points` networks.
    pub(super) fn per_point(self, points: usize) -> Tensor<4> {
        if self.shared && points > 1 {
            self.tensor.repeat_dim(1, points)
        } else {
            self.tensor
        }
    }

    /// The same function of every network's activation.
    fn map(self, function: impl FnOnce(Tensor<4>) -> Tensor<4>) -> Self {
        Self {
            tensor: function(self.tensor),
            shared: self.shared,
        }
    }
}

/// Joins the channels of `parts`, each `[B, networks · Cᵢ, H, W]`, network by network.
fn concatenate(networks: usize, parts: Vec<Tensor<4>>) -> Tensor<4> {
    if networks == 1 {
        return Tensor::cat(parts, 1);
    }
    let parts: Vec<Tensor<5>> = parts
        .into_iter()
        .map(|part| {
            let [batch, channels, height, width] = part.dims();
            part.reshape([batch, networks, channels / networks, height, width])
        })
        .collect();
    let joined = Tensor::cat(parts, 2);
    let [batch, _, channels, height, width] = joined.dims();
    joined.reshape([batch, networks * channels, height, width])
}

/// Nodes computed one by one at the points of some leaves.
pub(super) struct Run<'a> {
    leaves: &'a Leaves,
    statistics: Vec<BatchStatistics>,
}

/// Runs `graph` at the points of `leaves`.
pub fn forward(graph: &Graph, leaves: &Leaves, images: Images, normaliser: Normaliser) -> Pass {
    let mut run = Run::new(leaves);
    let last = in_order(graph, Activation::from(images), |operation, first, second| {
        run.node(graph, operation, first, second, normaliser)
    });
    Pass {
        logits: logits(graph, leaves.points, last.per_point(leaves.points)),
        statistics: run.statistics,
    }
}

/// Computes every node from those that it reads, in evaluation order, and gives the last result. Each result is freed
/// by its last reader.
pub(super) fn in_order<T: Clone>(graph: &Graph, input: T, mut node: impl FnMut(&Operation, T, Option<T>) -> T) -> T {
    let mut results: Vec<Option<T>> = vec![None; graph.nodes.len()];
    results[0] = Some(input);
    for (id, row) in graph.nodes.iter().enumerate().skip(1) {
        let mut inputs = row.inputs.iter().map(|&input| {
            let slot = &mut results[input];
            let result = if graph.last_reader[input] == id {
                slot.take()
            } else {
                slot.clone()
            };
            result.expect("nodes are in evaluation order, and each is freed by its last reader")
        });
        let first = inputs.next().expect("every node but the input reads another");
        let second = inputs.next();
        results[id] = Some(node(&row.operation, first, second));
    }
    results.pop().flatten().expect("a graph has at least its input")
}

/// What the last node holds, `[B, K·classes, 1, 1]`, as `[K, B, classes]`.
pub(super) fn logits(graph: &Graph, points: usize, last: Tensor<4>) -> Tensor<3> {
    let batch = last.dims()[0];
    last.reshape([batch, points, graph.classes()]).swap_dims(0, 1)
}

impl<'a> Run<'a> {
    /// Nothing computed yet.
    pub(super) fn new(leaves: &'a Leaves) -> Self {
        Self {
            leaves,
            statistics: Vec::new(),
        }
    }

    /// Number of networks K.
    pub(super) fn points(&self) -> usize {
        self.leaves.points
    }

    /// A parameter of every network, `[K · size]`.
    pub(super) fn leaf(&self, index: usize) -> Tensor<1> {
        self.leaves.tensors[index].clone()
    }

    /// Mean and variance, each `[K · channels]`, that `statistics` `[K, s]` hold for a batch-norm layer.
    pub(super) fn layer_statistics(
        &self,
        graph: &Graph,
        layer: usize,
        statistics: &Tensor<2>,
    ) -> (Tensor<1>, Tensor<1>) {
        let layer = &graph.batch_norm_layers[layer];
        let points = self.points();
        let channels = points * layer.channels;
        let part = |range| statistics.clone().slice([0..points, range]).reshape([channels]);
        (part(layer.mean()), part(layer.variance()))
    }

    /// What a node computes from one or two others.
    pub(super) fn node(
        &mut self,
        graph: &Graph,
        operation: &Operation,
        input: Activation,
        second: Option<Activation>,
        normaliser: Normaliser,
    ) -> Activation {
        let points = self.leaves.points;
        let per_point = Activation::own;
        match *operation {
            Operation::Input => input,
            Operation::Convolution {
                weight,
                bias,
                stride,
                padding,
            } => {
                let shape = &graph.parameters[weight].shape;
                let weight = self
                    .leaf(weight)
                    .reshape([points * shape[0], shape[1], shape[2], shape[3]]);
                let groups = if input.shared { 1 } else { points };
                let options = ConvOptions::new([stride; 2], [padding; 2], [1, 1], groups);
                per_point(conv2d(input.tensor, weight, bias.map(|bias| self.leaf(bias)), options))
            }
            Operation::BatchNorm { scale, shift, layer } => {
                let (scale, shift) = (self.leaf(scale), self.leaf(shift));
                let input = input.per_point(points);
                match normaliser {
                    Normaliser::Batch => {
                        let [batch, _, height, width] = input.dims();
                        let result = batch_norm_train(input, scale, shift, BATCH_NORM_EPSILON);
                        self.statistics.push(BatchStatistics {
                            mean: result.mean,
                            variance: result.variance,
                            values: batch * height * width,
                        });
                        per_point(result.output)
                    }
                    Normaliser::Statistics(statistics) => {
                        let (mean, variance) = self.layer_statistics(graph, layer, statistics);
                        per_point(batch_norm(input, scale, shift, mean, variance, BATCH_NORM_EPSILON))
                    }
                }
            }
            Operation::Linear { weight, bias } => {
                let shape = &graph.parameters[weight].shape;
                let (outputs, features) = (shape[0], shape[1]);
                let weight = self.leaf(weight).reshape([points, outputs, features]).swap_dims(1, 2);
                let batch = input.tensor.dims()[0];
                let input = input
                    .per_point(points)
                    .reshape([batch, points, features])
                    .swap_dims(0, 1);
                let mut output = input.matmul(weight);
                if let Some(bias) = bias {
                    output = output + self.leaf(bias).reshape([points, 1, outputs]);
                }
                per_point(output.swap_dims(0, 1).reshape([batch, points * outputs, 1, 1]))
            }
            Operation::Relu => input.map(relu),
            Operation::Add => {
                let Some(second) = second else {
                    return input;
                };
                if input.shared && second.shared {
                    return Activation {
                        tensor: input.tensor + second.tensor,
                        shared: true,
                    };
                }
                per_point(input.per_point(points) + second.per_point(points))
            }
            Operation::Concatenate => {
                let Some(second) = second else {
                    return input;
                };
                if input.shared && second.shared {
                    return Activation {
                        tensor: Tensor::cat(vec![input.tensor, second.tensor], 1),
                        shared: true,
                    };
                }
                per_point(concatenate(
                    points,
                    vec![input.per_point(points), second.per_point(points)],
                ))
            }
            Operation::MaxPool { size } => input.map(|tensor| max_pool2d(tensor, MaxPoolOptions::new([size; 2]))),
            Operation::AveragePool { size } => input.map(|tensor| avg_pool2d(tensor, AvgPoolOptions::new([size; 2]))),
            Operation::GlobalAveragePool => input.map(|tensor| tensor.mean_dim(3).mean_dim(2)),
            Operation::PaddedSubsample { channels } => {
                // A mean over a window of one pixel, taken at every second one.
                let halved = input.map(|tensor| avg_pool2d(tensor, AvgPoolOptions::new([1, 1]).with_stride([2, 2])));
                if channels == 0 {
                    return halved;
                }
                let (networks, shared) = (if halved.shared { 1 } else { points }, halved.shared);
                let [batch, _, height, width] = halved.tensor.dims();
                let like = (halved.tensor.device(), halved.tensor.dtype());
                let zeros = Tensor::zeros([batch, networks * channels, height, width], (&like.0, like.1));
                Activation {
                    tensor: concatenate(networks, vec![zeros.clone(), halved.tensor, zeros]),
                    shared,
                }
            }
            Operation::TwoClassLogits => {
                let logit = input.per_point(points);
                let batch = logit.dims()[0];
                let logit: Tensor<4> = logit.reshape([batch, points, 1, 1]);
                let pair = Tensor::cat(vec![logit.zeros_like(), logit], 2);
                per_point(pair.reshape([batch, points * 2, 1, 1]))
            }
        }
    }
}

/// For every point, the number of images whose largest logit is the label's, `[K]`.
pub fn correct(logits: Tensor<3>, labels: Tensor<1, Int>) -> Tensor<1, Int> {
    let [points, batch, _] = logits.dims();
    let labels = labels_for_points(labels, points, batch);
    let predicted: Tensor<2, Int> = logits.argmax(2).reshape([points, batch]);
    predicted.equal(labels).int().sum_dim(1).reshape([points])
}
