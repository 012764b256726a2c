//! Hessians and gradients of single images: their products, and the covariances of their gradients.

use std::sync::Arc;

use valleyscope::checkpoint::Reference;
use valleyscope::curvature::non_uniformity::PerSample;
use valleyscope::curvature::{Covariance, ImageHessians, gradient_samples};
use valleyscope::data::{Dataset, Part, Pixels, Split};
use valleyscope::error::Error;
use valleyscope::experiment::hashed;
use valleyscope::landscape::direction_file;
use valleyscope::network::{Graph, zoo};
use valleyscope::objective::{BatchNormPolicy, Compute, Objective, Solution};

use super::{Fixture, ROUNDING, distance, norm};
use crate::common::derivatives::{derivatives, doubles, vector};
use crate::common::documents::{number, parse};
use crate::common::program::succeed;

/// Images of a library test: more than go together in one pass, and no whole number of batches.
const FEW: usize = 19;
const BATCH: usize = 8;

/// Networks with every kind of layer, and both losses.
fn networks() -> Vec<Graph> {
    [
        ("mlp:5x4", [2, 3, 3]),
        ("mlp:5x4:loss=squared-error", [2, 3, 3]),
        ("lenet", [1, 16, 16]),
        ("resnet8:width=2", [3, 8, 8]),
        ("densenet-bc-10:growth=3", [2, 8, 8]),
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

/// The same Hessians, of which only products are known.
struct OnlyProducts<'a>(ImageHessians<'a>);

impl PerSample for OnlyProducts<'_> {
    fn count(&self) -> usize {
        self.0.count()
    }

    fn dimension(&self) -> usize {
        self.0.dimension()
    }

    fn apply_each(&mut self, samples: &[usize], vectors: &[f32]) -> Result<Vec<f32>, Error> {
        self.0.apply_each(samples, vectors)
    }
}

#[test]
fn the_scatter_of_images_is_that_of_their_products_and_tells_its_share() {
    for graph in networks() {
        let vector = vector(&graph, 3);
        // In no order, and not all.
        let samples: Vec<usize> = (0..FEW - 1).map(|index| (7 * index + 3) % FEW).collect();
        let computes = Compute::cpus().into_iter().chain([Compute::flex()]);
        for compute in computes {
            let (objective, solution) = few_images(graph.clone(), compute);
            let what = format!("{}, {}", graph.name, objective.device_name());
            let derivatives = derivatives(&objective, &solution, BatchNormPolicy::Running);
            let silent = &mut |_: f64| true;
            let mut products = OnlyProducts(ImageHessians::new(&derivatives, silent).unwrap());
            let expected = products.scatter(&samples, &vector).unwrap();
            // The length of what is added up.
            let first = products.apply_each(&samples, &vector.repeat(samples.len())).unwrap();
            let rows: Vec<Vec<f64>> = first.chunks(vector.len()).map(doubles).collect();
            let mean = mean(&rows);
            let deviations = rows
                .iter()
                .flat_map(|row| row.iter().zip(&mean).map(|(x, mean)| (x - mean) as f32));
            let second = doubles(
                &products
                    .apply_each(&samples, &deviations.collect::<Vec<f32>>())
                    .unwrap(),
            );
            let scale: f64 = second.chunks(vector.len()).map(norm).sum();
            let mut shares = Vec::new();
            let mut tell = |share: f64| {
                shares.push(share);
                true
            };
            let mut hessians = ImageHessians::new(&derivatives, &mut tell).unwrap();
            let found = hessians.scatter(&samples, &vector).unwrap();
            let off = distance(&found, &expected);
            assert!(off <= 2.0 * ROUNDING * scale, "{what}: {off} of {scale}");
            assert!(
                norm(&expected) > 100.0 * ROUNDING * scale,
                "{what}: {} of {scale}",
                norm(&expected)
            );
            assert!(shares.is_sorted() && shares[0] > 0.0, "{what}: {shares:?}");
            let whole = shares.iter().filter(|&&share| share >= 1.0).count();
            assert_eq!((whole, shares.last()), (1, Some(&1.0)), "{what}: {shares:?}");
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

#[test]
fn saved_noise_is_directions_along_which_the_gradients_vary_by_their_eigenvalues() {
    let fixture = Fixture::new();
    let record = fixture.measured("--eigenvalues 3 --covariance 20 --batch-size 5 --save-noise n.safetensors");
    let graph = fixture.objective.graph();
    let gradients = fixture
        .objective
        .image_gradients(&fixture.solution, Part::Train, 0..20)
        .unwrap();
    let rows: Vec<Vec<f64>> = gradients.chunks(graph.parameter_count()).map(doubles).collect();
    let name = fixture.path().join("n.safetensors").display().to_string();
    let covariances = record["covariances"].as_array().unwrap();
    for (covariance, (prefix, batch)) in covariances.iter().zip([("", 1), ("batch-", 5)]) {
        let batches: Vec<Vec<f64>> = rows.chunks_exact(batch).map(mean).collect();
        let total = number(&covariance["trace"]);
        for (index, value) in covariance["eigenvalues"].as_array().unwrap().iter().enumerate() {
            let key = format!("{name}::{prefix}{}", index + 1);
            let vector = doubles(&direction_file::read(&Reference::from(key.as_str()), graph).unwrap());
            assert!((norm(&vector) - 1.0).abs() < 1e-6, "{key}");
            let along = |row: &Vec<f64>| row.iter().zip(&vector).map(|(g, v)| g * v).sum::<f64>();
            let along: Vec<f64> = batches.iter().map(along).collect();
            let mean = along.iter().sum::<f64>() / along.len() as f64;
            let variance = along.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / along.len() as f64;
            let off = (variance - number(value)).abs();
            assert!(off <= ROUNDING * total, "{key}: {variance} instead of {value}");
        }
    }
    let info = parse(&succeed("info n.safetensors --json", fixture.path()));
    assert_eq!(info["provenance"]["batches"]["batch_size"], 5);
}
