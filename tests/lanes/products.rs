//! Products with the Hessian and the Gauss–Newton matrix, of batches and of single images, over the processor's vectors
//! against Burn's tensors, which are checked against PyTorch (tests/hessians.rs).

use std::sync::Arc;

use proptest::prelude::*;
use valleyscope::data::{Dataset, Part};
use valleyscope::error::Error;
use valleyscope::experiment::hashed;
use valleyscope::network::Graph;
use valleyscope::objective::{BatchNormPolicy, Compute, Objective, Solution};

use super::{NETWORKS, assert_close, network, objective, tangled};

/// Error allowed on a product, as a share of its norm: in PyTorch's 32 bits the products of these networks, of a batch
/// or of one image, are off by up to 1e-6, and never by more than two and a half times what its gradients are.
const TOLERANCE: f64 = 2e-5;

/// The same where a ReLU flips (see `FLIPPED_GRADIENT_TOLERANCE`): PyTorch's 32-bit products are then off by up to
/// 5e-3, three times as much as its gradients.
const FLIPPED_TOLERANCE: f64 = 3e-2;

/// More parameters are too many for a copy in every lane.
const MOST_PARAMETERS: usize = 2_000_000;

const CONSTANT: [BatchNormPolicy; 2] = [BatchNormPolicy::Running, BatchNormPolicy::Recompute];

fn tolerance(graph: &Graph, policy: BatchNormPolicy) -> f64 {
    if graph.batch_norm_layers.len() > 5 && policy != BatchNormPolicy::Running {
        FLIPPED_TOLERANCE
    } else {
        TOLERANCE
    }
}

/// A vector of parameter space, each layer's entries of the size of its weights.
fn vector(graph: &Graph, seed: u64) -> Vec<f32> {
    hashed::solution(graph, seed).parameters
}

fn hessian(objective: &Objective, solution: &Solution, vector: &[f32], policy: BatchNormPolicy) -> Vec<f32> {
    objective
        .hessian_vector(solution, vector, policy, Part::Train, usize::MAX)
        .unwrap()
}

fn gauss_newton(objective: &Objective, solution: &Solution, vector: &[f32], policy: BatchNormPolicy) -> Vec<f32> {
    objective
        .gauss_newton_vector(solution, vector, policy, Part::Train, usize::MAX)
        .unwrap()
}

fn of_images(objective: &Objective, solution: &Solution, images: &[usize], vectors: &[f32]) -> Vec<f32> {
    objective
        .image_hessian_vectors(solution, Part::Train, images, vectors)
        .unwrap()
}

fn mean_of_rows(rows: &[f32], length: usize) -> Vec<f32> {
    let count = (rows.len() / length) as f64;
    let column = |i: usize| rows[i..].iter().step_by(length).map(|&x| f64::from(x)).sum::<f64>();
    (0..length).map(|i| (column(i) / count) as f32).collect()
}

#[test]
fn every_architecture_agrees_with_tensors() {
    for index in 0..NETWORKS.len() {
        let (graph, data, solution) = network(index, (21, 1));
        let reference = objective(&graph, &data, Compute::flex(), 9);
        let vector = vector(&graph, 3);
        for policy in CONSTANT {
            let hv = hessian(&reference, &solution, &vector, policy);
            let gv = gauss_newton(&reference, &solution, &vector, policy);
            let (loss, slope) = reference
                .slope(&solution, &vector, policy, Part::Train, usize::MAX)
                .unwrap();
            for compute in Compute::cpus() {
                let lanes = objective(&graph, &data, compute, 9);
                let what = format!("{} {policy} {}", graph.name, lanes.device_name());
                let tolerance = tolerance(&graph, policy);
                let ours = hessian(&lanes, &solution, &vector, policy);
                assert_close(&format!("{what}: Hv"), &ours, &hv, tolerance);
                let ours = gauss_newton(&lanes, &solution, &vector, policy);
                assert_close(&format!("{what}: Gv"), &ours, &gv, tolerance);
                let (our_loss, our_slope) = lanes
                    .slope(&solution, &vector, policy, Part::Train, usize::MAX)
                    .unwrap();
                assert!((our_loss - loss).abs() <= 1e-5 * loss, "{what}: {our_loss} {loss}");
                // The slopes of single images are of the size of 1, and may cancel.
                let allowed = tolerance * slope.abs().max(1.0);
                assert!((our_slope - slope).abs() <= allowed, "{what}: {our_slope} {slope}");
            }
        }
    }
}

#[test]
fn products_of_images_are_their_own_and_average_to_that_of_the_batch() {
    let policy = BatchNormPolicy::Running;
    for index in 0..NETWORKS.len() {
        let (graph, data, solution) = network(index, (21, 1));
        let d = graph.parameter_count();
        if d > MOST_PARAMETERS {
            continue;
        }
        let reference = objective(&graph, &data, Compute::flex(), 21);
        let shared = vector(&graph, 3);
        // In no order, one of them twice, in blocks of eight and of sixteen that they do not fill.
        let images: Vec<usize> = (0..21).rev().chain([4]).collect();
        let own: Vec<f32> = (0..images.len() as u64).flat_map(|i| vector(&graph, 10 + i)).collect();
        let some = [0, 1, 19, 21];
        let picked: Vec<usize> = some.iter().map(|&row| images[row]).collect();
        let picked_own: Vec<f32> = some
            .iter()
            .flat_map(|&row| own[row * d..(row + 1) * d].to_vec())
            .collect();
        let expected = of_images(&reference, &solution, &picked, &shared);
        let expected_own = of_images(&reference, &solution, &picked, &picked_own);
        let whole = hessian(&reference, &solution, &shared, policy);
        for compute in Compute::cpus() {
            let lanes = objective(&graph, &data, compute, 21);
            let what = format!("{} {}", graph.name, lanes.device_name());
            let ours = of_images(&lanes, &solution, &images, &shared);
            let ours_own = of_images(&lanes, &solution, &images, &own);
            assert_eq!([ours.len(), ours_own.len()], [22 * d; 2], "{what}");
            for (number, &row) in some.iter().enumerate() {
                let (row, number) = (row * d..(row + 1) * d, number * d..(number + 1) * d);
                let what = format!("{what}, entries {row:?}");
                assert_close(&what, &ours[row.clone()], &expected[number.clone()], TOLERANCE);
                let what = format!("{what}, a vector each");
                assert_close(&what, &ours_own[row], &expected_own[number], TOLERANCE);
            }
            // All images once: without the one that is there twice.
            assert_close(&what, &mean_of_rows(&ours[..21 * d], d), &whole, TOLERANCE);
            // One image alone, whose one vector is both.
            let alone = of_images(&lanes, &solution, &images[..1], &shared);
            assert_close(&what, &alone, &ours[..d], TOLERANCE);
        }
    }
}

#[test]
fn tensors_average_too() {
    let (graph, data, solution) = network(14, (21, 1));
    let reference = objective(&graph, &data, Compute::flex(), 9);
    let (vector, images) = (vector(&graph, 3), (0..21).collect::<Vec<usize>>());
    let each = of_images(&reference, &solution, &images, &vector);
    let whole = hessian(&reference, &solution, &vector, BatchNormPolicy::Running);
    assert_close("tensors", &mean_of_rows(&each, vector.len()), &whole, TOLERANCE);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever the number of images and of images a batch: blocks and groups end where they like.
    #[test]
    fn ragged_batches(
        index in prop::sample::select(vec![0_usize, 1, 2, 4, 8, 10, 12, 14, 15, 16, 17]),
        images in 1_usize..70,
        batch_size in 1_usize..50,
        seed in 3_u64..9,
    ) {
        let (graph, data, solution) = network(index, (images, 1));
        let vector = vector(&graph, seed);
        let product = |compute: Compute| {
            let objective = objective(&graph, &data, compute, batch_size);
            hessian(&objective, &solution, &vector, BatchNormPolicy::Running)
        };
        assert_close(&graph.name, &product(Compute::cpu()), &product(Compute::flex()), TOLERANCE);
    }
}

#[test]
fn the_bits_do_not_depend_on_the_number_of_threads() {
    for index in [0, 5, 9, 12, 15] {
        let (graph, data, solution) = network(index, (75, 1));
        let shared = vector(&graph, 3);
        let images: Vec<usize> = (0..20).collect();
        let own: Vec<f32> = (0..20).flat_map(|i| vector(&graph, 10 + i)).collect();
        let results: Vec<[Vec<u32>; 4]> = [1, 2, 3, 7]
            .into_iter()
            .map(|threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| {
                    let objective = objective(&graph, &data, Compute::cpu(), 40);
                    let policy = BatchNormPolicy::Recompute;
                    let products = [
                        hessian(&objective, &solution, &shared, policy),
                        gauss_newton(&objective, &solution, &shared, policy),
                        of_images(&objective, &solution, &images, &shared),
                        of_images(&objective, &solution, &images, &own),
                    ];
                    products.map(|values| values.into_iter().map(f32::to_bits).collect())
                })
            })
            .collect();
        for other in &results[1..] {
            // Not by assert_eq, which would print millions of numbers.
            assert!(results[0] == *other, "{}", graph.name);
        }
    }
}

#[test]
fn any_graph_agrees_with_tensors() {
    let graph = Arc::new(tangled());
    let data = Arc::new(hashed::dataset([3, 11, 13], 4, 45, 1));
    let solution = hashed::solution(&graph, 1);
    let reference = objective(&graph, &data, Compute::flex(), 30);
    let (d, shared) = (graph.parameter_count(), vector(&graph, 3));
    let images = [44, 7, 20];
    let own: Vec<f32> = (0..3).flat_map(|i| vector(&graph, 10 + i)).collect();
    let policy = BatchNormPolicy::Running;
    let products = |objective: &Objective| {
        let mut all = vec![
            ("Hv".to_owned(), hessian(objective, &solution, &shared, policy)),
            ("Gv".to_owned(), gauss_newton(objective, &solution, &shared, policy)),
        ];
        for (what, vectors) in [("one vector", &shared), ("a vector each", &own)] {
            let each = of_images(objective, &solution, &images, vectors);
            let rows = each.chunks(d).zip(images);
            all.extend(rows.map(|(row, image)| (format!("image {image}, {what}"), row.to_vec())));
        }
        all
    };
    let expected = products(&reference);
    for compute in Compute::cpus() {
        let lanes = objective(&graph, &data, compute, 30);
        assert_eq!(lanes.device_name(), lanes.compute().name());
        for ((what, ours), (_, theirs)) in products(&lanes).iter().zip(&expected) {
            // Every layer on its own, small ones too.
            let scale = theirs.iter().fold(0.0_f32, |m, g| m.max(g.abs()));
            for parameter in &graph.parameters {
                let pairs = ours[parameter.range()].iter().zip(&theirs[parameter.range()]);
                let worst = pairs.fold(0.0_f32, |m, (a, b)| m.max((a - b).abs()));
                assert!(
                    worst <= 1e-4 * scale,
                    "{what}, {}: off by {worst} of {scale}",
                    parameter.name
                );
            }
        }
    }
}

#[test]
fn what_has_no_product_is_explained() {
    let (graph, data, solution) = network(14, (5, 1));
    let vector = vector(&graph, 3);
    for compute in [Compute::flex(), Compute::cpu()] {
        let objective = objective(&graph, &data, compute, 5);
        let ask = |solution: &Solution, images: &[usize], vectors: &[f32]| {
            objective.image_hessian_vectors(solution, Part::Train, images, vectors)
        };
        let says = |part: &str, answer: Result<Vec<f32>, Error>| {
            let text = answer.map_err(|error| error.to_string()).unwrap_err();
            assert!(text.contains(part), "`{text}` does not say `{part}`");
        };
        says(
            "one for all or one for each of 3 images",
            ask(&solution, &[0, 1, 2], &vector.repeat(2)),
        );
        says("no image 5 among the 5", ask(&solution, &[0, 5], &vector));
        let mut endless = vector.clone();
        endless[3] = f32::NAN;
        says("a vector that holds NaN", ask(&solution, &[0], &endless));
        assert!(ask(&solution, &[], &vector).unwrap().is_empty());
        let mut far = solution.clone();
        far.parameters.iter_mut().for_each(|w| *w *= 1e30);
        says("at a diverged point", ask(&far, &[0, 1], &vector));
        let policy = BatchNormPolicy::Running;
        let product = objective.hessian_vector(&far, &vector, policy, Part::Train, 5);
        says("at a diverged point", product);
        let (loss, slope) = objective.slope(&far, &vector, policy, Part::Train, 5).unwrap();
        assert!(!loss.is_finite() && !slope.is_finite(), "{loss} {slope}");
        far.parameters[1] = f32::INFINITY;
        says("`fc1.weight` holds inf", ask(&far, &[0], &vector));
    }
}

#[test]
fn other_images_than_the_first_can_be_asked_for_in_either_split() {
    let (graph, data, solution) = network(12, (3, 21));
    let vector = vector(&graph, 3);
    let objective = objective(&graph, &data, Compute::cpu(), 8);
    let swapped = Arc::new(Dataset {
        train: data.test.clone(),
        test: data.train.clone(),
        ..(*data).clone()
    });
    let other = super::objective(&graph, &swapped, Compute::cpu(), 8);
    let images = [20, 11];
    let ours = objective.image_hessian_vectors(&solution, Part::Test, &images, &vector);
    assert_eq!(ours.unwrap(), of_images(&other, &solution, &images, &vector));
}
