//! The cost model: multiply-adds and bytes of one image's way through a graph. Times left, the size of passes and the
//! benchmark's shares of the machine's peak come from it.

use std::ops::{Add, Mul};

use super::graph::{Graph, Operation};

/// What some work costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Cost {
    /// Multiply-adds of convolutions and linear layers, beside which the rest is small.
    pub multiply_adds: u64,
    /// Bytes of activations read and written in single precision. A batch reads the weights, too, but once.
    pub bytes: u64,
}

impl Add for Cost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            multiply_adds: self.multiply_adds + other.multiply_adds,
            bytes: self.bytes + other.bytes,
        }
    }
}

impl Mul<u64> for Cost {
    type Output = Self;

    fn mul(self, times: u64) -> Self {
        Self {
            multiply_adds: self.multiply_adds * times,
            bytes: self.bytes * times,
        }
    }
}

/// One image's forward pass: what a point of a slice costs for each image, twice for training images under the policy
/// `recompute`.
pub fn forward(graph: &Graph) -> Cost {
    let nodes = graph.nodes.iter().map(|node| {
        let read: usize = node
            .inputs
            .iter()
            .map(|&input| graph.nodes[input].shape.iter().product::<usize>())
            .sum();
        let written: usize = node.shape.iter().product();
        Cost {
            multiply_adds: node_multiply_adds(graph, node),
            bytes: ((read + written) * size_of::<f32>()) as u64,
        }
    });
    nodes.fold(Cost::default(), Cost::add)
}

/// One image's share of a training step: the forward pass, the gradient with respect to the weights, and that with
/// respect to the activations, which the images do not need.
pub fn gradient(graph: &Graph) -> Cost {
    let forward = forward(graph);
    let first: u64 = graph
        .nodes
        .iter()
        .filter(|node| node.inputs.contains(&0))
        .map(|node| node_multiply_adds(graph, node))
        .sum();
    Cost {
        multiply_adds: 3 * forward.multiply_adds - first,
        bytes: 3 * forward.bytes,
    }
}

/// Multiply-adds of one image's forward pass.
pub fn multiply_adds(graph: &Graph) -> u64 {
    forward(graph).multiply_adds
}

fn node_multiply_adds(graph: &Graph, node: &super::graph::Node) -> u64 {
    let (Operation::Convolution { weight, .. } | Operation::Linear { weight, .. }) = node.operation else {
        return 0;
    };
    // Every weight is used once at every position of the result.
    let [_, height, width] = node.shape;
    graph.parameters[weight].size() as u64 * (height * width) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::zoo;

    #[test]
    fn published_counts() {
        // He et al. (2016) give no table for CIFAR; ResNet-20's 41 million and VGG-16's 313 million on 32×32 images are
        // what the usual counters print.
        for (model, millions) in [
            ("resnet20:shortcut=padding", 40.55),
            ("vgg16-bn:classifier=linear", 313.2),
        ] {
            let graph = zoo::build(model, [3, 32, 32], 10).unwrap();
            let count = multiply_adds(&graph) as f64 / 1e6;
            assert!((count - millions).abs() < 0.1, "{model}: {count}");
        }
    }

    #[test]
    fn a_small_network_by_hand() {
        let graph = zoo::build("mlp:5", [1, 2, 3], 4).unwrap();
        let forward = forward(&graph);
        assert_eq!(forward.multiply_adds, 6 * 5 + 5 * 4);
        // Images 6, then the hidden layer, its ReLU and the logits, each with what it reads.
        assert_eq!(forward.bytes, 4 * (6 + (6 + 5) + (5 + 5) + (5 + 4)));
        assert_eq!(gradient(&graph).multiply_adds, 3 * 50 - 30);
    }
}
