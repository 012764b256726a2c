//! What a forward pass costs.

use super::graph::{Graph, Operation};

/// Multiply-adds of one image's forward pass: those of convolutions and linear layers, beside which the rest is small.
pub fn multiply_adds(graph: &Graph) -> u64 {
    graph
        .nodes
        .iter()
        .map(|node| {
            let weight = match node.operation {
                Operation::Convolution { weight, .. } | Operation::Linear { weight, .. } => weight,
                _ => return 0,
            };
            // Every weight is used once at every position of the result.
            let [_, height, width] = node.shape;
            graph.parameters[weight].size() as u64 * (height * width) as u64
        })
        .sum()
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
}
