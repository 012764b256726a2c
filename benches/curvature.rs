//! What second derivatives cost beside a gradient, all on Burn's tensors: the slope along a direction, a Hessian-vector
//! product and a Gauss–Newton product over two batches of 128 images of the built-in data.
//!
//!     cargo bench --bench curvature
//!
//! A product should cost at most three gradients.

use std::sync::Arc;

use divan::Bencher;
use valleyscope::data::{Dataset, Part};
use valleyscope::experiment::hashed;
use valleyscope::network::zoo;
use valleyscope::objective::{BatchNormPolicy, Compute, Objective, Solution};

const DATA: &str = "builtin:train=256:test=128";
const NETWORKS: [(&str, BatchNormPolicy); 3] = [
    ("lenet", BatchNormPolicy::Running),
    ("resnet8:width=8", BatchNormPolicy::Running),
    ("resnet8:width=8", BatchNormPolicy::Batch),
];

fn main() {
    divan::main();
}

/// The objective, a point, and a vector.
fn case(model: &str) -> (Objective, Solution, Vec<f32>) {
    let data = Arc::new(Dataset::open(DATA).expect("the built-in data"));
    let graph = Arc::new(zoo::build(model, data.shape, data.classes.len()).expect("a model of the zoo"));
    let (solution, vector) = (hashed::solution(&graph, 1), hashed::solution(&graph, 2).parameters);
    let objective = Objective::new(graph, data, Compute::flex(), 128).expect("they fit");
    (objective, solution, vector)
}

#[divan::bench(args = NETWORKS, sample_count = 20, max_time = 5)]
fn gradient(bencher: Bencher, (model, policy): (&str, BatchNormPolicy)) {
    let (objective, solution, _) = case(model);
    bencher.bench_local(|| objective.gradient(&solution, policy, Part::Train));
}

#[divan::bench(args = NETWORKS, sample_count = 20, max_time = 5)]
fn slope(bencher: Bencher, (model, policy): (&str, BatchNormPolicy)) {
    let (objective, solution, vector) = case(model);
    bencher.bench_local(|| objective.slope(&solution, &vector, policy, Part::Train, usize::MAX));
}

#[divan::bench(args = NETWORKS, sample_count = 20, max_time = 5)]
fn hessian_vector(bencher: Bencher, (model, policy): (&str, BatchNormPolicy)) {
    let (objective, solution, vector) = case(model);
    bencher.bench_local(|| objective.hessian_vector(&solution, &vector, policy, Part::Train, usize::MAX));
}

#[divan::bench(args = NETWORKS, sample_count = 20, max_time = 5)]
fn gauss_newton_vector(bencher: Bencher, (model, policy): (&str, BatchNormPolicy)) {
    let (objective, solution, vector) = case(model);
    bencher.bench_local(|| objective.gauss_newton_vector(&solution, &vector, policy, Part::Train, usize::MAX));
}
