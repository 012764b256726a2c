//! The graph: nodes in evaluation order, and the two tables that say which slice of the flat vectors is which.

use std::ops::Range;

use super::loss::Loss;
use crate::error::{Error, Result};

/// Batch norm's ε, PyTorch's default.
pub const BATCH_NORM_EPSILON: f64 = 1e-5;

/// Shape of one sample at a node: channels, height, width. A vector of features is `[features, 1, 1]`.
pub type Shape = [usize; 3];

/// Index of a node in [`Graph::nodes`].
pub type NodeId = usize;

/// What a parameter is for; directions are masked by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Weight of a convolution, `[out, in, height, width]`.
    ConvolutionWeight,
    /// Weight of a linear layer, `[out, in]`.
    LinearWeight,
    /// Bias of a convolution or linear layer, `[out]`.
    Bias,
    /// Batch-norm scale γ, `[channels]`.
    BatchNormScale,
    /// Batch-norm shift β, `[channels]`.
    BatchNormShift,
}

impl Role {
    /// Whether the parameter belongs to a batch-norm layer (γ or β).
    pub fn is_batch_norm(self) -> bool {
        matches!(self, Self::BatchNormScale | Self::BatchNormShift)
    }
}

/// One row of the parameter table: a named slice of the flat vector `w`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// PyTorch state-dict name.
    pub name: String,
    /// Shape as in PyTorch.
    pub shape: Vec<usize>,
    /// What it is for.
    pub role: Role,
    /// Where it starts in the flat vector.
    pub offset: usize,
}

impl Parameter {
    /// Number of entries.
    pub fn size(&self) -> usize {
        self.shape.iter().product()
    }

    /// Its slice of the flat vector.
    pub fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.size()
    }
}

/// One row of the statistics table: a batch-norm layer's running mean and variance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchNormLayer {
    /// State-dict prefix; the entries are `{name}.running_mean` and `{name}.running_var`.
    pub name: String,
    /// Number of channels.
    pub channels: usize,
    /// Where its mean starts in the flat statistics vector; its variance follows directly.
    pub offset: usize,
    /// Normalised values per channel and image (height × width).
    pub positions: usize,
}

impl BatchNormLayer {
    /// Slice of the running mean.
    pub fn mean(&self) -> Range<usize> {
        self.offset..self.offset + self.channels
    }

    /// Slice of the running variance.
    pub fn variance(&self) -> Range<usize> {
        self.offset + self.channels..self.offset + 2 * self.channels
    }
}

/// Which of the two flat vectors an entry of the state dict lies in, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The parameters `w`.
    Parameters(Range<usize>),
    /// The batch-norm statistics.
    Statistics(Range<usize>),
}

/// One entry of the state dict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateEntry {
    /// PyTorch name.
    pub name: String,
    /// Shape as in PyTorch.
    pub shape: Vec<usize>,
    /// Where its values lie.
    pub place: Place,
}

/// What a node computes. Indices point into the parameter and statistics tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// The images.
    Input,
    /// Two-dimensional convolution.
    Convolution {
        /// Weight, `[out, in, kernel, kernel]`.
        weight: usize,
        /// Bias, `[out]`.
        bias: Option<usize>,
        /// Step in both directions.
        stride: usize,
        /// Zeros on every side.
        padding: usize,
    },
    /// Batch norm over batch, height and width.
    BatchNorm {
        /// γ.
        scale: usize,
        /// β.
        shift: usize,
        /// Row of the statistics table.
        layer: usize,
    },
    /// Fully connected layer on the flattened sample.
    Linear {
        /// Weight, `[out, in]`.
        weight: usize,
        /// Bias, `[out]`.
        bias: Option<usize>,
    },
    /// max(x, 0).
    Relu,
    /// Sum of two nodes of the same shape.
    Add,
    /// Channels of several nodes of the same height and width, one after another.
    Concatenate,
    /// Largest value of every square window; windows do not overlap, and what does not fill one is left out.
    MaxPool {
        /// Side of the window and step.
        size: usize,
    },
    /// Mean of every square window, likewise.
    AveragePool {
        /// Side of the window and step.
        size: usize,
    },
    /// Mean over height and width.
    GlobalAveragePool,
    /// Every second row and column, with channels of zeros before and behind: the shortcut without parameters of
    /// He et al. (2016), option A.
    PaddedSubsample {
        /// Channels of zeros before, and as many behind.
        channels: usize,
    },
    /// One logit z becomes the two logits (0, z), so that softmax cross-entropy is the logistic loss.
    TwoClassLogits,
}

/// A node: an operation on earlier nodes.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it computes.
    pub operation: Operation,
    /// Earlier nodes it reads.
    pub inputs: Vec<NodeId>,
    /// Shape of its result for one sample.
    pub shape: Shape,
}

/// A network as data. The last node gives the logits.
#[derive(Clone, Debug)]
pub struct Graph {
    /// Model name with its options, as on the command line.
    pub name: String,
    /// Nodes in evaluation order; the first is the input.
    pub nodes: Vec<Node>,
    /// The parameter table, in PyTorch's state-dict order.
    pub parameters: Vec<Parameter>,
    /// The statistics table.
    pub batch_norm_layers: Vec<BatchNormLayer>,
    /// What becomes of the outputs.
    pub loss: Loss,
    /// For every node, the last node that reads it: the interpreter frees it there.
    pub last_reader: Vec<NodeId>,
}

impl Graph {
    /// Number of parameters d.
    pub fn parameter_count(&self) -> usize {
        self.parameters.last().map_or(0, |p| p.range().end)
    }

    /// Length of the flat statistics vector.
    pub fn statistics_count(&self) -> usize {
        self.batch_norm_layers.last().map_or(0, |l| l.variance().end)
    }

    /// Number of parameters that belong to batch-norm layers.
    pub fn batch_norm_parameter_count(&self) -> usize {
        self.parameters
            .iter()
            .filter(|p| p.role.is_batch_norm())
            .map(Parameter::size)
            .sum()
    }

    /// All entries of PyTorch's state dict but the batch counters: the parameters in order, then the running means and
    /// variances.
    pub fn state_dict(&self) -> Vec<StateEntry> {
        let parameters = self.parameters.iter().map(|p| StateEntry {
            name: p.name.clone(),
            shape: p.shape.clone(),
            place: Place::Parameters(p.range()),
        });
        let statistics = self.batch_norm_layers.iter().flat_map(|layer| {
            [("running_mean", layer.mean()), ("running_var", layer.variance())].map(|(kind, range)| StateEntry {
                name: format!("{}.{kind}", layer.name),
                shape: vec![layer.channels],
                place: Place::Statistics(range),
            })
        });
        parameters.chain(statistics).collect()
    }

    /// Whether its last node makes two logits of one.
    pub fn has_two_class_logits(&self) -> bool {
        self.nodes
            .last()
            .is_some_and(|node| node.operation == Operation::TwoClassLogits)
    }

    /// Shape of one input image.
    pub fn input_shape(&self) -> Shape {
        self.nodes[0].shape
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.nodes.last().map_or(0, |node| node.shape[0])
    }

    /// Values that one image's activations hold over all nodes.
    pub fn activation_count(&self) -> usize {
        self.nodes.iter().map(|node| node.shape.iter().product::<usize>()).sum()
    }

    /// Statistics of a new network: mean 0, variance 1.
    pub fn initial_statistics(&self) -> Vec<f32> {
        let mut values = vec![0.0; self.statistics_count()];
        for layer in &self.batch_norm_layers {
            values[layer.variance()].fill(1.0);
        }
        values
    }

    /// Whether all per-layer statistics can be taken from a batch of `images`: PyTorch, too, refuses to normalise a
    /// single value per channel.
    ///
    /// # Errors
    /// Names the layer that would see one value per channel.
    pub fn check_batch(&self, images: usize) -> Result<()> {
        match self.batch_norm_layers.iter().find(|l| l.positions * images < 2) {
            Some(layer) => Err(Error::Request(format!(
                "a batch of {images} leaves `{}` one value per channel, which has no variance: choose a batch size \
                 that does not leave a single image over",
                layer.name
            ))),
            None => Ok(()),
        }
    }
}

/// Builds a graph node by node; the families of the zoo are short functions over it.
#[derive(Debug)]
pub struct Builder {
    graph: Graph,
}

impl Builder {
    /// A graph with only its input.
    pub fn new(name: impl Into<String>, input: Shape) -> Self {
        Self {
            graph: Graph {
                name: name.into(),
                nodes: vec![Node {
                    operation: Operation::Input,
                    inputs: Vec::new(),
                    shape: input,
                }],
                parameters: Vec::new(),
                batch_norm_layers: Vec::new(),
                loss: Loss::default(),
                last_reader: Vec::new(),
            },
        }
    }

    /// The input node.
    pub fn input(&self) -> NodeId {
        0
    }

    /// Channels, height and width at a node.
    pub fn shape(&self, node: NodeId) -> Shape {
        self.graph.nodes[node].shape
    }

    fn parameter(&mut self, name: String, shape: Vec<usize>, role: Role) -> usize {
        let offset = self.graph.parameter_count();
        self.graph.parameters.push(Parameter {
            name,
            shape,
            role,
            offset,
        });
        self.graph.parameters.len() - 1
    }

    fn node(&mut self, operation: Operation, inputs: Vec<NodeId>, shape: Shape) -> NodeId {
        self.graph.nodes.push(Node {
            operation,
            inputs,
            shape,
        });
        self.graph.nodes.len() - 1
    }

    /// A square convolution, `{name}.weight` and, if asked, `{name}.bias`.
    ///
    /// # Errors
    /// When the padded image is smaller than the kernel.
    #[expect(clippy::too_many_arguments, reason = "PyTorch's Conv2d takes the same ones")]
    pub fn convolution(
        &mut self,
        input: NodeId,
        name: &str,
        channels: usize,
        kernel: usize,
        stride: usize,
        padding: usize,
        bias: bool,
    ) -> Result<NodeId> {
        let [inputs, height, width] = self.shape(input);
        let side = |length: usize| (length + 2 * padding).checked_sub(kernel).map(|room| room / stride + 1);
        let (Some(height), Some(width)) = (side(height), side(width)) else {
            return Err(Error::Model {
                name: self.graph.name.clone(),
                reason: format!(
                    "images of {height}×{width} are too small for the {kernel}×{kernel} kernel of `{name}`"
                ),
            });
        };
        let weight = self.parameter(
            format!("{name}.weight"),
            vec![channels, inputs, kernel, kernel],
            Role::ConvolutionWeight,
        );
        let bias = bias.then(|| self.parameter(format!("{name}.bias"), vec![channels], Role::Bias));
        let operation = Operation::Convolution {
            weight,
            bias,
            stride,
            padding,
        };
        Ok(self.node(operation, vec![input], [channels, height, width]))
    }

    /// Batch norm, `{name}.weight` (γ) and `{name}.bias` (β).
    pub fn batch_norm(&mut self, input: NodeId, name: &str) -> NodeId {
        let shape = self.shape(input);
        let scale = self.parameter(format!("{name}.weight"), vec![shape[0]], Role::BatchNormScale);
        let shift = self.parameter(format!("{name}.bias"), vec![shape[0]], Role::BatchNormShift);
        let offset = self.graph.statistics_count();
        self.graph.batch_norm_layers.push(BatchNormLayer {
            name: name.to_owned(),
            channels: shape[0],
            offset,
            positions: shape[1] * shape[2],
        });
        let layer = self.graph.batch_norm_layers.len() - 1;
        self.node(Operation::BatchNorm { scale, shift, layer }, vec![input], shape)
    }

    /// A fully connected layer with bias on the flattened sample.
    pub fn linear(&mut self, input: NodeId, name: &str, features: usize) -> NodeId {
        let inputs: usize = self.shape(input).iter().product();
        let weight = self.parameter(format!("{name}.weight"), vec![features, inputs], Role::LinearWeight);
        let bias = Some(self.parameter(format!("{name}.bias"), vec![features], Role::Bias));
        self.node(Operation::Linear { weight, bias }, vec![input], [features, 1, 1])
    }

    /// max(x, 0).
    pub fn relu(&mut self, input: NodeId) -> NodeId {
        let shape = self.shape(input);
        self.node(Operation::Relu, vec![input], shape)
    }

    /// The sum of two nodes of the same shape.
    pub fn add(&mut self, left: NodeId, right: NodeId) -> NodeId {
        let shape = self.shape(left);
        debug_assert_ne!(
            left, right,
            "the interpreter frees an activation at its last reader's first use"
        );
        debug_assert_eq!(shape, self.shape(right));
        self.node(Operation::Add, vec![left, right], shape)
    }

    /// The channels of `left`, then those of `right`.
    pub fn concatenate(&mut self, left: NodeId, right: NodeId) -> NodeId {
        let [first, height, width] = self.shape(left);
        let second = self.shape(right)[0];
        debug_assert_ne!(
            left, right,
            "the interpreter frees an activation at its last reader's first use"
        );
        self.node(
            Operation::Concatenate,
            vec![left, right],
            [first + second, height, width],
        )
    }

    /// The largest value of every `size`×`size` window.
    ///
    /// # Errors
    /// When the image is smaller than a window.
    pub fn max_pool(&mut self, input: NodeId, size: usize) -> Result<NodeId> {
        let shape = self.pooled(input, size)?;
        Ok(self.node(Operation::MaxPool { size }, vec![input], shape))
    }

    /// The mean of every `size`×`size` window.
    ///
    /// # Errors
    /// When the image is smaller than a window.
    pub fn average_pool(&mut self, input: NodeId, size: usize) -> Result<NodeId> {
        let shape = self.pooled(input, size)?;
        Ok(self.node(Operation::AveragePool { size }, vec![input], shape))
    }

    fn pooled(&self, input: NodeId, size: usize) -> Result<Shape> {
        let [channels, height, width] = self.shape(input);
        if height < size || width < size {
            return Err(Error::Model {
                name: self.graph.name.clone(),
                reason: format!(
                    "images of {:?} shrink to {height}×{width} before a pooling of {size}×{size}; use larger ones",
                    self.shape(0)
                ),
            });
        }
        Ok([channels, height / size, width / size])
    }

    /// Every second row and column of `input`, with `channels` of zeros before and behind.
    pub fn padded_subsample(&mut self, input: NodeId, channels: usize) -> NodeId {
        let [inputs, height, width] = self.shape(input);
        self.node(
            Operation::PaddedSubsample { channels },
            vec![input],
            [inputs + 2 * channels, height.div_ceil(2), width.div_ceil(2)],
        )
    }

    /// The mean over height and width.
    pub fn global_average_pool(&mut self, input: NodeId) -> NodeId {
        let channels = self.shape(input)[0];
        self.node(Operation::GlobalAveragePool, vec![input], [channels, 1, 1])
    }

    /// One logit z as the two logits (0, z).
    pub fn two_class_logits(&mut self, input: NodeId) -> NodeId {
        self.node(Operation::TwoClassLogits, vec![input], [2, 1, 1])
    }

    /// The finished graph; the last node added gives the logits.
    pub fn finish(mut self) -> Graph {
        let mut last_reader: Vec<NodeId> = (0..self.graph.nodes.len()).collect();
        for (id, node) in self.graph.nodes.iter().enumerate() {
            for &input in &node.inputs {
                last_reader[input] = id;
            }
        }
        self.graph.last_reader = last_reader;
        self.graph
    }
}
