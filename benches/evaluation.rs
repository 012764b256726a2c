//! Passes and gradients on one batch of 128 images, on the processor's vectors and on Burn's tensors.
//!
//!     cargo bench --bench evaluation
//!
//! `valleyscope bench` measures whole lines and training steps; `against_pytorch.py` puts PyTorch beside them.

use std::sync::Arc;

use divan::Bencher;
use valleyscope::data::Part;
use valleyscope::experiment::hashed;
use valleyscope::network::zoo;
use valleyscope::objective::{BatchNormPolicy, Compute, Objective, Solution};

const IMAGES: usize = 128;
const NETWORKS: [(&str, usize); 3] = [("resnet8:width=8", 16), ("preresnet20", 32), ("densenet-bc-100", 32)];

fn main() {
    divan::main();
}

fn objective((model, side): (&str, usize), compute: Compute) -> (Objective, Solution) {
    let graph = Arc::new(zoo::build(model, [3, side, side], 10).expect("a model of the zoo"));
    let data = Arc::new(hashed::dataset([3, side, side], 10, IMAGES, 0));
    let solution = hashed::solution(&graph, 1);
    (
        Objective::new(graph, data, compute, IMAGES).expect("they fit"),
        solution,
    )
}

fn bench_loss(bencher: Bencher, objective: &Objective, solution: &Solution, policy: BatchNormPolicy) {
    bencher.bench_local(|| objective.evaluate(&solution.parameters, &solution.statistics, policy));
}

fn bench_gradient(bencher: Bencher, objective: &Objective, solution: &Solution) {
    bencher.bench_local(|| objective.gradient(solution, BatchNormPolicy::Batch, Part::Train));
}

fn names() -> Vec<String> {
    Compute::cpus()
        .iter()
        .map(|compute| compute.name().to_owned())
        .collect()
}

/// The demo's network with every set of instructions that this processor has.
#[divan::bench(args = names(), sample_count = 20, max_time = 3)]
fn instructions_running(bencher: Bencher, name: &str) {
    let compute = Compute::cpus().into_iter().find(|compute| compute.name() == name);
    let (objective, solution) = objective(NETWORKS[0], compute.expect("it was listed"));
    bench_loss(bencher, &objective, &solution, BatchNormPolicy::Running);
}

#[divan::bench(args = NETWORKS, sample_count = 20, max_time = 3)]
fn vectors_running(bencher: Bencher, network: (&str, usize)) {
    let (objective, solution) = objective(network, Compute::cpu());
    bench_loss(bencher, &objective, &solution, BatchNormPolicy::Running);
}

#[divan::bench(args = NETWORKS, sample_count = 20, max_time = 3)]
fn vectors_recompute(bencher: Bencher, network: (&str, usize)) {
    let (objective, solution) = objective(network, Compute::cpu());
    bench_loss(bencher, &objective, &solution, BatchNormPolicy::Recompute);
}

#[divan::bench(args = NETWORKS, sample_count = 20, max_time = 3)]
fn vectors_gradient(bencher: Bencher, network: (&str, usize)) {
    let (objective, solution) = objective(network, Compute::cpu());
    bench_gradient(bencher, &objective, &solution);
}

#[divan::bench(args = NETWORKS, sample_count = 20, max_time = 3)]
fn vectors_image_gradients(bencher: Bencher, network: (&str, usize)) {
    let (objective, solution) = objective(network, Compute::cpu());
    bencher.bench_local(|| objective.image_gradients(&solution, Part::Train, 0..IMAGES));
}

#[divan::bench(args = &NETWORKS[..2], sample_count = 20, max_time = 3)]
fn tensors_running(bencher: Bencher, &network: &(&str, usize)) {
    let (objective, solution) = objective(network, Compute::flex());
    bench_loss(bencher, &objective, &solution, BatchNormPolicy::Running);
}

#[divan::bench(args = &NETWORKS[..2], sample_count = 20, max_time = 3)]
fn tensors_gradient(bencher: Bencher, &network: &(&str, usize)) {
    let (objective, solution) = objective(network, Compute::flex());
    bench_gradient(bencher, &objective, &solution);
}
