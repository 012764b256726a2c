//! A graph compiled into a short list of steps over buffers.
//!
//! Batch norm and ReLU are no steps: a [`View`] says that they are still to be applied, and whoever reads it does so.
//! Where the statistics are given beforehand and nobody else reads the bare sums, batch norm, the residual sum and
//! ReLU are applied by the convolution that writes them. A concatenation is no step either where its parts can be
//! written side by side from the start, so a dense block takes memory once.

use std::sync::Arc;

use super::geometry::Geometry;
use crate::network::graph::{Graph, Operation, Shape};

/// What a node gives, as it is read: channels of a buffer, through batch norm and ReLU that are still to be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// Buffer.
    pub buffer: usize,
    /// First channel in the buffer.
    pub first: usize,
    /// Channels, height, width.
    pub shape: Shape,
    /// Batch-norm layer to apply.
    pub norm: Option<usize>,
    /// Whether max(x, 0) is applied then.
    pub relu: bool,
}

impl View {
    /// Whether it is read as it lies in memory.
    pub fn is_raw(&self) -> bool {
        self.norm.is_none() && !self.relu
    }

    /// Lane vectors of one channel.
    pub fn plane(&self) -> usize {
        self.shape[1] * self.shape[2]
    }

    /// Where it starts in its buffer and how long it is, in lane vectors.
    pub fn range(&self) -> std::ops::Range<usize> {
        let start = self.first * self.plane();
        start..start + self.shape[0] * self.plane()
    }

    /// The same memory without batch norm and ReLU.
    pub fn raw(self) -> Self {
        Self {
            norm: None,
            relu: false,
            ..self
        }
    }

    /// Whether the two have memory in common.
    pub fn overlaps(&self, other: &Self) -> bool {
        let (a, b) = (self.range(), other.range());
        self.buffer == other.buffer && a.start < b.end && b.start < a.end
    }
}

/// What a convolution does to its sums before it writes them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Finish {
    /// Batch norm, with statistics known beforehand.
    pub norm: Option<usize>,
    /// What is added.
    pub add: Option<View>,
    /// max(x, 0) at last.
    pub relu: bool,
}

/// A convolution or linear layer (a convolution of one position whose window is the image).
#[derive(Clone, Debug)]
pub struct Product {
    /// Row of the parameter table.
    pub weight: usize,
    /// Row of the parameter table.
    pub bias: Option<usize>,
    /// What is done to the sums.
    pub finish: Finish,
    /// The way through memory.
    pub forward: Geometry,
    /// The way through the input for the gradient with respect to the weights.
    pub correlation: Option<Geometry>,
    /// The gradient with respect to the input; the images need none.
    pub backward: Option<Geometry>,
    /// The same term by term, for weights that differ from image to image.
    pub transposed: Option<Geometry>,
    /// Channels, height and width as the weights see them.
    pub input: Shape,
}

/// What a step computes.
#[derive(Clone, Debug)]
pub enum Work {
    /// Convolution or linear layer.
    Product(Box<Product>),
    /// Sum with another view.
    Add(View),
    /// The view as it is read.
    Copy,
    /// Largest value of every window.
    MaxPool(usize),
    /// Mean of every window of this height and width.
    AveragePool(usize, usize),
    /// Every second row and column between this many channels of zeros.
    PaddedSubsample(usize),
}

/// One step.
#[derive(Clone, Debug)]
pub struct Step {
    /// What it computes.
    pub work: Work,
    /// What it reads.
    pub input: View,
    /// What it writes.
    pub output: View,
    /// Whether a batch-norm layer asks for the moments of what it writes.
    pub moments: bool,
}

/// A view that is not raw, for the backward pass.
#[derive(Clone, Copy, Debug)]
pub struct Lazy {
    /// The view.
    pub view: View,
    /// Steps before its first reader.
    pub defined: usize,
}

/// A batch-norm layer that is applied by those who read it.
#[derive(Clone, Copy, Debug)]
pub struct Norm {
    /// Row of the statistics table.
    pub layer: usize,
    /// What it normalises.
    pub view: View,
    /// Steps after which that is whole.
    pub after: usize,
}

/// A compiled graph.
#[derive(Debug)]
pub struct Plan {
    /// Where it comes from.
    pub graph: Arc<Graph>,
    /// For every batch-norm layer, the rows of the parameter table that hold γ and β.
    pub affine: Vec<(usize, usize)>,
    /// Steps in order.
    pub steps: Vec<Step>,
    /// Lane vectors of each buffer: the values of one image.
    pub buffers: Vec<usize>,
    /// The buffer of the images, which have memory of their own.
    pub images: usize,
    /// Memory of each buffer: those that are never in use at once share one.
    pub slots: Vec<usize>,
    /// Lane vectors of each memory.
    pub slot_sizes: Vec<usize>,
    /// The logits.
    pub logits: View,
    /// Whether one logit z stands for (0, z).
    pub two_classes: bool,
    /// The batch-norm layers that need the statistics of a batch.
    pub norms: Vec<Norm>,
    /// Where the moments of each buffer's channels start in a block's list.
    pub moments: Vec<usize>,
    /// Views to go back through, in order of definition.
    pub lazies: Vec<Lazy>,
    /// Blocks of images that are best worked on together.
    pub group: usize,
}

/// What a plan is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Logits, with statistics known beforehand.
    Fixed,
    /// Logits and statistics of the batch.
    Batch,
    /// Logits, statistics and then the gradient: every buffer is kept.
    Gradient,
}

impl Plan {
    /// Whether the steps can be run: what the zoo builds can, but a graph can be drawn that cannot.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self) -> Result<(), String> {
        let graph = &self.graph;
        let mut uses = vec![0; graph.parameters.len()];
        let mut read = vec![false; graph.nodes.len()];
        for node in &graph.nodes {
            match node.operation {
                Operation::Convolution { weight, .. } | Operation::Linear { weight, .. } => uses[weight] += 1,
                Operation::BatchNorm { .. } if node.inputs == [0] => {
                    return Err("batch norm of the images themselves has no step to take their moments".to_owned());
                }
                _ => {}
            }
            for &input in &node.inputs {
                read[input] = true;
            }
        }
        if let Some(weight) = uses.iter().position(|&count| count > 1) {
            return Err(format!("two layers share `{}`", graph.parameters[weight].name));
        }
        if read[..graph.nodes.len() - 1].contains(&false) {
            return Err("a node is read by none".to_owned());
        }
        let behind = |step: &Step| step.input.buffer == step.output.buffer && step.input.first >= step.output.first;
        if self.steps.iter().any(behind) {
            return Err("a layer writes before the channels that it reads, in one concatenation".to_owned());
        }
        Ok(())
    }

    /// After which steps a batch-norm layer's statistics become known: the pass waits for all blocks there.
    pub fn barriers(&self) -> Vec<usize> {
        let mut barriers: Vec<usize> = self.norms.iter().map(|norm| norm.after).collect();
        barriers.push(self.steps.len());
        barriers.sort_unstable();
        barriers.dedup();
        barriers
    }
}
