//! The evaluator over Burn's tensors: any device, and the reference for the one over the processor's vectors.

use std::ops::Range;

use burn::tensor::{DType, Int, Tensor, TensorData};

use super::{BatchGradient, Compute, Objective};
use crate::data::Part;
use crate::error::{Error, Result};
use crate::network::Graph;
use crate::network::forward::{self, BatchStatistics, Images, Leaves, Normaliser};

/// `K` points on the device.
#[derive(Debug)]
pub struct TensorPoints {
    count: usize,
    leaves: Leaves,
    /// Statistics to normalise with, `[K, s]`. Without, batches use their own.
    fixed: Option<Tensor<2>>,
}

impl TensorPoints {
    /// Puts `points` `[K, d]` (flat) on the device.
    pub fn new(graph: &Graph, compute: &Compute, points: &[f32]) -> Self {
        let count = points.len() / graph.parameter_count();
        Self {
            count,
            leaves: Leaves::new(graph, &upload(compute, points, count)),
            fixed: None,
        }
    }

    /// Normalises with `statistics` `[K, s]` (flat) from now on.
    pub fn fix(&mut self, compute: &Compute, statistics: &[f32]) {
        self.fixed = Some(upload(compute, statistics, self.count));
    }

    /// Means and unbiased variances of batches of the training split, for each `[K, s]` flat.
    pub fn statistics(&self, objective: &Objective, batches: &[Range<usize>]) -> Result<Vec<Vec<f32>>> {
        let passes = batches.iter().map(|range| {
            let (images, _) = objective.batch(Part::Train, range.clone());
            let pass = forward::forward(
                objective.graph(),
                &self.leaves,
                Images::Shared(images),
                Normaliser::Batch,
            );
            // [K · C] a layer and kind, side by side as [K, s].
            let parts = unbiased(pass.statistics)
                .map(|values| {
                    let channels = values.dims()[0] / self.count;
                    values.reshape([self.count, channels])
                })
                .collect::<Vec<Tensor<2>>>();
            let all = Tensor::cat(parts, 1);
            let size = all.shape().num_elements();
            all.reshape([size])
        });
        read_all(passes.collect())
    }

    /// For every batch, the sum of losses and the number of hits at every point, reduced on the device.
    pub fn losses(&self, objective: &Objective, batches: &[(Part, Range<usize>)]) -> Result<Vec<Vec<(f64, f64)>>> {
        let normaliser = self.fixed.as_ref().map_or(Normaliser::Batch, Normaliser::Statistics);
        let passes = batches.iter().map(|(part, range)| {
            let (images, labels) = objective.batch(*part, range.clone());
            let pass = forward::forward(objective.graph(), &self.leaves, Images::Shared(images), normaliser);
            let correct = forward::correct(pass.logits.clone(), labels.clone()).float();
            let loss = objective
                .graph()
                .loss
                .of(pass.logits, labels)
                .sum_dim(1)
                .reshape([self.count]);
            Tensor::cat(vec![loss, correct], 0)
        });
        let values = read_all(passes.collect())?;
        let pairs = values.iter().map(|values| {
            let (losses, hits) = values.split_at(self.count);
            let pairs = losses.iter().zip(hits);
            pairs.map(|(&loss, &hits)| (f64::from(loss), f64::from(hits))).collect()
        });
        Ok(pairs.collect())
    }
}

/// Gradient of the mean loss of one batch by automatic differentiation.
pub fn gradient(
    objective: &Objective,
    parameters: &[f32],
    images: Tensor<4>,
    labels: Tensor<1, Int>,
    statistics: Option<&[f32]>,
) -> Result<BatchGradient> {
    let (graph, compute) = (objective.graph(), objective.compute());
    let leaves = Leaves::new(graph, &upload(compute, parameters, 1)).tracked();
    let statistics = statistics.map(|s| upload(compute, s, 1).autodiff());
    let normaliser = statistics.as_ref().map_or(Normaliser::Batch, Normaliser::Statistics);
    let labels = labels.autodiff();
    let pass = forward::forward(graph, &leaves, Images::Shared(images.autodiff()), normaliser);
    let correct = forward::correct(pass.logits.clone(), labels.clone());
    let loss = graph.loss.of(pass.logits, labels).mean();
    let mut tape = loss.backward();
    let gradient = leaves.gradient(&mut tape);
    let d = parameters.len();
    let mut parts = vec![loss.inner(), correct.inner().float(), gradient.reshape([d])];
    parts.extend(unbiased(pass.statistics));
    let mut values = read(Tensor::cat(parts, 0))?;
    let statistics = values.split_off(2 + d);
    let gradient = values.split_off(2);
    Ok(BatchGradient {
        loss: f64::from(values[0]),
        correct: values[1] as usize,
        gradient,
        statistics,
    })
}

/// `[points, length]` from flat values.
pub(super) fn upload(compute: &Compute, values: &[f32], points: usize) -> Tensor<2> {
    let data = TensorData::new(values.to_vec(), [points, values.len() / points.max(1)]);
    Tensor::from_data(data, (compute.device(), DType::F32))
}

/// Means and unbiased variances of a pass, layer by layer, each `[K · channels]`, off the tape.
fn unbiased(statistics: Vec<BatchStatistics>) -> impl Iterator<Item = Tensor<1>> {
    statistics.into_iter().flat_map(|layer| {
        let correction = layer.values as f64 / (layer.values as f64 - 1.0);
        [
            layer.mean.without_autodiff(),
            layer.variance.without_autodiff() * correction,
        ]
    })
}

/// Reads a vector back from the device.
pub(super) fn read(tensor: Tensor<1>) -> Result<Vec<f32>> {
    tensor
        .try_into_data()
        .map_err(|error| Error::Device(error.to_string()))?
        .try_to_vec()
        .map_err(|error| Error::Device(error.to_string()))
}

/// Reads vectors of one length back from the device, all at once.
fn read_all(tensors: Vec<Tensor<1>>) -> Result<Vec<Vec<f32>>> {
    let count = tensors.len();
    let values = read(Tensor::cat(tensors, 0))?;
    let length = values.len() / count.max(1);
    Ok(values.chunks(length.max(1)).map(<[f32]>::to_vec).collect())
}
