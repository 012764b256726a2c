//! From a graph to a plan: where each node's values lie, which steps write them, and what is left to their readers.

use std::sync::Arc;

use super::geometry::{Geometry, Window};
use super::plan::{Finish, Lazy, Norm, Plan, Product, Purpose, Step, View, Work};
use crate::network::graph::{Graph, NodeId, Operation, Shape};

/// Columns below which the registers of a product are half empty.
const FEW_COLUMNS: usize = 4;

/// Compiles `graph` for vectors of `lanes`.
pub fn compile(graph: &Arc<Graph>, purpose: Purpose, lanes: usize) -> Plan {
    let mut compiler = Compiler::new(graph, purpose, lanes);
    for node in 0..graph.nodes.len() {
        compiler.node(node);
    }
    compiler.finish()
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

    fn placed(&self, node: NodeId) -> View {
        let shape = self.graph.nodes[node].shape;
        let (buffer, first) = self.placement[node].expect("every node but batch norm, ReLU and two logits has a place");
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
        let passes_on = gradient && input != 0;
        Product {
            weight,
            bias,
            finish: Finish::default(),
            forward: Geometry::forward(from, to, window, lanes, group),
            correlation: gradient.then(|| Geometry::correlation(from, to, window, group)),
            backward: passes_on.then(|| Geometry::backward(from, to, window, lanes, group)),
            transposed: passes_on.then(|| Geometry::transposed(from, to, window, group)),
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
            two_classes: self.graph.has_two_class_logits(),
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
