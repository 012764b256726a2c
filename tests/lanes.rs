//! The evaluator over the processor's vectors against Burn's tensors: every architecture, policy and instruction set,
//! loss and gradient, whatever the batches; the same bits on any number of threads; gradients image by image.

mod common;

use std::sync::Arc;

use proptest::prelude::*;
use valleyscope::data::{Dataset, Part};
use valleyscope::network::graph::Shape;
use valleyscope::network::{Graph, zoo};
use valleyscope::objective::{BatchNormPolicy, Compute, Evaluation, Objective, Solution};

/// Relative error allowed on a loss between two evaluators in single precision: sums of thousands of products in
/// another order, through up to a hundred layers.
const LOSS_TOLERANCE: f64 = 1e-5;

/// Error allowed on a gradient, as a share of its norm.
const GRADIENT_TOLERANCE: f64 = 2e-4;

/// The same with more than ten batch-norm layers whose statistics are taken from the few images here: a ReLU that
/// rounding puts on the other side of zero is carried through all layers before it. (PyTorch's own 32-bit gradients are
/// off by up to 2e-3 there, see the tests of the zoo, which check the same networks in double precision.)
const DEEP_GRADIENT_TOLERANCE: f64 = 5e-3;

/// Small members of every family of the zoo, on images whose sides are even, odd and different.
const NETWORKS: [(&str, Shape, usize); 18] = [
    ("resnet8:width=8", [3, 16, 16], 10),
    ("resnet8:width=6", [3, 9, 13], 3),
    ("resnet8:bn=off", [3, 16, 16], 10),
    ("resnet14:width=12:shortcut=padding", [1, 15, 16], 10),
    ("resnet8:shortcut=none", [3, 8, 8], 10),
    ("preresnet20", [3, 16, 16], 10),
    ("preresnet47", [3, 16, 16], 7),
    ("vgg11", [3, 32, 32], 10),
    ("vgg11-bn", [3, 32, 32], 10),
    ("vgg-small", [3, 32, 32], 2),
    ("densenet-bc-22", [3, 16, 16], 10),
    ("densenet-22", [3, 16, 16], 10),
    ("wrn-10-2", [3, 16, 16], 10),
    ("lenet", [1, 28, 28], 10),
    ("fnn", [1, 28, 28], 10),
    ("mlp:7x5", [1, 5, 7], 4),
    ("mlp:33", [3, 4, 4], 100),
    ("logistic", [2, 1, 1], 2),
];

fn objective(graph: &Arc<Graph>, data: &Arc<Dataset>, compute: Compute, batch_size: usize) -> Objective {
    Objective::new(graph.clone(), data.clone(), compute, batch_size).unwrap()
}

fn network(index: usize, images: (usize, usize)) -> (Arc<Graph>, Arc<Dataset>, Solution) {
    let (model, shape, classes) = NETWORKS[index];
    let graph = Arc::new(zoo::build(model, shape, classes).unwrap());
    let solution = common::solution(&graph, 1);
    (graph, Arc::new(common::dataset(shape, classes, images.0, images.1)), solution)
}

fn assert_close(what: &str, ours: &[f32], theirs: &[f32], tolerance: f64) {
    let norm = theirs.iter().map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt();
    let pairs = ours.iter().zip(theirs);
    let distance = pairs.map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum::<f64>().sqrt();
    assert!(distance <= tolerance * norm, "{what}: off by {distance} of {norm}");
}

#[test]
fn every_architecture_and_policy_agrees_with_tensors() {
    for index in 0..NETWORKS.len() {
        let (graph, data, solution) = network(index, (21, 10));
        let reference = objective(&graph, &data, Compute::flex(), 9);
        for compute in Compute::cpus() {
            let lanes = objective(&graph, &data, compute, 9);
            assert_eq!(lanes.device_name(), lanes.compute().name(), "{} is left to Burn", graph.name);
            for policy in BatchNormPolicy::ALL {
                let what = format!("{} {policy} {}", graph.name, lanes.device_name());
                let ours = lanes.evaluate(&solution.parameters, &solution.statistics, policy).unwrap();
                let theirs = reference.evaluate(&solution.parameters, &solution.statistics, policy).unwrap();
                for part in Part::BOTH {
                    let (a, b) = (ours[0].part(part), theirs[0].part(part));
                    assert!((a.loss - b.loss).abs() <= LOSS_TOLERANCE * b.loss, "{what}: {a:?} {b:?}");
                    assert_eq!(a.accuracy, b.accuracy, "{what}");
                }
                let (_, ours) = lanes.gradient(&solution, policy, Part::Train).unwrap();
                let (_, theirs) = reference.gradient(&solution, policy, Part::Train).unwrap();
                let deep = graph.batch_norm_layers.len() > 10 && policy != BatchNormPolicy::Running;
                let tolerance = if deep { DEEP_GRADIENT_TOLERANCE } else { GRADIENT_TOLERANCE };
                assert_close(&what, &ours, &theirs, tolerance);
            }
        }
    }
}
