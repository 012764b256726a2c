//! Every family of the zoo against PyTorch: names, shapes and counts of the state dict, and full-size networks' logits,
//! losses, accuracies and gradients. Weights, statistics and images come from an integer hash that
//! tests/reference/make_models.py computes to the same bits, so that only numbers have to be kept.

mod common;

use std::sync::Arc;

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use serde_json::Value;
use valleyscope::data::{Dataset, Part};
use valleyscope::experiment::hashed;
use valleyscope::landscape::Line;
use valleyscope::network::Loss;
use valleyscope::network::forward::{self, Images, Leaves, Normaliser};
use valleyscope::network::graph::Shape;
use valleyscope::network::zoo::{self, Shapes, fitting};
use valleyscope::network::{Graph, Role};
use valleyscope::objective::{BatchNormPolicy, Compute, Objective, Solution};

/// Relative error allowed on a loss. PyTorch's own 32-bit losses are within 1e-6 of the reference, which is in 64 bits;
/// the aim is 1e-4.
const LOSS_TOLERANCE: f64 = 1e-5;
/// Error allowed on a logit: they are of the size of 1 and lie, under `recompute`, 0.01 to 0.1 apart between images.
const LOGIT_TOLERANCE: f64 = 2e-5;
/// Error allowed in double precision, on a loss and on a gradient's norm and its product with a random vector: sums in
/// another order.
const EXACT_TOLERANCE: f64 = 1e-7;
/// The same on a 32-bit gradient's norm and product with the vector, relative to the norm. Deep networks under
/// `recompute` and `batch` normalise activations whose differences are small, and a ReLU that rounding puts on the other
/// side of zero is carried through all layers before it: PyTorch's own 32-bit gradients are off by up to 2e-3 in norm
/// and 1e-2 along the vector. What the network computes is checked in double precision.
const DEEP_GRADIENT_TOLERANCE: (f64, f64) = (5e-3, 5e-2);
/// Without normalised depth, gradients agree nearly as losses do.
const GRADIENT_TOLERANCE: (f64, f64) = (2e-5, 2e-4);

fn models() -> Value {
    common::json("models.json")
}

fn input(record: &Value) -> Shape {
    let side = |i: usize| record["input"][i].as_u64().unwrap() as usize;
    [side(0), side(1), side(2)]
}

fn graph(record: &Value) -> Graph {
    let classes = record["classes"].as_u64().unwrap() as usize;
    zoo::build(record["model"].as_str().unwrap(), input(record), classes).unwrap()
}

fn solution(graph: &Graph, seed: u64) -> Solution {
    hashed::solution(graph, seed)
}

fn data(record: &Value, train: usize, test: usize) -> Dataset {
    let classes = record["classes"].as_u64().unwrap() as usize;
    hashed::dataset(input(record), classes, train, test)
}

fn close(what: &str, ours: f64, theirs: &Value, tolerance: f64) {
    let theirs = theirs.as_f64().unwrap();
    assert!(
        (ours - theirs).abs() <= tolerance,
        "{what}: {ours} instead of {theirs}, allowed {tolerance:.1e}"
    );
}

#[test]
fn names_shapes_and_counts_are_pytorchs() {
    let models = models();
    for record in models["networks"].as_array().unwrap() {
        let (graph, name) = (graph(record), &record["model"]);
        let theirs: Vec<(String, Vec<usize>)> = serde_json::from_value(record["parameters"].clone()).unwrap();
        let ours: Vec<(String, Vec<usize>)> = graph
            .parameters
            .iter()
            .map(|p| (p.name.clone(), p.shape.clone()))
            .collect();
        assert_eq!(ours, theirs, "{name}");
    }
    for record in models["counts"].as_array().unwrap() {
        let count = record["count"].as_u64().unwrap() as usize;
        assert_eq!(graph(record).parameter_count(), count, "{}", record["model"]);
    }
}

#[test]
fn counts_are_those_the_papers_print() {
    for (model, input, classes, count) in [
        ("fnn", [1, 28, 28], 10, 898_510),
        ("vgg-small", [3, 32, 32], 2, 71_410),
        ("lenet", [1, 28, 28], 10, 11_330),
        ("vgg11", [3, 32, 32], 10, 9_750_922),
        ("densenet-bc-100", [3, 32, 32], 10, 769_162),
        ("densenet-40", [3, 32, 32], 10, 1_019_722),
    ] {
        let graph = zoo::build(model, input, classes).unwrap();
        assert_eq!(graph.parameter_count(), count, "{model}");
    }
    // "1.41 % batch-norm parameters" (Asymmetric Valleys, §6), for their ResNet-110, the bottleneck PreResNet.
    let graph = zoo::build("preresnet110", [3, 32, 32], 10).unwrap();
    let share = graph.batch_norm_parameter_count() as f64 / graph.parameter_count() as f64;
    assert!((share - 0.0141).abs() < 5e-5, "{share}");
}

#[test]
fn full_size_networks_agree_with_pytorch() {
    let models = models();
    let count = |key: &str| models[key].as_u64().unwrap() as usize;
    for record in models["networks"].as_array().unwrap() {
        let name = format!("{} on {}", record["model"].as_str().unwrap(), record["input"]);
        let graph = Arc::new(graph(record));
        let data = Arc::new(data(record, count("train"), count("test")));
        let (origin, to) = (Arc::new(solution(&graph, 1)), Arc::new(solution(&graph, 2)));
        let on = |compute| Objective::new(graph.clone(), data.clone(), compute, count("batch_size")).unwrap();
        let objective = on(Compute::flex());
        let recomputed = objective.recompute_statistics(&origin.parameters).unwrap();
        for (key, statistics) in [("logits", &origin.statistics), ("logits_recompute", &recomputed)] {
            let rows = logits(&objective, &origin.parameters, statistics);
            for (row, theirs) in rows.iter().zip(record[key].as_array().unwrap()) {
                for (ours, theirs) in row.iter().zip(theirs.as_array().unwrap()) {
                    close(&format!("{name}: {key}"), f64::from(*ours), theirs, LOGIT_TOLERANCE);
                }
            }
        }
        for objective in [objective, on(Compute::cpu())] {
            let name = format!("{name}, {}", objective.device_name());
            agree_everywhere(&name, &objective, &origin, &to, record);
        }
    }
}

/// Losses, accuracies and gradients under all policies, and losses along the line from `origin` to `to`.
fn agree_everywhere(name: &str, objective: &Objective, origin: &Arc<Solution>, to: &Arc<Solution>, record: &Value) {
    let graph = objective.graph();
    for policy in BatchNormPolicy::ALL {
        let theirs = &record["policies"][policy.name()];
        let what = format!("{name}, {policy}");
        let measured = objective
            .evaluate(&origin.parameters, &origin.statistics, policy)
            .unwrap()[0];
        agree(&what, measured, theirs);
        let (_, gradient) = objective.gradient(origin, policy, Part::Train).unwrap();
        let gradient: Vec<f64> = gradient.into_iter().map(f64::from).collect();
        let (norm, along) = norm_and_product(graph, &gradient);
        let deep = graph.batch_norm_layers.len() > 10;
        let tolerance = match deep && policy != BatchNormPolicy::Running {
            true => DEEP_GRADIENT_TOLERANCE,
            false => GRADIENT_TOLERANCE,
        };
        let scale = theirs["gradient_norm"].as_f64().unwrap();
        close(
            &format!("{what}: gradient norm"),
            norm,
            &theirs["gradient_norm"],
            tolerance.0 * scale,
        );
        close(
            &format!("{what}: gradient along a vector"),
            along,
            &theirs["gradient_along"],
            tolerance.1 * scale,
        );
    }
    let line = Line::segment(origin.clone(), to.clone());
    for point in record["line"].as_array().unwrap() {
        let position = point["position"].as_f64().unwrap();
        let measured = objective
            .evaluate(&line.point(position), &origin.statistics, BatchNormPolicy::Recompute)
            .unwrap()[0];
        agree(&format!("{name} at {position}"), measured, point);
    }
}

/// Mean training loss and its gradient, all in double precision, batch by batch.
fn exact(objective: &Objective, solution: &Solution, policy: BatchNormPolicy) -> (f64, Vec<f64>) {
    let device = Device::flex();
    let graph = objective.graph();
    let doubles = |values: &[f32]| values.iter().map(|&v| f64::from(v)).collect::<Vec<f64>>();
    let tensor = |values: &[f32]| -> Tensor<2> {
        Tensor::from_data(
            TensorData::new(doubles(values), [1, values.len()]),
            (&device, DType::F64),
        )
    };
    let [channels, height, width] = objective.data().shape;
    let split = &objective.data().train;
    let (mut loss, mut gradient) = (0.0, vec![0.0; graph.parameter_count()]);
    for range in objective.batches(Part::Train, usize::MAX) {
        let weight = range.len() as f64 / split.len() as f64;
        let mut images = Vec::new();
        objective.data().push_images(Part::Train, range.clone(), &mut images);
        let images = TensorData::new(doubles(&images), [range.len(), channels, height, width]);
        let images: Tensor<4> = Tensor::from_data(images, (&device, DType::F64));
        let labels: Vec<i64> = split.labels[range.clone()].iter().map(|&l| i64::from(l)).collect();
        let labels = TensorData::new(labels, [range.len()]);
        let labels: Tensor<1, Int> = Tensor::from_data(labels, (&device, DType::I64));
        let leaves = Leaves::new(graph, &tensor(&solution.parameters)).tracked();
        let statistics = tensor(&solution.statistics).autodiff();
        let normaliser = match policy {
            BatchNormPolicy::Batch => Normaliser::Batch,
            _ => Normaliser::Statistics(&statistics),
        };
        let pass = forward::forward(graph, &leaves, Images::Shared(images.autodiff()), normaliser);
        let mean = graph.loss.of(pass.logits, labels.autodiff()).mean();
        loss += weight * mean.clone().inner().into_data().try_to_vec::<f64>().unwrap()[0];
        let values = leaves.gradient(&mut mean.backward()).into_data();
        for (sum, value) in gradient.iter_mut().zip(values.try_to_vec::<f64>().unwrap()) {
            *sum += weight * value;
        }
    }
    (loss, gradient)
}

/// A gradient's norm, and its product with the vector of seed 3.
fn norm_and_product(graph: &Graph, gradient: &[f64]) -> (f64, f64) {
    let norm = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
    let product = graph
        .parameters
        .iter()
        .map(|p| {
            let vector = hashed::hashed(&p.name, 3, p.size());
            gradient[p.range()].iter().zip(vector).map(|(g, u)| g * u).sum::<f64>()
        })
        .sum();
    (norm, product)
}

#[test]
fn in_double_precision_losses_and_gradients_are_pytorchs() {
    let models = models();
    let count = |key: &str| models[key].as_u64().unwrap() as usize;
    for record in models["networks"].as_array().unwrap() {
        let graph = Arc::new(graph(record));
        let data = Arc::new(data(record, count("train"), count("test")));
        let objective = Objective::new(graph.clone(), data, Compute::flex(), count("batch_size")).unwrap();
        let solution = solution(&graph, 1);
        for policy in [BatchNormPolicy::Running, BatchNormPolicy::Batch] {
            let theirs = &record["policies"][policy.name()];
            let what = format!("{} on {}, {policy}, in 64 bits", record["model"], record["input"]);
            let (loss, gradient) = exact(&objective, &solution, policy);
            close(&format!("{what}: loss"), loss, &theirs["train_loss"], EXACT_TOLERANCE);
            let (norm, product) = norm_and_product(&graph, &gradient);
            let tolerance = EXACT_TOLERANCE * theirs["gradient_norm"].as_f64().unwrap();
            close(
                &format!("{what}: gradient norm"),
                norm,
                &theirs["gradient_norm"],
                tolerance,
            );
            close(
                &format!("{what}: gradient"),
                product,
                &theirs["gradient_along"],
                tolerance,
            );
        }
    }
}

fn agree(what: &str, measured: valleyscope::objective::Measurement, theirs: &Value) {
    for (part, quality) in [("train", measured.train), ("test", measured.test)] {
        let loss = &theirs[format!("{part}_loss")];
        let tolerance = LOSS_TOLERANCE * loss.as_f64().unwrap();
        close(&format!("{what}: {part} loss"), quality.loss, loss, tolerance);
        let accuracy = &theirs[format!("{part}_accuracy")];
        close(&format!("{what}: {part} accuracy"), quality.accuracy, accuracy, 1e-9);
    }
}

/// Logits of the test images, one row an image.
fn logits(objective: &Objective, parameters: &[f32], statistics: &[f32]) -> Vec<Vec<f32>> {
    let graph = objective.graph();
    let tensor = |values: &[f32]| -> Tensor<2> {
        let data = TensorData::new(values.to_vec(), [1, values.len()]);
        Tensor::from_data(data, (objective.compute().device(), DType::F32))
    };
    let (images, _) = objective.batch(Part::Test, 0..objective.data().test.len());
    let leaves = Leaves::new(graph, &tensor(parameters));
    let statistics = tensor(statistics);
    let normaliser = Normaliser::Statistics(&statistics);
    let pass = forward::forward(graph, &leaves, Images::Shared(images), normaliser);
    let values: Vec<f32> = pass.logits.into_data().try_to_vec().unwrap();
    values.chunks(graph.classes()).map(<[f32]>::to_vec).collect()
}

#[test]
fn several_points_in_one_pass_are_several_passes() {
    // Concatenation, pooling and padded shortcuts must keep the networks' channels apart.
    for model in [
        "densenet-40",
        "resnet8:width=4:shortcut=padding",
        "resnet8:width=4:shortcut=none",
        "vgg-small",
        "lenet",
        "preresnet8",
        "wrn-10-1",
    ] {
        let record = serde_json::json!({"model": model, "input": [2, 32, 32], "classes": 3});
        let graph = Arc::new(graph(&record));
        let data = Arc::new(data(&record, 4, 3));
        let on = |compute| Objective::new(graph.clone(), data.clone(), compute, 4).unwrap();
        let objectives = [on(Compute::flex()), on(Compute::cpu())];
        let solutions: Vec<Solution> = (1..=3).map(|seed| solution(&graph, seed)).collect();
        let points: Vec<f32> = solutions.iter().flat_map(|s| s.parameters.clone()).collect();
        let policies = objectives
            .iter()
            .flat_map(|o| BatchNormPolicy::ALL.map(|policy| (o, policy)));
        for (objective, policy) in policies {
            let together = objective.evaluate(&points, &solutions[0].statistics, policy).unwrap();
            for (solution, measured) in solutions.iter().zip(together) {
                let alone = objective
                    .evaluate(&solution.parameters, &solutions[0].statistics, policy)
                    .unwrap()[0];
                let difference = (alone.train.loss - measured.train.loss).abs();
                assert!(difference < 1e-5 * alone.train.loss, "{model}, {policy}: {difference}");
            }
        }
    }
}

#[test]
fn a_state_dict_tells_its_network() {
    let models = models();
    for record in models["counts"].as_array().unwrap() {
        let (graph, model) = (graph(record), record["model"].as_str().unwrap());
        let shapes: Shapes = graph.state_dict().into_iter().map(|e| (e.name, e.shape)).collect();
        for known in [None, Some(input(record))] {
            let fits = fitting(&shapes, known);
            let names: Vec<&str> = fits.iter().map(|fit| fit.model.as_str()).collect();
            assert!(names.contains(&model), "{model} is not among {names:?}");
            // The two shortcuts without parameters cannot be told apart by what is in the file.
            let ambiguous = model.contains("shortcut=");
            assert_eq!(names.len(), if ambiguous { 2 } else { 1 }, "{model}: {names:?}");
            let fit = fits.iter().find(|fit| fit.model == model).unwrap();
            assert_eq!((fit.input, fit.classes), (input(record), graph.classes()), "{model}");
        }
        // One entry more or less, or of another shape, and nothing fits.
        let mut more = shapes.clone();
        more.insert("extra.weight".to_owned(), vec![1]);
        assert!(fitting(&more, None).is_empty(), "{model}");
        let mut other = shapes;
        let name = other.keys().next().cloned().unwrap();
        other.insert(name, vec![7, 7, 7]);
        assert!(fitting(&other, None).is_empty(), "{model}");
    }
}

#[test]
fn names_that_do_not_exist_are_explained() {
    for (model, part) in [
        ("preresnet21", "6n+2 up to 44"),
        ("preresnet50", "9n+2 above"),
        ("resnet20:shortcut=left", "shortcut=projection|padding|none"),
        ("vgg12", "vgg11, vgg13"),
        ("vgg16-bn:classifier=two", "classifier=papers|linear"),
        ("densenet-bc-99", "6n+4"),
        ("densenet-40:growth=0", "from 1 to"),
        ("wrn-28", "wrn-28-10"),
        ("wrn-27-10", "6n+4"),
        ("lenet:x=1", "it has none"),
        ("transformer", "no such family"),
        ("wrn-1000-64", "networks of up to"),
    ] {
        let error = zoo::build(model, [3, 32, 32], 10).unwrap_err().to_string();
        assert!(error.contains(part), "{model}: {error}");
    }
    let error = zoo::build("vgg16", [3, 16, 16], 10).unwrap_err().to_string();
    assert!(error.contains("use larger ones"), "{error}");
    let roles: Vec<Role> = zoo::build("wrn-10-1", [3, 8, 8], 2)
        .unwrap()
        .parameters
        .iter()
        .map(|p| p.role)
        .collect();
    assert_eq!(
        roles[..4],
        [
            Role::ConvolutionWeight,
            Role::Bias,
            Role::BatchNormScale,
            Role::BatchNormShift
        ]
    );
}

#[test]
fn a_model_name_chooses_its_loss() {
    let graph = zoo::build("fnn:loss=squared-error", [1, 28, 28], 10).unwrap();
    assert_eq!(
        (graph.loss, Loss::of_model(&graph.name)),
        (Loss::SquaredError, Loss::SquaredError)
    );
    assert_eq!(zoo::build("fnn", [1, 28, 28], 10).unwrap().loss, Loss::CrossEntropy);
    let told = |name| zoo::build(name, [1, 1, 1], 2).unwrap_err().to_string();
    assert!(told("mlp:3:loss=hinge").contains("there are cross-entropy and squared-error"));
    assert!(told("logistic:loss=squared-error").contains("an output for each class"));
}
