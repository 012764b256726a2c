//! Exact derivatives of the mean loss along directions of parameter space, without the matrices they are made of:
//! slopes ⟨∇L, u⟩, Hessian-vector products H·v, and Gauss–Newton products.
//!
//! Burn's tensors compute them on the objective's device, whatever evaluates its losses.

mod images;

use std::borrow::Cow;
use std::ops::Range;

use burn::tensor::Tensor;

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
        if let Some(value) = statistics.as_deref().and_then(not_finite) {
            return Err(diverged(&format!("a batch-norm layer's statistics hold {value}")));
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
        let directions = Leaves::new(self.graph(), &self.directions(vector)?.autodiff());
        let point = self.point().on_tape();
        self.mean_over_batches(progress, |range| {
            let (images, labels) = self.objective.batch(self.part, range);
            let images = Images::Shared(images.autodiff());
            let pass = tangent::forward(self.graph(), &point.leaves, &directions, images, point.normaliser());
            let slopes = self.graph().loss.slopes(pass.logits, pass.tangents, labels.autodiff());
            point.gradient(&slopes.mean())
        })
    }

    /// The Gauss–Newton matrix times `vector`, `[d]`, telling the share done after every batch.
    ///
    /// # Errors
    /// As [`Derivatives::hessian_vector`].
    pub fn gauss_newton_vector(&self, vector: &[f32], progress: Progress) -> Result<Vec<f32>> {
        let directions = Leaves::new(self.graph(), &self.directions(vector)?);
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
        let directions = Leaves::new(self.graph(), &self.directions(direction)?);
        let point = self.point();
        let (mut loss, mut slope) = (0.0, 0.0);
        for range in &self.batches {
            let (images, labels) = self.objective.batch(self.part, range.clone());
            let images = Images::Shared(images);
            let pass = tangent::forward(self.graph(), &point.leaves, &directions, images, point.normaliser());
            let losses = self.graph().loss.of(pass.logits.clone(), labels.clone());
            let slopes = self.graph().loss.slopes(pass.logits, pass.tangents, labels);
            let values = read(Tensor::cat(vec![losses, slopes], 0).reshape([2 * range.len()]))?;
            let (losses, slopes) = values.split_at(range.len());
            loss += losses.iter().map(|&value| f64::from(value)).sum::<f64>();
            slope += slopes.iter().map(|&value| f64::from(value)).sum::<f64>();
            self.tell(range, progress)?;
        }
        let images = self.images() as f64;
        Ok((loss / images, slope / images))
    }

    fn graph(&self) -> &Graph {
        self.objective.graph()
    }

    /// Number of images that the mean is taken over.
    fn images(&self) -> usize {
        self.batches.last().map_or(0, |last| last.end)
    }

    /// Tells the share that is done after the batch `range`.
    fn tell(&self, range: &Range<usize>, progress: Progress) -> Result<()> {
        if progress(range.end as f64 / self.images() as f64) {
            Ok(())
        } else {
            Err(Error::Cancelled)
        }
    }

    /// The point on the device.
    fn point(&self) -> Point {
        let compute = self.objective.compute();
        Point {
            leaves: Leaves::new(self.graph(), &upload(compute, self.parameters, 1)),
            statistics: self.statistics.as_ref().map(|values| upload(compute, values, 1)),
        }
    }

    /// A vector of parameter space on the device, `[1, d]`.
    fn directions(&self, vector: &[f32]) -> Result<Tensor<2>> {
        if vector.len() != self.parameters.len() {
            return Err(Error::Request(format!(
                "{} takes vectors of {} parameters; given was one of {}",
                self.graph().name,
                self.parameters.len(),
                vector.len()
            )));
        }
        if let Some(value) = not_finite(vector) {
            return Err(Error::Request(format!(
                "there is no derivative along a vector that holds {value}; give one of finite numbers"
            )));
        }
        Ok(upload(self.objective.compute(), vector, 1))
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
        let mean: Vec<f32> = sum.into_iter().map(|value| value as f32).collect();
        match not_finite(&mean) {
            Some(value) => Err(diverged(&format!("its product with the vector holds {value}"))),
            None => Ok(mean),
        }
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
