//! The evaluator over the processor's vectors against Burn's tensors: every architecture, policy and instruction set,
//! loss and gradient, whatever the batches; the same bits on any number of threads; gradients image by image. Products
//! with second derivatives are in tests/lanes/products.rs.

#[path = "lanes/products.rs"]
mod products;

use std::sync::Arc;

use proptest::prelude::*;
use valleyscope::data::{Dataset, Part};
use valleyscope::experiment::hashed;
use valleyscope::network::graph::{Builder, Shape};
use valleyscope::network::{Graph, zoo};
use valleyscope::objective::{BatchNormPolicy, Compute, Measurement, Objective, Solution};

/// Relative error allowed on a loss between two evaluators in single precision: sums of thousands of products in
/// another order, through up to a hundred layers.
const LOSS_TOLERANCE: f64 = 1e-5;

/// Error allowed on a gradient, as a share of its norm.
const GRADIENT_TOLERANCE: f64 = 1e-5;

/// The same with more than five batch-norm layers whose statistics are taken from the nine images of a batch here: a
/// ReLU that rounding puts on the other side of zero is carried through all layers before it. Without such a flip these
/// networks, too, agree to 1e-6; PyTorch's own 32-bit gradients are off by up to 2e-3 (see the tests of the zoo, which
/// check the structure in double precision).
const FLIPPED_GRADIENT_TOLERANCE: f64 = 1e-2;

/// Small members of every family of the zoo, on images whose sides are even, odd and different.
const NETWORKS: [(&str, Shape, usize); 19] = [
    ("resnet8:width=8", [3, 16, 16], 10),
    ("resnet8:width=6", [3, 9, 13], 3),
    ("resnet8:bn=off", [3, 16, 16], 10),
    ("resnet14:width=12:shortcut=padding", [1, 15, 16], 10),
    ("resnet8:shortcut=none", [3, 8, 8], 10),
    ("preresnet20", [3, 16, 16], 10),
    ("preresnet47", [3, 16, 16], 7),
    ("vgg11-bn", [3, 32, 32], 10),
    ("vgg-small", [3, 32, 32], 2),
    ("densenet-bc-22", [3, 16, 16], 10),
    ("densenet-22", [3, 16, 16], 10),
    ("wrn-10-2", [3, 16, 16], 10),
    ("lenet", [1, 28, 28], 10),
    ("fnn", [1, 28, 28], 10),
    ("mlp:7x5", [1, 5, 7], 4),
    ("mlp:33", [3, 4, 4], 100),
    ("logistic", [1, 1, 1], 2),
    ("mlp:7x5:loss=squared-error", [1, 5, 7], 4),
    ("resnet8:width=8:loss=squared-error", [3, 16, 16], 10),
];

fn objective(graph: &Arc<Graph>, data: &Arc<Dataset>, compute: Compute, batch_size: usize) -> Objective {
    Objective::new(graph.clone(), data.clone(), compute, batch_size).unwrap()
}

fn network(index: usize, images: (usize, usize)) -> (Arc<Graph>, Arc<Dataset>, Solution) {
    let (model, shape, classes) = NETWORKS[index];
    let graph = Arc::new(zoo::build(model, shape, classes).unwrap());
    let solution = hashed::solution(&graph, 1);
    (
        graph,
        Arc::new(hashed::dataset(shape, classes, images.0, images.1)),
        solution,
    )
}

fn assert_close(what: &str, ours: &[f32], theirs: &[f32], tolerance: f64) {
    let norm = theirs.iter().map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt();
    let pairs = ours.iter().zip(theirs);
    let distance = pairs
        .map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2))
        .sum::<f64>()
        .sqrt();
    assert!(distance <= tolerance * norm, "{what}: off by {distance} of {norm}");
}

fn tolerance(graph: &Graph, policy: BatchNormPolicy) -> f64 {
    if graph.batch_norm_layers.len() > 5 && policy != BatchNormPolicy::Running {
        FLIPPED_GRADIENT_TOLERANCE
    } else {
        GRADIENT_TOLERANCE
    }
}

#[test]
fn every_architecture_and_policy_agrees_with_tensors() {
    for index in 0..NETWORKS.len() {
        let (graph, data, solution) = network(index, (21, 10));
        let reference = objective(&graph, &data, Compute::flex(), 9);
        for compute in Compute::cpus() {
            let lanes = objective(&graph, &data, compute, 9);
            assert_eq!(
                lanes.device_name(),
                lanes.compute().name(),
                "{} is left to Burn",
                graph.name
            );
            for policy in BatchNormPolicy::ALL {
                let what = format!("{} {policy} {}", graph.name, lanes.device_name());
                let ours = lanes
                    .evaluate(&solution.parameters, &solution.statistics, policy)
                    .unwrap();
                let theirs = reference
                    .evaluate(&solution.parameters, &solution.statistics, policy)
                    .unwrap();
                for part in Part::BOTH {
                    let (a, b) = (ours[0].part(part), theirs[0].part(part));
                    assert!(
                        (a.loss - b.loss).abs() <= LOSS_TOLERANCE * b.loss,
                        "{what}: {a:?} {b:?}"
                    );
                    assert_eq!(a.accuracy, b.accuracy, "{what}");
                }
                let (_, ours) = lanes.gradient(&solution, policy, Part::Train).unwrap();
                let (_, theirs) = reference.gradient(&solution, policy, Part::Train).unwrap();
                assert_close(&what, &ours, &theirs, tolerance(&graph, policy));
            }
        }
    }
}

fn evaluate(objective: &Objective, points: &[f32], statistics: &[f32], policy: BatchNormPolicy) -> Vec<Measurement> {
    objective.evaluate(points, statistics, policy).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Whatever the number of images, of images a batch (blocks and batches end where they like) and of points.
    #[test]
    fn ragged_batches_and_any_number_of_points(
        index in prop::sample::select(vec![0_usize, 1, 2, 4, 8, 10, 14, 15, 16]),
        images in 2_usize..100,
        test_images in 1_usize..20,
        batch_size in 2_usize..50,
        points in 1_usize..6,
        policy in prop::sample::select(BatchNormPolicy::ALL.to_vec()),
    ) {
        let (graph, data, solution) = network(index, (images, test_images));
        let reference = objective(&graph, &data, Compute::flex(), batch_size);
        let lanes = objective(&graph, &data, Compute::cpu(), batch_size);
        let values: Vec<f32> = (1..=points as u64).flat_map(|seed| hashed::solution(&graph, seed).parameters).collect();
        let theirs = reference.evaluate(&values, &solution.statistics, policy);
        let ours = lanes.evaluate(&values, &solution.statistics, policy);
        match (ours, theirs) {
            (Ok(ours), Ok(theirs)) => {
                prop_assert_eq!(ours.len(), points);
                for (a, b) in ours.iter().zip(&theirs) {
                    for part in Part::BOTH {
                        let (a, b) = (a.part(part), b.part(part));
                        prop_assert!((a.loss - b.loss).abs() <= 1e-4 * b.loss, "{:?} {:?}", a, b);
                    }
                }
                let (_, ours) = lanes.gradient(&solution, policy, Part::Train).unwrap();
                let (_, theirs) = reference.gradient(&solution, policy, Part::Train).unwrap();
                assert_close(&graph.name, &ours, &theirs, tolerance(&graph, policy));
            }
            // A last batch of one image has no variance: both must say so.
            (ours, theirs) => prop_assert!(ours.is_err() && theirs.is_err(), "{:?} {:?}", ours, theirs),
        }
    }
}

#[test]
fn the_bits_do_not_depend_on_the_number_of_threads() {
    for index in [0, 5, 9, 13] {
        let (graph, data, solution) = network(index, (75, 20));
        let points: Vec<f32> = (1..4)
            .flat_map(|seed| hashed::solution(&graph, seed).parameters)
            .collect();
        let results: Vec<_> = [1, 2, 3, 7]
            .into_iter()
            .map(|threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| {
                    let objective = objective(&graph, &data, Compute::cpu(), 40);
                    BatchNormPolicy::ALL.map(|policy| {
                        let losses = evaluate(&objective, &points, &solution.statistics, policy);
                        let (loss, gradient) = objective.gradient(&solution, policy, Part::Train).unwrap();
                        let gradient: Vec<u32> = gradient.into_iter().map(f32::to_bits).collect();
                        (losses, loss.to_bits(), gradient)
                    })
                })
            })
            .collect();
        for other in &results[1..] {
            assert_eq!(results[0], *other, "{}", graph.name);
        }
    }
}

#[test]
fn gradients_image_by_image_average_to_the_gradient() {
    for index in [0, 2, 8, 9, 12, 14, 16] {
        let (graph, data, solution) = network(index, (21, 1));
        for compute in Compute::cpus() {
            let lanes = objective(&graph, &data, compute, 21);
            let d = graph.parameter_count();
            let each = lanes.image_gradients(&solution, Part::Train, 0..21).unwrap();
            assert_eq!(each.len(), 21 * d);
            let mean: Vec<f32> = (0..d)
                .map(|i| (each[i..].iter().step_by(d).map(|&g| f64::from(g)).sum::<f64>() / 21.0) as f32)
                .collect();
            let (_, gradient) = lanes
                .gradient(&solution, BatchNormPolicy::Running, Part::Train)
                .unwrap();
            assert_close(&graph.name, &mean, &gradient, 1e-5);
            // And each is that image's own, as tensors find it alone.
            let reference = objective(&graph, &data, Compute::flex(), 21);
            let alone = reference.image_gradients(&solution, Part::Train, 17..20).unwrap();
            for (image, alone) in alone.chunks(d).enumerate() {
                let ours = &each[(17 + image) * d..(18 + image) * d];
                assert_close(
                    &format!("{}, image {image}", graph.name),
                    ours,
                    alone,
                    GRADIENT_TOLERANCE,
                );
            }
        }
    }
}

#[test]
fn what_is_not_finite_stays_so() {
    let (graph, data, solution) = network(0, (10, 5));
    for compute in Compute::cpus() {
        let lanes = objective(&graph, &data, compute, 10);
        // The first convolution, the last linear layer, and a batch-norm scale, which ReLU must not hide.
        for parameter in ["conv1.weight", "bn1.weight", "layer2.0.bn1.bias", "linear.weight"] {
            let row = graph.parameters.iter().find(|p| p.name == parameter).unwrap();
            for value in [f32::NAN, f32::INFINITY] {
                let mut solution = solution.clone();
                solution.parameters[row.offset] = value;
                let measured = evaluate(
                    &lanes,
                    &solution.parameters,
                    &solution.statistics,
                    BatchNormPolicy::Batch,
                );
                assert!(
                    !measured[0].train.loss.is_finite(),
                    "{parameter} = {value}: {measured:?}"
                );
            }
        }
    }
}

#[test]
fn activations_beyond_memory_are_left_to_tensors() {
    let graph = Arc::new(zoo::build("resnet8:width=64", [3, 512, 512], 10).unwrap());
    let data = Arc::new(hashed::dataset([3, 512, 512], 10, 1, 1));
    let objective = objective(&graph, &data, Compute::cpu(), 1);
    assert_eq!(objective.device_name(), Compute::flex().name());
    assert!(
        objective.fallback().unwrap().contains("MiB"),
        "{:?}",
        objective.fallback()
    );
}

/// A network that no family of the zoo draws: batch norm after batch norm and after ReLU, a node read bare and through
/// batch norm, with and without ReLU, sums whose second part is written later, pooling and concatenation of what is
/// still to be normalised, kernels of 5 and 2 with and without padding, and sides that no stride divides.
fn tangled() -> Graph {
    let mut b = Builder::new("tangled", [3, 11, 13]);
    let stem = b.convolution(b.input(), "stem", 9, 5, 2, 2, true).unwrap();
    let norm = b.batch_norm(stem, "norm");
    let active = b.relu(norm);
    let twice = b.batch_norm(norm, "twice");
    let after = b.batch_norm(active, "after");
    let left = b.convolution(after, "left", 9, 3, 1, 1, false).unwrap();
    let right = b.convolution(twice, "right", 9, 3, 1, 1, true).unwrap();
    let rectified = b.relu(right);
    let sum = b.add(left, rectified);
    let other = b.add(right, norm);
    let joined = b.concatenate(sum, active);
    let joined = b.concatenate(joined, other);
    let norm = b.batch_norm(joined, "joined");
    let active = b.relu(norm);
    let pooled = b.max_pool(active, 2).unwrap();
    let halved = b.padded_subsample(norm, 1);
    let small = b.convolution(pooled, "small", 5, 2, 1, 0, true).unwrap();
    let wide = b.convolution(halved, "wide", 5, 3, 2, 4, false).unwrap();
    let wide = b.average_pool(wide, 2).unwrap();
    let strided = b.convolution(small, "strided", 4, 1, 2, 0, false).unwrap();
    let first = b.global_average_pool(strided);
    let second = b.global_average_pool(wide);
    let all = b.concatenate(first, second);
    let hidden = b.linear(all, "hidden", 6);
    let hidden = b.batch_norm(hidden, "last");
    let hidden = b.relu(hidden);
    b.linear(hidden, "out", 4);
    b.finish()
}

#[test]
fn any_graph_agrees_with_tensors() {
    let graph = Arc::new(tangled());
    let data = Arc::new(hashed::dataset([3, 11, 13], 4, 45, 20));
    let solution = hashed::solution(&graph, 1);
    let reference = objective(&graph, &data, Compute::flex(), 30);
    for compute in Compute::cpus() {
        let lanes = objective(&graph, &data, compute, 30);
        assert_eq!(lanes.device_name(), lanes.compute().name());
        for policy in BatchNormPolicy::ALL {
            let ours = evaluate(&lanes, &solution.parameters, &solution.statistics, policy);
            let theirs = evaluate(&reference, &solution.parameters, &solution.statistics, policy);
            let (a, b) = (ours[0].test.loss, theirs[0].test.loss);
            assert!((a - b).abs() <= LOSS_TOLERANCE * b, "{policy}: {a} {b}");
            let (_, ours) = lanes.gradient(&solution, policy, Part::Train).unwrap();
            let (_, theirs) = reference.gradient(&solution, policy, Part::Train).unwrap();
            for parameter in &graph.parameters {
                let what = format!("{policy} {}", parameter.name);
                let range = parameter.range();
                let scale = theirs.iter().fold(0.0_f32, |m, g| m.max(g.abs()));
                let pairs = ours[range.clone()].iter().zip(&theirs[range]);
                let worst = pairs.fold(0.0_f32, |m, (a, b)| m.max((a - b).abs()));
                assert!(worst <= 1e-4 * scale, "{what}: off by {worst} of {scale}");
            }
        }
    }
}

#[test]
fn graphs_without_a_plan_are_left_to_tensors() {
    let drawn = |draw: &dyn Fn(&mut Builder)| {
        let mut b = Builder::new("drawn", [2, 8, 8]);
        draw(&mut b);
        let graph = Arc::new(b.finish());
        let data = Arc::new(hashed::dataset([2, 8, 8], 3, 4, 4));
        let objective = objective(&graph, &data, Compute::cpu(), 4);
        let solution = hashed::solution(&graph, 1);
        evaluate(
            &objective,
            &solution.parameters,
            &solution.statistics,
            BatchNormPolicy::Running,
        );
        objective.device_name().to_owned()
    };
    let flex = Compute::flex();
    let images_normalised = drawn(&|b| {
        let norm = b.batch_norm(b.input(), "norm");
        b.linear(norm, "out", 3);
    });
    let written_before_what_is_read = drawn(&|b| {
        let first = b.convolution(b.input(), "first", 2, 3, 1, 1, false).unwrap();
        let second = b.convolution(first, "second", 2, 3, 1, 1, false).unwrap();
        let joined = b.concatenate(second, first);
        b.linear(joined, "out", 3);
    });
    assert_eq!(
        [images_normalised, written_before_what_is_read],
        [flex.name(), flex.name()]
    );
}
