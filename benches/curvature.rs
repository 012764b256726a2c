//! What second derivatives cost beside a gradient: the slope along a direction, a Hessian-vector product and a
//! Gauss–Newton product over two batches of 128 images of the built-in data, on the processor's vectors and on Burn's
//! tensors; and single images' gradients and Hessian-vector products.
//!
//!     cargo bench --bench curvature
//!
//! A product should cost at most three gradients. On the processor's vectors it takes 8/3 of a gradient's
//! multiply-adds, a Gauss–Newton product 5/3, and a slope as many as a gradient. Under the policy `batch` all three are
//! left to tensors.

use std::sync::Arc;

use divan::Bencher;
use valleyscope::data::{Dataset, Part};
use valleyscope::experiment::hashed;
use valleyscope::network::zoo;
use valleyscope::objective::{BatchNormPolicy, Compute, DeviceChoice, Objective, Solution};

const DATA: &str = "builtin:train=256:test=128";

/// Network, policy, and what computes.
type Case = (&'static str, BatchNormPolicy, DeviceChoice);

const CASES: [Case; 7] = [
    ("mlp:500x500x500", BatchNormPolicy::Running, DeviceChoice::Cpu),
    ("mlp:500x500x500", BatchNormPolicy::Running, DeviceChoice::Flex),
    ("lenet", BatchNormPolicy::Running, DeviceChoice::Cpu),
    ("lenet", BatchNormPolicy::Running, DeviceChoice::Flex),
    ("resnet8:width=8", BatchNormPolicy::Running, DeviceChoice::Cpu),
    ("resnet8:width=8", BatchNormPolicy::Running, DeviceChoice::Flex),
    ("resnet8:width=8", BatchNormPolicy::Batch, DeviceChoice::Flex),
];

/// Networks of which single images are asked for, on the processor's vectors.
const NETWORKS: [&str; 3] = ["mlp:500x500x500", "lenet", "resnet8:width=8"];
/// So many of them.
const IMAGES: usize = 64;

fn main() {
    divan::main();
}

/// The objective, a point, and a vector.
fn open(model: &str, device: DeviceChoice) -> (Objective, Solution, Vec<f32>) {
    let data = Arc::new(Dataset::open(DATA).expect("the built-in data"));
    let graph = Arc::new(zoo::build(model, data.shape, data.classes.len()).expect("a model of the zoo"));
    let (solution, vector) = (hashed::solution(&graph, 1), hashed::solution(&graph, 2).parameters);
    let compute = Compute::open(device).expect("a CPU");
    let objective = Objective::new(graph, data, compute, 128).expect("they fit");
    (objective, solution, vector)
}

#[divan::bench(args = CASES, sample_count = 20, max_time = 5)]
fn gradient(bencher: Bencher, (model, policy, device): Case) {
    let (objective, solution, _) = open(model, device);
    bencher.bench_local(|| objective.gradient(&solution, policy, Part::Train));
}

#[divan::bench(args = CASES, sample_count = 20, max_time = 5)]
fn slope(bencher: Bencher, (model, policy, device): Case) {
    let (objective, solution, vector) = open(model, device);
    bencher.bench_local(|| objective.slope(&solution, &vector, policy, Part::Train, usize::MAX));
}

#[divan::bench(args = CASES, sample_count = 20, max_time = 5)]
fn hessian_vector(bencher: Bencher, (model, policy, device): Case) {
    let (objective, solution, vector) = open(model, device);
    bencher.bench_local(|| objective.hessian_vector(&solution, &vector, policy, Part::Train, usize::MAX));
}

#[divan::bench(args = CASES, sample_count = 20, max_time = 5)]
fn gauss_newton_vector(bencher: Bencher, (model, policy, device): Case) {
    let (objective, solution, vector) = open(model, device);
    bencher.bench_local(|| objective.gauss_newton_vector(&solution, &vector, policy, Part::Train, usize::MAX));
}

#[divan::bench(args = NETWORKS, sample_count = 20, max_time = 5)]
fn image_gradients(bencher: Bencher, model: &str) {
    let (objective, solution, _) = open(model, DeviceChoice::Cpu);
    bencher.bench_local(|| objective.image_gradients(&solution, Part::Train, 0..IMAGES));
}

/// One vector for all images.
#[divan::bench(args = NETWORKS, sample_count = 20, max_time = 5)]
fn image_hessian_vectors(bencher: Bencher, model: &str) {
    let (objective, solution, vector) = open(model, DeviceChoice::Cpu);
    let images: Vec<usize> = (0..IMAGES).collect();
    bencher.bench_local(|| objective.image_hessian_vectors(&solution, Part::Train, &images, &vector));
}

/// A vector for each image.
#[divan::bench(args = NETWORKS, sample_count = 20, max_time = 5)]
fn own_image_hessian_vectors(bencher: Bencher, model: &str) {
    let (objective, solution, vector) = open(model, DeviceChoice::Cpu);
    let (images, vectors) = ((0..IMAGES).collect::<Vec<usize>>(), vector.repeat(IMAGES));
    bencher.bench_local(|| objective.image_hessian_vectors(&solution, Part::Train, &images, &vectors));
}
