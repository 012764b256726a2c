//! The two evaluators behind one face: points made ready for the processor's vectors, or put on a device as tensors.

use std::ops::Range;

use rayon::prelude::*;

use super::Objective;
use super::lanes::{ImageLoss, Lanes, Point};
use super::tensors::TensorPoints;
use crate::data::Part;
use crate::error::{Error, Result};

/// Batches that a GPU is given before anything is read back: it has work while the window draws and the next is sent.
const GPU_BATCHES: usize = 8;

/// `K` points where they are computed.
#[derive(Debug)]
pub enum Evaluator {
    Tensors(Box<TensorPoints>),
    Lanes(LanePoints),
}

/// Points made ready for the lanes, and the statistics to normalise with, one `[s]` a point; without, batches use their
/// own.
#[derive(Debug)]
pub struct LanePoints {
    points: Vec<Point>,
    fixed: Option<Vec<Vec<f32>>>,
}

impl Evaluator {
    /// Prepares `points` `[K, d]` (flat).
    pub fn new(objective: &Objective, points: &[f32]) -> Self {
        let d = objective.graph().parameter_count();
        match &objective.lanes {
            Some(lanes) => Self::Lanes(LanePoints {
                points: points.par_chunks_exact(d).map(|point| lanes.point(point)).collect(),
                fixed: None,
            }),
            None => {
                let points = TensorPoints::new(objective.graph(), objective.compute(), points);
                Self::Tensors(Box::new(points))
            }
        }
    }

    /// Batches that are best done in one step.
    pub fn batches_at_once(&self, objective: &Objective) -> usize {
        match self {
            Self::Tensors(_) if objective.compute().graphics().is_some() => GPU_BATCHES,
            _ => 1,
        }
    }

    /// Normalises with `statistics` `[K, s]` (flat) from now on.
    pub fn fix(&mut self, objective: &Objective, statistics: &[f32]) {
        match self {
            Self::Tensors(points) => points.fix(objective.compute(), statistics),
            Self::Lanes(points) => {
                let (count, length) = (points.points.len(), objective.graph().statistics_count());
                let parts = (0..count).map(|point| statistics[point * length..(point + 1) * length].to_vec());
                points.fixed = Some(parts.collect());
            }
        }
    }

    /// Means and unbiased variances of batches of the training split, for each `[K, s]` flat.
    pub fn statistics(&self, objective: &Objective, batches: &[Range<usize>]) -> Result<Vec<Vec<f32>>> {
        let Self::Lanes(points) = self else {
            return self.tensors()?.statistics(objective, batches);
        };
        let lanes = lanes(objective)?;
        let statistics = batches.iter().map(|range| {
            let batch = lanes.images(objective.data(), Part::Train, range.clone());
            let passes = lanes.batch_passes(&points.points, &batch);
            passes.into_iter().flat_map(|pass| pass.statistics).collect()
        });
        Ok(statistics.collect())
    }

    /// For every batch, the sum of losses and the number of hits at every point.
    pub fn losses(&self, objective: &Objective, batches: &[(Part, Range<usize>)]) -> Result<Vec<Vec<(f64, f64)>>> {
        let Self::Lanes(points) = self else {
            return self.tensors()?.losses(objective, batches);
        };
        let lanes = lanes(objective)?;
        let losses = batches
            .iter()
            .map(|(part, range)| points.losses(lanes, objective, *part, range.clone()));
        Ok(losses.collect())
    }

    fn tensors(&self) -> Result<&TensorPoints> {
        match self {
            Self::Tensors(points) => Ok(points),
            Self::Lanes(_) => Err(foreign()),
        }
    }
}

impl LanePoints {
    fn losses(&self, lanes: &Lanes, objective: &Objective, part: Part, range: Range<usize>) -> Vec<(f64, f64)> {
        let batch = lanes.images(objective.data(), part, range);
        let losses: Vec<Vec<ImageLoss>> = match &self.fixed {
            Some(statistics) => lanes.losses(&self.points, statistics, &batch),
            None => {
                let passes = lanes.batch_passes(&self.points, &batch);
                passes.into_iter().map(|pass| pass.losses).collect()
            }
        };
        let sums = losses.iter().map(|images| {
            let hits = images.iter().filter(|image| image.correct).count();
            (images.iter().map(|image| image.loss).sum(), hits as f64)
        });
        sums.collect()
    }
}

fn lanes(objective: &Objective) -> Result<&Lanes> {
    objective.lanes.as_ref().ok_or_else(foreign)
}

fn foreign() -> Error {
    Error::Request("an evaluation goes on with the objective that it was begun with".to_owned())
}
