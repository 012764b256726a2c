//! Gradients, slopes and products in double precision, through the same passes.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use valleyscope::data::Part;
use valleyscope::network::forward::{self, Images, Leaves, Normaliser};
use valleyscope::network::{Loss, tangent};
use valleyscope::objective::BatchNormPolicy;

use super::Case;
use crate::common::derivatives::doubles;

/// `[1, n]` in double precision.
pub(super) fn row(values: &[f64]) -> Tensor<2> {
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

pub(super) fn normaliser(policy: BatchNormPolicy, statistics: &Tensor<2>) -> Normaliser<'_> {
    match policy {
        BatchNormPolicy::Batch => Normaliser::Batch,
        BatchNormPolicy::Running | BatchNormPolicy::Recompute => Normaliser::Statistics(statistics),
    }
}

/// Gradient of the mean loss at some parameters.
pub(super) fn exact_gradient(case: &Case, at: &[f64], loss: Loss, policy: BatchNormPolicy) -> Vec<f64> {
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
pub(super) fn exact_products(case: &Case, vector: &[f64], loss: Loss, policy: BatchNormPolicy) -> Vec<f64> {
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
