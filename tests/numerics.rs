//! The objective against PyTorch's numbers, against central differences in f64, and against itself: many points in
//! one pass, and the graphics device.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use proptest::prelude::*;
use safetensors::SafeTensors;
use valleyscope::data::{Dataset, Part, Pixels, Split};
use valleyscope::network::Loss;
use valleyscope::network::forward::{self, Images, Leaves, Normaliser};
use valleyscope::network::initialisation::initial_parameters;
use valleyscope::network::{Graph, zoo};
use valleyscope::objective::{BatchNormPolicy, Compute, DeviceChoice, Objective, Solution};
use valleyscope::random::{Purpose, Random};
use valleyscope::training::sgd::Sgd;

const NETWORKS: [&str; 3] = ["resnet8_bn", "resnet8_plain", "mlp"];

/// Burn's tensors, and the processor's vectors with every set of instructions that it has.
fn evaluators() -> Vec<Compute> {
    let mut all = vec![Compute::flex()];
    all.extend(Compute::cpus());
    all
}

/// Relative error allowed on a loss. The reference is computed in f64; f32 sums of a few thousand products, through
/// some ten layers, agree to about 1e-6.
const LOSS_TOLERANCE: f64 = 1e-5;

/// Error allowed on a gradient entry, relative to the largest entry of the gradient: f32 rounding accumulates over
/// the backward pass, and entries near zero have no relative accuracy of their own.
const GRADIENT_TOLERANCE: f64 = 2e-5;

fn reference_file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/reference")
        .join(name)
}

struct Reference {
    floats: BTreeMap<String, Vec<f32>>,
    integers: BTreeMap<String, Vec<i64>>,
    shapes: BTreeMap<String, Vec<usize>>,
}

impl Reference {
    fn read(name: &str) -> Self {
        let bytes = std::fs::read(reference_file(name)).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let mut reference = Self {
            floats: BTreeMap::new(),
            integers: BTreeMap::new(),
            shapes: BTreeMap::new(),
        };
        for (name, view) in file.tensors() {
            reference.shapes.insert(name.clone(), view.shape().to_vec());
            match view.dtype() {
                safetensors::Dtype::F32 => {
                    let values = view
                        .data()
                        .chunks_exact(4)
                        .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
                        .collect();
                    reference.floats.insert(name, values);
                }
                safetensors::Dtype::I64 => {
                    let values = view
                        .data()
                        .chunks_exact(8)
                        .map(|b| i64::from_le_bytes(b.try_into().unwrap()))
                        .collect();
                    reference.integers.insert(name, values);
                }
                other => panic!("{name} has type {other:?}"),
            }
        }
        reference
    }

    fn flat(&self, graph: &Graph, prefix: &str) -> Vec<f32> {
        graph
            .parameters
            .iter()
            .flat_map(|p| self.floats[&format!("{prefix}.{}", p.name)].clone())
            .collect()
    }

    fn statistics(&self, graph: &Graph, prefix: &str) -> Vec<f32> {
        graph
            .batch_norm_layers
            .iter()
            .flat_map(|layer| {
                ["running_mean", "running_var"]
                    .map(|kind| self.floats[&format!("{prefix}.{}.{kind}", layer.name)].clone())
            })
            .flatten()
            .collect()
    }

    fn split(&self, part: &str) -> Split {
        Split {
            images: Pixels::Floats(self.floats[&format!("{part}_images")].clone()),
            labels: self.integers[&format!("{part}_labels")]
                .iter()
                .map(|&l| l as u32)
                .collect(),
        }
    }
}

struct Case {
    name: &'static str,
    reference: Reference,
    record: serde_json::Value,
    graph: Arc<Graph>,
    data: Arc<Dataset>,
    solution: Solution,
    batch_size: usize,
}

fn case(name: &'static str) -> Case {
    let reference = Reference::read(&format!("{name}.safetensors"));
    let json = std::fs::read_to_string(reference_file("reference.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let record = json["networks"][name].clone();
    let shape: [usize; 3] = reference.shapes["train_images"][1..].try_into().unwrap();
    let graph = zoo::build(record["model"].as_str().unwrap(), shape, 10).unwrap();
    let data = Dataset {
        name: "reference".into(),
        shape,
        classes: (0..10).map(|c| c.to_string()).collect(),
        train: reference.split("train"),
        test: reference.split("test"),
        ..Dataset::open("two-gaussians").unwrap()
    };
    let solution = Solution {
        parameters: reference.flat(&graph, "parameters"),
        statistics: reference.statistics(&graph, "statistics"),
    };
    Case {
        name,
        record,
        graph: Arc::new(graph),
        data: Arc::new(data),
        solution,
        reference,
        batch_size: json["batch_size"].as_u64().unwrap() as usize,
    }
}

impl Case {
    fn objective(&self, compute: Compute) -> Objective {
        Objective::new(self.graph.clone(), self.data.clone(), compute, self.batch_size).unwrap()
    }

    fn expected(&self, policy: BatchNormPolicy, what: &str) -> f64 {
        self.record["policies"][policy.name()][what].as_f64().unwrap()
    }
}

#[track_caller]
fn assert_close(actual: f64, expected: f64, relative: f64, what: &str) {
    assert!(
        (actual - expected).abs() <= relative * expected.abs(),
        "{what}: {actual} instead of {expected}"
    );
}

#[track_caller]
fn assert_all_close(actual: &[f32], expected: &[f32], relative: f64, what: &str) {
    assert_eq!(actual.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(0.0_f64, |m, v| m.max(f64::from(v.abs())));
    let worst = actual
        .iter()
        .zip(expected)
        .map(|(a, e)| f64::from((a - e).abs()))
        .fold(0.0, f64::max);
    assert!(scale > 0.0, "{what}: the reference is all zero");
    assert!(worst <= relative * scale, "{what}: off by {worst} at scale {scale}");
}

#[test]
fn losses_accuracies_and_gradients_agree_with_pytorch_under_every_policy() {
    for (name, compute) in NETWORKS
        .into_iter()
        .flat_map(|name| evaluators().into_iter().map(move |c| (name, c)))
    {
        let case = case(name);
        let objective = case.objective(compute);
        for policy in BatchNormPolicy::ALL {
            let what = |entry: &str| format!("{name}, {policy}, {}, {entry}", objective.device_name());
            let measured = objective
                .evaluate(&case.solution.parameters, &case.solution.statistics, policy)
                .unwrap()[0];
            for part in Part::BOTH {
                let (loss, accuracy) = (format!("{}_loss", part.name()), format!("{}_accuracy", part.name()));
                assert_close(
                    measured.part(part).loss,
                    case.expected(policy, &loss),
                    LOSS_TOLERANCE,
                    &what(&loss),
                );
                assert_close(
                    measured.part(part).accuracy,
                    case.expected(policy, &accuracy),
                    1e-12,
                    &what(&accuracy),
                );
            }
            let (loss, gradient) = objective.gradient(&case.solution, policy, Part::Train).unwrap();
            assert_close(
                loss,
                measured.train.loss,
                LOSS_TOLERANCE,
                &what("loss beside its gradient"),
            );
            let expected = case.reference.flat(&case.graph, &format!("gradient.{policy}"));
            assert_all_close(&gradient, &expected, GRADIENT_TOLERANCE, &what("gradient"));
        }
    }
}

#[test]
fn recomputed_statistics_agree_with_pytorch() {
    let case = case("resnet8_bn");
    let expected = case.reference.statistics(&case.graph, "recomputed");
    for compute in evaluators() {
        let objective = case.objective(compute);
        let statistics = objective.recompute_statistics(&case.solution.parameters).unwrap();
        assert_all_close(&statistics, &expected, 1e-5, objective.device_name());
    }
}

#[test]
fn the_sgd_step_is_pytorch_s() {
    let reference = Reference::read("sgd.safetensors");
    let mut w = reference.floats["start"].clone();
    let mut sgd = Sgd::new(w.len(), 0.9, 3e-4);
    for (step, gradient) in reference.floats["gradients"].chunks(w.len()).enumerate() {
        sgd.step(&mut w, gradient, if step < 5 { 0.1 } else { 0.05 });
    }
    // Ten steps of a handful of f32 operations each.
    assert_all_close(&w, &reference.floats["end"], 1e-6, "weights after ten steps");
}

/// The first `count` training images, flat.
fn first_images(case: &Case, count: usize) -> Vec<f32> {
    let mut values = Vec::new();
    case.data.push_images(Part::Train, 0..count, &mut values);
    values
}

/// The mean loss of a batch and its gradient, all in f64.
fn f64_loss(case: &Case, points: &[f64], normaliser_batch: bool, gradient: bool) -> (f64, Vec<f64>) {
    let device = Device::flex();
    let split = &case.data.train;
    let [c, h, w] = case.data.shape;
    let options = || (&device, DType::F64);
    let to_f64 = |v: &[f32]| v.iter().map(|&x| f64::from(x)).collect::<Vec<f64>>();
    let count = 6;
    let images = Tensor::<4>::from_data(
        TensorData::new(to_f64(&first_images(case, count)), [count, c, h, w]),
        options(),
    )
    .autodiff();
    let labels: Vec<i64> = split.labels[..count].iter().map(|&l| i64::from(l)).collect();
    let labels = Tensor::<1, Int>::from_data(TensorData::new(labels, [count]), (&device, DType::I64)).autodiff();
    let parameters = Tensor::<2>::from_data(TensorData::new(points.to_vec(), [1, points.len()]), options());
    let statistics = Tensor::<2>::from_data(
        TensorData::new(to_f64(&case.solution.statistics), [1, case.solution.statistics.len()]),
        options(),
    )
    .autodiff();
    let leaves = Leaves::new(&case.graph, &parameters).tracked();
    let normaliser = if normaliser_batch {
        Normaliser::Batch
    } else {
        Normaliser::Statistics(&statistics)
    };
    let pass = forward::forward(&case.graph, &leaves, Images::Shared(images), normaliser);
    let loss = Loss::CrossEntropy.of(pass.logits, labels).mean();
    let value = loss.clone().inner().into_data().try_to_vec::<f64>().unwrap()[0];
    if !gradient {
        return (value, Vec::new());
    }
    let mut tape = loss.backward();
    let gradient = leaves.gradient(&mut tape).into_data();
    (value, gradient.try_to_vec::<f64>().unwrap())
}

#[test]
fn gradients_agree_with_central_differences_in_f64() {
    for name in NETWORKS {
        let case = case(name);
        let w: Vec<f64> = case.solution.parameters.iter().map(|&v| f64::from(v)).collect();
        for batch in [false, true] {
            let (_, gradient) = f64_loss(&case, &w, batch, true);
            let scale = gradient.iter().fold(0.0_f64, |m, g| m.max(g.abs()));
            let mut random = Random::new(5, Purpose::Direction, 0);
            // Every layer's first parameter and a random sample of the rest.
            let mut probes: Vec<usize> = case.graph.parameters.iter().map(|p| p.offset).collect();
            probes.extend((0..40).map(|_| random.below(w.len())));
            // At a step of 1e-6 the error of a central difference in f64 is about 1e-10; a ReLU that changes sign
            // within the step would show, so few entries may be off by more, and none may be far off.
            let step = 1e-6;
            let mut off = 0;
            for &index in &probes {
                let at = |sign: f64| {
                    let mut moved = w.clone();
                    moved[index] += sign * step;
                    f64_loss(&case, &moved, batch, false).0
                };
                let difference = (at(1.0) - at(-1.0)) / (2.0 * step);
                let error = (difference - gradient[index]).abs() / scale;
                assert!(
                    error < 1e-2,
                    "{name}, entry {index}: {difference} and {}",
                    gradient[index]
                );
                off += usize::from(error > 1e-7);
            }
            assert!(
                off * 20 <= probes.len(),
                "{name}: {off} of {} entries are off",
                probes.len()
            );
        }
    }
}

fn several_points(case: &Case, count: usize) -> Vec<f32> {
    let mut random = Random::new(11, Purpose::Direction, 0);
    (0..count)
        .flat_map(|_| {
            case.solution
                .parameters
                .iter()
                .map(|w| w + 0.05 * random.normal())
                .collect::<Vec<f32>>()
        })
        .collect()
}

#[test]
fn three_points_in_one_pass_equal_three_passes() {
    for name in NETWORKS {
        let case = case(name);
        let objective = case.objective(Compute::flex());
        let points = several_points(&case, 3);
        for policy in BatchNormPolicy::ALL {
            let together = objective.evaluate(&points, &case.solution.statistics, policy).unwrap();
            assert_eq!(together.len(), 3);
            for (point, together) in points.chunks(case.graph.parameter_count()).zip(&together) {
                let alone = objective.evaluate(point, &case.solution.statistics, policy).unwrap()[0];
                for part in Part::BOTH {
                    let what = format!("{}, {policy}, {}", case.name, part.name());
                    assert_close(together.part(part).loss, alone.part(part).loss, 1e-6, &what);
                    assert_close(together.part(part).accuracy, alone.part(part).accuracy, 1e-12, &what);
                }
            }
        }
    }
}

#[test]
fn per_point_images_give_per_sample_gradients() {
    let case = case("resnet8_bn");
    let (graph, d) = (&case.graph, case.graph.parameter_count());
    let objective = case.objective(Compute::flex());
    let [c, h, w] = case.data.shape;
    let count = 3;
    let images = first_images(&case, count);
    let labels = &case.data.train.labels[..count];
    let device = Device::flex();
    let points: Vec<f32> = case.solution.parameters.repeat(count);
    let statistics: Vec<f32> = case.solution.statistics.repeat(count);
    let leaves = Leaves::new(graph, &Tensor::from_data(TensorData::new(points, [count, d]), &device)).tracked();
    let statistics: Tensor<2> = Tensor::from_data(
        TensorData::new(statistics, [count, case.solution.statistics.len()]),
        &device,
    );
    let statistics = statistics.autodiff();
    let batch = objective.images(images.clone(), [1, count * c, h, w]).autodiff();
    let pass = forward::forward(
        graph,
        &leaves,
        Images::PerPoint(batch),
        Normaliser::Statistics(&statistics),
    );
    let losses = Loss::CrossEntropy.of(pass.logits, objective.labels(labels).autodiff());
    assert_eq!(losses.dims(), [count, 1]);
    let mut tape = losses.sum().backward();
    let together = leaves.gradient(&mut tape).into_data().try_to_vec::<f32>().unwrap();
    for sample in 0..count {
        let one = images[sample * c * h * w..(sample + 1) * c * h * w].to_vec();
        let (label, statistics) = (&labels[sample..=sample], Some(case.solution.statistics.as_slice()));
        let alone = objective
            .batch_gradient(&case.solution.parameters, one, label, statistics)
            .unwrap();
        assert_all_close(
            &together[sample * d..(sample + 1) * d],
            &alone.gradient,
            1e-5,
            "per-sample gradient",
        );
    }
}

/// Opens the wgpu device, or says why the test is skipped; with VALLEYSCOPE_REQUIRE_ADAPTER=1 it must open.
fn adapter() -> Option<Compute> {
    match Compute::open(DeviceChoice::Wgpu) {
        Ok(compute) => Some(compute),
        Err(error) if std::env::var_os("VALLEYSCOPE_REQUIRE_ADAPTER").is_some_and(|v| v == "1") => {
            panic!("an adapter is required: {error}")
        }
        Err(error) => {
            println!("skipped, no wgpu adapter: {error}");
            None
        }
    }
}

#[test]
fn the_graphics_device_agrees_with_the_cpu() {
    let Some(compute) = adapter() else { return };
    let graph = Arc::new(zoo::build("resnet8:width=2", [3, 8, 8], 10).unwrap());
    let case = case("resnet8_bn");
    let solution = Solution {
        parameters: initial_parameters(&graph, 3),
        statistics: graph.initial_statistics(),
    };
    let objective = |compute| Objective::new(graph.clone(), case.data.clone(), compute, 8).unwrap();
    let (cpu, gpu) = (objective(Compute::flex()), objective(compute));
    for policy in BatchNormPolicy::ALL {
        let measure = |o: &Objective| o.evaluate(&solution.parameters, &solution.statistics, policy).unwrap()[0];
        let (on_cpu, on_gpu) = (measure(&cpu), measure(&gpu));
        for part in Part::BOTH {
            assert_close(
                on_gpu.part(part).loss,
                on_cpu.part(part).loss,
                LOSS_TOLERANCE,
                &format!("{policy}, {}", part.name()),
            );
        }
    }
    let gradient = |o: &Objective| o.gradient(&solution, BatchNormPolicy::Batch, Part::Train).unwrap().1;
    // Shaders may reorder sums and contract products; 1e-4 of the largest entry is some thousand roundings.
    assert_all_close(&gradient(&gpu), &gradient(&cpu), 1e-4, "gradient");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Scaling the weights of a convolution that batch norm follows does not change the loss (up to ε), under the
    /// policies that take statistics at the point itself.
    #[test]
    fn batch_norm_makes_the_loss_invariant_to_the_scale_of_a_convolution(factor in 1.0_f32..3.0) {
        let case = case("resnet8_bn");
        let objective = case.objective(Compute::flex());
        let mut scaled = case.solution.parameters.clone();
        let first = &case.graph.parameters[0];
        for w in &mut scaled[first.range()] {
            *w *= factor;
        }
        let loss = |w: &[f32]| objective.evaluate(w, &case.solution.statistics, BatchNormPolicy::Batch).unwrap()[0].train.loss;
        prop_assert!((loss(&scaled) / loss(&case.solution.parameters) - 1.0).abs() < 1e-3);
    }
}
