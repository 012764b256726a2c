//! Exact derivatives of the mean loss along directions of parameter space, without the matrices they are made of:
//! slopes ⟨∇L, u⟩, Hessian-vector products H·v, and Gauss–Newton products.
//!
//! Where the objective evaluates over the processor's vectors and batch-norm statistics are constants, that evaluator
//! computes them; elsewhere Burn's tensors do, on the objective's device.

mod images;
mod scatter;

use std::borrow::Cow;
use std::ops::Range;

use burn::tensor::Tensor;

use super::lanes::{Expansion, Lanes};
use super::tensors::{read, upload};
use super::{BatchNormPolicy, Evaluation, Objective, Solution};
use crate::data::{Part, Progress};
use crate::error::{Error, Result};
use crate::network::forward::{self, Images, Leaves, Normaliser};
use crate::network::{Graph, tangent};

/// Share of the work that the statistics pass of the policy `recompute` is: one forward pass beside some eight.
const STATISTICS_SHARE: f64 = 0.1;

impl Objective {
    /// H·v `[d]`: the Hessian of the mean loss over the first `samples` images of a split, times `vector`
    /// `[d]` (Pearlmutter, 1994). Costs some three gradients. As for [`Objective::gradient`], the statistics are
    /// constants under `running` and `recompute`, and move with the parameters under `batch`.
    ///
    /// For many products at one point, make [`Derivatives`] once.
    ///
    /// # Errors
    /// When the vector is of another length or not finite, there are no images, the point has diverged, or a batch
    /// could not be normalised by itself; [`Error::Device`] when the device fails.
    pub fn hessian_vector(
        &self,
        solution: &Solution,
        vector: &[f32],
        policy: BatchNormPolicy,
        part: Part,
        samples: usize,
    ) -> Result<Vec<f32>> {
        self.hessian_vector_with(solution, vector, policy, part, samples, &mut |_| true)
    }

    /// The same, telling the share done after every batch; told to stop, it does.
    ///
    /// # Errors
    /// As [`Objective::hessian_vector`], and [`Error::Cancelled`].
    pub fn hessian_vector_with(
        &self,
        solution: &Solution,
        vector: &[f32],
        policy: BatchNormPolicy,
        part: Part,
        samples: usize,
        progress: Progress,
    ) -> Result<Vec<f32>> {
        let first = match policy {
            BatchNormPolicy::Recompute => STATISTICS_SHARE,
            BatchNormPolicy::Running | BatchNormPolicy::Batch => 0.0,
        };
        let begun = &mut |share: f64| progress(first * share);
        let derivatives = Derivatives::new(self, solution, policy, part, samples, begun)?;
        derivatives.hessian_vector(vector, &mut |share: f64| progress(first + (1.0 - first) * share))
    }

    /// G·v `[d]`: the Gauss–Newton matrix G = mean of JᵀDJ times `vector` `[d]`, where J is the Jacobian of an image's
    /// logits and D the second derivative of its loss in them. G is the part of the Hessian that is never
    /// negative; for logits that are linear in the parameters it is all of it.
    ///
    /// # Errors
    /// As [`Objective::hessian_vector`].
    pub fn gauss_newton_vector(
        &self,
        solution: &Solution,
        vector: &[f32],
        policy: BatchNormPolicy,
        part: Part,
        samples: usize,
    ) -> Result<Vec<f32>> {
        let silent = &mut |_: f64| true;
        let derivatives = Derivatives::new(self, solution, policy, part, samples, silent)?;
        derivatives.gauss_newton_vector(vector, &mut |_| true)
    }

    /// The mean loss L over the first `samples` images of a split and its slope ⟨∇L, u⟩ along `direction`
    /// `[d]`, whatever length that has: one pass forward, nothing backward.
    ///
    /// # Errors
    /// As [`Objective::hessian_vector`].
    pub fn slope(
        &self,
        solution: &Solution,
        direction: &[f32],
        policy: BatchNormPolicy,
        part: Part,
        samples: usize,
    ) -> Result<(f64, f64)> {
        let silent = &mut |_: f64| true;
        let derivatives = Derivatives::new(self, solution, policy, part, samples, silent)?;
        derivatives.slope(direction, &mut |_| true)
    }
}

/// The mean loss at one point, ready to be differentiated along any number of directions.
#[derive(Clone, Debug)]
pub struct Derivatives<'a> {
    objective: &'a Objective,
    parameters: &'a [f32],
    /// Statistics `[s]` that are constants. Without, batches use their own.
    statistics: Option<Cow<'a, [f32]>>,
    part: Part,
    batches: Vec<Range<usize>>,
}

impl<'a> Derivatives<'a> {
    /// Prepares the mean loss over the first `samples` images of a split, in the objective's batches. Under
    /// `recompute` this takes a pass over the first `samples` training images, whose share done is told to `progress`.
    ///
    /// # Errors
    /// When the point has another length or has diverged, there are no images, or a batch could not be normalised by
    /// itself; [`Error::Device`] when the device fails, [`Error::Cancelled`].
    pub fn new(
        objective: &'a Objective,
        solution: &'a Solution,
        policy: BatchNormPolicy,
        part: Part,
        samples: usize,
        progress: Progress,
    ) -> Result<Self> {
        let graph = objective.graph();
        check_point(graph, solution)?;
        let batches: Vec<Range<usize>> = objective.batches(part, samples).collect();
        let Some(last) = batches.last() else {
            return Err(Error::Request(
                "the Hessian of a mean over no images does not exist; ask for at least one image".to_owned(),
            ));
        };
        let statistics = match policy {
            BatchNormPolicy::Running => Some(Cow::Borrowed(solution.statistics.as_slice())),
            BatchNormPolicy::Recompute => {
                let mut evaluation = Evaluation::of_parts(
                    objective,
                    &solution.parameters,
                    &solution.statistics,
                    policy,
                    samples,
                    &[Part::Train],
                )?;
                Some(Cow::Owned(evaluation.finish_statistics(objective, progress)?))
            }
            BatchNormPolicy::Batch => {
                graph.check_batch(last.len())?;
                None
            }
        };
        if let Some(statistics) = &statistics {
            check_statistics(statistics)?;
        }
        Ok(Self {
            objective,
            parameters: &solution.parameters,
            statistics,
            part,
            batches,
        })
    }

    /// The Hessian times `vector`, `[d]`, telling the share done after every batch.
    ///
    /// # Errors
    /// When the vector is of another length or not finite, or the product is not finite; [`Error::Device`] when the
    /// device fails, [`Error::Cancelled`].
    pub fn hessian_vector(&self, vector: &[f32], progress: Progress) -> Result<Vec<f32>> {
        self.check_vector(vector)?;
        if let Some((lanes, expansion)) = self.expansion() {
            let direction = expansion.direction(vector);
            return self.mean_over_batches(progress, |range| {
                let batch = lanes.images(self.objective.data(), self.part, range);
                Ok(expansion.hessian_vector(&direction, &batch))
            });
        }
        let point = self.point().on_tape();
        let directions = Leaves::new(self.graph(), &self.directions(vector).autodiff());
        self.mean_over_batches(progress, |range| self.tensor_product(&point, &directions, range))
    }

    /// H·v `[d]` of the mean loss of some images, by tensors.
    fn tensor_product(&self, point: &Point, directions: &Leaves, range: Range<usize>) -> Result<Vec<f32>> {
        let (images, labels) = self.objective.batch(self.part, range);
        let images = Images::Shared(images.autodiff());
        let pass = tangent::forward(self.graph(), &point.leaves, directions, images, point.normaliser());
        let slopes = self.graph().loss.slopes(pass.logits, pass.tangents, labels.autodiff());
        point.gradient(&slopes.mean())
    }

    /// The batches that the mean is taken over, as ranges of images.
    pub fn batches(&self) -> &[Range<usize>] {
        &self.batches
    }

    /// The Hessian of the mean loss over the images `range` alone, as one batch, times `vector`, `[d]`. The mean over
    /// [`Derivatives::batches`], weighted by their images, is [`Derivatives::hessian_vector`].
    ///
    /// # Errors
    /// When there are no such images, the batch could not be normalised by itself, or the vector is of another length
    /// or not finite; [`Error::Device`] when the device fails.
    pub fn batch_hessian_vector(&self, range: Range<usize>, vector: &[f32]) -> Result<Vec<f32>> {
        let count = self.objective.data().split(self.part).len();
        if range.is_empty() || range.end > count {
            return Err(Error::Request(format!(
                "there are no {} images {} to {}; ask for some of the {count} there are",
                self.part.name(),
                range.start,
                range.end
            )));
        }
        if self.statistics.is_none() {
            self.graph().check_batch(range.len())?;
        }
        self.check_vector(vector)?;
        if let Some((lanes, expansion)) = self.expansion() {
            let batch = lanes.images(self.objective.data(), self.part, range);
            return Ok(expansion.hessian_vector(&expansion.direction(vector), &batch));
        }
        let directions = Leaves::new(self.graph(), &self.directions(vector).autodiff());
        self.tensor_product(&self.point().on_tape(), &directions, range)
    }

    /// The Gauss–Newton matrix times `vector`, `[d]`, telling the share done after every batch.
    ///
    /// # Errors
    /// As [`Derivatives::hessian_vector`].
    pub fn gauss_newton_vector(&self, vector: &[f32], progress: Progress) -> Result<Vec<f32>> {
        self.check_vector(vector)?;
        if let Some((lanes, expansion)) = self.expansion() {
            let direction = expansion.direction(vector);
            return self.mean_over_batches(progress, |range| {
                let batch = lanes.images(self.objective.data(), self.part, range);
                Ok(expansion.gauss_newton_vector(&direction, &batch))
            });
        }
        let directions = Leaves::new(self.graph(), &self.directions(vector));
        let point = self.point();
        let tracked = point.clone().on_tape();
        self.mean_over_batches(progress, |range| {
            let count = range.len() as f64;
            let (images, _) = self.objective.batch(self.part, range);
            let shared = Images::Shared(images.clone());
            let pass = tangent::forward(self.graph(), &point.leaves, &directions, shared, point.normaliser());
            // Jᵀ·(D·J·v) is the gradient of the product of the logits with what is then a constant.
            let constant = self.graph().loss.curvatures(pass.logits, pass.tangents).autodiff();
            let images = Images::Shared(images.autodiff());
            let pass = forward::forward(self.graph(), &tracked.leaves, images, tracked.normaliser());
            tracked.gradient(&((pass.logits * constant).sum() / count))
        })
    }

    /// The mean loss and its slope along `direction` `[d]`, telling the share done after every batch. Where the loss
    /// is not finite, neither is the slope.
    ///
    /// # Errors
    /// When the direction is of another length or not finite; [`Error::Device`] when the device fails,
    /// [`Error::Cancelled`].
    pub fn slope(&self, direction: &[f32], progress: Progress) -> Result<(f64, f64)> {
        self.check_vector(direction)?;
        if let Some((lanes, expansion)) = self.expansion() {
            let direction = expansion.direction(direction);
            return self.mean_slope(progress, |range| {
                let batch = lanes.images(self.objective.data(), self.part, range);
                Ok(expansion.slopes(&direction, &batch))
            });
        }
        let directions = Leaves::new(self.graph(), &self.directions(direction));
        let point = self.point();
        self.mean_slope(progress, |range| {
            let count = range.len();
            let (images, labels) = self.objective.batch(self.part, range);
            let images = Images::Shared(images);
            let pass = tangent::forward(self.graph(), &point.leaves, &directions, images, point.normaliser());
            let losses = self.graph().loss.of(pass.logits.clone(), labels.clone());
            let slopes = self.graph().loss.slopes(pass.logits, pass.tangents, labels);
            let values = read(Tensor::cat(vec![losses, slopes], 0).reshape([2 * count]))?;
            let sum = |values: &[f32]| values.iter().map(|&value| f64::from(value)).sum::<f64>();
            let (losses, slopes) = values.split_at(count);
            Ok((sum(losses), sum(slopes)))
        })
    }

    /// The network on its data.
    pub fn objective(&self) -> &'a Objective {
        self.objective
    }

    /// The point's parameters `[d]`.
    pub fn parameters(&self) -> &'a [f32] {
        self.parameters
    }

    /// The split that the mean is taken over.
    pub fn part(&self) -> Part {
        self.part
    }

    /// Number of images that the mean is taken over, the first of the split.
    pub fn images(&self) -> usize {
        self.batches.last().map_or(0, |last| last.end)
    }

    fn graph(&self) -> &'a Graph {
        self.objective.graph()
    }

    /// Tells the share that is done after the batch `range`.
    fn tell(&self, range: &Range<usize>, progress: Progress) -> Result<()> {
        if progress(range.end as f64 / self.images() as f64) {
            Ok(())
        } else {
            Err(Error::Cancelled)
        }
    }

    /// The evaluator over the processor's vectors and the point made ready for it, where statistics are constants, as
    /// they are without batch norm.
    fn expansion(&self) -> Option<(&'a Lanes, Expansion<'a>)> {
        let statistics: &[f32] = match &self.statistics {
            Some(statistics) => statistics,
            None if self.graph().batch_norm_layers.is_empty() => &[],
            None => return None,
        };
        let lanes = self.objective.lanes.as_ref()?;
        Some((lanes, lanes.expansion(self.parameters, statistics)))
    }

    /// The point on the device.
    fn point(&self) -> Point {
        let compute = self.objective.compute();
        Point {
            leaves: Leaves::new(self.graph(), &upload(compute, self.parameters, 1)),
            statistics: self.statistics.as_ref().map(|values| upload(compute, values, 1)),
        }
    }

    /// Refuses what is no vector of parameter space.
    fn check_vector(&self, vector: &[f32]) -> Result<()> {
        if vector.len() != self.parameters.len() {
            return Err(Error::Request(format!(
                "{} takes vectors of {} parameters; given was one of {}",
                self.graph().name,
                self.parameters.len(),
                vector.len()
            )));
        }
        check_direction(vector)
    }

    /// A vector of parameter space on the device, `[1, d]`.
    fn directions(&self, vector: &[f32]) -> Tensor<2> {
        upload(self.objective.compute(), vector, 1)
    }

    /// The means over all images of the loss and its slope, from their sums over each batch.
    fn mean_slope(
        &self,
        progress: Progress,
        mut sums: impl FnMut(Range<usize>) -> Result<(f64, f64)>,
    ) -> Result<(f64, f64)> {
        let (mut loss, mut slope) = (0.0, 0.0);
        for range in &self.batches {
            let sum = sums(range.clone())?;
            loss += sum.0;
            slope += sum.1;
            self.tell(range, progress)?;
        }
        let images = self.images() as f64;
        Ok((loss / images, slope / images))
    }

    /// The mean over all batches, weighted by their images, of a product `[d]` with a vector.
    fn mean_over_batches(
        &self,
        progress: Progress,
        mut product: impl FnMut(Range<usize>) -> Result<Vec<f32>>,
    ) -> Result<Vec<f32>> {
        let mut sum = vec![0.0_f64; self.parameters.len()];
        for range in &self.batches {
            let weight = range.len() as f64 / self.images() as f64;
            for (sum, value) in sum.iter_mut().zip(product(range.clone())?) {
                *sum += weight * f64::from(value);
            }
            self.tell(range, progress)?;
        }
        checked(sum.into_iter().map(|value| value as f32).collect())
    }
}

/// A point on the device, with the statistics that are constants.
#[derive(Clone)]
struct Point {
    leaves: Leaves,
    statistics: Option<Tensor<2>>,
}

impl Point {
    /// The same point, to be differentiated by.
    fn on_tape(self) -> Self {
        Self {
            leaves: self.leaves.tracked(),
            statistics: self.statistics.map(|statistics| statistics.autodiff()),
        }
    }

    fn normaliser(&self) -> Normaliser<'_> {
        self.statistics
            .as_ref()
            .map_or(Normaliser::Batch, Normaliser::Statistics)
    }

    /// Gradient `[d]` of a number.
    fn gradient(&self, number: &Tensor<1>) -> Result<Vec<f32>> {
        let mut tape = number.backward();
        let gradient = self.leaves.gradient(&mut tape);
        let length = gradient.shape().num_elements();
        read(gradient.reshape([length]))
    }
}

/// The first value that is not finite.
fn not_finite(values: &[f32]) -> Option<f32> {
    values.iter().copied().find(|value| !value.is_finite())
}

/// Refuses a direction, or several, that is not finite.
fn check_direction(values: &[f32]) -> Result<()> {
    match not_finite(values) {
        Some(value) => Err(Error::Request(format!(
            "there is no derivative along a vector that holds {value}; give one of finite numbers"
        ))),
        None => Ok(()),
    }
}

/// Refuses statistics that are not finite.
fn check_statistics(statistics: &[f32]) -> Result<()> {
    match not_finite(statistics) {
        Some(value) => Err(diverged(&format!("a batch-norm layer's statistics hold {value}"))),
        None => Ok(()),
    }
}

/// Gives a product back, refused where it is not finite.
fn checked(product: Vec<f32>) -> Result<Vec<f32>> {
    check_product(&product)?;
    Ok(product)
}

/// Refuses a product that is not finite.
fn check_product(product: &[f32]) -> Result<()> {
    match not_finite(product) {
        Some(value) => Err(diverged(&format!("its product with the vector holds {value}"))),
        None => Ok(()),
    }
}

fn diverged(what: &str) -> Error {
    Error::Request(format!(
        "the Hessian at a diverged point does not exist: {what}; choose a point before the loss left the finite numbers"
    ))
}

/// Refuses a point of another network, and one whose weights are not finite.
fn check_point(graph: &Graph, solution: &Solution) -> Result<()> {
    let (parameters, statistics) = (&solution.parameters, &solution.statistics);
    if parameters.len() != graph.parameter_count() || statistics.len() != graph.statistics_count() {
        return Err(Error::Request(format!(
            "{} takes vectors of {} parameters and {} statistics; given were {} and {}",
            graph.name,
            graph.parameter_count(),
            graph.statistics_count(),
            parameters.len(),
            statistics.len()
        )));
    }
    for parameter in &graph.parameters {
        if let Some(value) = not_finite(&parameters[parameter.range()]) {
            return Err(diverged(&format!("`{}` holds {value}", parameter.name)));
        }
    }
    Ok(())
}
