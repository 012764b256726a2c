//! How fast this machine evaluates lines and trains: a few networks with hashed weights on hashed images, so that any
//! other program can do the same work and be compared.

use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;

use super::growth::Growth;
use super::hashed;
use crate::data::Part;
use crate::error::Result;
use crate::landscape::Line;
use crate::landscape::line::positions;
use crate::landscape::sweep::{Sweep, SweepRequest};
use crate::network::graph::Shape;
use crate::network::{cost, zoo};
use crate::objective::{BatchNormPolicy, Compute, Evaluation, Objective, usual_batch};
use crate::training::sgd::Sgd;

/// Points of a line.
const POINTS: usize = 41;
/// Images of a training step.
const BATCH: usize = 128;
/// Seconds that one measurement should take at most.
const PATIENCE: f64 = 6.0;
/// Seconds for which the machine's peak is measured.
const PEAK: f64 = 0.5;

/// Told what is being measured; says whether to go on.
pub type Progress<'a> = &'a mut dyn FnMut(&str) -> bool;

/// A network and its images.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Name on the command line.
    pub name: &'static str,
    /// Model.
    pub model: &'static str,
    /// Shape of an image.
    pub input: Shape,
    /// Images of a line.
    pub images: usize,
    /// Whether a training step is measured, too.
    pub trains: bool,
}

/// The networks that are measured.
pub const CASES: [Case; 4] = [
    Case {
        name: "demo",
        model: "resnet8:width=8",
        input: [3, 16, 16],
        images: 2048,
        trains: true,
    },
    Case {
        name: "preresnet20",
        model: "preresnet20",
        input: [3, 32, 32],
        images: 2048,
        trains: true,
    },
    Case {
        name: "vgg16",
        model: "vgg16-bn",
        input: [3, 32, 32],
        images: 256,
        trains: false,
    },
    Case {
        name: "densenet100",
        model: "densenet-bc-100",
        input: [3, 32, 32],
        images: 256,
        trains: false,
    },
];

/// One measurement.
#[derive(Clone, Debug, Serialize)]
pub struct Measurement {
    /// Name of the case.
    pub case: String,
    /// Model.
    pub model: String,
    /// Shape of an image.
    pub input: Shape,
    /// Number of classes.
    pub classes: usize,
    /// `line` or `training step`.
    pub task: &'static str,
    /// Batch-norm policy.
    pub policy: BatchNormPolicy,
    /// Points of the line that were evaluated; 1 for a training step.
    pub points: usize,
    /// Images at each point, or of the training step.
    pub images: usize,
    /// Images a batch.
    pub batch_size: usize,
    /// Seconds for all points, or for one step.
    pub seconds: f64,
    /// Points or steps a second.
    pub rate: f64,
    /// Multiply-adds of one point or step.
    pub multiply_adds: u64,
    /// Bytes of activations of one point or step.
    pub bytes: u64,
    /// 10⁹ floating-point operations a second, two for each multiply-add of the cost model.
    pub gflops: f64,
    /// The same as a share of the peak; none where the peak is not known.
    pub share_of_peak: Option<f64>,
    /// Loss at the line's first point, or of the first step.
    pub loss: f64,
}

/// What a benchmark found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What computed.
    pub device: String,
    /// Threads.
    pub threads: usize,
    /// The machine's measured peak in 10⁹ floating-point operations a second; none for tensors.
    pub peak_gflops: Option<f64>,
    /// Version of the program.
    pub version: &'static str,
    /// In order.
    pub measurements: Vec<Measurement>,
    /// How cost grows, where that was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub growth: Vec<Growth>,
}

impl Report {
    /// An empty report; it measures the machine's peak.
    pub fn new(compute: &Compute) -> Self {
        Self {
            device: compute.name().to_owned(),
            threads: rayon::current_num_threads(),
            peak_gflops: compute
                .peak(std::time::Duration::from_secs_f64(PEAK))
                .map(|peak| peak / 1e9),
            version: env!("CARGO_PKG_VERSION"),
            measurements: Vec::new(),
            growth: Vec::new(),
        }
    }

    /// Measures one case: the line from hashed solution 1 to hashed solution 2 under `running` and `recompute`, and a
    /// training step.
    ///
    /// # Errors
    /// When the device fails.
    pub fn measure(&mut self, case: &Case, compute: &Compute, progress: Progress) -> Result<()> {
        let classes = 10;
        let graph = Arc::new(zoo::build(case.model, case.input, classes)?);
        let data = Arc::new(hashed::dataset(case.input, classes, case.images.max(BATCH), 0));
        let batch = usual_batch(&graph).min(BATCH);
        let objective = Objective::new(graph.clone(), data, compute.clone(), batch)?;
        for policy in [BatchNormPolicy::Running, BatchNormPolicy::Recompute] {
            let measured = self.line(case, &objective, policy, progress)?;
            self.measurements.push(measured);
        }
        if case.trains {
            let measured = self.training_step(case, &objective, progress)?;
            self.measurements.push(measured);
        }
        Ok(())
    }

    fn line(
        &self,
        case: &Case,
        objective: &Objective,
        policy: BatchNormPolicy,
        progress: Progress,
    ) -> Result<Measurement> {
        let what = format!("{} line {policy}", case.name);
        let graph = objective.graph();
        let line = Line::segment(
            Arc::new(hashed::solution(graph, 1)),
            Arc::new(hashed::solution(graph, 2)),
        );
        let grid = positions(0.0, 1.0, POINTS);
        let mut sweep = |points: usize| -> Result<(f64, f64)> {
            let request = SweepRequest {
                slice: line.clone(),
                positions: grid[..points].to_vec(),
                policy,
                samples: case.images,
            };
            let start = Instant::now();
            let curve = Sweep::new(objective, request).run(objective, |_, _| progress(&what))?;
            let loss = curve.values[0].map_or(f64::NAN, |measured| measured.train.loss);
            Ok((start.elapsed().as_secs_f64(), loss))
        };
        let (first, _) = sweep(1)?;
        let points = ((PATIENCE / first) as usize).clamp(2, POINTS);
        let (seconds, loss) = sweep(points)?;
        let images = Evaluation::images(objective, policy, case.images);
        let cost = cost::forward(graph) * images as u64;
        Ok(self.record(
            case,
            objective,
            "line",
            policy,
            points,
            case.images,
            seconds,
            loss,
            cost,
        ))
    }

    fn training_step(&self, case: &Case, objective: &Objective, progress: Progress) -> Result<Measurement> {
        let what = format!("{} training step", case.name);
        let graph = objective.graph();
        let data = objective.data();
        let mut images = Vec::new();
        data.push_images(Part::Train, 0..BATCH, &mut images);
        let labels = &data.train.labels[..BATCH];
        let mut parameters = hashed::solution(graph, 1).parameters;
        let mut sgd = Sgd::with_velocity(vec![0.0; parameters.len()], 0.9, 3e-4);
        let mut step = || -> Result<(f64, f64)> {
            if !progress(&what) {
                return Err(crate::Error::Cancelled);
            }
            let start = Instant::now();
            let result = objective.batch_gradient(&parameters, images.clone(), labels, None)?;
            sgd.step(&mut parameters, &result.gradient, 0.01);
            Ok((start.elapsed().as_secs_f64(), result.loss))
        };
        let (first, loss) = step()?;
        let mut times = Vec::new();
        for _ in 0..((PATIENCE / first) as usize).clamp(3, 60) {
            times.push(step()?.0);
        }
        times.sort_by(f64::total_cmp);
        let seconds = times[times.len() / 2];
        let cost = cost::gradient(graph) * BATCH as u64;
        let policy = BatchNormPolicy::Batch;
        Ok(self.record(case, objective, "training step", policy, 1, BATCH, seconds, loss, cost))
    }

    #[expect(clippy::too_many_arguments, reason = "the columns of a table")]
    fn record(
        &self,
        case: &Case,
        objective: &Objective,
        task: &'static str,
        policy: BatchNormPolicy,
        points: usize,
        images: usize,
        seconds: f64,
        loss: f64,
        cost: cost::Cost,
    ) -> Measurement {
        let rate = points as f64 / seconds;
        let gflops = 2e-9 * cost.multiply_adds as f64 * rate;
        Measurement {
            case: case.name.to_owned(),
            model: objective.graph().name.clone(),
            input: case.input,
            classes: objective.graph().classes(),
            task,
            policy,
            points,
            images,
            batch_size: objective.batch_size(),
            seconds,
            rate,
            multiply_adds: cost.multiply_adds,
            bytes: cost.bytes,
            gflops,
            share_of_peak: self.peak_gflops.map(|peak| gflops / peak),
            loss,
        }
    }
}
