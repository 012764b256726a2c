//! The scatter against products with the Hessians of single images, whether the first of them are kept or not.

use std::sync::Arc;

use super::*;
use crate::data::{Dataset, Part};
use crate::network::initialisation::initial_parameters;
use crate::network::zoo;
use crate::objective::{BatchNormPolicy, Compute, Objective, Solution};
use crate::random::{Purpose, Random};

/// Training images.
const IMAGES: usize = 60;
/// Bytes for the products of all images and for the blocks in the making: for all of them, and for none, so that the
/// products of one block are kept and one block is made at a time.
const BUDGETS: [(usize, usize); 4] = [(usize::MAX, usize::MAX), (0, usize::MAX), (usize::MAX, 0), (0, 0)];

/// Error allowed, as a share of Σ ‖Hᵢ·(Hᵢ·v − H̄·v)‖: a product of single precision is off by up to 1e-6 of its norm
/// (tests/lanes/products.rs). Two follow on each other here, whose vectors may be a few times as long as their
/// differences, and the sum is taken in another order.
const TOLERANCE: f64 = 2e-5;

fn place(model: &str, compute: Compute) -> (Objective, Solution) {
    let data = Arc::new(Dataset::open(&format!("builtin:train={IMAGES}:test=5:augment=off")).unwrap());
    let graph = Arc::new(zoo::build(model, data.shape, data.classes.len()).unwrap());
    let solution = Solution {
        parameters: initial_parameters(&graph, 3),
        statistics: graph.initial_statistics(),
    };
    (Objective::new(graph, data, compute, 16).unwrap(), solution)
}

fn derivatives<'a>(objective: &'a Objective, solution: &'a Solution, policy: BatchNormPolicy) -> Derivatives<'a> {
    Derivatives::new(objective, solution, policy, Part::Train, usize::MAX, &mut |_| true).unwrap()
}

fn vector(solution: &Solution) -> Vec<f32> {
    let mut random = Random::new(7, Purpose::TestData, 0);
    solution.parameters.iter().map(|_| random.normal()).collect()
}

/// So many images in no order; beyond all there are, the same again.
fn listed(count: usize) -> Vec<usize> {
    (0..count).map(|index| (7 * index + 3) % IMAGES).collect()
}

fn norm(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|value| value * value).sum::<f64>().sqrt()
}

/// Σ Hᵢ·(Hᵢ·v − H̄·v) from products of every image, and the sum of the norms of what is added up.
fn expected(derivatives: &Derivatives, images: &[usize], vector: &[f32]) -> (Vec<f64>, f64) {
    let (d, count) = (vector.len(), images.len());
    let products = |vectors: &[f32]| {
        let products = derivatives.image_hessian_vectors(images, vectors, &mut |_| true);
        products.unwrap()
    };
    let first = products(&vector.repeat(count));
    let mut mean = vec![0.0; d];
    for row in first.chunks(d) {
        for (mean, &entry) in mean.iter_mut().zip(row) {
            *mean += f64::from(entry) / count as f64;
        }
    }
    let deviations: Vec<f32> = first
        .chunks(d)
        .flat_map(|row| {
            row.iter()
                .zip(&mean)
                .map(|(&entry, mean)| (f64::from(entry) - mean) as f32)
        })
        .collect();
    let (mut sum, mut scale) = (vec![0.0; d], 0.0);
    for row in products(&deviations).chunks(d) {
        scale += norm(row.iter().map(|&entry| f64::from(entry)));
        for (sum, &entry) in sum.iter_mut().zip(row) {
            *sum += f64::from(entry);
        }
    }
    (sum, scale)
}

#[test]
fn it_is_the_sum_of_what_single_images_give() {
    // Blocks of eight and of sixteen images that they fill or not, and more than one group of blocks.
    for (model, counts) in [
        ("mlp:6x5", &[2, 16, 21, 37, 300][..]),
        ("lenet", &[5, 21, 32][..]),
        ("resnet8:width=2", &[5, 37][..]),
    ] {
        for compute in Compute::cpus() {
            let (objective, solution) = place(model, compute);
            let derivatives = derivatives(&objective, &solution, BatchNormPolicy::Running);
            let vector = vector(&solution);
            for &count in counts {
                let images = listed(count);
                let (expected, scale) = expected(&derivatives, &images, &vector);
                // What is added up does not cancel to nothing.
                assert!(norm(expected.iter().copied()) > 100.0 * TOLERANCE * scale);
                for budget in BUDGETS {
                    let found = derivatives.scatter_keeping(budget, &images, &vector, &mut |_| true);
                    let found = found.unwrap().unwrap();
                    let off = norm(found.iter().zip(&expected).map(|(found, expected)| found - expected));
                    let what = format!("{model}, {}, {count} images, {budget:?}", objective.device_name());
                    assert!(off <= TOLERANCE * scale, "{what}: off by {off} of {scale}");
                }
            }
        }
    }
}

#[test]
fn of_equal_images_nothing_is_left() {
    for model in ["mlp:6x5", "lenet"] {
        for compute in Compute::cpus() {
            let (objective, solution) = place(model, compute);
            let derivatives = derivatives(&objective, &solution, BatchNormPolicy::Running);
            let vector = vector(&solution);
            let images = [4; 37];
            let one = derivatives.image_hessian_vectors(&images[..1], &vector, &mut |_| true);
            assert!(one.unwrap().iter().any(|&entry| entry != 0.0));
            for budget in BUDGETS {
                let found = derivatives.scatter_keeping(budget, &images, &vector, &mut |_| true);
                // Every lane does the same, and a mean of equal numbers of single precision is exact in double.
                let found = found.unwrap().unwrap();
                assert!(found.iter().all(|&entry| entry == 0.0), "{model}, {budget:?}");
            }
        }
    }
}

#[test]
fn the_bits_do_not_depend_on_the_number_of_threads() {
    for model in ["mlp:6x5", "resnet8:width=2"] {
        let results: Vec<[Vec<u64>; 4]> = [1, 2, 3, 7]
            .into_iter()
            .map(|threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| {
                    let (objective, solution) = place(model, Compute::cpu());
                    let derivatives = derivatives(&objective, &solution, BatchNormPolicy::Running);
                    let (vector, images) = (vector(&solution), listed(55));
                    BUDGETS.map(|budget| {
                        let found = derivatives.scatter_keeping(budget, &images, &vector, &mut |_| true);
                        found.unwrap().unwrap().into_iter().map(f64::to_bits).collect()
                    })
                })
            })
            .collect();
        for other in &results[1..] {
            // Not by assert_eq, which would print thousands of numbers.
            assert!(results[0] == *other, "{model}");
        }
    }
}

#[test]
fn the_share_done_rises_to_one_and_it_stops_wherever_it_is_told_to() {
    let (objective, solution) = place("mlp:6x5", Compute::cpu());
    let derivatives = derivatives(&objective, &solution, BatchNormPolicy::Running);
    let (vector, images) = (vector(&solution), listed(37));
    // Two products an image; or those of one block, those of the others with what follows on each, and one more.
    let block = objective.fewest_images();
    let first = block as f64 / 111.0;
    let blocks = |per_image: usize, all: usize| {
        let ends = (1..=37_usize.div_ceil(block)).map(move |index| (index * block).min(37));
        ends.map(move |images| (per_image * images) as f64 / all as f64)
    };
    let by_block: Vec<f64> = blocks(1, 74).chain(blocks(1, 74).map(|share| 0.5 + share)).collect();
    let streamed = std::iter::once(first).chain(blocks(2, 111).map(|share| share.max(2.0 * first)));
    let streamed: Vec<f64> = streamed.chain([1.0]).collect();
    let told: [&[f64]; 4] = [&[0.5, 1.0], &[first, 74.0 / 111.0, 1.0], &by_block, &streamed];
    for (budget, told) in BUDGETS.into_iter().zip(told) {
        for stop in 1..=told.len() {
            let mut shares = Vec::new();
            let stopped = derivatives.scatter_keeping(budget, &images, &vector, &mut |share| {
                shares.push(share);
                shares.len() < stop
            });
            assert!(matches!(stopped, Err(Error::Cancelled)), "{budget:?}, {stop}");
            assert_eq!(shares.len(), stop);
            for (share, told) in shares.iter().zip(told) {
                assert!((share - told).abs() < 1e-12, "{budget:?}: {share} instead of {told}");
            }
        }
    }
}

#[test]
fn memory_is_kept_for_the_next_product_and_given_back() {
    let (objective, solution) = place("mlp:6x5", Compute::cpu());
    let derivatives = derivatives(&objective, &solution, BatchNormPolicy::Running);
    let (vector, images) = (vector(&solution), listed(37));
    let lanes = objective.fewest_images();
    // The blocks of all images, or one for each thread.
    let all = 37_usize.div_ceil(lanes);
    for (budget, blocks) in BUDGETS.into_iter().zip([all, 1, all, 1]) {
        let found = derivatives.scatter_keeping(budget, &images, &vector, &mut |_| true);
        assert!(found.unwrap().is_some());
        let held = objective.memory().unwrap();
        objective.release_gradients();
        let left = objective.memory().unwrap();
        let least = blocks * lanes * vector.len() * size_of::<f32>();
        assert!(held >= left + least, "{budget:?}: {held} {left} {least}");
    }
}

#[test]
fn what_has_no_scatter_is_explained() {
    let says = |part: &str, answer: Result<Option<Vec<f64>>>| {
        let text = answer.map_err(|error| error.to_string()).unwrap_err();
        assert!(text.contains(part), "`{text}` does not say `{part}`");
    };
    let (objective, solution) = place("resnet8:width=2", Compute::cpu());
    let running = derivatives(&objective, &solution, BatchNormPolicy::Running);
    let ask = |images: &[usize], vector: &[f32]| running.image_scatter_vector(images, vector, &mut |_| true);
    let vector = vector(&solution);
    says("no image 60 among the 60", ask(&[0, 60], &vector));
    says("given was one of", ask(&[0, 1], &vector[1..]));
    let mut endless = vector.clone();
    endless[3] = f32::INFINITY;
    says("a vector that holds inf", ask(&[0, 1], &endless));
    assert_eq!(ask(&[], &vector).unwrap(), Some(vec![0.0; vector.len()]));
    let by_batch = derivatives(&objective, &solution, BatchNormPolicy::Batch);
    let answer = by_batch.image_scatter_vector(&[0, 1], &vector, &mut |_| true);
    says("no loss of its own", answer);

    let mut far = solution.clone();
    far.parameters.iter_mut().for_each(|weight| *weight *= 1e30);
    let far = derivatives(&objective, &far, BatchNormPolicy::Running);
    for budget in BUDGETS {
        let answer = far.scatter_keeping(budget, &listed(37), &vector, &mut |_| true);
        says("at a diverged point", answer);
    }

    let (objective, solution) = place("mlp:6x5", Compute::flex());
    let tensors = derivatives(&objective, &solution, BatchNormPolicy::Running);
    let answer = tensors.image_scatter_vector(&[0, 1], &solution.parameters, &mut |_| true);
    assert!(answer.unwrap().is_none());
}
