//! The loss as a function of the flat parameter vector: loss, accuracy and gradient at a point, under a stated
//! batch-norm policy, on a stated device.

pub mod device;
mod evaluation;
mod evaluator;
mod hessian;
mod lanes;
pub(crate) mod loss_value;
mod policy;
mod tensors;

use std::ops::Range;
use std::sync::Arc;

use burn::tensor::{DType, Int, Tensor, TensorData};

pub use device::{Compute, DeviceChoice};
pub use evaluation::{Evaluation, Measurement, Quality};
pub use hessian::Derivatives;
pub use policy::{BatchNormPolicy, RunningStatistics};

use crate::data::{Dataset, Part, Progress};
use crate::error::{Error, Result};
use crate::network::{Graph, cost};
use lanes::Lanes;

/// Images a batch when evaluating, unless asked otherwise. It is part of the definition of the policies `recompute`
/// and `batch`, so it is recorded wherever they are.
pub const EVALUATION_BATCH: usize = 128;

/// A point `w` of parameter space with its batch-norm running statistics: all that a checkpoint holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Solution {
    /// Flat parameter vector `[d]`.
    pub parameters: Vec<f32>,
    /// Flat statistics vector `[s]`.
    pub statistics: Vec<f32>,
}

impl Solution {
    /// The point `w + position · u` with the same statistics.
    pub fn moved(&self, direction: &[f32], position: f64) -> Self {
        Self {
            parameters: move_along(&self.parameters, direction, position),
            statistics: self.statistics.clone(),
        }
    }
}

/// `w + position · u`, entry by entry, the product rounded once.
pub fn move_along(from: &[f32], direction: &[f32], position: f64) -> Vec<f32> {
    from.iter()
        .zip(direction)
        .map(|(&w, &u)| (f64::from(w) + position * f64::from(u)) as f32)
        .collect()
}

/// A graph, a data set and a device: the loss as a function of `w`.
#[derive(Debug)]
pub struct Objective {
    graph: Arc<Graph>,
    data: Arc<Dataset>,
    compute: Compute,
    /// The evaluator over the processor's vectors, where it is in use.
    lanes: Option<Lanes>,
    /// Why it is not, where it was asked for.
    fallback: Option<String>,
    batch_size: usize,
}

/// Loss, hits, gradient and batch statistics of one training batch.
#[derive(Clone, Debug)]
pub struct BatchGradient {
    /// Mean loss over the batch.
    pub loss: f64,
    /// Number of images classified correctly.
    pub correct: usize,
    /// Gradient of the mean loss, `[d]`.
    pub gradient: Vec<f32>,
    /// Means and unbiased variances of the batch, in the layout of the statistics vector `[s]`; empty where the
    /// normaliser was given statistics.
    pub statistics: Vec<f32>,
}

impl Objective {
    /// Puts graph and data together.
    ///
    /// # Errors
    /// When shapes or classes differ, or a batch of this size would need more memory than any machine should give.
    pub fn new(graph: Arc<Graph>, data: Arc<Dataset>, compute: Compute, batch_size: usize) -> Result<Self> {
        if graph.input_shape() != data.shape || graph.classes() != data.classes.len() {
            return Err(Error::Request(format!(
                "the model {} takes images of {:?} in {} classes, the data {} has {:?} in {}",
                graph.name,
                graph.input_shape(),
                graph.classes(),
                data.name,
                data.shape,
                data.classes.len()
            )));
        }
        if batch_size == 0 {
            return Err(Error::option("--batch-size", batch_size, "it must be at least 1"));
        }
        check_memory(&graph, batch_size)?;
        let (lanes, fallback) = match compute.instructions().map(|known| Lanes::new(&graph, known)) {
            Some(Ok(lanes)) => (Some(lanes), None),
            Some(Err(reason)) => (None, Some(reason)),
            None => (None, None),
        };
        Ok(Self {
            graph,
            data,
            compute,
            lanes,
            fallback,
            batch_size,
        })
    }

    /// The same with the usual number of images a batch ([`usual_batch`]).
    ///
    /// # Errors
    /// As [`Objective::new`].
    pub fn usual(graph: Arc<Graph>, data: Arc<Dataset>, compute: Compute) -> Result<Self> {
        let batch_size = usual_batch(&graph);
        Self::new(graph, data, compute, batch_size)
    }

    /// The network.
    pub fn graph(&self) -> &Arc<Graph> {
        &self.graph
    }

    /// The data.
    pub fn data(&self) -> &Arc<Dataset> {
        &self.data
    }

    /// The device.
    pub fn compute(&self) -> &Compute {
        &self.compute
    }

    /// What computes, for people and files: the device, or the processor's vectors.
    pub fn device_name(&self) -> &str {
        match self.fallback {
            Some(_) => device::FLEX_NAME,
            None => self.compute.name(),
        }
    }

    /// Why Burn's tensors compute although the processor's vectors were asked for.
    pub fn fallback(&self) -> Option<&str> {
        self.fallback.as_deref()
    }

    /// Images below which a pass costs no less.
    pub fn fewest_images(&self) -> usize {
        self.lanes.as_ref().map_or(8, Lanes::lanes)
    }

    /// Gives back the memory that gradients and products with Hessians took.
    pub fn release_gradients(&self) {
        if let Some(lanes) = &self.lanes {
            lanes.release_gradients();
        }
    }

    /// Bytes that the evaluator over the processor's vectors holds from pass to pass; none for tensors.
    pub fn memory(&self) -> Option<usize> {
        self.lanes.as_ref().map(Lanes::memory)
    }

    /// Bytes that the gradient of the mean loss of so many images takes while the processor's vectors compute it; none
    /// for tensors, which take one batch after another.
    pub fn gradient_bytes(&self, images: usize) -> usize {
        self.lanes.as_ref().map_or(0, |lanes| lanes.gradient_bytes(images))
    }

    /// Images a batch.
    pub fn batch_size(&self) -> usize {
        self.batch_size
    }

    /// Multiply-adds a second to expect before anything was timed: what two cores do with tensors, or each core with its
    /// vectors.
    pub fn expected_rate(&self) -> f64 {
        match &self.lanes {
            Some(_) => 2e10 * rayon::current_num_threads() as f64,
            None => 8e9,
        }
    }

    /// How many points of a slice on the first `samples` images of each split are best evaluated together: with the
    /// processor's vectors as many as keep all cores busy and a step short. Tensors gain nothing from more than one on
    /// the CPU, and a GPU was not there to be measured.
    pub fn points_at_once(&self, samples: usize) -> usize {
        let Some(lanes) = &self.lanes else { return 1 };
        let images = samples.min(self.batch_size).max(1);
        let blocks = images.div_ceil(lanes.lanes());
        let cost = cost::multiply_adds(&self.graph)
            .max(1)
            .saturating_mul((blocks * lanes.lanes()) as u64);
        let busy = rayon::current_num_threads().div_ceil(blocks);
        let affordable = (MOST_BATCH_BYTES / 8 / lanes.batch_bytes(images)).max(1);
        ((STEP / cost) as usize).max(busy).min(affordable).clamp(1, MOST_POINTS)
    }

    /// Loss and accuracy on both splits at the points `[K, d]` (flat). A loop over [`Evaluation::step`].
    ///
    /// # Errors
    /// [`Error::Device`] when the device fails.
    pub fn evaluate(&self, points: &[f32], statistics: &[f32], policy: BatchNormPolicy) -> Result<Vec<Measurement>> {
        let mut evaluation = Evaluation::new(self, points, statistics, policy, usize::MAX)?;
        loop {
            if let Some(result) = evaluation.step(self)? {
                return Ok(result);
            }
        }
    }

    /// The statistics that the policy `recompute` finds at `parameters`: one pass over the training split.
    ///
    /// # Errors
    /// [`Error::Device`] when the device fails.
    pub fn recompute_statistics(&self, parameters: &[f32]) -> Result<Vec<f32>> {
        self.recompute_statistics_with(parameters, &mut |_| true)
    }

    /// The same, telling the share done after every batch; told to stop, it does.
    ///
    /// # Errors
    /// [`Error::Device`] when the device fails, [`Error::Cancelled`].
    pub fn recompute_statistics_with(&self, parameters: &[f32], progress: Progress) -> Result<Vec<f32>> {
        let mut evaluation = Evaluation::new(
            self,
            parameters,
            &self.graph.initial_statistics(),
            BatchNormPolicy::Recompute,
            usize::MAX,
        )?;
        evaluation.finish_statistics(self, progress)
    }

    /// Mean loss over a split and its gradient `[d]`. Under `running` and `recompute` the statistics are constants;
    /// under `batch` the gradient flows through each batch's own.
    ///
    /// # Errors
    /// [`Error::Device`] when the device fails.
    pub fn gradient(&self, solution: &Solution, policy: BatchNormPolicy, part: Part) -> Result<(f64, Vec<f32>)> {
        let recomputed;
        let statistics = match policy {
            BatchNormPolicy::Running => Some(&solution.statistics),
            BatchNormPolicy::Recompute => {
                recomputed = self.recompute_statistics(&solution.parameters)?;
                Some(&recomputed)
            }
            BatchNormPolicy::Batch => None,
        };
        let total = self.data.split(part).len();
        let (mut loss, mut gradient) = (0.0, vec![0.0_f64; solution.parameters.len()]);
        for batch in self.batches(part, usize::MAX) {
            let weight = batch.len() as f64 / total as f64;
            let statistics = statistics.map(Vec::as_slice);
            let result = match &self.lanes {
                Some(lanes) => {
                    let batch = lanes.images(&self.data, part, batch);
                    lanes.gradient(&solution.parameters, &batch, statistics).into()
                }
                None => {
                    let (images, labels) = self.batch(part, batch);
                    tensors::gradient(self, &solution.parameters, images, labels, statistics)?
                }
            };
            loss += weight * result.loss;
            for (sum, g) in gradient.iter_mut().zip(&result.gradient) {
                *sum += weight * f64::from(*g);
            }
        }
        Ok((loss, gradient.into_iter().map(|g| g as f32).collect()))
    }

    /// Gradient of the mean loss of one batch of images `[B, C, H, W]` (flat) and labels `[B]`, normalised with
    /// `statistics` `[s]` or, without, with the batch's own.
    ///
    /// # Errors
    /// [`Error::Device`] when the device fails.
    pub fn batch_gradient(
        &self,
        parameters: &[f32],
        images: Vec<f32>,
        labels: &[u32],
        statistics: Option<&[f32]>,
    ) -> Result<BatchGradient> {
        if let Some(lanes) = &self.lanes {
            let batch = lanes.lay_out(&images, labels);
            return Ok(lanes.gradient(parameters, &batch, statistics).into());
        }
        let [channels, height, width] = self.data.shape;
        let images = self.images(images, [labels.len(), channels, height, width]);
        tensors::gradient(self, parameters, images, self.labels(labels), statistics)
    }

    /// The same for training images by their numbers, unaugmented and in this order.
    ///
    /// # Errors
    /// [`Error::Device`] when the device fails.
    pub fn gradient_of(
        &self,
        parameters: &[f32],
        images: &[usize],
        statistics: Option<&[f32]>,
    ) -> Result<BatchGradient> {
        let data = &self.data;
        let mut values = Vec::with_capacity(images.len() * data.shape.iter().product::<usize>());
        for &image in images {
            data.push_images(Part::Train, image..image + 1, &mut values);
        }
        let labels: Vec<u32> = images.iter().map(|&image| data.train.labels[image]).collect();
        self.batch_gradient(parameters, values, &labels, statistics)
    }

    /// The gradient of every image's own loss, `[B, d]` flat, for images `range` of a split: their mean is the gradient
    /// of the mean loss. Batch norm takes `statistics` `[s]` as constants; with a batch's own, an image's loss would
    /// depend on the others'.
    ///
    /// # Errors
    /// When the result would not fit in memory; [`Error::Device`] when the device fails.
    pub fn image_gradients(&self, solution: &Solution, part: Part, range: Range<usize>) -> Result<Vec<f32>> {
        let (parameters, statistics) = (&solution.parameters, solution.statistics.as_slice());
        // Whole blocks of lanes are computed, and then copied.
        let rows = 2 * range.len().next_multiple_of(self.fewest_images());
        let bytes = rows.saturating_mul(parameters.len()).saturating_mul(size_of::<f32>());
        if bytes > MOST_BATCH_BYTES {
            return Err(Error::Request(format!(
                "the gradients of {} images in {} parameters would take {} GiB; ask for fewer images at a time",
                range.len(),
                parameters.len(),
                bytes >> 30
            )));
        }
        match &self.lanes {
            Some(lanes) => {
                let batch = lanes.images(&self.data, part, range);
                Ok(lanes.image_gradients(parameters, &batch, statistics).gradient)
            }
            None => {
                let mut gradients = Vec::with_capacity(range.len() * parameters.len());
                for image in range {
                    let (images, labels) = self.batch(part, image..image + 1);
                    let one = tensors::gradient(self, parameters, images, labels, Some(statistics))?;
                    gradients.extend(one.gradient);
                }
                Ok(gradients)
            }
        }
    }

    /// Index ranges of the batches of a split's first `samples` images.
    pub fn batches(&self, part: Part, samples: usize) -> impl DoubleEndedIterator<Item = Range<usize>> + use<> {
        let (total, size) = (self.data.split(part).len().min(samples), self.batch_size);
        (0..total)
            .step_by(size)
            .map(move |start| start..(start + size).min(total))
    }

    /// Images `[B, C, H, W]` and labels `[B]` of one batch on the device. They are normalised and copied each time: for
    /// a large data set that costs a thousandth of a forward pass, and saves a second copy of the data.
    pub fn batch(&self, part: Part, range: Range<usize>) -> (Tensor<4>, Tensor<1, Int>) {
        let [channels, height, width] = self.data.shape;
        let labels = self.labels(&self.data.split(part).labels[range.clone()]);
        let count = range.len();
        let mut values = Vec::new();
        self.data.push_images(part, range, &mut values);
        (self.images(values, [count, channels, height, width]), labels)
    }

    /// Images of `shape` `[B, C, H, W]` on the device.
    pub fn images(&self, values: Vec<f32>, shape: [usize; 4]) -> Tensor<4> {
        Tensor::from_data(TensorData::new(values, shape), (self.compute.device(), DType::F32))
    }

    /// Labels `[B]` on the device.
    pub fn labels(&self, labels: &[u32]) -> Tensor<1, Int> {
        let labels: Vec<i32> = labels.iter().map(|&l| l as i32).collect();
        let count = labels.len();
        Tensor::from_data(TensorData::new(labels, [count]), (self.compute.device(), DType::I32))
    }
}

/// Multiply-adds that one step of an evaluation may take, so that it can be cancelled soon: some 10 ms on two cores.
const STEP: u64 = 1_000_000_000;
/// Points that go together at most.
const MOST_POINTS: usize = 64;

/// Activations of one batch at most; a larger batch is a slip of the keyboard.
const MOST_BATCH_BYTES: usize = 8 << 30;

/// Images an evaluation batch where nobody says how many: [`EVALUATION_BATCH`], or for a network on large images the
/// largest power of two that memory allows.
pub fn usual_batch(graph: &Graph) -> usize {
    let mut size = EVALUATION_BATCH;
    while size > 1 && check_memory(graph, size).is_err() {
        size /= 2;
    }
    size
}

/// Refuses a batch whose activations would not fit in memory, before any is taken.
///
/// # Errors
/// [`Error::Option`] for the batch size.
pub fn check_memory(graph: &Graph, batch_size: usize) -> Result<()> {
    let per_image = graph.activation_count().saturating_mul(size_of::<f32>());
    if batch_size.saturating_mul(per_image) > MOST_BATCH_BYTES {
        return Err(Error::option(
            "--batch-size",
            batch_size,
            format!(
                "its activations would take more than {} GiB; at most {} images fit",
                MOST_BATCH_BYTES >> 30,
                MOST_BATCH_BYTES / per_image.max(1)
            ),
        ));
    }
    Ok(())
}

impl From<lanes::GradientPass> for BatchGradient {
    fn from(pass: lanes::GradientPass) -> Self {
        Self {
            loss: pass.losses.iter().map(|image| image.loss).sum::<f64>() / pass.losses.len() as f64,
            correct: pass.losses.iter().filter(|image| image.correct).count(),
            gradient: pass.gradient,
            statistics: pass.statistics,
        }
    }
}
