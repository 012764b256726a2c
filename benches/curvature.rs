//! What second derivatives cost beside a gradient: the slope along a direction, a Hessian-vector product and a
//! Gauss–Newton product over two batches of 128 images of the built-in data, on the processor's vectors and on Burn's
//! tensors; and single images' gradients and Hessian-vector products. And what they are for: the 20 largest eigenvalues of
//! the LeNet-like network of *Anisotropic noise*, and the non-uniformity of the small VGG and of the fully connected
//! network of *Dynamical stability*, once each.
//!
//!     cargo bench --bench curvature
//!
//! A product should cost at most three gradients. On the processor's vectors it takes 8/3 of a gradient's
//! multiply-adds, a Gauss–Newton product 5/3, and a slope as many as a gradient. Under the policy `batch` all three are
//! left to tensors.

use std::sync::Arc;

use divan::Bencher;
use valleyscope::curvature::non_uniformity::{PerSample, non_uniformity};
use valleyscope::curvature::{Effort, HessianOperator, ImageHessians, LanczosOptions, extreme_eigenpairs};
use valleyscope::data::{Dataset, Part};
use valleyscope::experiment::hashed;
use valleyscope::network::graph::Shape;
use valleyscope::network::zoo;
use valleyscope::objective::{BatchNormPolicy, Compute, Derivatives, DeviceChoice, Objective, Solution};

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

/// Networks of the papers with their images.
const OF_PAPERS: [(&str, Shape); 2] = [("lenet", [1, 28, 28]), ("vgg-small", [3, 32, 32])];
/// Search for eigenvalues as `valleyscope curvature` does.
const EFFORT: Effort = Effort {
    steps: 300,
    tolerance: 1e-3,
    seed: 1,
};

/// A network of a paper over so many hashed images of its size.
fn of_paper(model: &str, shape: Shape, images: usize) -> (Objective, Solution) {
    let graph = Arc::new(zoo::build(model, shape, 10).expect("a model of the zoo"));
    let data = Arc::new(hashed::dataset(shape, 10, images, 0));
    let solution = hashed::solution(&graph, 1);
    (
        Objective::new(graph, data, Compute::cpu(), 128).expect("they fit"),
        solution,
    )
}

/// Derivatives of the mean loss over all images.
fn derivatives<'a>(objective: &'a Objective, solution: &'a Solution) -> Derivatives<'a> {
    let policy = BatchNormPolicy::Running;
    Derivatives::new(objective, solution, policy, Part::Train, usize::MAX, &mut |_| true).expect("a point")
}

/// 11,330 parameters, the numbers of images beside.
#[divan::bench(args = [256, 1024], sample_count = 1, sample_size = 1)]
fn largest_20_eigenvalues(bencher: Bencher, images: usize) {
    let (objective, solution) = of_paper("lenet", [1, 28, 28], images);
    let derivatives = derivatives(&objective, &solution);
    let options = LanczosOptions {
        largest: 20,
        smallest: 0,
        copies: false,
        effort: EFFORT,
    };
    bencher.bench_local(|| {
        let mut going = |_: f64| true;
        let mut operator = HessianOperator::new(&derivatives, &mut going);
        extreme_eigenpairs(&mut operator, options, &mut |_| true)
    });
}

/// One product with the Hessian of each of 64 images.
#[divan::bench(args = OF_PAPERS, sample_count = 3, sample_size = 1)]
fn products_of_64_images(bencher: Bencher, (model, shape): (&str, Shape)) {
    let (objective, solution) = of_paper(model, shape, 64);
    let derivatives = derivatives(&objective, &solution);
    let vectors = hashed::solution(objective.graph(), 2).parameters.repeat(64);
    let images: Vec<usize> = (0..64).collect();
    bencher.bench_local(|| {
        let mut going = |_: f64| true;
        let mut hessians = ImageHessians::new(&derivatives, &mut going).expect("constant statistics");
        hessians.apply_each(&images, &vectors)
    });
}

/// 71,410 parameters, all images at once.
#[divan::bench(args = [64, 1000], sample_count = 1, sample_size = 1)]
fn non_uniformity_of_vgg_small(bencher: Bencher, images: usize) {
    non_uniformity_of("vgg-small", [3, 32, 32], bencher, images);
}

/// 898,510 parameters: the products of 64 images are kept, those of 240 are too many.
#[divan::bench(args = [64, 240], sample_count = 1, sample_size = 1)]
fn non_uniformity_of_fnn(bencher: Bencher, images: usize) {
    non_uniformity_of("fnn", [1, 28, 28], bencher, images);
}

fn non_uniformity_of(model: &str, shape: Shape, bencher: Bencher, images: usize) {
    let (objective, solution) = of_paper(model, shape, images);
    let derivatives = derivatives(&objective, &solution);
    bencher.bench_local(|| {
        let mut going = |_: f64| true;
        let mut hessians = ImageHessians::new(&derivatives, &mut going).expect("constant statistics");
        non_uniformity(&mut hessians, EFFORT, &mut |_| true)
    });
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
