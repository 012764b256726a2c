//! The command `curvature` and what lies under it: spectra beside dense matrices, products of single images' Hessians
//! beside those of the images alone, covariances beside sums over gradients, the files that it writes, and what it says
//! of what cannot be measured.

mod common;

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use nalgebra::DMatrix;
use serde_json::Value;
use tempfile::TempDir;
use valleyscope::checkpoint::{NamedTensors, Reference};
use valleyscope::curvature::non_uniformity::PerSample;
use valleyscope::curvature::{Covariance, ImageHessians, gradient_samples};
use valleyscope::data::{Dataset, Part, Pixels, Split};
use valleyscope::error::Error;
use valleyscope::experiment::hashed;
use valleyscope::landscape::direction_file;
use valleyscope::network::graph::Shape;
use valleyscope::network::{Graph, zoo};
use valleyscope::objective::{BatchNormPolicy, Compute, Derivatives, Objective, Solution};
use valleyscope::random::{Purpose, Random};

/// A network of 61 parameters, and the images of its data.
const MODEL: &str = "mlp:3";
const SHAPE: Shape = [1, 3, 2];
const PARAMETERS: usize = 61;
const IMAGES: usize = 24;

/// Rounding of a product in single precision, as a share of its length or of the matrix: PyTorch's own are off by up to
/// 9e-7 (`float32_error` in tests/reference/hessians.json), and sums in another order may double or triple that.
const ROUNDING: f64 = 1e-5;

/// Images of a library test: more than go together in one pass, and no whole number of batches.
const FEW: usize = 19;
const BATCH: usize = 8;

// A point on disk, and the same in memory.

struct Fixture {
    folder: TempDir,
    objective: Objective,
    solution: Solution,
}

impl Fixture {
    fn new() -> Self {
        Self::of(MODEL, SHAPE, |_| {})
    }

    /// Hashed weights, changed a little, in `point.safetensors`, and hashed images in `data.safetensors`.
    fn of(model: &str, shape: Shape, change: impl Fn(&mut Solution)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data.safetensors");
        common::data_file(&data, IMAGES, shape);
        let data = Arc::new(Dataset::open(&format!("safetensors:{}", data.display())).unwrap());
        let graph = Arc::new(zoo::build(model, shape, 10).unwrap());
        let mut solution = hashed::solution(&graph, 1);
        change(&mut solution);
        let provenance = serde_json::json!({"model": model, "data": "safetensors:data.safetensors"});
        NamedTensors::of_solution(&graph, &solution)
            .write(&folder.path().join("point.safetensors"), &provenance.to_string())
            .unwrap();
        let objective = Objective::new(graph, data, Compute::flex(), 128).unwrap();
        Self {
            folder,
            objective,
            solution,
        }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn derivatives(&self) -> Derivatives<'_> {
        derivatives(&self.objective, &self.solution, BatchNormPolicy::Running)
    }

    /// The document that the command prints.
    #[track_caller]
    fn measured(&self, words: &str) -> Value {
        let text = succeed(&command(&format!("{words} --json")), self.path());
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"))
    }
}

/// The Hessian, one column a product.
fn dense_hessian(fixture: &Fixture) -> DMatrix<f64> {
    let derivatives = fixture.derivatives();
    let product = |unit: &[f32]| derivatives.hessian_vector(unit, &mut |_| true).unwrap();
    dense(PARAMETERS, product)
}

fn dense(dimension: usize, product: impl Fn(&[f32]) -> Vec<f32>) -> DMatrix<f64> {
    let columns = (0..dimension).flat_map(|index| {
        let mut unit = vec![0.0; dimension];
        unit[index] = 1.0;
        doubles(&product(&unit))
    });
    let matrix = DMatrix::from_iterator(dimension, dimension, columns);
    (&matrix + matrix.transpose()) * 0.5
}

/// Eigenvalues, the largest first.
fn falling(matrix: &DMatrix<f64>) -> Vec<f64> {
    let mut values: Vec<f64> = matrix.symmetric_eigenvalues().iter().copied().collect();
    values.sort_by(|a, b| b.total_cmp(a));
    values
}

fn derivatives<'a>(objective: &'a Objective, solution: &'a Solution, policy: BatchNormPolicy) -> Derivatives<'a> {
    Derivatives::new(objective, solution, policy, Part::Train, usize::MAX, &mut |_| true).unwrap()
}

fn doubles(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&v| f64::from(v)).collect()
}

fn norm(values: &[f64]) -> f64 {
    values.iter().map(|v| v * v).sum::<f64>().sqrt()
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    norm(&a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<f64>>())
}

/// A vector of parameter space with entries in [−1, 1).
fn vector(graph: &Graph, seed: u64) -> Vec<f32> {
    let parameters = graph.parameters.iter();
    parameters
        .flat_map(|p| hashed::hashed(&p.name, seed, p.size()))
        .map(|u| u as f32)
        .collect()
}

// The program.

fn command(words: &str) -> String {
    format!("curvature --device flex --checkpoint point.safetensors {words}")
}

fn run(words: &str, folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_valleyscope"))
        .args(words.split_whitespace())
        .current_dir(folder)
        .output()
        .unwrap()
}

#[track_caller]
fn succeed(words: &str, folder: &Path) -> String {
    let output = run(words, folder);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// Standard error and the exit code.
#[track_caller]
fn fail(words: &str, folder: &Path) -> (String, i32) {
    let output = run(words, folder);
    let errors = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    assert!(!output.status.success(), "{words} succeeded");
    assert!(!errors.contains("panicked"), "{words}: {errors}");
    (errors, output.status.code().unwrap())
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("no number: {value}"))
}

/// Values and residuals of one end of a spectrum.
fn pairs(record: &Value, end: &str) -> Vec<(f64, f64)> {
    let pairs = record["spectrum"][end].as_array().unwrap();
    pairs
        .iter()
        .map(|pair| (number(&pair["value"]), number(&pair["residual"])))
        .collect()
}

#[track_caller]
fn assert_eigenvalues(found: &[(f64, f64)], expected: &[f64], scale: f64) {
    assert_eq!(found.len(), expected.len());
    for (&(value, residual), expected) in found.iter().zip(expected) {
        assert!(residual <= 2e-5 * scale, "{residual} of {scale}");
        // An eigenvalue lies within the residual, and the dense matrix has roundings of its own.
        let allowed = residual + ROUNDING * scale;
        assert!((value - expected).abs() <= allowed, "{value} instead of {expected}");
    }
}

// Spectra.

#[test]
fn eigenvalues_are_those_of_the_dense_matrices() {
    let fixture = Fixture::new();
    let derivatives = fixture.derivatives();
    let product = |unit: &[f32]| derivatives.gauss_newton_vector(unit, &mut |_| true).unwrap();
    let gauss_newton = dense(PARAMETERS, product);
    let hessian = dense_hessian(&fixture);
    assert!((&hessian - &gauss_newton).norm() > 0.01 * hessian.norm());
    for (name, matrix) in [("hessian", hessian), ("gauss-newton", gauss_newton)] {
        let expected = falling(&matrix);
        let scale = expected[0].abs().max(expected[PARAMETERS - 1].abs());
        let words = format!("--matrix {name} --eigenvalues 6 --smallest 4 --tolerance 1e-5 --copies");
        let record = fixture.measured(&words);
        assert_eq!(record["matrix"], name);
        assert_eigenvalues(&pairs(&record, "largest"), &expected[..6], scale);
        let rising: Vec<f64> = expected.iter().rev().copied().take(4).collect();
        assert_eigenvalues(&pairs(&record, "smallest"), &rising, scale);
        assert_eq!(record["spectrum"]["converged"], true);
        assert_eq!(record["spectrum"]["complete"], true);
    }
}

#[test]
fn more_eigenvalues_than_parameters_are_all_of_them() {
    let fixture = Fixture::new();
    let output = run(&command("--eigenvalues 100 --json"), fixture.path());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("note: 100 eigenvalues are asked for, and there are 61"),
        "{said}"
    );
    let record: Value = serde_json::from_slice(&output.stdout).unwrap();
    let expected = falling(&dense_hessian(&fixture));
    let scale = expected[0].abs().max(expected[PARAMETERS - 1].abs());
    assert_eigenvalues(&pairs(&record, "largest"), &expected, scale);
}

#[test]
fn the_trace_lies_within_its_error_of_the_whole_matrix_and_the_density_has_a_mass_of_one() {
    let fixture = Fixture::new();
    let hessian = dense_hessian(&fixture);
    let record = fixture.measured("--eigenvalues 1 --trace 200 --density");
    // The variance of a draw is 2·Σ_{i≠j} aᵢⱼ².
    let squares = hessian.norm_squared() - hessian.diagonal().norm_squared();
    let error = (2.0 * squares / 200.0).sqrt();
    let trace = &record["trace"];
    assert_eq!(trace["samples"], 200);
    let mean = number(&trace["mean"]);
    assert!(
        (mean - hessian.trace()).abs() <= 6.0 * error,
        "{mean} instead of {}",
        hessian.trace()
    );
    // A standard error from 200 draws is off by 5 % for normal ones.
    assert!(
        (number(&trace["standard_error"]) / error - 1.0).abs() < 0.4,
        "{trace} {error}"
    );
    let smoothed = &record["density"]["smoothed"];
    let numbers = |name: &str| -> Vec<f64> { smoothed[name].as_array().unwrap().iter().map(number).collect() };
    let (grid, heights) = (numbers("grid"), numbers("density"));
    // 2·10⁻⁹ lies beyond the grid, and nine points a width see a bell's mass to less.
    let mass = (grid[1] - grid[0]) * heights.iter().sum::<f64>();
    assert!((mass - 1.0).abs() < 1e-7, "{mass}");
    let largest = pairs(&record, "largest")[0].0;
    assert!(grid[0] < 0.0 && grid[grid.len() - 1] > largest);
}

// Single images.

/// Networks with every kind of layer, and both losses.
fn networks() -> Vec<Graph> {
    [
        ("mlp:5x4", [2, 3, 3]),
        ("mlp:5x4:loss=squared-error", [2, 3, 3]),
        ("lenet", [1, 16, 16]),
        ("resnet8:width=2", [3, 8, 8]),
        ("densenet-bc-10:growth=2", [2, 8, 8]),
    ]
    .into_iter()
    .map(|(model, shape)| zoo::build(model, shape, 4).unwrap())
    .collect()
}

/// An objective over hashed images, and a hashed point.
fn few_images(graph: Graph, compute: Compute) -> (Objective, Solution) {
    let data = hashed::dataset(graph.input_shape(), graph.classes(), FEW, 0);
    let solution = hashed::solution(&graph, 1);
    let objective = Objective::new(Arc::new(graph), Arc::new(data), compute, BATCH).unwrap();
    (objective, solution)
}

/// The same objective over one of its images alone.
fn alone(objective: &Objective, image: usize) -> Objective {
    let data = objective.data();
    let size: usize = data.shape.iter().product();
    let Pixels::Floats(values) = &data.train.images else {
        panic!("hashed images are floats");
    };
    let train = Split {
        images: Pixels::Floats(values[image * size..(image + 1) * size].to_vec()),
        labels: vec![data.train.labels[image]],
    };
    let data = Dataset {
        train,
        ..(**data).clone()
    };
    Objective::new(objective.graph().clone(), Arc::new(data), Compute::flex(), BATCH).unwrap()
}

#[test]
fn products_of_the_images_average_to_the_hessians() {
    for graph in networks() {
        for policy in [BatchNormPolicy::Running, BatchNormPolicy::Recompute] {
            let what = format!("{}, {policy}", graph.name);
            let (objective, solution) = few_images(graph.clone(), Compute::flex());
            let derivatives = derivatives(&objective, &solution, policy);
            let vector = vector(&graph, 3);
            let expected = doubles(&derivatives.hessian_vector(&vector, &mut |_| true).unwrap());
            let all: Vec<usize> = (0..FEW).collect();
            let progress = &mut |_: f64| true;
            let mut hessians = ImageHessians::new(&derivatives, progress).unwrap();
            let products = doubles(&hessians.apply_each(&all, &vector.repeat(FEW)).unwrap());
            let (mut mean, mut scale) = (vec![0.0; vector.len()], 0.0);
            for product in products.chunks_exact(vector.len()) {
                scale += norm(product) / FEW as f64;
                for (mean, x) in mean.iter_mut().zip(product) {
                    *mean += x / FEW as f64;
                }
            }
            let off = distance(&mean, &expected);
            assert!(scale > 0.0 && off <= ROUNDING * scale, "{what}: {off} of {scale}");
        }
    }
}

#[test]
fn products_with_vectors_of_their_own_are_those_of_the_images_alone() {
    for graph in networks() {
        for policy in [BatchNormPolicy::Running, BatchNormPolicy::Recompute] {
            let (objective, solution) = few_images(graph.clone(), Compute::flex());
            let derivatives = derivatives(&objective, &solution, policy);
            // In no order, and more than go together in one pass.
            let images: Vec<usize> = (0..FEW).map(|index| (7 * index + 3) % FEW).collect();
            let vectors: Vec<f32> = images.iter().flat_map(|&image| vector(&graph, image as u64)).collect();
            let progress = &mut |_: f64| true;
            let together = derivatives.image_hessian_vectors(&images, &vectors, progress).unwrap();
            // The statistics are constants, whatever images they came from.
            let constants = Solution {
                parameters: solution.parameters.clone(),
                statistics: derivatives.statistics().unwrap().to_vec(),
            };
            let dimension = graph.parameter_count();
            let products: Vec<(Vec<f64>, Vec<f64>)> = images
                .iter()
                .enumerate()
                .map(|(index, &image)| {
                    let row = index * dimension..(index + 1) * dimension;
                    let (one, running) = (alone(&objective, image), BatchNormPolicy::Running);
                    let vector = &vectors[row.clone()];
                    let product = one.hessian_vector(&constants, vector, running, Part::Train, 1).unwrap();
                    (doubles(&together[row]), doubles(&product))
                })
                .collect();
            let scale = products.iter().map(|(_, theirs)| norm(theirs)).sum::<f64>() / FEW as f64;
            for (index, (ours, theirs)) in products.iter().enumerate() {
                let off = distance(ours, theirs);
                let what = format!("{}, {policy}, image {}", graph.name, images[index]);
                assert!(scale > 0.0 && off <= ROUNDING * scale, "{what}: {off} of {scale}");
            }
        }
    }
}

#[test]
fn what_is_of_no_single_image_is_refused_and_work_can_be_stopped() {
    let (objective, solution) = few_images(zoo::build("resnet8:width=2", [3, 8, 8], 4).unwrap(), Compute::flex());
    let by_batch = derivatives(&objective, &solution, BatchNormPolicy::Batch);
    let mut silent = |_: f64| true;
    let refused = [
        ImageHessians::new(&by_batch, &mut silent).err(),
        gradient_samples(&by_batch, FEW, 1, &mut |_| true).err(),
        by_batch.statistics().err(),
    ];
    for error in refused {
        let text = error.map(|error| error.to_string()).unwrap_or_default();
        assert!(
            text.contains("--bn = batch") && text.contains("running or recompute"),
            "{text}"
        );
    }
    let (objective, solution) = few_images(zoo::build("mlp:5x4", [2, 3, 3], 4).unwrap(), Compute::flex());
    // Without batch norm the policies are one.
    let derivatives = derivatives(&objective, &solution, BatchNormPolicy::Batch);
    let vectors = vector(objective.graph(), 3).repeat(FEW);
    let all: Vec<usize> = (0..FEW).collect();
    let ask = |images: &[usize], vectors: &[f32]| derivatives.image_hessian_vectors(images, vectors, &mut |_| true);
    assert!(ask(&all, &vectors).is_ok());
    let mut endless = vectors.clone();
    endless[5] = f32::NAN;
    for (images, vectors, part) in [
        (&all[1..], &vectors, "18 images take as many vectors"),
        (
            &[FEW][..],
            &vectors[..vectors.len() / FEW].to_vec(),
            "no image 19 among the 19",
        ),
        (&all[..], &endless, "holds NaN"),
    ] {
        let text = ask(images, vectors).unwrap_err().to_string();
        assert!(text.contains(part), "{text}");
    }
    let mut shares = Vec::new();
    let stopped = derivatives.image_hessian_vectors(&all, &vectors, &mut |share| {
        shares.push(share);
        shares.len() < 2
    });
    assert!(
        matches!(stopped, Err(Error::Cancelled)) && shares == [16.0 / 19.0, 1.0],
        "{shares:?}"
    );
    for (count, batch) in [(1, 1), (FEW + 1, 1), (2, 0), (3, 8)] {
        assert!(
            gradient_samples(&derivatives, count, batch, &mut |_| true).is_err(),
            "{count} of {batch}"
        );
    }
}

// Gradients.

#[test]
fn the_trace_of_a_covariance_is_the_mean_square_without_the_squared_mean() {
    for model in ["mlp:5x4", "resnet8:width=2"] {
        for compute in [Compute::flex(), Compute::cpu()] {
            for policy in [BatchNormPolicy::Running, BatchNormPolicy::Recompute] {
                let what = format!("{model}, {compute:?}, {policy}");
                let (objective, solution) = few_images(zoo::build(model, [3, 8, 8], 4).unwrap(), compute.clone());
                let derivatives = derivatives(&objective, &solution, policy);
                let constants = Solution {
                    parameters: solution.parameters.clone(),
                    statistics: derivatives.statistics().unwrap().to_vec(),
                };
                let gradients = objective.image_gradients(&constants, Part::Train, 0..FEW).unwrap();
                let rows: Vec<Vec<f64>> = gradients.chunks(solution.parameters.len()).map(doubles).collect();
                for batch in [1, 4] {
                    let count = FEW / batch;
                    let batches: Vec<Vec<f64>> = rows.chunks_exact(batch).map(mean).collect();
                    let square = batches.iter().map(|row| norm(row).powi(2)).sum::<f64>() / count as f64;
                    let mean = mean(&batches);
                    let mut progress = |_: f64| true;
                    let mut samples = gradient_samples(&derivatives, count, batch, &mut progress).unwrap();
                    let found = Covariance::new(&mut samples, 0, &mut |_| true).unwrap();
                    let expected = square - norm(&mean).powi(2);
                    assert!(expected > 0.0, "{what}");
                    let off = (found.trace - expected).abs();
                    assert!(
                        off <= ROUNDING * square,
                        "{what}, {batch}: {} instead of {expected}",
                        found.trace
                    );
                    let off = distance(&doubles(&found.mean), &mean);
                    assert!(off <= ROUNDING * square.sqrt(), "{what}, {batch}: {off}");
                    let sum: f64 = found.eigenvalues.iter().sum();
                    assert!((sum - found.trace).abs() <= 1e-9 * square, "{what}, {batch}: {sum}");
                }
            }
        }
    }
}

fn mean(rows: &[Vec<f64>]) -> Vec<f64> {
    let mut mean = vec![0.0; rows[0].len()];
    for row in rows {
        for (mean, x) in mean.iter_mut().zip(row) {
            *mean += x / rows.len() as f64;
        }
    }
    mean
}

#[test]
fn covariances_of_the_command_are_of_the_images_and_batches_asked_for() {
    let fixture = Fixture::new();
    let record = fixture.measured("--eigenvalues 3 --covariance 20 --batch-size 5");
    let covariances = record["covariances"].as_array().unwrap();
    let derivatives = fixture.derivatives();
    assert_eq!(covariances.len(), 2);
    for (covariance, (count, batch)) in covariances.iter().zip([(20, 1), (4, 5)]) {
        assert_eq!(covariance["batch_size"], batch);
        assert_eq!(covariance["gradients"], count);
        let mut progress = |_: f64| true;
        let mut samples = gradient_samples(&derivatives, count, batch, &mut progress).unwrap();
        let expected = Covariance::new(&mut samples, 0, &mut |_| true).unwrap();
        let trace = number(&covariance["trace"]);
        assert!((trace / expected.trace - 1.0).abs() < 1e-9, "{trace}");
        let length = norm(&doubles(&expected.mean));
        assert!((number(&covariance["mean_length"]) / length - 1.0).abs() < 1e-9);
        let eigenvalues = covariance["eigenvalues"].as_array().unwrap();
        assert_eq!(eigenvalues.len(), 3);
    }
}

// Non-uniformity and stability.

/// Hᵢ of every image.
fn dense_images(fixture: &Fixture) -> Vec<DMatrix<f64>> {
    let derivatives = fixture.derivatives();
    let all: Vec<usize> = (0..IMAGES).collect();
    let columns: Vec<Vec<f64>> = (0..PARAMETERS)
        .map(|index| {
            let mut unit = vec![0.0; PARAMETERS];
            unit[index] = 1.0;
            let progress = &mut |_: f64| true;
            let products = derivatives.image_hessian_vectors(&all, &unit.repeat(IMAGES), progress);
            doubles(&products.unwrap())
        })
        .collect();
    let hessian = |image: usize| {
        let entry = |row: usize, column: usize| columns[column][image * PARAMETERS + row];
        DMatrix::from_fn(PARAMETERS, PARAMETERS, |i, j| 0.5 * (entry(i, j) + entry(j, i)))
    };
    (0..IMAGES).map(hessian).collect()
}

/// λ_max of (n − 1)/((m − 1)·n) Σ (Hᵢ − H̄)² over m of n images.
fn largest_of_covariance(hessians: &[DMatrix<f64>], images: &[usize]) -> f64 {
    let (taken, all) = (images.len() as f64, hessians.len() as f64);
    let zero = DMatrix::<f64>::zeros(PARAMETERS, PARAMETERS);
    let sum = images.iter().fold(zero.clone(), |sum, &image| sum + &hessians[image]);
    let mean = sum / taken;
    let squares = images.iter().fold(zero, |sum, &image| {
        let deviation = &hessians[image] - &mean;
        sum + &deviation * &deviation
    });
    falling(&(squares * ((all - 1.0) / ((taken - 1.0) * all))))[0]
}

#[test]
fn the_non_uniformity_is_that_of_the_dense_matrices() {
    let fixture = Fixture::new();
    let hessians = dense_images(&fixture);
    let all: Vec<usize> = (0..IMAGES).collect();
    let exact = largest_of_covariance(&hessians, &all);
    let words = "--eigenvalues 1 --tolerance 1e-5 --non-uniformity";
    let record = fixture.measured(words);
    let found = &record["non_uniformity"];
    let value = number(&found["measured"]["value"]);
    // The tolerance and roundings of two products, as shares of λ_max, of which s has half.
    let near = |value: f64, expected: f64| (value / expected - 1.0).abs() < 1e-4;
    assert!(near(value, exact.sqrt()), "{value} instead of {}", exact.sqrt());
    assert_eq!(found["images"], IMAGES);
    assert!(found["measured"]["standard_error"].is_null(), "{found}");
    // Four sets of three, drawn with the seed.
    let order = Random::new(7, Purpose::Subset, 0).permutation(IMAGES);
    let squares: Vec<f64> = order
        .chunks(3)
        .take(4)
        .map(|set| largest_of_covariance(&hessians, set))
        .collect();
    let mean = squares.iter().sum::<f64>() / 4.0;
    let record = fixture.measured(&format!("{words} 13 --seed 7"));
    let found = &record["non_uniformity"];
    let value = number(&found["measured"]["value"]);
    assert!(near(value, mean.sqrt()), "{value} instead of {}", mean.sqrt());
    let variance: f64 = squares.iter().map(|square| (square - mean).powi(2)).sum::<f64>() / 12.0;
    let error = number(&found["measured"]["standard_error"]);
    assert!(
        (error / (variance.sqrt() / (2.0 * mean.sqrt())) - 1.0).abs() < 1e-2,
        "{error}"
    );
    assert_eq!(found["images"], 3);
    assert_eq!(found["measured"]["squared"]["samples"], 4);
}

#[test]
fn stability_is_read_off_the_bounds() {
    let fixture = Fixture::new();
    let sharpness = falling(&dense_hessian(&fixture))[0];
    // Half of the largest learning rate that the sharpness allows, and twice.
    for (share, stays) in [(0.5, true), (2.0, false)] {
        let rate = share * 2.0 / sharpness;
        let record = fixture.measured(&format!("--non-uniformity --learning-rate {rate} --batch-size 4"));
        let stability = &record["stability"];
        assert_eq!(stability["sharpness_within"], stays, "{stability}");
        assert!((number(&stability["sharpness_bound"]) * rate / 2.0 - 1.0).abs() < 1e-12);
        let bound = (4.0 * 23.0 / 20.0_f64).sqrt() / rate;
        assert!((number(&stability["non_uniformity_bound"]) / bound - 1.0).abs() < 1e-12);
        let spread = number(&record["non_uniformity"]["measured"]["value"]);
        // Of all images at once there is none.
        let error = record["non_uniformity"]["measured"]["standard_error"]
            .as_f64()
            .unwrap_or(0.0);
        let within = ((spread - bound).abs() >= error).then_some(spread <= bound);
        assert_eq!(stability["non_uniformity_within"], serde_json::json!(within));
        assert_eq!(stability["samples"], IMAGES);
        let words = format!("--learning-rate {rate} --batch-size 4");
        let said = succeed(&command(&words), fixture.path());
        assert_eq!(said.contains("SGD may stay"), stays, "{said}");
        assert_eq!(said.contains("SGD leave"), !stays, "{said}");
        assert!(said.contains("--non-uniformity"), "{said}");
    }
}

// Files.

#[test]
fn a_document_says_how_it_was_made_and_a_text_says_the_same_numbers() {
    let fixture = Fixture::new();
    let words = "--samples 20 --part test --bn recompute --evaluation-batch 7 --seed 5 --eigenvalues 2";
    let record = fixture.measured(words);
    let provenance = &record["provenance"];
    for (key, expected) in [
        ("model", "mlp:3"),
        ("data", "safetensors:data.safetensors"),
        ("origin", "point.safetensors"),
        ("line", "hessian of the test loss"),
        ("batch_norm", "recompute"),
        ("device", "flex (CPU)"),
        ("version", env!("CARGO_PKG_VERSION")),
    ] {
        assert_eq!(provenance[key], expected, "{key}");
    }
    for (key, expected) in [("batch_size", 7), ("train_images", 0), ("test_images", 20)] {
        assert_eq!(provenance[key], expected, "{key}");
    }
    for (key, expected) in [("samples", 20), ("parameters", PARAMETERS), ("seed", 5)] {
        assert_eq!(record[key], expected, "{key}");
    }
    assert_eq!(record["part"], "test");
    let (part, policy, nowhere) = (Part::Test, BatchNormPolicy::Running, [0.0; PARAMETERS]);
    let (loss, _) = fixture
        .objective
        .slope(&fixture.solution, &nowhere, policy, part, 20)
        .unwrap();
    assert!((number(&record["loss"]) / loss - 1.0).abs() < ROUNDING);
    let text = succeed(&command(words), fixture.path());
    assert!(
        text.contains("sharpness       a = ") && text.contains("over 20 test images"),
        "{text}"
    );
    assert_eq!(fixture.measured(words), record, "the same seed gives the same numbers");
}

#[test]
fn files_hold_the_density_the_eigenvalues_and_the_whole_record() {
    let fixture = Fixture::new();
    let path = fixture.path();
    let words = "--eigenvalues 3 --smallest 2 --density --out d.csv --out d.png --out d.svg --out all.json";
    let said = succeed(&command(words), path);
    for name in ["d.csv", "d.png", "d.svg", "all.json"] {
        assert!(said.contains(&format!("written: {name}")), "{said}");
    }
    let read = |name: &str| std::fs::read_to_string(path.join(name)).unwrap();
    let record: Value = serde_json::from_str(&read("all.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&read("d.json")).unwrap(), record);
    let grid = record["density"]["smoothed"]["grid"].as_array().unwrap();
    let table = read("d.csv");
    assert_eq!(table.lines().next(), Some("eigenvalue,density,standard_error"));
    assert_eq!(table.lines().count(), 1 + grid.len());
    let (row, _) = table.lines().nth(7).unwrap().split_once(',').unwrap();
    let row: f64 = row.parse().unwrap();
    assert!((row - number(&grid[6])).abs() <= 1e-12 * row.abs());
    let image = image::open(path.join("d.png")).unwrap().to_rgb8();
    assert!(
        image.pixels().filter(|p| p.0 == [0, 114, 178]).count() > 300,
        "the density's blue"
    );
    assert!(read("d.svg").contains("Eigenvalues of the hessian of the train loss"));
    succeed(&command("--eigenvalues 3 --smallest 2 --out e.csv"), path);
    let table = read("e.csv");
    let ends: Vec<&str> = table.lines().map(|line| line.split(',').next().unwrap()).collect();
    assert_eq!(ends, ["end", "largest", "largest", "largest", "smallest", "smallest"]);
}

#[test]
fn saved_eigenvectors_are_directions() {
    let fixture = Fixture::new();
    let path = fixture.path();
    let record = fixture.measured("--eigenvalues 3 --smallest 1 --tolerance 1e-5 --save-eigenvectors e.safetensors");
    let derivatives = fixture.derivatives();
    let graph = fixture.objective.graph();
    let read = |key: &str| {
        let name = format!("{}{key}", path.join("e.safetensors").display());
        direction_file::read(&Reference::from(name.as_str()), graph)
    };
    let (largest, smallest) = (pairs(&record, "largest"), pairs(&record, "smallest"));
    let scale = largest[0].0.abs().max(smallest[0].0.abs());
    for (key, (value, residual)) in [
        ("", largest[0]),
        ("::1", largest[0]),
        ("::2", largest[1]),
        ("::3", largest[2]),
        ("::smallest-1", smallest[0]),
    ] {
        let vector = read(key).unwrap();
        let product = doubles(&derivatives.hessian_vector(&vector, &mut |_| true).unwrap());
        let scaled: Vec<f64> = doubles(&vector).iter().map(|v| value * v).collect();
        let off = distance(&product, &scaled);
        // The program computed the same product.
        assert!((off - residual).abs() <= 1e-6 * scale, "{key}: {off} and {residual}");
        assert!((norm(&doubles(&vector)) - 1.0).abs() < 1e-6, "{key}");
    }
    let missing = read("::9").unwrap_err().to_string();
    assert!(
        missing.contains("no direction `direction.9`") && missing.contains("`direction.3`"),
        "{missing}"
    );
    let line = "line --device flex --checkpoint point.safetensors --points 3 --json --direction file:e.safetensors::2";
    let line: Value = serde_json::from_str(&succeed(line, path)).unwrap();
    assert_eq!(line["label"], "file e.safetensors::2");
    assert_eq!(line["curve"]["values"].as_array().unwrap().len(), 3);
    // It is no checkpoint, and says how it was made.
    let info: Value = serde_json::from_str(&succeed("info e.safetensors --json", path)).unwrap();
    assert_eq!(info["provenance"]["model"], MODEL);
    let kept = number(&info["provenance"]["largest"][1]);
    assert!((kept / largest[1].0 - 1.0).abs() < 1e-12, "{kept}");
}

// What cannot be measured.

#[test]
fn bad_usage_is_told_before_anything_is_read_and_ends_with_2() {
    let folder = tempfile::tempdir().unwrap();
    for (words, expected) in [
        ("--eigenvalues 0", "--eigenvalues = 0 is not allowed"),
        ("--eigenvalues 1001", "from 1 to 1000"),
        ("--trace 0", "--trace = 0"),
        ("--samples 0", "--samples = 0"),
        ("--steps 0", "--steps = 0"),
        ("--evaluation-batch 0", "--evaluation-batch = 0"),
        ("--tolerance 0", "--tolerance = 0"),
        ("--tolerance 1", "from 0.000001"),
        ("--tolerance nan", "--tolerance = NaN"),
        ("--learning-rate 0.1", "--batch-size"),
        (
            "--learning-rate 0 --batch-size 4",
            "--learning-rate = 0 is not allowed: it must be above 0",
        ),
        ("--learning-rate -0.5 --batch-size 4", "--learning-rate = -0.5"),
        ("--learning-rate inf --batch-size 4", "--learning-rate = inf"),
        ("--learning-rate 0.1 --batch-size 0", "--batch-size = 0"),
        (
            "--learning-rate 0.1 --batch-size 4 --part test",
            "leave out --part test",
        ),
        (
            "--learning-rate 0.1 --batch-size 4 --matrix gauss-newton",
            "leave out --matrix gauss-newton",
        ),
        ("--batch-size 4", "belongs to --learning-rate or --covariance"),
        ("--out x.pdf", "must end in one of .json, .csv, .png, .svg"),
        ("--out x.png", "ask for it with --density"),
        ("--density --out x.png --size 50x50", "100 to 16384 pixels"),
        ("--save-eigenvectors x.pt", "must end in .safetensors"),
        ("--matrix fisher", "gauss-newton"),
        ("--part validation", "train, test"),
    ] {
        let (message, code) = fail(&format!("curvature --checkpoint nowhere.pt {words}"), folder.path());
        assert_eq!(code, 2, "{words}: {message}");
        assert!(message.contains(expected), "{words}: {message}");
    }
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        0,
        "nothing was written"
    );
}

#[test]
fn what_does_not_fit_the_point_or_the_data_is_told_in_one_line_and_ends_with_2() {
    let plain = Fixture::new();
    for (words, expected) in [
        (
            "--learning-rate 0.1 --batch-size 25",
            "--batch-size = 25 is not allowed: give 1 to 24",
        ),
        ("--covariance --batch-size 13", "--batch-size = 13"),
        ("--covariance 25", "from 2 to 24 of these 24 images"),
        ("--covariance --samples 1", "--samples = 1"),
        (
            "--non-uniformity 7",
            "give 8 at least, for 4 sets of two, or 24 for all",
        ),
        ("--eigenvalues 20 --steps 5", "--steps = 5"),
    ] {
        let (message, code) = fail(&command(words), plain.path());
        assert_eq!(code, 2, "{words}: {message}");
        let last = message.lines().last().unwrap();
        assert!(
            last.starts_with("valleyscope: ") && last.contains(expected),
            "{words}: {message}"
        );
    }
    let normalised = Fixture::of("resnet8:width=2", [3, 8, 8], |_| {});
    for words in ["--bn batch --non-uniformity", "--bn batch --covariance"] {
        let (message, code) = fail(&command(words), normalised.path());
        assert_eq!(code, 2, "{words}: {message}");
        assert!(
            message.contains("--bn = batch") && message.contains("running or recompute"),
            "{message}"
        );
    }
    // The mean loss itself has a Hessian under every policy.
    for policy in BatchNormPolicy::ALL {
        let record = normalised.measured(&format!("--bn {policy} --eigenvalues 1 --evaluation-batch 12"));
        assert_eq!(record["spectrum"]["largest"].as_array().unwrap().len(), 1, "{policy}");
    }
}

#[test]
fn a_diverged_point_is_refused_in_one_line() {
    let lost = Fixture::of(MODEL, SHAPE, |solution| solution.parameters[3] = f32::NAN);
    let far = Fixture::of(MODEL, SHAPE, |solution| {
        solution.parameters.iter_mut().for_each(|w| *w *= 1e30);
    });
    for (fixture, expected) in [
        (lost, "this network has diverged"),
        (far, "the training has diverged here"),
    ] {
        let (message, code) = fail(&command("--eigenvalues 1"), fixture.path());
        assert_eq!(code, 1, "{message}");
        let last = message.lines().last().unwrap();
        assert!(
            last.starts_with("valleyscope: ") && last.contains(expected),
            "{message}"
        );
    }
    let nameless = Fixture::new();
    let graph = nameless.objective.graph();
    NamedTensors::of_solution(graph, &nameless.solution)
        .write(&nameless.path().join("point.safetensors"), "{\"model\": \"mlp:3\"}")
        .unwrap();
    let (message, code) = fail(&command(""), nameless.path());
    assert!(code == 1 && message.contains("give --data"), "{message}");
}

#[cfg(unix)]
#[test]
fn stopped_by_ctrl_c_it_says_what_is_known_by_then() {
    use std::io::{BufRead, BufReader};
    use std::process::Stdio;
    let folder = tempfile::tempdir().unwrap();
    let graph = zoo::build("resnet8:width=2", [3, 16, 16], 10).unwrap();
    let point = folder.path().join("point.safetensors");
    NamedTensors::of_solution(&graph, &hashed::solution(&graph, 1))
        .write(&point, "{\"model\": \"resnet8:width=2\"}")
        .unwrap();
    // Far more work than is done by the first word on progress, a second later.
    let words = command("--data builtin:train=400:test=20 --eigenvalues 100 --tolerance 1e-6 --out x.csv");
    let mut child = Command::new(env!("CARGO_BIN_EXE_valleyscope"))
        .args(words.split_whitespace())
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut errors = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(
        errors.any(|line| line.starts_with("eigenvalues")),
        "it was done too soon"
    );
    let kill = format!("kill -INT {}", child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    let said: Vec<String> = errors.collect();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{said:?}");
    assert_eq!(said.last().map(String::as_str), Some("valleyscope: cancelled"));
    assert!(
        said.iter().any(|line| line.starts_with("note: what is printed holds")),
        "{said:?}"
    );
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("stopped after") && text.contains("estimated residuals"),
        "{text}"
    );
    assert!(!folder.path().join("x.csv").exists());
}
