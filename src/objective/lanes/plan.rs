//! A graph compiled into a short list of steps over buffers.
//!
//! Batch norm and ReLU are no steps: a [`View`] says that they are still to be applied, and whoever reads it does so.
//! Where the statistics are given beforehand and nobody else reads the bare sums, batch norm, the residual sum and
//! ReLU are applied by the convolution that writes them. A concatenation is no step either where its parts can be
//! written side by side from the start, so a dense block takes memory once.

use std::sync::Arc;

use super::geometry::{Geometry, Window};
use crate::network::graph::{Graph, NodeId, Operation, Shape};

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

    fn overlaps(&self, other: &Self) -> bool {
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

/// Columns below which the registers of a product are half empty.
const FEW_COLUMNS: usize = 4;

impl Plan {
    /// Compiles `graph` for vectors of `lanes`.
    pub fn new(graph: &Arc<Graph>, purpose: Purpose, lanes: usize) -> Self {
        let mut compiler = Compiler::new(graph, purpose, lanes);
        for node in 0..graph.nodes.len() {
            compiler.node(node);
        }
        compiler.finish()
    }

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

struct Compiler<'a> {
    graph: &'a Arc<Graph>,
    purpose: Purpose,
    lanes: usize,
    group: usize,
    /// Buffer and first channel of each node that has memory of its own.
    placement: Vec<Option<(usize, usize)>>,
    readers: Vec<usize>,
    values: Vec<View>,
    /// The step whose raw output a node is.
    producer: Vec<Option<usize>>,
    /// Steps after which a node's value is whole.
    written: Vec<usize>,
    steps: Vec<Step>,
    buffers: Vec<(usize, usize)>,
    norms: Vec<Norm>,
    lazies: Vec<Lazy>,
}

impl<'a> Compiler<'a> {
    fn new(graph: &'a Arc<Graph>, purpose: Purpose, lanes: usize) -> Self {
        let nodes = graph.nodes.len();
        let mut readers = vec![0; nodes];
        for node in &graph.nodes {
            for &input in &node.inputs {
                readers[input] += 1;
            }
        }
        let mut buffers = Vec::new();
        let mut placement: Vec<Option<(usize, usize)>> = vec![None; nodes];
        // From the last concatenation of a dense block to its first: each part is written where the whole lies.
        for (id, node) in graph.nodes.iter().enumerate().rev() {
            let lazy = matches!(
                node.operation,
                Operation::BatchNorm { .. } | Operation::Relu | Operation::TwoClassLogits
            );
            if lazy {
                continue;
            }
            let (buffer, mut first) = *placement[id].get_or_insert_with(|| {
                buffers.push((node.shape[0], node.shape[1] * node.shape[2]));
                (buffers.len() - 1, 0)
            });
            if node.operation == Operation::Concatenate {
                for &input in &node.inputs {
                    let part = &graph.nodes[input];
                    let movable = !matches!(
                        part.operation,
                        Operation::BatchNorm { .. } | Operation::Relu | Operation::TwoClassLogits | Operation::Input
                    );
                    if movable && placement[input].is_none() {
                        placement[input] = Some((buffer, first));
                    }
                    first += part.shape[0];
                }
            }
        }
        Self {
            graph,
            purpose,
            lanes,
            group: group(graph),
            placement,
            readers,
            values: Vec::with_capacity(nodes),
            producer: vec![None; nodes],
            written: Vec::with_capacity(nodes),
            steps: Vec::new(),
            buffers,
            norms: Vec::new(),
            lazies: Vec::new(),
        }
    }

    fn placed(&mut self, node: NodeId) -> View {
        let shape = self.graph.nodes[node].shape;
        let (buffer, first) = self.placement[node].unwrap_or_else(|| {
            self.buffers.push((shape[0], shape[1] * shape[2]));
            (self.buffers.len() - 1, 0)
        });
        View {
            buffer,
            first,
            shape,
            norm: None,
            relu: false,
        }
    }

    fn push(&mut self, node: NodeId, work: Work, input: View, output: View) -> View {
        self.producer[node] = Some(self.steps.len());
        self.steps.push(Step {
            work,
            input,
            output,
            moments: false,
        });
        output
    }

    /// A view through one more batch norm or ReLU.
    fn lazy(&mut self, view: View) -> View {
        if !self.lazies.iter().any(|lazy| lazy.view == view) {
            self.lazies.push(Lazy {
                view,
                defined: self.steps.len(),
            });
        }
        view
    }

    /// The view in memory of its own, where something is still to be applied to it.
    fn materialised(&mut self, node: NodeId, view: View) -> View {
        if view.is_raw() {
            return view;
        }
        self.buffers.push((view.shape[0], view.plane()));
        let output = View {
            buffer: self.buffers.len() - 1,
            first: 0,
            ..view.raw()
        };
        self.push(node, Work::Copy, view, output)
    }

    /// The finish of the step that wrote `node`, where nobody else reads what it wrote and ReLU is not yet applied.
    fn open_finish(&mut self, node: NodeId) -> Option<&mut Finish> {
        if self.purpose != Purpose::Fixed || self.readers[node] != 1 || !self.values[node].is_raw() {
            return None;
        }
        let step = self.producer[node]?;
        match &mut self.steps[step].work {
            Work::Product(product) if !product.finish.relu => Some(&mut product.finish),
            _ => None,
        }
    }

    fn node(&mut self, id: NodeId) {
        let graph = self.graph.clone();
        let node = &graph.nodes[id];
        let input = node.inputs.first().copied();
        let value = input.map(|input| self.values[input]);
        let (Some(input), Some(value)) = (input, value) else {
            let images = self.placed(id);
            self.values.push(images);
            self.written.push(0);
            return;
        };
        let result = match node.operation {
            Operation::Input | Operation::TwoClassLogits => value,
            Operation::Convolution {
                weight,
                bias,
                stride,
                padding,
            } => {
                let kernel = graph.parameters[weight].shape[2];
                let window = Window {
                    kernel,
                    stride,
                    padding,
                };
                let product = self.product(weight, bias, input, value.shape, node.shape, window);
                let output = self.placed(id);
                self.push(id, Work::Product(Box::new(product)), value, output)
            }
            Operation::Linear { weight, bias } => {
                // Its sums run over the flattened image: one position, all values as channels.
                let value = if value.plane() == 1 {
                    value
                } else {
                    self.materialised(input, value)
                };
                let flat = [value.shape[0] * value.plane(), 1, 1];
                let value = View {
                    first: value.first * value.plane(),
                    shape: flat,
                    ..value
                };
                let window = Window {
                    kernel: 1,
                    stride: 1,
                    padding: 0,
                };
                let product = self.product(weight, bias, input, flat, node.shape, window);
                let output = self.placed(id);
                self.push(id, Work::Product(Box::new(product)), value, output)
            }
            Operation::BatchNorm { layer, .. } => {
                if let Some(finish) = self.open_finish(input).filter(|f| f.norm.is_none() && f.add.is_none()) {
                    finish.norm = Some(layer);
                    self.producer[id] = self.producer[input];
                    value
                } else {
                    let value = self.materialised(input, value);
                    self.norms.push(Norm {
                        layer,
                        view: value,
                        after: 0,
                    });
                    self.lazy(View {
                        norm: Some(layer),
                        ..value
                    })
                }
            }
            Operation::Relu => {
                if let Some(finish) = self.open_finish(input) {
                    finish.relu = true;
                    self.producer[id] = self.producer[input];
                    value
                } else {
                    self.lazy(View { relu: true, ..value })
                }
            }
            Operation::Add => self.add(id, input, node.inputs[1]),
            Operation::Concatenate => {
                let whole = self.placed(id);
                let mut first = whole.first;
                for &part in &node.inputs {
                    let value = self.values[part];
                    let place = View {
                        first,
                        shape: value.shape,
                        ..whole
                    };
                    if value != place {
                        self.push(id, Work::Copy, value, place);
                    }
                    first += value.shape[0];
                }
                whole
            }
            Operation::MaxPool { size } => {
                let output = self.placed(id);
                self.push(id, Work::MaxPool(size), value, output)
            }
            Operation::AveragePool { size } => {
                let output = self.placed(id);
                self.push(id, Work::AveragePool(size, size), value, output)
            }
            Operation::GlobalAveragePool => {
                let output = self.placed(id);
                self.push(id, Work::AveragePool(value.shape[1], value.shape[2]), value, output)
            }
            Operation::PaddedSubsample { channels } => {
                let output = self.placed(id);
                self.push(id, Work::PaddedSubsample(channels), value, output)
            }
        };
        self.values.push(result);
        self.written.push(self.steps.len());
    }

    fn product(
        &self,
        weight: usize,
        bias: Option<usize>,
        input: NodeId,
        from: Shape,
        to: Shape,
        window: Window,
    ) -> Product {
        let (lanes, group) = (self.lanes, self.group);
        let gradient = self.purpose == Purpose::Gradient;
        Product {
            weight,
            bias,
            finish: Finish::default(),
            forward: Geometry::forward(from, to, window, lanes, group),
            correlation: gradient.then(|| Geometry::correlation(from, to, window, group)),
            backward: (gradient && input != 0).then(|| Geometry::backward(from, to, window, lanes, group)),
            input: from,
        }
    }

    /// The sum is left to the later of the two convolutions where nobody else reads its bare result.
    fn add(&mut self, id: NodeId, left: NodeId, right: NodeId) -> View {
        for (node, other) in [(left, right), (right, left)] {
            let whole_before = self.producer[node].is_some_and(|step| self.written[other] <= step);
            let addend = self.values[other];
            if whole_before && let Some(finish) = self.open_finish(node).filter(|f| f.add.is_none()) {
                finish.add = Some(addend);
                self.producer[id] = self.producer[node];
                return self.values[node];
            }
        }
        let output = self.placed(id);
        self.push(id, Work::Add(self.values[right]), self.values[left], output)
    }

    fn finish(mut self) -> Plan {
        let last = self.graph.nodes.len() - 1;
        let logits = self.values[last];
        let logits = self.materialised(last, logits);
        for norm in &mut self.norms {
            for (index, step) in self.steps.iter_mut().enumerate() {
                if step.output.overlaps(&norm.view) {
                    step.moments = self.purpose != Purpose::Fixed;
                    norm.after = index + 1;
                }
            }
        }
        let mut moments = Vec::new();
        let mut total = 0;
        for &(channels, _) in &self.buffers {
            moments.push(total);
            total += channels;
        }
        moments.push(total);
        let buffers: Vec<usize> = self.buffers.iter().map(|&(channels, plane)| channels * plane).collect();
        let images = self.values[0].buffer;
        let (slots, slot_sizes) = if self.purpose == Purpose::Gradient {
            let mut sizes = buffers.clone();
            sizes[images] = 0;
            ((0..buffers.len()).collect(), sizes)
        } else {
            shared_memory(&self.steps, &buffers, images, logits.buffer)
        };
        Plan {
            graph: self.graph.clone(),
            affine: affine_parameters(self.graph),
            steps: self.steps,
            slots,
            slot_sizes,
            buffers,
            images,
            logits,
            two_classes: self.graph.nodes[last].operation == Operation::TwoClassLogits,
            norms: self.norms,
            moments,
            lazies: self.lazies,
            group: self.group,
        }
    }
}

/// For every batch-norm layer, the rows of the parameter table that hold γ and β.
fn affine_parameters(graph: &Graph) -> Vec<(usize, usize)> {
    let mut rows = vec![(0, 0); graph.batch_norm_layers.len()];
    for node in &graph.nodes {
        if let Operation::BatchNorm { scale, shift, layer } = node.operation {
            rows[layer] = (scale, shift);
        }
    }
    rows
}

/// How many blocks of images to lay side by side: several, where much of the work is in layers with so few positions
/// that one block leaves registers empty.
fn group(graph: &Graph) -> usize {
    let (mut all, mut few) = (0, 0);
    for node in &graph.nodes {
        let (Operation::Convolution { weight, .. } | Operation::Linear { weight, .. }) = node.operation else {
            continue;
        };
        let positions = node.shape[1] * node.shape[2];
        let cost = graph.parameters[weight].size() * positions;
        all += cost;
        if positions < 2 * FEW_COLUMNS {
            few += cost;
        }
    }
    if 20 * few > all { FEW_COLUMNS } else { 1 }
}

/// Buffers whose first writing lies after another's last reading take over its memory.
fn shared_memory(steps: &[Step], buffers: &[usize], images: usize, logits: usize) -> (Vec<usize>, Vec<usize>) {
    let mut last_use = vec![0; buffers.len()];
    for (index, step) in steps.iter().enumerate() {
        let mut reads = vec![step.input.buffer, step.output.buffer];
        match &step.work {
            Work::Add(view) => reads.push(view.buffer),
            Work::Product(product) => reads.extend(product.finish.add.map(|view| view.buffer)),
            _ => {}
        }
        for buffer in reads {
            last_use[buffer] = index;
        }
    }
    last_use[logits] = usize::MAX;
    let mut slots = vec![usize::MAX; buffers.len()];
    let (mut sizes, mut free): (Vec<usize>, Vec<usize>) = (Vec::new(), Vec::new());
    for (index, step) in steps.iter().enumerate() {
        let output = step.output.buffer;
        if slots[output] == usize::MAX {
            // The smallest that is large enough; else the largest, made larger.
            let best = (0..free.len()).min_by_key(|&i| {
                let size = sizes[free[i]];
                (size < buffers[output], size.abs_diff(buffers[output]))
            });
            slots[output] = match best {
                Some(index) => free.swap_remove(index),
                None => {
                    sizes.push(0);
                    sizes.len() - 1
                }
            };
            let size = &mut sizes[slots[output]];
            *size = (*size).max(buffers[output]);
        }
        for (buffer, &slot) in slots.iter().enumerate() {
            if last_use[buffer] == index && buffer != images && slot != usize::MAX {
                free.push(slot);
            }
        }
    }
    (slots, sizes)
}
