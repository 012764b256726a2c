//! Hessian-vector products, Gauss–Newton products and slopes: against PyTorch, against central differences, against
//! closed forms, and what makes a Hessian one (symmetry, linearity). Weights, vectors and images are hashed as in
//! tests/reference/make_hessians.py.

mod common;

use std::sync::Arc;

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use proptest::prelude::*;
use serde_json::Value;
use valleyscope::data::{Dataset, Part};
use valleyscope::error::Error;
use valleyscope::experiment::hashed;
use valleyscope::network::forward::{self, Images, Leaves, Normaliser};
use valleyscope::network::graph::{Builder, Shape};
use valleyscope::network::{Graph, Loss, tangent, zoo};
use valleyscope::objective::{BatchNormPolicy, Compute, Derivatives, Objective, Solution};

/// Error allowed on a product in single precision, as a share of its norm. PyTorch's own 32-bit products of these
/// networks are off by up to 9e-7 (`float32_error` in hessians.json); sums in another order may double or triple that,
/// while a term left out would be some hundredth.
const TOLERANCE: f64 = 1e-5;
/// The same in double precision: the reference is kept to nine digits.
const EXACT_TOLERANCE: f64 = 1e-8;
/// The same at random points, and for a product of two vectors as a share of their lengths. A layer that normalises a
/// vector by the statistics of five or six images magnifies rounding: PyTorch's 32-bit products of such a network are
/// off by up to 2e-5 in 250 draws. Two random vectors of some thousand entries have a product of 3e-2 of their lengths.
const RANDOM_TOLERANCE: f64 = 2e-4;

/// Images a batch, and in all; the last batch is not full.
const BATCH: usize = 4;
const IMAGES: usize = 11;
/// Images a batch at random points.
const RANDOM_BATCH: usize = 6;

const LOSSES: [Loss; 2] = [Loss::CrossEntropy, Loss::SquaredError];

struct Case {
    graph: Arc<Graph>,
    data: Arc<Dataset>,
    solution: Solution,
    batch: usize,
}

impl Case {
    fn new(graph: Graph, images: usize, batch: usize) -> Self {
        let data = hashed::dataset(graph.input_shape(), graph.classes(), images, 0);
        Self {
            solution: hashed::solution(&graph, 1),
            graph: Arc::new(graph),
            data: Arc::new(data),
            batch,
        }
    }

    fn zoo(model: &str, input: Shape, classes: usize) -> Self {
        Self::new(zoo::build(model, input, classes).unwrap(), IMAGES, BATCH)
    }

    fn objective(&self, compute: Compute) -> Objective {
        Objective::new(self.graph.clone(), self.data.clone(), compute, self.batch).unwrap()
    }

    /// The same with a loss, over Burn's tensors on the CPU.
    fn objective_of(&self, loss: Loss) -> Objective {
        let mut graph = (*self.graph).clone();
        graph.loss = loss;
        Objective::new(Arc::new(graph), self.data.clone(), Compute::flex(), self.batch).unwrap()
    }

    /// A vector of parameter space with entries in [−1, 1).
    fn vector(&self, seed: u64) -> Vec<f32> {
        let parameters = self.graph.parameters.iter();
        parameters
            .flat_map(|p| hashed::hashed(&p.name, seed, p.size()))
            .map(|u| u as f32)
            .collect()
    }
}

/// A network with every operation, some of them before any parameter, and batch norm on images and on a vector.
fn everything() -> Graph {
    let mut b = Builder::new("everything", [3, 9, 11]);
    let image = b.max_pool(b.input(), 3).unwrap();
    let image = b.relu(image);
    let norm = b.batch_norm(image, "image");
    let mixed = b.convolution(norm, "mixed", 3, 3, 1, 1, false).unwrap();
    let residual = b.add(mixed, image);
    let image = b.average_pool(image, 3).unwrap();
    let stem = b.convolution(b.input(), "stem", 5, 3, 2, 1, true).unwrap();
    let norm = b.batch_norm(stem, "norm");
    let active = b.relu(norm);
    let left = b.convolution(active, "left", 5, 3, 1, 1, true).unwrap();
    let sum = b.add(left, norm);
    let joined = b.concatenate(sum, active);
    let pooled = b.max_pool(joined, 2).unwrap();
    let pooled = b.global_average_pool(pooled);
    let halved = b.padded_subsample(joined, 1);
    let wide = b.convolution(halved, "wide", 4, 2, 1, 0, false).unwrap();
    let wide = b.average_pool(wide, 2).unwrap();
    let all = b.concatenate(pooled, wide);
    let residual = b.global_average_pool(residual);
    let all = b.concatenate(all, residual);
    let all = b.concatenate(all, image);
    let hidden = b.linear(all, "hidden", 6);
    let hidden = b.batch_norm(hidden, "last");
    let hidden = b.relu(hidden);
    let logit = b.linear(hidden, "out", 1);
    b.two_class_logits(logit);
    b.finish()
}

fn doubles(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&v| f64::from(v)).collect()
}

fn product(left: &[f32], right: &[f32]) -> f64 {
    left.iter().zip(right).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

fn norm(values: &[f32]) -> f64 {
    product(values, values).sqrt()
}

#[track_caller]
fn assert_near(what: &str, ours: &[f64], theirs: &[f64], tolerance: f64) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    let length = theirs.iter().map(|v| v * v).sum::<f64>().sqrt();
    let pairs = ours.iter().zip(theirs);
    let distance = pairs.map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
    assert!(length > 0.0, "{what}: there is nothing to compare with");
    assert!(distance <= tolerance * length, "{what}: off by {distance} of {length}");
}

// Double precision, through the same passes.

/// `[1, n]` in double precision.
fn row(values: &[f64]) -> Tensor<2> {
    Tensor::from_data(
        TensorData::new(values.to_vec(), [1, values.len()]),
        (&Device::flex(), DType::F64),
    )
}

/// The mean over batches, weighted by their images, of what `of_batch` makes of images and labels on the tape.
fn mean_over_batches(case: &Case, of_batch: impl Fn(Tensor<4>, Tensor<1, Int>) -> Vec<f64>) -> Vec<f64> {
    let [channels, height, width] = case.data.shape;
    let device = Device::flex();
    let count = case.data.train.len();
    let mut sum = Vec::new();
    for start in (0..count).step_by(case.batch) {
        let range = start..(start + case.batch).min(count);
        let mut images = Vec::new();
        case.data.push_images(Part::Train, range.clone(), &mut images);
        let images = TensorData::new(doubles(&images), [range.len(), channels, height, width]);
        let labels: Vec<i64> = case.data.train.labels[range.clone()]
            .iter()
            .map(|&label| i64::from(label))
            .collect();
        let labels = TensorData::new(labels, [range.len()]);
        let images = Tensor::<4>::from_data(images, (&device, DType::F64));
        let labels = Tensor::<1, Int>::from_data(labels, (&device, DType::I64));
        let values = of_batch(images.autodiff(), labels.autodiff());
        sum.resize(values.len(), 0.0);
        for (sum, value) in sum.iter_mut().zip(values) {
            *sum += range.len() as f64 / count as f64 * value;
        }
    }
    sum
}

fn normaliser(policy: BatchNormPolicy, statistics: &Tensor<2>) -> Normaliser<'_> {
    match policy {
        BatchNormPolicy::Batch => Normaliser::Batch,
        BatchNormPolicy::Running | BatchNormPolicy::Recompute => Normaliser::Statistics(statistics),
    }
}

/// Gradient of the mean loss at some parameters.
fn exact_gradient(case: &Case, at: &[f64], loss: Loss, policy: BatchNormPolicy) -> Vec<f64> {
    let leaves = Leaves::new(&case.graph, &row(at)).tracked();
    let statistics = row(&doubles(&case.solution.statistics)).autodiff();
    mean_over_batches(case, |images, labels| {
        let images = Images::Shared(images);
        let pass = forward::forward(&case.graph, &leaves, images, normaliser(policy, &statistics));
        let mut tape = loss.of(pass.logits, labels).mean().backward();
        leaves.gradient(&mut tape).into_data().try_to_vec().unwrap()
    })
}

/// The slope along a vector, and after it the Hessian times the vector.
fn exact_products(case: &Case, vector: &[f64], loss: Loss, policy: BatchNormPolicy) -> Vec<f64> {
    let leaves = Leaves::new(&case.graph, &row(&doubles(&case.solution.parameters))).tracked();
    let directions = Leaves::new(&case.graph, &row(vector).autodiff());
    let statistics = row(&doubles(&case.solution.statistics)).autodiff();
    mean_over_batches(case, |images, labels| {
        let images = Images::Shared(images);
        let normaliser = normaliser(policy, &statistics);
        let pass = tangent::forward(&case.graph, &leaves, &directions, images, normaliser);
        let slope = loss.slopes(pass.logits, pass.tangents, labels).mean();
        let mut tape = slope.backward();
        let mut values: Vec<f64> = slope.inner().into_data().try_to_vec().unwrap();
        let hessian: Vec<f64> = leaves.gradient(&mut tape).into_data().try_to_vec().unwrap();
        values.extend(hessian);
        values
    })
}

/// Derivatives of the mean over all training images.
fn derivatives<'a>(objective: &'a Objective, solution: &'a Solution, policy: BatchNormPolicy) -> Derivatives<'a> {
    let all = usize::MAX;
    Derivatives::new(objective, solution, policy, Part::Train, all, &mut |_| true).unwrap()
}

// PyTorch.

struct Record {
    case: Case,
    what: String,
    policy: BatchNormPolicy,
    loss_function: Loss,
    loss: f64,
    slope: f64,
    hessian: Vec<f64>,
    gauss_newton: Vec<f64>,
}

fn records() -> Vec<Record> {
    let file = common::json("hessians.json");
    assert_eq!(file["batch_size"], BATCH);
    assert_eq!(file["images"], IMAGES);
    let record = |record: &Value| {
        let input: Shape = serde_json::from_value(record["input"].clone()).unwrap();
        let text = |name: &str| record[name].as_str().unwrap();
        let (model, loss) = (text("model"), text("loss_function"));
        let policy: BatchNormPolicy = serde_json::from_value(record["policy"].clone()).unwrap();
        let vector = |name: &str| serde_json::from_value(record[name].clone()).unwrap();
        Record {
            case: Case::zoo(model, input, record["classes"].as_u64().unwrap() as usize),
            what: format!("{model}, {policy}, {loss}"),
            policy,
            loss_function: match loss {
                "cross_entropy" => Loss::CrossEntropy,
                "squared_error" => Loss::SquaredError,
                other => panic!("no loss {other}"),
            },
            loss: record["loss"].as_f64().unwrap(),
            slope: record["slope"].as_f64().unwrap(),
            hessian: vector("hessian"),
            gauss_newton: vector("gauss_newton"),
        }
    };
    file["networks"].as_array().unwrap().iter().map(record).collect()
}

#[test]
fn products_and_slopes_are_pytorchs() {
    for record in records() {
        let Record { case, what, .. } = &record;
        let objective = case.objective_of(record.loss_function);
        let derivatives = derivatives(&objective, &case.solution, record.policy);
        let vector = case.vector(3);
        let hessian = derivatives.hessian_vector(&vector, &mut |_| true).unwrap();
        assert_near(&format!("{what}: Hv"), &doubles(&hessian), &record.hessian, TOLERANCE);
        let gauss_newton = derivatives.gauss_newton_vector(&vector, &mut |_| true).unwrap();
        let what = format!("{what}: Gv");
        assert_near(&what, &doubles(&gauss_newton), &record.gauss_newton, TOLERANCE);
        // The slopes of single images are of the size of 1, and may cancel.
        let (loss, slope) = derivatives.slope(&vector, &mut |_| true).unwrap();
        let what = &record.what;
        assert!((loss - record.loss).abs() <= TOLERANCE * record.loss, "{what}: {loss}");
        let allowed = TOLERANCE * record.slope.abs().max(1.0);
        assert!((slope - record.slope).abs() <= allowed, "{what}: {slope}");
    }
}

#[test]
fn in_double_precision_products_and_slopes_are_pytorchs() {
    for record in records() {
        let Record { case, what, .. } = &record;
        let vector = doubles(&case.vector(3));
        let values = exact_products(case, &vector, record.loss_function, record.policy);
        let theirs: Vec<f64> = [record.slope].into_iter().chain(record.hessian.clone()).collect();
        assert_near(what, &values, &theirs, EXACT_TOLERANCE);
    }
}

// Central differences.

#[test]
fn every_operation_agrees_with_central_differences() {
    let case = Case::new(everything(), IMAGES, BATCH);
    let at = doubles(&case.solution.parameters);
    // PyTorch's 64-bit gradients give 8e-9 over such a step, and 3e-7 where a vector is normalised by three or four
    // images. The step is far too short for a ReLU to change sign, or another entry of a window to become the largest.
    let (step, tolerance) = (1e-8, 3e-6);
    for policy in [BatchNormPolicy::Running, BatchNormPolicy::Batch] {
        for (loss, seed) in LOSSES.into_iter().flat_map(|loss| [(loss, 3), (loss, 4)]) {
            let what = format!("{policy}, {loss:?}, vector {seed}");
            let vector = doubles(&case.vector(seed));
            let values = exact_products(&case, &vector, loss, policy);
            let moved = |sign: f64| -> Vec<f64> {
                let point: Vec<f64> = at.iter().zip(&vector).map(|(w, v)| w + sign * step * v).collect();
                exact_gradient(&case, &point, loss, policy)
            };
            let pairs = moved(1.0).into_iter().zip(moved(-1.0));
            let difference: Vec<f64> = pairs.map(|(ahead, behind)| (ahead - behind) / (2.0 * step)).collect();
            assert_near(&what, &values[1..], &difference, tolerance);
            let gradient = exact_gradient(&case, &at, loss, policy);
            let slope: f64 = gradient.iter().zip(&vector).map(|(g, v)| g * v).sum();
            assert!((values[0] - slope).abs() <= 1e-12, "{what}: {} and {slope}", values[0]);
        }
    }
}

#[test]
fn products_agree_with_differences_of_the_objectives_gradients() {
    // Nothing in this network has a kink, so that the step may be long enough for single precision.
    let mut b = Builder::new("smooth", [3, 8, 8]);
    let node = b.convolution(b.input(), "conv1", 4, 3, 1, 1, false).unwrap();
    let node = b.batch_norm(node, "bn1");
    let node = b.average_pool(node, 2).unwrap();
    let node = b.convolution(node, "conv2", 5, 3, 1, 0, true).unwrap();
    let node = b.batch_norm(node, "bn2");
    let node = b.global_average_pool(node);
    b.linear(node, "linear", 4);
    let case = Case::new(b.finish(), 21, 9);
    let mut vector = case.vector(3);
    let length = norm(&vector);
    vector.iter_mut().for_each(|v| *v = (f64::from(*v) / length) as f32);
    // Where rounding, which falls with the step, meets the third derivative, which grows with its square: PyTorch's
    // 32-bit gradients give 5.7e-5 there, 1.5e-4 at a third of the step and 1.6e-4 at three times.
    let (step, tolerance) = (0.01, 3e-4);
    for compute in [Compute::flex(), Compute::cpu()] {
        let objective = case.objective(compute);
        for policy in [BatchNormPolicy::Running, BatchNormPolicy::Batch] {
            let gradient = |position: f64| {
                let point = case.solution.moved(&vector, position);
                objective.gradient(&point, policy, Part::Train).unwrap().1
            };
            let pairs = gradient(step).into_iter().zip(gradient(-step));
            let difference: Vec<f64> = pairs
                .map(|(ahead, behind)| (f64::from(ahead) - f64::from(behind)) / (2.0 * step))
                .collect();
            let hessian = objective
                .hessian_vector(&case.solution, &vector, policy, Part::Train, usize::MAX)
                .unwrap();
            let what = format!("{policy}, {}", objective.device_name());
            assert_near(&what, &doubles(&hessian), &difference, tolerance);
        }
    }
}

#[test]
fn the_slope_is_the_gradients_product_with_the_direction() {
    for case in [
        Case::zoo("resnet8:width=2", [3, 8, 8], 4),
        Case::zoo("mlp:6x5", [1, 5, 7], 4),
        Case::new(everything(), IMAGES, BATCH),
    ] {
        let direction = case.vector(5);
        for compute in [Compute::flex(), Compute::cpu()] {
            let objective = case.objective(compute);
            for policy in BatchNormPolicy::ALL {
                let (loss, gradient) = objective.gradient(&case.solution, policy, Part::Train).unwrap();
                let (ours, slope) = objective
                    .slope(&case.solution, &direction, policy, Part::Train, usize::MAX)
                    .unwrap();
                let what = format!("{}, {policy}, {}", case.graph.name, objective.device_name());
                assert!((ours - loss).abs() <= TOLERANCE * loss, "{what}: {ours} and {loss}");
                let expected = product(&gradient, &direction);
                let allowed = RANDOM_TOLERANCE * norm(&gradient) * norm(&direction);
                assert!((slope - expected).abs() <= allowed, "{what}: {slope} and {expected}");
            }
        }
    }
}

// Closed forms.

#[test]
fn the_hessian_of_logistic_regression_is_its_closed_form() {
    let case = Case::new(zoo::build("logistic", [1, 1, 1], 2).unwrap(), 50, 16);
    let objective = case.objective(Compute::flex());
    let parameters = doubles(&case.solution.parameters);
    let (weight, bias) = (parameters[0], parameters[1]);
    for samples in [50, 20, 1] {
        let mut inputs = Vec::new();
        case.data.push_images(Part::Train, 0..samples, &mut inputs);
        // The mean of p(1 − p)·(x, 1)(x, 1)ᵀ.
        let mut expected = [[0.0; 2]; 2];
        for x in doubles(&inputs) {
            let p = 1.0 / (1.0 + (-(weight * x + bias)).exp());
            for (i, a) in [x, 1.0].into_iter().enumerate() {
                for (j, b) in [x, 1.0].into_iter().enumerate() {
                    expected[i][j] += p * (1.0 - p) * a * b / samples as f64;
                }
            }
        }
        for (column, unit) in expected.iter().zip([[1.0, 0.0], [0.0, 1.0]]) {
            let (solution, policy) = (&case.solution, BatchNormPolicy::Running);
            let hessian = objective.hessian_vector(solution, &unit, policy, Part::Train, samples);
            let gauss_newton = objective.gauss_newton_vector(solution, &unit, policy, Part::Train, samples);
            // A handful of roundings of 6e-8 each.
            for ours in [hessian.unwrap(), gauss_newton.unwrap()] {
                assert_near(&format!("{samples} images"), &doubles(&ours), column, 2e-6);
            }
        }
    }
}

#[test]
fn gauss_newton_is_the_hessian_where_logits_are_linear() {
    let mut b = Builder::new("softmax regression", [2, 3, 3]);
    b.linear(b.input(), "out", 3);
    let case = Case::new(b.finish(), IMAGES, BATCH);
    for loss in LOSSES {
        let objective = case.objective_of(loss);
        let derivatives = derivatives(&objective, &case.solution, BatchNormPolicy::Running);
        let vector = case.vector(3);
        let hessian = derivatives.hessian_vector(&vector, &mut |_| true).unwrap();
        let gauss_newton = derivatives.gauss_newton_vector(&vector, &mut |_| true).unwrap();
        let (what, theirs) = (format!("{loss:?}"), doubles(&hessian));
        assert_near(&what, &doubles(&gauss_newton), &theirs, TOLERANCE);
    }
}

// Properties.

fn network(index: usize) -> Case {
    let graph = match index {
        0 => zoo::build("mlp:6x5", [1, 5, 7], 4).unwrap(),
        1 => zoo::build("resnet8:width=2", [3, 8, 8], 4).unwrap(),
        2 => zoo::build("resnet8:width=2:bn=off", [3, 8, 8], 4).unwrap(),
        3 => zoo::build("densenet-bc-10:growth=2", [2, 8, 8], 3).unwrap(),
        _ => everything(),
    };
    Case::new(graph, IMAGES, RANDOM_BATCH)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// ⟨u, Hv⟩ = ⟨v, Hu⟩, H(au + bv) = a·Hu + b·Hv, and ⟨v, Gv⟩ ≥ 0 with the same symmetry, at any point near the
    /// hashed one, on any of the first images.
    #[test]
    fn products_are_symmetric_and_linear_and_gauss_newton_is_not_negative(
        index in 0_usize..5,
        policy in prop::sample::select(BatchNormPolicy::ALL.to_vec()),
        loss in prop::sample::select(LOSSES.to_vec()),
        samples in prop::sample::select(vec![RANDOM_BATCH, IMAGES]),
        (first, second, moved) in (100_u64..200, 200_u64..300, 300_u64..400),
        (a, b) in (-2.0_f32..2.0, -2.0_f32..2.0),
    ) {
        let case = network(index);
        let objective = case.objective_of(loss);
        let solution = case.solution.moved(&case.vector(moved), 0.05);
        let silent = &mut |_: f64| true;
        let derivatives =
            Derivatives::new(&objective, &solution, policy, Part::Train, samples, silent).unwrap();
        let (u, v) = (case.vector(first), case.vector(second));
        let mut hessian = |vector: &[f32]| derivatives.hessian_vector(vector, silent).unwrap();
        let (hu, hv) = (hessian(&u), hessian(&v));
        let scale = norm(&u) * norm(&hv) + norm(&v) * norm(&hu);
        let (left, right) = (product(&u, &hv), product(&v, &hu));
        prop_assert!((left - right).abs() <= RANDOM_TOLERANCE * scale, "{} and {} at {}", left, right, scale);

        let mixed: Vec<f32> = u.iter().zip(&v).map(|(u, v)| a * u + b * v).collect();
        let ours = hessian(&mixed);
        let parts = hu.iter().zip(&hv);
        let expected: Vec<f32> = parts.map(|(u, v)| a * u + b * v).collect();
        let apart: Vec<f32> = ours.iter().zip(&expected).map(|(x, y)| x - y).collect();
        let scale = f64::from(a.abs()) * norm(&hu) + f64::from(b.abs()) * norm(&hv);
        prop_assert!(norm(&apart) <= RANDOM_TOLERANCE * scale, "{} at {}", norm(&apart), scale);

        let mut gauss_newton = |vector: &[f32]| derivatives.gauss_newton_vector(vector, silent).unwrap();
        let (gu, gv) = (gauss_newton(&u), gauss_newton(&v));
        let scale = norm(&v) * norm(&gv);
        prop_assert!(scale > 0.0 && product(&v, &gv) >= -RANDOM_TOLERANCE * scale, "{}", product(&v, &gv));
        let scale = scale + norm(&u) * norm(&gu);
        let (left, right) = (product(&u, &gv), product(&v, &gu));
        prop_assert!((left - right).abs() <= RANDOM_TOLERANCE * scale, "{} and {} at {}", left, right, scale);
    }
}

#[test]
fn several_points_and_directions_in_one_pass_are_several_passes() {
    for index in [1, 3, 4] {
        let case = network(index);
        let graph = &case.graph;
        let points = [1, 2].map(|seed| doubles(&hashed::solution(graph, seed).parameters));
        let vectors = [3, 4].map(|seed| doubles(&case.vector(seed)));
        let statistics = row(&doubles(&case.solution.statistics));
        let [channels, height, width] = case.data.shape;
        let mut images = Vec::new();
        case.data.push_images(Part::Train, 0..BATCH, &mut images);
        let images = TensorData::new(doubles(&images), [BATCH, channels, height, width]);
        let images = Tensor::<4>::from_data(images, (&Device::flex(), DType::F64));
        for policy in [BatchNormPolicy::Running, BatchNormPolicy::Batch] {
            let tangents = |points: Tensor<2>, vectors: Tensor<2>, statistics: &Tensor<2>| -> Vec<f64> {
                let (leaves, directions) = (Leaves::new(graph, &points), Leaves::new(graph, &vectors));
                let images = Images::Shared(images.clone());
                let pass = tangent::forward(graph, &leaves, &directions, images, normaliser(policy, statistics));
                Tensor::cat(vec![pass.logits, pass.tangents], 2)
                    .into_data()
                    .try_to_vec()
                    .unwrap()
            };
            let alone: Vec<f64> = [0, 1]
                .into_iter()
                .flat_map(|i| tangents(row(&points[i]), row(&vectors[i]), &statistics))
                .collect();
            let both = |rows: &[Vec<f64>; 2]| Tensor::cat(vec![row(&rows[0]), row(&rows[1])], 0);
            let twice = Tensor::cat(vec![statistics.clone(), statistics.clone()], 0);
            let together = tangents(both(&points), both(&vectors), &twice);
            assert_near(&format!("{}, {policy}", graph.name), &together, &alone, 1e-12);
        }
    }
}

#[test]
fn the_first_images_alone_count_on_every_device() {
    let case = Case::zoo("resnet8:width=2", [3, 8, 8], 4);
    let few = Case::new((*case.graph).clone(), 7, BATCH);
    let vector = case.vector(3);
    for policy in BatchNormPolicy::ALL {
        let hessian = |case: &Case, compute: Compute, samples: usize| {
            let objective = case.objective(compute);
            objective
                .hessian_vector(&case.solution, &vector, policy, Part::Train, samples)
                .unwrap()
        };
        let expected = doubles(&hessian(&few, Compute::flex(), usize::MAX));
        for compute in [Compute::flex(), Compute::cpu()] {
            let ours = doubles(&hessian(&case, compute, 7));
            assert_near(policy.name(), &ours, &expected, TOLERANCE);
        }
        let all = doubles(&hessian(&case, Compute::flex(), usize::MAX));
        assert_ne!(all, expected, "{policy}");
    }
}

#[test]
fn work_is_told_and_can_be_stopped() {
    let case = Case::zoo("resnet8:width=2", [3, 8, 8], 4);
    let objective = case.objective(Compute::flex());
    let vector = case.vector(3);
    for policy in BatchNormPolicy::ALL {
        let run = |progress: &mut dyn FnMut(f64) -> bool| {
            objective.hessian_vector_with(&case.solution, &vector, policy, Part::Train, usize::MAX, progress)
        };
        let mut shares = Vec::new();
        run(&mut |share| {
            shares.push(share);
            true
        })
        .unwrap();
        assert!(shares.is_sorted(), "{policy}: {shares:?}");
        assert!((shares[shares.len() - 1] - 1.0).abs() < 1e-12, "{policy}: {shares:?}");
        for stop in 1..=shares.len() {
            let mut told = 0;
            let stopped = run(&mut |_| {
                told += 1;
                told < stop
            });
            let cancelled = matches!(stopped, Err(Error::Cancelled));
            assert!(cancelled, "{policy}, {stop}: {stopped:?}");
        }
    }
}

#[test]
fn what_has_no_hessian_is_explained() {
    let case = Case::zoo("mlp:6x5", [1, 5, 7], 4);
    let objective = case.objective(Compute::flex());
    let vector = case.vector(3);
    let says = |part: &str, solution: &Solution, vector: &[f32], samples: usize| {
        let (policy, split) = (BatchNormPolicy::Running, Part::Train);
        let hessian = objective.hessian_vector(solution, vector, policy, split, samples);
        let gauss_newton = objective.gauss_newton_vector(solution, vector, policy, split, samples);
        let slope = objective.slope(solution, vector, policy, split, samples);
        for error in [hessian.err(), gauss_newton.err(), slope.err()] {
            let text = error.map(|error| error.to_string()).unwrap_or_default();
            assert!(text.contains(part), "`{text}` does not say `{part}`");
        }
    };
    let solution = &case.solution;
    says("parameters; given was one of 274", solution, &vector[1..], 11);
    says("ask for at least one image", solution, &vector, 0);
    let mut endless = vector.clone();
    endless[7] = f32::INFINITY;
    says("a vector that holds inf", solution, &endless, 11);
    let mut diverged = solution.clone();
    diverged.parameters[3] = f32::NAN;
    let reason = "the Hessian at a diverged point does not exist: `fc1.weight` holds NaN";
    says(reason, &diverged, &vector, 11);
    diverged.parameters.pop();
    says("0 statistics; given were 274 and 0", &diverged, &vector, 11);

    // Weights that are finite while the loss is not: the slope shows it, and there are no products.
    let mut far = case.solution.clone();
    far.parameters.iter_mut().for_each(|w| *w *= 1e30);
    let (policy, split) = (BatchNormPolicy::Running, Part::Train);
    let (loss, slope) = objective.slope(&far, &vector, policy, split, 11).unwrap();
    assert!(!loss.is_finite() && !slope.is_finite(), "{loss} {slope}");
    let error = objective.hessian_vector(&far, &vector, policy, split, 11).unwrap_err();
    assert!(error.to_string().contains("at a diverged point"), "{error}");

    let case = Case::new(everything(), IMAGES, BATCH);
    let objective = case.objective(Compute::flex());
    let vector = case.vector(3);
    let at = |solution: &Solution, policy, samples| {
        let answer = objective.hessian_vector(solution, &vector, policy, split, samples);
        answer.unwrap_err().to_string()
    };
    let mut diverged = case.solution.clone();
    diverged.statistics[0] = f32::NEG_INFINITY;
    let text = at(&diverged, BatchNormPolicy::Running, 11);
    assert!(text.contains("statistics hold -inf"), "{text}");
    // A last batch of one image has no variance.
    for policy in [BatchNormPolicy::Recompute, BatchNormPolicy::Batch] {
        let text = at(&case.solution, policy, 5);
        assert!(text.contains("one value per channel"), "{text}");
    }
}
